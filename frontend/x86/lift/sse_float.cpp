// SPDX-License-Identifier: Apache-2.0
// Floating point in vector registers (SDM volume 1, 10.4.1.2 to 10.4.2, 11.4.1, 12.5, 12.8, 14.4, 14.5).
#include "frontend/x86/lift/vector.h"

namespace lyrebird::x86 {
namespace {

struct SseFloat : Vector {
  using Vector::Vector;

  // --- frames around operations: all loads, the operation, all writes

  /// f of each part of both sources.
  template <typename F>
  bool packed(F f) {
    const Halves a = vector(first()), b = vector(second());
    Halves r{{}, a.count};
    before_floats();
    for (unsigned h = 0; h < r.count; ++h) r.part[h] = f(a.part[h], b.part[h]);
    after_floats();
    set_vector(0, r);
    return true;
  }
  /// f of each part of the last operand.
  template <typename F>
  bool packed_one(F f) {
    Halves a = vector(second());
    before_floats();
    for (unsigned h = 0; h < a.count; ++h) a.part[h] = f(a.part[h]);
    after_floats();
    set_vector(0, a);
    return true;
  }
  template <typename F>
  bool lowest(Type elem, F f) {
    const Value b = scalar(second(), elem), a = scalar(kept(), elem);
    before_floats();
    const Value r = f(a, b);
    after_floats();
    set_scalar(r);
    return true;
  }

  // --- arithmetic

  /// MINPS and MAXPS give one of the operands, however small it is.
  Value computed(Op op, Value result, Type elem) {
    return op == Op::FMinSecond || op == Op::FMaxSecond ? result : made(result, elem);
  }
  bool root(Type elem) {
    return packed_one([&](Value a) { return ir.FSqrt(a, fp_mode(), elem); });
  }
  bool SQRTPS() { return root(F32); }
  bool SQRTPD() { return root(F64); }
  bool SQRTSS() {
    return lowest(F32, [&](Value, Value b) { return ir.FSqrt(b, fp_mode()); });
  }
  bool SQRTSD() {
    return lowest(F64, [&](Value, Value b) { return ir.FSqrt(b, fp_mode()); });
  }

  bool RCPPS() {
    return unary([&](Value a) { return ir.RecipApprox(a, F32); });
  }
  bool RSQRTPS() {
    return unary([&](Value a) { return ir.RsqrtApprox(a, F32); });
  }
  template <typename F>
  bool approximate(F f) {
    const Value b = is_vector(second()) ? xmm(operand(second()).reg)
                                        : ir.VecFromScalar(V128, load(F32, address(4, false)));
    set_scalar(low_lane(f(b), F32));
    return true;
  }
  bool RCPSS() {
    return approximate([&](Value b) { return ir.RecipApprox(b, F32); });
  }
  bool RSQRTSS() {
    return approximate([&](Value b) { return ir.RsqrtApprox(b, F32); });
  }

  /// With the sign of lane i inverted where bit i % 2 of `odd_even` is set, but NaNs as they are.
  Value with_signs(Value a, Type elem, unsigned lanes) {
    const bool wide = elem == F64;
    const uint64_t sign = wide ? uint64_t{1} << 63 : uint64_t{1} << 31;
    const uint64_t infinity = wide ? 0x7ff0000000000000 : 0x7f800000;
    const Type as = wide ? I64 : I32;
    const Value nan = ir.CmpLtS(splat(V128, as, infinity), ir.And(a, splat(V128, as, sign - 1)), as);
    uint64_t words[2];
    if (wide) {
      words[0] = lanes & 1 ? sign : 0;
      words[1] = lanes & 2 ? sign : 0;
    } else {
      words[0] = words[1] = (lanes & 1 ? sign : 0) | (lanes & 2 ? sign << 32 : 0);
    }
    return ir.Xor(a, ir.AndNot(ir.ConstVec(V128, words[0], words[1]), nan));
  }
  static constexpr unsigned kEven = 1, kOdd = 2;

  bool add_sub(Type elem) {
    return packed([&](Value a, Value b) {
      return made(ir.FAdd(a, with_signs(b, elem, kEven), fp_mode(), elem), elem);
    });
  }
  bool ADDSUBPS() { return add_sub(F32); }
  bool ADDSUBPD() { return add_sub(F64); }

