// SPDX-License-Identifier: Apache-2.0
/// The x87, SSE and AVX state in a signal frame: an FXSAVE image, and behind it what XSAVE adds, as
/// far as the processor has it (arch/x86/kernel/fpu/signal.c, uapi/asm/sigcontext.h).
#pragma once

#include <cstdint>
#include <vector>

#include "frontend/x86/x86_state.h"
#include "user/thread.h"

namespace lyrebird::user {

class X86FpFrame {
 public:
  explicit X86FpFrame(const x86::X86State& state) : xcr0_(state.xcr0) {}

  /// The processor has XSAVE: UC_FP_XSTATE.
  bool extended() const { return xcr0_ != 1; }
  /// Bytes, with the second magic number behind it.
  uint32_t size() const;
  /// The image; `registers`: XMM and YMM registers that the mode has.
  std::vector<uint8_t> save(const x86::X86State& state, unsigned registers) const;
  /// False: it can't be read, or asks for what the processor would refuse.
  bool restore(Thread& t, uint64_t at, x86::X86State& state, unsigned registers) const;

 private:
  uint64_t xcr0_;
};

/// What user code may set in EFLAGS through a frame.
inline constexpr uint32_t kFrameFlags =
    0x1 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x800 | 0x10000 | 0x40000;
void set_frame_flags(x86::X86State& state, uint32_t value);
/// EFLAGS as a handler starts: DF, RF and TF are clear, the x87 and SSE state is that of a new program.
void enter_handler(x86::X86State& state);

struct FaultSignal;
/// What a fault becomes, for both ABIs.
FaultSignal x86_fault_signal(ir::CpuHeader& cpu, const accel::Exit& exit, int signal, int code, bool wide);
/// FaultSignal::fault_syndrome.
constexpr uint64_t x86_syndrome(uint32_t trap, uint32_t error) { return uint64_t{trap} << 32 | error; }
constexpr uint32_t trap_of(uint64_t syndrome) { return static_cast<uint32_t>(syndrome >> 32); }
constexpr uint32_t error_of(uint64_t syndrome) { return static_cast<uint32_t>(syndrome); }

}  // namespace lyrebird::user
