// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/helpers.h"
#include "frontend/arm/a64/lifter.h"

namespace lyrebird::arm::a64 {
namespace {

struct DataProcessingReg : Lifter {
  using Lifter::Lifter;

  // --- two sources

  bool UDIV(bool sf, Reg m, Reg n, Reg d) {
    set_x(d, ir.DivU(x(n, sized(sf)), x(m, sized(sf))));
    return true;
  }

  bool SDIV(bool sf, Reg m, Reg n, Reg d) {
    set_x(d, ir.DivS(x(n, sized(sf)), x(m, sized(sf))));
    return true;
  }

  bool LSLV(bool sf, Reg m, Reg n, Reg d) {
    set_x(d, ir.Shl(x(n, sized(sf)), shift_amount(sf, m)));
    return true;
  }

  bool LSRV(bool sf, Reg m, Reg n, Reg d) {
    set_x(d, ir.ShrU(x(n, sized(sf)), shift_amount(sf, m)));
    return true;
  }

  bool ASRV(bool sf, Reg m, Reg n, Reg d) {
    set_x(d, ir.ShrS(x(n, sized(sf)), shift_amount(sf, m)));
    return true;
  }

  bool RORV(bool sf, Reg m, Reg n, Reg d) {
    set_x(d, ir.RotR(x(n, sized(sf)), x(m, sized(sf))));
    return true;
  }

  bool CRC32(bool sf, Reg m, Imm<2> size, Reg n, Reg d) { return crc(sf, m, size, n, d, false); }
  bool CRC32C(bool sf, Reg m, Imm<2> size, Reg n, Reg d) { return crc(sf, m, size, n, d, true); }

  // --- one source

  bool RBIT(bool sf, Reg n, Reg d) {
    const Value value = x(n, sized(sf));
    set_x(d, ir.BitReverse(value));
    ctx.reversed = {ctx.pc, d, value};
    return true;
  }

  bool REV16(bool sf, Reg n, Reg d) {
    const Type type = sized(sf);
    const Value value = x(n, type), even = imm(type, 0x00ff00ff00ff00ff), eight = imm(type, 8);
    set_x(d, ir.Or(ir.And(ir.ShrU(value, eight), even), ir.Shl(ir.And(value, even), eight)));
    return true;
  }

  bool REV_w(Reg n, Reg d) {
    set_x(d, ir.ByteReverse(x(n, I32)));
    return true;
  }

  bool REV32(Reg n, Reg d) {
    set_x(d, ir.RotR(ir.ByteReverse(x(n)), imm(I64, 32)));
    return true;
  }

  bool REV_x(Reg n, Reg d) {
    set_x(d, ir.ByteReverse(x(n)));
    return true;
  }

  bool CLZ(bool sf, Reg n, Reg d) {
    const Value value = x(n, sized(sf));
    const bool reversed = n != 31 && ctx.reversed.number == n && ctx.reversed.pc + 4 == ctx.pc &&
                          ctx.reversed.value.type == value.type;
    set_x(d, reversed ? ir.Ctz(ctx.reversed.value) : ir.Clz(value));
    return true;
  }

  bool CLS(bool sf, Reg n, Reg d) {
    set_x(d, ir.Cls(x(n, sized(sf))));
    return true;
  }

  // --- logical, shifted register

  bool AND_shift(bool sf, Imm<2> shift, Reg m, Imm<6> amount, Reg n, Reg d) {
    if (!sf && amount.bit(5)) return unallocated();
    const Value a = x(n, sized(sf)), b = operand(sf, m, shift, amount);
    set_x(d, n == m && amount == 0 ? a : ir.And(a, b));
    return true;
  }

  bool BIC_shift(bool sf, Imm<2> shift, Reg m, Imm<6> amount, Reg n, Reg d) {
    if (!sf && amount.bit(5)) return unallocated();
    set_x(d, ir.AndNot(x(n, sized(sf)), operand(sf, m, shift, amount)));
    return true;
  }

  bool ORR_shift(bool sf, Imm<2> shift, Reg m, Imm<6> amount, Reg n, Reg d) {
    if (!sf && amount.bit(5)) return unallocated();
    const Value b = operand(sf, m, shift, amount);
    set_x(d, n == 31 ? b : ir.Or(x(n, sized(sf)), b));
    return true;
  }

  bool ORN_shift(bool sf, Imm<2> shift, Reg m, Imm<6> amount, Reg n, Reg d) {
    if (!sf && amount.bit(5)) return unallocated();
    const Value b = ir.Not(operand(sf, m, shift, amount));
    set_x(d, n == 31 ? b : ir.Or(x(n, sized(sf)), b));
    return true;
  }

