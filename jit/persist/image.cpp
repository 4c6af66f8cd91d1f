// SPDX-License-Identifier: Apache-2.0
#include "jit/persist/image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

#include "jit/persist/hash.h"

namespace lyrebird::jit::persist {

namespace {

constexpr char kMagic[8] = {'L', 'Y', 'R', 'E', 'I', 'M', '\r', '\n'};
constexpr uint32_t kImageFormat = 2;
constexpr size_t kHeaderRoom = 4096;
constexpr size_t kPiece = size_t{1} << 20;  ///< the checksum is made of those of such pieces
constexpr uint64_t kMaxImage = uint64_t{1} << 31;

struct Header {
  char magic[8];
  uint32_t format, id;
  uint64_t key;
  uint64_t size;  ///< of the whole file
  uint64_t code_size;
  uint32_t blocks, pages;
  uint64_t info_size;
  uint32_t modes[kImageModes];
  char of[64];
  uint64_t inode, written_s, written_ns;  ///< of the file, and when it was written
  uint64_t body_sum;
  uint64_t checksum;  ///< of all before
};
static_assert(sizeof(Header) == 192);

uint64_t header_sum(const Header& h) { return hash_bytes(&h, offsetof(Header, checksum), kImageFormat); }
uint64_t add_piece(uint64_t sum, const uint8_t* piece, size_t size) {
  return mix(sum ^ 0x9e3779b97f4a7c15, hash_bytes(piece, size, kImageFormat));
}
uint64_t padded(uint64_t size) { return (size + 15) & ~uint64_t{15}; }

struct Sections {
  uint64_t blocks, pages, infos, end;
};
Sections sections(const Header& h) {
  Sections s;
  s.blocks = kHeaderRoom + h.code_size;
  s.pages = s.blocks + uint64_t{h.blocks} * sizeof(ImageBlock);
  s.infos = s.pages + uint64_t{h.pages} * sizeof(ImagePage);
  s.end = s.infos + padded(h.info_size);
  return s;
}

/// A header that fits the file.
bool read_header(int fd, uint64_t size, Header& h) {
  return ::pread(fd, &h, sizeof h, 0) == static_cast<ssize_t>(sizeof h) &&
         std::memcmp(h.magic, kMagic, sizeof kMagic) == 0 && h.checksum == header_sum(h) &&
         h.format == kImageFormat && h.size == size && size <= kMaxImage && h.code_size < size &&
         h.info_size < size && h.code_size % kImageCodeUnit == 0 && sections(h).end == size;
}

uint64_t body_sum(const uint8_t* base, uint64_t size) {
  uint64_t sum = 0;
  for (uint64_t at = kHeaderRoom; at < size; at += kPiece)
    sum = add_piece(sum, base + at, std::min<uint64_t>(kPiece, size - at));
  return sum;
}

bool is_ours(const struct stat& st) {
  return S_ISREG(st.st_mode) && st.st_uid == ::geteuid() && (st.st_mode & 022) == 0 && st.st_nlink == 1;
}

uint64_t nanoseconds(const timespec& at) {
  return static_cast<uint64_t>(at.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(at.tv_nsec);
}

/// Nobody has written to the file since it was finished.
bool is_as_written(const struct stat& st, const Header& h) {
  return st.st_ino == h.inode && static_cast<uint64_t>(st.st_mtim.tv_sec) == h.written_s &&
         static_cast<uint64_t>(st.st_mtim.tv_nsec) == h.written_ns;
}

/// The inode was touched since the host has started, and so the file was written or verified.
bool is_of_this_boot(const struct stat& st) {
  timespec now, up;
  ::clock_gettime(CLOCK_REALTIME, &now);
  ::clock_gettime(CLOCK_BOOTTIME, &up);
  return nanoseconds(st.st_ctim) > nanoseconds(now) - nanoseconds(up);
}

/// Says that the image was used, or verified, by its access time: the other one says when it was written.
void mark_used(int fd) {
  const timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_NOW}, {.tv_sec = 0, .tv_nsec = UTIME_OMIT}};
  ::futimens(fd, times);
}

}  // namespace

