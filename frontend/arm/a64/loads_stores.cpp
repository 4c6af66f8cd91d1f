// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/lifter.h"
#include "ir/const_address.h"

namespace lyrebird::arm::a64 {
namespace {

// SP alignment (SCTLR_EL1.SA0) is not checked: docs/decisions.md.
// Where writeback and transfer name the same register (constrained unpredictable) a load's
// writeback wins and a store stores the old value.

/// How a pair or an indexed access uses its offset.
enum class Index { Post, Offset, Pre };

struct LoadsStores : Lifter {
  using Lifter::Lifter;

  // --- literals

  bool LDR_lit(bool wide, Imm<19> offset, Reg t) {
    set_x(t, load_x(literal(offset), wide ? 3 : 2));
    return true;
  }

  bool LDRSW_lit(Imm<19> offset, Reg t) {
    set_x(t, ir.Load(I64, literal(offset), memory(4, true)));
    return true;
  }

  bool PRFM_lit(Imm<5>) { return true; }

  bool LDR_lit_fp(Imm<2> size, Imm<19> offset, Vreg t) {
    if (size == 3) return unallocated();
    load_v(t, literal(offset), 2 + size);
    return true;
  }

  // --- unsigned offset

  bool STR_imm(Imm<2> size, Imm<12> offset, Reg n, Reg t) {
    store_x(t, plus(base(n), scaled(offset, size)), size);
    return true;
  }

  bool LDR_imm(Imm<2> size, Imm<12> offset, Reg n, Reg t) {
    set_x(t, load_x(plus(base(n), scaled(offset, size)), size));
    return true;
  }

  bool LDRS_imm(Imm<2> size, bool narrow, Imm<12> offset, Reg n, Reg t) {
    if (size + narrow > 2) return unallocated();
    set_x(t, load_signed(plus(base(n), scaled(offset, size)), size, narrow));
    return true;
  }

  bool PRFM_imm(Imm<12>, Reg, Imm<5>) { return true; }

  bool STR_imm_fp(Imm<2> size, bool q, Imm<12> offset, Reg n, Vreg t) {
    if (q && size != 0) return unallocated();
    store_v(t, plus(base(n), scaled(offset, log2_fp(size, q))), log2_fp(size, q));
    return true;
  }

  bool LDR_imm_fp(Imm<2> size, bool q, Imm<12> offset, Reg n, Vreg t) {
    if (q && size != 0) return unallocated();
    load_v(t, plus(base(n), scaled(offset, log2_fp(size, q))), log2_fp(size, q));
    return true;
  }

  // --- unscaled offset, unprivileged

  bool STUR(Imm<2> size, Imm<9> offset, Reg n, Reg t) {
    store_x(t, plus(base(n), offset.sext()), size);
    return true;
  }

  bool LDUR(Imm<2> size, Imm<9> offset, Reg n, Reg t) {
    set_x(t, load_x(plus(base(n), offset.sext()), size));
    return true;
  }

  bool LDURS(Imm<2> size, bool narrow, Imm<9> offset, Reg n, Reg t) {
    if (size + narrow > 2) return unallocated();
    set_x(t, load_signed(plus(base(n), offset.sext()), size, narrow));
    return true;
  }

  bool PRFUM(Imm<9>, Reg, Imm<5>) { return true; }

  bool STUR_fp(Imm<2> size, bool q, Imm<9> offset, Reg n, Vreg t) {
    if (q && size != 0) return unallocated();
    store_v(t, plus(base(n), offset.sext()), log2_fp(size, q));
    return true;
  }

  bool LDUR_fp(Imm<2> size, bool q, Imm<9> offset, Reg n, Vreg t) {
    if (q && size != 0) return unallocated();
    load_v(t, plus(base(n), offset.sext()), log2_fp(size, q));
    return true;
  }

  bool STTR(Imm<2> size, Imm<9> offset, Reg n, Reg t) {
    return unprivileged([&] { return STUR(size, offset, n, t); });
  }
  bool LDTR(Imm<2> size, Imm<9> offset, Reg n, Reg t) {
    return unprivileged([&] { return LDUR(size, offset, n, t); });
  }
  bool LDTRS(Imm<2> size, bool narrow, Imm<9> offset, Reg n, Reg t) {
    return unprivileged([&] { return LDURS(size, narrow, offset, n, t); });
  }

  // --- indexed

