// SPDX-License-Identifier: Apache-2.0
// Scalar integer arithmetic, shifts, bit counting, choice, conversions.
#include <bit>
#include <utility>

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
bool is_word(Type type) { return type == Type::I32 || type == Type::I64; }
}  // namespace

bool Emitter::emit_integer(const ir::Inst& inst) {
  switch (inst.op) {
    case Op::ZExt:
    case Op::SExt:
    case Op::Trunc:
    case Op::Bitcast:
    case Op::Pair64:
    case Op::Lo64:
    case Op::Hi64:
      return emit_convert(inst);
    case Op::Select:
      if (class_of(inst.type) == ValueClass::Memory) return false;
      emit_select(inst);
      return true;
    case Op::AddWithCarry:
    case Op::SubWithBorrow:
    case Op::CarryOfAdd:
    case Op::OverflowOfAdd:
      // A narrow sum would need what is above it cleared; its flags do not.
      if (!is_word(inst.elem) &&
          (inst.op == Op::AddWithCarry || inst.op == Op::SubWithBorrow || inst.elem == Type::I128))
        return false;
      emit_with_carry(inst);
      return true;
    case Op::Crc32:
      return emit_crc(inst);
    case Op::DivWideU:
    case Op::RemWideU:
    case Op::DivWideS:
    case Op::RemWideS:
      if (!is_word(inst.type)) return false;
      emit_divide_wide(inst);
      return true;
    case Op::StatusOfAdd:
    case Op::StatusOfSub:
    case Op::StatusOfValue:
    case Op::StatusOfOrder:
    case Op::StatusOfShift:
    case Op::StatusOfStep:
      return emit_status(inst);
    default:
      break;
  }
  if (inst.type == Type::I1) return emit_bool(inst);
  if (inst.type == Type::I8 || inst.type == Type::I16) {
    if (emit_narrow(inst)) return true;
  }
  return is_word(inst.type) && inst.elem == inst.type && emit_word(inst);
}

/// 8 and 16 bits, by the host's instructions for them: what lies above stays what the first operand has there
/// (is_narrow()).
bool Emitter::emit_narrow(const ir::Inst& inst) {
  if (!is_narrow(*block_, inst)) return false;
  const Type type = inst.type;
  const auto binary = [&](InstId id, Flags::Kind kind) {
    const Operand second = use_rmi(inst.args[1], type);
    if (plan_[now_].only_flags)
      (void)a_.emit(id == hi::kIdAnd ? hi::kIdTest : hi::kIdCmp, gp(use_gpr(inst.args[0]), type), second);
    else
      (void)a_.emit(id, gp(def_copy(inst.args[0], second), type), second);
    const bool compares = kind != Flags::Kind::Logic || id == hi::kIdAnd;
    flags_ = {kind, type, kNoValue, kNoValue, now_, kNoValue};
    if (compares) flags_.a = root(inst.args[0]), flags_.b = root(inst.args[1]);
    kept_flags_ = true;
    return true;
  };
  switch (inst.op) {
    case Op::Add:
      if (plan_[now_].maker == 0) return binary(hi::kIdAdd, Flags::Kind::Add);
      emit_step(inst, hi::kIdInc);
      return true;
    case Op::Sub:
      if (plan_[now_].maker == 0) return binary(hi::kIdSub, Flags::Kind::Sub);
      emit_step(inst, hi::kIdDec);
      return true;
    case Op::And:
      return binary(hi::kIdAnd, Flags::Kind::Logic);
    case Op::Or:
      return binary(hi::kIdOr, Flags::Kind::Logic);
    case Op::Xor:
      return binary(hi::kIdXor, Flags::Kind::Logic);
    case Op::Mul: {
      const auto imm = imm32(inst.args[1], type);
      const uint8_t second = imm ? kNoReg : use_gpr(inst.args[1]);
      const Gp d = gp32(def_copy(inst.args[0], imm ? Operand() : Operand(gp32(second))));
      if (imm)
        (void)a_.emit(hi::kIdImul, d, d, Imm(*imm));
      else
        (void)a_.emit(hi::kIdImul, d, gp32(second));
      return true;
    }
    case Op::Neg:
    case Op::Not:
      (void)a_.emit(inst.op == Op::Neg ? hi::kIdNeg : hi::kIdNot, gp(def_copy(inst.args[0]), type));
      return true;
    default: {
      if (const uint32_t status = plan_[now_].maker) {
        emit_shift_for_status(inst, at(status - 1));
        return true;
      }
      const InstId id = inst.op == Op::Shl    ? hi::kIdShl
                        : inst.op == Op::ShrU ? hi::kIdShr
                        : inst.op == Op::ShrS ? hi::kIdSar
                                              : hi::kIdRor;
      const uint8_t d = def_copy(inst.args[0]);
      if (const uint64_t by = constant(inst.args[1]) % ir::bit_width(type))
        (void)a_.emit(id, gp(d, type), Imm(by));
      return true;
    }
  }
}