  bool EOR_shift(bool sf, Imm<2> shift, Reg m, Imm<6> amount, Reg n, Reg d) {
    if (!sf && amount.bit(5)) return unallocated();
    set_x(d, ir.Xor(x(n, sized(sf)), operand(sf, m, shift, amount)));
    return true;
  }

  bool EON_shift(bool sf, Imm<2> shift, Reg m, Imm<6> amount, Reg n, Reg d) {
    if (!sf && amount.bit(5)) return unallocated();
    set_x(d, ir.Xor(x(n, sized(sf)), ir.Not(operand(sf, m, shift, amount))));
    return true;
  }

  bool ANDS_shift(bool sf, Imm<2> shift, Reg m, Imm<6> amount, Reg n, Reg d) {
    if (!sf && amount.bit(5)) return unallocated();
    const Value a = x(n, sized(sf)), b = operand(sf, m, shift, amount);
    return set_logic(d, n == m && amount == 0 ? a : ir.And(a, b));
  }

  bool BICS_shift(bool sf, Imm<2> shift, Reg m, Imm<6> amount, Reg n, Reg d) {
    if (!sf && amount.bit(5)) return unallocated();
    return set_logic(d, ir.AndNot(x(n, sized(sf)), operand(sf, m, shift, amount)));
  }

  // --- add and subtract

  bool ADD_shift(bool sf, Imm<2> shift, Reg m, Imm<6> amount, Reg n, Reg d) {
    if (shift == 3 || (!sf && amount.bit(5))) return unallocated();
    set_x(d, ir.Add(x(n, sized(sf)), operand(sf, m, shift, amount)));
    return true;
  }

  bool ADDS_shift(bool sf, Imm<2> shift, Reg m, Imm<6> amount, Reg n, Reg d) {
    if (shift == 3 || (!sf && amount.bit(5))) return unallocated();
    return set_sum(d, x(n, sized(sf)), operand(sf, m, shift, amount));
  }

  bool SUB_shift(bool sf, Imm<2> shift, Reg m, Imm<6> amount, Reg n, Reg d) {
    if (shift == 3 || (!sf && amount.bit(5))) return unallocated();
    const Value b = operand(sf, m, shift, amount);
    set_x(d, n == 31 ? ir.Neg(b) : ir.Sub(x(n, sized(sf)), b));
    return true;
  }

  bool SUBS_shift(bool sf, Imm<2> shift, Reg m, Imm<6> amount, Reg n, Reg d) {
    if (shift == 3 || (!sf && amount.bit(5))) return unallocated();
    return set_difference(d, x(n, sized(sf)), operand(sf, m, shift, amount));
  }

  bool ADD_ext(bool sf, Reg m, Imm<3> option, Imm<3> amount, Reg n, Reg d) {
    if (amount > 4) return unallocated();
    set_x_or_sp(d, ir.Add(x_or_sp(n, sized(sf)), extended(m, option, amount, sized(sf))));
    return true;
  }

  bool ADDS_ext(bool sf, Reg m, Imm<3> option, Imm<3> amount, Reg n, Reg d) {
    if (amount > 4) return unallocated();
    return set_sum(d, x_or_sp(n, sized(sf)), extended(m, option, amount, sized(sf)));
  }

  bool SUB_ext(bool sf, Reg m, Imm<3> option, Imm<3> amount, Reg n, Reg d) {
    if (amount > 4) return unallocated();
    set_x_or_sp(d, ir.Sub(x_or_sp(n, sized(sf)), extended(m, option, amount, sized(sf))));
    return true;
  }

  bool SUBS_ext(bool sf, Reg m, Imm<3> option, Imm<3> amount, Reg n, Reg d) {
    if (amount > 4) return unallocated();
    return set_difference(d, x_or_sp(n, sized(sf)), extended(m, option, amount, sized(sf)));
  }

  bool ADC(bool sf, Reg m, Reg n, Reg d) {
    set_x(d, ir.AddWithCarry(x(n, sized(sf)), x(m, sized(sf)), carry()));
    return true;
  }

  bool ADCS(bool sf, Reg m, Reg n, Reg d) {
    const Value a = x(n, sized(sf)), b = x(m, sized(sf)), in = carry();
    const Value result = ir.AddWithCarry(a, b, in);
    set_nzcv(ir.StatusOfAdd(a, b, in, ir::eval::kOtherCarry));
    set_x(d, result);
    return true;
  }

