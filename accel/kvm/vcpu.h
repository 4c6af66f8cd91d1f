// SPDX-License-Identifier: Apache-2.0
/// One vCPU of KVM's: the loop around KVM_RUN, the same for every architecture, and beside it what is of the
/// architecture (x86/vcpu.cpp).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "accel/kvm/kvm.h"
#include "accel/vcpu.h"
#include "frontend/x86/system/x86_system_state.h"

struct kvm_run;
struct kvm_dirty_gfn;

namespace lyrebird::accel::kvm {

class KvmVcpu final : public Vcpu {
 public:
  static Result<std::unique_ptr<KvmVcpu>> create(KvmAccelerator& owner, unsigned index, ir::CpuHeader& state,
                                                 system::AddressSpace& memory);
  ~KvmVcpu() override;

  Exit run() override;
  Exit step() override;
  void kick() override;
  ir::CpuHeader& state() override { return state_; }
  void set_interrupt(uint32_t lines, bool level) override;
  Result<void> read_state() override;
  Result<void> write_state() override;

  unsigned index() const { return index_; }
  const Fd& fd() const { return fd_; }
  KvmAccelerator& owner() { return owner_; }
  /// The kernel looks at breakpoints and interrupt lines anew: comes out of guest code, run() goes on.
  void poke();
  /// Marks what the dirty ring has. The caller resets the rings.
  void harvest();

 private:
  KvmVcpu(KvmAccelerator& owner, unsigned index, ir::CpuHeader& state, system::AddressSpace& memory);
  Result<void> set_up();
  Exit loop(bool single);
  /// Enters guest code once. False: nothing happened, look at the requests again.
  bool enter(Exit& failed);
  /// True: run() returns `exit`.
  bool handle(bool single, Exit& exit);
  /// Makes writes that the kernel kept back, in front of what came after them.
  void make_kept_writes();
  void port_io();
  void memory_io();
  /// Sleeps until there is something to do; no controller is in the kernel that would do it.
  void halt();
  Exit fail(const std::string& why);
  bool internal_error(Exit& exit);

  // Of the architecture.
  Result<void> set_up_arch();
  /// Delivers what set_interrupt() asks for.
  void inject();
  bool wakes_from_halt() const;
  /// KVM_EXIT_DEBUG; false: it was the guest's own business, and has been given back to it.
  bool debug_exit(Exit& exit);
  void apply_debug(bool single);
  std::string registers_text();
  /// Guest bytes at the program counter.
  std::vector<uint8_t> code_bytes();

  KvmAccelerator& owner_;
  const unsigned index_;
  ir::CpuHeader& state_;
  system::AddressSpace& memory_;
  Fd fd_;
  kvm_run* run_ = nullptr;
  kvm_dirty_gfn* ring_ = nullptr;
  uint32_t ring_next_ = 0;

  std::atomic<bool> kicked_{false};
  std::atomic<int> inside_{0};     ///< the thread in KVM_RUN
  std::atomic<uint32_t> wake_{0};  ///< what halt() sleeps on
  std::atomic<bool> nmi_{false};
  bool unfinished_ = false;  ///< I/O that the kernel completes at the next KVM_RUN
  bool debugging_ = false;
  uint32_t seen_changes_ = 0, seen_breakpoints_ = 0;
  bool stepping_ = false;
  bool at_breakpoint_ = false;  ///< run() begins behind it

  // Of the architecture.
  bool synced_ = false;                            ///< the shared memory has the registers of the last exit
  bool payloads_ = false, triple_faults_ = false;  ///< capabilities switched on
  std::vector<x86::Msr> read_msrs_;                ///< as read_state() found them, or write_state() left them
  std::vector<uint8_t> read_lapic_;
  x86::Activity read_activity_ = x86::Activity::Running;
};

}  // namespace lyrebird::accel::kvm