  template <typename F>
  bool horizontal(Type elem, F f) {
    return packed([&](Value a, Value b) { return f(ir.UnzipEven(a, b, elem), ir.UnzipOdd(a, b, elem)); });
  }
  bool horizontal_add(Type elem) {
    return horizontal(elem, [&](Value a, Value b) { return made(ir.FAdd(a, b, fp_mode(), elem), elem); });
  }
  bool horizontal_sub(Type elem) {
    return horizontal(elem, [&](Value a, Value b) { return made(ir.FSub(a, b, fp_mode(), elem), elem); });
  }
  bool HADDPS() { return horizontal_add(F32); }
  bool HADDPD() { return horizontal_add(F64); }
  bool HSUBPS() { return horizontal_sub(F32); }
  bool HSUBPD() { return horizontal_sub(F64); }

  Value lane_mask(Type elem, uint64_t lanes) {
    const unsigned width = ir::bit_width(elem);
    uint64_t words[2] = {0, 0};
    for (unsigned i = 0; i < 128 / width; ++i)
      if (lanes >> i & 1) words[i * width / 64] |= low_mask(width) << i * width % 64;
    return ir.ConstVec(V128, words[0], words[1]);
  }
  /// What is not asked for is multiplied as 0 * 0, which raises nothing.
  bool dot_product(Type elem) {
    const Value from = lane_mask(elem, control() >> 4), to = lane_mask(elem, control() & 15);
    return packed([&](Value a, Value b) {
      const Value p = made(ir.FMul(ir.And(a, from), ir.And(b, from), fp_mode(), elem), elem);
      // Each pair, then the pairs: the sums come out in every lane.
      Value sum = made(ir.FAdd(shuffle(p, p, elem == F64 ? 0x44 : 0xa0),
                               shuffle(p, p, elem == F64 ? 0xee : 0xf5), fp_mode(), elem),
                       elem);
      if (elem == F32) sum = made(ir.FAdd(shuffle(sum, sum, 0x44), high_to_low(sum), fp_mode(), elem), elem);
      return ir.And(sum, to);
    });
  }
  bool DPPS() { return dot_product(F32); }
  bool DPPD() { return dot_product(F64); }

  // --- compares

