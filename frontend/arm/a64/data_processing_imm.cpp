// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <optional>

#include "base/bits.h"
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/lifter.h"
#include "ir/const_address.h"

namespace lyrebird::arm::a64 {
namespace {

/// The constant of a logical instruction (DDI 0487, DecodeBitMasks with immediate = TRUE):
/// a run of ones, rotated, repeated over the register.
std::optional<uint64_t> bit_mask(bool n, uint32_t imms, uint32_t immr) {
  const int length = std::bit_width(uint32_t{n} << 6 | (~imms & 0x3f)) - 1;
  if (length < 1) return std::nullopt;
  const unsigned size = 1u << length, ones = (imms & (size - 1)) + 1, rotate = immr & (size - 1);
  if (ones == size) return std::nullopt;
  uint64_t element = low_mask(ones);
  if (rotate) element = (element >> rotate | element << (size - rotate)) & low_mask(size);
  for (unsigned width = size; width < 64; width *= 2) element |= element << width;
  return element;
}

struct DataProcessingImm : Lifter {
  using Lifter::Lifter;

  bool ADR(Imm<2> low, Imm<19> high, Reg d) {
    set_x(d, ir::const_address(ir, ctx.pc + offset(low, high)));
    return true;
  }

  bool ADRP(Imm<2> low, Imm<19> high, Reg d) {
    set_known(d, (ctx.pc & ~uint64_t{0xfff}) + (offset(low, high) << 12), true);
    return true;
  }

  bool ADD_imm(bool sf, bool shift, Imm<12> imm12, Reg n, Reg d) {
    if (sf && !shift && d != 31 && is_known(n, true)) {
      set_known(d, ctx.known.value + imm12, true);
      return true;
    }
    const Value a = x_or_sp(n, sized(sf));
    set_x_or_sp(d, imm12 == 0 ? a : ir.Add(a, shifted_imm(sf, shift, imm12)));
    return true;
  }

  bool ADDS_imm(bool sf, bool shift, Imm<12> imm12, Reg n, Reg d) {
    const Value a = x_or_sp(n, sized(sf)), b = shifted_imm(sf, shift, imm12);
    const Value result = ir.Add(a, b);
    set_nzcv(flags_of_add(a, b, result));
    set_x(d, result);
    return true;
  }

  bool SUB_imm(bool sf, bool shift, Imm<12> imm12, Reg n, Reg d) {
    set_x_or_sp(d, ir.Sub(x_or_sp(n, sized(sf)), shifted_imm(sf, shift, imm12)));
    return true;
  }

  bool SUBS_imm(bool sf, bool shift, Imm<12> imm12, Reg n, Reg d) {
    const Value a = x_or_sp(n, sized(sf)), b = shifted_imm(sf, shift, imm12);
    // (CMP wants no result.)
    const Value result = d == 31 ? Value{} : ir.Sub(a, b);
    set_nzcv(flags_of_sub(a, b, result));
    if (d != 31) set_x(d, result);
    return true;
  }

  bool AND_imm(bool sf, bool n_bit, Imm<6> immr, Imm<6> imms, Reg n, Reg d) {
    const Value mask = logical_imm(sf, n_bit, immr, imms);
    if (!mask) return unallocated();
    set_x_or_sp(d, ir.And(x(n, sized(sf)), mask));
    return true;
  }

  bool ORR_imm(bool sf, bool n_bit, Imm<6> immr, Imm<6> imms, Reg n, Reg d) {
    const Value mask = logical_imm(sf, n_bit, immr, imms);
    if (!mask) return unallocated();
    set_x_or_sp(d, n == 31 ? mask : ir.Or(x(n, sized(sf)), mask));
    return true;
  }

  bool EOR_imm(bool sf, bool n_bit, Imm<6> immr, Imm<6> imms, Reg n, Reg d) {
    const Value mask = logical_imm(sf, n_bit, immr, imms);
    if (!mask) return unallocated();
    set_x_or_sp(d, ir.Xor(x(n, sized(sf)), mask));
    return true;
  }

  bool ANDS_imm(bool sf, bool n_bit, Imm<6> immr, Imm<6> imms, Reg n, Reg d) {
    const Value mask = logical_imm(sf, n_bit, immr, imms);
    if (!mask) return unallocated();
    const Value result = ir.And(x(n, sized(sf)), mask);
    set_nzcv(flags_of_logic(result));
    set_x(d, result);
    return true;
  }

  bool MOVN(bool sf, Imm<2> half, Imm<16> imm16, Reg d) {
    if (!sf && half > 1) return unallocated();
    const uint64_t value = ~(uint64_t{imm16} << (16 * half));
    set_known(d, sf ? value : value & low_mask(32), false);
    return true;
  }

  bool MOVZ(bool sf, Imm<2> half, Imm<16> imm16, Reg d) {
    if (!sf && half > 1) return unallocated();
    set_known(d, uint64_t{imm16} << (16 * half), false);
    return true;
  }

