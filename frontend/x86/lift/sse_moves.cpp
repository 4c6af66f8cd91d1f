// SPDX-License-Identifier: Apache-2.0
// Moves (SDM volume 1, 9.4.1, 10.4.1, 10.4.6, 11.4.1, 12.3, 14.6). Non-temporal ones are ordinary.
#include <algorithm>

#include "frontend/x86/lift/vector.h"

namespace lyrebird::x86 {
namespace {

struct SseMoves : Vector {
  using Vector::Vector;

  // --- whole vectors

  bool move() {
    set_vector(0, vector(1));
    return true;
  }
  bool MOVAPS() {
    need_aligned();
    return move();
  }
  bool MOVAPD() { return MOVAPS(); }
  bool MOVDQA() { return MOVAPS(); }
  bool MOVNTPS() { return MOVAPS(); }
  bool MOVNTPD() { return MOVAPS(); }
  bool MOVNTDQ() { return MOVAPS(); }
  bool MOVNTDQA() { return MOVAPS(); }
  bool MOVUPS() {
    allow_unaligned();
    return move();
  }
  bool MOVUPD() { return MOVUPS(); }
  bool MOVDQU() { return MOVUPS(); }
  bool LDDQU() { return MOVUPS(); }

  // --- scalars

  /// Loads clear the rest of the register, moves between registers keep it.
  bool move_scalar(Type as) {
    const unsigned from = insn.operand_count - 1u;
    if (is_memory(0)) {
      store(address(ir::byte_size(as), true), scalar(from, as));
    } else if (is_memory(from)) {
      set_xmm(operand(0).reg, ir.VecFromScalar(V128, scalar(from, as)));
    } else if (from == 2 && operand(1).reg == operand(2).reg) {
      set_xmm(operand(0).reg, xmm(operand(1).reg));
    } else {
      set_scalar(scalar(from, as));
    }
    return true;
  }
  bool MOVSS() { return move_scalar(F32); }
  bool MOVSD() { return move_scalar(F64); }

  /// Between general registers or memory and vectors; MMX, too.
  bool MOVD() {
    const bool to_vector = is_vector(0) || is_mmx(0);
    if (to_vector) {
      const Type as = type(1);
      const Value from = read(1, as);
      if (is_mmx(0))
        set_mm(operand(0).reg, as == I64 ? ir.Bitcast(from, V64) : ir.VecFromScalar(V64, from));
      else
        set_xmm(operand(0).reg, ir.VecFromScalar(V128, from));
      return true;
    }
    const Type as = type(0);
    const bool mmx = is_mmx(1);
    write(0, low_lane(mmx ? mm(operand(1).reg) : xmm(operand(1).reg), as));
    if (mmx) enter_mmx();
    return true;
  }

  Value low_half(unsigned i) {
    return is_memory(i) ? load(V64, address(8, false)) : ir.Resize(xmm(operand(i).reg), V64);
  }
  bool MOVQ() {
    if (is_mmx(0)) {
      set_mm(operand(0).reg, is_memory(1) ? load(V64, address(8, false)) : mm(operand(1).reg));
    } else if (is_mmx(1)) {
      store(address(8, true), mm(operand(1).reg));
      enter_mmx();
    } else if (is_memory(0)) {
      store(address(8, true), low_half(1));
    } else {
      set_xmm(operand(0).reg, ir.Resize(low_half(1), V128));
    }
    return true;
  }
  bool MOVNTQ() { return MOVQ(); }
  bool MOVDQ2Q() {
    set_mm(operand(0).reg, low_half(1));
    return true;
  }
  bool MOVQ2DQ() {
    set_xmm(operand(0).reg, ir.Resize(mm(operand(1).reg), V128));
    enter_mmx();
    return true;
  }

  // --- halves of 64 bits

  bool move_half(unsigned half) {
    if (is_memory(0)) {
      store(address(8, true), ir.ExtractLane(xmm(operand(1).reg), F64, half));
      return true;
    }
    const Value lane = load(F64, address(8, false));
    set_xmm(operand(0).reg, ir.InsertLane(xmm(operand(kept()).reg), lane, half));
    return true;
  }
  bool MOVLPS() { return move_half(0); }
  bool MOVLPD() { return move_half(0); }
  bool MOVHPS() { return move_half(1); }
  bool MOVHPD() { return move_half(1); }
  bool MOVHLPS() {
    const Value a = xmm(operand(kept()).reg), b = xmm(operand(second()).reg);
    set_xmm(operand(0).reg, ir.ZipHi(b, a, I64));
    return true;
  }
  bool MOVLHPS() {
    const Value a = xmm(operand(kept()).reg), b = xmm(operand(second()).reg);
    set_xmm(operand(0).reg, ir.ZipLo(a, b, I64));
    return true;
  }

  // --- masks