  bool SBC(bool sf, Reg m, Reg n, Reg d) {
    set_x(d, ir.AddWithCarry(x(n, sized(sf)), ir.Not(x(m, sized(sf))), carry()));
    return true;
  }

  bool SBCS(bool sf, Reg m, Reg n, Reg d) {
    const Value a = x(n, sized(sf)), b = x(m, sized(sf)), in = borrow();
    const Value result = ir.SubWithBorrow(a, b, in);
    set_nzcv(ir.StatusOfSub(a, b, in));
    set_x(d, result);
    return true;
  }

  // --- flags

  bool RMIF(Imm<6> rotate, Reg n, Imm<4> mask) {
    const Value bits = status_of_bits(ir.Shl(ir.Trunc(shifted(x(n), 3, rotate), I32), imm(I32, 28)));
    const uint16_t kept = status_of_nzcv(0) ^ status_of_nzcv(mask ^ 15u);
    // (Bits that mean nothing come from either.)
    set_nzcv(ir.Or(ir.And(status(), imm(I16, kept)), ir.And(bits, imm(I16, 0xffffu & ~kept))));
    return true;
  }

  bool SETF8(Reg n) { return set_flags_of_narrow(n, 8); }
  bool SETF16(Reg n) { return set_flags_of_narrow(n, 16); }

  // --- conditional compare and select

  bool CCMN_reg(bool sf, Reg m, Cond condition, Reg n, Imm<4> otherwise) {
    return compare(condition, true, x(n, sized(sf)), x(m, sized(sf)), otherwise);
  }

  bool CCMP_reg(bool sf, Reg m, Cond condition, Reg n, Imm<4> otherwise) {
    return compare(condition, false, x(n, sized(sf)), x(m, sized(sf)), otherwise);
  }

  bool CCMN_imm(bool sf, Imm<5> imm5, Cond condition, Reg n, Imm<4> otherwise) {
    return compare(condition, true, x(n, sized(sf)), imm(sized(sf), imm5), otherwise);
  }

  bool CCMP_imm(bool sf, Imm<5> imm5, Cond condition, Reg n, Imm<4> otherwise) {
    return compare(condition, false, x(n, sized(sf)), imm(sized(sf), imm5), otherwise);
  }

  bool CSEL(bool sf, Reg m, Cond condition, Reg n, Reg d) {
    set_x(d, ir.Select(holds(condition), x(n, sized(sf)), x(m, sized(sf))));
    return true;
  }

  bool CSINC(bool sf, Reg m, Cond condition, Reg n, Reg d) {
    if (is_set(condition, m, n)) {
      set_x(d, holds(inverted(condition)));
      return true;
    }
    const Value other = ir.Add(x(m, sized(sf)), imm(sized(sf), 1));
    set_x(d, ir.Select(holds(condition), x(n, sized(sf)), other));
    return true;
  }

  bool CSINV(bool sf, Reg m, Cond condition, Reg n, Reg d) {
    if (is_set(condition, m, n)) {
      set_x(d, ir.SExt(holds(inverted(condition)), sized(sf)));
      return true;
    }
    set_x(d, ir.Select(holds(condition), x(n, sized(sf)), ir.Not(x(m, sized(sf)))));
    return true;
  }

  bool CSNEG(bool sf, Reg m, Cond condition, Reg n, Reg d) {
    set_x(d, ir.Select(holds(condition), x(n, sized(sf)), ir.Neg(x(m, sized(sf)))));
    return true;
  }

  // --- three sources

  bool MADD(bool sf, Reg m, Reg a, Reg n, Reg d) {
    return set_product(d, a, false, ir.Mul(x(n, sized(sf)), x(m, sized(sf))));
  }

  bool MSUB(bool sf, Reg m, Reg a, Reg n, Reg d) {
    return set_product(d, a, true, ir.Mul(x(n, sized(sf)), x(m, sized(sf))));
  }

  bool SMADDL(Reg m, Reg a, Reg n, Reg d) {
    return set_product(d, a, false, ir.Mul(ir.SExt(x(n, I32), I64), ir.SExt(x(m, I32), I64)));
  }

  bool SMSUBL(Reg m, Reg a, Reg n, Reg d) {
    return set_product(d, a, true, ir.Mul(ir.SExt(x(n, I32), I64), ir.SExt(x(m, I32), I64)));
  }

  bool UMADDL(Reg m, Reg a, Reg n, Reg d) {
    return set_product(d, a, false, ir.Mul(ir.ZExt(x(n, I32), I64), ir.ZExt(x(m, I32), I64)));
  }

