// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/lifter.h"

namespace lyrebird::arm::a64 {
namespace {

// LDAR and STLR are sequentially consistent with one another (RCsc, DDI 0487 B2.3): Order::SeqCst.
// Only LDAPR and its kin are plain acquires (RCpc).

struct LoadsStoresAtomic : Lifter {
  using Lifter::Lifter;

  // --- exclusive

  bool STXR(Imm<2> size, Reg s, bool release, Reg n, Reg t) {
    const Value value = x(t, register_type(size));
    set_x(s, ir.StoreExclusive(base(n), value, aligned(1u << size, ordered_if(release))));
    return true;
  }

  bool LDXR(Imm<2> size, bool acquire, Reg n, Reg t) {
    set_x(t, ir.LoadExclusive(I64, base(n), aligned(1u << size, ordered_if(acquire))));
    return true;
  }

  bool STXP(bool wide, Reg s, bool release, Reg t2, Reg n, Reg t) {
    const Value value = join(wide, t, t2);
    set_x(s, ir.StoreExclusive(base(n), value, aligned(wide ? 16 : 8, ordered_if(release))));
    return true;
  }

  bool LDXP(bool wide, bool acquire, Reg t2, Reg n, Reg t) {
    const Type type = wide ? I128 : I64;
    split(wide, ir.LoadExclusive(type, base(n), aligned(wide ? 16 : 8, ordered_if(acquire))), t, t2);
    return true;
  }

  // --- ordered

  bool STLLR(Imm<2> size, Reg n, Reg t) { return STLR(size, n, t); }

  bool STLR(Imm<2> size, Reg n, Reg t) {
    ir.Store(base(n), x(t, register_type(size)), aligned(1u << size, Order::SeqCst));
    return true;
  }

  bool LDLAR(Imm<2> size, Reg n, Reg t) { return LDAR(size, n, t); }

  bool LDAR(Imm<2> size, Reg n, Reg t) {
    set_x(t, ir.Load(I64, base(n), aligned(1u << size, Order::SeqCst)));
    return true;
  }

  bool LDAPR(Imm<2> size, Reg n, Reg t) {
    set_x(t, ir.Load(I64, base(n), aligned(1u << size, Order::Acquire)));
    return true;
  }

  bool STLUR(Imm<2> size, Imm<9> offset, Reg n, Reg t) {
    ir.Store(plus(base(n), offset.sext()), x(t, register_type(size)), aligned(1u << size, Order::SeqCst));
    return true;
  }

  bool LDAPUR(Imm<2> size, Imm<9> offset, Reg n, Reg t) {
    set_x(t, ir.Load(I64, plus(base(n), offset.sext()), aligned(1u << size, Order::Acquire)));
    return true;
  }

  bool LDAPURS(Imm<2> size, bool narrow, Imm<9> offset, Reg n, Reg t) {
    if (size + narrow > 2) return unallocated();
    MemInfo info = aligned(1u << size, Order::Acquire);
    info.sign = true;
    set_x(t, ir.Load(narrow ? I32 : I64, plus(base(n), offset.sext()), info));
    return true;
  }

  // --- compare and swap

  bool CASP(bool wide, bool acquire, Reg s, bool release, Reg n, Reg t) {
    if (s & 1 || t & 1) return unallocated();
    const Value expected = join(wide, s, Reg{s + 1}), desired = join(wide, t, Reg{t + 1});
    const MemInfo info = aligned(wide ? 16 : 8, order(acquire, release));
    split(wide, ir.CompareSwap(base(n), expected, desired, info), s, Reg{s + 1});
    return true;
  }

  bool CAS(Imm<2> size, bool acquire, Reg s, bool release, Reg n, Reg t) {
    const Type type = register_type(size);
    const MemInfo info = aligned(1u << size, order(acquire, release));
    set_x(s, ir.CompareSwap(base(n), x(s, type), x(t, type), info));
    return true;
  }

  // --- read-modify-write

  bool LDADD(Imm<2> size, bool a, bool r, Reg s, Reg n, Reg t) {
    return atomic(Op::AtomicAdd, size, a, r, s, n, t);
  }
  bool LDCLR(Imm<2> size, bool a, bool r, Reg s, Reg n, Reg t) {
    return atomic(Op::AtomicAndNot, size, a, r, s, n, t);
  }
  bool LDEOR(Imm<2> size, bool a, bool r, Reg s, Reg n, Reg t) {
    return atomic(Op::AtomicXor, size, a, r, s, n, t);
  }
  bool LDSET(Imm<2> size, bool a, bool r, Reg s, Reg n, Reg t) {
    return atomic(Op::AtomicOr, size, a, r, s, n, t);
  }
  bool LDSMAX(Imm<2> size, bool a, bool r, Reg s, Reg n, Reg t) {
    return atomic(Op::AtomicMaxS, size, a, r, s, n, t);
  }
  bool LDSMIN(Imm<2> size, bool a, bool r, Reg s, Reg n, Reg t) {
    return atomic(Op::AtomicMinS, size, a, r, s, n, t);
  }
  bool LDUMAX(Imm<2> size, bool a, bool r, Reg s, Reg n, Reg t) {
    return atomic(Op::AtomicMaxU, size, a, r, s, n, t);
  }
  bool LDUMIN(Imm<2> size, bool a, bool r, Reg s, Reg n, Reg t) {
    return atomic(Op::AtomicMinU, size, a, r, s, n, t);
  }
  bool SWP(Imm<2> size, bool a, bool r, Reg s, Reg n, Reg t) {
    return atomic(Op::AtomicSwap, size, a, r, s, n, t);
  }

 private:
  using Order = ir::Order;

  static Type register_type(unsigned size) { return size == 3 ? I64 : I32; }

  static Order order(bool acquire, bool release) {
    if (acquire && release) return Order::SeqCst;
    return acquire ? Order::Acquire : release ? Order::Release : Order::Plain;
  }
  static Order ordered_if(bool ordered) { return ordered ? Order::SeqCst : Order::Plain; }

  /// DDI 0487, AArch64.CheckAlignment for ordered, exclusive and atomic accesses, SCTLR_EL1.nAA 0.
  MemInfo aligned(unsigned size, Order order) {
    MemInfo info = memory(size);
    info.align = has(Feature::LSE2) ? ir::Align::Within16 : ir::Align::Natural;
    info.order = order;
    return info;
  }

  /// Two registers as one value, the first at the lower address.
  Value join(bool wide, Reg low, Reg high) {
    if (wide) return ir.Pair64(x(low), x(high));
    return ir.Or(ir.ZExt(x(low, I32), I64), ir.Shl(x(high), imm(I64, 32)));
  }

  void split(bool wide, Value value, Reg low, Reg high) {
    set_x(low, wide ? ir.Lo64(value) : ir.ZExt(ir.Trunc(value, I32), I64));
    set_x(high, wide ? ir.Hi64(value) : ir.ShrU(value, imm(I64, 32)));
  }

  bool atomic(Op op, Imm<2> size, bool acquire, bool release, Reg s, Reg n, Reg t) {
    const MemInfo info = aligned(1u << size, order(acquire, release));
    set_x(t, ir.Atomic(op, base(n), x(s, register_type(size)), info));
    return true;
  }
};

#define A64_CHAPTER LoadsStoresAtomic
constexpr Row kRows[] = {
#include "frontend/arm/a64/loads_stores_atomic.inc"
};

}  // namespace

std::span<const Row> loads_stores_atomic_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
