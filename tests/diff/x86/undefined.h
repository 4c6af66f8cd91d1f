// SPDX-License-Identifier: Apache-2.0
/// Where the manual leaves a result undefined and we do not do what this host does (README.md).
#pragma once

#include <cstdint>

#include "tests/diff/x86/machine.h"

namespace lyrebird::x86diff {

/// Flags of EFLAGS that are not compared after the case.
uint64_t undefined_flags(const x86::Insn& insn, const Case& c);

/// The result and all its flags: "If the count is greater than the operand size, the result is undefined".
bool is_undefined(const x86::Insn& insn, const Case& c);

}  // namespace lyrebird::x86diff
