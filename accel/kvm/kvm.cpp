// SPDX-License-Identifier: Apache-2.0
#include "accel/kvm/kvm.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "accel/kvm/linux_kvm.h"
#include "accel/kvm/vcpu.h"
#include "base/report.h"

namespace lyrebird::accel {
namespace {

/// What KVM_GET_MSRS and KVM_SET_MSRS take. The kernel also lists what only some processors have; those
/// that cannot be read are found when the first vCPU is there.
Result<std::vector<uint32_t>> msr_list(const kvm::Device& device) {
  kvm_msr_list none{};
  device.fd().control(KVM_GET_MSR_INDEX_LIST, &none);  // E2BIG, and the count
  std::vector<uint32_t> memory(1 + none.nmsrs);
  memory[0] = none.nmsrs;
  if (const int result = device.fd().control(KVM_GET_MSR_INDEX_LIST, memory.data()); result < 0)
    return Error{kvm::failure("KVM_GET_MSR_INDEX_LIST", result)};
  memory.erase(memory.begin());
  std::sort(memory.begin(), memory.end());
  return memory;
}

}  // namespace

Result<std::unique_ptr<KvmAccelerator>> KvmAccelerator::create(const KvmOptions& options,
                                                               system::AddressSpace& memory,
                                                               system::AddressSpace& ports) {
  auto device = kvm::Device::open(options.device);
  if (!device) return device.error();
  std::unique_ptr<KvmAccelerator> accelerator(new KvmAccelerator(std::move(*device), options, memory, ports));
  auto vm = kvm::Vm::create(accelerator->device_, options.vm);
  if (!vm) return vm.error();
  accelerator->vm_ = std::move(*vm);
  if (const int most = accelerator->vm_->check(KVM_CAP_MAX_VCPUS);
      most > 0 && options.cpus > static_cast<unsigned>(most))
    return Error{fmt::format("-smp {}: this kernel's KVM has at most {} processors for a machine",
                             options.cpus, most)};
  auto cpuid = kvm::Cpuid::create(accelerator->device_, options.cpu);
  if (!cpuid) return cpuid.error();
  accelerator->cpuid_ = std::move(*cpuid);
  auto msrs = msr_list(accelerator->device_);
  if (!msrs) return msrs.error();
  accelerator->msrs_ = std::move(*msrs);
  memory.add_listener(accelerator->vm_->slots());
  if (auto status = accelerator->vm_->slots().status(); !status) return status.error();
  return accelerator;
}

KvmAccelerator::~KvmAccelerator() {
  if (vm_) memory_.remove_listener(vm_->slots());
}

Result<std::unique_ptr<Vcpu>> KvmAccelerator::create_vcpu(unsigned index, ir::CpuHeader& state,
                                                          system::AddressSpace& memory) {
  auto vcpu = kvm::KvmVcpu::create(*this, index, state, memory);
  if (!vcpu) return vcpu.error();
  const std::lock_guard lock(mutex_);
  vcpus_.push_back(vcpu->get());
  return std::unique_ptr<Vcpu>(std::move(*vcpu));
}

void KvmAccelerator::forget(kvm::KvmVcpu& vcpu) {
  const std::lock_guard lock(mutex_);
  std::erase(vcpus_, &vcpu);
}

void KvmAccelerator::set_breakpoints(std::vector<uint64_t> addresses) {
  const std::lock_guard lock(mutex_);
  constexpr size_t kRegisters = 4;
  place_soft_breakpoints(false);
  soft_breakpoints_.clear();
  for (size_t i = kRegisters; i < addresses.size(); ++i)
    soft_breakpoints_.push_back({.address = addresses[i]});
  addresses.resize(std::min(addresses.size(), kRegisters));
  breakpoints_ = std::move(addresses);
  breakpoints_changed_.fetch_add(1);
  for (kvm::KvmVcpu* vcpu : vcpus_) vcpu->poke();
}

void KvmAccelerator::enter(const kvm::KvmVcpu& vcpu) {
  const std::lock_guard lock(mutex_);
  ++running_;
  find_soft_breakpoints(vcpu);
}

void KvmAccelerator::leave() {
  const std::lock_guard lock(mutex_);
  if (--running_ == 0) place_soft_breakpoints(false);
}

void KvmAccelerator::begin_step() {
  const std::lock_guard lock(mutex_);
  ++stepping_;
  place_soft_breakpoints(false);
}

void KvmAccelerator::end_step() {
  const std::lock_guard lock(mutex_);
  if (--stepping_ == 0 && running_ > 0) place_soft_breakpoints(true);
}

bool KvmAccelerator::has_soft_breakpoint(uint64_t address) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(soft_breakpoints_.begin(), soft_breakpoints_.end(),
                     [&](const SoftBreakpoint& b) { return b.address == address; });
}