  /// Predicate `how` of CMPPS (SDM volume 2, table 3-1): EQ, LT, LE, UNORD, their negations, and with
  /// 8 and 16 the other twenty-four.
  Value compared(Value a, Value b, Type elem, unsigned how) {
    const FpMode mode = fp_mode();
    const auto inverted = [&](Value v, bool invert) { return invert ? ir.Not(v) : v; };
    const auto quiet_less = [&](bool or_equal, bool swap) {
      // NaNs out of the way first, so that the compare that signals them does not see any.
      const Value ordered = ir.Not(ir.FCmpUnord(a, b, mode, elem));
      const Value x = numbers_of(swap ? b : a, ordered), y = numbers_of(swap ? a : b, ordered);
      const Value r = or_equal ? ir.FCmpLe(x, y, mode, elem) : ir.FCmpLt(x, y, mode, elem);
      return ir.And(r, ordered);
    };
    const auto signal = [&] { ir.FCmpLe(a, b, mode, elem); };
    const Value all = ir::is_vector(a.type) ? ir.ConstVec(a.type, ~uint64_t{0}, ~uint64_t{0}) : ir.True();
    const bool other_kind = how & 16;  // quiet where the first sixteen signal, and the other way around
    switch (how & 15) {
      case 0:  // EQ_OQ, EQ_OS
        if (other_kind) signal();
        return ir.FCmpEq(a, b, mode, elem);
      case 1:  // LT_OS, LT_OQ
        return other_kind ? quiet_less(false, false) : ir.FCmpLt(a, b, mode, elem);
      case 2:  // LE
        return other_kind ? quiet_less(true, false) : ir.FCmpLe(a, b, mode, elem);
      case 3:  // UNORD_Q, UNORD_S
        if (other_kind) signal();
        return ir.FCmpUnord(a, b, mode, elem);
      case 4:  // NEQ_UQ, NEQ_US
        if (other_kind) signal();
        return inverted(ir.FCmpEq(a, b, mode, elem), true);
      case 5:  // NLT_US, NLT_UQ
        return inverted(other_kind ? quiet_less(false, false) : ir.FCmpLt(a, b, mode, elem), true);
      case 6:  // NLE
        return inverted(other_kind ? quiet_less(true, false) : ir.FCmpLe(a, b, mode, elem), true);
      case 7:  // ORD_Q, ORD_S
        if (other_kind) signal();
        return inverted(ir.FCmpUnord(a, b, mode, elem), true);
      case 8:  // EQ_UQ, EQ_US
        if (other_kind) signal();
        return ir.Or(ir.FCmpEq(a, b, mode, elem), ir.FCmpUnord(a, b, mode, elem));
      case 9:  // NGE_US, NGE_UQ
        return inverted(other_kind ? quiet_less(true, true) : ir.FCmpLe(b, a, mode, elem), true);
      case 10:  // NGT
        return inverted(other_kind ? quiet_less(false, true) : ir.FCmpLt(b, a, mode, elem), true);
      case 11:  // FALSE_OQ, FALSE_OS: still raise what a compare raises
        other_kind ? signal() : static_cast<void>(ir.FCmpEq(a, b, mode, elem));
        return inverted(all, true);
      case 12:  // NEQ_OQ, NEQ_OS
        if (other_kind) signal();
        return inverted(ir.Or(ir.FCmpEq(a, b, mode, elem), ir.FCmpUnord(a, b, mode, elem)), true);
      case 13:  // GE_OS, GE_OQ
        return other_kind ? quiet_less(true, true) : ir.FCmpLe(b, a, mode, elem);
      case 14:  // GT
        return other_kind ? quiet_less(false, true) : ir.FCmpLt(b, a, mode, elem);
      default:  // TRUE_UQ, TRUE_US
        other_kind ? signal() : static_cast<void>(ir.FCmpEq(a, b, mode, elem));
        return all;
    }
  }
  Value numbers_of(Value a, Value ordered) { return ir.And(a, ordered); }
  unsigned predicate() const { return static_cast<unsigned>(control()) & (is_vex() ? 31u : 7u); }
  bool compare(Type elem) {
    return packed([&](Value a, Value b) { return compared(a, b, elem, predicate()); });
  }
  bool CMPPS() { return compare(F32); }
  bool CMPPD() { return compare(F64); }
  /// Scalars as vectors with zeros above, which compare without raising anything.
  bool compare_scalar(Type elem) {
    return lowest(elem, [&](Value a, Value b) {
      const Value mask = compared(ir.VecFromScalar(V128, a), ir.VecFromScalar(V128, b), elem, predicate());
      return low_lane(mask, elem);
    });
  }
  bool CMPSS() { return compare_scalar(F32); }
  bool CMPSD() { return compare_scalar(F64); }

  bool compare_flags(Type elem, bool signal_quiet) {
    const Value b = scalar(1, elem), a = scalar(0, elem);
    before_floats();
    const Value order = ir.FCompare(a, b, fp_mode(), signal_quiet);
    const Value equal = ir.FCompare(a, b, fp_mode(), signal_quiet, true);
    after_floats();
    set_flags_of_order(order, equal);
    return true;
  }
  bool COMISS() { return compare_flags(F32, true); }
  bool COMISD() { return compare_flags(F64, true); }
  bool UCOMISS() { return compare_flags(F32, false); }
  bool UCOMISD() { return compare_flags(F64, false); }

  // --- rounding: bit 2 of the immediate is MXCSR's mode, bit 3 not to raise inexact

