// SPDX-License-Identifier: Apache-2.0
// Shuffles, blends, insertions, extractions and broadcasts (SDM volume 1, 10.4.4, 11.4.1.2, 12.10,
// 14.6).
#include "frontend/x86/lift/vector.h"

namespace lyrebird::x86 {
namespace {

struct SseShuffle : Vector {
  using Vector::Vector;

  // --- by an immediate

  /// Shuffle32's order for two 64-bit lanes.
  static unsigned pairs(unsigned low, unsigned high) { return (low ? 0xeu : 0x4u) | (high ? 0xe0u : 0x40u); }

  bool PSHUFD() {
    return unary([&](Value a) { return shuffle(a, a, static_cast<unsigned>(control())); });
  }
  Value shuffled_words(Value a, bool high) {
    uint8_t order[16];
    for (unsigned i = 0; i < 16; ++i) {
      const unsigned word = i / 2;
      const bool moved = (word >= 4) == high;
      const unsigned from = moved ? (word & 4) + static_cast<unsigned>(control() >> word % 4 * 2 & 3) : word;
      order[i] = static_cast<uint8_t>(2 * from + i % 2);
    }
    return ir.PermuteBytes(a, bytes(order), I8);
  }
  bool PSHUFHW() {
    return unary([&](Value a) { return shuffled_words(a, true); });
  }
  bool PSHUFLW() {
    return unary([&](Value a) { return shuffled_words(a, false); });
  }
  bool PSHUFW() {
    uint64_t order = 0;
    for (unsigned i = 0; i < 8; ++i) order |= ((control() >> i / 2 * 2 & 3) * 2 + i % 2) << 8 * i;
    return unary([&](Value a) { return ir.PermuteBytes(a, ir.Const(V64, order), I8); });
  }
  bool SHUFPS() {
    return binary([&](Value a, Value b) { return shuffle(a, b, static_cast<unsigned>(control())); });
  }
  bool SHUFPD() {
    const Halves a = vector(first()), b = vector(second());
    Halves r{{}, a.count};
    for (unsigned h = 0; h < r.count; ++h)
      r.part[h] = shuffle(a.part[h], b.part[h], pairs(control() >> 2 * h & 1, control() >> (2 * h + 1) & 1));
    set_vector(0, r);
    return true;
  }
  bool PALIGNR() {
    const uint64_t by = control();
    return binary([&](Value a, Value b) {
      const uint64_t size = ir::byte_size(a.type);
      const Value none = ir.ConstVec(a.type, 0, 0);
      if (by <= size) return ir.ByteExtract(b, a, I8, by);
      return by < 2 * size ? ir.ByteExtract(a, none, I8, by - size) : none;
    });
  }
  bool MOVSLDUP() {
    return unary([&](Value a) { return shuffle(a, a, 0xa0); });
  }
  bool MOVSHDUP() {
    return unary([&](Value a) { return shuffle(a, a, 0xf5); });
  }
  bool MOVDDUP() {
    return unary([&](Value a) { return shuffle(a, a, 0x44); });
  }
  bool VPERMILPS() {
    if (has_immediate()) return PSHUFD();
    return binary([&](Value a, Value b) { return ir.PermuteBytes(a, lanes_as_bytes(b), I8); });
  }
  bool VPERMILPD() {
    if (has_immediate()) {
      Halves a = vector(1);
      for (unsigned h = 0; h < a.count; ++h)
        a.part[h] =
            shuffle(a.part[h], a.part[h], pairs(control() >> 2 * h & 1, control() >> (2 * h + 1) & 1));
      set_vector(0, a);
      return true;
    }
    const Value spread = bytes({0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 8, 8, 8, 8, 8, 8});
    const Value within = ir.ConstVec(V128, 0x0706050403020100, 0x0706050403020100);
    return binary([&](Value a, Value b) {
      const Value lane = ir.Shl(ir.And(b, splat(V128, I64, 2)), splat(V128, I64, 2), I64);
      return ir.PermuteBytes(a, ir.Or(ir.PermuteBytes(lane, spread, I8), within), I8);
    });
  }
  /// Of numbers of 32-bit lanes, those of their bytes.
  Value lanes_as_bytes(Value lanes) {
    const Value spread = bytes({0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12});
    const Value lane = ir.Shl(ir.And(lanes, splat(V128, I32, 3)), splat(V128, I32, 2), I32);
    return ir.Or(ir.PermuteBytes(lane, spread, I8), splat(V128, I32, 0x03020100));
  }