bool Emitter::emit_word(const ir::Inst& inst) {
  switch (inst.op) {
    case Op::Add:
      emit_add(inst);
      return true;
    case Op::Sub:
      emit_sub(inst);
      return true;
    case Op::And:
      if (plan_[now_].only_flags) {
        const auto imm = imm32(inst.args[1], inst.type);
        const Gp a = gp(use_gpr(inst.args[0]), inst.type);
        if (imm)
          (void)a_.test(a, *imm);
        else
          (void)a_.test(a, gp(use_gpr(inst.args[1]), inst.type));
      } else {
        emit_binary(inst, hi::kIdAnd, true);
      }
      flags_ = {Flags::Kind::Logic, inst.type, root(inst.args[0]), root(inst.args[1]), now_, kNoValue};
      return true;
    case Op::Or:
    case Op::Xor:
      emit_binary(inst, inst.op == Op::Or ? hi::kIdOr : hi::kIdXor, true);
      flags_ = {Flags::Kind::Logic, inst.type, kNoValue, kNoValue, now_, kNoValue};
      kept_flags_ = true;
      return true;
    case Op::Mul:
      if (const auto imm = imm32(inst.args[1], inst.type)) {
        const Operand a = use_rm(inst.args[0], inst.type);
        const uint8_t d = def_gpr(inst.args[0]);
        (void)a_.emit(hi::kIdImul, gp(d, inst.type), a, Imm(*imm));
      } else if (inst.type == Type::I64 && host_.bmi2 && carry_wanted()) {
        take_this_gpr(2);
        const Operand b = use_rm(inst.args[1], Type::I64);
        move_to(2, inst.args[0]);
        const uint8_t high = take_gpr();
        (void)a_.emit(hi::kIdMulx, gp64(high), gp64(def_gpr()), b);
        kept_flags_ = true;
      } else {
        emit_binary(inst, hi::kIdImul, true);
      }
      return true;
    case Op::MulHiS:
    case Op::MulHiU:
      if (inst.type != Type::I64) return false;
      emit_multiply_high(inst);
      return true;
    case Op::DivS:
    case Op::DivU:
      emit_divide(inst);
      return true;
    case Op::MinS:
    case Op::MaxS:
    case Op::MinU:
    case Op::MaxU:
      emit_min_max(inst);
      return true;
    case Op::Shl:
    case Op::ShrU:
    case Op::ShrS:
    case Op::RotR:
      emit_shift(inst);
      return true;
    case Op::BitSelect: {
      // c ^ (a & (b ^ c))
      const auto mask = imm32(inst.args[0], inst.type);
      const Gp c = gp(use_gpr(inst.args[2]), inst.type);
      const Gp t = gp(copy_gpr(inst.args[1]), inst.type);
      (void)a_.xor_(t, c);
      if (mask)
        (void)a_.and_(t, *mask);
      else
        (void)a_.and_(t, gp(use_gpr(inst.args[0]), inst.type));
      (void)a_.xor_(t, c);
      const uint8_t d = def_gpr();
      (void)a_.mov(gp(d, inst.type), t);
      return true;
    }
    case Op::FunnelShr: {
      const ValueId amount = inst.args[2];
      if (!is_const(amount)) return false;
      const auto by = static_cast<unsigned>(constant(amount) % ir::bit_width(inst.type));
      const uint8_t high = use_gpr(inst.args[0]), low = use_gpr(inst.args[1]);
      const uint8_t result = take_gpr();
      (void)a_.mov(gp(result, inst.type), gp(low, inst.type));
      if (by) (void)a_.shrd(gp(result, inst.type), gp(high, inst.type), by);
      const uint8_t d = def_gpr();
      (void)a_.mov(gp(d, inst.type), gp(result, inst.type));
      return true;
    }
    case Op::AndNot: {
      if (is_const(inst.args[1])) {
        const uint64_t mask = ~constant(inst.args[1]);
        const Type type = inst.type;
        const int64_t wanted = type == Type::I32 ? static_cast<int32_t>(mask) : static_cast<int64_t>(mask);
        const uint8_t a = use_gpr(inst.args[0]);
        if (wanted == static_cast<int32_t>(wanted)) {
          const uint8_t d = def_gpr(inst.args[0]);
          if (d != a) (void)a_.mov(gp(d, type), gp(a, type));
          (void)a_.emit(hi::kIdAnd, gp(d, type), Imm(wanted));
          return true;
        }
      }
      if (host_.bmi1) {
        const Operand a = use_rm(inst.args[0], inst.type);
        const uint8_t b = use_gpr(inst.args[1]);
        const uint8_t d = def_gpr(inst.args[1]);
        (void)a_.emit(hi::kIdAndn, gp(d, inst.type), gp(b, inst.type), a);
        return true;
      }
      const uint8_t a = use_gpr(inst.args[0]);
      const uint8_t mask = copy_gpr(inst.args[1]);
      (void)a_.not_(gp(mask, inst.type));
      (void)a_.and_(gp(mask, inst.type), gp(a, inst.type));
      (void)a_.mov(gp(def_gpr(), inst.type), gp(mask, inst.type));
      return true;
    }
    case Op::Neg:
    case Op::Not:
    case Op::ByteReverse:
      emit_unary(inst);
      return true;
    case Op::Clz:
    case Op::Ctz:
    case Op::PopCount: {
      if (inst.op == Op::PopCount && host_.popcnt && bit_width(inst.type) < 32) {
        const uint8_t a = use_clean(inst.args[0]);
        const uint8_t d = def_gpr();
        (void)a_.popcnt(gp32(d), gp32(a));
        return true;
      }
      const bool there = inst.op == Op::Clz ? host_.lzcnt : inst.op == Op::Ctz ? host_.bmi1 : host_.popcnt;
      if (!there) return false;
      const Operand a = use_rm(inst.args[0], inst.type);
      const uint8_t d = def_gpr(inst.args[0]);
      (void)a_.emit(inst.op == Op::Clz   ? hi::kIdLzcnt
                    : inst.op == Op::Ctz ? hi::kIdTzcnt
                                         : hi::kIdPopcnt,
                    gp(d, inst.type), a);
      return true;
    }
    case Op::Cls: {
      if (!host_.lzcnt) return false;
      const uint8_t a = use_gpr(inst.args[0]);
      const uint8_t t = take_gpr();
      (void)a_.mov(gp(t, inst.type), gp(a, inst.type));
      (void)a_.sar(gp(t, inst.type), 1);
      (void)a_.xor_(gp(t, inst.type), gp(a, inst.type));
      const uint8_t d = def_gpr(inst.args[0]);
      (void)a_.lzcnt(gp(d, inst.type), gp(t, inst.type));
      (void)a_.dec(gp(d, inst.type));
      return true;
    }
    case Op::BitReverse: {
      if (!host_.gfni || !host_.avx) return false;
      const uint8_t a = use_gpr(inst.args[0]);
      const uint8_t x = take_xmm();
      (void)a_.vmovq(xmm(x), gp64(a));
      (void)a_.vgf2p8affineqb(xmm(x), xmm(x), pool(0x8040201008040201, 0x8040201008040201), 0);
      const uint8_t d = def_gpr(inst.args[0]);
      (void)a_.vmovq(gp64(d), xmm(x));
      (void)a_.bswap(gp(d, inst.type));
      return true;
    }
    case Op::Abs: {
      const uint8_t a = use_gpr(inst.args[0]);
      const uint8_t t = take_gpr();
      (void)a_.mov(gp(t, inst.type), gp(a, inst.type));
      (void)a_.neg(gp(t, inst.type));
      (void)a_.cmovs(gp(t, inst.type), gp(a, inst.type));
      (void)a_.mov(gp(def_gpr(), inst.type), gp(t, inst.type));
      return true;
    }
    default:
      return false;
  }
}

