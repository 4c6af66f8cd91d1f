// SPDX-License-Identifier: Apache-2.0
/// What a guest ISA's Linux does its own way with signals: the frame on the stack, and which
/// signal an instruction's fault becomes. One file per ISA (aarch64_frame.cpp).
#pragma once

#include <csignal>
#include <cstdint>
#include <span>

#include "accel/vcpu.h"
#include "user/signals/thread_signals.h"

namespace lyrebird::user {

class Thread;

struct DeliveredSignal {
  int signal = 0;
  siginfo_t info{};
  GuestAction action;
  SigSet saved_mask = 0;  ///< for the frame
};

/// A fault as the guest's kernel reports it.
struct FaultSignal {
  int signal = 0;
  int code = 0;
  uint64_t address = 0;  ///< si_addr
  /// What the frame's own record of the fault says (Arm: FAR and ESR; x86: cr2, err, trapno).
  uint64_t fault_address = 0, fault_syndrome = 0;
  bool recorded = false;  ///< the two above are meaningful
};

/// What a frame holds besides registers.
struct RestoredFrame {
  SigSet mask = 0;
  AltStack alt_stack;
};

/// Old: the frame of a handler without SA_SIGINFO, on guests that have one of its own (i386).
enum class FrameKind { RealTime, Old };

class SignalAbi {
 public:
  virtual ~SignalAbi() = default;
  /// MINSIGSTKSZ of the guest's kernel.
  uint64_t min_alt_stack = 2048;

  /// Code that calls rt_sigreturn, for a guest without a vDSO.
  virtual std::span<const uint8_t> trampoline() const = 0;
  /// Pushes a frame and sets the registers for the handler. False: the stack can't be written.
  virtual bool push_frame(Thread& t, const DeliveredSignal& signal) const = 0;
  /// rt_sigreturn: takes the registers back. False: bad frame, `bad_address` says where.
  virtual bool pop_frame(Thread& t, FrameKind kind, RestoredFrame& frame, uint64_t& bad_address) const = 0;
  /// exit.kind is one of the faults; for memory faults `signal` and `code` are what the guest's map
  /// says about the address. Where the kernel reports the next instruction, pc is moved there.
  virtual FaultSignal fault_signal(ir::CpuHeader& cpu, const accel::Exit& exit, int signal,
                                   int code) const = 0;
};

const SignalAbi& aarch64_signals();
const SignalAbi& x86_64_signals();
const SignalAbi& i386_signals();

}  // namespace lyrebird::user
