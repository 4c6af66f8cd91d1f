// SPDX-License-Identifier: Apache-2.0
/// Host faults (SIGSEGV, SIGBUS) on guest memory as values: code that touches guest
/// memory arms a guard with sigsetjmp; the process's fault handler jumps back to it.
///
///     FaultGuard guard;
///     if (sigsetjmp(guard.env, 0) == 0) { guard.arm(); ...touch guest memory...; }
///     else { guard.address, guard.signal, guard.code say what happened }
///     (destruction disarms; guards nest)
///
/// A floating point exception (SIGFPE) goes to the guard's `traps`, which says where to go on.
///
/// The handler is installed by whoever owns the process's signals (user/) with
/// SA_SIGINFO | SA_NODEFER | SA_ONSTACK and calls FaultGuard::deliver() first.
#pragma once

#include <csetjmp>
#include <csignal>
#include <cstdint>

namespace lyrebird {

/// Generated code that lets the host tell it of floating point exceptions.
class TrapOwner {
 public:
  /// The registers to look at, and two to change.
  struct State {
    uint64_t sp;
    uint64_t& pc;
    uint32_t& mxcsr;
  };
  /// In the handler of SIGFPE, on the thread that trapped. False: the trap is not this one's.
  virtual bool trap(State state) = 0;

 protected:
  ~TrapOwner() = default;
};

class FaultGuard {
 public:
  FaultGuard() = default;
  ~FaultGuard() { disarm(); }
  FaultGuard(const FaultGuard&) = delete;
  FaultGuard& operator=(const FaultGuard&) = delete;

  void arm() {
    if (armed_) return;
    outer_ = current();
    current() = this;
    armed_ = true;
  }
  void disarm() {
    if (!armed_) return;
    current() = outer_;
    armed_ = false;
  }

  /// Makes `guard` (armed, or null) this thread's innermost one and returns the one before: for
  /// whoever lends the thread's TLS to another flow of control (vfork).
  static FaultGuard* exchange(FaultGuard* guard);

  /// In the handler of SIGSEGV or SIGBUS: jumps to this thread's innermost guard, or returns false
  /// if there is none (then the fault is not a guest access). The guard is disarmed by the jump.
  /// `context` is the handler's third argument; without it `registers` says nothing. In the handler of
  /// SIGFPE: true if the handler's return goes on where it should.
  static bool deliver(int signal, const siginfo_t& info, void* context = nullptr);

  /// The host's registers where the fault happened, for code that keeps guest state in them. Guards are made
  /// all the time and faults are rare: only deliver() fills in what is behind `valid`.
  struct Registers {
    bool valid = false;
    bool wrote;  ///< (page faults) the access that faulted was a write
    uint64_t pc;
    uint64_t general[16];  ///< by the host's numbering
    uint64_t flags;
    uint32_t mxcsr;
    uint16_t x87_status;
    uint8_t x87[8][16];   ///< ST(0) to ST(7), 10 bytes each
    uint8_t xmm[32][16];  ///< the upper half only where the host has it
    uint8_t ymm[16][16];  ///< bits 255:128
    uint8_t legacy[512];  ///< FXSAVE's image, if the guard takes traps
  };

  sigjmp_buf env;
  uint64_t address = 0;  ///< host address that faulted
  int signal = 0;
  int code = 0;  ///< si_code
  Registers registers;
  TrapOwner* traps = nullptr;  ///< nullptr: none are expected
  bool takes_traps = false;    ///< SIGFPE is a fault like the others

 private:
  static FaultGuard*& current();
  FaultGuard* outer_ = nullptr;
  bool armed_ = false;
};

}  // namespace lyrebird