/// d = a op b for instructions of two operands.
void Emitter::emit_binary(const ir::Inst& inst, InstId id, bool commutes) {
  ValueId a = inst.args[0], b = inst.args[1];
  const Type type = inst.type;
  if (commutes && (at(root(a)).op == Op::Const || (!dies(a) && dies(b) && in_register(b)))) std::swap(a, b);
  Operand second = id == hi::kIdImul ? use_rm(b, type) : use_rmi(b, type);
  if (in_memory(a) && !(second.isReg() && second.id() == plan_[now_].pinned)) {
    (void)a_.emit(id, gp(def_copy(a, second), type), second);
    return;
  }
  const uint8_t first = use_gpr(a);
  const uint8_t d = def_gpr(a);
  if (second.isReg() && second.id() == d && d != first) {
    if (commutes) {
      (void)a_.emit(id, gp(d, type), gp(first, type));
      return;
    }
    const uint8_t t = take_gpr();
    (void)a_.mov(gp(t, type), gp(d, type));
    second = gp(t, type);
  }
  if (d != first) (void)a_.mov(gp(d, type), gp(first, type));
  (void)a_.emit(id, gp(d, type), second);
}

void Emitter::emit_add(const ir::Inst& inst) {
  if (plan_[now_].maker != 0) return emit_step(inst, hi::kIdInc);
  if (plan_[now_].sum) {
    const Address sum = plan_.sum(now_);
    const uint8_t base = use_gpr(sum.base), index = use_gpr(sum.index);
    (void)a_.lea(gp(def_gpr(sum.base), inst.type),
                 x86::ptr(gp64(base), gp64(index), sum.shift, sum.displacement));
    return;
  }
  ValueId a = inst.args[0], b = inst.args[1];
  if (at(root(a)).op == Op::Const) std::swap(a, b);
  const auto imm = imm32(b, inst.type);
  const uint8_t target = plan_[now_].pinned;
  const bool in_place =
      in_register(a) &&
      (target == loc(root(a)).gpr || (target == kNoReg && dies(a) && !(pins_.mask >> loc(root(a)).gpr & 1)));
  if (!plan_[now_].flags_used && (!in_place || delays() || status_incoming_) &&
      (imm || at(root(b)).op != Op::Const)) {
    const uint8_t first = use_gpr(a);
    const uint8_t second = imm ? kNoReg : use_gpr(b);
    const uint8_t d = def_gpr(a);
    const Mem sum = imm ? x86::ptr(gp64(first), *imm) : x86::ptr(gp64(first), gp64(second));
    (void)a_.lea(gp(d, inst.type), sum);
    return;
  }
  emit_binary(inst, hi::kIdAdd, true);
  flags_ = {Flags::Kind::Add, inst.type, root(inst.args[0]), root(inst.args[1]), now_, kNoValue};
}

