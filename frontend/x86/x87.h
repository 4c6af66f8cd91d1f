// SPDX-License-Identifier: Apache-2.0
/// The x87 in software, complete: what lifted code calls where its short paths do not apply (an
/// unmasked exception, a stack fault, rare instructions). SDM volume 1, chapter 8; volume 2, the
/// instructions. Numbers are those of ir/fp_soft.h, exact; the transcendental functions are the host's
/// on an x86 host, so that they have the bits and flags of a processor.
#pragma once

#include <cstdint>

#include "frontend/x86/x86_state.h"

namespace lyrebird::x86 {

enum class X87Op : uint8_t {
  Add,  ///< Add to DivR: operand 0 := operand 0 op operand 1; SubR, DivR: operand 1 op operand 0
  Mul,
  Sub,
  SubR,
  Div,
  DivR,
  Com,   ///< C3, C2, C0
  Ucom,  ///< quiet NaNs are not invalid
  ComFlags,
  UcomFlags,
  Load,
  Store,
  StoreTruncated,  ///< FISTTP
  Exchange,
  Test,
  Examine,
  Negate,
  Abs,
  Sqrt,
  RoundInt,
  Scale,
  Extract,
  Remainder,         ///< FPREM
  RemainderNearest,  ///< FPREM1
  Constant,          ///< which: 0 is FLD1, then as D9 E9 to EE
  Move,              ///< FCMOVcc; the condition is `low`
  F2xm1,
  Yl2x,
  Yl2xp1,
  Tan,
  Atan,
  Sin,
  Cos,
  SinCos,
};

/// What the operand in memory is, if there is one.
enum class X87Operand : uint8_t { Register, F32, F64, F80, I16, I32, I64, Bcd };

struct X87Insn {
  X87Op op;
  X87Operand operand = X87Operand::Register;
  uint8_t i = 0;             ///< ST(i), or which constant
  uint8_t pops = 0;          ///< registers popped at the end
  bool to_register = false;  ///< arithmetic: ST(i) is operand 0

  constexpr uint32_t pack() const {
    return static_cast<uint32_t>(op) | static_cast<uint32_t>(operand) << 8 | uint32_t{i} << 12 |
           uint32_t{pops} << 16 | uint32_t{to_register} << 18;
  }
  static constexpr X87Insn unpack(uint32_t v) {
    return {static_cast<X87Op>(v & 0xff), static_cast<X87Operand>(v >> 8 & 15),
            static_cast<uint8_t>(v >> 12 & 7), static_cast<uint8_t>(v >> 16 & 3), (v >> 18 & 1) != 0};
  }
};

/// What x87_execute gives.
inline constexpr uint64_t kX87Stored = 1;  ///< X86State::x87_result goes to memory
/// ComFlags, UcomFlags: the order (ir::FpOrder) is in bits 9:8.

/// Runs the instruction on stack, tags, condition codes and exceptions; pointers and pending exceptions
/// are the caller's. low and high are the operand read from memory.
uint64_t x87_execute(X86State& state, X87Insn insn, uint64_t low, uint64_t high);

/// Whether a waiting instruction raises #MF.
bool x87_exception_pending(const X86State& state);

}  // namespace lyrebird::x86
