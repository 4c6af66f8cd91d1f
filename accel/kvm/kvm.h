// SPDX-License-Identifier: Apache-2.0
/// The accelerator that hands whole vCPUs to the hardware through /dev/kvm. Guest and host have the same
/// ISA. One KvmAccelerator per machine; it outlives its vCPUs, and the address spaces outlive it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "accel/accelerator.h"
#include "accel/kvm/device.h"
#include "accel/kvm/vm.h"
#include "accel/kvm/x86/cpuid.h"
#include "base/result.h"
#include "system/address_space.h"

namespace lyrebird::accel {

namespace kvm {
class KvmVcpu;
}

/// Whose interrupts come through Vcpu::set_interrupt() (kvm::Irqchip::None): says which vector it is.
class InterruptAcknowledge {
 public:
  virtual ~InterruptAcknowledge() = default;
  /// On the vCPU's thread; the line stays up or goes down by set_interrupt() as ever.
  virtual uint8_t acknowledge(unsigned vcpu) = 0;
};

/// Split irqchip: the local APIC has accepted the end of a level-triggered interrupt.
class EndOfInterrupt {
 public:
  virtual ~EndOfInterrupt() = default;
  /// On a vCPU's thread.
  virtual void end_of_interrupt(uint8_t vector) = 0;
};

/// Appends the disassembly of the first instruction in `code`, a line with \n.
using KvmDisassembler = void (*)(uint64_t pc, uint32_t mode, const uint8_t* code, size_t size,
                                 std::string& out);

struct KvmOptions {
  std::string device = "/dev/kvm";
  std::string cpu = "host";  ///< what -cpu says: kvm/x86/cpuid.h
  unsigned cpus = 1;
  kvm::VmOptions vm;
  InterruptAcknowledge* acknowledge = nullptr;
  EndOfInterrupt* end_of_interrupt = nullptr;
  KvmDisassembler disassembler = nullptr;
};

struct KvmStats {
  std::atomic<uint64_t> exits{0}, port_io{0}, memory_io{0}, halts{0}, signals{0}, kept_back{0};
};

class KvmAccelerator final : public Accelerator {
 public:
  /// `ports`: x86's I/O space, 64 KiB.
  static Result<std::unique_ptr<KvmAccelerator>> create(const KvmOptions& options,
                                                        system::AddressSpace& memory,
                                                        system::AddressSpace& ports);
  ~KvmAccelerator() override;

  std::string_view name() const override { return "kvm"; }
  Result<std::unique_ptr<Vcpu>> create_vcpu(unsigned index, ir::CpuHeader& state,
                                            system::AddressSpace& memory) override;
  /// The first four in the debug registers; what is more as an INT3 in the guest's memory, which is there
  /// only while a vCPU runs, from when a vCPU first runs whose tables have the page.
  void set_breakpoints(std::vector<uint64_t> addresses) override;
  void report(Report& report) const override;

  kvm::Vm& vm() { return *vm_; }
  const kvm::Cpuid& cpuid() const { return cpuid_; }

  /// Writes of the guest are recorded from now on, and collect_writes() marks them in the RAM blocks.
  void follow_writes(bool on) { vm_->slots().follow_writes(on); }
  void collect_writes();

  /// The physical address that the vCPU's tables give; it does not run.
  std::optional<uint64_t> translate(unsigned vcpu, uint64_t address) const;

  /// The paravirtual clock, in nanoseconds: save it while no vCPU runs, set it before they run again.
  Result<uint64_t> clock_ns() const;
  Result<void> set_clock_ns(uint64_t now);

 private:
  friend class kvm::KvmVcpu;
  KvmAccelerator(kvm::Device device, const KvmOptions& options, system::AddressSpace& memory,
                 system::AddressSpace& ports)
      : device_(std::move(device)), options_(options), memory_(memory), ports_(ports) {}
  void forget(kvm::KvmVcpu& vcpu);

  // Breakpoints in memory, by vCPUs' threads.
  struct SoftBreakpoint {
    uint64_t address = 0;
    std::optional<uint64_t> physical;
    uint8_t original = 0;
    bool in_place = false;
  };
  /// The vCPU begins to run; it is not in KVM_RUN.
  void enter(const kvm::KvmVcpu& vcpu);
  void leave();
  /// INT3s are lifted for a step. Others that run may miss one meanwhile.
  void begin_step();
  void end_step();
  bool has_soft_breakpoint(uint64_t address) const;
  void find_soft_breakpoints(const kvm::KvmVcpu& vcpu);  ///< under mutex_
  void place_soft_breakpoints(bool in);                  ///< under mutex_

  const kvm::Device device_;
  const KvmOptions options_;
  system::AddressSpace& memory_;
  system::AddressSpace& ports_;
  std::unique_ptr<kvm::Vm> vm_;
  kvm::Cpuid cpuid_;
  std::vector<uint32_t> msrs_;  ///< that this kernel can save and restore
  KvmStats stats_;
  mutable std::mutex mutex_;  ///< what follows
  std::vector<kvm::KvmVcpu*> vcpus_;
  std::vector<uint64_t> breakpoints_;
  std::vector<SoftBreakpoint> soft_breakpoints_;
  unsigned running_ = 0, stepping_ = 0;  ///< vCPUs
  std::atomic<uint32_t> breakpoints_changed_{0};
};

}  // namespace lyrebird::accel