/// Whether the difference is an address computation, which leaves the host's flags alone.
bool Emitter::is_lea_of(const ir::Inst& difference) const {
  if (plan_[now_].flags_used || plan_[now_].only_flags || !is_word(difference.type)) return false;
  const auto imm = imm32(difference.args[1], difference.type);
  return imm && *imm != INT32_MIN;
}

void Emitter::emit_sub(const ir::Inst& inst) {
  if (plan_[now_].maker != 0) return emit_step(inst, hi::kIdDec);
  const Type type = inst.type;
  if (plan_[now_].only_flags) {
    const Operand second = use_rmi(inst.args[1], type);
    const Operand first =
        second.isMem() ? Operand(gp(use_gpr(inst.args[0]), type)) : use_rm(inst.args[0], type);
    (void)a_.emit(hi::kIdCmp, first, second);
  } else if (is_lea_of(inst) && (delays() || status_incoming_ ||
                                 (plan_[now_].pinned != kNoReg && in_register(inst.args[0]) &&
                                  loc(root(inst.args[0])).gpr != plan_[now_].pinned))) {
    const uint8_t a = use_gpr(inst.args[0]);
    const uint8_t d = def_gpr();
    (void)a_.lea(gp(d, type), x86::ptr(gp64(a), -*imm32(inst.args[1], type)));
    return;
  } else {
    emit_binary(inst, hi::kIdSub, false);
  }
  flags_ = {Flags::Kind::Sub, type, root(inst.args[0]), root(inst.args[1]), now_, kNoValue};
}

void Emitter::emit_unary(const ir::Inst& inst) {
  const uint8_t d = def_copy(inst.args[0]);
  (void)a_.emit(inst.op == Op::Neg   ? hi::kIdNeg
                : inst.op == Op::Not ? hi::kIdNot
                                     : hi::kIdBswap,
                gp(d, inst.type));
}

/// One up or down with the carry of a status word, which stays (StatusOfStep).
void Emitter::emit_step(const ir::Inst& inst, InstId id) {
  const ValueId old = at(plan_[now_].maker - 1).args[1];
  const bool live = is_live(old);
  const uint8_t d = def_copy(inst.args[0]);
  if (!live) load_status_carry(old);
  (void)a_.emit(id, gp(d, inst.type));
  flags_ = {id == hi::kIdInc ? Flags::Kind::Add : Flags::Kind::Sub,
            inst.type,
            root(inst.args[0]),
            root(inst.args[1]),
            now_,
            kNoValue};
  flags_.step = true;
  flags_.maker = now_;
}

/// A shift whose host flags are the status word (StatusOfShift).
void Emitter::emit_shift_for_status(const ir::Inst& inst, const ir::Inst& status) {
  constexpr InstId kIds[] = {hi::kIdShl, hi::kIdShr, hi::kIdSar, hi::kIdRol, hi::kIdRor};
  const ValueId by = status.args[1], old = status.args[2];
  const uint32_t way = ir::eval::shift_way(status.aux);
  const bool known = is_const(by), turn = way >= ir::eval::kTurnLeft;
  if (!known) {
    take_this_gpr(1);
    move_to(1, plan_.shift_amount(inst));
  }
  if ((turn || !known) && !is_live(old))
    load_status_flags(old, !known || (status.aux & ir::eval::kOldOverflow) != 0);
  const Gp d = gp(def_copy(inst.args[0]), inst.type);
  if (known)
    (void)a_.emit(kIds[way], d, Imm(constant(by)));
  else
    (void)a_.emit(kIds[way], d, x86::cl);
  flags_ = {Flags::Kind::Other,
            inst.type,
            root(inst.args[0]),
            root(by),
            turn || !known ? kNoValue : now_,
            kNoValue};
  flags_.way = static_cast<uint8_t>(way);
  flags_.maker = now_;
  kept_flags_ = true;
}

