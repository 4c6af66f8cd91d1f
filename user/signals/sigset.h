// SPDX-License-Identifier: Apache-2.0
/// Sets of the 64 signals, and what Linux does with each when nobody handles it (signal(7)).
///
/// Every guest so far numbers its signals as the host does (Arm, x86, PowerPC; MIPS would not);
/// a guest that doesn't converts in its Abi.
#pragma once

#include <csignal>
#include <cstdint>

namespace lyrebird::user {

inline constexpr int kSignals = 64;
inline constexpr int kFirstRealTime = 32;  ///< as the kernel counts; the libc hides 32 and 33

/// Bit n - 1 is signal n, as in the kernel's sigset_t.
using SigSet = uint64_t;
constexpr SigSet sig_bit(int signal) { return SigSet{1} << (signal - 1); }
constexpr bool contains(SigSet set, int signal) { return set >> (signal - 1) & 1; }

inline constexpr SigSet kUnblockable = sig_bit(SIGKILL) | sig_bit(SIGSTOP);
/// Raised by what an instruction did; taken before all others (kernel/signal.c).
inline constexpr SigSet kSynchronous = sig_bit(SIGSEGV) | sig_bit(SIGBUS) | sig_bit(SIGILL) |
                                       sig_bit(SIGTRAP) | sig_bit(SIGFPE) | sig_bit(SIGSYS);
/// The emulator lives on these: never blocked or ignored on the host, whatever the guest says.
inline constexpr int kHostFaultSignals[] = {SIGSEGV, SIGBUS, SIGFPE};
inline constexpr SigSet kHostFaults = sig_bit(SIGSEGV) | sig_bit(SIGBUS) | sig_bit(SIGFPE);

enum class DefaultAction { Terminate, Core, Ignore, Stop, Continue };
DefaultAction default_action(int signal);

/// "SIGSEGV", "SIGRT_3".
const char* signal_name(int signal);

/// The signal of a set that the kernel would deliver first; 0 if none.
int first_signal(SigSet set);

}  // namespace lyrebird::user