void KvmAccelerator::find_soft_breakpoints(const kvm::KvmVcpu& vcpu) {
  for (SoftBreakpoint& one : soft_breakpoints_) {
    if (one.physical) continue;
    kvm_translation page{};
    page.linear_address = one.address;
    if (vcpu.fd().control(KVM_TRANSLATE, &page) >= 0 && page.valid) one.physical = page.physical_address;
  }
  if (stepping_ == 0) place_soft_breakpoints(true);
}

void KvmAccelerator::place_soft_breakpoints(bool in) {
  constexpr uint8_t kInt3 = 0xcc;
  for (SoftBreakpoint& one : soft_breakpoints_) {
    if (!one.physical || one.in_place == in) continue;
    uint8_t now = 0;
    if (!memory_.read_bytes(*one.physical, &now, 1)) continue;
    if (in) {
      one.original = now;
      one.in_place = memory_.load_bytes(*one.physical, &kInt3, 1);
    } else {
      // What the guest has written there meanwhile stays.
      if (now == kInt3) memory_.load_bytes(*one.physical, &one.original, 1);
      one.in_place = false;
    }
  }
}

void KvmAccelerator::collect_writes() {
  const std::lock_guard lock(mutex_);
  if (options_.vm.dirty_ring == 0) {
    vm_->slots().collect();
    return;
  }
  for (kvm::KvmVcpu* vcpu : vcpus_) vcpu->harvest();
  vm_->fd().control(KVM_RESET_DIRTY_RINGS);
}

std::optional<uint64_t> KvmAccelerator::translate(unsigned index, uint64_t address) const {
  const std::lock_guard lock(mutex_);
  for (const kvm::KvmVcpu* vcpu : vcpus_) {
    if (vcpu->index() != index) continue;
    kvm_translation page{};
    page.linear_address = address;
    if (vcpu->fd().control(KVM_TRANSLATE, &page) >= 0 && page.valid) return page.physical_address;
  }
  return std::nullopt;
}

void KvmAccelerator::report(Report& report) const {
  report.section("KVM");
  report.count("exits", stats_.exits.load());
  report.count("port I/O", stats_.port_io.load());
  report.count("memory I/O", stats_.memory_io.load());
  report.count("kept back", stats_.kept_back.load(), "writes without an exit of their own");
  report.count("halts", stats_.halts.load(), "that came out; those of an APIC in the kernel do not");
  report.count("signals", stats_.signals.load(), "to take a vCPU out of guest code");
}

Result<uint64_t> KvmAccelerator::clock_ns() const {
  kvm_clock_data data{};
  if (const int result = vm_->fd().control(KVM_GET_CLOCK, &data); result < 0)
    return Error{kvm::failure("KVM_GET_CLOCK", result)};
  return uint64_t{data.clock};
}

Result<void> KvmAccelerator::set_clock_ns(uint64_t now) {
  kvm_clock_data data{};
  data.clock = now;
  if (const int result = vm_->fd().control(KVM_SET_CLOCK, &data); result < 0)
    return Error{kvm::failure("KVM_SET_CLOCK", result)};
  return {};
}

}  // namespace lyrebird::accel