void Emitter::emit_shift(const ir::Inst& inst) {
  if (const uint32_t status = plan_[now_].maker) return emit_shift_for_status(inst, at(status - 1));
  const Type type = inst.type;
  const unsigned width = ir::bit_width(type);
  const ValueId a = inst.args[0], b = plan_.shift_amount(inst);
  const bool in_range = b != inst.args[1] || plan_.is_below(b, width);
  const InstId id = inst.op == Op::Shl    ? hi::kIdShl
                    : inst.op == Op::ShrU ? hi::kIdShr
                    : inst.op == Op::ShrS ? hi::kIdSar
                                          : hi::kIdRor;
  if (at(root(b)).op == Op::Const) {
    uint64_t by = constant(b);
    const auto note_flags = [&] {
      if (inst.op == Op::RotR || by == 0) return;
      flags_ = {Flags::Kind::Other, type, root(a), root(b), now_, kNoValue};
      flags_.way = static_cast<uint8_t>(inst.op == Op::Shl    ? ir::eval::kShiftLeft
                                        : inst.op == Op::ShrU ? ir::eval::kShiftRight
                                                              : ir::eval::kShiftRightSigned);
      kept_flags_ = true;
    };
    if (inst.op == Op::RotR) by %= width;
    if (by >= width && inst.op != Op::ShrS) return load_const(def_gpr(), 0);
    if (by >= width) by = width - 1;
    if (in_memory(a) && by) {
      (void)a_.emit(id, gp(def_copy(a), type), Imm(by));
      return note_flags();
    }
    const uint8_t from = use_gpr(a);
    const uint8_t d = def_gpr(a);
    if (d != from && inst.op == Op::RotR && host_.bmi2 && by) {
      (void)a_.rorx(gp(d, type), gp(from, type), by);
      return;
    }
    if (d != from || by == 0) (void)a_.mov(gp(d, type), gp(from, type));
    if (by) (void)a_.emit(id, gp(d, type), Imm(by));
    return note_flags();
  }
  if (host_.bmi2 && inst.op != Op::RotR) {
    uint8_t amount = use_gpr(b);
    const uint8_t from = use_gpr(a);
    if (!in_range && inst.op == Op::ShrS) {
      const uint8_t t = take_gpr();
      load_const(t, width - 1);
      (void)a_.cmp(gp(amount, type), width);
      (void)a_.cmovb(gp(t, type), gp(amount, type));
      amount = t;
    }
    const InstId shift = inst.op == Op::Shl ? hi::kIdShlx : inst.op == Op::ShrU ? hi::kIdShrx : hi::kIdSarx;
    if (in_range || inst.op == Op::ShrS) {
      const uint8_t d = def_gpr(a);
      (void)a_.emit(shift, gp(d, type), gp(from, type), gp(amount, type));
      return;
    }
    const uint8_t t = take_gpr();
    load_const(t, 0);
    (void)a_.cmp(gp(amount, type), width);
    const uint8_t shifted = take_gpr();
    (void)a_.emit(shift, gp(shifted, type), gp(from, type), gp(amount, type));
    (void)a_.cmovb(gp(t, type), gp(shifted, type));
    (void)a_.mov(gp(def_gpr(), type), gp(t, type));
    return;
  }
  take_this_gpr(1);
  const uint8_t amount = use_gpr(b), from = use_gpr(a);
  const uint8_t t = take_gpr();
  (void)a_.mov(gp(1, type), gp(amount, type));
  (void)a_.mov(gp(t, type), gp(from, type));
  if (inst.op != Op::RotR && !in_range) {
    // The host takes the amount modulo the width.
    const uint8_t limit = take_gpr();
    load_const(limit, width - 1);
    (void)a_.cmp(gp(1, type), width);
    if (inst.op == Op::ShrS) {
      (void)a_.cmovae(x86::ecx, gp32(limit));
    } else {
      load_const(limit, 0);
      (void)a_.cmovae(gp(t, type), gp(limit, type));
    }
  }
  (void)a_.emit(id, gp(t, type), x86::cl);
  (void)a_.mov(gp(def_gpr(), type), gp(t, type));
}

