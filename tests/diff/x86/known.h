// SPDX-License-Identifier: Apache-2.0
/// Where this host does what Intel's manual does not say, or leaves open, and we do otherwise on purpose.
#pragma once

#include "tests/diff/x86/machine.h"

namespace lyrebird::x86diff {

/// Why the case can't be compared; nullptr: it can.
const char* known_difference(const x86::Insn& insn, const Case& c);

/// The parts of an image are accessed in an order of the processor's own: only that there is a fault in it
/// is compared, not where.
bool is_image(const x86::Insn& insn);

/// Whether the address of a fault counts. On Intel's processors it is not the first byte of a masked store
/// that faults, and CMPS reads its second operand first.
bool has_exact_address(const x86::Insn& insn);

/// In the host's memory, MXCSR_MASK of an FXSAVE or XSAVE image may have AMD's MXCSR.MM, which we have not.
void forget_mm(const x86::Insn& insn, Case& c, const Machine& ours);

/// Where an overflow or underflow that is not masked traps, PE says whether the result would be inexact if
/// exponents had no end; ours is that of the masked case.
void forget_precision(Case& c, const Machine& ours);

/// The lanes of a gather's mask that a fault leaves become copies of their signs first, says the manual;
/// AMD's processors leave them as they are, Intel's also write such above the lanes that count. What lies
/// above a destination of 128 bits may be gone by then.
void forget_gather(const x86::Insn& insn, Case& c);

/// REP CMPS and REP SCAS that fault: Intel's flags are those that they began with, AMD's those of some step,
/// ours those of the last.
void forget_flags_of_repeated(const x86::Insn& insn, Case& c, const Machine& ours);

/// Which of several NaNs a dot product gives, and where, is "implementation dependent".
void forget_nans(const x86::Insn& insn, Case& c, const Machine& ours);

/// The linear address of the memory operand.
uint64_t memory_address(const x86::Insn& insn, const Case& c);

}  // namespace lyrebird::x86diff