  bool STR_index(Imm<2> size, Imm<9> offset, bool pre, Reg n, Reg t) {
    const Indexed a = indexed(n, pre ? Index::Pre : Index::Post, offset.sext());
    store_x(t, a.address, size);
    write_back(n, a);
    return true;
  }

  bool LDR_index(Imm<2> size, Imm<9> offset, bool pre, Reg n, Reg t) {
    const Indexed a = indexed(n, pre ? Index::Pre : Index::Post, offset.sext());
    set_x(t, load_x(a.address, size));
    write_back(n, a);
    return true;
  }

  bool LDRS_index(Imm<2> size, bool narrow, Imm<9> offset, bool pre, Reg n, Reg t) {
    if (size + narrow > 2) return unallocated();
    const Indexed a = indexed(n, pre ? Index::Pre : Index::Post, offset.sext());
    set_x(t, load_signed(a.address, size, narrow));
    write_back(n, a);
    return true;
  }

  bool STR_index_fp(Imm<2> size, bool q, Imm<9> offset, bool pre, Reg n, Vreg t) {
    if (q && size != 0) return unallocated();
    const Indexed a = indexed(n, pre ? Index::Pre : Index::Post, offset.sext());
    store_v(t, a.address, log2_fp(size, q));
    write_back(n, a);
    return true;
  }

  bool LDR_index_fp(Imm<2> size, bool q, Imm<9> offset, bool pre, Reg n, Vreg t) {
    if (q && size != 0) return unallocated();
    const Indexed a = indexed(n, pre ? Index::Pre : Index::Post, offset.sext());
    load_v(t, a.address, log2_fp(size, q));
    write_back(n, a);
    return true;
  }

  // --- register offset

  bool STR_reg(Imm<2> size, Reg m, Imm<3> option, bool scale, Reg n, Reg t) {
    if (!option.bit(1)) return unallocated();
    store_x(t, register_offset(n, m, option, scale ? size : 0), size);
    return true;
  }

  bool LDR_reg(Imm<2> size, Reg m, Imm<3> option, bool scale, Reg n, Reg t) {
    if (!option.bit(1)) return unallocated();
    set_x(t, load_x(register_offset(n, m, option, scale ? size : 0), size));
    return true;
  }

  bool LDRS_reg(Imm<2> size, bool narrow, Reg m, Imm<3> option, bool scale, Reg n, Reg t) {
    if (!option.bit(1) || size + narrow > 2) return unallocated();
    set_x(t, load_signed(register_offset(n, m, option, scale ? size : 0), size, narrow));
    return true;
  }

  bool PRFM_reg(Reg, Imm<3> option, bool, Reg, Imm<5>) { return option.bit(1) || unallocated(); }

  bool STR_reg_fp(Imm<2> size, bool q, Reg m, Imm<3> option, bool scale, Reg n, Vreg t) {
    if (!option.bit(1) || (q && size != 0)) return unallocated();
    const unsigned log2 = log2_fp(size, q);
    store_v(t, register_offset(n, m, option, scale ? log2 : 0), log2);
    return true;
  }

  bool LDR_reg_fp(Imm<2> size, bool q, Reg m, Imm<3> option, bool scale, Reg n, Vreg t) {
    if (!option.bit(1) || (q && size != 0)) return unallocated();
    const unsigned log2 = log2_fp(size, q);
    load_v(t, register_offset(n, m, option, scale ? log2 : 0), log2);
    return true;
  }

  // --- pointer authentication

  bool LDRA(bool b_key, Imm<10> offset, bool pre, Reg n, Reg t) {
    const Value pointer = authenticate(base(n), imm(I64, 0), 2 + b_key);
    const Value address = plus(pointer, offset.sext() * 8);
    set_x(t, load_x(address, 3));
    if (pre) set_x_or_sp(n, address);
    return true;
  }

  // --- pairs

  bool STP(bool wide, Imm<2> index, Imm<7> offset, Reg t2, Reg n, Reg t) {
    const unsigned log2 = wide ? 3 : 2;
    const Indexed a = pair(n, index, offset, log2);
    store_x(t, a.address, log2);
    store_x(t2, plus(a.address, 1 << log2), log2);
    write_back(n, a);
    return true;
  }

  bool LDP(bool wide, Imm<2> index, Imm<7> offset, Reg t2, Reg n, Reg t) {
    const unsigned log2 = wide ? 3 : 2;
    const Indexed a = pair(n, index, offset, log2);
    const Value first = load_x(a.address, log2), second = load_x(plus(a.address, 1 << log2), log2);
    return set_pair(t, first, t2, second, n, a);
  }