  FpMode round_mode() const {
    constexpr ir::Round kRounds[] = {ir::Round::NearestEven, ir::Round::TowardNegative,
                                     ir::Round::TowardPositive, ir::Round::TowardZero};
    FpMode mode = silent_mode();
    if (!(control() & 4)) mode.round = kRounds[control() & 3];
    mode.no_inexact = (control() & 8) != 0;
    return mode;
  }
  bool round(Type elem) {
    return packed_one([&](Value a) { return ir.FRoundInt(a, round_mode(), elem); });
  }
  bool ROUNDPS() { return round(F32); }
  bool ROUNDPD() { return round(F64); }
  bool round_scalar(Type elem) {
    return lowest(elem, [&](Value, Value b) { return ir.FRoundInt(b, round_mode()); });
  }
  bool ROUNDSS() { return round_scalar(F32); }
  bool ROUNDSD() { return round_scalar(F64); }

  // --- conversions

  bool from_int(Type to) {
    const unsigned from = insn.operand_count - 1u;
    const Value a = read(from);
    before_floats();
    const Value r = ir.FFromInt(Op::FFromIntS, a, to, fp_mode());
    after_floats();
    set_scalar(r);
    return true;
  }
  bool CVTSI2SS() { return from_int(F32); }
  bool CVTSI2SD() { return from_int(F64); }

  FpMode int_mode(bool cut) const {
    FpMode mode = silent_mode();
    if (cut) mode.round = ir::Round::TowardZero;
    return mode;
  }
  Value to_int(Value a, Type to, bool cut, Type elem = Type::None) {
    return ir.FToInt(Op::FToIntS, a, to, int_mode(cut), ir::kFpIndefinite, elem);
  }
  bool scalar_to_int(Type from, bool cut) {
    const Value a = scalar(1, from);
    before_floats();
    const Value r = to_int(a, type(0), cut);
    after_floats();
    write(0, r);
    return true;
  }
  bool CVTSS2SI() { return scalar_to_int(F32, false); }
  bool CVTSD2SI() { return scalar_to_int(F64, false); }
  bool CVTTSS2SI() { return scalar_to_int(F32, true); }
  bool CVTTSD2SI() { return scalar_to_int(F64, true); }

  bool convert_scalar(Type from, Type to) {
    const Value a = scalar(second(), from);
    before_floats();
    const Value r = made(ir.FConvert(a, to, fp_mode()), to);
    after_floats();
    set_scalar(r);
    return true;
  }
  bool CVTSS2SD() { return convert_scalar(F32, F64); }
  bool CVTSD2SS() { return convert_scalar(F64, F32); }

  /// The last operand, of which 256-bit results use 16 bytes and 128-bit ones 8.
  Value narrow_source() {
    const Operand& o = operand(second());
    return is_vector(second()) ? xmm(o.reg) : load_part(address(o.size, false), o.size, false);
  }
  /// f of the low half of a 128-bit vector makes 16 bytes.
  template <typename F>
  bool widening(F f) {
    const Value a = narrow_source();
    Halves r{{}, halves()};
    before_floats();
    for (unsigned h = 0; h < r.count; ++h) r.part[h] = f(h ? high_to_low(a) : a);
    after_floats();
    set_vector(0, r);
    return true;
  }
  bool CVTPS2PD() {
    return widening([&](Value a) { return ir.FWidenLo(a, fp_mode(), F32); });
  }
  bool CVTDQ2PD() {
    return widening(
        [&](Value a) { return ir.FFromInt(Op::FFromIntS, ir.WidenLoS(a, I32), V128, fp_mode(), 0, F64); });
  }
  FpMode half_mode() const {
    // Subnormal half-precision numbers count whatever MXCSR says, and are not reported.
    FpMode mode = silent_mode();
    mode.flush_inputs = mode.flush_outputs = false;
    return mode;
  }
  bool VCVTPH2PS() {
    return widening([&](Value a) { return ir.FWidenLo(a, half_mode(), F16); });
  }

