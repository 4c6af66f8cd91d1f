// SPDX-License-Identifier: Apache-2.0
// Conditions: host flags that are already there, or a compare.
#include "ir/eval_scalar.h"
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

/// Of conditions that cached() gives.
bool holds_for(Cc cc, uint16_t word) {
  using namespace ir::eval;
  const bool carry = word & kStatusCarry, zero = word & kStatusZero, sign = word & kStatusSign,
             overflow = word & kStatusOverflow, less = sign != overflow;
  switch (cc) {
    case Cc::kE:
      return zero;
    case Cc::kNE:
      return !zero;
    case Cc::kL:
      return less;
    case Cc::kGE:
      return !less;
    case Cc::kLE:
      return less || zero;
    case Cc::kG:
      return !less && !zero;
    case Cc::kB:
      return carry;
    case Cc::kAE:
      return !carry;
    case Cc::kBE:
      return carry || zero;
    case Cc::kA:
      return !carry && !zero;
    case Cc::kS:
      return sign;
    case Cc::kNS:
      return !sign;
    case Cc::kO:
      return overflow;
    default:
      return !overflow;  // NO
  }
}

}  // namespace

bool Emitter::same_value(ValueId a, ValueId b) const {
  if (a == kNoValue || b == kNoValue) return a == b;
  if (root(a) == root(b)) return true;
  return at(root(a)).op == Op::Const && at(root(b)).op == Op::Const && constant(a) == constant(b);
}

namespace {
/// The host's condition that some of these bits of a status word are set; `other_carry`: its carry is not the
/// host's.
std::optional<Cc> condition_of_word(uint64_t bits, bool other_carry) {
  if (other_carry && (bits & ir::eval::kStatusCarry))
    return bits == ir::eval::kStatusCarry ? std::optional(Cc::kAE) : std::nullopt;
  switch (bits) {
    case ir::eval::kStatusOverflow:
      return Cc::kO;
    case ir::eval::kStatusCarry:
      return Cc::kB;
    case ir::eval::kStatusParity:
      return Cc::kP;
    case ir::eval::kStatusZero:
      return Cc::kE;
    case ir::eval::kStatusSign:
      return Cc::kS;
    case ir::eval::kStatusCarry | ir::eval::kStatusZero:
      return Cc::kBE;
    default:
      return std::nullopt;
  }
}
bool asks_carry(Cc cc) { return cc == Cc::kB || cc == Cc::kAE || cc == Cc::kBE || cc == Cc::kA; }
}  // namespace

std::optional<Cc> Emitter::cached(const ir::Inst& compare, const Flags& flags) const {
  if (flags.word != kNoValue && compare.op == Op::CmpTest && compare.elem == Type::I16 &&
      root(compare.args[0]) == flags.word && at(root(compare.args[1])).op == Op::Const)
    if (const auto cc = condition_of_word(constant(compare.args[1]), flags.other_carry)) return cc;
  const auto cc = cached_arithmetic(compare, flags);
  return cc && flags.step && asks_carry(*cc) ? std::nullopt : cc;
}