  bool LDPSW(Imm<2> index, Imm<7> offset, Reg t2, Reg n, Reg t) {
    if (index == 0) return unallocated();
    const Indexed a = pair(n, index, offset, 2);
    const Value first = load_signed(a.address, 2, false);
    const Value second = load_signed(plus(a.address, 4), 2, false);
    return set_pair(t, first, t2, second, n, a);
  }

  bool STP_fp(Imm<2> size, Imm<2> index, Imm<7> offset, Vreg t2, Reg n, Vreg t) {
    if (size == 3) return unallocated();
    const Indexed a = pair(n, index, offset, 2 + size);
    store_v(t, a.address, 2 + size);
    store_v(t2, plus(a.address, 4 << size), 2 + size);
    write_back(n, a);
    return true;
  }

  bool LDP_fp(Imm<2> size, Imm<2> index, Imm<7> offset, Vreg t2, Reg n, Vreg t) {
    if (size == 3) return unallocated();
    const Indexed a = pair(n, index, offset, 2 + size);
    const Type type = fp_type(2 + size);
    const Value first = ir.Load(type, a.address, memory(4 << size));
    const Value second = ir.Load(type, plus(a.address, 4 << size), memory(4 << size));
    set_v(t, first);
    set_v(t2, second);
    write_back(n, a);
    return true;
  }

 private:
  struct Indexed {
    Value address, start;
    Index index;
    int64_t offset;
  };

  template <typename Lift>
  bool unprivileged(Lift lift) {
    ctx.unprivileged = true;
    const bool more = lift();
    ctx.unprivileged = false;
    return more;
  }

  Value literal(Imm<19> offset) {
    return ir::const_address(ir, ctx.pc + static_cast<uint64_t>(offset.sext() * 4));
  }

  static int64_t scaled(Imm<12> offset, unsigned log2) { return int64_t{offset} << log2; }

  /// Size of a SIMD&FP register access from size and opc<1>.
  static unsigned log2_fp(Imm<2> size, bool q) { return q ? 4 : size; }

  static Type fp_type(unsigned log2) {
    constexpr Type kTypes[] = {I8, I16, F32, F64, V128};
    return kTypes[log2];
  }

  Indexed indexed(Reg n, Index index, int64_t offset) {
    const Value start = base(n);
    return {index == Index::Post ? start : plus(start, offset), start, index, offset};
  }

  /// Behind the access, which may fault: the sum is made in the register's own place then.
  void write_back(Reg n, const Indexed& a) {
    if (a.index != Index::Offset) set_x_or_sp(n, plus(a.start, a.offset));
  }

  Indexed pair(Reg n, Imm<2> index, Imm<7> offset, unsigned log2) {
    constexpr Index kIndex[] = {Index::Offset, Index::Post, Index::Offset, Index::Pre};
    return indexed(n, kIndex[index], offset.sext() * (1 << log2));
  }

  Value register_offset(Reg n, Reg m, Imm<3> option, unsigned shift) {
    return ir.Add(base(n), extended(m, option, shift, I64));
  }

  Value load_x(Value address, unsigned log2) { return ir.Load(I64, address, memory(1 << log2)); }

  Value load_signed(Value address, unsigned log2, bool narrow) {
    return ir.Load(narrow ? I32 : I64, address, memory(1 << log2, true));
  }

  void store_x(Reg t, Value address, unsigned log2) {
    ir.Store(address, x(t, log2 == 3 ? I64 : I32), memory(1 << log2));
  }

  void load_v(Vreg t, Value address, unsigned log2) {
    set_v(t, ir.Load(fp_type(log2), address, memory(1 << log2)));
  }

  void store_v(Vreg t, Value address, unsigned log2) {
    ir.Store(address, v_scalar(t, fp_type(log2)), memory(1 << log2));
  }

  bool set_pair(Reg t, Value first, Reg t2, Value second, Reg n, const Indexed& a) {
    set_x(t, first);
    set_x(t2, second);
    write_back(n, a);
    return true;
  }
};

#define A64_CHAPTER LoadsStores
constexpr Row kRows[] = {
#include "frontend/arm/a64/loads_stores.inc"
};

}  // namespace

std::span<const Row> loads_stores_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
