// SPDX-License-Identifier: Apache-2.0
// Packed integers, ciphers and hashes (SDM volume 1, 9.4, 10.4.4, 11.4.2, 12.4 to 12.13, 14.9). The
// functions are in the order of the rows.
#include <algorithm>

#include "frontend/x86/lift/vector.h"

namespace lyrebird::x86 {
namespace {

struct SseInteger : Vector {
  using Vector::Vector;

  bool PMULHRSW() {
    // (a * b + 2^14) >> 15
    return binary(
        [&](Value a, Value b) { return ir.RoundMulDoubleAddHi(ir.ConstSplat(a.type, I16, 0), a, b, I16); });
  }

  bool absolute(Type elem) {
    return unary([&](Value a) { return ir.Abs(a, elem); });
  }
  bool PABSB() { return absolute(I8); }
  bool PABSW() { return absolute(I16); }
  bool PABSD() { return absolute(I32); }

  bool sign(Type elem) {
    return binary([&](Value a, Value b) {
      const Value none = ir.CmpEq(b, ir.ConstSplat(b.type, elem, 0), elem);
      return ir.AndNot(ir.SignSelect(b, ir.Neg(a, elem), a, elem), none);
    });
  }
  bool PSIGNB() { return sign(I8); }
  bool PSIGNW() { return sign(I16); }
  bool PSIGND() { return sign(I32); }

  template <typename F>
  bool horizontal(Type elem, F f) {
    return binary([&](Value a, Value b) { return f(ir.UnzipEven(a, b, elem), ir.UnzipOdd(a, b, elem)); });
  }
  bool PHADDW() {
    return horizontal(I16, [&](Value a, Value b) { return ir.Add(a, b, I16); });
  }
  bool PHADDD() {
    // Two lanes of 32 bits make a V64, of which each half is one.
    return horizontal(I32, [&](Value a, Value b) { return ir.Add(a, b, I32); });
  }
  bool PHADDSW() {
    return horizontal(I16, [&](Value a, Value b) { return ir.AddSatS(a, b, I16); });
  }
  bool PHSUBW() {
    return horizontal(I16, [&](Value a, Value b) { return ir.Sub(a, b, I16); });
  }
  bool PHSUBD() {
    return horizontal(I32, [&](Value a, Value b) { return ir.Sub(a, b, I32); });
  }
  bool PHSUBSW() {
    return horizontal(I16, [&](Value a, Value b) { return ir.SubSatS(a, b, I16); });
  }

  bool PHMINPOSUW() {
    return unary([&](Value a) { return ir.LeastLane(a, I16); });
  }
  bool MPSADBW() {
    const Halves a = vector(first()), b = vector(second());
    Halves r{{}, a.count};
    for (unsigned h = 0; h < r.count; ++h)
      r.part[h] = ir.SlidingAbsDiff(a.part[h], b.part[h], I8, control() >> (3 * h) & 7);
    set_vector(0, r);
    return true;
  }

  // --- shifts: all lanes by an immediate or by the low 64 bits of the last operand

  bool shift(Op op, Type elem) {
    const unsigned bits = ir::bit_width(elem);
    const auto shifted = [&](Value a, Value by) {
      return op == Op::Shl    ? ir.Shl(a, by, elem)
             : op == Op::ShrU ? ir.ShrU(a, by, elem)
                              : ir.ShrS(a, by, elem);
    };
    if (has_immediate()) {
      const uint64_t by = std::min<uint64_t>(control(), bits);
      return unary([&](Value a) { return shifted(a, ir.ConstSplat(a.type, elem, by)); });
    }
    const Halves a = vector(first());
    const Value count = low_lane(vector(second()).part[0], I64);
    const Value by = ir.Trunc(ir.MinU(count, imm(I64, bits)), elem);
    const Value all = ir.Splat(a.part[0].type, by);
    Halves r{{}, a.count};
    for (unsigned h = 0; h < r.count; ++h) r.part[h] = shifted(a.part[h], all);
    set_vector(0, r);
    return true;
  }
  bool PSLLW() { return shift(Op::Shl, I16); }
  bool PSLLD() { return shift(Op::Shl, I32); }
  bool PSLLQ() { return shift(Op::Shl, I64); }
  bool PSRLW() { return shift(Op::ShrU, I16); }
  bool PSRLD() { return shift(Op::ShrU, I32); }
  bool PSRLQ() { return shift(Op::ShrU, I64); }
  bool PSRAW() { return shift(Op::ShrS, I16); }
  bool PSRAD() { return shift(Op::ShrS, I32); }

