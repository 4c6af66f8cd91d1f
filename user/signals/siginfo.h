// SPDX-License-Identifier: Apache-2.0
/// siginfo_t in guest memory: 128 bytes, three ints and a union whose layout follows from the
/// signal and si_code (include/uapi/asm-generic/siginfo.h, kernel/signal.c siginfo_layout()).
#pragma once

#include <csignal>
#include <cstdint>

#include "user/abi/data_model.h"

namespace lyrebird::user {

inline constexpr unsigned kSigInfoSize = 128;

/// Which members of the union are meaningful.
enum class SigInfoLayout { Kill, Timer, Poll, Fault, Child, RealTime, Sys };
SigInfoLayout siginfo_layout(int signal, int code);

/// `guest` has kSigInfoSize bytes.
void siginfo_to_guest(const DataModel& model, const siginfo_t& host, void* guest);
void siginfo_to_host(const DataModel& model, const void* guest, siginfo_t& host);

}  // namespace lyrebird::user
