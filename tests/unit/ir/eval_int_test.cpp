// SPDX-License-Identifier: Apache-2.0
/// The integer ops against plain arithmetic on wide numbers: every pair of 8-bit
/// lanes, edges and random numbers for wider ones.
#include <gtest/gtest.h>

#include <bit>
#include <vector>

#include "base/bits.h"
#include "ir/eval_inst.h"
#include "ir/eval_scalar.h"
#include "ir/typing.h"
#include "tests/unit/ir/random_block.h"

namespace lyrebird::ir {
namespace {

using test::Random;

/// Operands as numbers: unsigned (a, b, c) and signed (x, y, z), n bits wide.
struct In {
  unsigned n;
  s128 a, b, c, x, y, z;
  s128 two(unsigned power) const { return s128{1} << power; }
  s128 max_s() const { return two(n - 1) - 1; }
  s128 min_s() const { return -two(n - 1); }
  s128 max_u() const { return two(n) - 1; }
  s128 clamp_s(s128 v) const { return v > max_s() ? max_s() : v < min_s() ? min_s() : v; }
  s128 clamp_u(s128 v) const { return v > max_u() ? max_u() : v < 0 ? 0 : v; }
  /// v * 2^by without limits, rounding half up if asked; by is moderate or the result is certain.
  static s128 shift(s128 v, int by, bool round) {
    if (by >= 0) return v << (by > 60 ? 60 : by);
    const int right = by < -100 ? 100 : -by;
    return (v + (round ? s128{1} << (right - 1) : 0)) >> right;
  }
  int amount() const { return static_cast<int8_t>(static_cast<uint8_t>(b & 255)); }
  /// a or x shifted left by b, which may be huge.
  s128 left(s128 v) const { return b > 60 ? shift(v, 60, false) : shift(v, static_cast<int>(b), false); }
};

s128 floor_div(s128 v, s128 by) { return v / by; }

struct Rule {
  Op op;
  s128 (*meaning)(const In&);
  uint64_t widest = 64;  ///< the reference's own numbers end there
};

s128 count_leading(const In& i, bool bit_value) {
  unsigned n = 0;
  while (n < i.n && ((i.a >> (i.n - 1 - n) & 1) != 0) == bit_value) ++n;
  return n;
}
s128 reverse_groups(const In& i, unsigned group) {
  s128 r = 0;
  for (unsigned k = 0; k < i.n; k += group) r |= (i.a >> k & ((s128{1} << group) - 1)) << (i.n - group - k);
  return r;
}

const Rule kRules[] = {
    {Op::Add, [](const In& i) { return i.a + i.b; }},
    {Op::Sub, [](const In& i) { return i.a - i.b; }},
    {Op::Mul, [](const In& i) { return static_cast<s128>(static_cast<u128>(i.a) * static_cast<u128>(i.b)); }},
    {Op::MulHiS, [](const In& i) { return (i.x * i.y) >> i.n; }},
    {Op::MulHiU,
     [](const In& i) { return static_cast<s128>((static_cast<u128>(i.a) * static_cast<u128>(i.b)) >> i.n); }},
    {Op::DivS, [](const In& i) { return i.y == 0 ? 0 : floor_div(i.x, i.y); }},
    {Op::DivU, [](const In& i) { return i.b == 0 ? 0 : i.a / i.b; }},
    {Op::RemS, [](const In& i) { return i.y == 0 ? i.x : i.x % i.y; }},
    {Op::RemU, [](const In& i) { return i.b == 0 ? i.a : i.a % i.b; }},
    {Op::Neg, [](const In& i) { return -i.a; }},
    {Op::Not, [](const In& i) { return -1 - i.a; }},
    {Op::And, [](const In& i) { return i.a & i.b; }},
    {Op::Or, [](const In& i) { return i.a | i.b; }},
    {Op::Xor, [](const In& i) { return i.a ^ i.b; }},
    {Op::AndNot, [](const In& i) { return i.a & ~i.b; }},
    {Op::BitSelect, [](const In& i) { return (i.a & i.b) | (~i.a & i.c); }},
    {Op::SignSelect, [](const In& i) { return i.x < 0 ? i.b : i.c; }},
    {Op::Abs, [](const In& i) { return i.x < 0 ? -i.x : i.x; }},
    {Op::MinS, [](const In& i) { return i.x < i.y ? i.x : i.y; }},
    {Op::MaxS, [](const In& i) { return i.x > i.y ? i.x : i.y; }},
    {Op::MinU, [](const In& i) { return i.a < i.b ? i.a : i.b; }},
    {Op::MaxU, [](const In& i) { return i.a > i.b ? i.a : i.b; }},
    {Op::AbsDiffS, [](const In& i) { return i.x > i.y ? i.x - i.y : i.y - i.x; }},
    {Op::AbsDiffU, [](const In& i) { return i.a > i.b ? i.a - i.b : i.b - i.a; }},
    {Op::Shl, [](const In& i) { return i.b >= i.n ? 0 : i.a << i.b; }},
    {Op::ShrU, [](const In& i) { return i.b >= i.n ? 0 : i.a >> i.b; }},
    {Op::ShrS, [](const In& i) { return i.x >> (i.b >= i.n ? i.n : static_cast<unsigned>(i.b)); }},
    {Op::RotR,
     [](const In& i) {
       const unsigned s = static_cast<unsigned>(i.b % i.n);
       return (i.a >> s) | (i.a & (i.two(s) - 1)) << (i.n - s);
     }},
    {Op::FunnelShr,
     [](const In& i) {
       const u128 both = static_cast<u128>(i.a) << i.n | static_cast<u128>(i.b);
       return static_cast<s128>(both >> (i.c % i.n));
     }},
    {Op::RoundShrU,
     [](const In& i) {
       return i.b == 0 ? i.a : i.b > i.n ? 0 : In::shift(i.a, -static_cast<int>(i.b), true);
     }},
    {Op::RoundShrS,
     [](const In& i) {
       return i.b == 0 ? i.x : i.b > i.n ? 0 : In::shift(i.x, -static_cast<int>(i.b), true);
     }},
    {Op::ShlSatU, [](const In& i) { return i.clamp_u(i.left(i.a)); }, 32},
    {Op::ShlSatS, [](const In& i) { return i.clamp_s(i.left(i.x)); }, 32},
    {Op::ShlSatSU, [](const In& i) { return i.clamp_u(i.left(i.x)); }, 32},
    {Op::ShiftU, [](const In& i) { return In::shift(i.a, i.amount(), false); }, 32},
    {Op::ShiftS, [](const In& i) { return In::shift(i.x, i.amount(), false); }, 32},
    {Op::RoundShiftU, [](const In& i) { return In::shift(i.a, i.amount(), true); }, 32},
    {Op::RoundShiftS, [](const In& i) { return In::shift(i.x, i.amount(), true); }, 32},
    {Op::ShiftSatU, [](const In& i) { return i.clamp_u(In::shift(i.a, i.amount(), false)); }, 32},
    {Op::ShiftSatS, [](const In& i) { return i.clamp_s(In::shift(i.x, i.amount(), false)); }, 32},
    {Op::RoundShiftSatU, [](const In& i) { return i.clamp_u(In::shift(i.a, i.amount(), true)); }, 32},
    {Op::RoundShiftSatS, [](const In& i) { return i.clamp_s(In::shift(i.x, i.amount(), true)); }, 32},
    {Op::AddSatU, [](const In& i) { return i.clamp_u(i.a + i.b); }},
    {Op::AddSatS, [](const In& i) { return i.clamp_s(i.x + i.y); }},
    {Op::SubSatU, [](const In& i) { return i.clamp_u(i.a - i.b); }},
    {Op::SubSatS, [](const In& i) { return i.clamp_s(i.x - i.y); }},
    {Op::AddSatSU, [](const In& i) { return i.clamp_s(i.x + i.b); }},
    {Op::AddSatUS, [](const In& i) { return i.clamp_u(i.a + i.y); }},
    {Op::HalveAddU, [](const In& i) { return (i.a + i.b) >> 1; }},
    {Op::HalveAddS, [](const In& i) { return (i.x + i.y) >> 1; }},
    {Op::RoundHalveAddU, [](const In& i) { return (i.a + i.b + 1) >> 1; }},
    {Op::RoundHalveAddS, [](const In& i) { return (i.x + i.y + 1) >> 1; }},
    {Op::HalveSubU, [](const In& i) { return (i.a - i.b) >> 1; }},
    {Op::HalveSubS, [](const In& i) { return (i.x - i.y) >> 1; }},
    {Op::MulDoubleHiSat, [](const In& i) { return i.clamp_s((2 * i.x * i.y) >> i.n); }, 32},
    {Op::RoundMulDoubleHiSat, [](const In& i) { return i.clamp_s((2 * i.x * i.y + i.two(i.n - 1)) >> i.n); },
     32},
    {Op::RoundMulDoubleAddHiSat,
     [](const In& i) { return i.clamp_s((i.x * i.two(i.n) + 2 * i.y * i.z + i.two(i.n - 1)) >> i.n); }, 32},
    {Op::RoundMulDoubleSubHiSat,
     [](const In& i) { return i.clamp_s((i.x * i.two(i.n) - 2 * i.y * i.z + i.two(i.n - 1)) >> i.n); }, 32},
    {Op::RoundMulDoubleAddHi,
     [](const In& i) { return (i.x * i.two(i.n) + 2 * i.y * i.z + i.two(i.n - 1)) >> i.n; }, 32},
    {Op::RoundMulDoubleSubHi,
     [](const In& i) { return (i.x * i.two(i.n) - 2 * i.y * i.z + i.two(i.n - 1)) >> i.n; }, 32},
    {Op::Clz, [](const In& i) { return count_leading(i, false); }},
    {Op::Cls, [](const In& i) { return count_leading(i, i.x < 0) - 1; }},
    {Op::Ctz,
     [](const In& i) {
       unsigned n = 0;
       while (n < i.n && (i.a >> n & 1) == 0) ++n;
       return s128{n};
     }},
    {Op::PopCount,
     [](const In& i) {
       s128 n = 0;
       for (unsigned k = 0; k < i.n; ++k) n += i.a >> k & 1;
       return n;
     }},
    {Op::BitReverse, [](const In& i) { return reverse_groups(i, 1); }},
    {Op::ByteReverse, [](const In& i) { return reverse_groups(i, 8); }},
    {Op::PolyMul,
     [](const In& i) {
       s128 r = 0;
       for (unsigned k = 0; k < i.n; ++k)
         if (i.b >> k & 1) r ^= i.a << k;
       return r;
     }},
    {Op::CmpEq, [](const In& i) { return s128{i.a == i.b}; }},
    {Op::CmpNe, [](const In& i) { return s128{i.a != i.b}; }},
    {Op::CmpLtS, [](const In& i) { return s128{i.x < i.y}; }},
    {Op::CmpLeS, [](const In& i) { return s128{i.x <= i.y}; }},
    {Op::CmpLtU, [](const In& i) { return s128{i.a < i.b}; }},
    {Op::CmpLeU, [](const In& i) { return s128{i.a <= i.b}; }},
    {Op::CmpTest, [](const In& i) { return s128{(i.a & i.b) != 0}; }},
    {Op::AddWithCarry, [](const In& i) { return i.a + i.b + (i.c & 1); }},
    {Op::CarryOfAdd, [](const In& i) { return s128{i.a + i.b + (i.c & 1) > i.max_u()}; }},
    {Op::OverflowOfAdd,
     [](const In& i) { return s128{i.clamp_s(i.x + i.y + (i.c & 1)) != i.x + i.y + (i.c & 1)}; }},
    {Op::OverflowOfSub, [](const In& i) { return s128{i.clamp_s(i.x - i.y) != i.x - i.y}; }},
};

bool gives_truth(Op op) { return info(op).signature[0] == 'L' || info(op).signature.back() == 'b'; }

/// One application of a rule's op by evaluate().
uint64_t result_of(Op op, unsigned n, const uint64_t* v) {
  const Type type = int_type(n);
  const Inst inst{.op = op, .type = gives_truth(op) ? Type::I1 : type, .elem = type};
  const bool third_is_carry = info(op).kind == OpKind::Special;
  const Constant args[3] = {Constant::of(type, v[0]), Constant::of(type, v[1]),
                            Constant::of(third_is_carry ? Type::I1 : type, v[2])};
  Constant out;
  uint32_t flags = 0;
  EXPECT_TRUE(evaluate(inst, {args, info(op).args}, &out, &flags)) << info(op).name;
  return out.low();
}

void check(const Rule& rule, unsigned n, const uint64_t* v) {
  const auto value = [&](unsigned i) { return v[i] & low_mask(n); };
  const In in{n,
              static_cast<s128>(value(0)),
              static_cast<s128>(value(1)),
              static_cast<s128>(value(2)),
              sign_extend(value(0), n),
              sign_extend(value(1), n),
              sign_extend(value(2), n)};
  const uint64_t mask = gives_truth(rule.op) ? 1 : low_mask(n);
  ASSERT_EQ(result_of(rule.op, n, v), static_cast<uint64_t>(rule.meaning(in)) & mask)
      << info(rule.op).name << " of " << n << " bits: " << value(0) << ", " << value(1) << ", " << value(2);
}

TEST(EvalInt, EightBitLanesExhaustively) {
  for (const Rule& rule : kRules) {
    const unsigned args = info(rule.op).args;
    for (uint64_t a = 0; a < 256; ++a) {
      for (uint64_t b = 0; b < (args > 1 ? 256 : 1); ++b) {
        for (uint64_t c : {0, 1, 0x7f, 0x80, 0xff}) {
          const uint64_t v[3] = {a, b, args > 2 ? c : 0};
          check(rule, 8, v);
          if (HasFatalFailure()) return;
          if (args <= 2) break;
        }
      }
    }
  }
}

TEST(EvalInt, WiderLanesAtEdgesAndAtRandom) {
  Random random(3);
  for (const Rule& rule : kRules) {
    for (const unsigned n : {16u, 32u, 64u}) {
      if (n > rule.widest) continue;
      for (unsigned i = 0; i < 3000; ++i) {
        uint64_t v[3] = {random.number(), random.number(), random.number()};
        if (random.one_in(3)) v[1] = random.below(2 * n);
        if (random.one_in(4)) v[0] = uint64_t{1} << random.below(n);
        check(rule, n, v);
        if (HasFatalFailure()) return;
      }
    }
  }
}

/// The reference above has every integer op but those of one width only.
TEST(EvalInt, EveryLanewiseOpIsChecked) {
  for (unsigned i = 0; i < kOpCount; ++i) {
    const Op op = static_cast<Op>(i);
    if (info(op).kind > OpKind::Lane3 || !has_lanes_of(op, 8)) continue;
    bool found = false;
    for (const Rule& rule : kRules) found |= rule.op == op;
    EXPECT_TRUE(found) << info(op).name;
  }
}

// The ops that name it define each bit.
TEST(EvalInt, StatusWords) {
  const auto result = [](Op op, Type type, uint64_t a, uint64_t b, bool carry, uint32_t aux = 0) {
    const Constant args[3] = {Constant::of(type, a), Constant::of(type, b), Constant::of(Type::I1, carry)};
    Constant out;
    uint32_t flags = 0;
    EXPECT_TRUE(evaluate({.op = op, .type = Type::I16, .elem = type, .aux = aux}, {args, info(op).args}, &out,
                         &flags));
    return out.low() & 0xffff;
  };
  const auto word = [](uint64_t r, bool carry, bool adjust, bool overflow) {
    bool even = true;
    for (unsigned k = 0; k < 8; ++k) even ^= r >> k & 1;
    r &= 0xff;
    return 0x200u | (overflow ? 1u : 0) | (carry ? 0x100u : 0) | (even ? 0x400u : 0) |
           (adjust ? 0x1000u : 0) | (r == 0 ? 0x4000u : 0) | (r & 0x80 ? 0x8000u : 0);
  };
  for (int a = 0; a < 256; ++a) {
    ASSERT_EQ(result(Op::StatusOfValue, Type::I8, static_cast<unsigned>(a), 0, false),
              word(static_cast<unsigned>(a), false, false, false));
    for (int b = 0; b < 256; ++b)
      for (int c = 0; c < 2; ++c) {
        const int x = static_cast<int8_t>(a), y = static_cast<int8_t>(b);
        const int sum = x + y + c, difference = x - y - c;
        ASSERT_EQ(
            result(Op::StatusOfAdd, Type::I8, static_cast<unsigned>(a), static_cast<unsigned>(b), c != 0),
            word(static_cast<unsigned>(a + b + c), a + b + c > 255, (a & 15) + (b & 15) + c > 15,
                 sum != static_cast<int8_t>(sum)));
        ASSERT_EQ(
            result(Op::StatusOfSub, Type::I8, static_cast<unsigned>(a), static_cast<unsigned>(b), c != 0),
            word(static_cast<unsigned>(a - b - c), a < b + c, (a & 15) < (b & 15) + c,
                 difference != static_cast<int8_t>(difference)));
      }
  }
  EXPECT_EQ(result(Op::StatusOfSub, Type::I64, 0, 1, false), 0x9700u);
  EXPECT_EQ(result(Op::StatusOfOrder, Type::I8, kFpUnordered, kFpEqual, false), 0x4700u);
  EXPECT_EQ(result(Op::StatusOfOrder, Type::I8, kFpLess, kFpLess, false), 0x300u);
  EXPECT_EQ(result(Op::StatusOfOrder, Type::I8, kFpGreater, kFpGreater, false), 0x200u);
  for (const Op op : {Op::StatusOfAdd, Op::StatusOfSub, Op::StatusOfValue})
    for (const uint64_t a : {0, 1, 0x80, 0xff})
      EXPECT_EQ(result(op, Type::I8, a, 0x81, false, eval::kOtherCarry),
                result(op, Type::I8, a, 0x81, false) ^ 0x100u);
  EXPECT_EQ(result(Op::StatusOfOrder, Type::I8, kFpEqual, 0, false, 1), 0x4200u);
  EXPECT_EQ(result(Op::StatusOfOrder, Type::I8, kFpLess, 0, false, 1), 0x8300u);
  EXPECT_EQ(result(Op::StatusOfOrder, Type::I8, kFpGreater, 0, false, 1), 0x200u);
  EXPECT_EQ(result(Op::StatusOfOrder, Type::I8, kFpUnordered, 0, false, 1), 0x601u);
}

// Of bytes, one step after the other.
TEST(EvalInt, StatusWordsOfShiftsAndSteps) {
  const auto result = [](Op op, uint32_t way, uint64_t a, uint64_t b, uint64_t old) {
    const bool step = op == Op::StatusOfStep;
    const Constant args[3] = {Constant::of(Type::I8, a),
                              step ? Constant::of(Type::I16, old) : Constant::of(Type::I8, b),
                              Constant::of(Type::I16, old)};
    Constant out;
    uint32_t flags = 0;
    EXPECT_TRUE(evaluate({.op = op, .type = Type::I16, .elem = Type::I8, .aux = way}, {args, info(op).args},
                         &out, &flags));
    return out.low() & 0xffff;
  };
  constexpr uint64_t kOld[] = {0x200, 0xd701};
  for (unsigned a = 0; a < 256; ++a) {
    const auto by_status = [&](Op op, bool carry) {
      const Constant args[3] = {Constant::of(Type::I8, a), Constant::of(Type::I8, 1),
                                Constant::of(Type::I1, carry)};
      Constant out;
      uint32_t flags = 0;
      EXPECT_TRUE(evaluate({.op = op, .type = Type::I16, .elem = Type::I8}, {args, 3}, &out, &flags));
      return out.low() & 0xffff;
    };
    for (const uint64_t old : kOld) {
      ASSERT_EQ(result(Op::StatusOfStep, 0, a, 0, old),
                (by_status(Op::StatusOfAdd, false) & ~0x100u) | (old & 0x100));
      ASSERT_EQ(result(Op::StatusOfStep, 1, a, 0, old),
                (by_status(Op::StatusOfSub, false) & ~0x100u) | (old & 0x100));
      for (uint32_t way = 0; way < eval::kShiftWays; ++way)
        for (unsigned n = 0; n < 64; ++n) {
          unsigned r = a, carry = 0, overflow = 0, first = 0;
          for (unsigned k = 0; k < n % 32; ++k) {
            const unsigned top = r >> 7, low = r & 1;
            const bool left = way == eval::kShiftLeft || way == eval::kTurnLeft;
            carry = left ? top : low;
            if (way == eval::kShiftLeft || way == eval::kShiftRight)
              r = left ? (r << 1) & 255 : r >> 1;
            else
              r = left ? ((r << 1) & 255) | top : r >> 1 | (way == eval::kTurnRight ? low : top) << 7;
            overflow = (r >> 7) ^ top;
            if (k == 0) first = overflow;
          }
          const bool turn = way >= eval::kTurnLeft;
          unsigned expected =
              turn ? static_cast<unsigned>(old) & ~0x101u : 0x1200u | (r == 0 ? 0x4000u : 0) | (r >> 7) << 15;
          if (!turn && std::popcount(r) % 2 == 0) expected |= 0x400;
          expected |= carry << 8 | overflow;
          if (n % 32 == 0) expected = static_cast<unsigned>(old);
          ASSERT_EQ(result(Op::StatusOfShift, way, a, n, old), expected) << a << ' ' << n << ' ' << way;
          if (n % 32 != 0) expected = (expected & ~(turn ? 1u : 0x1001u)) | first;
          ASSERT_EQ(result(Op::StatusOfShift, way | eval::kFirstStep, a, n, old), expected)
              << a << ' ' << n << ' ' << way;
          if (!turn) continue;
          if (n % 32 != 0) expected = (expected & ~1u) | (old & 1);
          ASSERT_EQ(result(Op::StatusOfShift, way | eval::kFirstStep | eval::kOldOverflow, a, n, old),
                    expected)
              << a << ' ' << n << ' ' << way;
        }
    }
  }
  const Constant args[3] = {Constant::of(Type::I64, 5), Constant::of(Type::I64, 7),
                            Constant::of(Type::I1, 1)};
  Constant out;
  uint32_t flags = 0;
  EXPECT_TRUE(
      evaluate({.op = Op::SubWithBorrow, .type = Type::I64, .elem = Type::I64}, {args, 3}, &out, &flags));
  EXPECT_EQ(out.low(), ~uint64_t{2});
}

TEST(EvalInt, DivisionOfTwoWords) {
  const auto result = [](Op op, Type type, uint64_t low, uint64_t high, uint64_t divisor) {
    const Constant args[3] = {Constant::of(type, low), Constant::of(type, high), Constant::of(type, divisor)};
    Constant out;
    uint32_t flags = 0;
    EXPECT_TRUE(evaluate({.op = op, .type = type, .elem = type}, {args, 3}, &out, &flags));
    return out.low() & low_mask(bit_width(type));
  };
  for (int all = 0; all < 65536; all += 7)
    for (int divisor = 0; divisor < 256; ++divisor) {
      const auto low = static_cast<unsigned>(all & 255), high = static_cast<unsigned>(all >> 8);
      const auto d = static_cast<unsigned>(divisor);
      const bool fits = divisor != 0 && all / divisor < 256;
      ASSERT_EQ(result(Op::DivWideU, Type::I8, low, high, d), fits ? all / divisor : 0u);
      ASSERT_EQ(result(Op::RemWideU, Type::I8, low, high, d), fits ? all % divisor : d);
      const int x = static_cast<int16_t>(all), y = static_cast<int8_t>(divisor);
      const bool fits_signed = y != 0 && x / y == static_cast<int8_t>(x / y);
      ASSERT_EQ(result(Op::DivWideS, Type::I8, low, high, d), fits_signed ? (x / y) & 255 : 0);
      ASSERT_EQ(result(Op::RemWideS, Type::I8, low, high, d),
                fits_signed ? static_cast<unsigned>(x % y) & 255 : d);
    }
  constexpr uint64_t kMin = uint64_t{1} << 63, kOnes = ~uint64_t{0};
  EXPECT_EQ(result(Op::DivWideS, Type::I64, kMin, kOnes, 1), kMin);
  EXPECT_EQ(result(Op::RemWideS, Type::I64, kMin, kOnes, kOnes), kOnes);  // does not fit
  EXPECT_EQ(result(Op::RemWideS, Type::I64, 0, kMin, kOnes), kOnes);
  EXPECT_EQ(result(Op::DivWideS, Type::I64, kMin, 0, kOnes), kMin);
  EXPECT_EQ(result(Op::DivWideU, Type::I64, 0, 1, 2), kMin);
}

/// What the reference's own 128 bits are too narrow for.
TEST(EvalInt, SixtyFourBitShiftsAndDoublingProducts) {
  constexpr uint64_t kMin = uint64_t{1} << 63, kMax = kMin - 1, kOnes = ~uint64_t{0};
  struct Row {
    Op op;
    uint64_t v[3], result;
  };
  constexpr Row kRows[] = {
      {Op::ShlSatU, {1, 63, 0}, kMin},
      {Op::ShlSatU, {2, 63, 0}, kOnes},
      {Op::ShlSatU, {1, 64, 0}, kOnes},
      {Op::ShlSatU, {0, kOnes, 0}, 0},
      {Op::ShlSatS, {1, 62, 0}, uint64_t{1} << 62},
      {Op::ShlSatS, {1, 63, 0}, kMax},
      {Op::ShlSatS, {kOnes, 63, 0}, kMin},
      {Op::ShlSatS, {kOnes, 64, 0}, kMin},
      {Op::ShlSatSU, {kOnes, 1, 0}, 0},
      {Op::ShlSatSU, {1, 63, 0}, kMin},
      {Op::ShiftU, {kMin, 0xc1, 0}, 1},
      {Op::ShiftU, {kMin, 0xc0, 0}, 0},
      {Op::ShiftS, {kMin, 0x80, 0}, kOnes},
      {Op::ShiftS, {1, 0x3f, 0}, kMin},
      {Op::ShiftS, {1, 0x40, 0}, 0},
      {Op::RoundShiftU, {kMin, 0xc0, 0}, 1},
      {Op::RoundShiftU, {kOnes, 0xc0, 0}, 1},
      {Op::RoundShiftU, {kOnes, 0xbf, 0}, 0},
      {Op::RoundShiftU, {kOnes, 0xff, 0}, kMin},
      {Op::RoundShiftS, {kMin, 0xc0, 0}, 0},
      {Op::RoundShiftS, {kMax, 0xc1, 0}, 1},
      {Op::RoundShiftS, {kOnes, 0xff, 0}, 0},
      {Op::ShiftSatU, {kOnes, 1, 0}, kOnes},
      {Op::ShiftSatU, {kOnes, 0xff, 0}, kMax},
      {Op::ShiftSatS, {kMin, 1, 0}, kMin},
      {Op::ShiftSatS, {kMax, 1, 0}, kMax},
      {Op::RoundShiftSatU, {3, 0xff, 0}, 2},
      {Op::RoundShiftSatS, {0xfffffffffffffffd, 0xff, 0}, kOnes},
      {Op::MulDoubleHiSat, {kMin, kMin, 0}, kMax},
      {Op::MulDoubleHiSat, {kMin, kMax, 0}, kMin + 1},
      {Op::MulDoubleHiSat, {kMax, kMax, 0}, kMax - 1},
      {Op::RoundMulDoubleHiSat, {kMin, kMin, 0}, kMax},
      {Op::RoundMulDoubleHiSat, {kMin, 1, 0}, kOnes},
      {Op::RoundMulDoubleHiSat, {uint64_t{1} << 62, 1, 0}, 1},
      {Op::RoundMulDoubleAddHiSat, {kMax, kMin, kMin}, kMax},
      {Op::RoundMulDoubleAddHiSat, {kMin, kMin, kMin}, 0},
      {Op::RoundMulDoubleSubHiSat, {kMin, kMin, kMin}, kMin},
      {Op::RoundMulDoubleSubHiSat, {5, 0, kMin}, 5},
      {Op::RoundMulDoubleAddHi, {kMax, kMin, kMin}, kOnes},
      {Op::RoundMulDoubleSubHi, {kMin, kMin, kMin}, 0},
  };
  for (const Row& row : kRows)
    EXPECT_EQ(result_of(row.op, 64, row.v), row.result)
        << info(row.op).name << ' ' << row.v[0] << ' ' << row.v[1] << ' ' << row.v[2];
}

TEST(EvalInt, TruthsAreLogical) {
  for (uint64_t a = 0; a < 2; ++a) {
    for (uint64_t b = 0; b < 2; ++b) {
      const uint64_t v[3] = {a, b, 1};
      EXPECT_EQ(result_of(Op::Not, 1, v), 1 - a);
      EXPECT_EQ(result_of(Op::And, 1, v), a & b);
      EXPECT_EQ(result_of(Op::Or, 1, v), a | b);
      EXPECT_EQ(result_of(Op::Xor, 1, v), a ^ b);
      EXPECT_EQ(result_of(Op::AndNot, 1, v), a & (1 - b));
      EXPECT_EQ(result_of(Op::BitSelect, 1, v), a ? b : 1);
      EXPECT_EQ(result_of(Op::CmpEq, 1, v), a == b);
      EXPECT_EQ(result_of(Op::CmpLtU, 1, v), a < b);
    }
  }
}

Constant wide(u128 v) {
  return Constant::of(Type::I128, static_cast<uint64_t>(v), static_cast<uint64_t>(v >> 64));
}

TEST(EvalInt, WidestLanes) {
  Random random(4);
  for (unsigned i = 0; i < 2000; ++i) {
    const u128 a = u128{random.number()} << 64 | random.number(), b = random.number();
    const auto eval2 = [](Op op, u128 x, u128 y) {
      const Constant args[2] = {wide(x), wide(y)};
      Constant out;
      uint32_t flags = 0;
      const Type type = info(op).signature[0] == 'L' ? Type::I1 : Type::I128;
      EXPECT_TRUE(
          evaluate({.op = op, .type = type, .elem = Type::I128}, {args, info(op).args}, &out, &flags));
      return u128{out.high()} << 64 | out.low();
    };
    EXPECT_TRUE(eval2(Op::Add, a, b) == a + b);
    EXPECT_TRUE(eval2(Op::Sub, b, a) == b - a);
    EXPECT_TRUE(eval2(Op::Mul, a, b) == a * b);
    EXPECT_TRUE(eval2(Op::Not, a, b) == ~a);
    EXPECT_TRUE(eval2(Op::DivU, a, b) == (b == 0 ? 0 : a / b));
    EXPECT_TRUE(eval2(Op::RemU, a, b) == (b == 0 ? a : a % b));
    const unsigned s = random.below(128);
    EXPECT_TRUE(eval2(Op::Shl, a, s) == a << s);
    EXPECT_TRUE(eval2(Op::ShrU, a, s) == a >> s);
    EXPECT_TRUE(eval2(Op::ShrS, a, s) == static_cast<u128>(static_cast<s128>(a) >> s));
    EXPECT_TRUE(eval2(Op::Shl, a, 128) == 0);
    EXPECT_EQ(eval2(Op::CmpLtS, a, b), static_cast<s128>(a) < static_cast<s128>(b));
    EXPECT_EQ(eval2(Op::CmpEq, a, a), 1u);
  }
}

struct Conversion {
  Op op;
  Type from, to;
  uint64_t value, result_low, result_high;
};

TEST(EvalInt, Conversions) {
  constexpr uint64_t kOnes = ~uint64_t{0};
  constexpr Conversion kRows[] = {
      {Op::ZExt, Type::I8, Type::I64, 0x80, 0x80, 0},
      {Op::SExt, Type::I8, Type::I64, 0x80, 0xffffffffffffff80, 0},
      {Op::SExt, Type::I8, Type::I32, 0x80, 0xffffff80, 0},
      {Op::SExt, Type::I64, Type::I128, kOnes, kOnes, kOnes},
      {Op::ZExt, Type::I64, Type::I128, kOnes, kOnes, 0},
      {Op::SExt, Type::I1, Type::I16, 1, 0xffff, 0},
      {Op::ZExt, Type::I1, Type::I16, 1, 1, 0},
      {Op::Trunc, Type::I64, Type::I16, 0x12345, 0x2345, 0},
      {Op::Trunc, Type::I8, Type::I1, 0xfe, 0, 0},
      {Op::Bitcast, Type::F64, Type::I64, kOnes, kOnes, 0},
      {Op::Bitcast, Type::I16, Type::F16, 0x3c00, 0x3c00, 0},
  };
  for (const Conversion& row : kRows) {
    const Constant arg = Constant::of(row.from, row.value);
    Constant out;
    uint32_t flags = 0;
    ASSERT_TRUE(evaluate({.op = row.op, .type = row.to, .elem = row.from}, {&arg, 1}, &out, &flags));
    EXPECT_EQ(out.low(), row.result_low) << info(row.op).name;
    EXPECT_EQ(out.high(), row.result_high) << info(row.op).name;
  }
}

/// CRC of "123456789" is the check value of each CRC's catalogue entry.
TEST(EvalInt, CrcOfTheCheckString) {
  for (const bool castagnoli : {false, true}) {
    const uint32_t kind = castagnoli ? 256 : 0;
    uint32_t crc = ~0u;
    const auto add = [&](const char* bytes, unsigned count) {
      uint64_t data = 0;
      std::memcpy(&data, bytes, count);
      const Constant args[2] = {Constant::of(Type::I32, crc), Constant::of(Type::I64, data)};
      Constant out;
      uint32_t flags = 0;
      ASSERT_TRUE(evaluate({.op = Op::Crc32, .type = Type::I32, .aux = count | kind}, args, &out, &flags));
      crc = static_cast<uint32_t>(out.low());
    };
    add("12345678", 8);
    add("9", 1);
    EXPECT_EQ(~crc, castagnoli ? 0xe3069283u : 0xcbf43926u);
  }
}

/// A new op needs a meaning: random instructions of every pure op evaluate.
TEST(EvalInst, EveryPureOpHasAMeaning) {
  Random random(5);
  for (unsigned i = 0; i < kOpCount; ++i) {
    const Op op = static_cast<Op>(i);
    if ((info(op).effects & ~FpFlags) != 0 || op == Op::Insn || op == Op::Const || op == Op::ForgetState)
      continue;
    for (unsigned n = 0; n < 40; ++n) {
      Type types[4];
      const auto inst = test::random_inst(random, op, types);
      ASSERT_TRUE(inst) << info(op).name << ": no types fit";
      Constant args[4], out;
      for (unsigned k = 0; k < info(op).args; ++k) {
        const uint64_t words[4] = {random.number(), random.number(), random.number(), random.number()};
        args[k] = Constant::of(types[k], words[0], words[1]);
        if (types[k] == Type::V256) args[k] = Constant::of_bytes(types[k], words);
      }
      uint32_t flags = 0;
      EXPECT_TRUE(evaluate(*inst, {args, info(op).args}, &out, &flags)) << info(op).name;
      EXPECT_EQ(out.type, inst->type);
      Constant again;
      uint32_t flags_again = 0;
      ASSERT_TRUE(evaluate(*inst, {args, info(op).args}, &again, &flags_again));
      EXPECT_EQ(out, again) << info(op).name;
    }
  }
}

TEST(EvalInst, WhatHasNoValueIsRefused) {
  Constant out;
  uint32_t flags = 0;
  const Constant address = Constant::of(Type::I64, 0);
  EXPECT_FALSE(evaluate({.op = Op::GetState, .type = Type::I64}, {}, &out, &flags));
  EXPECT_FALSE(evaluate({.op = Op::Load, .type = Type::I64, .aux = 8}, {&address, 1}, &out, &flags));
  EXPECT_FALSE(evaluate({.op = Op::Insn}, {}, &out, &flags));
  EXPECT_FALSE(evaluate({.op = Op::Neg, .type = Type::I32, .elem = Type::I32}, {&address, 1}, &out, &flags));
}

}  // namespace
}  // namespace lyrebird::ir
