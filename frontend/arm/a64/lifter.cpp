// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/lifter.h"

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
}

Nzcv Lifter::nzcv() {
  return {ir.GetState(offsetof(A64State, n), I1), ir.GetState(offsetof(A64State, z), I1),
          ir.GetState(offsetof(A64State, c), I1), ir.GetState(offsetof(A64State, v_flag), I1)};
}

Nzcv Lifter::flags_of_add(Value a, Value b, Value carry) {
  const Value result = ir.AddWithCarry(a, b, carry), zero = imm(a.type, 0);
  return {ir.CmpLtS(result, zero), ir.CmpEq(result, zero), ir.CarryOfAdd(a, b, carry),
          ir.OverflowOfAdd(a, b, carry)};
}

Nzcv Lifter::flags_of_sub(Value a, Value b) {
  const Value result = ir.Sub(a, b);
  return {ir.CmpLtS(result, imm(a.type, 0)), ir.CmpEq(a, b), ir.CmpLeU(b, a), ir.OverflowOfSub(a, b)};
}

Nzcv Lifter::flags_of_logic(Value result) {
  const Value zero = imm(result.type, 0);
  return {ir.CmpLtS(result, zero), ir.CmpEq(result, zero), ir.False(), ir.False()};
}

// DDI 0487, ConditionHolds().
Value Lifter::holds(Cond condition) {
  const auto flag = [this](size_t offset) { return ir.GetState(static_cast<uint32_t>(offset), I1); };
  constexpr size_t kN = offsetof(A64State, n), kZ = offsetof(A64State, z), kC = offsetof(A64State, c),
                   kV = offsetof(A64State, v_flag);
  Value result;
  switch (condition >> 1) {
    case 0:
      result = flag(kZ);
      break;
    case 1:
      result = flag(kC);
      break;
    case 2:
      result = flag(kN);
      break;
    case 3:
      result = flag(kV);
      break;
    case 4:
      result = ir.AndNot(flag(kC), flag(kZ));
      break;
    case 5:
      result = ir.CmpEq(flag(kN), flag(kV));
      break;
    case 6:
      result = ir.AndNot(ir.CmpEq(flag(kN), flag(kV)), flag(kZ));
      break;
    default:
      return ir.True();
  }
  return condition & 1 ? ir.Not(result) : result;
}

MemInfo Lifter::memory(unsigned size, bool sign) {
  return {.size = static_cast<uint8_t>(size), .sign = sign, .address = ir::AddressRule::IgnoreTop};
}

FpMode Lifter::fp_mode(Type type) const {
  constexpr Round kRounds[] = {Round::NearestEven, Round::TowardPositive, Round::TowardNegative,
                               Round::TowardZero};
  const uint32_t fpcr = fpcr_of_mode(ctx.mode);
  const bool flush = (fpcr & (type == F16 ? kFpcrFz16 : kFpcrFz)) != 0;
  return {.round = kRounds[fpcr >> 22 & 3],
          .nan_rule = ir::NanRule::SignalingFirst,
          .default_nan = (fpcr & kFpcrDn) != 0,
          .flush_inputs = flush,
          .flush_outputs = flush,
          .tiny_before_rounding = true,
          .alternative_half = (fpcr & kFpcrAhp) != 0,
          // FZ16 never reports input denormals (FPUnpack).
          .denormal_report = type == F16 ? ir::DenormalReport::Never : ir::DenormalReport::WhenFlushed};
}

bool Lifter::unallocated() {
  ir.Raise(ExitKind::Undefined, ctx.word);
  return false;
}

}  // namespace lyrebird::arm::a64