  // --- across halves

  bool permute_halves() {
    const Halves a = vector(1), b = vector(2);
    Halves r{{}, 2};
    for (unsigned h = 0; h < 2; ++h) {
      const uint64_t from = control() >> 4 * h;
      r.part[h] = from & 8 ? zero() : (from & 2 ? b : a).part[from & 1];
    }
    set_vector(0, r);
    return true;
  }
  bool VPERM2F128() { return permute_halves(); }
  bool VPERM2I128() { return permute_halves(); }
  bool VPERMQ() {
    const Halves a = vector(1);
    Halves r{{}, 2};
    for (unsigned h = 0; h < 2; ++h) {
      const uint64_t low = control() >> 4 * h & 3, high = control() >> (4 * h + 2) & 3;
      r.part[h] = shuffle(a.part[low >> 1], a.part[high >> 1], pairs(low & 1, high & 1));
    }
    set_vector(0, r);
    return true;
  }
  bool VPERMPD() { return VPERMQ(); }
  bool VPERMD() {
    const Halves lanes = vector(1), a = vector(2);
    Halves r{{}, 2};
    for (unsigned h = 0; h < 2; ++h) {
      const Value at = lanes_as_bytes(lanes.part[h]);
      const Value upper = ir.Shl(lanes.part[h], splat(V128, I32, 29), I32);
      r.part[h] =
          ir.SignSelect(upper, ir.PermuteBytes(a.part[1], at, I8), ir.PermuteBytes(a.part[0], at, I8), I32);
    }
    set_vector(0, r);
    return true;
  }
  bool VPERMPS() { return VPERMD(); }

  bool VINSERTF128() {
    Halves a = vector(1);
    a.part[control() & 1] = vector(2).part[0];
    set_vector(0, a);
    return true;
  }
  bool VINSERTI128() { return VINSERTF128(); }
  bool VEXTRACTF128() {
    set_vector(0, xmm(operand(1).reg, control() & 1));
    return true;
  }
  bool VEXTRACTI128() { return VEXTRACTF128(); }

  // --- blends

  /// `bits`: for each lane of each half whether it is b's.
  bool blend(Type elem, uint64_t bits, bool same_in_halves = false) {
    const unsigned width = ir::bit_width(elem), lanes = 128 / width;
    const Halves a = vector(first()), b = vector(second());
    Halves r{{}, a.count};
    for (unsigned h = 0; h < r.count; ++h) {
      uint64_t mask[2] = {0, 0};
      for (unsigned i = 0; i < lanes; ++i)
        if (bits >> i & 1) mask[i * width / 64] |= low_mask(width) << i * width % 64;
      r.part[h] = ir.BitSelect(ir.ConstVec(V128, mask[0], mask[1]), b.part[h], a.part[h]);
      if (!same_in_halves) bits >>= lanes;
    }
    set_vector(0, r);
    return true;
  }
  bool BLENDPS() { return blend(I32, control()); }
  bool BLENDPD() { return blend(I64, control()); }
  bool PBLENDW() { return blend(I16, control(), true); }
  bool VPBLENDD() { return blend(I32, control()); }

