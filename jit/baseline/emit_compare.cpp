// SPDX-License-Identifier: Apache-2.0
// Conditions: host flags that are already there, or a compare.
#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::kNoValue;
using ir::Op;
using ir::Type;
using ir::ValueId;
using Cc = x86::CondCode;

namespace {

/// The condition after `cmp a, b`.
Cc condition_of_compare(Op op) {
  switch (op) {
    case Op::CmpEq:
      return Cc::kE;
    case Op::CmpNe:
    case Op::CmpTest:
      return Cc::kNE;
    case Op::CmpLtS:
      return Cc::kL;
    case Op::CmpLeS:
      return Cc::kLE;
    case Op::CmpLtU:
      return Cc::kB;
    case Op::CmpLeU:
      return Cc::kBE;
    default:
      return Cc::kO;  // OverflowOfSub
  }
}

/// The same condition after `cmp b, a`.
Cc swapped(Cc cc) {
  switch (cc) {
    case Cc::kL:
      return Cc::kG;
    case Cc::kLE:
      return Cc::kGE;
    case Cc::kB:
      return Cc::kA;
    case Cc::kBE:
      return Cc::kAE;
    default:
      return cc;
  }
}

}  // namespace

bool Emitter::same_value(ValueId a, ValueId b) const {
  if (a == kNoValue || b == kNoValue) return a == b;
  if (root(a) == root(b)) return true;
  return at(root(a)).op == Op::Const && at(root(b)).op == Op::Const && constant(a) == constant(b);
}

std::optional<Cc> Emitter::cached(const ir::Inst& compare) const {
  if (flags_.kind == Flags::Kind::None || flags_.type != compare.elem) return std::nullopt;
  const ValueId a = compare.args[0], b = compare.args[1];
  const bool with_zero = at(root(b)).op == Op::Const && constant(b) == 0;
  if (flags_.result != kNoValue && root(a) == flags_.result && with_zero) {
    if (compare.op == Op::CmpEq) return Cc::kE;
    if (compare.op == Op::CmpNe) return Cc::kNE;
    if (compare.op == Op::CmpLtS) return Cc::kS;
  }
  const bool straight = same_value(a, flags_.a) && same_value(b, flags_.b);
  const bool crossed = same_value(a, flags_.b) && same_value(b, flags_.a);
  switch (flags_.kind) {
    case Flags::Kind::Sub:
      if (compare.op == Op::OverflowOfSub) return straight ? std::optional(Cc::kO) : std::nullopt;
      if (compare.op < Op::CmpEq || compare.op > Op::CmpLeU) return std::nullopt;
      if (straight) return condition_of_compare(compare.op);
      if (crossed) return swapped(condition_of_compare(compare.op));
      return std::nullopt;
    case Flags::Kind::Add: {
      const bool same_carry = compare.op == Op::CarryOfAdd || compare.op == Op::OverflowOfAdd
                                  ? (flags_.carry == kNoValue ? at(root(compare.args[2])).op == Op::Const &&
                                                                    constant(compare.args[2]) == 0
                                                              : same_value(flags_.carry, compare.args[2]))
                                  : flags_.carry == kNoValue;
      if (!same_carry) return std::nullopt;
      if (compare.op == Op::CarryOfAdd && (straight || crossed)) return Cc::kB;
      if (compare.op == Op::OverflowOfAdd && (straight || crossed)) return Cc::kO;
      if (compare.op == Op::CmpLtU && flags_.result != kNoValue && root(a) == flags_.result &&
          (same_value(b, flags_.a) || same_value(b, flags_.b)))
        return Cc::kB;
      return std::nullopt;
    }
    default:
      if (compare.op == Op::CmpTest && (straight || crossed)) return Cc::kNE;
      return std::nullopt;
  }
}

Cc Emitter::compare_flags(const ir::Inst& compare) {
  ValueId a = compare.args[0], b = compare.args[1];
  const Type type = compare.elem;
  if (compare.op == Op::CarryOfAdd || compare.op == Op::OverflowOfAdd) {
    const Operand second = use_rmi(b, type);
    const uint8_t sum = copy_gpr(a);
    (void)a_.emit(hi::kIdAdd, gp(sum, type), second);
    flags_ = {Flags::Kind::Add, type, root(a), root(b), kNoValue, kNoValue};
    return compare.op == Op::CarryOfAdd ? Cc::kB : Cc::kO;
  }
  Cc cc = condition_of_compare(compare.op);
  if (at(root(a)).op == Op::Const && at(root(b)).op != Op::Const && compare.op != Op::OverflowOfSub) {
    std::swap(a, b);
    cc = swapped(cc);
  }
  if (compare.op == Op::CmpTest) {
    const auto imm = imm32(b, type);
    const Gp first = gp(use_gpr(a), type);
    if (imm)
      (void)a_.test(first, *imm);
    else
      (void)a_.test(first, gp(use_gpr(b), type));
    flags_ = {Flags::Kind::Logic, type, root(a), root(b), kNoValue, kNoValue};
    return cc;
  }
  const auto imm = imm32(b, type);
  if (imm && *imm == 0 && loc(root(a)).gpr != kNoReg) {
    const Gp first = gp(use_gpr(a), type);
    (void)a_.test(first, first);
  } else {
    const Operand second = use_rmi(b, type);
    const Operand first = second.isMem() ? Operand(gp(use_gpr(a), type)) : use_rm(a, type);
    (void)a_.emit(hi::kIdCmp, first, second);
  }
  flags_ = {Flags::Kind::Sub, type, root(a), root(b), kNoValue, kNoValue};
  return cc;
}

Cc Emitter::evaluate(ValueId condition) {
  const ValueId id = root(condition);
  const ir::Inst& inst = at(id);
  touch(id);
  if (plan_[id].lazy) {
    if (inst.op == Op::Not) return x86::negateCond(evaluate(inst.args[0]));
    if (const auto cc = cached(inst)) return *cc;
    if (loc(id).gpr == kNoReg && loc(id).home == Home::None) return compare_flags(inst);
  }
  if (loc(id).gpr == kNoReg && loc(id).home != Home::None && plan_[id].last_use <= now_) {
    const Operand m = use_rm(condition, Type::I8);
    (void)a_.emit(hi::kIdCmp, m, Imm(0));
  } else {
    const uint8_t reg = use_gpr(condition);
    (void)a_.test(gp32(reg), gp32(reg));
  }
  no_flags();
  return Cc::kNE;
}

/// The compare as a value of 0 or 1.
void Emitter::materialise(ValueId lazy) {
  const Cc cc = evaluate(lazy);
  const uint8_t reg = take_gpr();
  (void)a_.emit(hi::setccFromCond(cc), x86::gpb_lo(reg));
  (void)a_.movzx(gp32(reg), x86::gpb_lo(reg));
  bind_gpr(lazy, reg);
}

/// A result that was wanted for its flags alone, after these are gone.
void Emitter::remake(ValueId id) {
  const ir::Inst& inst = at(id);
  const Operand second = use_rmi(inst.args[1], inst.type);
  const uint8_t reg = copy_gpr(inst.args[0]);
  (void)a_.emit(inst.op == Op::Sub ? hi::kIdSub : hi::kIdAnd, gp(reg, inst.type), second);
  flags_ = {inst.op == Op::Sub ? Flags::Kind::Sub : Flags::Kind::Logic,
            inst.type,
            root(inst.args[0]),
            root(inst.args[1]),
            id,
            kNoValue};
  bind_gpr(id, reg);
}

}  // namespace lyrebird::jit::baseline
