// SPDX-License-Identifier: Apache-2.0
/// An x86 guest thread's registers with the descriptor tables that its selectors name.
///
/// The GDT is the thread's (its three TLS entries are; the others are the same for all), the LDT the
/// process's. Both lie outside of the guest's memory: programs see them through the calls of
/// abi/x86_calls.h only.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "frontend/x86/decode/insn.h"
#include "frontend/x86/x86_state.h"
#include "user/abi/abi.h"

namespace lyrebird::user {

/// arch/x86/include/asm/segment.h of a 64-bit kernel, whose 32-bit programs have the same table.
inline constexpr unsigned kGdtEntries = 16, kGdtTls = 12, kGdtTlsEntries = 3, kLdtEntries = 8192;
inline constexpr uint16_t kUserCode32 = 0x23, kUserData = 0x2b, kUserCode64 = 0x33;

struct X86UserState {
  x86::X86State cpu;
  std::atomic<uint64_t> gdt[kGdtEntries] = {};
  std::shared_ptr<std::atomic<uint64_t>> ldt;
};

inline x86::X86State& x86_state(ir::CpuHeader& cpu) { return reinterpret_cast<x86::X86State&>(cpu); }
inline const x86::X86State& x86_state(const ir::CpuHeader& cpu) {
  return reinterpret_cast<const x86::X86State&>(cpu);
}
inline X86UserState& x86_user_state(ir::CpuHeader& cpu) { return reinterpret_cast<X86UserState&>(cpu); }

/// A copy of `from`, or the state of a new program in `mode` on a processor with that XCR0.
StatePtr create_x86_state(x86::Mode mode, const ir::CpuHeader* from, uint64_t xcr0);
/// x87, SSE and AVX as a program finds them.
void reset_x86_fp(x86::X86State& state);

/// After an entry of the GDT or LDT changed: segment registers that hold its selector follow.
void reload_segments(x86::X86State& state, uint16_t selector);

}  // namespace lyrebird::user
