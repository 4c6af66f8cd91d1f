// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/simd_lifter.h"

namespace lyrebird::arm::a64 {
namespace {

using B = ir::Builder;

struct SimdStructures : SimdLifter {
  using SimdLifter::SimdLifter;

  /// The post-index register that stands for "no write-back"; 31 is the size of the access.
  static constexpr Reg kNoIndex{32};
  static constexpr unsigned kMost = 4;

  static Vreg nth(Vreg t, unsigned i) { return Vreg{(t + i) % 32}; }
  Value address(Value base, unsigned offset) { return offset == 0 ? base : ir.Add(base, imm(I64, offset)); }
  void write_back(Reg n, Value base, Reg index, unsigned bytes) {
    if (index == kNoIndex) return;
    set_x_or_sp(n, ir.Add(base, index == 31 ? imm(I64, bytes) : x(index)));
  }

  // --- whole registers, one after the other

  /// Everything that may fault comes before the first register is written.
  bool load_registers(bool q, Imm<2>, Reg n, Vreg t, unsigned count, Reg index) {
    const unsigned bytes = q ? 16 : 8;
    const Value base = base_address(n);
    Value loaded[kMost];
    for (unsigned i = 0; i < count; ++i)
      loaded[i] = ir.Load(vector(q), address(base, bytes * i), memory(bytes));
    for (unsigned i = 0; i < count; ++i) set_v(nth(t, i), loaded[i]);
    write_back(n, base, index, count * bytes);
    return true;
  }
  bool store_registers(bool q, Imm<2>, Reg n, Vreg t, unsigned count, Reg index) {
    const unsigned bytes = q ? 16 : 8;
    const Value base = base_address(n);
    for (unsigned i = 0; i < count; ++i)
      ir.Store(address(base, bytes * i), v_sized(nth(t, i), q), memory(bytes));
    write_back(n, base, index, count * bytes);
    return true;
  }

  // --- structures: lanes of memory go round the registers

  bool load_structures(bool q, Imm<2> size, Reg n, Vreg t, unsigned count, Reg index) {
    const Shape s = ints(q, size);
    if (s.reserved()) return unallocated();
    const unsigned bytes = q ? 16 : 8;
    const Value base = base_address(n);
    Value part[kMost];
    for (unsigned i = 0; i < count; ++i) part[i] = ir.Load(s.type, address(base, bytes * i), memory(bytes));
    deinterleave(s, part, count);
    for (unsigned i = 0; i < count; ++i) set_v(nth(t, i), part[i]);
    write_back(n, base, index, count * bytes);
    return true;
  }
  bool store_structures(bool q, Imm<2> size, Reg n, Vreg t, unsigned count, Reg index) {
    const Shape s = ints(q, size);
    if (s.reserved()) return unallocated();
    const unsigned bytes = q ? 16 : 8;
    const Value base = base_address(n);
    Value part[kMost];
    for (unsigned i = 0; i < count; ++i) part[i] = read(nth(t, i), s);
    interleave(s, part, count);
    for (unsigned i = 0; i < count; ++i) ir.Store(address(base, bytes * i), part[i], memory(bytes));
    write_back(n, base, index, count * bytes);
    return true;
  }

  void deinterleave(Shape s, Value (&p)[kMost], unsigned count) {
    const Type e = s.elem;
    if (count == 3) return shuffle3(s, p, [&](unsigned reg, unsigned lane) { return 3 * lane + reg; });
    if (count == 4) {
      const Value even[] = {evens(p[0], p[1], e), evens(p[2], p[3], e)};
      const Value odd[] = {odds(p[0], p[1], e), odds(p[2], p[3], e)};
      p[0] = evens(even[0], even[1], e), p[2] = odds(even[0], even[1], e);
      p[1] = evens(odd[0], odd[1], e), p[3] = odds(odd[0], odd[1], e);
      return;
    }
    const Value a = p[0], b = p[1];
    p[0] = evens(a, b, e), p[1] = odds(a, b, e);
  }
  void interleave(Shape s, Value (&p)[kMost], unsigned count) {
    const Type e = s.elem;
    const unsigned lanes = s.lanes();
    if (count == 3)
      return shuffle3(s, p, [&](unsigned reg, unsigned lane) {
        const unsigned place = reg * lanes + lane;
        return place % 3 * lanes + place / 3;
      });
    if (count == 4) {
      const Value even[] = {ir.ZipLo(p[0], p[2], e), ir.ZipHi(p[0], p[2], e)};
      const Value odd[] = {ir.ZipLo(p[1], p[3], e), ir.ZipHi(p[1], p[3], e)};
      p[0] = ir.ZipLo(even[0], odd[0], e), p[1] = ir.ZipHi(even[0], odd[0], e);
      p[2] = ir.ZipLo(even[1], odd[1], e), p[3] = ir.ZipHi(even[1], odd[1], e);
      return;
    }
    const Value a = p[0], b = p[1];
    p[0] = ir.ZipLo(a, b, e), p[1] = ir.ZipHi(a, b, e);
  }

