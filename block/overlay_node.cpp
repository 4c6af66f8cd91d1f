// SPDX-License-Identifier: Apache-2.0
#include "block/overlay_node.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "block/file_node.h"

namespace lyrebird::block {

namespace {

/// Ranges of bytes that do not touch each other.
class Ranges {
 public:
  void add(uint64_t start, uint64_t end) {
    auto at = ends_.upper_bound(start);
    if (at != ends_.begin() && std::prev(at)->second >= start) {
      --at;
      start = at->first;
      end = std::max(end, at->second);
    }
    while (at != ends_.end() && at->first <= end) {
      end = std::max(end, at->second);
      at = ends_.erase(at);
    }
    ends_[start] = end;
  }
  /// Whether `at` is in one; `until`: how far, at most `limit`, that holds.
  bool find(uint64_t at, uint64_t limit, uint64_t& until) const {
    const auto next = ends_.upper_bound(at);
    if (next != ends_.begin() && std::prev(next)->second > at) {
      until = std::min(limit, std::prev(next)->second);
      return true;
    }
    until = next == ends_.end() ? limit : std::min(limit, next->first);
    return false;
  }

 private:
  std::map<uint64_t, uint64_t> ends_;  ///< by start
};

/// The iovecs of [skip, skip + size) of all of them.
std::vector<iovec> slice(std::span<const iovec> all, uint64_t skip, uint64_t size) {
  std::vector<iovec> part;
  for (const iovec& piece : all) {
    if (skip >= piece.iov_len) {
      skip -= piece.iov_len;
      continue;
    }
    if (size == 0) break;
    const uint64_t count = std::min<uint64_t>(piece.iov_len - skip, size);
    part.push_back({static_cast<uint8_t*>(piece.iov_base) + skip, count});
    size -= count;
    skip = 0;
  }
  return part;
}

/// Calls `done` once all parts are, with the first error.
class Parts {
 public:
  Parts(Done done, unsigned count) : done_(std::move(done)), left_(count) {}
  void part_done(int error) {
    int none = 0;
    if (error) error_.compare_exchange_strong(none, error);
    if (left_.fetch_sub(1) == 1) done_(error_.load());
  }

 private:
  const Done done_;
  std::atomic<unsigned> left_;
  std::atomic<int> error_{0};
};

class OverlayNode final : public Node {
 public:
  OverlayNode(std::unique_ptr<Node> base, std::unique_ptr<Node> written)
      : base_(std::move(base)), written_(std::move(written)) {
    info_ = base_->info();
    info_.read_only = info_.discard = false;
    info_.writeback = true;
  }
  ~OverlayNode() override { drain(); }

  const NodeInfo& info() const override { return info_; }
  std::string describe() const override { return base_->describe() + " (snapshot)"; }

  void read(uint64_t offset, std::span<const iovec> to, Done done) override {
    const uint64_t size = total_size(to);
    if (!inside(offset, size)) return written_->read(offset, to, std::move(done));
    struct Part {
      bool written;
      uint64_t start, end;
    };
    std::vector<Part> parts;
    {
      const std::lock_guard lock(mutex_);
      for (uint64_t at = offset; at < offset + size || parts.empty();) {
        uint64_t until;
        const bool written = ranges_.find(at, offset + size, until);
        parts.push_back({written, at, until});
        at = until;
      }
    }
    const auto all = std::make_shared<Parts>(std::move(done), static_cast<unsigned>(parts.size()));
    for (const Part& part : parts) {
      const std::vector<iovec> pieces = slice(to, part.start - offset, part.end - part.start);
      (part.written ? written_ : base_)->read(part.start, pieces, [all](int error) {
        all->part_done(error);
      });
    }
  }

  void write(uint64_t offset, std::span<const iovec> from, bool, Done done) override {
    written_->write(offset, from, false, note(offset, total_size(from), std::move(done)));
  }
  void flush(Done done) override { written_->flush(std::move(done)); }
  void discard(uint64_t offset, uint64_t size, Done done) override {
    written_->discard(offset, size, std::move(done));
  }
  void write_zeroes(uint64_t offset, uint64_t size, bool unmap, bool, Done done) override {
    written_->write_zeroes(offset, size, unmap, false, note(offset, size, std::move(done)));
  }
  void plug() override {
    base_->plug();
    written_->plug();
  }
  void unplug() override {
    base_->unplug();
    written_->unplug();
  }
  void drain() override {
    base_->drain();
    written_->drain();
  }

 private:
  bool inside(uint64_t offset, uint64_t size) const {
    return offset <= info_.size && size <= info_.size - offset;
  }
  /// Only what is there counts as written: until then a read sees what was before.
  Done note(uint64_t offset, uint64_t size, Done done) {
    return [this, offset, size, done = std::move(done)](int error) {
      if (!error && size != 0) {
        const std::lock_guard lock(mutex_);
        ranges_.add(offset, offset + size);
      }
      done(error);
    };
  }

  const std::unique_ptr<Node> base_, written_;
  NodeInfo info_;
  std::mutex mutex_;
  Ranges ranges_;
};

}  // namespace

Result<std::unique_ptr<Node>> open_overlay(std::unique_ptr<Node> base, system::EventLoop& loop) {
  const char* const folder = std::getenv("TMPDIR");
  std::string path = fmt::format("{}/lyrebird-snapshot.XXXXXX", folder && *folder ? folder : "/var/tmp");
  const int fd = ::mkstemp(path.data());
  if (fd < 0) return Error{fmt::format("{}: {}; TMPDIR may name another folder", path, std::strerror(errno))};
  const bool sized = ::ftruncate(fd, static_cast<off_t>(base->info().size)) == 0;
  const int error = errno;
  ::close(fd);
  auto file =
      sized ? open_file({.path = path, .cache = CacheMode::Unsafe, .discard = true, .locking = LockMode::Off},
                        loop)
            : Result<std::unique_ptr<Node>>(Error{fmt::format("{}: {}", path, std::strerror(error))});
  ::unlink(path.c_str());
  if (!file) return file.error();
  return std::unique_ptr<Node>(std::make_unique<OverlayNode>(std::move(base), std::move(*file)));
}

}  // namespace lyrebird::block
