// SPDX-License-Identifier: Apache-2.0
/// Memory slots of a VM that follow an AddressSpace: RAM as it is, ROM and readable flash read-only (their
/// writes come as MMIO and the AddressSpace decides), aliases as slots of their own; and which pages the
/// guest wrote, by the dirty log or by the vCPUs' dirty rings.
///
/// All calls but those of the listener may be made by any thread. While a range is replaced it is missing
/// for a moment: what a vCPU reads there in that time comes as MMIO, which the AddressSpace answers; code
/// that it fetches there does not, see settle().
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "accel/kvm/device.h"
#include "base/result.h"
#include "system/address_space.h"

namespace lyrebird::accel::kvm {

class MemorySlots final : public system::MemoryListener {
 public:
  /// `vm` outlives it. `dirty_log` is what KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 was switched on to.
  MemorySlots(const Fd& vm, unsigned count, bool manual_protect);

  void range_removed(const system::FlatRange& range) override;
  void range_added(const system::FlatRange& range) override;
  void changed() override;

  /// The first failure of a slot; guest code must not run with one.
  Result<void> status() const;

  /// From now on writes of the guest are recorded (on), and collect() brings them to the RAM blocks.
  void follow_writes(bool on);
  /// Marks in the RAM blocks what the dirty log has, and clears it there.
  void collect();
  /// One page of a vCPU's dirty ring. Marks it.
  void mark(uint32_t slot, uint64_t page);

  /// Waits for the end of a change under way. True if there was any since `seen`, which it brings up
  /// to date: what the guest failed to do is to be tried again.
  bool settle(uint32_t& seen) const;
  uint32_t changes() const { return changes_.load(std::memory_order_acquire); }

 private:
  struct Slot {
    uint32_t id;
    uint64_t size;
    system::RamBlock* ram;
    uint64_t ram_offset;
    bool read_only;
  };
  bool set(uint64_t start, const Slot& slot, bool present);
  void collect(uint64_t start, const Slot& slot);
  void begin_change();

  const Fd& vm_;
  const unsigned count_;
  const bool manual_protect_;
  mutable std::mutex mutex_;  ///< what follows; under the topology lock, nothing is called under it
  std::map<uint64_t, Slot> slots_;
  std::vector<uint32_t> free_;
  uint32_t next_ = 0;
  bool following_ = false;
  Result<void> status_;
  std::atomic<uint32_t> changes_{0};  ///< odd while a change is under way
};

}  // namespace lyrebird::accel::kvm