  /// Three registers, lane by lane from source(register, lane), which counts the lanes of all three.
  template <typename Source>
  void shuffle3(Shape s, Value (&p)[kMost], Source source) {
    const unsigned lane_bytes = s.width() / 8, bytes = ir::bit_width(s.type) / 8;
    const Value from[] = {p[0], p[1], p[2]};
    for (unsigned reg = 0; reg < 3; ++reg) {
      Value result = ir.ConstSplat(s.type, I8, 0);
      for (unsigned part = 0; part < 3; ++part) {
        uint8_t index[16];
        for (unsigned i = 0; i < bytes; ++i) {
          const unsigned place = source(reg, i / lane_bytes) * lane_bytes + i % lane_bytes;
          index[i] = place / bytes == part ? static_cast<uint8_t>(place % bytes) : 0xff;
        }
        uint64_t word[2] = {0, 0};
        for (unsigned i = 0; i < bytes; ++i) word[i / 8] |= uint64_t{index[i]} << (i % 8 * 8);
        result = ir.TableLookup(from[part], ir.ConstVec(s.type, word[0], word[1]), result, I8);
      }
      p[reg] = result;
    }
  }

  // --- one structure

  bool load_lane(unsigned size, unsigned lane, Reg n, Vreg t, unsigned count, Reg index) {
    const unsigned bytes = 1u << size;
    const Value base = base_address(n);
    Value loaded[kMost];
    for (unsigned i = 0; i < count; ++i)
      loaded[i] = ir.Load(ir::int_type(8 * bytes), address(base, bytes * i), memory(bytes));
    for (unsigned i = 0; i < count; ++i) {
      const Vreg r = nth(t, i);
      set_v(r, ir.InsertLane(v(r), loaded[i], lane));
    }
    write_back(n, base, index, count * bytes);
    return true;
  }
  bool store_lane(unsigned size, unsigned lane, Reg n, Vreg t, unsigned count, Reg index) {
    const unsigned bytes = 1u << size;
    const Value base = base_address(n);
    for (unsigned i = 0; i < count; ++i) {
      const Value value = ir.ExtractLane(v(nth(t, i)), ir::int_type(8 * bytes), lane);
      ir.Store(address(base, bytes * i), value, memory(bytes));
    }
    write_back(n, base, index, count * bytes);
    return true;
  }
  bool load_replicated(bool q, Imm<2> size, Reg n, Vreg t, unsigned count, Reg index) {
    const unsigned bytes = 1u << size;
    const Value base = base_address(n);
    Value loaded[kMost];
    for (unsigned i = 0; i < count; ++i)
      loaded[i] = ir.Load(ir::int_type(8 * bytes), address(base, bytes * i), memory(bytes));
    for (unsigned i = 0; i < count; ++i) set_v(nth(t, i), ir.Splat(vector(q), loaded[i]));
    write_back(n, base, index, count * bytes);
    return true;
  }

  Value base_address(Reg n) { return x_or_sp(n); }

  // --- the instructions