  bool PSLLDQ() {
    const uint64_t by = std::min<uint64_t>(control(), 16);
    return unary([&](Value a) { return ir.ByteExtract(zero(), a, I8, 16 - by); });
  }
  bool PSRLDQ() {
    const uint64_t by = std::min<uint64_t>(control(), 16);
    return unary([&](Value a) { return ir.ByteExtract(a, zero(), I8, by); });
  }

  // --- compares that set flags

  void set_test_flags(Value any_of_and, Value any_of_andn) {
    const Value no = ir.False(), zero = ir.Not(any_of_and), carry = ir.Not(any_of_andn);
    set_flags({{Flag::CF, carry},
               {Flag::PF, no},
               {Flag::AF, no},
               {Flag::ZF, zero},
               {Flag::SF, no},
               {Flag::OF, no}});
  }
  /// `mask`: the bits that count.
  bool test(uint64_t mask) {
    const Halves a = vector(0), b = vector(1);
    Value both, only;
    for (unsigned h = 0; h < a.count; ++h) {
      const Value x = mask == ~uint64_t{0} ? b.part[h] : ir.And(b.part[h], ir.ConstVec(V128, mask, mask));
      const Value in_both = ir.And(x, a.part[h]), in_one = ir.AndNot(x, a.part[h]);
      both = h ? ir.Or(both, in_both) : in_both;
      only = h ? ir.Or(only, in_one) : in_one;
    }
    set_test_flags(ir.AnyBit(both), ir.AnyBit(only));
    return true;
  }
  bool PTEST() { return test(~uint64_t{0}); }
  bool VTESTPS() { return test(0x8000000080000000); }
  bool VTESTPD() { return test(uint64_t{1} << 63); }

  // --- extensions: `steps` doublings of elem

  Value widened(Value a, Type elem, bool sign) { return sign ? ir.WidenLoS(a, elem) : ir.WidenLoU(a, elem); }
  bool extend(Type elem, unsigned steps, bool sign) {
    const unsigned count = halves();
    const Operand& from = operand(1);
    Value a = is_vector(1) ? xmm(from.reg) : load_part(address(from.size, false), from.size, false);
    for (; steps > 1; --steps) {
      a = widened(a, elem, sign);
      elem = ir::int_type(2 * ir::bit_width(elem));
    }
    Halves r{{widened(a, elem, sign), {}}, count};
    if (count == 2) r.part[1] = sign ? ir.WidenHiS(a, elem) : ir.WidenHiU(a, elem);
    set_vector(0, r);
    return true;
  }
  bool PMOVSXBW() { return extend(I8, 1, true); }
  bool PMOVSXBD() { return extend(I8, 2, true); }
  bool PMOVSXBQ() { return extend(I8, 3, true); }
  bool PMOVSXWD() { return extend(I16, 1, true); }
  bool PMOVSXWQ() { return extend(I16, 2, true); }
  bool PMOVSXDQ() { return extend(I32, 1, true); }
  bool PMOVZXBW() { return extend(I8, 1, false); }
  bool PMOVZXBD() { return extend(I8, 2, false); }
  bool PMOVZXBQ() { return extend(I8, 3, false); }
  bool PMOVZXWD() { return extend(I16, 1, false); }
  bool PMOVZXWQ() { return extend(I16, 2, false); }
  bool PMOVZXDQ() { return extend(I32, 1, false); }

  // --- ciphers and hashes

  bool AESIMC() {
    return unary([&](Value a) { return ir.AesInvMixColumns(a); });
  }
  bool AESKEYGENASSIST() {
    // SubBytes alone: rows shifted back first. Then words 1 and 3 as they are and rotated.
    const Value rows = bytes({0, 13, 10, 7, 4, 1, 14, 11, 8, 5, 2, 15, 12, 9, 6, 3});
    const Value words = bytes({4, 5, 6, 7, 5, 6, 7, 4, 12, 13, 14, 15, 13, 14, 15, 12});
    const uint64_t rcon = control() << 32;
    return unary([&](Value a) {
      const Value substituted = ir.AesSubShift(ir.PermuteBytes(a, rows, I8));
      return ir.Xor(ir.PermuteBytes(substituted, words, I8), ir.ConstVec(V128, rcon, rcon));
    });
  }
  bool PCLMULQDQ() {
    const uint64_t which = (control() & 1) | (control() >> 4 & 1) << 1;
    return binary([&](Value a, Value b) { return ir.ClMul(a, b, Type::None, which); });
  }
  bool GF2P8AFFINEQB() {
    return binary([&](Value a, Value b) { return ir.GfAffine(a, b, Type::None, control()); });
  }
  bool GF2P8AFFINEINVQB() {
    return binary([&](Value a, Value b) { return ir.GfAffineInv(a, b, Type::None, control()); });
  }