  bool blend_by_sign(Type elem) {
    const unsigned at = is_vex() ? 1 : 0;
    const Halves a = vector(at), b = vector(at + 1), mask = vector(at + 2);
    Halves r{{}, a.count};
    for (unsigned h = 0; h < r.count; ++h)
      r.part[h] = ir.SignSelect(mask.part[h], b.part[h], a.part[h], elem);
    set_vector(0, r);
    return true;
  }
  bool BLENDVPS() { return blend_by_sign(I32); }
  bool BLENDVPD() { return blend_by_sign(I64); }
  bool PBLENDVB() { return blend_by_sign(I8); }

  // --- single lanes

  bool INSERTPS() {
    const auto how = static_cast<unsigned>(control());
    const Value lane = is_vector(second()) ? ir.ExtractLane(xmm(operand(second()).reg), F32, how >> 6)
                                           : load(F32, address(4, false));
    Value r = ir.InsertLane(xmm(operand(kept()).reg), lane, how >> 4 & 3);
    uint64_t keep[2] = {0, 0};
    for (unsigned i = 0; i < 4; ++i)
      if (!(how >> i & 1)) keep[i / 2] |= uint64_t{0xffffffff} << i % 2 * 32;
    if (how & 15) r = ir.And(r, ir.ConstVec(V128, keep[0], keep[1]));
    set_xmm(operand(0).reg, r);
    return true;
  }
  bool EXTRACTPS() {
    write(0, ir.ExtractLane(xmm(operand(1).reg), I32, control() & 3));
    return true;
  }
  bool insert(Type elem) {
    const Value lane = read(second(), elem);
    const Value a = vector(first()).part[0];
    const unsigned lanes = ir::bit_width(a.type) / ir::bit_width(elem);
    set_vector(0, ir.InsertLane(a, lane, static_cast<unsigned>(control()) % lanes));
    return true;
  }
  bool PINSRB() { return insert(I8); }
  bool PINSRW() { return insert(I16); }
  bool PINSRD() { return insert(type(second())); }
  bool extract(Type elem) {
    const Value a = vector(1).part[0];
    const unsigned lanes = ir::bit_width(a.type) / ir::bit_width(elem);
    const Value lane = ir.ExtractLane(a, elem, static_cast<unsigned>(control()) % lanes);
    write(0, is_memory(0) || elem == I64 ? lane : ir.ZExtOrTrunc(lane, I32));
    if (is_mmx(1)) enter_mmx();
    return true;
  }
  bool PEXTRB() { return extract(I8); }
  bool PEXTRW() { return extract(I16); }
  bool PEXTRD() { return extract(type(0)); }

  // --- broadcasts

  template <typename F>
  bool broadcast(F f) {
    const Operand& from = operand(1);
    const Value a = is_vector(1) ? xmm(from.reg) : load_part(address(from.size, false), from.size, false);
    const Value all = f(a);
    set_vector(0, Halves{{all, all}, halves()});
    return true;
  }
  bool VBROADCASTSS() {
    return broadcast([&](Value a) { return shuffle(a, a, 0); });
  }
  bool VBROADCASTSD() {
    return broadcast([&](Value a) { return shuffle(a, a, 0x44); });
  }
  bool VBROADCASTF128() {
    return broadcast([](Value a) { return a; });
  }
  bool VBROADCASTI128() { return VBROADCASTF128(); }
  bool VPBROADCASTB() {
    return broadcast([&](Value a) { return ir.PermuteBytes(a, zero(), I8); });
  }
  bool VPBROADCASTW() {
    return broadcast([&](Value a) { return ir.PermuteBytes(a, splat(V128, I16, 0x0100), I8); });
  }
  bool VPBROADCASTD() { return VBROADCASTSS(); }
  bool VPBROADCASTQ() { return VBROADCASTSD(); }

#define HANDLER(name)
#define BOTH(name) \
  bool V##name() { return name(); }
#include "frontend/x86/lift/sse_shuffle.inc"
#undef HANDLER
};

}  // namespace

#define X86_CHAPTER SseShuffle
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/sse_shuffle.inc"
#undef HANDLER

}  // namespace lyrebird::x86
