// SPDX-License-Identifier: Apache-2.0
/// The background thread of the optimising tier: asks guest threads for samples, and hands what is hot
/// to its Work. Guest threads never wait for it.
///
/// Sleeps longer the less there is to learn: a program that waits, or that spends its time in
/// code that is optimised already, is left in peace.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "jit/block_map.h"
#include "jit/tier/hot.h"
#include "jit/tier/sampler.h"

namespace lyrebird::accel {

struct TierOptions {
  std::chrono::milliseconds first{20};  ///< before the first sample: short programs are none of ours
  std::chrono::milliseconds tick{1};    ///< between samples
  std::chrono::milliseconds rest{100};  ///< the longest between them
  unsigned gather = 8;                  ///< ticks from the first hot block to the work, so that more join it
  /// The compiler is called when the guest has spent so much processor time in blocks that are waiting for
  /// it:
  std::chrono::milliseconds worth{600};
  unsigned share = 10;                ///< and may use one part in so many of the guest's time, 0: all of it
  size_t batch = 8;                   ///< regions at once
  std::function<void()> thread_made;  ///< called when the thread was started, by whoever did
};

class Tier {
 public:
  /// Optimises the blocks; gives back those it could do nothing for.
  using Work = std::function<std::vector<ir::BlockKey>(const std::vector<ir::BlockKey>& hot)>;

  /// True: the block's region was there already, and stands in its place now. Asked at a block's first
  /// sample.
  using Kept = std::function<bool(ir::BlockKey)>;

  Tier(jit::BlockMap& map, Work work, TierOptions options = {}, Kept kept = {});
  /// Ends the thread, after the work in hand.
  ~Tier();
  Tier(const Tier&) = delete;
  Tier& operator=(const Tier&) = delete;

  /// Starts the thread if it does not run. Cheap when it does.
  void start();
  /// Lets it end after the work in hand. `wait`: comes back when it has.
  void stop(bool wait);
  /// What is being worked on at this moment may hold any lock of the process.
  bool working() const { return working_.load(); }
  jit::Sampler& sampler() { return sampler_; }
  /// In the child of a fork there is no thread. Never starts another if work was in hand.
  void after_fork_in_child(jit::BlockMap& map);

 private:
  void run();
  bool affordable() const;
  void count_time(unsigned samples, unsigned hot);
  bool sleep(std::chrono::milliseconds time);  // false: stop
  /// True if there was something to learn.
  bool look();

  jit::BlockMap* map_;
  const Work work_;
  const TierOptions options_;
  const Kept kept_;
  jit::Sampler sampler_;
  jit::HotSet hot_;
  unsigned gathering_ = 0;
  std::chrono::nanoseconds guest_{0}, waiting_{0};  ///< processor time: the guest's, and in hot blocks
  std::atomic<bool> started_{false}, working_{false}, ended_{false};
  std::atomic<bool> looking_{false};  ///< hot_ is being changed

  std::mutex mutex_;  ///< a leaf: guards stop_ and thread_
  std::condition_variable changed_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace lyrebird::accel
