// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/lifter.h"

#include <bit>

#include "frontend/arm/a64/helpers.h"
#include "frontend/arm/pauth.h"
#include "frontend/arm/system/system_mode.h"

namespace lyrebird::arm::a64 {

using Origin = Nzcv::Origin;
using ir::eval::kStatusCarry;
using ir::eval::kStatusOne;
using ir::eval::kStatusOverflow;
using ir::eval::kStatusSign;
using ir::eval::kStatusZero;

Value Lifter::x(Reg n, Type type) {
  if (n == 31) return imm(type, 0);
  return ir.GetState(x_offset(n), type);
}

Value Lifter::x_or_sp(Reg n, Type type) {
  if (n != 31) return x(n, type);
  return ir.GetState(offsetof(A64State, sp), type);
}

void Lifter::set_x(Reg d, Value value) {
  if (d != 31) ir.SetState(x_offset(d), ir.ZExt(value, I64));
}

void Lifter::set_x_or_sp(Reg d, Value value) {
  if (d != 31) return set_x(d, value);
  ir.SetState(offsetof(A64State, sp), ir.ZExt(value, I64));
}

void Lifter::set_v(Vreg d, Value value) {
  if (!ir::is_vector(value.type)) value = ir.VecFromScalar(V128, value);
  ir.SetState(v_offset(d), ir.Resize(value, V128));
}

void Lifter::set_nzcv(const Nzcv& flags) {
  ir.SetState(offsetof(A64State, status), flags.word);
  ctx.flags = flags;
}

Value Lifter::status() {
  if (!ctx.flags.word) ctx.flags.word = ir.GetState(offsetof(A64State, status), I16);
  return ctx.flags.word;
}

Value Lifter::carry() {
  const Nzcv& flags = ctx.flags;
  if (flags.origin == Origin::Sub && !flags.go) return ir.CmpLeU(flags.b, flags.a);
  if (flags.origin == Origin::Add && !flags.go) return ir.CmpLtU(flags.result, flags.a);
  return ir.Not(tests(kStatusCarry));
}

Value Lifter::borrow() {
  const Nzcv& flags = ctx.flags;
  if (flags.origin == Origin::Sub && !flags.go) return ir.CmpLtU(flags.a, flags.b);
  return tests(kStatusCarry);
}

Nzcv Lifter::flags_of_add(Value a, Value b, Value result) {
  return {.word = ir.StatusOfAdd(a, b, ir.False(), ir::eval::kOtherCarry),
          .origin = Origin::Add,
          .a = a,
          .b = b,
          .result = result};
}

Nzcv Lifter::flags_of_sub(Value a, Value b, Value result) {
  return {.word = ir.StatusOfSub(a, b, ir.False()), .origin = Origin::Sub, .a = a, .b = b, .result = result};
}

// DDI 0487, FPCompare(): equal is ZC, less N, greater C, unordered CV.
Nzcv Lifter::flags_of_order(Value order) {
  return {.word = ir.StatusOfOrder(order), .origin = Origin::Order, .a = order};
}

Nzcv Lifter::flags_of_logic(Value result) {
  return {.word = ir.StatusOfValue(result, ir::eval::kOtherCarry), .origin = Origin::Logic, .result = result};
}

Nzcv Lifter::flags_if(Cond condition, Value holds, Nzcv flags, unsigned otherwise) {
  if (condition >= 14) return flags;
  flags.word = ir.Select(holds, flags.word, imm(I16, status_of_nzcv(otherwise)));
  flags.go = holds;
  flags.otherwise = otherwise;
  return flags;
}

Value Lifter::status_of(Value n, Value z, Value c, Value v) {
  const auto at = [this](Value flag, unsigned mask) {
    return ir.Shl(ir.ZExt(flag, I32), imm(I32, static_cast<unsigned>(std::countr_zero(mask))));
  };
  const Value clear = ir.Xor(at(c, kStatusCarry), imm(I32, kStatusOne | kStatusCarry));
  return ir.Trunc(ir.Or(ir.Or(at(n, kStatusSign), at(z, kStatusZero)), ir.Or(clear, at(v, kStatusOverflow))),
                  I16);
}

Value Lifter::status_of_bits(Value bits) {
  const Value nz = ir.And(ir.ShrU(bits, imm(I32, 16)), imm(I32, kStatusSign | kStatusZero));
  const Value c = ir.And(ir.ShrU(bits, imm(I32, 21)), imm(I32, kStatusCarry));
  const Value v = ir.And(ir.ShrU(bits, imm(I32, 28)), imm(I32, kStatusOverflow));
  return ir.Trunc(ir.Or(ir.Or(nz, v), ir.Xor(c, imm(I32, kStatusOne | kStatusCarry))), I16);
}

Value Lifter::bits_of_status() {
  const Value word = ir.ZExt(status(), I32);
  const Value nz = ir.Shl(ir.And(word, imm(I32, kStatusSign | kStatusZero)), imm(I32, 16));
  const Value c = ir.Shl(ir.AndNot(imm(I32, kStatusCarry), word), imm(I32, 21));
  return ir.Or(ir.Or(nz, c), ir.Shl(ir.And(word, imm(I32, kStatusOverflow)), imm(I32, 28)));
}

namespace {
/// The condition with given NZCV.
bool holds_for(unsigned condition, unsigned nzcv) {
  const bool n = nzcv & 8, z = nzcv & 4, c = nzcv & 2, v = nzcv & 1;
  const bool pairs[] = {z, c, n, v, c && !z, n == v, n == v && !z, true};
  return pairs[condition >> 1] != (condition & 1);
}
}  // namespace

// DDI 0487, ConditionHolds().
Value Lifter::holds(Cond condition) {
  if (condition >= 14) return ir.True();
  const Nzcv& flags = ctx.flags;
  if (const Value value = holds_by_origin(condition)) {
    if (!flags.go) return value;
    return ir.Select(flags.go, value, imm(I1, holds_for(condition, flags.otherwise)));
  }
  const Value result = word_holds(condition >> 1);
  return condition & 1 ? ir.Not(result) : result;
}

/// By what the flags come from; no value if that is not known.
Value Lifter::holds_by_origin(Cond condition) {
  const Nzcv& flags = ctx.flags;
  switch (flags.origin) {
    case Origin::Add: {
      const Value result = sum_holds(condition >> 1);
      return condition & 1 ? ir.Not(result) : result;
    }
    case Origin::Sub: {
      if (const Value compare = compare_holds(condition, flags.a, flags.b)) return compare;
      if (condition >> 1 == 3 || !flags.result) return {};
      const Value zero = imm(flags.a.type, 0);
      return condition & 1 ? ir.CmpLeS(zero, flags.result) : ir.CmpLtS(flags.result, zero);
    }
    case Origin::Logic:
      return logic_holds(condition, flags.result);
    case Origin::Order:
      return order_holds(condition, flags.a);
    default:
      return {};
  }
}

/// The condition after a comparison of a with b as one op; no value for those on N or V alone.
Value Lifter::compare_holds(Cond condition, Value a, Value b) {
  switch (condition) {
    case 0:
      return ir.CmpEq(a, b);
    case 1:
      return ir.CmpNe(a, b);
    case 2:
      return ir.CmpLeU(b, a);
    case 3:
      return ir.CmpLtU(a, b);
    case 8:
      return ir.CmpLtU(b, a);
    case 9:
      return ir.CmpLeU(a, b);
    case 10:
      return ir.CmpLeS(b, a);
    case 11:
      return ir.CmpLtS(a, b);
    case 12:
      return ir.CmpLtS(b, a);
    case 13:
      return ir.CmpLeS(a, b);
    default:
      return {};
  }
}

/// The condition after a floating-point comparison as one op, or two.
Value Lifter::order_holds(Cond condition, Value order) {
  const auto outcome = [this](ir::FpOrder o) { return imm(I8, o); };
  switch (condition) {
    case 0:  // EQ
      return ir.CmpEq(order, outcome(ir::kFpEqual));
    case 1:
      return ir.CmpNe(order, outcome(ir::kFpEqual));
    case 2:  // CS: equal, greater, unordered
    case 5:  // PL
      return ir.CmpNe(order, outcome(ir::kFpLess));
    case 3:
    case 4:  // MI
      return ir.CmpEq(order, outcome(ir::kFpLess));
    case 6:  // VS
      return ir.CmpEq(order, outcome(ir::kFpUnordered));
    case 7:
      return ir.CmpNe(order, outcome(ir::kFpUnordered));
    case 8:  // HI: greater, unordered
      return ir.CmpLtU(outcome(ir::kFpLess), order);
    case 9:
      return ir.CmpLeU(order, outcome(ir::kFpLess));
    case 10:  // GE: equal, greater
      return ir.Not(ir.CmpTest(order, imm(I8, 1)));
    case 11:  // LT: less, unordered
      return ir.CmpTest(order, imm(I8, 1));
    case 12:  // GT
      return ir.CmpEq(order, outcome(ir::kFpGreater));
    default:  // LE
      return ir.CmpNe(order, outcome(ir::kFpGreater));
  }
}

/// The even condition of the pair after a sum.
Value Lifter::sum_holds(unsigned pair) {
  const Nzcv& flags = ctx.flags;
  const Value zero = imm(flags.result.type, 0);
  const auto n = [&] { return ir.CmpLtS(flags.result, zero); };
  const auto z = [&] { return ir.CmpEq(flags.result, zero); };
  const auto c = [&] { return ir.CmpLtU(flags.result, flags.a); };
  const auto v = [&] { return ir.OverflowOfAdd(flags.a, flags.b, ir.False()); };
  switch (pair) {
    case 0:
      return z();
    case 1:
      return c();
    case 2:
      return n();
    case 3:
      return v();
    case 4:
      return ir.AndNot(c(), z());
    case 5:
      return ir.CmpEq(n(), v());
    default:
      return ir.AndNot(ir.CmpEq(n(), v()), z());
  }
}

/// The condition with the flags of a value: that of a comparison with zero, but for C, which is clear.
Value Lifter::logic_holds(Cond condition, Value result) {
  const Value zero = imm(result.type, 0);
  switch (condition) {
    case 2:  // CS
    case 6:  // VS
    case 8:  // HI
      return ir.False();
    case 3:
    case 7:
    case 9:
      return ir.True();
    case 4:  // MI
      return ir.CmpLtS(result, zero);
    case 5:
      return ir.CmpLeS(zero, result);
    default:
      return compare_holds(condition, result, zero);
  }
}

/// The even condition of the pair: EQ, CS, MI, VS, HI, GE, GT.
Value Lifter::word_holds(unsigned pair) {
  // Bit 0 of it: N and V differ.
  const auto less = [&] {
    const Value word = ir.ZExt(status(), I32);
    return ir.Xor(ir.ShrU(word, imm(I32, std::countr_zero(kStatusSign))), word);
  };
  switch (pair) {
    case 0:
      return tests(kStatusZero);
    case 1:
      return ir.Not(tests(kStatusCarry));
    case 2:
      return tests(kStatusSign);
    case 3:
      return tests(kStatusOverflow);
    case 4:
      return ir.Not(tests(kStatusCarry | kStatusZero));
    case 5:
      return ir.Not(ir.CmpTest(less(), imm(I32, 1)));
    default: {
      const Value zero = ir.ShrU(ir.ZExt(status(), I32), imm(I32, std::countr_zero(kStatusZero)));
      return ir.Not(ir.CmpTest(ir.Or(less(), zero), imm(I32, 1)));
    }
  }
}

Value Lifter::shifted(Value a, unsigned type, unsigned amount) {
  if (amount == 0) return a;
  const Value by = imm(a.type, amount);
  switch (type) {
    case 0:
      return ir.Shl(a, by);
    case 1:
      return ir.ShrU(a, by);
    case 2:
      return ir.ShrS(a, by);
    default:
      return ir.RotR(a, by);
  }
}

Value Lifter::extended(Reg m, unsigned option, unsigned amount, Type type) {
  constexpr Type kFrom[] = {I8, I16, I32, I64};
  const Type from = kFrom[option & 3];
  Value value;
  if (bit_width(from) >= bit_width(type)) {
    value = x(m, type);
  } else {
    const Value narrow = x(m, from);
    value = option & 4 ? ir.SExt(narrow, type) : ir.ZExt(narrow, type);
  }
  return shifted(value, 0, amount);
}

Value Lifter::add_pac(Value pointer, Value modifier, unsigned key) {
  return ir.CallHelper(kHelperAddPac, I64, {pointer, modifier, imm(I64, key)});
}

Value Lifter::authenticate(Value pointer, Value modifier, unsigned key) {
  return ir.CallHelper(kHelperAuthenticate, I64, {pointer, modifier, imm(I64, key)});
}

Value Lifter::strip_pac(Value pointer) {
  const Value upper = ir.CmpTest(pointer, imm(I64, uint64_t{1} << 55));
  return ir.Select(upper, ir.Or(pointer, imm(I64, kUpperPacMask)), ir.And(pointer, imm(I64, ~kPacMask)));
}

MemInfo Lifter::memory(unsigned size, bool sign) const {
  const auto bytes = static_cast<uint8_t>(size);
  if (!ctx.system) return {.size = bytes, .sign = sign, .address = ir::AddressRule::IgnoreTop};
  unsigned space = mmu_index_of_mode(ctx.mode);
  if (ctx.unprivileged && !(ctx.mode & kModeUnprivilegedAsIs))
    space = space >= kMmuEl2Host ? kMmuEl20 : kMmuEl0;
  return {.size = bytes,
          .sign = sign,
          .big_endian = size > 1 && (ctx.mode & kModeBigEndian),
          .align = size > 1 && (ctx.mode & kModeAlign) ? ir::Align::Natural : ir::Align::None,
          .space = static_cast<uint8_t>(space)};
}

// FPCR.AHP is not in it: FPUnpack ignores it, only FCVT heeds it.
FpMode Lifter::fp_mode(Type type) const {
  constexpr Round kRounds[] = {Round::NearestEven, Round::TowardPositive, Round::TowardNegative,
                               Round::TowardZero};
  const uint32_t fpcr = fpcr_of_mode(ctx.mode);
  const bool flush = (fpcr & (type == F16 ? kFpcrFz16 : kFpcrFz)) != 0;
  return {
      .round = kRounds[fpcr >> 22 & 3],
      .nan_rule = ir::NanRule::SignalingFirst,
      .default_nan = (fpcr & kFpcrDn) != 0,
      .flush_inputs = flush,
      .flush_outputs = flush,
      .tiny_before_rounding = true,
      // FZ16 never reports input denormals (FPUnpack). Without FZ there is nothing to report, and
      // "never" makes that the default mode, for which executors have handlers of their own.
      .denormal_report = type == F16 || !flush ? ir::DenormalReport::Never : ir::DenormalReport::WhenFlushed};
}

bool Lifter::unallocated() {
  ir.Raise(ExitKind::Undefined, ctx.word);
  return false;
}

}  // namespace lyrebird::arm::a64