/// By what the flags are made of.
std::optional<Cc> Emitter::cached_arithmetic(const ir::Inst& compare, const Flags& flags) const {
  if (compare.op == Op::Select) return cached_choice(compare, flags);
  if (flags.kind == Flags::Kind::Choice) return std::nullopt;
  if (flags.kind == Flags::Kind::None || flags.kind == Flags::Kind::Float || flags.type != compare.elem)
    return std::nullopt;
  const ValueId a = compare.args[0], b = compare.args[1];
  const bool with_zero = at(root(b)).op == Op::Const && constant(b) == 0;
  if (flags.result != kNoValue && root(a) == flags.result && with_zero) {
    if (compare.op == Op::CmpEq) return Cc::kE;
    if (compare.op == Op::CmpNe) return Cc::kNE;
    if (compare.op == Op::CmpLtS) return Cc::kS;
  }
  if (const uint32_t maker = plan_[static_cast<ValueId>(&compare - insts_)].maker;
      maker != 0 && flags.result == root(maker - 1))
    return compare.op == Op::CmpEq ? Cc::kE : Cc::kNE;
  const bool straight = same_value(a, flags.a) && same_value(b, flags.b);
  const bool crossed = same_value(a, flags.b) && same_value(b, flags.a);
  switch (flags.kind) {
    case Flags::Kind::Sub:
      if (compare.op == Op::OverflowOfSub) return straight ? std::optional(Cc::kO) : std::nullopt;
      if (compare.op < Op::CmpEq || compare.op > Op::CmpLeU) return std::nullopt;
      if (straight) return condition_of_compare(compare.op);
      if (crossed) return swapped(condition_of_compare(compare.op));
      return std::nullopt;
    case Flags::Kind::Add: {
      const bool same_carry = compare.op == Op::CarryOfAdd || compare.op == Op::OverflowOfAdd
                                  ? (flags.carry == kNoValue ? at(root(compare.args[2])).op == Op::Const &&
                                                                   constant(compare.args[2]) == 0
                                                             : same_value(flags.carry, compare.args[2]))
                                  : flags.carry == kNoValue;
      if (!same_carry) return std::nullopt;
      if (compare.op == Op::CarryOfAdd && (straight || crossed)) return Cc::kB;
      if (compare.op == Op::OverflowOfAdd && (straight || crossed)) return Cc::kO;
      if (compare.op == Op::CmpLtU && flags.result != kNoValue && root(a) == flags.result &&
          (same_value(b, flags.a) || same_value(b, flags.b)))
        return Cc::kB;
      return std::nullopt;
    }
    case Flags::Kind::Logic:
      if (compare.op == Op::CmpTest && (straight || crossed)) return Cc::kNE;
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

/// A condition that holds as a compare says if `go` does, and is a constant if not.
std::optional<Cc> Emitter::cached_choice(const ir::Inst& choice, const Flags& flags) const {
  if (flags.kind != Flags::Kind::Choice || flags.go != root(choice.args[0])) return std::nullopt;
  Flags chosen = flags;
  chosen.kind = flags.chosen;
  const ir::Inst& compare = at(root(choice.args[1]));
  if (compare.op == Op::Not || compare.op == Op::Select) return std::nullopt;
  const auto cc = cached(compare, chosen);
  if (!cc || holds_for(*cc, flags.otherwise) != (constant(choice.args[2]) != 0)) return std::nullopt;
  return cc;
}

/// A test of bits of a field that lie in one byte, if the field is nowhere else.
bool Emitter::test_byte_of_state(ValueId value, uint16_t bits) {
  const Loc& l = loc(root(value));
  const unsigned high = (bits & 0xff) == 0;
  if (l.gpr != kNoReg || l.home != Home::State || (!high && bits > 0xff)) return false;
  touch(root(value));
  (void)a_.emit(hi::kIdTest, state_mem(l.offset + high, 1), Imm(bits >> 8 * high));
  return true;
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
    if (type == Type::I16 && imm && test_byte_of_state(a, static_cast<uint16_t>(*imm))) {
      flags_ = {Flags::Kind::Logic, type, root(a), root(b), kNoValue, kNoValue};
      return cc;
    }
    // A 16-bit immediate is slow to decode; the wider one has zeros above.
    const bool widen = imm && type == Type::I16;
    const Gp first = gp(use_gpr(a), widen ? Type::I32 : type);
    if (imm)
      (void)a_.test(first, widen ? static_cast<int32_t>(constant(b)) : *imm);
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
    if (const auto cc = evaluate_order(inst)) return *cc;
    if (const auto cc = cached(inst)) return *cc;
    if (const uint32_t maker = plan_[id].maker) {
      const Gp difference = gp(use_gpr(maker - 1), inst.elem);
      (void)a_.test(difference, difference);
      flags_ = {Flags::Kind::Logic, inst.elem, kNoValue, kNoValue, root(maker - 1), kNoValue};
      return inst.op == Op::CmpEq ? Cc::kE : Cc::kNE;
    }
    if (loc(id).gpr == kNoReg && loc(id).home == Home::None)
      return inst.op == Op::Select ? evaluate_choice(inst) : compare_flags(inst);
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

Cc Emitter::evaluate_choice(const ir::Inst& choice) {
  const uint16_t locked = locked_gpr_;
  const bool otherwise = constant(choice.args[2]) != 0;
  // The end of a chain comes first: else every part would wait for the rest in a register.
  const Op go = at(root(choice.args[0])).op;
  const bool chain = go == Op::Select || go == Op::Not;
  uint8_t parts[2];
  uint16_t taken = 0;
  for (const unsigned k : {chain ? 0u : 1u, chain ? 1u : 0u}) {
    const Cc cc = evaluate(choice.args[k]);
    locked_gpr_ = static_cast<uint16_t>(locked | taken);
    parts[k] = take_gpr();
    taken |= static_cast<uint16_t>(1u << parts[k]);
    (void)a_.emit(hi::setccFromCond(k == 0 && otherwise ? x86::negateCond(cc) : cc), x86::gpb_lo(parts[k]));
  }
  (void)a_.emit(otherwise ? hi::kIdOr : hi::kIdAnd, x86::gpb_lo(parts[1]), x86::gpb_lo(parts[0]));
  locked_gpr_ = locked;
  no_flags();
  return Cc::kNE;
}

/// The compare as a value of 0 or 1.
void Emitter::materialise(ValueId lazy) {
  // What is compared is wanted no more: an instruction on several compares would run out of registers.
  const uint16_t locked = locked_gpr_;
  const Cc cc = evaluate(lazy);
  locked_gpr_ = locked;
  const uint8_t reg = take_gpr();
  (void)a_.emit(hi::setccFromCond(cc), x86::gpb_lo(reg));
  (void)a_.movzx(gp32(reg), x86::gpb_lo(reg));
  bind_gpr(lazy, reg);
}

/// A result that was wanted for its flags alone, after these are gone.
void Emitter::remake(ValueId id) {
  const ir::Inst& inst = at(id);
  if (inst.op == Op::FCompare) {
    const uint8_t reg = take_gpr();
    make_order(inst, reg);
    bind_gpr(id, reg);
    return;
  }
  const uint16_t locked = locked_gpr_;
  const Operand second = use_rmi(inst.args[1], inst.type);
  const uint8_t reg = copy_gpr(inst.args[0]);
  locked_gpr_ = static_cast<uint16_t>(locked | 1u << reg);
  (void)a_.emit(inst.op == Op::Sub ? hi::kIdSub : hi::kIdAnd, gp(reg, inst.type), second);
  flags_ = {inst.op == Op::Sub ? Flags::Kind::Sub : Flags::Kind::Logic,
            inst.type,
            root(inst.args[0]),
            root(inst.args[1]),
            id,
            kNoValue};
  bind_gpr(id, reg);
}

// --- a status word that depends on a condition

/// The host's flags become those of a sum or a difference if a condition holds, and those of a constant if
/// not.
void Emitter::choose_status(const ir::Inst& choice) {
  const ir::Inst& status = at(plan_[now_].maker - 1);
  const bool add = status.op == Op::StatusOfAdd, other_carry = status.aux != 0;
  const ValueId go = root(choice.args[0]);
  const auto otherwise = static_cast<uint16_t>(constant(choice.args[2]));
  const auto bytes = bytes_of_status(otherwise, other_carry);
  if (!bytes) {
    failed_ = true;  // the plan has seen to it
    return;
  }
  const Type type = status.elem;
  const Operand second = use_rmi(status.args[1], type);
  const uint8_t first = add ? copy_gpr(status.args[0]) : use_gpr(status.args[0]);
  const uint8_t scratch = take_gpr();
  const Cc cc = evaluate(go);
  Cold cold{};
  cold.kind = Cold::Kind::Flags;
  cold.from = a_.newLabel();
  cold.back = a_.newLabel();
  cold.d = scratch;
  cold.args[0] = bytes->a;
  cold.args[1] = bytes->b;
  cold.check = bytes->add;
  (void)a_.j(x86::negateCond(cc), cold.from);
  (void)a_.emit(add ? hi::kIdAdd : hi::kIdCmp, gp(first, type), second);
  (void)a_.bind(cold.back);
  cold_.push_back(cold);
  flags_ = {.kind = Flags::Kind::Choice,
            .type = type,
            .a = root(status.args[0]),
            .b = root(status.args[1]),
            .go = go,
            .chosen = add ? Flags::Kind::Add : Flags::Kind::Sub,
            .otherwise = static_cast<uint16_t>(otherwise ^ (other_carry ? ir::eval::kStatusCarry : 0))};
  bind_status();
}

void Emitter::emit_cold_flags(const Cold& cold) {
  (void)a_.bind(cold.from);
  (void)a_.mov(gp32(cold.d), cold.args[0]);
  (void)a_.emit(cold.check ? hi::kIdAdd : hi::kIdCmp, x86::gpb_lo(cold.d),
                Imm(static_cast<int8_t>(cold.args[1])));
  (void)a_.jmp(cold.back);
}

// --- floating point: an FCompare of which only conditions are wanted stays in the host flags

/// The FCompare that the compare asks about, if it has not been made a value.
const ir::Inst* Emitter::compared_order(const ir::Inst& compare, ValueId* order, uint64_t* with) const {
  if (compare.elem != Type::I8 || compare.op < Op::CmpEq || compare.op > Op::CmpTest) return nullptr;
  for (unsigned k = 0; k < 2; ++k) {
    const ValueId id = root(compare.args[k]);
    if (at(id).op != Op::FCompare || !plan_[id].only_flags) continue;
    if (locs_[id].gpr != kNoReg || locs_[id].home != Home::None) return nullptr;
    *order = id;
    *with = constant(compare.args[1 - k]);
    return &at(id);
  }
  return nullptr;
}

/// Host flags of a comparison of a with b, or the other way round. Raises what FCompare does.
void Emitter::order_flags(const ir::Inst& order, bool crossed) {
  const uint8_t a = use_pinned_xmm(order.args[crossed ? 1 : 0]);
  const uint8_t b = use_pinned_xmm(order.args[crossed ? 0 : 1]);
  const bool wide = order.elem == Type::F64, signal = order.fp_extra() & 1;
  const InstId id =
      signal ? (host_.avx ? (wide ? hi::kIdVcomisd : hi::kIdVcomiss) : (wide ? hi::kIdComisd : hi::kIdComiss))
             : (host_.avx ? (wide ? hi::kIdVucomisd : hi::kIdVucomiss)
                          : (wide ? hi::kIdUcomisd : hi::kIdUcomiss));
  compare_floats(id, a, b);
  flags_ = {Flags::Kind::Float, order.elem,  root(order.args[crossed]), root(order.args[crossed ? 0 : 1]),
            ir::kNoValue,       ir::kNoValue};
}

namespace {
struct OrderCondition {
  bool crossed, either;  ///< which comparison it is a condition of
  Cc cc;
};
/// Unordered sets zero, parity and carry; less sets carry; equal sets zero. `as_equal`: where the FCompare
/// has unordered as equal.
std::optional<OrderCondition> order_condition(Op op, bool order_first, uint64_t with, bool as_equal) {
  const bool equal = op == Op::CmpEq;
  if (as_equal) {
    if (with != ir::kFpEqual || (!equal && op != Op::CmpNe)) return std::nullopt;
    return OrderCondition{false, true, equal ? Cc::kE : Cc::kNE};
  }
  if (equal || op == Op::CmpNe) {
    if (with == ir::kFpLess) return OrderCondition{true, false, equal ? Cc::kA : Cc::kBE};
    if (with == ir::kFpGreater) return OrderCondition{false, false, equal ? Cc::kA : Cc::kBE};
    if (with == ir::kFpUnordered) return OrderCondition{false, true, equal ? Cc::kP : Cc::kNP};
  }
  if (op == Op::CmpTest && with == 1) return OrderCondition{false, false, Cc::kB};
  if (op == Op::CmpLtU && !order_first && with == ir::kFpLess) return OrderCondition{true, false, Cc::kB};
  if (op == Op::CmpLeU && order_first && with == ir::kFpLess) return OrderCondition{true, false, Cc::kAE};
  return std::nullopt;
}
}  // namespace

/// Whether the condition that comes next is one of the operands compared the other way round.
bool Emitter::wants_crossed(ValueId order) const {
  constexpr ValueId kNear = 8;
  for (ValueId i = order + 1; i < block_->insts.size() && i <= order + kNear; ++i) {
    const ir::Inst& inst = at(i);
    if (inst.op != Op::Branch && inst.op != Op::ExitIf && inst.op != Op::Select) continue;
    ValueId id = root(inst.args[0]);
    while (at(id).op == Op::Not) id = root(at(id).args[0]);
    ValueId asked = kNoValue;
    uint64_t with = 0;
    if (!compared_order(at(id), &asked, &with) || asked != order) return false;
    const bool as_equal = (at(asked).fp_extra() & 2) != 0;
    const auto condition = order_condition(at(id).op, root(at(id).args[0]) == asked, with, as_equal);
    return condition && condition->crossed;
  }
  return false;
}

std::optional<Cc> Emitter::evaluate_order(const ir::Inst& compare) {
  ValueId id = kNoValue;
  uint64_t with = 0;
  const ir::Inst* const order = compared_order(compare, &id, &with);
  if (!order) return std::nullopt;
  touch(id);
  const bool as_equal = (order->fp_extra() & 2) != 0;
  if (!as_equal && with == ir::kFpEqual && (compare.op == Op::CmpEq || compare.op == Op::CmpNe)) {
    const uint8_t mask = order_equal(*order), bit = take_gpr();
    (void)a_.emit(host_.avx ? hi::kIdVmovd : hi::kIdMovd, gp32(bit), xmm(mask));
    (void)a_.test(gp32(bit), gp32(bit));
    no_flags();
    return compare.op == Op::CmpEq ? Cc::kNE : Cc::kE;
  }
  const auto condition = order_condition(compare.op, root(compare.args[0]) == id, with, as_equal);
  if (!condition) return std::nullopt;
  const auto there = [&](bool crossed) {
    return flags_.kind == Flags::Kind::Float && flags_.type == order->elem &&
           flags_.a == root(order->args[crossed ? 1 : 0]) && flags_.b == root(order->args[crossed ? 0 : 1]);
  };
  if (!there(condition->crossed) && !(condition->either && there(!condition->crossed)))
    order_flags(*order, condition->crossed);
  return condition->cc;
}

/// A mask of whether both are equal; keeps the host flags.
uint8_t Emitter::order_equal(const ir::Inst& order) {
  const uint8_t a = use_xmm(order.args[0]), b = use_xmm(order.args[1]);
  const uint8_t mask = take_xmm();
  const bool wide = order.elem == Type::F64;
  equal_floats(wide, mask, a, b);
  return mask;
}

/// The FCompare as a value.
void Emitter::make_order(const ir::Inst& order, uint8_t d) {
  const uint8_t greater = take_gpr();
  load_const(d, 0);
  load_const(greater, 0);
  // Each is set by an unordered pair as well.
  order_flags(order, false);
  (void)a_.setb(x86::gpb_lo(d));
  order_flags(order, true);
  (void)a_.setb(x86::gpb_lo(greater));
  (void)a_.lea(gp32(d), x86::ptr(gp64(d), gp64(greater), 1));
}

}  // namespace lyrebird::jit::baseline
