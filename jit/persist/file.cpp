// SPDX-License-Identifier: Apache-2.0
#include "jit/persist/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "base/fault_guard.h"
#include "jit/persist/hash.h"

namespace lyrebird::jit::persist {

namespace {

constexpr char kMagic[8] = {'L', 'Y', 'R', 'E', 'T', 'C', '\r', '\n'};
constexpr uint64_t kChunkMagic = 0x4b4e5548434c794c;
constexpr unsigned kMaxChunks = 12;  ///< more are written anew as one
constexpr uint64_t kMaxFile = uint64_t{1} << 32;

struct Header {
  char magic[8];
  uint32_t format;
  uint32_t size;
  uint64_t key;
  char image[96];
  uint64_t checksum;  ///< of all before
};
static_assert(sizeof(Header) == 128);

/// Followed by the entries, the table (uint32_t each: 0, or number of the entry + 1; open
/// addressing), padding, and the data.
struct ChunkHeader {
  uint64_t magic;
  uint64_t size;  ///< of the whole chunk, this header included
  uint32_t count;
  uint32_t slots;      ///< a power of two
  uint64_t at;         ///< where in the file the chunk is
  uint64_t index_sum;  ///< of the entries and the table
  uint64_t checksum;   ///< of all before
};
static_assert(sizeof(ChunkHeader) == 48);

struct Entry {
  uint64_t pc;
  uint32_t mode;
  uint16_t kind;
  uint16_t more;  ///< CheckedRanges in front of the code
  uint32_t guest_size, guest_count;
  uint64_t guest_hash;
  uint64_t offset;    ///< of the data, from the chunk's start
  uint64_t size;      ///< of the data
  uint64_t checksum;  ///< of all before and the data
};
static_assert(sizeof(Entry) == 56);

uint64_t sum(const void* data, size_t size) { return hash_bytes(data, size, kFormat); }
uint64_t header_sum(const Header& h) { return sum(&h, offsetof(Header, checksum)); }
uint64_t chunk_sum(const ChunkHeader& h) { return sum(&h, offsetof(ChunkHeader, checksum)); }
uint64_t entry_sum(const Entry& e) { return sum(&e, offsetof(Entry, checksum)); }

uint32_t hash_key(uint64_t pc, uint32_t mode) {
  return static_cast<uint32_t>(mix(pc ^ 0x9e3779b97f4a7c15, (uint64_t{mode} << 1) ^ 0xd6e8feb86659fd93));
}

uint64_t padded(uint64_t size) { return (size + 7) & ~uint64_t{7}; }
uint64_t table_offset(uint32_t count) { return sizeof(ChunkHeader) + uint64_t{count} * sizeof(Entry); }
uint64_t data_offset(uint32_t count, uint32_t slots) {
  return padded(table_offset(count) + uint64_t{slots} * sizeof(uint32_t));
}

struct OwnedFd {
  int fd;
  explicit OwnedFd(int f) : fd(f) {}
  ~OwnedFd() {
    if (fd >= 0) ::close(fd);
  }
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
};

bool read_at(int fd, void* to, size_t size, uint64_t offset) {
  return ::pread(fd, to, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
}

bool write_at(int fd, const void* from, size_t size, uint64_t offset) {
  const auto* at = static_cast<const char*>(from);
  while (size > 0) {
    const ssize_t n = ::pwrite(fd, at, size, static_cast<off_t>(offset));
    if (n <= 0) return false;
    at += n, size -= static_cast<size_t>(n), offset += static_cast<uint64_t>(n);
  }
  return true;
}

/// A regular file of ours that nobody else may write to.
bool is_ours(const struct stat& st) {
  return S_ISREG(st.st_mode) && st.st_uid == ::geteuid() && (st.st_mode & 022) == 0 && st.st_nlink == 1;
}

bool read_header(int fd, Header& header) {
  return read_at(fd, &header, sizeof header, 0) && std::memcmp(header.magic, kMagic, sizeof kMagic) == 0 &&
         header.checksum == header_sum(header) && header.format == kFormat && header.size == sizeof header;
}

struct Span {
  uint64_t at;
  ChunkHeader header;
};

/// The chunks up to the first that is not whole; `end`: behind them.
std::vector<Span> read_chunks(int fd, uint64_t file_size, uint64_t& end) {
  std::vector<Span> chunks;
  end = sizeof(Header);
  ChunkHeader h;
  while (end + sizeof h <= file_size && read_at(fd, &h, sizeof h, end)) {
    if (h.magic != kChunkMagic || h.checksum != chunk_sum(h) || h.at != end || h.size > file_size - end ||
        h.size % 8 != 0 || !std::has_single_bit(h.slots) || h.slots <= h.count ||
        data_offset(h.count, h.slots) > h.size)
      break;
    chunks.push_back({end, h});
    end += h.size;
  }
  return chunks;
}

/// Only what lies within the chunk.
bool in_bounds(const Entry& e, uint64_t first, uint64_t chunk_size) {
  return e.offset >= first && e.offset % 8 == 0 && e.offset <= chunk_size &&
         e.size <= chunk_size - e.offset && uint64_t{e.more} * sizeof(CheckedRange) <= e.size;
}

}  // namespace

struct File::Mapping {
  const uint8_t* base = nullptr;
  uint64_t size = 0;
  ~Mapping() {
    if (base) ::munmap(const_cast<uint8_t*>(base), size);
  }
};

struct File::Chunk {
  const uint8_t* base;
  const Entry* entries;
  const uint32_t* table;
  uint64_t size, data;
  uint32_t count, mask;
};

struct File::View {
  Mapping mapping;
  std::vector<Chunk> chunks;
  uint64_t device = 0, inode = 0;
  uint64_t items = 0;
};

File::File(std::string path, uint64_t key, std::string image)
    : path_(std::move(path)), key_(key), image_(std::move(image)) {
  const std::lock_guard lock(mutex_);
  map_locked();
}

File::~File() = default;

void File::refresh() {
  const std::lock_guard lock(mutex_);
  struct stat st;
  const View* const view = view_.load(std::memory_order_relaxed);
  if (::stat(path_.c_str(), &st) != 0) return;
  if (view && view->device == st.st_dev && view->inode == st.st_ino &&
      view->mapping.size == static_cast<uint64_t>(st.st_size))
    return;
  if (!map_locked()) view_.store(nullptr, std::memory_order_release);
}

bool File::map_locked() {
  const OwnedFd fd(::open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  struct stat st;
  Header header;
  if (fd.fd < 0 || ::fstat(fd.fd, &st) != 0 || !is_ours(st) || !read_header(fd.fd, header) ||
      header.key != key_)
    return false;
  const auto size = static_cast<uint64_t>(st.st_size);
  if (size > kMaxFile) return false;
  uint64_t end = 0;
  const std::vector<Span> spans = read_chunks(fd.fd, size, end);
  if (spans.empty()) return false;
  void* const mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.fd, 0);
  if (mapped == MAP_FAILED) return false;
  auto view = std::make_unique<View>();
  view->mapping.base = static_cast<const uint8_t*>(mapped);
  view->mapping.size = size;
  view->device = st.st_dev, view->inode = st.st_ino;
  for (const Span& span : spans) {
    const uint8_t* const base = view->mapping.base + span.at;
    const ChunkHeader& h = span.header;
    view->chunks.push_back({base, reinterpret_cast<const Entry*>(base + sizeof h),
                            reinterpret_cast<const uint32_t*>(base + table_offset(h.count)), h.size,
                            data_offset(h.count, h.slots), h.count, h.slots - 1});
    view->items += h.count;
  }
  // Now and then, for whoever removes what was not used for long.
  if (::time(nullptr) - st.st_mtime > 3600) ::futimens(fd.fd, nullptr);
  view_.store(view.get(), std::memory_order_release);
  views_.push_back(std::move(view));
  return true;
}

std::optional<Item> File::find(ir::BlockKey key) const {
  const View* const view = view_.load(std::memory_order_acquire);
  if (!view) return std::nullopt;
  const uint32_t hash = hash_key(key.pc, key.mode);
  // What is damaged may have been written again in a later chunk.
  for (const Chunk& chunk : view->chunks) {
    for (uint32_t i = hash & chunk.mask, probes = 0; probes <= chunk.mask;
         i = (i + 1) & chunk.mask, ++probes) {
      const uint32_t number = chunk.table[i];
      if (number == 0 || number > chunk.count) break;
      const Entry& entry = chunk.entries[number - 1];
      if (entry.pc != key.pc || entry.mode != key.mode) continue;
      if (auto item = read(chunk, number - 1)) return item;
      break;
    }
  }
  return std::nullopt;
}

std::optional<Item> File::read(const Chunk& chunk, uint32_t number) {
  const Entry entry = chunk.entries[number];
  if (!in_bounds(entry, chunk.data, chunk.size)) return std::nullopt;
  const uint8_t* const data = chunk.base + entry.offset;
  if (entry.checksum != mix(entry_sum(entry), sum(data, entry.size))) return std::nullopt;
  Item item{.key = {entry.pc, entry.mode},
            .kind = static_cast<Kind>(entry.kind),
            .guest_size = entry.guest_size,
            .guest_count = entry.guest_count,
            .guest_hash = entry.guest_hash,
            .more = {},
            .code = {}};
  const size_t ranges = entry.more * sizeof(CheckedRange);
  if (ranges) {
    item.more.resize(entry.more);
    std::memcpy(item.more.data(), data, ranges);
  }
  item.code = {data + ranges, entry.size - ranges};
  return item;
}

uint64_t File::items() const {
  const View* const view = view_.load(std::memory_order_acquire);
  return view ? view->items : 0;
}

uint64_t File::bytes() const {
  const View* const view = view_.load(std::memory_order_acquire);
  return view ? view->mapping.size : 0;
}

// --- writing

namespace {

/// One chunk, written at `at`. False: the disk is full or the like.
bool write_chunk(int fd, uint64_t at, std::span<const Item> items, uint64_t& size) {
  const auto count = static_cast<uint32_t>(items.size());
  const uint32_t slots = std::bit_ceil(2 * count + 1);
  const uint64_t first = data_offset(count, slots);
  std::vector<uint8_t> index(first);
  auto* const entries = reinterpret_cast<Entry*>(index.data() + sizeof(ChunkHeader));
  auto* const table = reinterpret_cast<uint32_t*>(index.data() + table_offset(count));
  std::vector<iovec> parts;
  parts.reserve(2 * count + 1);
  parts.push_back({index.data(), index.size()});
  static const uint8_t zeros[8] = {};
  uint64_t offset = first;
  std::vector<uint8_t> joined;
  for (uint32_t i = 0; i < count; ++i) {
    const Item& item = items[i];
    const size_t ranges = item.more.size() * sizeof(CheckedRange);
    Entry& e = entries[i];
    e = {.pc = item.key.pc,
         .mode = item.key.mode,
         .kind = static_cast<uint16_t>(item.kind),
         .more = static_cast<uint16_t>(item.more.size()),
         .guest_size = item.guest_size,
         .guest_count = item.guest_count,
         .guest_hash = item.guest_hash,
         .offset = offset,
         .size = ranges + item.code.size(),
         .checksum = 0};
    const uint8_t* data = item.code.data();
    if (ranges) {
      joined.resize(e.size);
      std::memcpy(joined.data(), item.more.data(), ranges);
      std::memcpy(joined.data() + ranges, item.code.data(), item.code.size());
      data = joined.data();
      parts.push_back({const_cast<CheckedRange*>(item.more.data()), ranges});
    }
    e.checksum = mix(entry_sum(e), sum(data, e.size));
    parts.push_back({const_cast<uint8_t*>(item.code.data()), item.code.size()});
    if (const uint64_t pad = padded(e.size) - e.size) parts.push_back({const_cast<uint8_t*>(zeros), pad});
    offset += padded(e.size);
    uint32_t slot = hash_key(e.pc, e.mode) & (slots - 1);
    while (table[slot]) slot = (slot + 1) & (slots - 1);
    table[slot] = i + 1;
  }
  ChunkHeader header{.magic = kChunkMagic,
                     .size = offset,
                     .count = count,
                     .slots = slots,
                     .at = at,
                     .index_sum = sum(index.data() + sizeof header, index.size() - sizeof header),
                     .checksum = 0};
  header.checksum = chunk_sum(header);
  std::memcpy(index.data(), &header, sizeof header);
  size = offset;
  if (at + size > kMaxFile) return false;
  // A guest's limit on files must not become a signal.
  rlimit limit;
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < at + size) return false;
  for (size_t i = 0; i < parts.size();) {
    const size_t n = std::min<size_t>(parts.size() - i, IOV_MAX);
    size_t wanted = 0;
    for (size_t k = i; k < i + n; ++k) wanted += parts[k].iov_len;
    if (::pwritev(fd, &parts[i], static_cast<int>(n), static_cast<off_t>(at)) != static_cast<ssize_t>(wanted))
      return false;
    at += wanted;
    i += n;
  }
  return true;
}

Header make_header(uint64_t key, const std::string& image) {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.format = kFormat;
  header.size = sizeof header;
  header.key = key;
  std::memcpy(header.image, image.data(), std::min(image.size(), sizeof header.image - 1));
  header.checksum = header_sum(header);
  return header;
}

}  // namespace

int64_t File::append(std::span<const Item> items, bool wait) {
  if (items.empty()) return 0;
  for (unsigned attempt = 0; attempt < (wait ? 1000 : 3); ++attempt) {
    const OwnedFd fd(
        ::open(path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, S_IRUSR | S_IWUSR));
    struct stat st, named;
    if (fd.fd < 0 || ::flock(fd.fd, LOCK_EX | (wait ? 0 : LOCK_NB)) != 0 || ::fstat(fd.fd, &st) != 0)
      return -1;
    // Replaced or removed by another writer while this one waited: the new one, then.
    if (st.st_nlink == 0) continue;
    if (!is_ours(st)) return -1;
    if (::lstat(path_.c_str(), &named) != 0 || named.st_ino != st.st_ino || named.st_dev != st.st_dev)
      continue;
    return append_to(fd.fd, items);
  }
  return -1;
}

int64_t File::append_to(int fd, std::span<const Item> items) {
  struct stat st;
  if (::fstat(fd, &st) != 0) return -1;
  auto size = static_cast<uint64_t>(st.st_size);
  Header header;
  if (size == 0 || !read_header(fd, header) || header.key != key_) {
    if (size != 0 && ::ftruncate(fd, 0) != 0) return -1;
    header = make_header(key_, image_);
    rlimit limit;
    if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < sizeof header) return -1;
    if (!write_at(fd, &header, sizeof header, 0)) {
      (void)!::ftruncate(fd, 0);
      return -1;
    }
    size = sizeof header;
  }
  uint64_t end = 0;
  const size_t chunks = read_chunks(fd, size, end).size();
  if (size > end && ::ftruncate(fd, static_cast<off_t>(end)) != 0) return -1;

