// SPDX-License-Identifier: Apache-2.0
/// Between the frontend's state struct and the structs of KVM's interface; no ioctl is made here.
#pragma once

#include <cstdint>
#include <span>

#include "accel/kvm/linux_kvm.h"
#include "frontend/x86/system/x86_system_state.h"

namespace lyrebird::accel::kvm {

kvm_regs general_to_kvm(const x86::X86State& state);
/// Needs the segments before it: pc is CS.base + rip.
void general_from_kvm(const kvm_regs& regs, x86::X86State& state);

/// `sregs.interrupt_bitmap` comes from and goes to the events' interrupt.
kvm_sregs system_to_kvm(const x86::X86SystemState& state);
void system_from_kvm(const kvm_sregs& sregs, x86::X86SystemState& state);

kvm_vcpu_events events_to_kvm(const x86::X86SystemState& state, bool payloads, bool triple_faults);
void events_from_kvm(const kvm_vcpu_events& events, x86::X86SystemState& state);

kvm_debugregs debug_to_kvm(const x86::X86State& state);
void debug_from_kvm(const kvm_debugregs& debug, x86::X86State& state);

/// An XSAVE area in the standard format; the span has at least 4096 bytes. Parts of `rest` that do not
/// fit are left out.
void xsave_to_kvm(const x86::X86SystemState& state, std::span<uint8_t> area);
void xsave_from_kvm(std::span<const uint8_t> area, x86::X86SystemState& state);

}  // namespace lyrebird::accel::kvm
