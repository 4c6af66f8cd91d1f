// SPDX-License-Identifier: Apache-2.0
/// What of a vCPU is x86: its state in and out, interrupts without a controller in the kernel, debug
/// registers.
#include "accel/kvm/vcpu.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "accel/kvm/linux_kvm.h"
#include "accel/kvm/x86/registers.h"
#include "base/bits.h"
#include "frontend/x86/system/x86_system_state.h"

namespace lyrebird::accel::kvm {
namespace {

using x86::X86SystemState;

/// KVM_GET_MSRS or KVM_SET_MSRS of some; those that the kernel refuses are left out. Returns how many.
template <typename Refused>
void transfer_msrs(const Fd& fd, unsigned long request, std::vector<kvm_msr_entry>& entries,
                   Refused refused) {
  std::vector<uint8_t> memory(sizeof(kvm_msrs) + entries.size() * sizeof(kvm_msr_entry));
  size_t done = 0;
  while (done < entries.size()) {
    const size_t count = entries.size() - done;
    auto* const list = reinterpret_cast<kvm_msrs*>(memory.data());
    list->nmsrs = static_cast<__u32>(count);
    list->pad = 0;
    std::memcpy(list->entries, entries.data() + done, count * sizeof(kvm_msr_entry));
    const int result = fd.control(request, list);
    const size_t good = result > 0 ? static_cast<size_t>(result) : 0;
    std::memcpy(entries.data() + done, list->entries, good * sizeof(kvm_msr_entry));
    done += good;
    if (done < entries.size()) refused(entries[done++].index);
  }
}

constexpr uint32_t kMsrTscDeadline = 0x6e0;
constexpr uint32_t kLapicBytes = sizeof(kvm_lapic_state);

constexpr struct {
  x86::Activity ours;
  uint32_t theirs;
} kActivities[] = {{x86::Activity::Running, KVM_MP_STATE_RUNNABLE},
                   {x86::Activity::WaitForInit, KVM_MP_STATE_UNINITIALIZED},
                   {x86::Activity::InitReceived, KVM_MP_STATE_INIT_RECEIVED},
                   {x86::Activity::SipiReceived, KVM_MP_STATE_SIPI_RECEIVED},
                   {x86::Activity::Halted, KVM_MP_STATE_HALTED}};

constexpr uint64_t kDr6SingleStep = 1 << 14;
constexpr uint32_t kBreakpointVector = 3;

}  // namespace

Result<void> KvmVcpu::set_up_arch() {
  const std::vector<kvm_cpuid_entry2> entries = owner_.cpuid_.for_vcpu(index_, owner_.options_.cpus);
  std::vector<uint8_t> memory(sizeof(kvm_cpuid2) + entries.size() * sizeof(kvm_cpuid_entry2));
  auto* const list = reinterpret_cast<kvm_cpuid2*>(memory.data());
  list->nent = static_cast<__u32>(entries.size());
  std::copy(entries.begin(), entries.end(), list->entries);
  if (const int result = fd_.control(KVM_SET_CPUID2, list); result < 0)
    return Error{failure("-cpu: the kernel refuses this processor (KVM_SET_CPUID2)", result)};
  if (index_ == 0) {
    std::vector<kvm_msr_entry> all;
    for (const uint32_t index : owner_.msrs_) all.push_back({index, 0, 0});
    transfer_msrs(fd_, KVM_GET_MSRS, all, [&](uint32_t index) { std::erase(owner_.msrs_, index); });
  }
  payloads_ = owner_.vm().check(KVM_CAP_EXCEPTION_PAYLOAD) > 0;
  triple_faults_ = owner_.vm().check(KVM_CAP_X86_TRIPLE_FAULT_EVENT) > 0;
  X86SystemState& state = x86::system_state_of(state_);
  if (const auto read = read_state(); !read) return read;
  state.reset_msrs.clear();
  for (const uint32_t index : owner_.msrs_)
    if (index != x86::kMsrTsc) state.reset_msrs.push_back({index, x86::msr_value(state, index)});
  state.reset_lapic = state.lapic;
  return {};
}

Result<void> KvmVcpu::read_state() {
  X86SystemState& state = x86::system_state_of(state_);
  const Vm& vm = owner_.vm();
  const auto get = [&](unsigned long request, void* to, const char* what) -> Result<void> {
    if (const int result = fd_.control(request, to); result < 0) return Error{failure(what, result)};
    return {};
  };
#define GET(request, to) \
  if (const auto done = get(request, to, #request); !done) return done
  kvm_regs general;
  kvm_sregs system;
  kvm_vcpu_events events;
  if (synced_) {
    general = run_->s.regs.regs;
    system = run_->s.regs.sregs;
    events = run_->s.regs.events;
  } else {
    GET(KVM_GET_REGS, &general);
    GET(KVM_GET_SREGS, &system);
    GET(KVM_GET_VCPU_EVENTS, &events);
  }
  system_from_kvm(system, state);
  general_from_kvm(general, state.cpu);
  state.pdptrs_valid = false;
  if (vm.check(KVM_CAP_SREGS2) > 0) {
    kvm_sregs2 more;
    GET(KVM_GET_SREGS2, &more);
    state.pdptrs_valid = more.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
    std::copy_n(more.pdptrs, 4, state.pdptr);
  }
  kvm_debugregs debug;
  GET(KVM_GET_DEBUGREGS, &debug);
  debug_from_kvm(debug, state.cpu);
  if (vm.check(KVM_CAP_XCRS) > 0) {
    kvm_xcrs xcrs;
    GET(KVM_GET_XCRS, &xcrs);
    for (unsigned i = 0; i < xcrs.nr_xcrs && i < KVM_MAX_XCRS; ++i)
      if (xcrs.xcrs[i].xcr == 0) state.cpu.xcr0 = xcrs.xcrs[i].value;
  }
  const int xsave2 = vm.check(KVM_CAP_XSAVE2);
  std::vector<uint8_t> area(static_cast<size_t>(std::max(xsave2, 4096)));
  GET(xsave2 > 0 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, area.data());
  xsave_from_kvm(area, state);
  if (vm.options().irqchip != Irqchip::None) {
    kvm_mp_state activity;
    GET(KVM_GET_MP_STATE, &activity);
    for (const auto& [ours, theirs] : kActivities)
      if (activity.mp_state == theirs) state.activity = ours;
    state.lapic.resize(kLapicBytes);
    GET(KVM_GET_LAPIC, state.lapic.data());
  }
  events_from_kvm(events, state);
  std::vector<kvm_msr_entry> msrs;
  for (const uint32_t index : owner_.msrs_) msrs.push_back({index, 0, 0});
  transfer_msrs(fd_, KVM_GET_MSRS, msrs, [](uint32_t) {});
  for (const kvm_msr_entry& msr : msrs) x86::set_msr_value(state, msr.index, msr.data);
#undef GET
  read_msrs_.assign(msrs.size(), {});
  std::transform(msrs.begin(), msrs.end(), read_msrs_.begin(),
                 [](const kvm_msr_entry& msr) { return x86::Msr{msr.index, msr.data}; });
  read_lapic_ = state.lapic;
  read_activity_ = state.activity;
  return {};
}

// What ticks by itself (the TSC, the APIC's timer) is written only if somebody changed it since it was read.
Result<void> KvmVcpu::write_state() {
  X86SystemState& state = x86::system_state_of(state_);
  const Vm& vm = owner_.vm();
  const auto set = [&](unsigned long request, const void* from, const char* what) -> Result<void> {
    if (const int result = fd_.control(request, from); result < 0) return Error{failure(what, result)};
    return {};
  };
#define SET(request, from) \
  if (const auto done = set(request, from, #request); !done) return done
  synced_ = false;
  // System registers first: with the APIC's base wrong its registers cannot be set.
  const kvm_sregs system = system_to_kvm(state);
  if (state.pdptrs_valid && vm.check(KVM_CAP_SREGS2) > 0) {
    kvm_sregs2 more{};
    static_assert(offsetof(kvm_sregs, interrupt_bitmap) == offsetof(kvm_sregs2, flags));
    std::memcpy(&more, &system, offsetof(kvm_sregs2, flags));
    more.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
    std::copy_n(state.pdptr, 4, more.pdptrs);
    SET(KVM_SET_SREGS2, &more);
  } else {
    SET(KVM_SET_SREGS, &system);
  }
  const kvm_regs general = general_to_kvm(state.cpu);
  SET(KVM_SET_REGS, &general);
  if (vm.check(KVM_CAP_XCRS) > 0) {
    kvm_xcrs xcrs{};
    xcrs.nr_xcrs = 1;
    xcrs.xcrs[0].value = state.cpu.xcr0;
    SET(KVM_SET_XCRS, &xcrs);
  }
  std::vector<uint8_t> area(static_cast<size_t>(std::max(vm.check(KVM_CAP_XSAVE2), 4096)));
  xsave_to_kvm(state, area);
  SET(KVM_SET_XSAVE, area.data());
  std::vector<kvm_msr_entry> msrs;
  for (const uint32_t index : owner_.msrs_) {
    const uint64_t value = x86::msr_value(state, index);
    if (index == kMsrTscDeadline) continue;
    const auto was =
        std::find_if(read_msrs_.begin(), read_msrs_.end(), [&](const auto& m) { return m.index == index; });
    if (was == read_msrs_.end() || was->value != value) msrs.push_back({index, 0, value});
  }
  std::string refused;
  transfer_msrs(fd_, KVM_SET_MSRS, msrs, [&](uint32_t index) { refused += fmt::format(" {:#x}", index); });
  if (!refused.empty())
    return Error{"the kernel refuses the values of the model-specific registers" + refused};
  const kvm_debugregs debug = debug_to_kvm(state.cpu);
  SET(KVM_SET_DEBUGREGS, &debug);
  if (vm.options().irqchip != Irqchip::None) {
    if (state.lapic.size() == kLapicBytes && state.lapic != read_lapic_)
      SET(KVM_SET_LAPIC, state.lapic.data());
    // The timer takes a deadline only when its APIC is in that mode.
    std::vector<kvm_msr_entry> deadline = {{kMsrTscDeadline, 0, x86::msr_value(state, kMsrTscDeadline)}};
    if (state.lapic != read_lapic_ && deadline[0].data != 0)
      transfer_msrs(fd_, KVM_SET_MSRS, deadline, [](uint32_t) {});
    if (state.activity != read_activity_) {
      kvm_mp_state activity{};
      for (const auto& [ours, theirs] : kActivities)
        if (state.activity == ours) activity.mp_state = theirs;
      SET(KVM_SET_MP_STATE, &activity);
    }
  }
  const kvm_vcpu_events events = events_to_kvm(state, payloads_, triple_faults_);
  SET(KVM_SET_VCPU_EVENTS, &events);
#undef SET
  for (const kvm_msr_entry& msr : msrs)
    for (x86::Msr& was : read_msrs_)
      if (was.index == msr.index) was.value = msr.data;
  read_lapic_ = state.lapic;
  read_activity_ = state.activity;
  return {};
}

void KvmVcpu::set_interrupt(uint32_t lines, bool level) {
  const uint32_t before =
      level ? state_.interrupt_lines.fetch_or(lines) : state_.interrupt_lines.fetch_and(~lines);
  const uint32_t rising = level ? lines & ~before : 0;
  if (rising & x86::kInterruptNmi) nmi_.store(true);
  if (rising) poke();
}

void KvmVcpu::inject() {
  if (nmi_.exchange(false)) fd_.control(KVM_NMI);
  if (owner_.vm().options().irqchip != Irqchip::None) return;
  bool wanted = state_.interrupt_lines.load() & x86::kInterruptIntr;
  if (wanted && run_->ready_for_interrupt_injection && !unfinished_ && owner_.options_.acknowledge) {
    kvm_interrupt interrupt{};
    interrupt.irq = owner_.options_.acknowledge->acknowledge(index_);
    fd_.control(KVM_INTERRUPT, &interrupt);
    run_->ready_for_interrupt_injection = 0;
    wanted = state_.interrupt_lines.load() & x86::kInterruptIntr;
  }
  run_->request_interrupt_window = wanted;
}

bool KvmVcpu::wakes_from_halt() const {
  return nmi_.load() || ((state_.interrupt_lines.load() & x86::kInterruptIntr) && run_->if_flag);
}

void KvmVcpu::apply_debug(bool single) {
  std::vector<uint64_t> breakpoints;
  bool in_memory;
  {
    const std::lock_guard lock(owner_.mutex_);
    breakpoints = owner_.breakpoints_;
    in_memory = !owner_.soft_breakpoints_.empty();
    owner_.find_soft_breakpoints(*this);
    seen_breakpoints_ = owner_.breakpoints_changed_.load();
  }
  if (single) breakpoints.clear();
  stepping_ = single;
  const bool wanted = single || in_memory || !breakpoints.empty();
  run_->kvm_valid_regs = single && owner_.vm().check(KVM_CAP_SYNC_REGS) == KVM_SYNC_X86_VALID_FIELDS
                             ? KVM_SYNC_X86_VALID_FIELDS
                             : 0;
  if (!wanted && !debugging_) return;
  debugging_ = wanted;
  kvm_guest_debug debug{};
  if (wanted) debug.control = KVM_GUESTDBG_ENABLE;
  if (in_memory) debug.control |= KVM_GUESTDBG_USE_SW_BP;
  if (single) {
    // Interrupts stay outside while stepping, or a step would end in a handler for ever.
    debug.control |= KVM_GUESTDBG_SINGLESTEP;
    if (owner_.vm().check(KVM_CAP_SET_GUEST_DEBUG2) & KVM_GUESTDBG_BLOCKIRQ)
      debug.control |= KVM_GUESTDBG_BLOCKIRQ;
  }
  for (unsigned i = 0; i < breakpoints.size() && i < 4; ++i) {
    debug.control |= KVM_GUESTDBG_USE_HW_BP;
    debug.arch.debugreg[i] = breakpoints[i];
    debug.arch.debugreg[7] |= 2u << 2 * i;  // executed, globally
  }
  if (debug.control & KVM_GUESTDBG_USE_HW_BP) debug.arch.debugreg[7] |= 0x600;
  fd_.control(KVM_SET_GUEST_DEBUG, &debug);
}

bool KvmVcpu::debug_exit(Exit& exit) {
  const kvm_debug_exit_arch& debug = run_->debug.arch;
  const bool int3 = debug.exception == kBreakpointVector;
  const bool ours = int3 ? owner_.has_soft_breakpoint(debug.pc)
                         : stepping_ || (debug.dr6 & 0xf) != 0 || !(debug.dr6 & kDr6SingleStep);
  if (ours) {
    exit = {ir::ExitKind::Debug, 0};
    return true;
  }
  // The guest's own INT3, or it steps itself.
  kvm_vcpu_events events{};
  fd_.control(KVM_GET_VCPU_EVENTS, &events);
  events.exception.injected = 1;
  events.exception.nr = static_cast<__u8>(debug.exception);
  events.exception.has_error_code = 0;
  fd_.control(KVM_SET_VCPU_EVENTS, &events);
  if (int3) return false;
  kvm_debugregs registers{};
  fd_.control(KVM_GET_DEBUGREGS, &registers);
  registers.dr6 = debug.dr6;
  fd_.control(KVM_SET_DEBUGREGS, &registers);
  return false;
}

std::vector<uint8_t> KvmVcpu::code_bytes() {
  std::vector<uint8_t> bytes;
  while (bytes.size() < 15) {
    kvm_translation page{};
    page.linear_address = state_.pc + bytes.size();
    if (fd_.control(KVM_TRANSLATE, &page) < 0 || !page.valid) break;
    const uint64_t room = 4096 - (page.linear_address & 4095);
    uint8_t piece[15];
    const uint64_t count = std::min<uint64_t>(room, 15 - bytes.size());
    if (!memory_.read_bytes(page.physical_address, piece, count)) break;
    bytes.insert(bytes.end(), piece, piece + count);
  }
  return bytes;
}

std::string KvmVcpu::registers_text() {
  const X86SystemState& state = x86::system_state_of(state_);
  const x86::X86State& cpu = state.cpu;
  const char* const mode = !(cpu.cr0 & 1)               ? "real mode"
                           : cpu.vm                     ? "virtual 8086 mode"
                           : !(cpu.efer & 1 << 10)      ? "protected mode"
                           : bit(cpu.cs.attributes, 21) ? "64-bit mode"
                                                        : "compatibility mode";
  static constexpr const char* kNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
  std::string text =
      fmt::format("  in   {}, ring {}, flags {:#x}\n", mode, bits(cpu.ss.attributes, 13, 2), eflags(cpu));
  for (unsigned i = 0; i < 16; ++i)
    text +=
        fmt::format("{}{:<3} {:016x}{}", i % 4 ? " " : "  ", kNames[i], cpu.gpr[i], i % 4 == 3 ? "\n" : "");
  text +=
      fmt::format("  cr0 {:016x} cr2 {:016x} cr3 {:016x} cr4 {:016x}\n", cpu.cr0, cpu.cr2, cpu.cr3, cpu.cr4);
  text += fmt::format("  cs {:04x} base {:x}  ss {:04x} base {:x}  gdt {:x}/{:x}  idt {:x}/{:x}\n",
                      cpu.cs.selector, cpu.cs.base, cpu.ss.selector, cpu.ss.base, cpu.gdtr.base,
                      cpu.gdtr.limit, cpu.idtr.base, cpu.idtr.limit);
  return text;
}

}  // namespace lyrebird::accel::kvm