  refresh();
  std::vector<Item> fresh;
  fresh.reserve(items.size());
  FaultGuard guard;
  if (sigsetjmp(guard.env, 0) != 0) return -1;
  guard.arm();
  for (const Item& item : items)
    if (!find(item.key)) fresh.push_back(item);
  guard.disarm();
  if (fresh.empty()) return 0;
  if (chunks >= kMaxChunks) return rewrite(fresh) ? static_cast<int64_t>(fresh.size()) : -1;
  uint64_t written = 0;
  if (!write_chunk(fd, end, fresh, written)) {
    (void)!::ftruncate(fd, static_cast<off_t>(end));
    return -1;
  }
  return static_cast<int64_t>(fresh.size());
}

std::vector<Item> File::all(std::vector<uint8_t>& bytes) const {
  std::vector<Item> all;
  FaultGuard guard;
  if (sigsetjmp(guard.env, 0) != 0) return {};
  guard.arm();
  const View* const view = view_.load(std::memory_order_acquire);
  if (!view) return all;
  bytes.reserve(view->mapping.size);
  for (const Chunk& chunk : view->chunks)
    for (uint32_t i = 0; i < chunk.count; ++i) {
      auto item = read(chunk, i);
      if (!item || bytes.size() + item->code.size() > bytes.capacity()) continue;
      const uint8_t* const copy = bytes.data() + bytes.size();
      bytes.insert(bytes.end(), item->code.begin(), item->code.end());
      item->code = {copy, item->code.size()};
      all.push_back(std::move(*item));
    }
  return all;
}

