// SPDX-License-Identifier: Apache-2.0
// Status words: made by the host's own arithmetic, kept in its flags while nothing changes them.
#include <bit>

#include "ir/eval_scalar.h"
#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"
#include "jit/baseline/lane_index.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::kNoValue;
using ir::Op;
using ir::Type;
using ir::ValueId;
using Cc = x86::CondCode;

// --- status words: what the host's LAHF and SETO say

bool Emitter::emit_status(const ir::Inst& inst) {
  if (class_of(inst.elem) != ValueClass::Gpr) return false;
  if (inst.op == Op::StatusOfOrder && inst.aux != 0) return make_outcome_status(inst), true;
  const auto set_flags = [&] {
    switch (inst.op) {
      case Op::StatusOfOrder:
        return order_status_flags(inst);
      case Op::StatusOfShift:
        return shift_status_flags(inst);
      case Op::StatusOfStep:
        return step_status_flags(inst);
      default:
        return status_flags(inst);
    }
  };
  if (!set_flags()) return inst.op == Op::StatusOfOrder && make_order_status(inst);
  bind_status();
  return true;
}

/// The current instruction's status word is in the host's flags: it stays there, or comes to rax.
void Emitter::bind_status() {
  const ir::Inst& inst = at(now_);
  const ir::Inst& status = inst.op == Op::Select ? at(plan_[now_].maker - 1) : inst;
  const bool plain =
      status.op == Op::StatusOfAdd || status.op == Op::StatusOfSub || status.op == Op::StatusOfValue;
  kept_flags_ = true;
  flags_.word = now_;
  flags_.other_carry = plain && status.aux != 0;
  if (delays_status() && (!flags_.other_carry || pins_.other_carry))
    return delay_status(flags_.other_carry ? FlagsAt::HostSum : FlagsAt::Host, now_ + 1);
  take_this_gpr(0);
  load_status();
  touch(now_);
  bind_gpr(now_, 0);
}

/// The word that the host's flags are, in ax; they stay.
void Emitter::load_status() {
  if (flags_.other_carry) a_.complement_carry();
  a_.load_status();
  // A Select's value has zeros above it.
  if (flags_.word != kNoValue && at(flags_.word).op == Op::Select) (void)a_.movzx(x86::eax, x86::ax);
  if (flags_.other_carry) a_.complement_carry();
}

/// Whether the status word that is made now need not be stored yet: the SetState follows. Who else wants it
/// finds it in the host's flags, or save_word() has been there before.
bool Emitter::delays_status() const {
  if (!may_delay_ || now_ + 1 >= block_->insts.size()) return false;
  const ir::Inst& next = insts_[now_ + 1];
  return next.op == Op::SetState && next.imm == pins_.status && next.args[0] == now_ &&
         !plan_[now_ + 1].skipped && f80_stack_.empty();
}

/// `write`: the SetState.
void Emitter::delay_status(FlagsAt at, ValueId write) {
  delayed_ = at;
  status_end_ = plan_[write].last_use;
  a_.guard_flags(true);
}

/// Before an instruction: stores the delayed status word if the host's flags will change and somebody may see
/// it.
void Emitter::settle_status(const ir::Inst& inst) {
  if (now_ > status_end_) {
    if (wants_word()) {
      if (keeps_status(inst)) return;
      save_word();
    }
    return forget_status();
  }
  if (!keeps_status(inst)) store_status();
}

/// Whether the delayed status word is still an operand, of others than what the current instruction makes
/// with it in the host's flags.
bool Emitter::wants_word() const {
  const ValueId word = flags_.word;
  if (word == kNoValue || plan_[word].last_use < now_) return false;
  const uint32_t user = plan_[now_].maker;
  const Op op = user != 0 && is_live(word) ? at(user - 1).op : Op::Const;
  return (op != Op::StatusOfShift && op != Op::StatusOfStep) || plan_[word].last_use > user - 1;
}

/// The delayed status word into a register; the host's flags stay.
void Emitter::save_word() {
  const uint16_t locked = locked_gpr_;
  take_this_gpr(0);
  load_status();
  touch(flags_.word);
  bind_gpr(flags_.word, 0);
  locked_gpr_ = locked;
}

