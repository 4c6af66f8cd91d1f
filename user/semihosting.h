// SPDX-License-Identifier: Apache-2.0
/// Arm semihosting (version 2.0) for programs that were made for a bare machine: text output, exit,
/// memory layout and time. Files and command lines are left out: those calls give -1.
#pragma once

#include <cstdint>

namespace lyrebird::user {

class Thread;

/// Does what the undefined instruction asks for and goes on after it; false if it is no call.
bool answer_semihosting(Thread& t, uint64_t insn);

}  // namespace lyrebird::user
