// SPDX-License-Identifier: Apache-2.0
#include "ir/f80_functions.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "ir/cpu_header.h"
#include "ir/fp_soft.h"

namespace lyrebird::ir::eval {

using soft::Format80;
using soft::Unpacked;

namespace {

constexpr Float80 kOne{uint64_t{1} << 63, 0x3fff};

bool is_angle(F80Function f) {
  return f == F80Function::Tan || f == F80Function::Sin || f == F80Function::Cos || f == F80Function::SinCos;
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

F80FunctionResult f80_function_soft(F80Function f, Float80 st0, Float80 st1) {
  FpEnv env{.mode = {.nan_rule = NanRule::LargerSignificand,
                     .default_nan_negative = true,
                     .tiny_before_rounding = false,
                     .denormal_report = DenormalReport::WhenUsed}};
  const bool two = f == F80Function::Log2 || f == F80Function::Log2Plus1 || f == F80Function::Angle;
  const bool angle = is_angle(f);
  const Unpacked x = soft::unpack<Format80>(st0, env), y = soft::unpack<Format80>(st1, env);
  F80FunctionResult r;
  const auto done = [&](Float80 value) {
    r.value = r.second = value;
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
  switch (f) {
    case F80Function::Exp2Minus1:
      if (x.is_zero()) return done(st0);
      break;
    case F80Function::Log2:
      if (x.sign && !x.is_zero()) return done(soft::invalid<Format80>(env));
      if ((x.is_zero() && y.is_zero()) || (x.is_inf() && y.is_zero()) || (a == 1 && y.is_inf()))
        return done(soft::invalid<Format80>(env));
      if (x.is_zero() && !y.is_inf()) {
        soft::raise(env, kFpDivideByZero);
        return done(soft::infinity<Format80>(!y.sign));
      }
      break;
    case F80Function::Log2Plus1:
      if ((x.is_zero() && y.is_inf()) || (x.is_inf() && (x.sign || y.is_zero())))
        return done(soft::invalid<Format80>(env));
      break;
    default:
      break;
  }
  soft::note_denormal(x.denormal || (two && y.denormal), env);
  uint32_t flags = 0;
  bool exact = false;
  switch (f) {
    case F80Function::Exp2Minus1:
      r.value = from_host(std::expm1(a * std::log(2.0L)), flags);
      break;
    case F80Function::Log2:
      r.value = from_host(b * std::log2(a), flags);
      exact = a == 1 || x.is_zero() || x.is_inf() || y.is_zero() || y.is_inf();
      break;
    case F80Function::Log2Plus1:
      r.value = from_host(b * (std::log1p(a) / std::log(2.0L)), flags);
      exact = x.is_zero() || x.is_inf() || y.is_zero() || y.is_inf();
      break;
    case F80Function::Angle:
      r.value = from_host(std::atan2(b, a), flags);
      exact = y.is_zero() && !x.sign;
      break;
    case F80Function::Tan:
      r.value = from_host(std::tan(a), flags);
      r.second = kOne;
      exact = x.is_zero();
      break;
    case F80Function::Sin:
      r.value = from_host(std::sin(a), flags);
      exact = x.is_zero();
      break;
    case F80Function::Cos:
      r.value = from_host(std::cos(a), flags);
      exact = x.is_zero();
      break;
    default:  // SinCos
      r.value = from_host(std::sin(a), flags);
      r.second = from_host(std::cos(a), flags);
      exact = x.is_zero();
      break;
  }
  r.flags = env.flags | flags | (exact ? 0u : uint32_t{kFpInexact});
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

void note_status(F80Function f, uint32_t status, F80FunctionResult& r) {
  r.flags = flags_of_x87(status & 0x3f) | (status & 0x200 ? uint32_t{kFpRoundedUp} : 0);
  r.incomplete = is_angle(f) && (status & 0x400) != 0;
}

/// Each function by what it does to the stack: replaces ST0, pops, or pushes.
#define LYREBIRD_X87_FUNCTION(replaces, pops, pushes) \
  switch (f) {                                        \
    case F80Function::Exp2Minus1:                     \
      replaces("f2xm1");                              \
      break;                                          \
    case F80Function::Log2:                           \
      pops("fyl2x");                                  \
      break;                                          \
    case F80Function::Log2Plus1:                      \
      pops("fyl2xp1");                                \
      break;                                          \
    case F80Function::Tan:                            \
      pushes("fptan");                                \
      break;                                          \
    case F80Function::Angle:                          \
      pops("fpatan");                                 \
      break;                                          \
    case F80Function::Sin:                            \
      replaces("fsin");                               \
      break;                                          \
    case F80Function::Cos:                            \
      replaces("fcos");                               \
      break;                                          \
    default:                                          \
      pushes("fsincos");                              \
      break;                                          \
  }
#define LYREBIRD_X87_STACK "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"

/// An exception that is not masked would trap at the next waiting instruction: there is none here.
F80FunctionResult function_unmasked(F80Function f, Float80 st0, Float80 st1, uint16_t control) {
  const Bytes a = bytes_of(st0), b = bytes_of(st1);
  Image image;
#define RUN(text)                                                                          \
  asm volatile("fninit\n fldt %[b]\n fldt %[a]\n fldcw %[cw]\n " text "\n fnsave %[image]" \
               : [image] "=m"(image)                                                       \
               : [a] "m"(a), [b] "m"(b), [cw] "m"(control)                                 \
               : LYREBIRD_X87_STACK)
  LYREBIRD_X87_FUNCTION(RUN, RUN, RUN)
#undef RUN
  F80FunctionResult r;
  note_status(f, image.status, r);
  const bool pushed = (image.status >> 11 & 7) == 5;  // TOP was 6
  r.value = value_of(image.st[pushed ? 1 : 0]);
  r.second = value_of(image.st[0]);
  return r;
}

}  // namespace

F80FunctionResult f80_function(F80Function f, Float80 st0, Float80 st1, uint16_t control) {
  if ((control & 0x3f) != 0x3f) return function_unmasked(f, st0, st1, control);
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
  F80FunctionResult r;
  note_status(f, status, r);
  r.value = value_of(value.b);
  r.second = value_of(pushed.b);
  return r;
}

#else

F80FunctionResult f80_function(F80Function f, Float80 st0, Float80 st1, uint16_t) {
  return f80_function_soft(f, st0, st1);
}

#endif

namespace {

Float80 scaled(Float80 a, Float80 by, FpEnv& env) {
  const Unpacked x = soft::unpack<Format80>(a, env), n = soft::unpack<Format80>(by, env);
  if (x.is_not_number() || n.is_not_number()) return soft::nan_result<Format80>(x, n, env);
  if (n.is_inf()) {
    if (n.sign ? x.is_inf() : x.is_zero()) return soft::invalid<Format80>(env);
    soft::note_denormal(x.denormal, env);
    return n.sign ? soft::zero<Format80>(x.sign) : soft::infinity<Format80>(x.sign);
  }
  soft::note_denormal(x.denormal || n.denormal, env);
  if (x.is_inf() || x.is_zero()) return a;
  constexpr int kMost = 0x10000;
  int count = 0;
  if (!n.is_zero() && n.exp >= 0) count = n.exp > 16 ? kMost : static_cast<int>(n.sig >> (63 - n.exp));
  if (n.sign) count = -count;
  return soft::round_pack<Format80>(x.sign, x.exp + count, u128{x.sig} << 64, env);
}

/// RC of a control word; a unit for F80 has no other modes.
unsigned rounding_control(Round round) {
  switch (round) {
    case Round::TowardNegative:
      return 1;
    case Round::TowardPositive:
      return 2;
    case Round::TowardZero:
      return 3;
    default:
      return 0;
  }
}

}  // namespace

Float80 FFunction(F80Function f, Float80 a, Float80 b, FpEnv& env) {
  if (f == F80Function::Scale) return scaled(a, b, env);
  const F80FunctionResult r =
      f80_function(f, a, b, static_cast<uint16_t>(0x37f | rounding_control(env.mode.round) << 10));
  if (!env.mode.no_flags) env.flags |= r.flags & (env.notes_rounding ? ~0u : ~uint32_t{kFpRoundedUp});
  return r.value;
}

}  // namespace lyrebird::ir::eval