void Emitter::emit_multiply_high(const ir::Inst& inst) {
  if (inst.op == Op::MulHiU && host_.bmi2) {
    take_this_gpr(2);
    const Operand b = use_rm(inst.args[1], Type::I64);
    move_to(2, inst.args[0]);
    const Gp d = gp64(def_gpr());
    (void)a_.emit(hi::kIdMulx, d, d, b);
    kept_flags_ = true;
    return;
  }
  take_this_gpr(0);
  take_this_gpr(2);
  const uint8_t b = use_gpr(inst.args[1]), a = use_gpr(inst.args[0]);
  (void)a_.mov(x86::rax, gp64(a));
  (void)a_.emit(inst.op == Op::MulHiS ? hi::kIdImul : hi::kIdMul, x86::rdx, x86::rax, gp64(b));
  (void)a_.mov(gp64(def_gpr()), x86::rdx);
}

void Emitter::emit_min_max(const ir::Inst& inst) {
  const Type type = inst.type;
  const uint8_t b = use_gpr(inst.args[1]), a = use_gpr(inst.args[0]);
  const uint8_t t = take_gpr();
  (void)a_.mov(gp(t, type), gp(a, type));
  (void)a_.cmp(gp(a, type), gp(b, type));
  const Cc cc = inst.op == Op::MinS   ? Cc::kG
                : inst.op == Op::MaxS ? Cc::kL
                : inst.op == Op::MinU ? Cc::kA
                                      : Cc::kB;
  (void)a_.emit(hi::cmovccFromCond(cc), gp(t, type), gp(b, type));
  (void)a_.mov(gp(def_gpr(), type), gp(t, type));
}

void Emitter::emit_with_carry(const ir::Inst& inst) {
  const Type type = inst.elem;
  const ValueId carry = inst.args[2];
  const bool borrow = inst.op == Op::SubWithBorrow, is_flag = inst.op != Op::AddWithCarry && !borrow;
  const Cc cc = inst.op == Op::CarryOfAdd ? Cc::kB : Cc::kO;
  const auto there = is_flag ? cached(inst) : std::nullopt;
  if (there) {
    const uint8_t d = def_gpr();
    (void)a_.emit(hi::setccFromCond(*there), x86::gpb_lo(d));
    (void)a_.movzx(gp32(d), x86::gpb_lo(d));
    return;
  }
  const Operand second = use_rmi(inst.args[1], type);
  Cc there_in{};
  // A lazy carry is made before the sum takes the place of what it compares.
  const bool in_register = at(root(carry)).op != Op::Const && !carry_in_flags(carry, &there_in);
  unsigned bit = 0;
  bool opposite = false;
  const auto tested = in_register ? bit_tested(carry, &bit, &opposite) : std::nullopt;
  if (in_register && !tested) (void)use_gpr(carry);
  // The sum is made where the result goes, if nothing that is still to be read lives there.
  const bool of_itself = borrow && root(inst.args[0]) == root(inst.args[1]);
  const uint8_t pinned = plan_[now_].pinned;
  const bool in_place =
      !is_flag && (pinned == kNoReg || ((of_itself || !(second.isReg() && second.id() == pinned)) &&
                                        loc(root(carry)).gpr != pinned));
  const uint8_t sum = in_place && pinned != kNoReg ? def_copy(inst.args[0], second) : copy_gpr(inst.args[0]);
  if (at(root(carry)).op == Op::Const) {
    if (constant(carry))
      (void)a_.stc();
    else
      (void)a_.clc();
  } else if (carry_in_flags(carry, &there_in)) {
    if (there_in == Cc::kAE) (void)a_.cmc();
  } else if (tested) {
    (void)a_.emit(hi::kIdBt, *tested, Imm(bit));
    if (opposite) (void)a_.cmc();
  } else {
    (void)a_.bt(gp32(use_gpr(carry)), 0);
  }
  (void)a_.emit(borrow ? hi::kIdSbb : hi::kIdAdc, gp(sum, type), second);
  if (borrow)
    flags_ = {Flags::Kind::Other, type, root(inst.args[0]), root(inst.args[1]), now_, root(carry)};
  else
    flags_ = {Flags::Kind::Add,          type,       root(inst.args[0]), root(inst.args[1]),
              is_flag ? kNoValue : now_, root(carry)};
  if (in_place) {
    if (pinned == kNoReg) {
      touch(now_);
      bind_gpr(now_, sum);
    }
    return;
  }
  const uint8_t d = def_gpr();
  if (is_flag) {
    (void)a_.emit(hi::setccFromCond(cc), x86::gpb_lo(d));
    (void)a_.movzx(gp32(d), x86::gpb_lo(d));
  } else {
    (void)a_.mov(gp(d, type), gp(sum, type));
  }
}

