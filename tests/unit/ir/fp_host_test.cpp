// SPDX-License-Identifier: Apache-2.0
// The floating-point ops, with the modes an x86 lifter gives, against the host's SSE,
// FMA, F16C and x87 units: results and flags, all rounding modes, DAZ and FTZ.
#if defined(__x86_64__)

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "ir/fp_eval.h"
#include "tests/unit/ir/fp_cases.h"

namespace lyrebird::ir::eval {
namespace {

using test::Random;

constexpr Round kX86Rounds[] = {Round::NearestEven, Round::TowardNegative, Round::TowardPositive,
                                Round::TowardZero};
constexpr uint32_t kDaz = 1 << 6, kFtz = 1 << 15;

/// IE DE ZE OE UE PE, the same in MXCSR and the x87 status word.
uint32_t x86_flags(uint32_t f) {
  return (f & kFpInvalid ? 1 : 0) | (f & kFpDenormal ? 2 : 0) | (f & kFpDivideByZero ? 4 : 0) |
         (f & kFpOverflow ? 8 : 0) | (f & kFpUnderflow ? 16 : 0) | (f & kFpInexact ? 32 : 0);
}

struct Sse {
  uint32_t mxcsr;
  FpMode mode() const {
    return {.round = kX86Rounds[mxcsr >> 13 & 3],
            .nan_rule = NanRule::FirstOperand,
            .default_nan_negative = true,
            .flush_inputs = (mxcsr & kDaz) != 0,
            .flush_outputs = (mxcsr & kFtz) != 0,
            .tiny_before_rounding = false,
            .flush_is_inexact = true,
            .denormal_report = DenormalReport::WhenUsed};
  }
  FpMode without_denormal_report() const {
    FpMode m = mode();
    m.denormal_report = DenormalReport::Never;
    return m;
  }
};

struct Outcome {
  uint64_t result;
  uint32_t flags;
};

constexpr uint32_t kDefaultMxcsr = 0x1f80;

/// xmm0 op= xmm1 (xmm2), with a MXCSR of its own.
#define SSE_OP(text)                                                                            \
  [](uint32_t mxcsr, uint64_t a, uint64_t b, uint64_t c) -> Outcome {                           \
    uint32_t status;                                                                            \
    uint64_t result;                                                                            \
    asm volatile(                                                                               \
        "movq %[a], %%xmm0\n movq %[b], %%xmm1\n movq %[c], %%xmm2\n xorl %%eax, %%eax\n"       \
        "ldmxcsr %[csr]\n " text "\n stmxcsr %[status]\n ldmxcsr %[normal]\n movq %%xmm0, %[r]" \
        : [r] "=r"(result), [status] "=m"(status)                                               \
        : [a] "r"(a), [b] "r"(b), [c] "r"(c), [csr] "m"(mxcsr), [normal] "m"(kDefaultMxcsr)     \
        : "xmm0", "xmm1", "xmm2", "rax", "cc", "memory");                                       \
    return {result, status & 63};                                                               \
  }

struct SseRow {
  const char* name;
  unsigned widths[3];
  unsigned result_width;
  Outcome (*host)(uint32_t mxcsr, uint64_t a, uint64_t b, uint64_t c);
  uint64_t (*model)(const Sse& sse, uint64_t a, uint64_t b, uint64_t c, FpEnv& env);
  const char* needs = nullptr;
};

#define MODEL(expression)                                                                       \
  []([[maybe_unused]] const Sse& sse, [[maybe_unused]] uint64_t a, [[maybe_unused]] uint64_t b, \
     [[maybe_unused]] uint64_t c, FpEnv& env) -> uint64_t {                                     \
    env.mode = sse.mode();                                                                      \
    return expression;                                                                          \
  }

/// A copy of the environment's flags with the report of subnormals switched off.
template <class Function>
uint64_t quiet_denormals(const Sse& sse, FpEnv& env, Function f) {
  env.mode = sse.without_denormal_report();
  return f(env);
}
/// The "integer indefinite" that SSE gives where the IR clamps.
uint64_t indefinite(uint64_t value, const FpEnv& env, unsigned bits) {
  return env.flags & kFpInvalid ? uint64_t{1} << (bits - 1) : value;
}
template <class B>
uint64_t to_int(const Sse& sse, B a, unsigned bits, FpEnv& env) {
  const uint64_t v = quiet_denormals(sse, env, [&](FpEnv& e) { return FToIntS<B>(a, bits, 0, e); });
  return indefinite(v, env, bits);
}
template <class B>
uint64_t truncate(const Sse& sse, B a, unsigned bits, FpEnv& env) {
  env.mode = sse.without_denormal_report();
  env.mode.round = Round::TowardZero;
  const uint64_t v = FToIntS<B>(a, bits, 0, env);
  return indefinite(v, env, bits);
}
template <class B>
uint64_t round_int(const Sse& sse, B a, FpEnv& env) {
  return quiet_denormals(sse, env, [&](FpEnv& e) -> uint64_t { return FRoundInt<B>(a, e, 0); });
}

#define SSE_ROWS(S, W, B)                                                                                  \
  SseRow{"add" #S, {W, W, 0}, W, SSE_OP("add" #S " %%xmm1, %%xmm0"), MODEL(FAdd<B>(a, b, env))},           \
      SseRow{"sub" #S, {W, W, 0}, W, SSE_OP("sub" #S " %%xmm1, %%xmm0"), MODEL(FSub<B>(a, b, env))},       \
      SseRow{"mul" #S, {W, W, 0}, W, SSE_OP("mul" #S " %%xmm1, %%xmm0"), MODEL(FMul<B>(a, b, env))},       \
      SseRow{"div" #S, {W, W, 0}, W, SSE_OP("div" #S " %%xmm1, %%xmm0"), MODEL(FDiv<B>(a, b, env))},       \
      SseRow{"min" #S, {W, W, 0}, W, SSE_OP("min" #S " %%xmm1, %%xmm0"), MODEL(FMinSecond<B>(a, b, env))}, \
      SseRow{"max" #S, {W, W, 0}, W, SSE_OP("max" #S " %%xmm1, %%xmm0"), MODEL(FMaxSecond<B>(a, b, env))}, \
      SseRow{"sqrt" #S, {W, 0, 0}, W, SSE_OP("sqrt" #S " %%xmm0, %%xmm0"), MODEL(FSqrt<B>(a, env))},       \
      SseRow{"ucomi" #S,                                                                                   \
             {W, W, 0},                                                                                    \
             32,                                                                                           \
             SSE_OP("ucomi" #S " %%xmm1, %%xmm0\n lahf\n movzbl %%ah, %%eax\n movd %%eax, %%xmm0"),        \
             MODEL(lahf(FCompare<B>(a, b, env, false)))},                                                  \
      SseRow{"comi" #S,                                                                                    \
             {W, W, 0},                                                                                    \
             32,                                                                                           \
             SSE_OP("comi" #S " %%xmm1, %%xmm0\n lahf\n movzbl %%ah, %%eax\n movd %%eax, %%xmm0"),         \
             MODEL(lahf(FCompare<B>(a, b, env, true)))},                                                   \
      SseRow{"cmpeq" #S,                                                                                   \
             {W, W, 0},                                                                                    \
             W,                                                                                            \
             SSE_OP("cmpeq" #S " %%xmm1, %%xmm0"),                                                         \
             MODEL(B(0) - B(FCmpEq<B>(a, b, env)))},                                                       \
      SseRow{"cmplt" #S,                                                                                   \
             {W, W, 0},                                                                                    \
             W,                                                                                            \
             SSE_OP("cmplt" #S " %%xmm1, %%xmm0"),                                                         \
             MODEL(B(0) - B(FCmpLt<B>(a, b, env)))},                                                       \
      SseRow{"cmple" #S,                                                                                   \
             {W, W, 0},                                                                                    \
             W,                                                                                            \
             SSE_OP("cmple" #S " %%xmm1, %%xmm0"),                                                         \
             MODEL(B(0) - B(FCmpLe<B>(a, b, env)))},                                                       \
      SseRow{"cmpunord" #S,                                                                                \
             {W, W, 0},                                                                                    \
             W,                                                                                            \
             SSE_OP("cmpunord" #S " %%xmm1, %%xmm0"),                                                      \
             MODEL(B(0) - B(FCmpUnord<B>(a, b, env)))},                                                    \
      SseRow{"cvt" #S "2si32",                                                                             \
             {W, 0, 0},                                                                                    \
             32,                                                                                           \
             SSE_OP("cvt" #S "2si %%xmm0, %%eax\n movd %%eax, %%xmm0"),                                    \
             MODEL(to_int<B>(sse, a, 32, env))},                                                           \
      SseRow{"cvt" #S "2si64",                                                                             \
             {W, 0, 0},                                                                                    \
             64,                                                                                           \
             SSE_OP("cvt" #S "2si %%xmm0, %%rax\n movq %%rax, %%xmm0"),                                    \
             MODEL(to_int<B>(sse, a, 64, env))},                                                           \
      SseRow{"cvtt" #S "2si32",                                                                            \
             {W, 0, 0},                                                                                    \
             32,                                                                                           \
             SSE_OP("cvtt" #S "2si %%xmm0, %%eax\n movd %%eax, %%xmm0"),                                   \
             MODEL(truncate<B>(sse, a, 32, env))},                                                         \
      SseRow{"cvtt" #S "2si64",                                                                            \
             {W, 0, 0},                                                                                    \
             64,                                                                                           \
             SSE_OP("cvtt" #S "2si %%xmm0, %%rax\n movq %%rax, %%xmm0"),                                   \
             MODEL(truncate<B>(sse, a, 64, env))},                                                         \
      SseRow{"cvtsi32_2" #S,                                                                               \
             {32, 0, 0},                                                                                   \
             W,                                                                                            \
             SSE_OP("movd %%xmm0, %%eax\n cvtsi2" #S " %%eax, %%xmm0"),                                    \
             MODEL(FFromIntS<B>(int32_t(a), 0, env))},                                                     \
      SseRow{"cvtsi64_2" #S,                                                                               \
             {64, 0, 0},                                                                                   \
             W,                                                                                            \
             SSE_OP("movq %%xmm0, %%rax\n cvtsi2" #S " %%rax, %%xmm0"),                                    \
             MODEL(FFromIntS<B>(int64_t(a), 0, env))},                                                     \
      SseRow{"round" #S,                                                                                   \
             {W, 0, 0},                                                                                    \
             W,                                                                                            \
             SSE_OP("round" #S " $4, %%xmm0, %%xmm0"),                                                     \
             MODEL(round_int<B>(sse, a, env)),                                                             \
             "sse4.1"},                                                                                    \
      SseRow{"vfmadd" #S,                                                                                  \
             {W, W, W},                                                                                    \
             W,                                                                                            \
             SSE_OP("vfmadd213" #S " %%xmm2, %%xmm1, %%xmm0"),                                             \
             MODEL(FMulAdd<B>(b, a, c, env)),                                                              \
             "fma"}

uint64_t lahf(uint8_t order) {
  constexpr uint8_t kFlags[] = {0x42, 0x03, 0x02, 0x47};
  return kFlags[order];
}

const SseRow kSseRows[] = {
    SSE_ROWS(ss, 32, uint32_t),
    SSE_ROWS(sd, 64, uint64_t),
    SseRow{"cvtss2sd",
           {32, 0, 0},
           64,
           SSE_OP("cvtss2sd %%xmm0, %%xmm0"),
           MODEL((FConvert<uint64_t, uint32_t>(a, env)))},
    SseRow{"cvtsd2ss",
           {64, 0, 0},
           32,
           SSE_OP("cvtsd2ss %%xmm0, %%xmm0"),
           MODEL((FConvert<uint32_t, uint64_t>(a, env)))},
};

bool host_has(const char* feature) {
  if (!feature) return true;
  if (std::strcmp(feature, "fma") == 0) return __builtin_cpu_supports("fma");
  if (std::strcmp(feature, "f16c") == 0) return __builtin_cpu_supports("f16c");
  return __builtin_cpu_supports("sse4.1");
}

class FpHost : public testing::TestWithParam<size_t> {};

TEST_P(FpHost, SseAgrees) {
  const SseRow& row = kSseRows[GetParam()];
  if (!host_has(row.needs)) GTEST_SKIP() << "the host has no " << row.needs;
  const uint64_t mask = row.result_width == 64 ? ~uint64_t{0} : (uint64_t{1} << row.result_width) - 1;
  unsigned wrong = 0, total = 0;
  const auto check = [&](uint32_t bits, uint64_t a, uint64_t b, uint64_t c) {
    const Sse sse{bits};
    const Outcome host = row.host(kDefaultMxcsr | bits, a, b, c);
    FpEnv env;
    const uint64_t got = row.model(sse, a, b, c, env);
    ++total;
    if ((got & mask) == (host.result & mask) && x86_flags(env.flags) == host.flags) return;
    if (++wrong > 6) return;
    ADD_FAILURE() << std::hex << row.name << " mxcsr " << bits << " a " << a << " b " << b << " c " << c
                  << ": " << (got & mask) << " flags " << x86_flags(env.flags) << ", host "
                  << (host.result & mask) << " flags " << host.flags;
  };
  const std::vector<uint64_t> none{0};
  const auto corners = [&](unsigned i) { return row.widths[i] ? test::fp_corners(row.widths[i]) : none; };
  Random random(GetParam() + 1);
  const auto pick = [&](unsigned width) { return width ? test::fp_random(random, width) : 0; };
  for (uint32_t i = 0; i < 16; ++i) {
    const uint32_t bits = (i & 3) << 13 | (i & 4 ? kDaz : 0) | (i & 8 ? kFtz : 0);
    size_t skip = 0;
    for (uint64_t a : corners(0)) {
      for (uint64_t b : corners(1)) {
        for (uint64_t c : corners(2)) {
          if (row.widths[2] && ++skip % 31 != i) continue;
          check(bits, a, b, c);
        }
      }
    }
    for (int n = 0; n < 8000; ++n) {
      const uint64_t a = n % 8 == 0 ? random.next() >> random.below(64) : pick(row.widths[0]);
      check(bits, a, pick(row.widths[1]), pick(row.widths[2]));
    }
  }
  EXPECT_EQ(wrong, 0u) << row.name << " of " << total;
}

INSTANTIATE_TEST_SUITE_P(Rows, FpHost, testing::Range<size_t>(0, std::size(kSseRows)),
                         [](const auto& info) { return std::string(kSseRows[info.param].name); });

// --- F16C: MXCSR.FTZ is ignored, DAZ only counts for F32 operands

TEST(FpHostHalf, WideningAgreesForEveryHalf) {
  if (!host_has("f16c")) GTEST_SKIP() << "the host has no f16c";
  const auto widen = SSE_OP("vcvtph2ps %%xmm0, %%xmm0");
  for (uint32_t h = 0; h < 0x10000; ++h) {
    FpEnv env{Sse{0}.without_denormal_report()};
    const uint32_t got = FConvert<uint32_t, uint16_t>(static_cast<uint16_t>(h), env);
    const Outcome host = widen(kDefaultMxcsr, h, 0, 0);
    ASSERT_EQ(got, static_cast<uint32_t>(host.result)) << std::hex << h;
    ASSERT_EQ(x86_flags(env.flags), host.flags) << std::hex << h;
  }
}

TEST(FpHostHalf, NarrowingAgrees) {
  if (!host_has("f16c")) GTEST_SKIP() << "the host has no f16c";
  const auto narrow = SSE_OP("vcvtps2ph $4, %%xmm0, %%xmm0");
  Random random(3);
  const auto check = [&](uint32_t bits, uint32_t a) {
    FpEnv env{Sse{bits}.mode()};
    const uint16_t got = FConvert<uint16_t, uint32_t>(a, env);
    const Outcome host = narrow(kDefaultMxcsr | bits, a, 0, 0);
    ASSERT_EQ(got, static_cast<uint16_t>(host.result)) << std::hex << a << " " << bits;
    ASSERT_EQ(x86_flags(env.flags), host.flags) << std::hex << a << " " << bits;
  };
  for (uint32_t i = 0; i < 8; ++i) {
    const uint32_t bits = (i & 3) << 13 | (i & 4 ? kDaz : 0);
    for (uint64_t a : test::fp_corners(32)) check(bits, static_cast<uint32_t>(a));
    for (int n = 0; n < 100000; ++n) {
      const auto fraction = static_cast<uint32_t>(test::fp_random_fraction(random, 23));
      const auto biased = static_cast<uint32_t>(127 - 28 + random.below(28 + 20));
      check(bits, static_cast<uint32_t>(random.next() & 1) << 31 | biased << 23 | fraction);
    }
  }
}

// --- x87

struct X87Outcome {
  Float80 result;
  uint64_t integer;
  uint32_t flags;
};

/// RC in bits 1:0; in bits 3:2 PC as f80::Precision.
FpMode x87_mode(uint32_t round) {
  return {.round = kX86Rounds[round & 3],
          .nan_rule = NanRule::LargerSignificand,
          .default_nan_negative = true,
          .tiny_before_rounding = false,
          .denormal_report = DenormalReport::WhenUsed};
}

struct alignas(16) Bytes80 {
  unsigned char bytes[16] = {};
};
Bytes80 to_bytes(Float80 v) {
  Bytes80 b;
  std::memcpy(b.bytes, &v.significand, 8);
  std::memcpy(b.bytes + 8, &v.sign_exponent, 2);
  return b;
}
Float80 from_bytes(const Bytes80& b) {
  Float80 v;
  std::memcpy(&v.significand, b.bytes, 8);
  std::memcpy(&v.sign_exponent, b.bytes + 8, 2);
  return v;
}

/// st0 = a, st1 = b before; st0 is the result after. `i` is an integer in memory.
#define X87_OP(text)                                                                                  \
  [](uint32_t round, Float80 a, Float80 b, uint64_t integer) -> X87Outcome {                          \
    const Bytes80 in_a = to_bytes(a), in_b = to_bytes(b);                                             \
    Bytes80 out;                                                                                      \
    const uint16_t control = static_cast<uint16_t>((0x037f | (round & 3) << 10) ^ (round >> 2) << 8); \
    uint16_t status;                                                                                  \
    asm volatile("fninit\n fldcw %[cw]\n fldt %[b]\n fldt %[a]\n fnclex\n " text                      \
                 "\n fnstsw %[status]\n fstpt %[out]\n fninit"                                        \
                 : [out] "=m"(out), [status] "=m"(status), [i] "+m"(integer)                          \
                 : [a] "m"(in_a), [b] "m"(in_b), [cw] "m"(control)                                    \
                 : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "rax", "cc",  \
                   "memory");                                                                         \
    return {from_bytes(out), integer, status & 0x23fu};                                               \
  }

std::vector<Float80> f80_corners() {
  std::vector<Float80> all;
  const uint64_t kInt = uint64_t{1} << 63;
  for (uint16_t exponent : {0, 1, 2, 0x3f80, 0x3ffd, 0x3ffe, 0x3fff, 0x4000, 0x401e, 0x403d, 0x403e, 0x403f,
                            0x5fff, 0x7ffd, 0x7ffe, 0x7fff}) {
    for (uint64_t fraction : {uint64_t{0}, uint64_t{1}, kInt >> 1, kInt - 1}) {
      for (uint16_t sign : {0, 0x8000}) {
        all.push_back({kInt | fraction, static_cast<uint16_t>(exponent | sign)});
        if (exponent == 0 || exponent == 0x4000 || exponent == 0x7fff) {
          all.push_back({fraction, static_cast<uint16_t>(exponent | sign)});
        }
      }
    }
  }
  return all;
}

Float80 f80_random(Random& random) {
  Float80 v{test::fp_random_fraction(random, 63) | uint64_t{1} << 63, 0};
  switch (random.below(6)) {
    case 0:
      v.sign_exponent = static_cast<uint16_t>(random.below(3));
      break;
    case 1:
      v.sign_exponent = static_cast<uint16_t>(0x7fff - random.below(3));
      break;
    case 2:
      v.sign_exponent = static_cast<uint16_t>(random.below(0x7fff));
      break;
    default:
      v.sign_exponent = static_cast<uint16_t>(0x3fff - 68 + random.below(136));
      break;
  }
  if (v.sign_exponent == 0) v.significand &= ~(uint64_t{1} << 63);
  v.sign_exponent |= static_cast<uint16_t>(random.next() & 0x8000);
  return v;
}

struct X87Row {
  const char* name;
  unsigned operands;
  X87Outcome (*host)(uint32_t round, Float80 a, Float80 b, uint64_t integer);
  void (*model)(Float80 a, Float80 b, uint64_t in, FpEnv& env, Float80& result, uint64_t& integer);
};
#define X87_MODEL(statement)                                                                           \
  []([[maybe_unused]] Float80 a, [[maybe_unused]] Float80 b, [[maybe_unused]] uint64_t in, FpEnv& env, \
     [[maybe_unused]] Float80& result, [[maybe_unused]] uint64_t& integer) { statement; }

/// fcomi's ZF PF CF, from lahf.
uint64_t comi_flags(uint8_t order) {
  constexpr uint8_t kFlags[] = {0x40, 0x01, 0x00, 0x45};
  return kFlags[order];
}
/// A memory operand of arithmetic, the second one.
Float80 widened32(uint64_t in, FpEnv& env) {
  FpEnv raw{env.mode, 0, kFpRaw};
  env.extra |= f80::kFromF32 << f80::kOriginBShift;
  return FConvert<Float80>(static_cast<uint32_t>(in), raw);
}
Float80 widened64(uint64_t in, FpEnv& env) {
  FpEnv raw{env.mode, 0, kFpRaw};
  env.extra |= f80::kFromF64 << f80::kOriginBShift;
  return FConvert<Float80>(in, raw);
}
uint64_t x87_to_int(Float80 a, unsigned bits, FpEnv& env) {
  env.mode.denormal_report = DenormalReport::Never;
  return FToIntS<Float80>(a, bits, kFpIndefinite, env);
}

const X87Row kX87Rows[] = {
    {"fadd", 2, X87_OP("fadd %%st(1), %%st"), X87_MODEL(result = FAdd(a, b, env))},
    {"fsub", 2, X87_OP("fsub %%st(1), %%st"), X87_MODEL(result = FSub(a, b, env))},
    {"fmul", 2, X87_OP("fmul %%st(1), %%st"), X87_MODEL(result = FMul(a, b, env))},
    {"fdiv", 2, X87_OP("fdiv %%st(1), %%st"), X87_MODEL(result = FDiv(a, b, env))},
    {"fadd_m32", 1, X87_OP("fadds %[i]"), X87_MODEL(result = FAdd(a, widened32(in, env), env))},
    {"fsub_m64", 1, X87_OP("fsubl %[i]"), X87_MODEL(result = FSub(a, widened64(in, env), env))},
    {"fmul_m32", 1, X87_OP("fmuls %[i]"), X87_MODEL(result = FMul(a, widened32(in, env), env))},
    {"fdiv_m64", 1, X87_OP("fdivl %[i]"), X87_MODEL(result = FDiv(a, widened64(in, env), env))},
    {"fcom_m64", 1,
     X87_OP("fcoml %[i]\n fnstsw %%ax\n andl $0x4500, %%eax\n shrl $8, %%eax\n movq $0, %[i]\n movb %%al, "
            "%[i]"),
     X87_MODEL(integer = comi_flags(FCompare(a, widened64(in, env), env, true)); result = a)},
    {"fsqrt", 1, X87_OP("fsqrt"), X87_MODEL(result = FSqrt(a, env))},
    {"frndint", 1, X87_OP("frndint"), X87_MODEL(result = FRoundInt(a, env, 0))},
    {"fcomi", 2,
     X87_OP("fcomi %%st(1), %%st\n lahf\n andl $0x4500, %%eax\n shrl $8, %%eax\n movq $0, %[i]\n movb %%al, "
            "%[i]"),
     X87_MODEL(integer = comi_flags(FCompare(a, b, env, true)); result = a)},
    {"fucomi", 2,
     X87_OP("fucomi %%st(1), %%st\n lahf\n andl $0x4500, %%eax\n shrl $8, %%eax\n movq $0, %[i]\n movb %%al, "
            "%[i]"),
     X87_MODEL(integer = comi_flags(FCompare(a, b, env, false)); result = a)},
    {"fist32", 1, X87_OP("movq $0, %[i]\n fistl %[i]"),
     X87_MODEL(integer = x87_to_int(a, 32, env); result = a)},
    {"fistp64", 1, X87_OP("fistpll %[i]"), X87_MODEL(integer = x87_to_int(a, 64, env); result = b)},
    {"fild64", 0, X87_OP("fildll %[i]"),
     X87_MODEL(env.extra = 0; result = FFromIntS<Float80>(int64_t(in), 0, env))},
    {"fst32", 1, X87_OP("movq $0, %[i]\n fsts %[i]"),
     X87_MODEL(env.mode.denormal_report = DenormalReport::Never;
               integer = (FConvert<uint32_t, Float80>(a, env)); result = a)},
    {"fst64", 1, X87_OP("fstl %[i]"),
     X87_MODEL(env.mode.denormal_report = DenormalReport::Never;
               integer = (FConvert<uint64_t, Float80>(a, env)); result = a)},
    {"fld32", 0, X87_OP("flds %[i]"),
     X87_MODEL(env.extra = 0; result = (FConvert<Float80, uint32_t>(uint32_t(in), env)))},
    {"fld64", 0, X87_OP("fldl %[i]"),
     X87_MODEL(env.extra = 0; result = (FConvert<Float80, uint64_t>(in, env)))},
};

class FpHost87 : public testing::TestWithParam<size_t> {};

TEST_P(FpHost87, Agrees) {
  const X87Row& row = kX87Rows[GetParam()];
  unsigned wrong = 0, total = 0;
  const auto check = [&](uint32_t round, Float80 a, Float80 b, uint64_t integer) {
    const X87Outcome host = row.host(round, a, b, integer);
    FpEnv env{x87_mode(round), 0, round >> 2, true};
    Float80 result;
    uint64_t got_integer = integer;
    row.model(a, b, integer, env, result, got_integer);
    ++total;
    const uint32_t got_flags = x86_flags(env.flags) | (env.flags & kFpRoundedUp ? 0x200u : 0);
    if (result == host.result && got_integer == host.integer && got_flags == host.flags) return;
    if (++wrong > 6) return;
    ADD_FAILURE() << std::hex << row.name << " round " << round << " a " << a.sign_exponent << ":"
                  << a.significand << " b " << b.sign_exponent << ":" << b.significand << " i " << integer
                  << ": " << result.sign_exponent << ":" << result.significand << " " << got_integer
                  << " flags " << got_flags << ", host " << host.result.sign_exponent << ":"
                  << host.result.significand << " " << host.integer << " flags " << host.flags;
  };
  const Float80 one{uint64_t{1} << 63, 0x3fff};
  Random random(GetParam() + 77);
  for (uint32_t round = 0; round < 16; ++round) {
    if (row.operands < 2) {
      for (Float80 a : row.operands == 0 ? std::vector{one} : f80_corners()) {
        for (uint64_t i : test::fp_corners(32)) check(round, a, one, i);
        for (uint64_t i : test::fp_corners(64)) check(round, a, one, i);
      }
    }
    for (Float80 a : f80_corners()) {
      for (Float80 b : row.operands == 2 ? f80_corners() : std::vector{one}) check(round, a, b, 0);
    }
    for (int n = 0; n < 10000; ++n) {
      const uint64_t integer = random.next() >> random.below(64);
      check(round, f80_random(random), f80_random(random), integer);
    }
  }
  EXPECT_EQ(wrong, 0u) << row.name << " of " << total;
}

INSTANTIATE_TEST_SUITE_P(Rows, FpHost87, testing::Range<size_t>(0, std::size(kX87Rows)),
                         [](const auto& info) { return std::string(kX87Rows[info.param].name); });

}  // namespace
}  // namespace lyrebird::ir::eval

#endif  // __x86_64__