std::unique_ptr<Image> Image::open(const std::string& path, uint64_t key, uint32_t pages) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return nullptr;
  std::unique_ptr<Image> image(new Image);
  image->fd_ = fd;
  struct stat st;
  Header h;
  if (::fstat(fd, &st) != 0 || !is_ours(st) || !read_header(fd, static_cast<uint64_t>(st.st_size), h) ||
      h.key != key || h.pages != pages)
    return nullptr;
  const bool written = is_as_written(st, h), believed = written && is_of_this_boot(st);
  void* const mapped = ::mmap(nullptr, h.size, PROT_READ, MAP_SHARED | (believed ? 0 : MAP_POPULATE), fd, 0);
  if (mapped == MAP_FAILED) return nullptr;
  image->base_ = static_cast<const uint8_t*>(mapped);
  image->size_ = h.size;
  if (!believed && body_sum(image->base_, h.size) != h.body_sum) return nullptr;
  const Sections s = sections(h);
  image->id_ = h.id;
  image->code_offset_ = kHeaderRoom;
  image->code_size_ = h.code_size;
  image->blocks_ = {reinterpret_cast<const ImageBlock*>(image->base_ + s.blocks), h.blocks};
  image->pages_ = {reinterpret_cast<const ImagePage*>(image->base_ + s.pages), h.pages};
  image->infos_ = image->base_ + s.infos;
  std::copy(std::begin(h.modes), std::end(h.modes), image->modes_);
  // Now and then, for whoever removes what was not used for long.
  if ((written && !believed) || ::time(nullptr) - st.st_atime > 3600) mark_used(fd);
  return image;
}

Image::~Image() {
  close_file();
  if (base_) ::munmap(const_cast<uint8_t*>(base_), size_);
}

void Image::close_file() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

int64_t Image::find(uint64_t pc, uint32_t mode) const {
  const uint64_t page = pc >> kImagePageBits;
  if (page >= pages_.size()) return -1;
  const uint32_t first = pages_[page].first;
  const uint32_t last =
      page + 1 < pages_.size() ? pages_[page + 1].first : static_cast<uint32_t>(blocks_.size());
  const auto end = blocks_.begin() + last;
  auto at = std::lower_bound(blocks_.begin() + first, end, pc,
                             [](const ImageBlock& block, uint64_t value) { return block.pc < value; });
  for (; at != end && at->pc == pc; ++at)
    if (modes_[at->mode] == mode) return at - blocks_.begin();
  return -1;
}

uint32_t Image::at_code(uint64_t offset) const {
  const auto at =
      std::upper_bound(blocks_.begin(), blocks_.end(), offset,
                       [](uint64_t value, const ImageBlock& block) { return value < block.code; });
  return static_cast<uint32_t>(at == blocks_.begin() ? 0 : at - blocks_.begin() - 1);
}

// --- writing

ImageWriter::ImageWriter(ImageName name) : name_(std::move(name)) {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  id_ = static_cast<uint32_t>(
            mix(name_.key ^ static_cast<uint64_t>(now.tv_nsec),
                static_cast<uint64_t>(now.tv_sec) ^ static_cast<uint64_t>(::getpid()) << 32)) |
        1;
}

ImageWriter::~ImageWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

bool ImageWriter::begin(uint64_t bytes) {
  rlimit limit;
  // A guest's limit on files must not become a signal.
  if (bytes > kMaxImage || (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur / 2 < bytes))
    return false;
  temporary_ = name_.path + ".XXXXXX";
  fd_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
  buffer_.resize(2 * kPiece);
  return fd_ >= 0;
}

uint8_t* ImageWriter::room(size_t size) {
  if (filled_ >= kPiece) failed_ |= !flush(false);
  uint8_t* const at = buffer_.data() + filled_;
  filled_ += size;
  return at;
}

