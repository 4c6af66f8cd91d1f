// SPDX-License-Identifier: Apache-2.0
#include "block/file_node.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "block/image_lock.h"

namespace lyrebird::block {

namespace {

class FileNode final : public Node {
 public:
  FileNode(FileOptions options, system::EventLoop& loop) : options_(std::move(options)), loop_(loop) {}
  ~FileNode() override {
    engine_.reset();
    if (direct_fd_ >= 0) ::close(direct_fd_);
    if (fd_ >= 0) ::close(fd_);
  }

  Result<void> open();

  const NodeInfo& info() const override { return info_; }
  std::string describe() const override {
    return fmt::format("{} (raw, {})", options_.path, engine_->name());
  }

  void read(uint64_t offset, std::span<const iovec> to, Done done) override {
    if (!inside(offset, total_size(to))) return refuse(EINVAL, std::move(done));
    engine_->submit({.kind = IoOp::Kind::Read,
                     .fd = fd_for(offset, to),
                     .offset = offset,
                     .pieces = {to.begin(), to.end()},
                     .done = std::move(done)});
  }

  void write(uint64_t offset, std::span<const iovec> from, bool fua, Done done) override {
    if (!inside(offset, total_size(from))) return refuse(EINVAL, std::move(done));
    if (info_.read_only) return refuse(EPERM, std::move(done));
    const int fd = fd_for(offset, from);
    const bool around_cache = direct_fd_ >= 0 && fd == fd_;
    engine_->submit({.kind = IoOp::Kind::Write,
                     .fd = fd,
                     .offset = offset,
                     .pieces = {from.begin(), from.end()},
                     .fua = wants_fua(fua) || around_cache,
                     .done = std::move(done)});
  }

  void flush(Done done) override {
    if (options_.cache == CacheMode::Unsafe || info_.read_only) return refuse(0, std::move(done));
    engine_->submit({.kind = IoOp::Kind::Flush, .fd = fd_, .done = std::move(done)});
  }

  void discard(uint64_t offset, uint64_t size, Done done) override {
    if (!inside(offset, size)) return refuse(EINVAL, std::move(done));
    if (info_.read_only) return refuse(EPERM, std::move(done));
    if (!info_.discard || size == 0) return refuse(0, std::move(done));
    engine_->submit(
        {.kind = IoOp::Kind::Discard, .fd = fd_, .offset = offset, .size = size, .done = std::move(done)});
  }

  void write_zeroes(uint64_t offset, uint64_t size, bool unmap, bool fua, Done done) override {
    if (!inside(offset, size)) return refuse(EINVAL, std::move(done));
    if (info_.read_only) return refuse(EPERM, std::move(done));
    if (size == 0) return refuse(0, std::move(done));
    engine_->submit({.kind = IoOp::Kind::WriteZeroes,
                     .fd = fd_,
                     .offset = offset,
                     .size = size,
                     .fua = wants_fua(fua),
                     .unmap = unmap && info_.discard,
                     .done = std::move(done)});
  }

  void plug() override { engine_->plug(); }
  void unplug() override { engine_->unplug(); }
  void drain() override { engine_->drain(); }

 private:
  bool inside(uint64_t offset, uint64_t size) const {
    return size <= info_.size && offset <= info_.size - size;
  }
  bool wants_fua(bool fua) const { return options_.cache != CacheMode::Unsafe && (fua || !info_.writeback); }

  int fd_for(uint64_t offset, std::span<const iovec> pieces) const {
    if (direct_fd_ < 0) return fd_;
    uint64_t bits = offset & (offset_alignment_ - 1);
    for (const iovec& piece : pieces) {
      bits |= (piece.iov_len & (offset_alignment_ - 1)) |
              (reinterpret_cast<uintptr_t>(piece.iov_base) & (memory_alignment_ - 1));
    }
    return bits ? fd_ : direct_fd_;
  }

  void refuse(int error, Done done) { engine_->answer(error, std::move(done)); }

  Result<void> open_descriptors();
  Result<void> find_size();
  void find_alignment();

