// SPDX-License-Identifier: Apache-2.0
// MXCSR, the images of FXSAVE and XSAVE (SDM volume 1, 10.5, 13.4 to 13.8), and comparisons of strings
// (volume 1, 12.11; volume 2, 4.1). What helpers can't do for want of guest memory is done here:
// components that are not asked for are read and written back.
#include "frontend/x86/lift/helpers.h"
#include "frontend/x86/lift/vector.h"

namespace lyrebird::x86 {
namespace {

constexpr unsigned kStAt = 32, kXmmAt = 160, kHeaderAt = 512, kYmmAt = 576, kXsaveSize = 832;
constexpr uint64_t kX87Bit = 1, kSseBit = 2, kAvxBit = 4;

struct SseSystem : Vector {
  using Vector::Vector;

  // --- MXCSR

  bool LDMXCSR() {
    const Value value = load(I32, address(4, false));
    ir.RaiseIf(ir.CmpTest(value, imm(I32, 0xffff0000)), ExitKind::ProtectionFault);
    set_mode(ir.CallHelper(kHelperSetMxcsr, I32, {ir.ZExt(value, I64)}));
    return end_block();
  }
  bool STMXCSR() {
    store(address(4, true), ir.CallHelper(kHelperGetMxcsr, I32, {}));
    return true;
  }
  bool VLDMXCSR() { return LDMXCSR(); }
  bool VSTMXCSR() { return STMXCSR(); }

  // --- images

  unsigned xmm_count() const { return is64() ? 16 : 8; }
  bool wide_pointers() const { return insn.operand_size == 8; }
  Value image_word(unsigned i) {
    return ir.CallHelper(kHelperFxsaveWord, I64, {imm(I64, i | (wide_pointers() ? 4u : 0u))});
  }
  Value st_part(unsigned i, unsigned part) {
    const unsigned reg = (i + x87_top_of_mode(ctx.mode)) & 7;
    const size_t at = offsetof(X86State, x87) + 16 * reg;
    return part == 0 ? ir.Bitcast(field(at, V64), I64) : ir.ZExt(field(at + 8, I16), I64);
  }
  Value image_at(unsigned size, bool write, unsigned align) {
    const Value at = address(size, write);
    // FXSAVE and FXRSTOR; the host of tests/diff/x86 does so.
    if ((ctx.mode & kModeAlign) != 0 && align == 16)
      ir.RaiseIf(ir.CmpTest(at, imm(I64, 3)), ExitKind::ArithmeticTrap, kTrapAlignment);
    ir.RaiseIf(ir.CmpTest(at, imm(I64, align - 1)), ExitKind::ProtectionFault);
    return at;
  }

  bool FXSAVE() {
    const Value at = image_at(512, true, 16);
    probe_write(at, 512);
    for (unsigned i = 0; i < 4; ++i) store(plus(at, 8 * i), image_word(i));
    for (unsigned i = 0; i < 16; ++i) store(plus(at, kStAt + 8 * i), st_part(i / 2, i % 2));
    for (unsigned i = 0; i < xmm_count(); ++i) store(plus(at, kXmmAt + 16 * i), xmm(i));
    return true;
  }

  struct Image {
    Value words[4], st[16], xmm[16], ymm[16];
  };
  void load_legacy(Image& image, Value at) {
    for (unsigned i = 0; i < 4; ++i) image.words[i] = load(I64, plus(at, 8 * i));
    for (unsigned i = 0; i < 16; ++i) image.st[i] = load(I64, plus(at, kStAt + 8 * i));
    for (unsigned i = 0; i < xmm_count(); ++i) image.xmm[i] = load(V128, plus(at, kXmmAt + 16 * i));
  }
  Value new_mxcsr(const Image& image) { return ir.And(image.words[3], imm(I64, 0xffffffff)); }

  bool FXRSTOR() {
    const Value at = image_at(512, false, 16);
    Image image;
    load_legacy(image, at);
    // The reserved bytes at its end are part of the operand: hosts of both vendors fault there.
    load(I64, plus(at, kHeaderAt - 8));
    ir.RaiseIf(ir.CmpTest(image.words[3], imm(I64, 0xffff0000)), ExitKind::ProtectionFault);
    restore_x87(image);
    for (unsigned i = 0; i < xmm_count(); ++i) ir.SetState(ymm_offset(i), image.xmm[i]);
    set_mode(ir.CallHelper(kHelperSetMxcsr, I32, {new_mxcsr(image)}));
    return end_block();
  }
  void restore_x87(const Image& image) {
    ir.CallHelper(kHelperFxrstorWords, Type::None,
                  {image.words[0], image.words[1], image.words[2], imm(I64, wide_pointers())});
    for (unsigned i = 0; i < 8; ++i)
      ir.CallHelper(kHelperFxrstorRegister, Type::None, {imm(I64, i), image.st[2 * i], image.st[2 * i + 1]});
  }