/// What holds the bit, or its opposite, that the condition, which is not evaluated yet, asks about.
std::optional<Operand> Emitter::bit_tested(ValueId condition, unsigned* bit, bool* opposite) {
  const auto is_open = [&](ValueId id) {
    return plan_[id].lazy && loc(id).gpr == kNoReg && loc(id).home == Home::None;
  };
  ValueId id = root(condition);
  const ValueId asked = id;
  *opposite = at(id).op == Op::Not;
  if (*opposite && is_open(id)) id = root(at(id).args[0]);
  const ir::Inst& test = at(id);
  if (!is_open(id) || test.op != Op::CmpTest || test.elem != Type::I16 ||
      at(root(test.args[1])).op != Op::Const || !std::has_single_bit(constant(test.args[1])))
    return std::nullopt;
  touch(asked);
  touch(id);
  *bit = static_cast<unsigned>(std::countr_zero(constant(test.args[1])));
  return use_rm(test.args[0], Type::I16);
}

/// Whether the host's carry flag is the value (kB) or its opposite (kAE).
bool Emitter::carry_in_flags(ValueId carry, Cc* cc) const {
  ValueId id = root(carry);
  const bool opposite = at(id).op == Op::Not && plan_[id].lazy;
  if (opposite) id = root(at(id).args[0]);
  const ir::Inst& inst = at(id);
  if (inst.op != Op::CarryOfAdd && inst.op != Op::CmpTest && inst.op != Op::CmpLtU && inst.op != Op::CmpLeU)
    return false;
  const auto there = cached(inst);
  if (!there || (*there != Cc::kB && *there != Cc::kAE)) return false;
  *cc = opposite ? x86::negateCond(*there) : *there;
  return true;
}

/// An addition comes soon whose carry is in the host flags.
bool Emitter::carry_wanted() const {
  constexpr ValueId kNear = 32;
  if (flags_.kind != Flags::Kind::Add && flags_.kind != Flags::Kind::Sub) return false;
  for (ValueId i = now_ + 1; i < block_->insts.size() && i < now_ + kNear; ++i) {
    Cc cc{};
    if (at(i).op == Op::AddWithCarry) return carry_in_flags(at(i).args[2], &cc);
  }
  return false;
}

void Emitter::emit_select(const ir::Inst& inst) {
  if (plan_[now_].choice) return choose_status(inst);
  const ValueId yes = inst.args[1], no = inst.args[2];
  const Type type = inst.type;
  if (class_of(type) == ValueClass::Xmm) {
    const uint8_t a = use_xmm(yes), b = use_xmm(no);
    const Cc cc = evaluate(inst.args[0]);
    const uint8_t t = take_xmm();
    const Label skip = a_.newLabel();
    move_xmm(t, b);
    (void)a_.emit(hi::jccFromCond(x86::negateCond(cc)), skip);
    move_xmm(t, a);
    (void)a_.bind(skip);
    move_xmm(def_xmm(), t);
    return;
  }
  const bool constants = at(root(yes)).op == Op::Const && at(root(no)).op == Op::Const;
  if (constants && constant(yes) == 1 && constant(no) == 0) {
    const Cc cc = evaluate(inst.args[0]);
    const uint8_t d = def_gpr();
    (void)a_.emit(hi::setccFromCond(cc), x86::gpb_lo(d));
    (void)a_.movzx(gp32(d), x86::gpb_lo(d));
    return;
  }
  const Type wide = type == Type::I64 ? Type::I64 : Type::I32;
  // (What writes 32 bits clears what is above them.)
  const uint8_t a = is_word(type) ? use_gpr(yes) : use_clean(yes),
                b = is_word(type) ? use_gpr(no) : use_clean(no);
  const Cc cc = evaluate(inst.args[0]);
  const uint8_t d = def_gpr(no);
  if (d == a && d != b) {
    (void)a_.emit(hi::cmovccFromCond(x86::negateCond(cc)), gp(d, wide), gp(b, wide));
    return;
  }
  if (d != b) (void)a_.mov(gp(d, wide), gp(b, wide));
  (void)a_.emit(hi::cmovccFromCond(cc), gp(d, wide), gp(a, wide));
}

bool Emitter::emit_bool(const ir::Inst& inst) {
  if (class_of(inst.elem) != ValueClass::Gpr) return false;
  if (inst.elem != Type::I1) return false;
  InstId id;
  bool invert = false;
  switch (inst.op) {
    case Op::And:
    case Op::CmpTest:
      id = hi::kIdAnd;
      break;
    case Op::Or:
      id = hi::kIdOr;
      break;
    case Op::Xor:
    case Op::CmpNe:
      id = hi::kIdXor;
      break;
    case Op::CmpEq:
      id = hi::kIdXor;
      invert = true;
      break;
    case Op::Not: {
      const uint8_t a = use_gpr(inst.args[0]);
      const uint8_t d = def_gpr(inst.args[0]);
      if (d != a) (void)a_.mov(gp32(d), gp32(a));
      (void)a_.xor_(gp32(d), 1);
      no_flags();
      return true;
    }
    case Op::AndNot: {
      const uint8_t a = use_gpr(inst.args[0]);
      const uint8_t t = copy_gpr(inst.args[1]);
      (void)a_.xor_(gp32(t), 1);
      (void)a_.and_(gp32(t), gp32(a));
      (void)a_.mov(gp32(def_gpr()), gp32(t));
      no_flags();
      return true;
    }
    default:
      return false;
  }
  const uint8_t b = use_gpr(inst.args[1]);
  const uint8_t t = copy_gpr(inst.args[0]);
  (void)a_.emit(id, gp32(t), gp32(b));
  if (invert) (void)a_.xor_(gp32(t), 1);
  (void)a_.mov(gp32(def_gpr()), gp32(t));
  no_flags();
  return true;
}

