// SPDX-License-Identifier: Apache-2.0
/// Which types an instruction may have: the rules behind ops.inc's signatures,
/// as one function that the verifier and the evaluator share.
#pragma once

#include "ir/block.h"

namespace lyrebird::ir {

/// Ops that work bit by bit: on a vector their `elem` means nothing.
constexpr bool is_bitwise(Op op) {
  return op == Op::Not || op == Op::And || op == Op::Or || op == Op::Xor || op == Op::AndNot ||
         op == Op::BitSelect;
}

/// Whether a lanewise integer op (OpKind::Lane1..3) has a meaning for lanes of
/// that many bits. I1 knows only logic and compares; 128-bit lanes have no wider
/// numbers to calculate with.
constexpr bool has_lanes_of(Op op, unsigned bits) {
  switch (op) {
    case Op::Not:
    case Op::And:
    case Op::Or:
    case Op::Xor:
    case Op::AndNot:
    case Op::BitSelect:
    case Op::CmpEq:
    case Op::CmpNe:
    case Op::CmpLtU:
    case Op::CmpLeU:
    case Op::CmpTest:
      return bits != 80;
    case Op::MulHiS:
    case Op::MulHiU:
    case Op::HalveAddU:
    case Op::HalveAddS:
    case Op::RoundHalveAddU:
    case Op::RoundHalveAddS:
    case Op::HalveSubU:
    case Op::HalveSubS:
    case Op::MulDoubleHiSat:
    case Op::RoundMulDoubleHiSat:
    case Op::RoundMulDoubleAddHiSat:
    case Op::RoundMulDoubleSubHiSat:
    case Op::RoundMulDoubleAddHi:
    case Op::RoundMulDoubleSubHi:
    case Op::PolyMul:
      return bits >= 8 && bits <= 64;
    case Op::RecipEstimateU:
    case Op::RsqrtEstimateU:
      return bits == 32;
    case Op::FAbs:
    case Op::FNeg:
      return bits >= 16 && bits <= 80;
    default:
      return bits >= 8 && bits != 80;
  }
}

/// The type of the lanes that an op works on: `elem`, but I64 for bitwise ops on vectors.
constexpr Type lane_type(const Inst& inst) {
  return is_vector(inst.type) && is_bitwise(inst.op) ? Type::I64 : inst.elem;
}

/// What is wrong with the types, lane types and immediates of an instruction
/// whose operands have the given types (arg_count(inst) of them); nullptr if
/// nothing. Helpers are checked against `helpers`.
const char* type_error(const Inst& inst, const Type* operands, HelperTable helpers);

}  // namespace lyrebird::ir
