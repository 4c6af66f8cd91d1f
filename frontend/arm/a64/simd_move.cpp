// SPDX-License-Identifier: Apache-2.0
#include <bit>

#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/simd_lifter.h"

namespace lyrebird::arm::a64 {
namespace {

using B = ir::Builder;

struct SimdMove : SimdLifter {
  using SimdLifter::SimdLifter;

  // --- copy

  /// imm5: the lowest set bit tells the lane size, the bits above it the index.
  struct Element {
    unsigned size, index;
    Type type() const { return ir::int_type(8u << size); }
  };
  static Element element(Imm<5> imm5) {
    const unsigned size = static_cast<unsigned>(std::countr_zero(imm5.value | 32u));
    return {size, imm5 >> (size + 1)};
  }
  static bool exists(const Element& e) { return e.size < 4; }

  bool DUP_element(bool q, Imm<5> imm5, Vreg n, Vreg d) {
    const Element e = element(imm5);
    if (!exists(e) || (e.size == 3 && !q)) return unallocated();
    set_v(d, ir.Splat(vector(q), ir.ExtractLane(v(n), e.type(), e.index)));
    return true;
  }
  bool DUP_element_scalar(Imm<5> imm5, Vreg n, Vreg d) {
    const Element e = element(imm5);
    if (!exists(e)) return unallocated();
    set_v(d, ir.ExtractLane(v(n), e.type(), e.index));
    return true;
  }
  bool DUP_general(bool q, Imm<5> imm5, Reg n, Vreg d) {
    const Element e = element(imm5);
    if (!exists(e) || (e.size == 3 && !q)) return unallocated();
    set_v(d, ir.Splat(vector(q), ir.Trunc(x(n), e.type())));
    return true;
  }
  bool SMOV(bool q, Imm<5> imm5, Vreg n, Reg d) {
    const Element e = element(imm5);
    if (!exists(e) || e.size == 3 || (e.size == 2 && !q)) return unallocated();
    set_x(d, ir.SExt(ir.ExtractLane(v(n), e.type(), e.index), sized(q)));
    return true;
  }
  bool UMOV(bool q, Imm<5> imm5, Vreg n, Reg d) {
    const Element e = element(imm5);
    if (!exists(e) || (e.size == 3) != q) return unallocated();
    set_x(d, ir.ExtractLane(v(n), e.type(), e.index));
    return true;
  }
  bool INS_general(Imm<5> imm5, Reg n, Vreg d) {
    const Element e = element(imm5);
    if (!exists(e)) return unallocated();
    set_v(d, ir.InsertLane(v(d), ir.Trunc(x(n), e.type()), e.index));
    return true;
  }
  bool INS_element(Imm<5> imm5, Imm<4> imm4, Vreg n, Vreg d) {
    const Element e = element(imm5);
    if (!exists(e)) return unallocated();
    set_v(d, ir.InsertLane(v(d), ir.ExtractLane(v(n), e.type(), imm4 >> e.size), e.index));
    return true;
  }

  // --- permute

  bool permute(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d, Vec2 op) {
    const Shape s = ints(q, size);
    if (s.reserved()) return unallocated();
    set_v(d, (ir.*op)(read(n, s), read(m, s), s.elem, 0));
    return true;
  }
  bool UZP1(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) { return permute(q, size, m, n, d, &B::UnzipEven); }
  bool UZP2(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) { return permute(q, size, m, n, d, &B::UnzipOdd); }
  bool TRN1(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return permute(q, size, m, n, d, &B::TransposeEven);
  }
  bool TRN2(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return permute(q, size, m, n, d, &B::TransposeOdd);
  }
  bool ZIP1(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) { return permute(q, size, m, n, d, &B::ZipLo); }
  bool ZIP2(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) { return permute(q, size, m, n, d, &B::ZipHi); }

  bool EXT(bool q, Vreg m, Imm<4> position, Vreg n, Vreg d) {
    if (!q && position.bit(3)) return unallocated();
    set_v(d, ir.ByteExtract(v_sized(n, q), v_sized(m, q), I8, position));
    return true;
  }

  // --- table look-up