bool Emitter::keeps_status(const ir::Inst& inst) {
  if (!f80_stack_.empty()) return false;
  if (flags_.word != kNoValue && inst.op != Op::Branch && inst.op != Op::ExitIf && !plan_[now_].lazy &&
      !(inst.op == Op::SetState && inst.imm == pins_.status))
    for (unsigned k = 0, n = inst.op == Op::Const ? 0 : ir::arg_count(inst); k < n; ++k)
      if (root(inst.args[k]) == flags_.word) return false;
  const auto plain = [&] {
    const auto info = ir::MemInfo::unpack(inst.aux & 0xffffff);
    return info.align == ir::Align::None && !info.big_endian && info.order != ir::Order::SeqCst &&
           class_of(inst.type) != ValueClass::Memory;
  };
  const auto is_lazy = [&](ValueId id) { return plan_[root(id)].lazy || plan_[root(id)].only_flags; };
  // A look into the TLB changes the host's flags.
  if (options_.system && is_memory_access(inst.op)) return false;
  switch (inst.op) {
    case Op::Insn:
    case Op::Const:
    case Op::Jump:
      return true;
    case Op::Branch:
    case Op::ExitIf:
      return is_answered(inst.args[0]);
    case Op::GetState:
      return inst.type != Type::I1 || plan_[now_].root != now_ || !plan_[now_].needed;
    case Op::SetState:
      if (pins_.is_status(static_cast<uint32_t>(inst.imm), ir::byte_size(inst.type)))
        return inst.args[0] == flags_.word && now_ == flags_.word + 1;  // as delays_status() has seen
      return inst.type != Type::F80 && !is_lazy(inst.args[0]);
    case Op::Load:
      return plain();
    case Op::Store:
      return plain() && !is_lazy(inst.args[1]);
    case Op::ZExt:
      if (plan_[root(inst.args[0])].lazy && plan_[now_].needed) return is_answered(inst.args[0]);
      [[fallthrough]];
    case Op::SExt:
    case Op::Trunc:
      return class_of(inst.type) == ValueClass::Gpr && !is_lazy(inst.args[0]);
    case Op::Select:
      // A conditional move, or the condition as a number.
      if (plan_[now_].lazy || !plan_[now_].needed) return true;
      return !plan_[now_].choice && class_of(inst.type) == ValueClass::Gpr && inst.type != Type::I1 &&
             !is_lazy(inst.args[1]) && !is_lazy(inst.args[2]) && is_answered(inst.args[0]);
    case Op::Add:
      if (class_of(inst.type) != ValueClass::Gpr) return is_vector_only(inst);
      return !plan_[now_].flags_used && ir::bit_width(inst.type) >= 32;
    case Op::Sub:
      return class_of(inst.type) == ValueClass::Gpr ? is_lea_of(inst) : is_vector_only(inst);
    default: {
      // What makes no code.
      const ValuePlan& plan = plan_[now_];
      const bool pure = (ir::effects(inst, helpers_) & ~(ir::Reads | ir::ReadsState)) == 0;
      if (pure && (plan.lazy || !plan.needed || plan.root != now_)) return true;
      if ((inst.op == Op::Bitcast || inst.op == Op::VecFromScalar) && is_lazy(inst.args[0])) return false;
      return is_vector_only(inst);
    }
  }
}

/// Whether nothing but the host's vector registers has part in it, so that its flags stay.
bool Emitter::is_vector_only(const ir::Inst& inst) const {
  if (!host_.avx) return false;
  const auto is_xmm = [&](unsigned k) { return class_of(type_of(inst.args[k])) == ValueClass::Xmm; };
  const bool made = class_of(inst.type) == ValueClass::Xmm;
  switch (inst.op) {
    case Op::And:
    case Op::Or:
    case Op::Xor:
    case Op::Not:
    case Op::AndNot:
    case Op::Concat:
    case Op::HalfHi:
      return made;
    case Op::Add:
    case Op::Sub:
    case Op::ZipLo:
    case Op::ZipHi:
    case Op::ExtractLane:
      return made && is_xmm(0) && lane_index(inst.elem) <= 3;
    case Op::VecFromScalar:
      return made && lane_index(inst.elem) <= 3;
    case Op::InsertLane:
      return made && is_xmm(1) && (lane_index(inst.elem) == 2 || lane_index(inst.elem) == 3);
    case Op::Resize:
      return made && is_xmm(0);
    case Op::Bitcast:
      return (made && class_of(type_of(inst.args[0])) != ValueClass::Memory) ||
             (class_of(inst.type) == ValueClass::Gpr && is_xmm(0));
    default:
      return options_.sse_floats ? is_native_arithmetic(inst) || is_native_convert(inst)
                                 : keeps_flags_by_traps(inst);
  }
}