  const FileOptions options_;
  system::EventLoop& loop_;
  NodeInfo info_;
  int fd_ = -1, direct_fd_ = -1;
  uint64_t offset_alignment_ = 4096, memory_alignment_ = 4096;
  std::unique_ptr<IoEngine> engine_;
};

Result<void> FileNode::open_descriptors() {
  const int flags = (options_.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
  fd_ = ::open(options_.path.c_str(), flags);
  if (fd_ < 0) {
    const char* hint =
        errno == EACCES && !options_.read_only ? "; with readonly=on it need not be writable" : "";
    return Error{fmt::format("{}: {}{}", options_.path, std::strerror(errno), hint)};
  }
  // Not for longer than opening a pipe takes: io_uring would not wait for the disk.
  ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) & ~O_NONBLOCK);
  if (options_.cache != CacheMode::None && options_.cache != CacheMode::Directsync) return {};
  direct_fd_ = ::open(options_.path.c_str(), (flags & ~O_NONBLOCK) | O_DIRECT);
  if (direct_fd_ < 0) {
    return Error{
        fmt::format("{}: its file system has no direct I/O ({}); use cache=writeback or cache=writethrough",
                    options_.path, std::strerror(errno))};
  }
  find_alignment();
  return {};
}

void FileNode::find_alignment() {
#ifdef STATX_DIOALIGN
  struct statx status = {};
  if (::statx(direct_fd_, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
      (status.stx_mask & STATX_DIOALIGN) && status.stx_dio_offset_align != 0) {
    offset_alignment_ = status.stx_dio_offset_align;
    memory_alignment_ = status.stx_dio_mem_align;
    return;
  }
#endif
  // By trying: what a read at that offset into memory aligned so says.
  alignas(8192) static char buffer[16384];
  for (uint64_t alignment = 512; alignment < 4096; alignment *= 2) {
    if (::pread(direct_fd_, buffer + alignment, alignment, static_cast<off_t>(alignment)) >= 0) {
      offset_alignment_ = memory_alignment_ = alignment;
      return;
    }
  }
}

Result<void> FileNode::find_size() {
  struct stat status;
  if (::fstat(fd_, &status) < 0) return Error{fmt::format("{}: {}", options_.path, std::strerror(errno))};
  if (S_ISBLK(status.st_mode)) {
    uint64_t size = 0;
    if (::ioctl(fd_, BLKGETSIZE64, &size) < 0) {
      return Error{fmt::format("{}: cannot tell its size: {}", options_.path, std::strerror(errno))};
    }
    info_.size = size;
  } else if (S_ISREG(status.st_mode)) {
    // Disks have whole sectors; what a file lacks reads as zeros.
    info_.size = (static_cast<uint64_t>(status.st_size) + 511) & ~511ull;
  } else {
    return Error{fmt::format("{}: is neither a file nor a block device", options_.path)};
  }
  return {};
}

Result<void> FileNode::open() {
  if (auto opened = open_descriptors(); !opened) return opened;
  if (auto found = find_size(); !found) return found;
  if (options_.locking != LockMode::Off) {
    auto locked = lock_image(fd_, options_.path, !options_.read_only, options_.share_write,
                             options_.locking == LockMode::On);
    if (!locked) return locked;
  }
  auto engine = IoEngine::create(options_.aio, loop_);
  if (!engine) return Error{fmt::format("{}: {}", options_.path, engine.error().message)};
  engine_ = std::move(*engine);
  info_.read_only = options_.read_only;
  info_.writeback = options_.cache != CacheMode::Writethrough && options_.cache != CacheMode::Directsync;
  info_.discard = options_.discard && !options_.read_only;
  info_.request_alignment = direct_fd_ >= 0 ? static_cast<uint32_t>(offset_alignment_) : 512;
  return {};
}

}  // namespace

Result<std::unique_ptr<Node>> open_file(const FileOptions& options, system::EventLoop& loop) {
  auto node = std::make_unique<FileNode>(options, loop);
  if (auto opened = node->open(); !opened) return opened.error();
  return std::unique_ptr<Node>(std::move(node));
}

Result<CacheMode> parse_cache_mode(std::string_view text) {
  if (text == "writeback") return CacheMode::Writeback;
  if (text == "none" || text == "off") return CacheMode::None;
  if (text == "writethrough") return CacheMode::Writethrough;
  if (text == "directsync") return CacheMode::Directsync;
  if (text == "unsafe") return CacheMode::Unsafe;
  return Error{fmt::format(
      "cache={}: no such mode; there are writeback, none, writethrough, directsync, unsafe", text)};
}

Result<IoEngine::Kind> parse_aio(std::string_view text) {
  if (text == "io_uring") return IoEngine::Kind::Uring;
  if (text == "threads") return IoEngine::Kind::Threads;
  // Linux' older interface has nothing that io_uring lacks.
  if (text == "native" || text == "auto") return IoEngine::Kind::Auto;
  return Error{fmt::format("aio={}: no such engine; there are io_uring, threads, native", text)};
}

std::string_view probe_format(std::span<const uint8_t> start) {
  struct Magic {
    std::string_view bytes, format;
  };
  static constexpr std::array kMagics = {Magic{{"QFI\xfb", 4}, "qcow2"},
                                         Magic{"KDMV", "vmdk"},
                                         Magic{"COWD", "vmdk"},
                                         Magic{"vhdxfile", "vhdx"},
                                         Magic{"conectix", "vpc"},
                                         Magic{{"QED\0", 4}, "qed"},
                                         Magic{"WithoutFreeSpace", "parallels"}};
  for (const Magic& magic : kMagics) {
    if (start.size() >= magic.bytes.size() &&
        std::memcmp(start.data(), magic.bytes.data(), magic.bytes.size()) == 0) {
      return magic.format;
    }
  }
  constexpr std::string_view kVdi = "\x7f\x10\xda\xbe";
  if (start.size() >= 68 && std::memcmp(start.data() + 64, kVdi.data(), 4) == 0) return "vdi";
  return "";
}

}  // namespace lyrebird::block