  bool SHA1RNDS4() {
    return binary([&](Value a, Value b) { return ir.Sha1FourRounds(a, b, Type::None, control() & 3); });
  }
  /// A vector with only lane 3 of it.
  Value top_lane(Value a) { return ir.And(a, ir.ConstVec(V128, 0, 0xffffffff00000000)); }
  Value rotated_left(Value a, unsigned by) { return ir.RotR(a, splat(V128, I32, 32 - by), I32); }
  bool SHA1NEXTE() {
    return binary([&](Value a, Value b) { return ir.Add(b, top_lane(rotated_left(a, 30)), I32); });
  }
  bool SHA1MSG1() {
    return binary([&](Value a, Value b) { return ir.Xor(a, ir.ByteExtract(b, a, I8, 8)); });
  }
  bool SHA1MSG2() {
    return binary([&](Value a, Value b) {
      const Value t = rotated_left(ir.Xor(a, ir.ByteExtract(zero(), b, I8, 12)), 1);
      return ir.Xor(t, rotated_left(ir.ByteExtract(t, zero(), I8, 12), 1));
    });
  }
  bool SHA256RNDS2() {
    const Value a = vector(0).part[0], b = vector(1).part[0];
    set_vector(0, ir.Sha256TwoRounds(a, b, xmm(0)));
    return true;
  }
  bool SHA256MSG1() {
    return binary([&](Value a, Value b) { return ir.Sha256Schedule0(a, b); });
  }
  bool SHA256MSG2() {
    return binary([&](Value a, Value b) { return ir.Sha256Schedule2(a, b); });
  }

  // --- variable shifts

  bool VPSLLVD() {
    return binary([&](Value a, Value b) { return ir.Shl(a, b, I32); });
  }
  bool VPSLLVQ() {
    return binary([&](Value a, Value b) { return ir.Shl(a, b, I64); });
  }
  bool VPSRLVD() {
    return binary([&](Value a, Value b) { return ir.ShrU(a, b, I32); });
  }
  bool VPSRLVQ() {
    return binary([&](Value a, Value b) { return ir.ShrU(a, b, I64); });
  }
  bool VPSRAVD() {
    return binary([&](Value a, Value b) { return ir.ShrS(a, b, I32); });
  }

  // --- what is one op

  /// How registers are cleared and set to ones.
  bool is_same(unsigned i, unsigned k) const {
    return operand(i).kind == operand(k).kind && operand(i).reg == operand(k).reg && !is_memory(i);
  }
  template <typename F>
  bool lanes(Op op, F f) {
    if (is_same(first(), second())) {
      const bool ones = op == Op::CmpEq;
      const uint64_t word = ones ? ~uint64_t{0} : 0;
      if (ones || op == Op::Xor || op == Op::Sub || op == Op::AndNot || op == Op::CmpLtS)
        return unary([&](Value a) { return ir.ConstVec(a.type, word, a.type == V128 ? word : 0); });
    }
    return binary(f);
  }

#define HANDLER(name)
#define LANES(name, op, elem)                                                  \
  bool name() {                                                                \
    return lanes(Op::op, [&](Value a, Value b) { return ir.op(a, b, elem); }); \
  }                                                                            \
  bool V##name() { return name(); }
#define SWAPPED(name, op, elem)                                                \
  bool name() {                                                                \
    return lanes(Op::op, [&](Value a, Value b) { return ir.op(b, a, elem); }); \
  }                                                                            \
  bool V##name() { return name(); }
#define WHOLE(name, op, elem) LANES(name, op, elem)
#define OTHER(name) \
  bool V##name() { return name(); }
#include "frontend/x86/lift/sse_integer.inc"
#undef HANDLER
};

}  // namespace

#define X86_CHAPTER SseInteger
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/sse_integer.inc"
#undef HANDLER

}  // namespace lyrebird::x86