bool Emitter::emit_convert(const ir::Inst& inst) {
  const ValueId a = inst.args[0];
  const Type from = type_of(a), to = inst.type;
  const bool ints = class_of(from) == ValueClass::Gpr && class_of(to) == ValueClass::Gpr;
  switch (inst.op) {
    case Op::ZExt: {
      if (!ints) return false;
      const uint8_t reg = use_gpr(a);
      const uint8_t d = def_gpr(a);
      if (from == Type::I1 && plan_[a].clean) {
        if (d != reg) (void)a_.mov(gp32(d), gp32(reg));
      } else if (from == Type::I1 || from == Type::I8)
        (void)a_.movzx(gp32(d), x86::gpb_lo(reg));
      else if (from == Type::I16)
        (void)a_.movzx(gp32(d), x86::gpw(reg));
      else
        (void)a_.mov(gp32(d), gp32(reg));
      return true;
    }
    case Op::SExt: {
      if (!ints) return false;
      const Type wide = to == Type::I64 ? Type::I64 : Type::I32;
      if (from == Type::I1) {
        const uint8_t reg = use_gpr(a);
        const uint8_t d = def_gpr(a);
        if (d != reg) (void)a_.mov(gp32(d), gp32(reg));
        (void)a_.neg(gp(d, wide));
        no_flags();
      } else {
        const Operand source = use_rm(a, from);
        const uint8_t d = def_gpr(a);
        (void)a_.emit(from == Type::I32 ? hi::kIdMovsxd : hi::kIdMovsx, gp(d, wide), source);
      }
      // Clean means zeros above the type.
      const uint8_t d = loc(now_).gpr;
      if (to == Type::I8) (void)a_.movzx(gp32(d), x86::gpb_lo(d));
      if (to == Type::I16) (void)a_.movzx(gp32(d), x86::gpw(d));
      return true;
    }
    case Op::Trunc: {
      if (!ints) return false;
      const uint8_t reg = use_gpr(a);
      const uint8_t d = def_gpr(a);
      if (to != Type::I1) {
        // (of a constant: others are views)
        if (to == Type::I8)
          (void)a_.movzx(gp32(d), x86::gpb_lo(reg));
        else if (to == Type::I16)
          (void)a_.movzx(gp32(d), x86::gpw(reg));
        else
          (void)a_.mov(gp32(d), gp32(reg));
        return true;
      }
      if (d != reg) (void)a_.mov(gp32(d), gp32(reg));
      (void)a_.and_(gp32(d), 1);
      return true;
    }
    case Op::Bitcast: {
      const bool wide = ir::byte_size(to) == 8;
      if (class_of(from) == ValueClass::Gpr && class_of(to) == ValueClass::Xmm) {
        const uint8_t reg = use_gpr(a);
        const uint8_t d = def_xmm();
        (void)a_.emit(
            wide ? (host_.avx ? hi::kIdVmovq : hi::kIdMovq) : (host_.avx ? hi::kIdVmovd : hi::kIdMovd),
            xmm(d), wide ? gp64(reg) : gp32(reg));
        return true;
      }
      if (class_of(from) == ValueClass::Xmm && class_of(to) == ValueClass::Gpr) {
        const uint8_t reg = use_xmm(a);
        const uint8_t d = def_gpr();
        (void)a_.emit(
            wide ? (host_.avx ? hi::kIdVmovq : hi::kIdMovq) : (host_.avx ? hi::kIdVmovd : hi::kIdMovd),
            wide ? gp64(d) : gp32(d), xmm(reg));
        return true;
      }
      define_from_memory(use_mem(a));
      return true;
    }
    case Op::Lo64:
      define_from_memory(use_mem(a));
      return true;
    case Op::Hi64:
      define_from_memory(use_mem(a).cloneAdjusted(8));
      return true;
    default: {  // Pair64
      const uint8_t low = use_gpr(a), high = use_gpr(inst.args[1]);
      Mem d = def_slot();
      d.setSize(8);
      (void)a_.mov(d, gp64(low));
      (void)a_.mov(d.cloneAdjusted(8), gp64(high));
      return true;
    }
  }
}

}  // namespace lyrebird::jit::baseline
