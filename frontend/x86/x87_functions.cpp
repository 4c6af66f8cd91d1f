// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/x87_functions.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "ir/fp_soft.h"

namespace lyrebird::x86 {

namespace soft = ir::eval::soft;
using ir::Round;
using ir::eval::Float80;
using ir::eval::FpEnv;
using soft::Format80;
using soft::Unpacked;

Float80 x87_constant(unsigned which, Round round) {
  // The significand cut off, and whether rounding to nearest goes up.
  struct Entry {
    uint16_t exponent;
    uint64_t significand;
    bool nearest_up, exact;
  };
  constexpr Entry kConstants[] = {
      {0x3fff, 0x8000000000000000, false, true},
      {0x4000, 0xd49a784bcd1b8afe, false, false},
      {0x3fff, 0xb8aa3b295c17f0bb, true, false},
      {0x4000, 0xc90fdaa22168c234, true, false},
      {0x3ffd, 0x9a209a84fbcff798, true, false},
      {0x3ffe, 0xb17217f7d1cf79ab, true, false},
      {0, 0, false, true},
  };
  const Entry& c = kConstants[which];
  const bool up =
      !c.exact && (round == Round::TowardPositive || (round == Round::NearestEven && c.nearest_up));
  return {c.significand + up, c.exponent};
}

unsigned x87_class(uint64_t significand, uint16_t sign_exponent) {
  const unsigned exponent = sign_exponent & 0x7fff;
  if (exponent == 0) return significand == 0 ? 4 : 6;
  if (!(significand >> 63)) return 0;
  if (exponent != 0x7fff) return 2;
  return significand << 1 == 0 ? 3 : 1;
}

int x87_partial_steps(int distance) { return 32 + (distance & 31); }

namespace {

bool is_angle(X87Op op) {
  return op == X87Op::Tan || op == X87Op::Sin || op == X87Op::Cos || op == X87Op::SinCos;
}

long double to_host(Float80 v) {
  FpEnv quiet{};
  const Unpacked a = soft::unpack<Format80>(v, quiet);
  long double r = 0;
  if (a.is_inf()) r = std::numeric_limits<long double>::infinity();
  if (a.kind == soft::Kind::Finite) r = std::ldexp(static_cast<long double>(a.sig), a.exp - 63);
  return a.sign ? -r : r;
}

Float80 from_host(long double v, uint32_t& flags) {
  const bool sign = std::signbit(v);
  if (v == 0) return soft::zero<Format80>(sign);
  if (std::isinf(v)) return soft::infinity<Format80>(sign);
  int exp;
  const long double fraction = std::frexp(std::fabs(v), &exp);
  const long double scaled = std::ldexp(fraction, 64);
  FpEnv env{.mode = {.tiny_before_rounding = false}};
  const Float80 r = soft::round_pack<Format80>(sign, exp - 1, u128{static_cast<uint64_t>(scaled)} << 64, env);
  flags |= env.flags;
  return r;
}

}  // namespace

X87FunctionResult x87_function_soft(X87Op op, Float80 st0, Float80 st1) {
  FpEnv env{.mode = {.nan_rule = ir::NanRule::LargerSignificand,
                     .default_nan_negative = true,
                     .tiny_before_rounding = false,
                     .denormal_report = ir::DenormalReport::WhenUsed}};
  const bool two = op == X87Op::Yl2x || op == X87Op::Yl2xp1 || op == X87Op::Atan;
  const bool angle = is_angle(op);
  const Unpacked x = soft::unpack<Format80>(st0, env), y = soft::unpack<Format80>(st1, env);
  X87FunctionResult r;
  const auto done = [&](Float80 value) {
    r.value = r.pushed = value;
    r.flags = env.flags;
    return r;
  };
  if (two && (x.is_not_number() || y.is_not_number())) return done(soft::nan_result<Format80>(x, y, env));
  if (!two && x.is_not_number()) return done(soft::nan_result<Format80>(x, env));
  if (angle && x.is_inf()) return done(soft::invalid<Format80>(env));
  if (angle && x.exp >= 63 && !x.is_zero()) {
    r.incomplete = true;
    return r;
  }
  const long double a = to_host(st0), b = to_host(st1);
  switch (op) {
    case X87Op::F2xm1:
      if (x.is_zero()) return done(st0);
      break;
    case X87Op::Yl2x:
      if (x.sign && !x.is_zero()) return done(soft::invalid<Format80>(env));
      if ((x.is_zero() && y.is_zero()) || (x.is_inf() && y.is_zero()) || (a == 1 && y.is_inf()))
        return done(soft::invalid<Format80>(env));
      if (x.is_zero() && !y.is_inf()) {
        soft::raise(env, ir::kFpDivideByZero);
        return done(soft::infinity<Format80>(!y.sign));
      }
      break;
    case X87Op::Yl2xp1:
      if ((x.is_zero() && y.is_inf()) || (x.is_inf() && (x.sign || y.is_zero())))
        return done(soft::invalid<Format80>(env));
      break;
    default:
      break;
  }
  soft::note_denormal(x.denormal || (two && y.denormal), env);
  uint32_t flags = 0;
  bool exact = false;
  switch (op) {
    case X87Op::F2xm1:
      r.value = from_host(std::expm1(a * std::log(2.0L)), flags);
      break;
    case X87Op::Yl2x:
      r.value = from_host(b * std::log2(a), flags);
      exact = a == 1 || x.is_zero() || x.is_inf() || y.is_zero() || y.is_inf();
      break;
    case X87Op::Yl2xp1:
      r.value = from_host(b * (std::log1p(a) / std::log(2.0L)), flags);
      exact = x.is_zero() || x.is_inf() || y.is_zero() || y.is_inf();
      break;
    case X87Op::Atan:
      r.value = from_host(std::atan2(b, a), flags);
      exact = y.is_zero() && !x.sign;
      break;
    case X87Op::Tan:
      r.value = from_host(std::tan(a), flags);
      r.pushed = x87_constant(0, Round::NearestEven);
      exact = x.is_zero();
      break;
    case X87Op::Sin:
      r.value = from_host(std::sin(a), flags);
      exact = x.is_zero();
      break;
    case X87Op::Cos:
      r.value = from_host(std::cos(a), flags);
      exact = x.is_zero();
      break;
    default:  // SinCos
      r.value = from_host(std::sin(a), flags);
      r.pushed = from_host(std::cos(a), flags);
      exact = x.is_zero();
      break;
  }
  r.flags = env.flags | flags | (exact ? 0u : uint32_t{ir::kFpInexact});
  return r;
}

#if defined(__x86_64__)

namespace {

/// FNSAVE's image in 64-bit mode.
struct [[gnu::packed]] Image {
  uint32_t control, status, tags, ip, cs, dp, ds;
  uint8_t st[8][10];
};
static_assert(sizeof(Image) == 108);

struct Bytes {
  uint8_t b[16];
};

Bytes bytes_of(Float80 v) {
  Bytes r{};
  std::memcpy(r.b, &v.significand, 8);
  std::memcpy(r.b + 8, &v.sign_exponent, 2);
  return r;
}

Float80 value_of(const uint8_t* bytes) {
  Float80 v;
  std::memcpy(&v.significand, bytes, 8);
  std::memcpy(&v.sign_exponent, bytes + 8, 2);
  return v;
}

void note_status(X87Op op, uint32_t status, X87FunctionResult& r) {
  r.flags = ir::flags_of_x87(status & 0x3f) | (status & 0x200 ? uint32_t{ir::kFpRoundedUp} : 0);
  r.incomplete = is_angle(op) && (status & 0x400) != 0;
}

/// Each function by what it does to the stack: replaces ST0, pops, or pushes.
#define LYREBIRD_X87_FUNCTION(replaces, pops, pushes) \
  switch (op) {                                       \
    case X87Op::F2xm1:                                \
      replaces("f2xm1");                              \
      break;                                          \
    case X87Op::Yl2x:                                 \
      pops("fyl2x");                                  \
      break;                                          \
    case X87Op::Yl2xp1:                               \
      pops("fyl2xp1");                                \
      break;                                          \
    case X87Op::Tan:                                  \
      pushes("fptan");                                \
      break;                                          \
    case X87Op::Atan:                                 \
      pops("fpatan");                                 \
      break;                                          \
    case X87Op::Sin:                                  \
      replaces("fsin");                               \
      break;                                          \
    case X87Op::Cos:                                  \
      replaces("fcos");                               \
      break;                                          \
    default:                                          \
      pushes("fsincos");                              \
      break;                                          \
  }
#define LYREBIRD_X87_STACK "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"

/// An exception that is not masked would trap at the next waiting instruction: there is none here.
X87FunctionResult function_unmasked(X87Op op, Float80 st0, Float80 st1, uint16_t control) {
  const Bytes a = bytes_of(st0), b = bytes_of(st1);
  Image image;
#define RUN(text)                                                                          \
  asm volatile("fninit\n fldt %[b]\n fldt %[a]\n fldcw %[cw]\n " text "\n fnsave %[image]" \
               : [image] "=m"(image)                                                       \
               : [a] "m"(a), [b] "m"(b), [cw] "m"(control)                                 \
               : LYREBIRD_X87_STACK)
  LYREBIRD_X87_FUNCTION(RUN, RUN, RUN)
#undef RUN
  X87FunctionResult r;
  note_status(op, image.status, r);
  const bool pushed = (image.status >> 11 & 7) == 5;  // TOP was 6
  r.value = value_of(image.st[pushed ? 1 : 0]);
  r.pushed = value_of(image.st[0]);
  return r;
}

}  // namespace

X87FunctionResult x87_function(X87Op op, Float80 st0, Float80 st1, uint16_t control) {
  if ((control & 0x3f) != 0x3f) return function_unmasked(op, st0, st1, control);
  constexpr uint16_t kUsual = 0x37f;
  const Bytes a = bytes_of(st0), b = bytes_of(st1);
  Bytes value, pushed{};
  uint16_t status;
  // FNINIT and FNSAVE would spare FNCLEX and the control words, but take longer than all of these.
#define RUN(load, text, store)                                                                   \
  asm volatile("fnclex\n fldcw %[cw]\n " load "fldt %[a]\n " text "\n fnstsw %[status]\n " store \
               "fstpt %[value]\n fldcw %[usual]"                                                 \
               : [value] "=m"(value), [pushed] "+m"(pushed), [status] "=m"(status)               \
               : [a] "m"(a), [b] "m"(b), [cw] "m"(control), [usual] "m"(kUsual)                  \
               : LYREBIRD_X87_STACK, "cc")
#define REPLACES(text) RUN("", text, "")
#define POPS(text) RUN("fldt %[b]\n ", text, "")
  // Nothing was pushed if C2 is set: the operand is too large.
#define PUSHES(text) RUN("", text, "testb $4, 1+%[status]\n jnz 1f\n fstpt %[pushed]\n 1: ")
  LYREBIRD_X87_FUNCTION(REPLACES, POPS, PUSHES)
#undef PUSHES
#undef POPS
#undef REPLACES
#undef RUN
  X87FunctionResult r;
  note_status(op, status, r);
  r.value = value_of(value.b);
  r.pushed = value_of(pushed.b);
  return r;
}

#else

X87FunctionResult x87_function(X87Op op, Float80 st0, Float80 st1, uint16_t) {
  return x87_function_soft(op, st0, st1);
}

#endif

}  // namespace lyrebird::x86