  bool LD1_1_multi(bool q, Imm<2> size, Reg n, Vreg t) { return load_registers(q, size, n, t, 1, kNoIndex); }
  bool LD1_1_multi_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) {
    return load_registers(q, size, n, t, 1, m);
  }
  bool ST1_1_multi(bool q, Imm<2> size, Reg n, Vreg t) { return store_registers(q, size, n, t, 1, kNoIndex); }
  bool ST1_1_multi_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) {
    return store_registers(q, size, n, t, 1, m);
  }
  bool LD1_2_multi(bool q, Imm<2> size, Reg n, Vreg t) { return load_registers(q, size, n, t, 2, kNoIndex); }
  bool LD1_2_multi_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) {
    return load_registers(q, size, n, t, 2, m);
  }
  bool ST1_2_multi(bool q, Imm<2> size, Reg n, Vreg t) { return store_registers(q, size, n, t, 2, kNoIndex); }
  bool ST1_2_multi_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) {
    return store_registers(q, size, n, t, 2, m);
  }
  bool LD1_3_multi(bool q, Imm<2> size, Reg n, Vreg t) { return load_registers(q, size, n, t, 3, kNoIndex); }
  bool LD1_3_multi_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) {
    return load_registers(q, size, n, t, 3, m);
  }
  bool ST1_3_multi(bool q, Imm<2> size, Reg n, Vreg t) { return store_registers(q, size, n, t, 3, kNoIndex); }
  bool ST1_3_multi_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) {
    return store_registers(q, size, n, t, 3, m);
  }
  bool LD1_4_multi(bool q, Imm<2> size, Reg n, Vreg t) { return load_registers(q, size, n, t, 4, kNoIndex); }
  bool LD1_4_multi_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) {
    return load_registers(q, size, n, t, 4, m);
  }
  bool ST1_4_multi(bool q, Imm<2> size, Reg n, Vreg t) { return store_registers(q, size, n, t, 4, kNoIndex); }
  bool ST1_4_multi_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) {
    return store_registers(q, size, n, t, 4, m);
  }
  bool LD2_multi(bool q, Imm<2> size, Reg n, Vreg t) { return load_structures(q, size, n, t, 2, kNoIndex); }
  bool LD2_multi_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) {
    return load_structures(q, size, n, t, 2, m);
  }
  bool ST2_multi(bool q, Imm<2> size, Reg n, Vreg t) { return store_structures(q, size, n, t, 2, kNoIndex); }
  bool ST2_multi_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) {
    return store_structures(q, size, n, t, 2, m);
  }
  bool LD3_multi(bool q, Imm<2> size, Reg n, Vreg t) { return load_structures(q, size, n, t, 3, kNoIndex); }
  bool LD3_multi_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) {
    return load_structures(q, size, n, t, 3, m);
  }
  bool ST3_multi(bool q, Imm<2> size, Reg n, Vreg t) { return store_structures(q, size, n, t, 3, kNoIndex); }
  bool ST3_multi_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) {
    return store_structures(q, size, n, t, 3, m);
  }
  bool LD4_multi(bool q, Imm<2> size, Reg n, Vreg t) { return load_structures(q, size, n, t, 4, kNoIndex); }
  bool LD4_multi_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) {
    return load_structures(q, size, n, t, 4, m);
  }
  bool ST4_multi(bool q, Imm<2> size, Reg n, Vreg t) { return store_structures(q, size, n, t, 4, kNoIndex); }
  bool ST4_multi_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) {
    return store_structures(q, size, n, t, 4, m);
  }
  bool LD1_b(bool q, bool s, Imm<2> size, Reg n, Vreg t) {
    return load_lane(0, uint32_t{q} << 3 | uint32_t{s} << 2 | size, n, t, 1, kNoIndex);
  }
  bool LD1_b_post(bool q, Reg m, bool s, Imm<2> size, Reg n, Vreg t) {
    return load_lane(0, uint32_t{q} << 3 | uint32_t{s} << 2 | size, n, t, 1, m);
  }
  bool LD1_h(bool q, bool s, bool size, Reg n, Vreg t) {
    return load_lane(1, uint32_t{q} << 2 | uint32_t{s} << 1 | uint32_t{size}, n, t, 1, kNoIndex);
  }
  bool LD1_h_post(bool q, Reg m, bool s, bool size, Reg n, Vreg t) {
    return load_lane(1, uint32_t{q} << 2 | uint32_t{s} << 1 | uint32_t{size}, n, t, 1, m);
  }
  bool LD1_s(bool q, bool s, Reg n, Vreg t) {
    return load_lane(2, uint32_t{q} << 1 | uint32_t{s}, n, t, 1, kNoIndex);
  }
  bool LD1_s_post(bool q, Reg m, bool s, Reg n, Vreg t) {
    return load_lane(2, uint32_t{q} << 1 | uint32_t{s}, n, t, 1, m);
  }
  bool LD1_d(bool q, Reg n, Vreg t) { return load_lane(3, uint32_t{q}, n, t, 1, kNoIndex); }
  bool LD1_d_post(bool q, Reg m, Reg n, Vreg t) { return load_lane(3, uint32_t{q}, n, t, 1, m); }
  bool ST1_b(bool q, bool s, Imm<2> size, Reg n, Vreg t) {
    return store_lane(0, uint32_t{q} << 3 | uint32_t{s} << 2 | size, n, t, 1, kNoIndex);
  }
  bool ST1_b_post(bool q, Reg m, bool s, Imm<2> size, Reg n, Vreg t) {
    return store_lane(0, uint32_t{q} << 3 | uint32_t{s} << 2 | size, n, t, 1, m);
  }
  bool ST1_h(bool q, bool s, bool size, Reg n, Vreg t) {
    return store_lane(1, uint32_t{q} << 2 | uint32_t{s} << 1 | uint32_t{size}, n, t, 1, kNoIndex);
  }
  bool ST1_h_post(bool q, Reg m, bool s, bool size, Reg n, Vreg t) {
    return store_lane(1, uint32_t{q} << 2 | uint32_t{s} << 1 | uint32_t{size}, n, t, 1, m);
  }
  bool ST1_s(bool q, bool s, Reg n, Vreg t) {
    return store_lane(2, uint32_t{q} << 1 | uint32_t{s}, n, t, 1, kNoIndex);
  }
  bool ST1_s_post(bool q, Reg m, bool s, Reg n, Vreg t) {
    return store_lane(2, uint32_t{q} << 1 | uint32_t{s}, n, t, 1, m);
  }
  bool ST1_d(bool q, Reg n, Vreg t) { return store_lane(3, uint32_t{q}, n, t, 1, kNoIndex); }
  bool ST1_d_post(bool q, Reg m, Reg n, Vreg t) { return store_lane(3, uint32_t{q}, n, t, 1, m); }
  bool LD2_b(bool q, bool s, Imm<2> size, Reg n, Vreg t) {
    return load_lane(0, uint32_t{q} << 3 | uint32_t{s} << 2 | size, n, t, 2, kNoIndex);
  }
  bool LD2_b_post(bool q, Reg m, bool s, Imm<2> size, Reg n, Vreg t) {
    return load_lane(0, uint32_t{q} << 3 | uint32_t{s} << 2 | size, n, t, 2, m);
  }
  bool LD2_h(bool q, bool s, bool size, Reg n, Vreg t) {
    return load_lane(1, uint32_t{q} << 2 | uint32_t{s} << 1 | uint32_t{size}, n, t, 2, kNoIndex);
  }
  bool LD2_h_post(bool q, Reg m, bool s, bool size, Reg n, Vreg t) {
    return load_lane(1, uint32_t{q} << 2 | uint32_t{s} << 1 | uint32_t{size}, n, t, 2, m);
  }
  bool LD2_s(bool q, bool s, Reg n, Vreg t) {
    return load_lane(2, uint32_t{q} << 1 | uint32_t{s}, n, t, 2, kNoIndex);
  }
  bool LD2_s_post(bool q, Reg m, bool s, Reg n, Vreg t) {
    return load_lane(2, uint32_t{q} << 1 | uint32_t{s}, n, t, 2, m);
  }
  bool LD2_d(bool q, Reg n, Vreg t) { return load_lane(3, uint32_t{q}, n, t, 2, kNoIndex); }
  bool LD2_d_post(bool q, Reg m, Reg n, Vreg t) { return load_lane(3, uint32_t{q}, n, t, 2, m); }
  bool ST2_b(bool q, bool s, Imm<2> size, Reg n, Vreg t) {
    return store_lane(0, uint32_t{q} << 3 | uint32_t{s} << 2 | size, n, t, 2, kNoIndex);
  }
  bool ST2_b_post(bool q, Reg m, bool s, Imm<2> size, Reg n, Vreg t) {
    return store_lane(0, uint32_t{q} << 3 | uint32_t{s} << 2 | size, n, t, 2, m);
  }
  bool ST2_h(bool q, bool s, bool size, Reg n, Vreg t) {
    return store_lane(1, uint32_t{q} << 2 | uint32_t{s} << 1 | uint32_t{size}, n, t, 2, kNoIndex);
  }
  bool ST2_h_post(bool q, Reg m, bool s, bool size, Reg n, Vreg t) {
    return store_lane(1, uint32_t{q} << 2 | uint32_t{s} << 1 | uint32_t{size}, n, t, 2, m);
  }
  bool ST2_s(bool q, bool s, Reg n, Vreg t) {
    return store_lane(2, uint32_t{q} << 1 | uint32_t{s}, n, t, 2, kNoIndex);
  }
  bool ST2_s_post(bool q, Reg m, bool s, Reg n, Vreg t) {
    return store_lane(2, uint32_t{q} << 1 | uint32_t{s}, n, t, 2, m);
  }
  bool ST2_d(bool q, Reg n, Vreg t) { return store_lane(3, uint32_t{q}, n, t, 2, kNoIndex); }
  bool ST2_d_post(bool q, Reg m, Reg n, Vreg t) { return store_lane(3, uint32_t{q}, n, t, 2, m); }
  bool LD3_b(bool q, bool s, Imm<2> size, Reg n, Vreg t) {
    return load_lane(0, uint32_t{q} << 3 | uint32_t{s} << 2 | size, n, t, 3, kNoIndex);
  }
  bool LD3_b_post(bool q, Reg m, bool s, Imm<2> size, Reg n, Vreg t) {
    return load_lane(0, uint32_t{q} << 3 | uint32_t{s} << 2 | size, n, t, 3, m);
  }
  bool LD3_h(bool q, bool s, bool size, Reg n, Vreg t) {
    return load_lane(1, uint32_t{q} << 2 | uint32_t{s} << 1 | uint32_t{size}, n, t, 3, kNoIndex);
  }
  bool LD3_h_post(bool q, Reg m, bool s, bool size, Reg n, Vreg t) {
    return load_lane(1, uint32_t{q} << 2 | uint32_t{s} << 1 | uint32_t{size}, n, t, 3, m);
  }
  bool LD3_s(bool q, bool s, Reg n, Vreg t) {
    return load_lane(2, uint32_t{q} << 1 | uint32_t{s}, n, t, 3, kNoIndex);
  }
  bool LD3_s_post(bool q, Reg m, bool s, Reg n, Vreg t) {
    return load_lane(2, uint32_t{q} << 1 | uint32_t{s}, n, t, 3, m);
  }
  bool LD3_d(bool q, Reg n, Vreg t) { return load_lane(3, uint32_t{q}, n, t, 3, kNoIndex); }
  bool LD3_d_post(bool q, Reg m, Reg n, Vreg t) { return load_lane(3, uint32_t{q}, n, t, 3, m); }
  bool ST3_b(bool q, bool s, Imm<2> size, Reg n, Vreg t) {
    return store_lane(0, uint32_t{q} << 3 | uint32_t{s} << 2 | size, n, t, 3, kNoIndex);
  }
  bool ST3_b_post(bool q, Reg m, bool s, Imm<2> size, Reg n, Vreg t) {
    return store_lane(0, uint32_t{q} << 3 | uint32_t{s} << 2 | size, n, t, 3, m);
  }
  bool ST3_h(bool q, bool s, bool size, Reg n, Vreg t) {
    return store_lane(1, uint32_t{q} << 2 | uint32_t{s} << 1 | uint32_t{size}, n, t, 3, kNoIndex);
  }
  bool ST3_h_post(bool q, Reg m, bool s, bool size, Reg n, Vreg t) {
    return store_lane(1, uint32_t{q} << 2 | uint32_t{s} << 1 | uint32_t{size}, n, t, 3, m);
  }
  bool ST3_s(bool q, bool s, Reg n, Vreg t) {
    return store_lane(2, uint32_t{q} << 1 | uint32_t{s}, n, t, 3, kNoIndex);
  }
  bool ST3_s_post(bool q, Reg m, bool s, Reg n, Vreg t) {
    return store_lane(2, uint32_t{q} << 1 | uint32_t{s}, n, t, 3, m);
  }
  bool ST3_d(bool q, Reg n, Vreg t) { return store_lane(3, uint32_t{q}, n, t, 3, kNoIndex); }
  bool ST3_d_post(bool q, Reg m, Reg n, Vreg t) { return store_lane(3, uint32_t{q}, n, t, 3, m); }
  bool LD4_b(bool q, bool s, Imm<2> size, Reg n, Vreg t) {
    return load_lane(0, uint32_t{q} << 3 | uint32_t{s} << 2 | size, n, t, 4, kNoIndex);
  }
  bool LD4_b_post(bool q, Reg m, bool s, Imm<2> size, Reg n, Vreg t) {
    return load_lane(0, uint32_t{q} << 3 | uint32_t{s} << 2 | size, n, t, 4, m);
  }
  bool LD4_h(bool q, bool s, bool size, Reg n, Vreg t) {
    return load_lane(1, uint32_t{q} << 2 | uint32_t{s} << 1 | uint32_t{size}, n, t, 4, kNoIndex);
  }
  bool LD4_h_post(bool q, Reg m, bool s, bool size, Reg n, Vreg t) {
    return load_lane(1, uint32_t{q} << 2 | uint32_t{s} << 1 | uint32_t{size}, n, t, 4, m);
  }
  bool LD4_s(bool q, bool s, Reg n, Vreg t) {
    return load_lane(2, uint32_t{q} << 1 | uint32_t{s}, n, t, 4, kNoIndex);
  }
  bool LD4_s_post(bool q, Reg m, bool s, Reg n, Vreg t) {
    return load_lane(2, uint32_t{q} << 1 | uint32_t{s}, n, t, 4, m);
  }
  bool LD4_d(bool q, Reg n, Vreg t) { return load_lane(3, uint32_t{q}, n, t, 4, kNoIndex); }
  bool LD4_d_post(bool q, Reg m, Reg n, Vreg t) { return load_lane(3, uint32_t{q}, n, t, 4, m); }
  bool ST4_b(bool q, bool s, Imm<2> size, Reg n, Vreg t) {
    return store_lane(0, uint32_t{q} << 3 | uint32_t{s} << 2 | size, n, t, 4, kNoIndex);
  }
  bool ST4_b_post(bool q, Reg m, bool s, Imm<2> size, Reg n, Vreg t) {
    return store_lane(0, uint32_t{q} << 3 | uint32_t{s} << 2 | size, n, t, 4, m);
  }
  bool ST4_h(bool q, bool s, bool size, Reg n, Vreg t) {
    return store_lane(1, uint32_t{q} << 2 | uint32_t{s} << 1 | uint32_t{size}, n, t, 4, kNoIndex);
  }
  bool ST4_h_post(bool q, Reg m, bool s, bool size, Reg n, Vreg t) {
    return store_lane(1, uint32_t{q} << 2 | uint32_t{s} << 1 | uint32_t{size}, n, t, 4, m);
  }
  bool ST4_s(bool q, bool s, Reg n, Vreg t) {
    return store_lane(2, uint32_t{q} << 1 | uint32_t{s}, n, t, 4, kNoIndex);
  }
  bool ST4_s_post(bool q, Reg m, bool s, Reg n, Vreg t) {
    return store_lane(2, uint32_t{q} << 1 | uint32_t{s}, n, t, 4, m);
  }
  bool ST4_d(bool q, Reg n, Vreg t) { return store_lane(3, uint32_t{q}, n, t, 4, kNoIndex); }
  bool ST4_d_post(bool q, Reg m, Reg n, Vreg t) { return store_lane(3, uint32_t{q}, n, t, 4, m); }
  bool LD1R(bool q, Imm<2> size, Reg n, Vreg t) { return load_replicated(q, size, n, t, 1, kNoIndex); }
  bool LD1R_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) { return load_replicated(q, size, n, t, 1, m); }
  bool LD2R(bool q, Imm<2> size, Reg n, Vreg t) { return load_replicated(q, size, n, t, 2, kNoIndex); }
  bool LD2R_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) { return load_replicated(q, size, n, t, 2, m); }
  bool LD3R(bool q, Imm<2> size, Reg n, Vreg t) { return load_replicated(q, size, n, t, 3, kNoIndex); }
  bool LD3R_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) { return load_replicated(q, size, n, t, 3, m); }
  bool LD4R(bool q, Imm<2> size, Reg n, Vreg t) { return load_replicated(q, size, n, t, 4, kNoIndex); }
  bool LD4R_post(bool q, Reg m, Imm<2> size, Reg n, Vreg t) { return load_replicated(q, size, n, t, 4, m); }
};

#define A64_CHAPTER SimdStructures
constexpr Row kRows[] = {
#include "frontend/arm/a64/simd_structures.inc"
};

}  // namespace

std::span<const Row> simd_structures_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