  // --- XSAVE

  /// The components of EDX:EAX that XCR0 has.
  Value requested() {
    const Value asked = ir.Or(ir.ZExt(gpr(kRax, I32), I64), ir.Shl(gpr(kRdx), imm(I64, 32)));
    return ir.And(asked, field(offsetof(X86State, xcr0), I64));
  }
  Value has_bits(Value set, uint64_t bits) { return ir.CmpTest(set, imm(I64, bits)); }
  Value mask_of(Value condition) {
    return ir.Splat(V128, ir.Select(condition, imm(I64, ~uint64_t{0}), imm(I64, 0)));
  }
  void store_if(Value condition, Value at, Value value) {
    store(at, ir.Select(condition, value, load(I64, at)));
  }
  /// Where the i-th upper half is, or some place that is always there.
  Value upper_at(Value at, Value condition, unsigned i) {
    return ir.Select(condition, plus(at, kYmmAt + 16 * i), plus(at, kXmmAt));
  }

  bool save(bool compact) {
    const Value at = image_at(kXsaveSize, true, 64);
    const Value set = requested();
    const Value x87 = has_bits(set, kX87Bit), sse = has_bits(set, kSseBit), avx = has_bits(set, kAvxBit);
    probe_write(at, ir.Select(avx, imm(I64, kXsaveSize), imm(I64, kYmmAt)));
    for (unsigned i = 0; i < 3; ++i) store_if(x87, plus(at, 8 * i), image_word(i));
    store_if(has_bits(set, compact ? kSseBit : kSseBit | kAvxBit), plus(at, 24), image_word(3));
    for (unsigned i = 0; i < 16; ++i) store_if(x87, plus(at, kStAt + 8 * i), st_part(i / 2, i % 2));
    const Value sse_mask = mask_of(sse), avx_mask = mask_of(avx);
    for (unsigned i = 0; i < xmm_count(); ++i) {
      const Value to = plus(at, kXmmAt + 16 * i);
      store(to, ir.BitSelect(sse_mask, xmm(i), load(V128, to)));
    }
    for (unsigned i = 0; i < xmm_count(); ++i) {
      const Value to = upper_at(at, avx, i);
      store(to, ir.BitSelect(avx_mask, xmm(i, 1), load(V128, to)));
    }
    const Value bv = plus(at, kHeaderAt);
    if (compact) {
      store(bv, set);
      store(plus(bv, 8), ir.Or(set, imm(I64, uint64_t{1} << 63)));
    } else {
      // Everything counts as in use.
      store(bv, ir.Or(ir.AndNot(load(I64, bv), set), set));
    }
    return true;
  }
  bool XSAVE() { return save(false); }
  bool XSAVEOPT() { return save(false); }
  bool XSAVEC() { return save(true); }

