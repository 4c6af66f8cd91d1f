// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/lifter.h"

#include "frontend/arm/a64/helpers.h"
#include "frontend/arm/pauth.h"
#include "frontend/arm/system/system_mode.h"

namespace lyrebird::arm::a64 {

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
  ir.SetState(offsetof(A64State, n), flags.n);
  ir.SetState(offsetof(A64State, z), flags.z);
  ir.SetState(offsetof(A64State, c), flags.c);
  ir.SetState(offsetof(A64State, v_flag), flags.v);
  ctx.flags = flags;
}

Nzcv Lifter::nzcv() {
  if (!ctx.flags.n)
    ctx.flags = {ir.GetState(offsetof(A64State, n), I1), ir.GetState(offsetof(A64State, z), I1),
                 ir.GetState(offsetof(A64State, c), I1), ir.GetState(offsetof(A64State, v_flag), I1)};
  return ctx.flags;
}

Nzcv Lifter::flags_of_add(Value a, Value b, Value carry, Value result) {
  const Value zero = imm(a.type, 0);
  return {ir.CmpLtS(result, zero), ir.CmpEq(result, zero), ir.CarryOfAdd(a, b, carry),
          ir.OverflowOfAdd(a, b, carry)};
}

Nzcv Lifter::flags_of_add(Value a, Value b, Value result) {
  const Value zero = imm(a.type, 0);
  return {ir.CmpLtS(result, zero), ir.CmpEq(result, zero), ir.CmpLtU(result, a),
          ir.OverflowOfAdd(a, b, ir.False())};
}

Nzcv Lifter::flags_of_sub(Value a, Value b, Value result) {
  return {.n = ir.CmpLtS(result, imm(a.type, 0)),
          .z = ir.CmpEq(a, b),
          .c = ir.CmpLeU(b, a),
          .v = ir.OverflowOfSub(a, b),
          .sub_a = a,
          .sub_b = b};
}

// DDI 0487, FPCompare(): equal is ZC, less N, greater C, unordered CV.
Nzcv Lifter::flags_of_order(Value order) {
  const Value equal = imm(I8, ir::kFpEqual), less = imm(I8, ir::kFpLess);
  return {.n = ir.CmpEq(order, less),
          .z = ir.CmpEq(order, equal),
          .c = ir.CmpNe(order, less),
          .v = ir.CmpEq(order, imm(I8, ir::kFpUnordered)),
          .order = order};
}

Nzcv Lifter::flags_of_logic(Value result) {
  const Value zero = imm(result.type, 0), clear = ir.False();
  return {ir.CmpLtS(result, zero), ir.CmpEq(result, zero), clear, clear};
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
  if (ctx.flags.sub_a)
    if (const Value compare = compare_holds(condition, ctx.flags.sub_a, ctx.flags.sub_b)) {
      if (!ctx.flags.go) return compare;
      return ir.Select(ctx.flags.go, compare, imm(I1, holds_for(condition, ctx.flags.otherwise)));
    }
  if (ctx.flags.order) return order_holds(condition, ctx.flags.order);
  const Value result = flags_hold(condition >> 1);
  return condition & 1 ? ir.Not(result) : result;
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

/// The even condition of the pair: EQ, CS, MI, VS, HI, GE, GT. Reads no flag it does not need.
Value Lifter::flags_hold(unsigned pair) {
  const Nzcv& known = ctx.flags;
  const auto n = [&] { return known.n ? known.n : ir.GetState(offsetof(A64State, n), I1); };
  const auto z = [&] { return known.z ? known.z : ir.GetState(offsetof(A64State, z), I1); };
  const auto c = [&] { return known.c ? known.c : ir.GetState(offsetof(A64State, c), I1); };
  const auto v = [&] { return known.v ? known.v : ir.GetState(offsetof(A64State, v_flag), I1); };
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