/// Everything that is valid, and `more`, as a new file in place of the old one.
bool File::rewrite(std::span<const Item> more) {
  std::vector<uint8_t> bytes;
  std::vector<Item> all = this->all(bytes);
  all.insert(all.end(), more.begin(), more.end());
  std::string name = path_ + ".XXXXXX";
  const OwnedFd fd(::mkostemp(name.data(), O_CLOEXEC));
  if (fd.fd < 0) return false;
  const Header header = make_header(key_, image_);
  uint64_t written = 0;
  if (write_at(fd.fd, &header, sizeof header, 0) && write_chunk(fd.fd, sizeof header, all, written) &&
      ::rename(name.c_str(), path_.c_str()) == 0)
    return true;
  ::unlink(name.c_str());
  return false;
}

FileLock::FileLock(const std::string& path)
    : path_(path),
      fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, S_IRUSR | S_IWUSR)) {
  if (fd_ >= 0 && ::flock(fd_, LOCK_EX | LOCK_NB) != 0) ::close(std::exchange(fd_, -1));
}

FileLock::~FileLock() {
  if (fd_ < 0) return;
  struct stat st;
  if (::fstat(fd_, &st) == 0 && st.st_size == 0) ::unlink(path_.c_str());
  ::close(fd_);
}

FileInfo File::inspect(const std::string& path, bool check_all) {
  FileInfo info;
  const OwnedFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  struct stat st;
  Header header;
  if (fd.fd < 0 || ::fstat(fd.fd, &st) != 0 || !S_ISREG(st.st_mode)) return info;
  info.bytes = static_cast<uint64_t>(st.st_size);
  if (!read_header(fd.fd, header)) return info;
  info.valid = true;
  info.image.assign(header.image, ::strnlen(header.image, sizeof header.image));
  uint64_t end = 0;
  const std::vector<Span> chunks = read_chunks(fd.fd, info.bytes, end);
  info.chunks = static_cast<unsigned>(chunks.size());
  if (end != info.bytes) ++info.bad;
  for (const Span& span : chunks) {
    info.items += span.header.count;
    info.code_bytes += span.header.size - data_offset(span.header.count, span.header.slots);
    if (!check_all) continue;
    std::vector<uint8_t> bytes(span.header.size);
    if (!read_at(fd.fd, bytes.data(), bytes.size(), span.at)) {
      info.bad += span.header.count;
      continue;
    }
    const uint64_t first = data_offset(span.header.count, span.header.slots);
    if (sum(bytes.data() + sizeof(ChunkHeader), first - sizeof(ChunkHeader)) != span.header.index_sum)
      ++info.bad;
    for (uint32_t i = 0; i < span.header.count; ++i) {
      Entry e;
      std::memcpy(&e, bytes.data() + sizeof(ChunkHeader) + i * sizeof e, sizeof e);
      if (!in_bounds(e, first, span.header.size) ||
          e.checksum != mix(entry_sum(e), sum(bytes.data() + e.offset, e.size)))
        ++info.bad;
    }
  }
  return info;
}

}  // namespace lyrebird::jit::persist