  /// A bit for each lane.
  Value sign_bits(const Halves& a, Type elem) {
    const Value low = ir.SignBits(a.part[0], elem);
    if (a.count == 1) return low;
    const unsigned lanes = 128 / ir::bit_width(elem);
    return ir.Or(low, ir.Shl(ir.SignBits(a.part[1], elem), imm(I32, lanes)));
  }
  bool move_mask(Type elem) {
    set_gpr(operand(0).reg, sign_bits(vector(1), elem));
    if (is_mmx(1)) enter_mmx();
    return true;
  }
  bool MOVMSKPS() { return move_mask(I32); }
  bool MOVMSKPD() { return move_mask(I64); }
  bool PMOVMSKB() { return move_mask(I8); }

  // Lanes that are masked out must not be touched. There is no jump inside a block, so each of them
  // does once more what the first lane that is masked in does; if there is none the block is left.

  /// The number of the first lane in `bits`, as an I64.
  Value first_of(Value bits) { return ir.ZExt(ir.Ctz(bits), I64); }
  Value is_set(Value bits, unsigned lane) { return ir.CmpTest(bits, imm(I32, uint64_t{1} << lane)); }
  /// Offset of the lane, or of the first one.
  Value offset_of(Value bits, Value first, unsigned lane, unsigned size) {
    return ir.Select(is_set(bits, lane), imm(I64, uint64_t{lane} * size), ir.Mul(first, imm(I64, size)));
  }
  /// Leaves if no lane is masked in.
  void skip_if_none(Value bits) { finish_if(ir.CmpEq(bits, imm(I32, 0))); }

  void store_masked(Value at, const Halves& mask, const Halves& value, Type elem) {
    const Value bits = sign_bits(mask, elem);
    // Bytes fault where the whole would, whatever the mask says, on the processors that we compare with.
    if (elem == I8) probe(at, ir::byte_size(mask.part[0].type));
    skip_if_none(bits);
    const Value first = first_of(bits);
    const unsigned size = ir::byte_size(elem), lanes = ir::byte_size(mask.part[0].type) / size;
    const auto lane_at = [&](unsigned i) { return ir.ExtractLane(value.part[i / lanes], elem, i % lanes); };
    Value first_lane = lane_at(0);
    for (unsigned i = 1; i < lanes * mask.count; ++i)
      first_lane = ir.Select(ir.CmpEq(first, imm(I64, i)), lane_at(i), first_lane);
    // No lane is stored if one faults.
    for (unsigned i = 0; i < lanes * mask.count; ++i) load(elem, ir.Add(at, offset_of(bits, first, i, size)));
    for (unsigned i = 0; i < lanes * mask.count; ++i)
      store(ir.Add(at, offset_of(bits, first, i, size)), ir.Select(is_set(bits, i), lane_at(i), first_lane));
  }

  bool masked_move_bytes(Value value, Value mask) {
    const Value at =
        linear(insn.memory.segment, ir.ZExt(gpr(kRdi, ir::int_type(8u * insn.address_size)), I64),
               ir::byte_size(value.type), true);
    if (value.type == V128) check_vector(at, 8);  // it is two stores there
    store_masked(at, {{mask, {}}, 1}, {{value, {}}, 1}, I8);
    return true;
  }
  bool MASKMOVDQU() { return masked_move_bytes(xmm(operand(0).reg), xmm(operand(1).reg)); }
  bool MASKMOVQ() {
    const Value value = mm(operand(0).reg), mask = mm(operand(1).reg);
    enter_mmx();
    commit();
    return masked_move_bytes(value, mask);
  }

  /// `if_none` to operand 0 if no lane is masked in, and out of the block.
  void give_if_none(Value bits, unsigned reg, const Halves& if_none) {
    const Value none = ir.CmpEq(bits, imm(I32, 0));
    for (unsigned h = 0; h < 2; ++h) {
      const Value to = h < if_none.count ? if_none.part[h] : zero();
      ir.SetState(ymm_offset(reg) + 16 * h, ir.Select(none, to, xmm(reg, h)));
    }
    ctx.upper_zero = static_cast<uint16_t>(ctx.upper_zero & ~(1u << reg));
  }

  bool masked_move(Type elem) {
    const unsigned size = ir::byte_size(elem), lanes = 16 / size;
    const Halves mask = vector(1);
    const unsigned bytes_all = 16 * mask.count;
    if (is_memory(0)) {
      store_masked(address(bytes_all, true), mask, vector(2), elem);
      return true;
    }
    const unsigned reg = operand(0).reg;
    const Value at = address(bytes_all, false), bits = sign_bits(mask, elem);
    give_if_none(bits, reg, {{zero(), zero()}, 2});
    skip_if_none(bits);
    commit();
    const Value first = first_of(bits);
    Halves r{{}, mask.count};
    for (unsigned h = 0; h < r.count; ++h) {
      Value part = zero();
      for (unsigned i = 0; i < lanes; ++i) {
        const Value from = ir.Add(at, offset_of(bits, first, h * lanes + i, size));
        part = ir.InsertLane(part, load(elem, from), i);
      }
      r.part[h] = ir.SignSelect(mask.part[h], part, zero(), elem);
    }
    set_vector(0, r);
    return true;
  }
  bool VMASKMOVPS() { return masked_move(I32); }
  bool VMASKMOVPD() { return masked_move(I64); }
  bool VPMASKMOVD() { return masked_move(I32); }
  bool VPMASKMOVQ() { return masked_move(I64); }

