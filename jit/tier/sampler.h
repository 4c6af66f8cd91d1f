// SPDX-License-Identifier: Apache-2.0
/// Where guest threads are, told by themselves: the tier asks for a sample (kSampleRequest in
/// CpuHeader::refresh_request), and the thread notes the block at whose entry it saw that. Entries that
/// look are those of loops and of indirect jumps, which are the places that regions start at.
///
/// note() takes no lock and loses the oldest when nobody drains; a sample torn by that names a
/// block that does not exist, which is no harm.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "ir/block.h"

namespace lyrebird::jit {

class Sampler {
 public:
  void note(ir::BlockKey key) {
    Slot& slot = slots_[written_.fetch_add(1, std::memory_order_relaxed) % kSlots];
    slot.mode.store(key.mode, std::memory_order_relaxed);
    slot.pc.store(key.pc, std::memory_order_release);
  }

  /// Calls f(key) for what was noted since the last time. One thread only.
  template <typename F>
  void drain(F f) {
    const uint64_t end = written_.load(std::memory_order_relaxed);
    if (end - read_ > kSlots) read_ = end - kSlots;
    for (; read_ != end; ++read_) {
      const Slot& slot = slots_[read_ % kSlots];
      const uint64_t pc = slot.pc.load(std::memory_order_acquire);
      f(ir::BlockKey{pc, slot.mode.load(std::memory_order_relaxed)});
    }
  }

 private:
  static constexpr uint64_t kSlots = 256;
  struct Slot {
    std::atomic<uint64_t> pc{0};
    std::atomic<uint32_t> mode{0};
  };
  std::array<Slot, kSlots> slots_;
  std::atomic<uint64_t> written_{0};
  uint64_t read_ = 0;
};

}  // namespace lyrebird::jit