  bool UMSUBL(Reg m, Reg a, Reg n, Reg d) {
    return set_product(d, a, true, ir.Mul(ir.ZExt(x(n, I32), I64), ir.ZExt(x(m, I32), I64)));
  }

  bool SMULH(Reg m, Reg n, Reg d) {
    set_x(d, ir.MulHiS(x(n), x(m)));
    return true;
  }

  bool UMULH(Reg m, Reg n, Reg d) {
    set_x(d, ir.MulHiU(x(n), x(m)));
    return true;
  }

  // --- pointer authentication

  bool PAC(Imm<2> key, Reg n, Reg d) {
    set_x(d, add_pac(x(d), x_or_sp(n), key));
    return true;
  }

  bool AUT(Imm<2> key, Reg n, Reg d) {
    set_x(d, authenticate(x(d), x_or_sp(n), key));
    return true;
  }

  bool PACZ(Imm<2> key, Reg d) {
    set_x(d, add_pac(x(d), imm(I64, 0), key));
    return true;
  }

  bool AUTZ(Imm<2> key, Reg d) {
    set_x(d, authenticate(x(d), imm(I64, 0), key));
    return true;
  }

  bool XPAC(Reg d) {
    set_x(d, strip_pac(x(d)));
    return true;
  }

  bool PACGA(Reg m, Reg n, Reg d) {
    set_x(d, ir.CallHelper(kHelperGenericPac, I64, {x(n), x_or_sp(m)}));
    return true;
  }

 private:
  /// The IR's shifts give 0 for large amounts, A64 takes the amount modulo the register size.
  Value shift_amount(bool sf, Reg m) { return ir.And(x(m, sized(sf)), imm(sized(sf), sf ? 63 : 31)); }

  Value operand(bool sf, Reg m, Imm<2> shift, Imm<6> amount) {
    return shifted(x(m, sized(sf)), shift, amount);
  }

  /// CSET and CSETM. AL and NV both mean always and have no inverse.
  static bool is_set(Cond condition, Reg m, Reg n) { return n == 31 && m == 31 && condition < 14; }
  static Cond inverted(Cond condition) { return {condition ^ 1}; }

  Value bit_of(Value value, unsigned index) {
    return ir.CmpTest(value, imm(value.type, uint64_t{1} << index));
  }

  bool crc(bool sf, Reg m, Imm<2> size, Reg n, Reg d, bool castagnoli) {
    if (sf != (size == 3)) return unallocated();
    set_x(d, ir.Crc32(x(n, I32), x(m), 1u << size, castagnoli));
    return true;
  }

  bool set_logic(Reg d, Value result) {
    set_nzcv(flags_of_logic(result));
    set_x(d, result);
    return true;
  }

  bool set_sum(Reg d, Value a, Value b) {
    const Value result = ir.Add(a, b);
    set_nzcv(flags_of_add(a, b, result));
    set_x(d, result);
    return true;
  }

  bool set_difference(Reg d, Value a, Value b) {
    // (CMP wants no result.)
    const Value result = d == 31 ? Value{} : ir.Sub(a, b);
    set_nzcv(flags_of_sub(a, b, result));
    if (d != 31) set_x(d, result);
    return true;
  }

  bool set_product(Reg d, Reg a, bool subtract, Value product) {
    if (a == 31) {
      set_x(d, subtract ? ir.Neg(product) : product);
    } else {
      const Value addend = x(a, product.type);
      set_x(d, subtract ? ir.Sub(addend, product) : ir.Add(addend, product));
    }
    return true;
  }

  /// SETF8, SETF16: C stays, V is bit `width` xor the sign bit.
  bool set_flags_of_narrow(Reg n, unsigned width) {
    const Value value = x(n, I32), low = ir.Shl(value, imm(I32, 32 - width));
    const Value sign = bit_of(value, width - 1);
    set_nzcv(status_of(sign, ir.CmpEq(low, imm(I32, 0)), carry(), ir.Xor(sign, bit_of(value, width))));
    return true;
  }

  /// The flags of a + b or a - b if the condition holds, else the given ones.
  bool compare(Cond condition, bool add, Value a, Value b, Imm<4> otherwise) {
    const Value go = holds(condition);
    const Nzcv flags =
        add ? Nzcv{.word = ir.StatusOfAdd(a, b, ir.False(), ir::eval::kOtherCarry)} : flags_of_sub(a, b, {});
    set_nzcv(flags_if(condition, go, flags, otherwise));
    return true;
  }
};

#define A64_CHAPTER DataProcessingReg
constexpr Row kRows[] = {
#include "frontend/arm/a64/data_processing_reg.inc"
};

}  // namespace

std::span<const Row> data_processing_reg_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