/// Whether the host's flags are as the block was entered with up to the last fault before the status word is
/// overwritten.
bool Emitter::keeps_incoming_status() {
  if (plan_.status_fault() == 0) return false;
  for (now_ = 0; now_ <= plan_.status_fault(); ++now_)
    if (!keeps_status(insts_[now_])) return false;
  return true;
}

/// Whether the condition is one that the host's flags answer as they are.
bool Emitter::is_answered(ValueId condition) {
  ValueId id = root(condition);
  while (plan_[id].lazy && at(id).op == Op::Not) id = root(at(id).args[0]);
  if (!plan_[id].lazy || loc(id).gpr != kNoReg || loc(id).home != Home::None) return false;
  ValueId order = kNoValue;
  uint64_t with = 0;
  return !compared_order(at(id), &order, &with) && cached(at(id)).has_value();
}

void Emitter::store_status() {
  const uint16_t locked = locked_gpr_;
  const FlagsAt at = delayed_;
  forget_status();
  take_this_gpr(0);
  lose_state(pins_.status, Pins::kStatusSize, true);
  put_flags(at);
  if (at == FlagsAt::HostSum && flags_.kind == Flags::Kind::Logic) {
    // Nobody asks for the carry but that of the word, which it is now.
    flags_.other_carry = false;
    flags_.step = true;
  } else if (at == FlagsAt::HostSum) {
    a_.complement_carry();  // the current instruction may count on it
  }
  if (wants_word()) {
    if (this->at(flags_.word).op == Op::Select) (void)a_.movzx(x86::eax, x86::ax);
    touch(flags_.word);
    bind_gpr(flags_.word, 0);
  }
  locked_gpr_ = locked;
}

void Emitter::forget_status() {
  delayed_ = FlagsAt::State;
  a_.guard_flags(false);
}

/// Stores the guest's flags, which are in the host's, by way of rax. The host's carry may be another one
/// then.
void Emitter::put_flags(FlagsAt at) {
  if (at == FlagsAt::HostSum) a_.complement_carry();
  a_.load_status();
  (void)a_.mov(state_mem(pins_.status, Pins::kStatusSize), x86::ax);
}

/// Sets the host flags that a status word consists of.
bool Emitter::status_flags(const ir::Inst& inst) {
  const Type type = inst.elem;
  const ValueId a = inst.args[0], b = inst.args[1];
  const bool same_type = flags_.type == type;
  if (inst.op == Op::StatusOfValue) {
    if (flags_.kind == Flags::Kind::Logic && same_type && flags_.result == root(a) && !flags_.step)
      return true;
    const ValueId id = root(a);
    if (plan_[id].only_flags && loc(id).gpr == kNoReg && at(id).op == Op::And && at(id).type == type) {
      touch(id);
      const ValueId first = at(id).args[0], second = at(id).args[1];
      const auto imm = imm32(second, type);
      if (imm)
        (void)a_.test(gp(use_gpr(first), type), *imm);
      else
        (void)a_.test(gp(use_gpr(first), type), gp(use_gpr(second), type));
    } else {
      const Gp value = gp(use_gpr(a), type);
      (void)a_.test(value, value);
    }
    flags_ = {Flags::Kind::Logic, type, kNoValue, kNoValue, id, kNoValue};
    return true;
  }
  const bool add = inst.op == Op::StatusOfAdd, plain = is_known(inst.args[2], 0);
  const Flags::Kind kind = add ? Flags::Kind::Add : Flags::Kind::Sub;
  if (const uint32_t maker = plan_[now_].maker) {
    touch(maker - 1);
    // (Nothing between them changes the flags; if that were wrong the block would be interpreted.)
    if ((flags_.kind != kind && flags_.kind != Flags::Kind::Other) || flags_.result != maker - 1)
      failed_ = true;
    return true;
  }
  const bool straight = same_value(a, flags_.a) && same_value(b, flags_.b);
  const bool crossed = add && same_value(a, flags_.b) && same_value(b, flags_.a);
  const bool same_carry = flags_.carry == kNoValue ? plain : add && same_value(flags_.carry, inst.args[2]);
  if (flags_.kind == kind && same_type && same_carry && !flags_.step && (straight || crossed)) return true;
  if (!add && plain) {
    const Operand second = use_rmi(b, type);
    (void)a_.emit(hi::kIdCmp, gp(use_gpr(a), type), second);
    flags_ = {kind, type, root(a), root(b), kNoValue, kNoValue};
    return true;
  }
  const Operand second = use_rmi(b, type);
  if (!plain) {
    // The host's own instruction wants the carry in its flags.
    const uint8_t carry = use_gpr(inst.args[2]), sum = copy_gpr(a);
    (void)a_.bt(gp32(carry), 0);
    (void)a_.emit(add ? hi::kIdAdc : hi::kIdSbb, gp(sum, type), second);
    flags_ = {};
    return true;
  }
  // In its own register if nobody wants it any more.
  const uint8_t there = loc(root(a)).gpr;
  const bool free = dies(a) && there != kNoReg && !(pins_.mask >> there & 1);
  const uint8_t sum = free ? use_gpr(a) : copy_gpr(a);
  (void)a_.emit(hi::kIdAdd, gp(sum, type), second);
  flags_ = {kind, type, root(a), root(b), kNoValue, kNoValue};
  return true;
}

