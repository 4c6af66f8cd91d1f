// SPDX-License-Identifier: Apache-2.0
/// A disk in memory that counts what it is asked for, and can be slow or broken.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "block/node.h"
#include "system/event_loop.h"

namespace lyrebird::devices::test {

class MemoryNode final : public block::Node {
 public:
  MemoryNode(system::EventLoop& loop, uint64_t size) : bytes(size), loop_(loop) { info_.size = size; }

  std::vector<uint8_t> bytes;
  unsigned flushes = 0, through = 0, unmapped = 0;
  uint64_t discarded = 0;
  int error = 0;
  bool hold = false;  // requests stay under way until drain()
  size_t held() const { return waiting_.size(); }

  const block::NodeInfo& info() const override { return info_; }
  std::string describe() const override { return "memory"; }
  void read(uint64_t offset, std::span<const iovec> to, block::Done done) override {
    for (const iovec& piece : to) {
      std::memcpy(piece.iov_base, bytes.data() + offset, piece.iov_len);
      offset += piece.iov_len;
    }
    finish(std::move(done));
  }
  void write(uint64_t offset, std::span<const iovec> from, bool fua, block::Done done) override {
    through += fua;
    for (const iovec& piece : from) {
      std::memcpy(bytes.data() + offset, piece.iov_base, piece.iov_len);
      offset += piece.iov_len;
    }
    finish(std::move(done));
  }
  void flush(block::Done done) override {
    ++flushes;
    finish(std::move(done));
  }
  void discard(uint64_t, uint64_t size, block::Done done) override {
    discarded += size;
    finish(std::move(done));
  }
  void write_zeroes(uint64_t offset, uint64_t size, bool unmap, bool, block::Done done) override {
    unmapped += unmap;
    std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(offset), size, 0);
    finish(std::move(done));
  }
  void drain() override {
    while (!waiting_.empty()) call_one();
  }

 private:
  void finish(block::Done done) {
    waiting_.push_back(std::move(done));
    if (!hold) {
      loop_.post([this] {
        if (!waiting_.empty()) call_one();
      });
    }
  }
  void call_one() {
    const block::Done done = std::move(waiting_.back());
    waiting_.pop_back();
    done(error);
  }

  system::EventLoop& loop_;
  block::NodeInfo info_;
  std::vector<block::Done> waiting_;
};

}  // namespace lyrebird::devices::test