  bool MOVK(bool sf, Imm<2> half, Imm<16> imm16, Reg d) {
    if (!sf && half > 1) return unallocated();
    const uint64_t mask = uint64_t{0xffff} << (16 * half), bits = uint64_t{imm16} << (16 * half);
    if (is_known(d, false)) {
      const uint64_t value = (ctx.known.value & ~mask) | bits;
      set_known(d, sf ? value : value & low_mask(32), false);
      return true;
    }
    const Type type = sized(sf);
    Value result = x(d, type);
    if (imm16 != 0xffff) result = ir.And(result, imm(type, ~mask));
    if (imm16 != 0) result = ir.Or(result, imm(type, bits));
    set_x(d, result);
    return true;
  }

  // The bit field moves, by what they do instead of by DecodeBitMasks: imms >= immr takes bits
  // imms:immr down to bit 0 (extract), else bits imms:0 go up by the register size - immr (insert).

  bool UBFM(bool sf, bool n_bit, Imm<6> immr, Imm<6> imms, Reg n, Reg d) {
    const auto f = field(sf, n_bit, immr, imms);
    if (!f) return unallocated();
    Value result;
    if (f->extract) {
      result = shifted(x(n, f->type), 1, f->shift);
      if (f->count + f->shift != f->size) result = ir.And(result, imm(f->type, low_mask(f->count)));
    } else {
      result = x(n, f->type);
      if (f->count + f->shift != f->size) result = ir.And(result, imm(f->type, low_mask(f->count)));
      result = shifted(result, 0, f->shift);
    }
    set_x(d, result);
    return true;
  }

  bool SBFM(bool sf, bool n_bit, Imm<6> immr, Imm<6> imms, Reg n, Reg d) {
    const auto f = field(sf, n_bit, immr, imms);
    if (!f) return unallocated();
    set_x(d, signed_field(*f, n));
    return true;
  }

  bool BFM(bool sf, bool n_bit, Imm<6> immr, Imm<6> imms, Reg n, Reg d) {
    const auto f = field(sf, n_bit, immr, imms);
    if (!f) return unallocated();
    const uint64_t mask = f->extract ? low_mask(f->count) : low_mask(f->count) << f->shift;
    if (n == 31) {
      set_x(d, ir.And(x(d, f->type), imm(f->type, ~mask)));
    } else {
      const Value source = shifted(x(n, f->type), f->extract ? 1 : 0, f->shift);
      set_x(d, ir.BitSelect(imm(f->type, mask), source, x(d, f->type)));
    }
    return true;
  }

  bool EXTR(bool sf, bool n_bit, Reg m, Imm<6> low, Reg n, Reg d) {
    if (sf != n_bit || (!sf && low.bit(5))) return unallocated();
    const Type type = sized(sf);
    if (low == 0) {
      set_x(d, x(m, type));
    } else if (n == m) {
      set_x(d, shifted(x(n, type), 3, low));
    } else {
      set_x(d, ir.FunnelShr(x(n, type), x(m, type), imm(type, low)));
    }
    return true;
  }

 private:
  bool is_known(Reg n, bool address) const {
    return n != 31 && ctx.known.number == n && ctx.known.pc + 4 == ctx.pc && ctx.known.address == address;
  }

  void set_known(Reg d, uint64_t value, bool address) {
    set_x(d, address ? ir::const_address(ir, value) : imm(I64, value));
    ctx.known = {ctx.pc, d, value, address};
  }

  struct Field {
    Type type;
    unsigned size;   ///< of the register, in bits
    bool extract;    ///< moves down, else up
    unsigned shift;  ///< by that many bits
    unsigned count;  ///< bits moved
  };

  static uint64_t offset(Imm<2> low, Imm<19> high) { return static_cast<uint64_t>(high.sext() * 4) | low; }

  Value shifted_imm(bool sf, bool shift, Imm<12> imm12) {
    return imm(sized(sf), uint64_t{imm12} << (shift ? 12 : 0));
  }

  /// No value if the encoding is reserved.
  Value logical_imm(bool sf, bool n_bit, Imm<6> immr, Imm<6> imms) {
    if (!sf && n_bit) return {};
    const auto mask = bit_mask(n_bit, imms, immr);
    return mask ? imm(sized(sf), *mask) : Value{};
  }

  static std::optional<Field> field(bool sf, bool n_bit, Imm<6> immr, Imm<6> imms) {
    const unsigned size = sf ? 64 : 32;
    if (sf != n_bit || immr >= size || imms >= size) return std::nullopt;
    if (imms >= immr) return Field{sized(sf), size, true, immr, imms - immr + 1};
    return Field{sized(sf), size, false, size - immr, imms + 1};
  }

  Value signed_field(const Field& f, Reg n) {
    if (f.extract && f.count + f.shift == f.size) return shifted(x(n, f.type), 2, f.shift);
    if (f.extract && f.shift == 0 && (f.count == 8 || f.count == 16 || f.count == 32))
      return ir.SExt(x(n, ir::int_type(f.count)), f.type);
    // Up until the field's top bit is the sign, then down to where it belongs.
    const unsigned up = f.size - f.count - (f.extract ? f.shift : 0);
    const unsigned down = f.extract ? f.size - f.count : f.size - f.count - f.shift;
    return shifted(shifted(x(n, f.type), 0, up), 2, down);
  }
};

#define A64_CHAPTER DataProcessingImm
constexpr Row kRows[] = {
#include "frontend/arm/a64/data_processing_imm.inc"
};

}  // namespace

std::span<const Row> data_processing_imm_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