/// Whole pieces, or all there is.
bool ImageWriter::flush(bool all) {
  size_t done = 0;
  while (filled_ - done >= kPiece || (all && done < filled_)) {
    const size_t size = std::min(kPiece, filled_ - done);
    sum_ = add_piece(sum_, buffer_.data() + done, size);
    if (::pwrite(fd_, buffer_.data() + done, size, static_cast<off_t>(kHeaderRoom + written_)) !=
        static_cast<ssize_t>(size))
      return false;
    written_ += size;
    done += size;
  }
  std::memmove(buffer_.data(), buffer_.data() + done, filled_ - done);
  filled_ -= done;
  return true;
}

bool ImageWriter::put(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const size_t size = std::min(bytes.size(), kPiece);
    std::memcpy(room(size), bytes.data(), size);
    bytes = bytes.subspan(size);
  }
  return !failed_;
}

int ImageWriter::mode(uint32_t mode) {
  const auto at = std::find(modes_, modes_ + mode_count_, mode);
  if (at != modes_ + mode_count_) return static_cast<int>(at - modes_);
  if (mode_count_ == kImageModes) return -1;
  modes_[mode_count_] = mode;
  return static_cast<int>(mode_count_++);
}

bool ImageWriter::finish(std::span<const ImageBlock> blocks, std::span<const ImagePage> pages,
                         std::span<const uint8_t> infos) {
  Header h{};
  std::memcpy(h.magic, kMagic, sizeof kMagic);
  h.format = kImageFormat;
  h.id = id_;
  h.key = name_.key;
  const uint64_t code = written_ + filled_;
  h.code_size = (code + kImageCodeUnit - 1) / kImageCodeUnit * kImageCodeUnit;
  h.blocks = static_cast<uint32_t>(blocks.size());
  h.pages = static_cast<uint32_t>(pages.size());
  h.info_size = infos.size();
  h.size = sections(h).end;
  std::copy(std::begin(modes_), std::end(modes_), h.modes);
  name_.of.copy(h.of, sizeof h.of - 1);
  const uint64_t zeros = h.code_size - code;
  std::memset(room(zeros), 0, zeros);
  const auto bytes = [](auto span) {
    return std::span(reinterpret_cast<const uint8_t*>(span.data()), span.size_bytes());
  };
  bool good = put(bytes(blocks)) && put(bytes(pages)) && put(infos);
  const size_t tail = padded(infos.size()) - infos.size();
  std::memset(room(tail), 0, tail);
  good = good && flush(true) && !failed_;
  h.body_sum = sum_;
  struct stat st{};
  timespec now[2];
  good = good && ::fstat(fd_, &st) == 0 && ::clock_gettime(CLOCK_REALTIME, &now[0]) == 0;
  now[1] = {.tv_sec = now[0].tv_sec, .tv_nsec = static_cast<long>(id_ % 1'000'000'000)};
  h.inode = st.st_ino;
  h.written_s = static_cast<uint64_t>(now[1].tv_sec);
  h.written_ns = static_cast<uint64_t>(now[1].tv_nsec);
  h.checksum = header_sum(h);
  good = good && ::pwrite(fd_, &h, sizeof h, 0) == static_cast<ssize_t>(sizeof h) &&
         ::futimens(fd_, now) == 0 && ::rename(temporary_.c_str(), name_.path.c_str()) == 0;
  if (!good) return false;
  ::close(std::exchange(fd_, -1));
  return true;
}

ImageInfo inspect_image(const std::string& path, bool check_all) {
  ImageInfo info;
  const int fd = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  struct stat st;
  Header h;
  if (fd >= 0 && ::fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
    info.bytes = static_cast<uint64_t>(st.st_size);
    info.valid = read_header(fd, info.bytes, h);
  }
  if (info.valid) {
    info.blocks = h.blocks;
    info.code_bytes = h.code_size;
    info.of.assign(h.of, ::strnlen(h.of, sizeof h.of));
    if (check_all) {
      std::vector<uint8_t> bytes(info.bytes);
      info.whole = ::pread(fd, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()) &&
                   body_sum(bytes.data(), bytes.size()) == h.body_sum;
    }
  }
  if (fd >= 0) ::close(fd);
  return info;
}

}  // namespace lyrebird::jit::persist