  /// f makes a V64 of each part of the last operand.
  template <typename F>
  void narrowed(unsigned from, F f) {
    const Halves a = vector(from);
    Value r[2];
    if (is_memory(0) && a.count == 2) check_vector(address(16, true));
    if (is_memory(0)) probe(address(8 * a.count, true), 8 * a.count);
    before_floats();
    for (unsigned h = 0; h < a.count; ++h) r[h] = f(a.part[h]);
    if (is_mmx(0)) enter_mmx();
    after_floats();
    if (is_mmx(0)) return set_mm(operand(0).reg, r[0]);
    if (is_memory(0) && a.count == 1) return store(address(8, true), r[0]);
    const Value all = a.count == 1 ? ir.Resize(r[0], V128) : ir.Concat(r[0], r[1]);
    if (is_memory(0)) return store(address(16, true), all);
    set_xmm(operand(0).reg, all);
  }
  bool CVTPD2PS() {
    narrowed(1, [&](Value a) { return made(ir.FNarrow(a, F64, fp_mode()), F32); });
    return true;
  }
  bool VCVTPS2PH() {
    constexpr ir::Round kRounds[] = {ir::Round::NearestEven, ir::Round::TowardNegative,
                                     ir::Round::TowardPositive, ir::Round::TowardZero};
    FpMode mode = fp_mode();
    mode.flush_outputs = false;
    if (!(control() & 4)) mode.round = kRounds[control() & 3];
    narrowed(1, [&](Value a) { return made(ir.FNarrow(a, F32, mode), F16); });
    return true;
  }
  Value doubles_to_ints(Value a, bool cut) {
    const Value low = to_int(ir.ExtractLane(a, F64, 0), I32, cut);
    const Value high = to_int(ir.ExtractLane(a, F64, 1), I32, cut);
    return ir.InsertLane(ir.VecFromScalar(V64, low), high, 1);
  }
  bool narrow_to_ints(bool cut) {
    narrowed(1, [&](Value a) { return doubles_to_ints(a, cut); });
    return true;
  }
  bool CVTPD2DQ() { return narrow_to_ints(false); }
  bool CVTTPD2DQ() { return narrow_to_ints(true); }
  bool CVTPD2PI() { return narrow_to_ints(false); }
  bool CVTTPD2PI() { return narrow_to_ints(true); }

  bool CVTDQ2PS() {
    return packed_one([&](Value a) { return ir.FFromInt(Op::FFromIntS, a, V128, fp_mode(), 0, F32); });
  }
  bool CVTPS2DQ() {
    return packed_one([&](Value a) { return to_int(a, V128, false, F32); });
  }
  bool CVTTPS2DQ() {
    return packed_one([&](Value a) { return to_int(a, V128, true, F32); });
  }

  Value mmx_source() { return is_mmx(1) ? mm(operand(1).reg) : load(V64, address(8, false)); }
  bool CVTPI2PS() {
    const Value a = mmx_source();
    before_floats();
    const Value r = ir.FFromInt(Op::FFromIntS, ir.Resize(a, V128), V128, fp_mode(), 0, F32);
    if (is_mmx(1)) enter_mmx();
    after_floats();
    set_xmm(operand(0).reg, ir.InsertLane(xmm(operand(0).reg), low_lane(r, F64), 0));
    return true;
  }
  bool CVTPI2PD() {
    const Value a = ir.Resize(mmx_source(), V128);
    const Value r = ir.FFromInt(Op::FFromIntS, ir.WidenLoS(a, I32), V128, fp_mode(), 0, F64);
    if (is_mmx(1)) enter_mmx();
    set_xmm(operand(0).reg, r);
    return true;
  }
  bool floats_to_mm(bool cut) {
    const Value a = is_vector(1) ? ir.Resize(ir.Resize(xmm(operand(1).reg), V64), V128)
                                 : ir.Resize(load(V64, address(8, false)), V128);
    before_floats();
    const Value r = to_int(a, V128, cut, F32);
    enter_mmx();
    after_floats();
    set_mm(operand(0).reg, ir.Resize(r, V64));
    return true;
  }
  bool CVTPS2PI() { return floats_to_mm(false); }
  bool CVTTPS2PI() { return floats_to_mm(true); }

  // --- fused multiply and add: a * b + c of the three operands in that order