/// The same of a shift, by the host's own.
bool Emitter::shift_status_flags(const ir::Inst& inst) {
  const uint32_t way = ir::eval::shift_way(inst.aux);
  const ValueId a = inst.args[0], b = inst.args[1], old = inst.args[2];
  const Type type = inst.elem;
  if (const uint32_t maker = plan_[now_].maker) {
    touch(maker - 1);
    touch(root(old));
    if (flags_.way != way || flags_.maker != maker - 1) failed_ = true;
    return true;
  }
  const bool known = at(root(b)).op == Op::Const, turn = way >= ir::eval::kTurnLeft;
  const uint64_t by = known ? constant(b) & (type == Type::I64 ? 63 : 31) : 0;
  if (!pins_.shifts_alike(inst, known ? std::optional(by) : std::nullopt)) return false;
  if (known && by == 0) return false;
  if (!turn && flags_.kind == Flags::Kind::Other && flags_.way == way && flags_.type == type &&
      flags_.result != kNoValue && flags_.a == root(a) && at(flags_.b).op == Op::Const &&
      constant(flags_.b) == by)
    return true;
  constexpr InstId kIds[] = {hi::kIdShl, hi::kIdShr, hi::kIdSar, hi::kIdRol, hi::kIdRor};
  if (!known) {
    take_this_gpr(1);
    move_to(1, b);
  }
  if ((turn || !known) && !is_live(old))
    load_status_flags(old, !known || (inst.aux & ir::eval::kOldOverflow) != 0);
  const Gp t = gp(copy_gpr(a), type);
  if (known)
    (void)a_.emit(kIds[way], t, Imm(by));
  else
    (void)a_.emit(kIds[way], t, x86::cl);
  flags_ = {Flags::Kind::Other};
  return true;
}

/// The same of one up or down.
bool Emitter::step_status_flags(const ir::Inst& inst) {
  const ValueId old = inst.args[1];
  if (const uint32_t maker = plan_[now_].maker) {
    touch(maker - 1);
    touch(root(old));
    if (!flags_.step || flags_.maker != maker - 1) failed_ = true;
    return true;
  }
  const Gp t = gp(copy_gpr(inst.args[0]), inst.elem);
  if (!is_live(old)) load_status_carry(old);
  (void)a_.emit(inst.aux == 0 ? hi::kIdInc : hi::kIdDec, t);
  flags_ = {Flags::Kind::Other};
  return true;
}

/// The host's flags from a status word; without the overflow in two instructions less.
void Emitter::load_status_flags(ValueId word, bool overflow) {
  take_this_gpr(0);
  move_to(0, word);
  if (overflow) {
    (void)a_.shl(x86::al, 7);
    (void)a_.add(x86::al, x86::al);
  }
  (void)a_.sahf();
}

/// Its carry alone.
void Emitter::load_status_carry(ValueId word) {
  if (at(root(word)).op == Op::Const) {
    (void)a_.emit(constant(word) & ir::eval::kStatusCarry ? hi::kIdStc : hi::kIdClc);
    return;
  }
  const Loc& l = loc(root(word));
  touch(root(word));
  const bool in_state = l.gpr == kNoReg && l.home == Home::State;
  const Operand m = in_state ? Operand(state_mem(l.offset, 2)) : use_rm(word, Type::I16);
  (void)a_.emit(hi::kIdBt, m, Imm(std::countr_zero(ir::eval::kStatusCarry)));
}

