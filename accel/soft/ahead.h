// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "ir/block.h"

namespace lyrebird::accel {

class Ahead {
 public:
  /// Makes the block unless it is there; appends where it leads to.
  using Work = std::function<void(ir::BlockKey, std::vector<ir::BlockKey>&)>;
  struct Options {
    std::function<void()> thread_made;
    unsigned depth = 4;
    unsigned patience = 50;
  };
  Ahead(Work work, Options options);
  ~Ahead();
  void note(const std::vector<ir::BlockKey>& next);
  void demand(ir::BlockKey key) { demand_.store(key.pc, std::memory_order_relaxed); }
  /// Whether the block was just being made: look again.
  bool await(ir::BlockKey key) const;
  bool demanded(ir::BlockKey key) const { return demand_.load(std::memory_order_relaxed) == key.pc; }
  void stop();

 private:
  static constexpr uint64_t kSlots = 64;
  struct Slot {
    std::atomic<uint64_t> pc{0};
    std::atomic<uint32_t> mode{0};
  };
  struct Item {
    ir::BlockKey key;
    unsigned depth;
  };
  void start();
  void run();
  bool take();
  const Work work_;
  const Options options_;
  alignas(64) std::array<Slot, kSlots> slots_;
  alignas(64) std::atomic<uint64_t> written_{0};
  std::atomic<uint64_t> demand_{0};
  alignas(64) std::atomic<uint64_t> making_{0};
  std::atomic<bool> sleeping_{false};
  std::atomic<bool> started_{false};
  std::atomic<bool> stop_{false};
  alignas(64) uint64_t read_ = 0;
  std::vector<Item> items_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread thread_;
};

}  // namespace lyrebird::accel