  // --- gathers: lane by lane, so that a fault leaves the lanes before it done and their mask clear, and in
  // that of the others nothing but copies of their signs

  bool gather(Type index_type, Type elem) {
    const MemoryOperand& m = insn.memory;
    const unsigned reg = operand(0).reg, mask_reg = operand(2).reg;
    if (reg == mask_reg || reg == m.index || mask_reg == m.index) return undefined();
    const unsigned size = ir::byte_size(elem), index_lanes = 16 / ir::byte_size(index_type);
    const unsigned count = 16 * halves() / std::max(size, ir::byte_size(index_type));
    const unsigned used = count * size;  // bytes of the destination: half of it where indexes are wider
    const Value all_bits = sign_bits({{xmm(mask_reg), xmm(mask_reg, 1)}, halves()}, elem);
    const Value bits = ir.And(all_bits, imm(I32, low_mask(count)));
    const Halves old = {{xmm(reg), xmm(reg, 1)}, 2}, masks = {{xmm(mask_reg), xmm(mask_reg, 1)}, 2};
    const Halves indexes = {{xmm(m.index), xmm(m.index, 1)}, 2};
    const auto lane_of = [&](const Halves& of, unsigned i) {
      return ir.ExtractLane(of.part[i * size / 16], elem, i % (16 / size));
    };
    const auto cut = [&](Value low) {
      return used == 8 ? ir.And(low, ir.ConstVec(V128, ~uint64_t{0}, 0)) : low;
    };
    give_if_none(bits, reg, {{cut(old.part[0]), old.part[1]}, used == 32 ? 2u : 1u});
    give_if_none(bits, mask_reg, {{zero(), zero()}, 2});
    skip_if_none(bits);
    const Value first = first_of(bits);
    const auto offset_of_index = [&](Value index) {
      const Type as = ir::int_type(8u * insn.address_size);
      Value sum = ir.SExtOrTrunc(index, as);
      if (m.shift != 0) sum = ir.Shl(sum, imm(as, m.shift));
      if (m.base != kNoRegister) sum = ir.Add(sum, gpr(m.base, as));
      return ir.ZExt(plus(sum, m.displacement), I64);
    };
    const auto index_at = [&](unsigned i) {
      return ir.ExtractLane(indexes.part[i / index_lanes], index_type, i % index_lanes);
    };
    const auto set_lane = [&](unsigned of, unsigned i, Value lane) {
      ir.SetState(ymm_offset(of) + i * size, lane);
    };
    Value first_index = index_at(0);
    for (unsigned i = 1; i < count; ++i)
      first_index = ir.Select(ir.CmpEq(first, imm(I64, i)), index_at(i), first_index);
    for (unsigned h = 0; h < 2; ++h) ir.SetState(ymm_offset(mask_reg) + 16 * h, zero());
    for (unsigned i = 0; i < count; ++i)
      set_lane(mask_reg, i, ir.ShrS(lane_of(masks, i), imm(elem, 8 * size - 1)));
    commit();
    // Alignment is not checked for elements that are gathered.
    const uint32_t mode = ctx.mode;
    ctx.mode &= ~kModeAlign;
    for (unsigned i = 0; i < count; ++i) {
      const Value wanted = is_set(bits, i), index = ir.Select(wanted, index_at(i), first_index);
      const Value loaded = load(elem, linear(m.segment, offset_of_index(index), size, false));
      set_lane(reg, i, ir.Select(wanted, loaded, lane_of(old, i)));
      set_lane(mask_reg, i, imm(elem, 0));
      commit();
    }
    ctx.mode = mode;
    if (used == 8) ir.SetState(ymm_offset(reg) + 8, imm(I64, 0));
    if (used != 32) ir.SetState(ymm_offset(reg) + 16, zero());
    ir.SetState(ymm_offset(mask_reg), zero());
    ir.SetState(ymm_offset(mask_reg) + 16, zero());
    return true;
  }
  bool VPGATHERDD() { return gather(I32, I32); }
  bool VPGATHERDQ() { return gather(I32, I64); }
  bool VPGATHERQD() { return gather(I64, I32); }
  bool VPGATHERQQ() { return gather(I64, I64); }
  bool VGATHERDPS() { return gather(I32, I32); }
  bool VGATHERDPD() { return gather(I32, I64); }
  bool VGATHERQPS() { return gather(I64, I32); }
  bool VGATHERQPD() { return gather(I64, I64); }

  bool VZEROUPPER() {
    for (unsigned reg = 0; reg < (is64() ? 16u : 8u); ++reg) clear_upper(reg);
    return true;
  }
  bool VZEROALL() {
    for (unsigned reg = 0; reg < (is64() ? 16u : 8u); ++reg) ir.SetState(ymm_offset(reg), zero());
    return VZEROUPPER();
  }

#define HANDLER(name)
#define BOTH(name) \
  bool V##name() { return name(); }
#include "frontend/x86/lift/sse_moves.inc"
#undef HANDLER
};

}  // namespace

#define X86_CHAPTER SseMoves
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/sse_moves.inc"
#undef HANDLER

}  // namespace lyrebird::x86