  bool XRSTOR() {
    const Value at = image_at(kXsaveSize, false, 64), header = plus(at, kHeaderAt);
    load(I8, at);
    const Value set = requested(), bv = load(I64, header), compact = load(I64, plus(header, 8));
    const Value is_compact = ir.CmpLtS(compact, imm(I64, 0));
    // What is reserved (SDM volume 1, 13.8.1 and 13.8.2): the standard form has two words of zeros, the
    // compact one says in the first of them which components have room, and all behind it is zero.
    const Value xcr0 = field(offsetof(X86State, xcr0), I64);
    const Value room = ir.And(compact, imm(I64, ~(uint64_t{1} << 63)));
    Value zeros = ir.AndNot(room, xcr0);
    for (unsigned i = 3; i < 8; ++i) zeros = ir.Or(zeros, load(I64, plus(header, 8 * i)));
    const Value reserved = ir.Or(ir.Select(is_compact, zeros, compact), load(I64, plus(header, 16)));
    ir.RaiseIf(ir.CmpNe(reserved, imm(I64, 0)), ExitKind::ProtectionFault);
    const Value known = ir.Select(is_compact, room, xcr0);
    ir.RaiseIf(ir.CmpNe(ir.AndNot(bv, known), imm(I64, 0)), ExitKind::ProtectionFault);

    Image image;
    load_legacy(image, at);
    const Value there = ir.And(set, bv), load_avx = has_bits(there, kAvxBit);
    for (unsigned i = 0; i < xmm_count(); ++i) image.ymm[i] = load(V128, upper_at(at, load_avx, i));
    // The compact form has MXCSR with the registers, and its start if they are in theirs.
    const Value start_mxcsr = ir.And(is_compact, ir.Not(has_bits(there, kSseBit)));
    const Value wants_mxcsr = ir.Select(is_compact, has_bits(set, kSseBit), has_bits(set, kSseBit | kAvxBit));
    const Value there_mxcsr = ir.Select(start_mxcsr, imm(I64, 0x1f80), new_mxcsr(image));
    const Value wanted = ir.Select(wants_mxcsr, there_mxcsr, imm(I64, 0));
    ir.RaiseIf(ir.CmpTest(wanted, imm(I64, 0xffff0000)), ExitKind::ProtectionFault);

    const Value x87 = has_bits(set, kX87Bit), load_x87 = has_bits(there, kX87Bit);
    // As after FNINIT, or what there is.
    const Value old_control = ir.And(image_word(0), imm(I64, 0xffffffffffff));
    const uint64_t initial[3] = {0x37f, 0, 0};
    Image x;
    for (unsigned i = 0; i < 3; ++i)
      x.words[i] = ir.Select(load_x87, image.words[i],
                             ir.Select(x87, imm(I64, initial[i]), i == 0 ? old_control : image_word(i)));
    for (unsigned i = 0; i < 16; ++i)
      x.st[i] = ir.Select(load_x87, image.st[i], ir.Select(x87, imm(I64, 0), st_part(i / 2, i % 2)));
    restore_x87(x);
    const Value sse = mask_of(has_bits(set, kSseBit)), load_sse = mask_of(has_bits(there, kSseBit));
    const Value avx = mask_of(has_bits(set, kAvxBit)), avx_there = mask_of(load_avx);
    for (unsigned i = 0; i < xmm_count(); ++i) {
      ir.SetState(ymm_offset(i), ir.BitSelect(sse, ir.And(image.xmm[i], load_sse), xmm(i)));
      ir.SetState(ymm_offset(i) + 16, ir.BitSelect(avx, ir.And(image.ymm[i], avx_there), xmm(i, 1)));
    }
    const Value mxcsr = ir.Select(wants_mxcsr, wanted, ir.ZExt(ir.CallHelper(kHelperGetMxcsr, I32, {}), I64));
    set_mode(ir.CallHelper(kHelperSetMxcsr, I32, {mxcsr}));
    return end_block();
  }

  // --- strings

  /// `has_lengths`: in EAX and EDX.
  bool compare_strings(bool has_lengths, bool gives_mask) {
    allow_unaligned();
    const Value b = vector(1).part[0];
    const uint64_t how = control() | uint64_t{operand(0).reg} << 8 | (has_lengths ? 1u << 16 : 0) |
                         (gives_mask ? 1u << 17 : 0) | (is64() && insn.has(kPrefixRexW) ? 1u << 18 : 0);
    const Value r = ir.CallHelper(gives_mask ? kHelperCompareStrings : kHelperFindInStrings, I32,
                                  {ir.ExtractLane(b, I64, 0), ir.ExtractLane(b, I64, 1), imm(I64, how)});
    if (gives_mask)
      ctx.upper_zero = static_cast<uint16_t>(ctx.upper_zero & (is_vex() ? ~1u : ~0u));
    else
      set_gpr(kRcx, ir.And(r, imm(I32, 31)));
    if (gives_mask && is_vex()) clear_upper(0);
    const auto bit = [&](unsigned n) { return ir.CmpTest(r, imm(I32, uint64_t{1} << n)); };
    set_flags({{Flag::CF, bit(8)},
               {Flag::PF, ir.False()},
               {Flag::AF, ir.False()},
               {Flag::ZF, bit(9)},
               {Flag::SF, bit(10)},
               {Flag::OF, bit(11)}});
    return true;
  }
  bool PCMPESTRM() { return compare_strings(true, true); }
  bool PCMPESTRI() { return compare_strings(true, false); }
  bool PCMPISTRM() { return compare_strings(false, true); }
  bool PCMPISTRI() { return compare_strings(false, false); }
  bool VPCMPESTRM() { return PCMPESTRM(); }
  bool VPCMPESTRI() { return PCMPESTRI(); }
  bool VPCMPISTRM() { return PCMPISTRM(); }
  bool VPCMPISTRI() { return PCMPISTRI(); }
};

}  // namespace

#define X86_CHAPTER SseSystem
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/sse_system.inc"
#undef HANDLER

}  // namespace lyrebird::x86