/// The word of a comparison that is a value, as those of F80 are.
bool Emitter::make_order_status(const ir::Inst& inst) {
  static_assert(ir::eval::kStatusCarry == 1 << 8 && ir::eval::kStatusParity == 4 << 8 &&
                ir::eval::kStatusZero == 0x40 << 8 && ir::eval::kStatusOne == 2 << 8);
  const uint8_t order = use_clean(inst.args[0]), equal = use_clean(inst.args[1]);
  const uint8_t t = take_gpr();
  const uint8_t word = def_gpr();
  (void)a_.mov(gp32(word), gp32(order));
  (void)a_.and_(gp32(word), 1);
  (void)a_.cmp(gp32(order), Imm(ir::kFpUnordered));
  (void)a_.emit(hi::kIdSete, x86::gpb_lo(t));
  (void)a_.movzx(gp32(t), x86::gpb_lo(t));
  (void)a_.lea(gp32(word), x86::ptr(gp64(word), gp64(t), 2, 2));
  (void)a_.cmp(gp32(equal), 1);
  (void)a_.emit(hi::kIdSbb, gp32(t), gp32(t));
  (void)a_.and_(gp32(t), 0x40);
  (void)a_.or_(gp32(word), gp32(t));
  (void)a_.emit(hi::kIdShl, gp32(word), Imm(8));
  no_flags();
  return true;
}

/// The word whose flags say less, equal, greater and unordered each for itself.
void Emitter::make_outcome_status(const ir::Inst& inst) {
  const auto word_of = [](ir::FpOrder order) { return ir::eval::StatusOfOrder(order, order, 1); };
  const ValueId id = root(inst.args[0]);
  const ir::Inst& order = at(id);
  const bool in_flags =
      order.op == Op::FCompare && plan_[id].only_flags && loc(id).gpr == kNoReg && loc(id).home == Home::None;
  const uint8_t value = in_flags ? kNoReg : use_clean(id);
  bool crossed = false;
  if (in_flags) {
    touch(id);
    const auto there = [&](unsigned first) {
      return flags_.kind == Flags::Kind::Float && flags_.type == order.elem &&
             flags_.a == root(order.args[first]) && flags_.b == root(order.args[1 - first]);
    };
    crossed = there(1);
    if (!crossed && !there(0)) order_flags(order, false);
  }
  const uint8_t t = take_gpr(), word = def_gpr();
  const auto begin = [&](ir::FpOrder outcome) { load_const(word, word_of(outcome)); };
  const auto choose = [&](Cc cc, ir::FpOrder outcome) {
    load_const(t, word_of(outcome));
    (void)a_.emit(hi::cmovccFromCond(cc), gp32(word), gp32(t));
  };
  if (in_flags) {
    begin(crossed ? ir::kFpLess : ir::kFpGreater);
    choose(Cc::kB, crossed ? ir::kFpGreater : ir::kFpLess);
    choose(Cc::kE, ir::kFpEqual);
    if (!(order.fp_extra() & 2)) choose(Cc::kP, ir::kFpUnordered);
    kept_flags_ = true;
    return;
  }
  begin(ir::kFpGreater);
  for (const ir::FpOrder outcome : {ir::kFpEqual, ir::kFpLess, ir::kFpUnordered}) {
    (void)a_.cmp(gp32(value), Imm(outcome));
    choose(Cc::kE, outcome);
  }
}

/// The same of a comparison of floats, if both operands are that comparison.
bool Emitter::order_status_flags(const ir::Inst& inst) {
  const ValueId ids[] = {root(inst.args[0]), root(inst.args[1])};
  for (const ValueId id : ids)
    if (at(id).op != Op::FCompare || !plan_[id].only_flags || loc(id).gpr != kNoReg ||
        loc(id).home != Home::None)
      return false;
  const ir::Inst &order = at(ids[0]), &equal = at(ids[1]);
  if ((order.fp_extra() & 2) || !(equal.fp_extra() & 2) || order.elem != equal.elem ||
      root(order.args[0]) != root(equal.args[0]) || root(order.args[1]) != root(equal.args[1]))
    return false;
  for (const ValueId id : ids) touch(id);
  const bool there = flags_.kind == Flags::Kind::Float && flags_.type == order.elem &&
                     flags_.a == root(order.args[0]) && flags_.b == root(order.args[1]);
  if (!there) order_flags(order, false);
  return true;
}

}  // namespace lyrebird::jit::baseline
