// SPDX-License-Identifier: Apache-2.0
/// The vector ops: lanewise ones against their scalars, moves against an index
/// formula, narrowing and reductions against plain loops.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/bits.h"
#include "ir/eval_inst.h"
#include "ir/typing.h"
#include "tests/unit/ir/random_block.h"

namespace lyrebird::ir {
namespace {

using test::Random;

constexpr Type kVectors[] = {Type::V64, Type::V128, Type::V256};
constexpr Type kInts[] = {Type::I8, Type::I16, Type::I32, Type::I64};

Constant random_vector(Random& random, Type type) {
  const uint64_t words[4] = {random.number() ^ random.number() << 32, random.next(), random.number(),
                             random.next()};
  return Constant::of_bytes(type, words);
}
uint64_t lane_of(const Constant& v, Type elem, unsigned i) {
  uint64_t lane = 0;
  std::memcpy(&lane, v.b + i * byte_size(elem), byte_size(elem));
  return lane;
}
void set_lane(Constant& v, Type elem, unsigned i, uint64_t lane) {
  std::memcpy(v.b + i * byte_size(elem), &lane, byte_size(elem));
}
unsigned count_of(Type vector, Type elem) { return bit_width(vector) / bit_width(elem); }

Constant eval(const Inst& inst, std::vector<Constant> args, uint32_t* flags) {
  Constant out;
  EXPECT_TRUE(evaluate(inst, args, &out, flags)) << info(inst.op).name;
  return out;
}
Constant eval(const Inst& inst, std::vector<Constant> args) {
  uint32_t flags = 0;
  return eval(inst, std::move(args), &flags);
}

TEST(EvalVector, LanesAreWhatScalarsAre) {
  Random random(11);
  for (unsigned o = 0; o < kOpCount; ++o) {
    const Op op = static_cast<Op>(o);
    const OpKind kind = info(op).kind;
    if (kind > OpKind::Fp3 || op == Op::FWidenLo || op == Op::FWidenHi) continue;
    const bool floats = kind >= OpKind::Fp1 || op == Op::FAbs || op == Op::FNeg;
    const bool compare = info(op).signature[0] == 'L';
    for (const Type type : kVectors) {
      for (const Type elem : floats ? std::vector<Type>{Type::F16, Type::F32, Type::F64}
                                    : std::vector<Type>(std::begin(kInts), std::end(kInts))) {
        if (!floats && !has_lanes_of(op, bit_width(elem))) continue;
        for (unsigned n = 0; n < 20; ++n) {
          Inst inst{.op = op, .type = type, .elem = elem};
          if (kind >= OpKind::Fp1) inst.aux = FpMode{.round = static_cast<Round>(random.below(6))}.pack();
          std::vector<Constant> args;
          for (unsigned i = 0; i < info(op).args; ++i) args.push_back(random_vector(random, type));
          uint32_t flags = 0, scalar_flags = 0;
          const Constant got = eval(inst, args, &flags);
          Constant expected = Constant::of(type, 0);
          for (unsigned i = 0; i < count_of(type, elem); ++i) {
            Inst scalar = inst;
            scalar.type = compare ? Type::I1 : elem;
            std::vector<Constant> lanes;
            for (const Constant& v : args) lanes.push_back(Constant::of(elem, lane_of(v, elem, i)));
            const uint64_t r = eval(scalar, lanes, &scalar_flags).low();
            set_lane(expected, elem, i, compare ? 0 - r : r);
          }
          ASSERT_EQ(got, expected) << info(op).name << ' ' << name(type) << ' ' << name(elem);
          ASSERT_EQ(flags, scalar_flags) << info(op).name;
        }
      }
    }
  }
}

/// r[i] = (b:a)[index(i, lanes)]
struct Move {
  Op op;
  unsigned (*index)(unsigned i, unsigned n);
};

TEST(EvalVector, MovesPickTheseLanes) {
  constexpr Move kMoves[] = {
      {Op::ZipLo, [](unsigned i, unsigned n) { return i / 2 + (i % 2) * n; }},
      {Op::ZipHi, [](unsigned i, unsigned n) { return n / 2 + i / 2 + (i % 2) * n; }},
      {Op::UnzipEven, [](unsigned i, unsigned) { return 2 * i; }},
      {Op::UnzipOdd, [](unsigned i, unsigned) { return 2 * i + 1; }},
      {Op::TransposeEven, [](unsigned i, unsigned n) { return i % 2 == 0 ? i : n + i - 1; }},
      {Op::TransposeOdd, [](unsigned i, unsigned n) { return i % 2 == 0 ? i + 1 : n + i; }},
  };
  Random random(12);
  for (const Move& move : kMoves) {
    for (const Type type : kVectors) {
      for (const Type elem : kInts) {
        const unsigned n = count_of(type, elem);
        if (n < 2) continue;
        const Constant a = random_vector(random, type), b = random_vector(random, type);
        const Constant got = eval({.op = move.op, .type = type, .elem = elem}, {a, b});
        for (unsigned i = 0; i < n; ++i) {
          const unsigned k = move.index(i, n);
          EXPECT_EQ(lane_of(got, elem, i), lane_of(k < n ? a : b, elem, k % n)) << info(move.op).name;
        }
      }
    }
  }
}

TEST(EvalVector, ByteExtractReverseAndTable) {
  Random random(13);
  for (const Type type : kVectors) {
    const unsigned n = byte_size(type);
    const Constant a = random_vector(random, type), b = random_vector(random, type),
                   c = random_vector(random, type);
    for (unsigned imm = 0; imm <= n; ++imm) {
      const Constant got = eval({.op = Op::ByteExtract, .type = type, .imm = imm}, {a, b});
      for (unsigned i = 0; i < n; ++i) EXPECT_EQ(got.b[i], i + imm < n ? a.b[i + imm] : b.b[i + imm - n]);
    }
    for (const Type elem : kInts) {
      for (unsigned container = 2 * bit_width(elem); container <= bit_width(type); container *= 2) {
        const Constant got = eval({.op = Op::ReverseIn, .type = type, .elem = elem, .imm = container}, {a});
        const unsigned per = container / bit_width(elem);
        for (unsigned i = 0; i < count_of(type, elem); ++i)
          EXPECT_EQ(lane_of(got, elem, i), lane_of(a, elem, i / per * per + (per - 1 - i % per)));
      }
    }
    Constant indexes = b;
    for (unsigned i = 0; i < n; i += 2) indexes.b[i] %= n;
    const Constant got = eval({.op = Op::TableLookup, .type = type}, {a, indexes, c});
    for (unsigned i = 0; i < n; ++i) EXPECT_EQ(got.b[i], indexes.b[i] < n ? a.b[indexes.b[i]] : c.b[i]);
  }
}

TEST(EvalVector, WidenNarrowAndReduce) {
  Random random(14);
  for (unsigned round = 0; round < 200; ++round) {
    for (const Type type : kVectors) {
      const Constant a = random_vector(random, type);
      for (const Type elem : {Type::I8, Type::I16, Type::I32}) {
        const Type wide = int_type(2 * bit_width(elem));
        const unsigned n = count_of(type, wide), width = bit_width(elem);
        for (unsigned k = 0; k < 4; ++k) {
          const bool high = k >= 2, is_signed = k % 2 == 0;
          const Op op = static_cast<Op>(static_cast<unsigned>(Op::WidenLoS) + k);
          const Constant got = eval({.op = op, .type = type, .elem = elem}, {a});
          for (unsigned i = 0; i < n; ++i) {
            const uint64_t lane = lane_of(a, elem, i + (high ? n : 0));
            const uint64_t expected = is_signed ? static_cast<uint64_t>(sign_extend(lane, width)) : lane;
            EXPECT_EQ(lane_of(got, wide, i), expected & low_mask(2 * width)) << info(op).name;
          }
        }
        if (type == Type::V64) continue;
        const Type half = vector_type(bit_width(type) / 2);
        const auto narrow = [&](Op op) { return eval({.op = op, .type = half, .elem = wide}, {a}); };
        const Constant plain = narrow(Op::Narrow), s = narrow(Op::NarrowSatS), u = narrow(Op::NarrowSatU),
                       su = narrow(Op::NarrowSatSU);
        for (unsigned i = 0; i < n; ++i) {
          const uint64_t lane = lane_of(a, wide, i);
          const int64_t v = sign_extend(lane, 2 * width);
          const int64_t max_s = static_cast<int64_t>(low_mask(width - 1)),
                        max_u = static_cast<int64_t>(low_mask(width));
          EXPECT_EQ(lane_of(plain, elem, i), lane & low_mask(width));
          EXPECT_EQ(lane_of(s, elem, i),
                    static_cast<uint64_t>(std::clamp(v, -max_s - 1, max_s)) & low_mask(width));
          EXPECT_EQ(lane_of(u, elem, i), std::min(lane, low_mask(width)));
          EXPECT_EQ(lane_of(su, elem, i), static_cast<uint64_t>(std::clamp<int64_t>(v, 0, max_u)));
        }
      }
      for (const Type elem : kInts) {
        const unsigned width = bit_width(elem);
        uint64_t sum = 0, min_u = ~uint64_t{0}, max_u = 0;
        int64_t min_s = INT64_MAX, max_s = INT64_MIN;
        for (unsigned i = 0; i < count_of(type, elem); ++i) {
          const uint64_t lane = lane_of(a, elem, i);
          sum += lane;
          min_u = std::min(min_u, lane);
          max_u = std::max(max_u, lane);
          min_s = std::min(min_s, sign_extend(lane, width));
          max_s = std::max(max_s, sign_extend(lane, width));
        }
        const auto reduce = [&](Op op) { return eval({.op = op, .type = elem, .elem = elem}, {a}).low(); };
        EXPECT_EQ(reduce(Op::ReduceAdd), sum & low_mask(width));
        EXPECT_EQ(reduce(Op::ReduceMinU), min_u);
        EXPECT_EQ(reduce(Op::ReduceMaxU), max_u);
        EXPECT_EQ(reduce(Op::ReduceMinS), static_cast<uint64_t>(min_s) & low_mask(width));
        EXPECT_EQ(reduce(Op::ReduceMaxS), static_cast<uint64_t>(max_s) & low_mask(width));
      }
    }
  }
}

TEST(EvalVector, InAndOut) {
  Random random(15);
  for (const Type type : kVectors) {
    const Constant a = random_vector(random, type);
    for (const Type elem : kInts) {
      const uint64_t lane = random.next() & low_mask(bit_width(elem));
      const Constant scalar = Constant::of(elem, lane);
      const Constant splat = eval({.op = Op::Splat, .type = type, .elem = elem}, {scalar});
      const Constant low = eval({.op = Op::VecFromScalar, .type = type, .elem = elem}, {scalar});
      for (unsigned i = 0; i < count_of(type, elem); ++i) {
        EXPECT_EQ(lane_of(splat, elem, i), lane);
        EXPECT_EQ(lane_of(low, elem, i), i == 0 ? lane : 0);
        EXPECT_EQ(eval({.op = Op::ExtractLane, .type = elem, .elem = elem, .imm = i}, {a}).low(),
                  lane_of(a, elem, i));
        Constant expected = a;
        set_lane(expected, elem, i, lane);
        EXPECT_EQ(eval({.op = Op::InsertLane, .type = type, .elem = elem, .imm = i}, {a, scalar}), expected);
      }
    }
    EXPECT_EQ(eval({.op = Op::AnyBit, .type = Type::I1}, {a}).low(), 1u);
    EXPECT_EQ(eval({.op = Op::AnyBit, .type = Type::I1}, {Constant::of(type, 0)}).low(), 0u);
    for (const Type to : kVectors) {
      if (to == type) continue;
      const Constant got = eval({.op = Op::Resize, .type = to, .elem = type}, {a});
      for (unsigned i = 0; i < byte_size(to); ++i) EXPECT_EQ(got.b[i], i < byte_size(type) ? a.b[i] : 0);
    }
    if (type == Type::V256) continue;
    const Type twice = vector_type(2 * bit_width(type));
    const Constant b = random_vector(random, type);
    const Constant both = eval({.op = Op::Concat, .type = twice, .elem = type}, {a, b});
    EXPECT_EQ(eval({.op = Op::HalfHi, .type = type}, {both}), b);
    EXPECT_EQ(eval({.op = Op::Resize, .type = type, .elem = twice}, {both}), a);
  }
}

TEST(EvalVector, DotAndMatrixProducts) {
  Random random(16);
  for (unsigned round = 0; round < 100; ++round) {
    const Constant a = random_vector(random, Type::V128), b = random_vector(random, Type::V128),
                   c = random_vector(random, Type::V128);
    const auto byte = [](const Constant& v, unsigned i, bool is_signed) {
      return is_signed ? int{static_cast<int8_t>(v.b[i])} : int{v.b[i]};
    };
    constexpr struct {
      Op dot, mat_mul;
      bool b_signed, c_signed;
    } kRows[] = {{Op::DotS, Op::MatMulS, true, true},
                 {Op::DotU, Op::MatMulU, false, false},
                 {Op::DotUS, Op::MatMulUS, false, true}};
    for (const auto& row : kRows) {
      const Constant dot = eval({.op = row.dot, .type = Type::V128}, {a, b, c});
      const Constant mat = eval({.op = row.mat_mul, .type = Type::V128}, {a, b, c});
      for (unsigned i = 0; i < 4; ++i) {
        int64_t sum = static_cast<int64_t>(lane_of(a, Type::I32, i)), product = sum;
        for (unsigned k = 0; k < 4; ++k)
          sum += byte(b, 4 * i + k, row.b_signed) * byte(c, 4 * i + k, row.c_signed);
        for (unsigned k = 0; k < 8; ++k)
          product += byte(b, i / 2 * 8 + k, row.b_signed) * byte(c, i % 2 * 8 + k, row.c_signed);
        EXPECT_EQ(lane_of(dot, Type::I32, i), static_cast<uint32_t>(sum));
        EXPECT_EQ(lane_of(mat, Type::I32, i), static_cast<uint32_t>(product));
      }
    }
  }
}

TEST(EvalVector, CarryLessProducts) {
  Random random(17);
  for (unsigned round = 0; round < 100; ++round) {
    const Constant a = random_vector(random, Type::V128), b = random_vector(random, Type::V128);
    for (unsigned imm = 0; imm < 4; ++imm) {
      u128 product = 0;
      const uint64_t x = a.word(imm & 1), y = b.word(imm >> 1);
      for (unsigned i = 0; i < 64; ++i)
        if (y >> i & 1) product ^= u128{x} << i;
      const Constant got = eval({.op = Op::ClMul, .type = Type::V128, .imm = imm}, {a, b});
      EXPECT_EQ(got.low(), static_cast<uint64_t>(product));
      EXPECT_EQ(got.high(), static_cast<uint64_t>(product >> 64));
    }
  }
}

TEST(EvalVector, BFloatProducts) {
  // 1.5 * 2 + 3 * 0.5 + 1 = 5.5 in every lane; the matrix rows give twice that minus 1.
  const Constant one = Constant::of(Type::V128, 0x3f8000003f800000, 0x3f8000003f800000);
  const Constant b = Constant::of(Type::V128, 0x40403fc040403fc0, 0x40403fc040403fc0);
  const Constant c = Constant::of(Type::V128, 0x3f0040003f004000, 0x3f0040003f004000);
  const Constant dot = eval({.op = Op::BfDot, .type = Type::V128}, {one, b, c});
  const Constant mat = eval({.op = Op::BfMatMul, .type = Type::V128}, {one, b, c});
  for (unsigned i = 0; i < 4; ++i) {
    EXPECT_EQ(lane_of(dot, Type::I32, i), 0x40b00000u);
    EXPECT_EQ(lane_of(mat, Type::I32, i), 0x41200000u);
  }
}

TEST(EvalVector, FloatConversionsOfLanes) {
  const Inst to_int{.op = Op::FToIntS,
                    .type = Type::V128,
                    .elem = Type::F32,
                    .aux = FpMode{.round = Round::TowardZero}.pack()};
  // 1.5, -2.75, infinity, 2^31
  const Constant floats = Constant::of(Type::V128, 0xc03000003fc00000, 0x4f0000007f800000);
  uint32_t flags = 0;
  const Constant ints = eval(to_int, {floats}, &flags);
  EXPECT_EQ(ints.low(), 0xfffffffe00000001u);
  EXPECT_EQ(ints.high(), 0x7fffffff7fffffffu);
  EXPECT_EQ(flags, kFpInvalid | kFpInexact);

  const Inst from_int{
      .op = Op::FFromIntS, .type = Type::V64, .elem = Type::F32, .aux = FpMode{}.pack() | 1u << kFpModeBits};
  EXPECT_EQ(eval(from_int, {Constant::of(Type::V64, 0xfffffffd00000003)}).low(), 0xbfc000003fc00000u);

  const Inst widen{.op = Op::FWidenHi, .type = Type::V128, .elem = Type::F16, .aux = FpMode{}.pack()};
  EXPECT_EQ(eval(widen, {Constant::of(Type::V128, 0, 0xc0003c00)}).low(), 0xc00000003f800000u);
  const Inst narrow{.op = Op::FNarrow, .type = Type::V64, .elem = Type::F64, .aux = FpMode{}.pack()};
  EXPECT_EQ(eval(narrow, {Constant::of(Type::V128, 0x3ff0000000000000, 0xc000000000000000)}).low(),
            0xc00000003f800000u);
  const Inst bf16{.op = Op::FNarrowBf16, .type = Type::V64, .elem = Type::F32, .aux = FpMode{}.pack()};
  EXPECT_EQ(eval(bf16, {Constant::of(Type::V128, 0xc00000003f800000, 0x3f80000040400000)}).low(),
            0x3f804040c0003f80u);
}

}  // namespace
}  // namespace lyrebird::ir
