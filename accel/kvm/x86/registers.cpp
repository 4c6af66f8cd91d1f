// SPDX-License-Identifier: Apache-2.0
#include "accel/kvm/x86/registers.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "base/bits.h"
#include "frontend/x86/segments.h"
#include "frontend/x86/x86_mode.h"

namespace lyrebird::accel::kvm {
namespace {

using namespace x86;

/// KVM's names in the order of GprIndex.
constexpr __u64 kvm_regs::* kGeneral[16] = {&kvm_regs::rax, &kvm_regs::rcx, &kvm_regs::rdx, &kvm_regs::rbx,
                                            &kvm_regs::rsp, &kvm_regs::rbp, &kvm_regs::rsi, &kvm_regs::rdi,
                                            &kvm_regs::r8,  &kvm_regs::r9,  &kvm_regs::r10, &kvm_regs::r11,
                                            &kvm_regs::r12, &kvm_regs::r13, &kvm_regs::r14, &kvm_regs::r15};

struct SegmentPair {
  SegmentState X86State::* ours;
  kvm_segment kvm_sregs::* theirs;
};
constexpr SegmentPair kSegments[] = {{&X86State::cs, &kvm_sregs::cs}, {&X86State::ds, &kvm_sregs::ds},
                                     {&X86State::es, &kvm_sregs::es}, {&X86State::fs, &kvm_sregs::fs},
                                     {&X86State::gs, &kvm_sregs::gs}, {&X86State::ss, &kvm_sregs::ss},
                                     {&X86State::tr, &kvm_sregs::tr}, {&X86State::ldtr, &kvm_sregs::ldt}};

kvm_segment segment_to_kvm(const SegmentState& s) {
  kvm_segment k{};
  k.base = s.base;
  k.limit = s.limit;
  k.selector = s.selector;
  k.type = bits(s.attributes, 8, 4);
  k.s = bit(s.attributes, 12);
  k.dpl = bits(s.attributes, 13, 2);
  k.present = bit(s.attributes, 15);
  k.avl = bit(s.attributes, 20);
  k.l = bit(s.attributes, 21);
  k.db = bit(s.attributes, 22);
  k.g = bit(s.attributes, 23);
  k.unusable = !k.present;
  return k;
}

SegmentState segment_from_kvm(const kvm_segment& k) {
  SegmentState s;
  s.base = k.base;
  s.limit = k.limit;
  s.selector = k.selector;
  const uint32_t present = k.present && !k.unusable;
  s.attributes = uint32_t{k.type} << 8 | uint32_t{k.s} << 12 | uint32_t{k.dpl} << 13 | present << 15 |
                 uint32_t{k.avl} << 20 | uint32_t{k.l} << 21 | uint32_t{k.db} << 22 | uint32_t{k.g} << 23;
  return s;
}

// The XSAVE area (SDM volume 1, 13.4).
constexpr size_t kControl = 0, kStatus = 2, kTags = 4, kOpcode = 6, kIp = 8, kDp = 16, kMxcsr = 24, kX87 = 32,
                 kXmm = 160, kHeader = 512, kYmm = 576, kRest = 832;
constexpr uint64_t kX87Part = 1, kSsePart = 2, kAvxPart = 4, kOurParts = 7;

template <typename T>
T read(std::span<const uint8_t> area, size_t at) {
  return load_unaligned<T>(area.data() + at);
}
template <typename T>
void write(std::span<uint8_t> area, size_t at, T value) {
  store_unaligned<T>(area.data() + at, value);
}

}  // namespace

kvm_regs general_to_kvm(const X86State& state) {
  kvm_regs regs{};
  for (unsigned i = 0; i < 16; ++i) regs.*kGeneral[i] = state.gpr[i];
  regs.rip = state.header.pc - state.cs.base;
  regs.rflags = eflags(state);
  return regs;
}

void general_from_kvm(const kvm_regs& regs, X86State& state) {
  for (unsigned i = 0; i < 16; ++i) state.gpr[i] = regs.*kGeneral[i];
  state.header.pc = state.cs.base + regs.rip;
  set_eflags(state, static_cast<uint32_t>(regs.rflags));
  update_segment_mode(state);  // EFLAGS.VM is in it
}

kvm_sregs system_to_kvm(const X86SystemState& state) {
  const X86State& cpu = state.cpu;
  kvm_sregs sregs{};
  for (const SegmentPair& pair : kSegments) sregs.*pair.theirs = segment_to_kvm(cpu.*pair.ours);
  sregs.gdt.base = cpu.gdtr.base;
  sregs.gdt.limit = static_cast<__u16>(cpu.gdtr.limit);
  sregs.idt.base = cpu.idtr.base;
  sregs.idt.limit = static_cast<__u16>(cpu.idtr.limit);
  sregs.cr0 = cpu.cr0;
  sregs.cr2 = cpu.cr2;
  sregs.cr3 = cpu.cr3;
  sregs.cr4 = cpu.cr4;
  sregs.cr8 = cpu.cr8;
  sregs.efer = cpu.efer;
  sregs.apic_base = cpu.apic_base;
  // Only without an APIC in the kernel does KVM look at it; KVM_SET_VCPU_EVENTS says it for both.
  return sregs;
}

void system_from_kvm(const kvm_sregs& sregs, X86SystemState& state) {
  X86State& cpu = state.cpu;
  for (const SegmentPair& pair : kSegments) cpu.*pair.ours = segment_from_kvm(sregs.*pair.theirs);
  cpu.gdtr = {sregs.gdt.base, sregs.gdt.limit};
  cpu.idtr = {sregs.idt.base, sregs.idt.limit};
  cpu.cr0 = sregs.cr0;
  cpu.cr2 = sregs.cr2;
  cpu.cr3 = sregs.cr3;
  cpu.cr4 = sregs.cr4;
  cpu.cr8 = sregs.cr8;
  cpu.efer = sregs.efer;
  cpu.apic_base = sregs.apic_base;
  update_segment_mode(cpu);
}

kvm_vcpu_events events_to_kvm(const X86SystemState& state, bool payloads, bool triple_faults) {
  const PendingEvents& from = state.events;
  kvm_vcpu_events events{};
  events.exception.injected = from.exception_injected;
  events.exception.pending = from.exception_pending;
  events.exception.nr = from.exception_vector;
  events.exception.has_error_code = from.exception_has_code;
  events.exception.error_code = from.exception_code;
  if (payloads) {
    events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
    events.exception_has_payload = from.exception_has_payload;
    events.exception_payload = from.exception_payload;
  }
  events.interrupt.injected = from.interrupt_injected;
  events.interrupt.nr = from.interrupt_vector;
  events.interrupt.soft = from.interrupt_soft;
  events.interrupt.shadow =
      (from.sti_shadow ? KVM_X86_SHADOW_INT_STI : 0) | (from.mov_ss_shadow ? KVM_X86_SHADOW_INT_MOV_SS : 0);
  events.nmi.injected = from.nmi_injected;
  events.nmi.pending = from.nmi_pending;
  events.nmi.masked = from.nmi_masked;
  events.sipi_vector = from.sipi_vector;
  events.smi.smm = from.smm;
  events.smi.pending = from.smi_pending;
  events.smi.smm_inside_nmi = from.smm_inside_nmi;
  events.smi.latched_init = from.init_latched;
  events.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
  if (state.activity == Activity::SipiReceived) events.flags |= KVM_VCPUEVENT_VALID_SIPI_VECTOR;
  if (from.smm || from.smi_pending || from.init_latched) events.flags |= KVM_VCPUEVENT_VALID_SMM;
  if (triple_faults) {
    events.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
    events.triple_fault.pending = from.triple_fault;
  }
  return events;
}

void events_from_kvm(const kvm_vcpu_events& events, X86SystemState& state) {
  PendingEvents& to = state.events;
  to = {};
  to.exception_injected = events.exception.injected;
  to.exception_pending = events.exception.pending;
  to.exception_vector = events.exception.nr;
  to.exception_has_code = events.exception.has_error_code;
  to.exception_code = events.exception.error_code;
  to.exception_has_payload = events.exception_has_payload;
  to.exception_payload = events.exception_payload;
  to.interrupt_injected = events.interrupt.injected;
  to.interrupt_vector = events.interrupt.nr;
  to.interrupt_soft = events.interrupt.soft;
  to.sti_shadow = events.interrupt.shadow & KVM_X86_SHADOW_INT_STI;
  to.mov_ss_shadow = events.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS;
  to.nmi_injected = events.nmi.injected;
  to.nmi_pending = events.nmi.pending;
  to.nmi_masked = events.nmi.masked;
  to.sipi_vector = events.sipi_vector;
  to.smm = events.smi.smm;
  to.smi_pending = events.smi.pending;
  to.smm_inside_nmi = events.smi.smm_inside_nmi;
  to.init_latched = events.smi.latched_init;
  to.triple_fault = events.triple_fault.pending;
}

kvm_debugregs debug_to_kvm(const X86State& state) {
  kvm_debugregs debug{};
  std::copy_n(state.dr, 4, debug.db);
  debug.dr6 = state.dr[6];
  debug.dr7 = state.dr[7];
  return debug;
}

void debug_from_kvm(const kvm_debugregs& debug, X86State& state) {
  std::copy_n(debug.db, 4, state.dr);
  state.dr[6] = debug.dr6;
  state.dr[7] = debug.dr7;
}

void xsave_to_kvm(const X86SystemState& state, std::span<uint8_t> area) {
  const X86State& cpu = state.cpu;
  std::fill(area.begin(), area.end(), uint8_t{0});
  write<uint16_t>(area, kControl, cpu.x87_control);
  write<uint16_t>(area, kStatus, x87_status(cpu));
  write<uint8_t>(area, kTags, x87_used(cpu));
  write<uint16_t>(area, kOpcode, cpu.x87_opcode);
  write<uint64_t>(area, kIp, cpu.x87_ip);
  write<uint64_t>(area, kDp, cpu.x87_dp);
  write<uint32_t>(area, kMxcsr, mxcsr(cpu));
  const unsigned top = x87_top_of_mode(cpu.header.mode);
  for (unsigned i = 0; i < 8; ++i) std::memcpy(area.data() + kX87 + 16 * i, cpu.x87[(top + i) & 7], 10);
  uint64_t parts = kX87Part | kSsePart;
  for (unsigned i = 0; i < 16; ++i) std::memcpy(area.data() + kXmm + 16 * i, cpu.ymm[i], 16);
  if (cpu.xcr0 & kAvxPart) {
    parts |= kAvxPart;
    for (unsigned i = 0; i < 16; ++i) std::memcpy(area.data() + kYmm + 16 * i, cpu.ymm[i] + 16, 16);
  }
  if (area.size() > kRest && kRest + state.xsave_rest.size() <= area.size()) {
    std::copy(state.xsave_rest.begin(), state.xsave_rest.end(), area.begin() + kRest);
    parts |= state.xsave_rest_parts;
  }
  write<uint64_t>(area, kHeader, parts);
}

void xsave_from_kvm(std::span<const uint8_t> area, X86SystemState& state) {
  X86State& cpu = state.cpu;
  const uint64_t parts = read<uint64_t>(area, kHeader);
  if (parts & kX87Part) {
    set_x87_control(cpu, read<uint16_t>(area, kControl));
    set_x87_status(cpu, read<uint16_t>(area, kStatus));
    set_x87_used(cpu, area[kTags]);
    cpu.x87_opcode = read<uint16_t>(area, kOpcode) & 0x7ff;
    cpu.x87_ip = read<uint64_t>(area, kIp);
    cpu.x87_dp = read<uint64_t>(area, kDp);
    const unsigned top = x87_top_of_mode(cpu.header.mode);
    for (unsigned i = 0; i < 8; ++i) std::memcpy(cpu.x87[(top + i) & 7], area.data() + kX87 + 16 * i, 10);
  } else {
    reset_x87(cpu);
    std::memset(cpu.x87, 0, sizeof cpu.x87);
  }
  set_mxcsr(cpu, parts & (kSsePart | kAvxPart) ? read<uint32_t>(area, kMxcsr) : 0x1f80);
  for (unsigned i = 0; i < 16; ++i) {
    std::memset(cpu.ymm[i], 0, sizeof cpu.ymm[i]);
    if (parts & kSsePart) std::memcpy(cpu.ymm[i], area.data() + kXmm + 16 * i, 16);
    if (parts & kAvxPart) std::memcpy(cpu.ymm[i] + 16, area.data() + kYmm + 16 * i, 16);
  }
  state.xsave_rest_parts = parts & ~kOurParts;
  if (state.xsave_rest_parts && area.size() > kRest)
    state.xsave_rest.assign(area.begin() + kRest, area.end());
  else
    state.xsave_rest.clear();
}

}  // namespace lyrebird::accel::kvm