  struct Fused {
    unsigned a, b, c;
  };
  static constexpr Fused fused_order(unsigned order) {
    return order == 132 ? Fused{0, 2, 1} : order == 213 ? Fused{1, 0, 2} : Fused{1, 2, 0};
  }
  template <typename F>
  bool fused(unsigned order, F f) {
    const Fused at = fused_order(order);
    const Halves v[3] = {vector(0), vector(1), vector(2)};
    Halves r{{}, v[0].count};
    before_floats();
    for (unsigned h = 0; h < r.count; ++h) r.part[h] = f(v[at.a].part[h], v[at.b].part[h], v[at.c].part[h]);
    after_floats();
    set_vector(0, r);
    return true;
  }
  template <typename F>
  bool fused_scalar(unsigned order, Type elem, F f) {
    const Fused at = fused_order(order);
    const Value third = scalar(2, elem);
    const Value v[3] = {scalar(0, elem), scalar(1, elem), third};
    before_floats();
    const Value r = f(v[at.a], v[at.b], v[at.c]);
    after_floats();
    set_xmm(operand(0).reg, ir.InsertLane(xmm(operand(0).reg), r, 0));
    return true;
  }
  bool fused_alternating(unsigned order, Type elem, unsigned negated) {
    return fused(order, [&](Value a, Value b, Value c) {
      return made(ir.FMulAdd(a, b, with_signs(c, elem, negated), fp_mode(), elem), elem);
    });
  }

#define HANDLER(name)
#define BOTH(name) \
  bool V##name() { return name(); }
#define FLOAT_FORM(name, frame) \
  bool name() { return frame; } \
  bool V##name() { return name(); }
#define FLOATS(name, op)                                                                                   \
  FLOAT_FORM(name##PS,                                                                                     \
             packed([&](Value a, Value b) { return computed(Op::op, ir.op(a, b, fp_mode(), F32), F32); })) \
  FLOAT_FORM(name##PD,                                                                                     \
             packed([&](Value a, Value b) { return computed(Op::op, ir.op(a, b, fp_mode(), F64), F64); })) \
  FLOAT_FORM(name##SS,                                                                                     \
             lowest(F32, [&](Value a, Value b) { return computed(Op::op, ir.op(a, b, fp_mode()), F32); })) \
  FLOAT_FORM(name##SD,                                                                                     \
             lowest(F64, [&](Value a, Value b) { return computed(Op::op, ir.op(a, b, fp_mode()), F64); }))
#define FMA_OP_MADD FMulAdd
#define FMA_OP_MSUB FMulSub
#define FMA_OP_NMADD FNegMulAdd
#define FMA_OP_NMSUB FNegMulSub
#define FMA_FORMS(kind, order, op)                                                                        \
  bool VF##kind##order##PS() {                                                                            \
    return fused(order,                                                                                   \
                 [&](Value a, Value b, Value c) { return made(ir.op(a, b, c, fp_mode(), F32), F32); });   \
  }                                                                                                       \
  bool VF##kind##order##PD() {                                                                            \
    return fused(order,                                                                                   \
                 [&](Value a, Value b, Value c) { return made(ir.op(a, b, c, fp_mode(), F64), F64); });   \
  }                                                                                                       \
  bool VF##kind##order##SS() {                                                                            \
    return fused_scalar(order, F32,                                                                       \
                        [&](Value a, Value b, Value c) { return made(ir.op(a, b, c, fp_mode()), F32); }); \
  }                                                                                                       \
  bool VF##kind##order##SD() {                                                                            \
    return fused_scalar(order, F64,                                                                       \
                        [&](Value a, Value b, Value c) { return made(ir.op(a, b, c, fp_mode()), F64); }); \
  }
#define FMA_FORMS_OF(kind, order, op) FMA_FORMS(kind, order, op)
#define FMA(kind, order) FMA_FORMS_OF(kind, order, FMA_OP_##kind)
#define FMA_NEGATED_MADDSUB kEven
#define FMA_NEGATED_MSUBADD kOdd
#define FMA_PACKED(kind, order)                                                            \
  bool VF##kind##order##PS() { return fused_alternating(order, F32, FMA_NEGATED_##kind); } \
  bool VF##kind##order##PD() { return fused_alternating(order, F64, FMA_NEGATED_##kind); }
#include "frontend/x86/lift/sse_float.inc"
#undef HANDLER
};

}  // namespace

#define X86_CHAPTER SseFloat
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/sse_float.inc"
#undef HANDLER

}  // namespace lyrebird::x86