  // Register by register, each with the indices moved down by 16: one that is out of range
  // here falls through to what the registers before it (or nobody) gave.
  bool table(bool q, Vreg m, Imm<2> len, Vreg n, Vreg d, bool keep) {
    const Value index = v(m);
    Value result = keep ? v(d) : ir.ConstVec(V128, 0, 0);
    for (unsigned i = 0; i <= len; ++i) {
      const Value from_here = i == 0 ? index : ir.Sub(index, ir.ConstSplat(V128, I8, 16 * i), I8);
      result = ir.TableLookup(v(Vreg{(n + i) % 32}), from_here, result, I8);
    }
    set_v(d, ir.Resize(result, vector(q)));
    return true;
  }
  bool TBL(bool q, Vreg m, Imm<2> len, Vreg n, Vreg d) { return table(q, m, len, n, d, false); }
  bool TBX(bool q, Vreg m, Imm<2> len, Vreg n, Vreg d) { return table(q, m, len, n, d, true); }

  // --- modified immediate (AdvSIMDExpandImm)

  bool move(bool q, Type lane, uint64_t value, Vreg d) {
    set_v(d, ir.ConstSplat(vector(q), lane, value));
    return true;
  }
  bool combine(bool q, Type lane, uint64_t value, Vreg d, Lane2 op) {
    set_v(d, (ir.*op)(v_sized(d, q), ir.ConstSplat(vector(q), lane, value), I64));
    return true;
  }
  static uint64_t shifted(Imm<8> imm8, unsigned bytes) { return uint64_t{imm8} << (8 * bytes); }
  /// "Shifting ones": zeros shifted in from the right become ones.
  static uint64_t shifted_ones(Imm<8> imm8, bool two) {
    return shifted(imm8, 1u + two) | (two ? 0xffff : 0xff);
  }

  bool MOVI_32(bool q, Imm<8> imm8, Imm<2> shift, Vreg d) { return move(q, I32, shifted(imm8, shift), d); }
  bool MOVI_16(bool q, Imm<8> imm8, bool shift, Vreg d) { return move(q, I16, shifted(imm8, shift), d); }
  bool MOVI_ones(bool q, Imm<8> imm8, bool two, Vreg d) { return move(q, I32, shifted_ones(imm8, two), d); }
  bool MOVI_8(bool q, Imm<8> imm8, Vreg d) { return move(q, I8, imm8, d); }
  bool MOVI_64(bool q, Imm<8> imm8, Vreg d) {
    uint64_t bytes = 0;
    for (unsigned i = 0; i < 8; ++i)
      if (imm8.bit(i)) bytes |= uint64_t{0xff} << (8 * i);
    return move(q, I64, bytes, d);
  }
  bool MVNI_32(bool q, Imm<8> imm8, Imm<2> shift, Vreg d) { return move(q, I32, ~shifted(imm8, shift), d); }
  bool MVNI_16(bool q, Imm<8> imm8, bool shift, Vreg d) { return move(q, I16, ~shifted(imm8, shift), d); }
  bool MVNI_ones(bool q, Imm<8> imm8, bool two, Vreg d) { return move(q, I32, ~shifted_ones(imm8, two), d); }
  bool ORR_imm_32(bool q, Imm<8> imm8, Imm<2> shift, Vreg d) {
    return combine(q, I32, shifted(imm8, shift), d, &B::Or);
  }
  bool ORR_imm_16(bool q, Imm<8> imm8, bool shift, Vreg d) {
    return combine(q, I16, shifted(imm8, shift), d, &B::Or);
  }
  bool BIC_imm_32(bool q, Imm<8> imm8, Imm<2> shift, Vreg d) {
    return combine(q, I32, shifted(imm8, shift), d, &B::AndNot);
  }
  bool BIC_imm_16(bool q, Imm<8> imm8, bool shift, Vreg d) {
    return combine(q, I16, shifted(imm8, shift), d, &B::AndNot);
  }
  bool FMOV_imm_half(bool q, Imm<8> imm8, Vreg d) { return move(q, I16, fp_expand_imm(imm8, F16), d); }
  bool FMOV_imm_single(bool q, Imm<8> imm8, Vreg d) { return move(q, I32, fp_expand_imm(imm8, F32), d); }
  bool FMOV_imm_double(Imm<8> imm8, Vreg d) { return move(true, I64, fp_expand_imm(imm8, F64), d); }
};

#define A64_CHAPTER SimdMove
constexpr Row kRows[] = {
#include "frontend/arm/a64/simd_move.inc"
};

}  // namespace

std::span<const Row> simd_move_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
