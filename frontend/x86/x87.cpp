// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/x87.h"

#include <algorithm>
#include <cstring>

#include "frontend/x86/x86_mode.h"
#include "frontend/x86/x87_functions.h"
#include "ir/f80_functions.h"
#include "ir/fp_soft.h"

namespace lyrebird::x86 {
namespace {

namespace soft = ir::eval::soft;
using ir::FpMode;
using ir::eval::Float80;
using ir::eval::FpEnv;
using soft::Format80;
using soft::Kind;
using soft::Unpacked;
using namespace ir;

constexpr Float80 kIndefinite{uint64_t{3} << 62, 0xffff};
constexpr Float80 kZero{};
constexpr uint32_t kBefore = kFpInvalid | kFpDenormal | kFpDivideByZero;

FpMode mode_of(const X86State& state, DenormalReport report) {
  return {.round = x87_round(state.header.mode),
          .nan_rule = NanRule::LargerSignificand,
          .default_nan_negative = true,
          .tiny_before_rounding = false,
          .denormal_report = report};
}

/// One instruction.
class Unit {
 public:
  Unit(X86State& state, X87Insn insn, uint64_t low, uint64_t high)
      : s_(state), insn_(insn), low_(low), high_(high) {
    env_.mode = mode_of(state, DenormalReport::WhenUsed);
    env_.notes_rounding = true;
    env_.unmasked = ~flags_of_x87(state.x87_control) & 63;
  }

  uint64_t run();

 private:
  // --- the stack
  unsigned top() const { return x87_top_of_mode(s_.header.mode); }
  unsigned physical(unsigned i) const { return (top() + i) & 7; }
  bool is_empty(unsigned i) const { return !x87_is_used(s_, physical(i)); }
  Float80 get(unsigned i) const {
    Float80 v;
    const uint8_t* const from = s_.x87[physical(i)];
    std::memcpy(&v.significand, from, 8);
    std::memcpy(&v.sign_exponent, from + 8, 2);
    return v;
  }
  void put(unsigned i, Float80 v) {
    uint8_t* const to = s_.x87[physical(i)];
    std::memcpy(to, &v.significand, 8);
    std::memcpy(to + 8, &v.sign_exponent, 2);
    s_.header.mode |= x87_used_bit(physical(i));
  }
  void set_top(unsigned t) {
    s_.header.mode = (s_.header.mode & ~kModeX87TopMask) | (t & 7) << kModeX87TopShift;
  }
  void pop() {
    for (unsigned n = 0; n < insn_.pops; ++n) {
      s_.header.mode &= ~x87_used_bit(top());
      set_top(top() + 1);
    }
  }
  void push(Float80 v) {
    set_top(top() - 1);
    put(0, v);
  }

  // --- exceptions
  bool unmasked(uint32_t flags) const { return (env_.unmasked & flags) != 0; }
  /// Notes the flags of the computation. False if the instruction must leave everything as it was.
  bool finish() {
    uint32_t flags = env_.flags;
    const bool stopped = unmasked(flags & kBefore);
    if (stopped) flags &= kBefore;
    s_.x87_exceptions |= static_cast<uint16_t>(x87_of_flags(flags));
    s_.c1 = (flags & kFpRoundedUp) != 0;
    return !stopped;
  }
  /// A register that should not be empty is, or the other way around. False as finish().
  bool stack_fault(bool overflow) {
    s_.x87_exceptions |= 0x41;
    s_.c1 = overflow;
    return !unmasked(kFpInvalid);
  }

  // --- operands
  Float80 memory_operand(bool is_first);
  Float80 loaded();

  uint64_t arithmetic();
  uint64_t compare();
  uint64_t load();
  uint64_t store();
  uint64_t exchange();
  uint64_t unary();
  uint64_t scale();
  uint64_t extract();
  uint64_t remainder();
  uint64_t move();
  uint64_t function();
  uint64_t push_value(Float80 v);
  bool to_memory(Float80 v);
  bool to_bcd(Float80 v);
  void result(const void* from, size_t size) { std::memcpy(s_.x87_result, from, size); }
  void set_codes(unsigned order) {
    // equal: C3; less: C0; unordered: all
    s_.c0 = order == kFpLess || order == kFpUnordered;
    s_.c2 = order == kFpUnordered;
    s_.c3 = order == kFpEqual || order == kFpUnordered;
  }
  static Unpacked unpack(Float80 v) {
    FpEnv quiet{};
    return soft::unpack<Format80>(v, quiet);
  }

  X86State& s_;
  const X87Insn insn_;
  const uint64_t low_, high_;
  FpEnv env_;
};

/// For arithmetic: signalling NaNs stay what they are, the operation looks at them.
Float80 Unit::memory_operand(bool is_first) {
  FpEnv raw{env_.mode, 0, kFpRaw};
  const unsigned shift = is_first ? f80::kOriginAShift : f80::kOriginBShift;
  switch (insn_.operand) {
    case X87Operand::F32:
      env_.extra |= f80::kFromF32 << shift;
      return soft::FConvert<Float80>(static_cast<uint32_t>(low_), raw);
    case X87Operand::F64:
      env_.extra |= f80::kFromF64 << shift;
      return soft::FConvert<Float80>(low_, raw);
    case X87Operand::I16:
      return soft::FFromIntS<Float80>(static_cast<int16_t>(low_), 0, env_);
    default:
      return soft::FFromIntS<Float80>(static_cast<int32_t>(low_), 0, env_);
  }
}

uint64_t Unit::arithmetic() {
  const bool memory = insn_.operand != X87Operand::Register;
  const unsigned to = insn_.to_register ? insn_.i : 0, from = insn_.to_register ? 0 : insn_.i;
  if (is_empty(to) || (!memory && is_empty(from))) {
    if (!stack_fault(false)) return 0;
    put(to, kIndefinite);
    pop();
    return 0;
  }
  const bool reversed = insn_.op == X87Op::SubR || insn_.op == X87Op::DivR;
  const Float80 a = get(to), b = memory ? memory_operand(reversed) : get(from);
  env_.extra |= x87_precision(s_.header.mode);
  Float80 r;
  switch (insn_.op) {
    case X87Op::Add:
      r = soft::FAdd(a, b, env_);
      break;
    case X87Op::Mul:
      r = soft::FMul(a, b, env_);
      break;
    case X87Op::Sub:
      r = soft::FSub(a, b, env_);
      break;
    case X87Op::SubR:
      r = soft::FSub(b, a, env_);
      break;
    case X87Op::Div:
      r = soft::FDiv(a, b, env_);
      break;
    default:
      r = soft::FDiv(b, a, env_);
      break;
  }
  if (!finish()) return 0;
  put(to, r);
  pop();
  return 0;
}

uint64_t Unit::compare() {
  const bool memory = insn_.operand != X87Operand::Register, test = insn_.op == X87Op::Test;
  const bool to_flags = insn_.op == X87Op::ComFlags || insn_.op == X87Op::UcomFlags;
  const bool quiet = insn_.op == X87Op::Ucom || insn_.op == X87Op::UcomFlags;
  unsigned order = kFpUnordered;
  bool done;
  if (is_empty(0) || (!memory && !test && is_empty(insn_.i))) {
    done = stack_fault(false);
  } else {
    const Float80 b = test ? kZero : memory ? memory_operand(false) : get(insn_.i);
    order = soft::FCompare(get(0), b, env_, !quiet);
    done = finish();
  }
  // The order is told whether or not the exception is masked, as processors have it.
  if (!to_flags) set_codes(order);
  if (done) pop();
  return to_flags ? uint64_t{order} << 8 : 0;
}

/// The value that FLD and FILD push.
Float80 Unit::loaded() {
  switch (insn_.operand) {
    case X87Operand::F32:
      return soft::FConvert<Float80>(static_cast<uint32_t>(low_), env_);
    case X87Operand::F64:
      return soft::FConvert<Float80>(low_, env_);
    case X87Operand::F80:
      return {low_, static_cast<uint16_t>(high_)};
    case X87Operand::I16:
      return soft::FFromIntS<Float80>(static_cast<int16_t>(low_), 0, env_);
    case X87Operand::I32:
      return soft::FFromIntS<Float80>(static_cast<int32_t>(low_), 0, env_);
    case X87Operand::I64:
      return soft::FFromIntS<Float80>(static_cast<int64_t>(low_), 0, env_);
    default: {  // Bcd: 18 digits and a sign
      uint64_t value = 0;
      for (unsigned digit = 18; digit-- > 0;) {
        const uint64_t bits = digit < 16 ? low_ >> 4 * digit : high_ >> 4 * (digit - 16);
        value = value * 10 + (bits & 15);
      }
      Float80 v = soft::FFromIntU<Float80>(value, 0, env_);
      v.sign_exponent |= static_cast<uint16_t>(high_ & 0x8000);
      return v;
    }
  }
}

uint64_t Unit::push_value(Float80 v) {
  if (!is_empty(7)) {
    if (stack_fault(true)) push(kIndefinite);
    return 0;
  }
  if (finish()) push(v);
  return 0;
}

uint64_t Unit::load() {
  if (insn_.operand == X87Operand::Register) {
    if (insn_.op == X87Op::Constant) return push_value(x87_constant(insn_.i, env_.mode.round));
    if (is_empty(insn_.i)) {
      if (stack_fault(false)) push(kIndefinite);
      return 0;
    }
    return push_value(get(insn_.i));
  }
  if (!is_empty(7)) return push_value({});
  const Float80 v = loaded();
  // A subnormal number is loaded even if that traps.
  if (env_.flags & kFpDenormal) {
    s_.x87_exceptions |= static_cast<uint16_t>(x87_of_flags(kFpDenormal));
    env_.flags &= ~uint32_t{kFpDenormal};
  }
  return push_value(v);
}

uint64_t Unit::store() {
  if (insn_.operand == X87Operand::Register) {
    if (is_empty(0)) {
      if (!stack_fault(false)) return 0;
      put(insn_.i, kIndefinite);
    } else {
      s_.c1 = 0;
      put(insn_.i, get(0));
    }
    pop();
    return 0;
  }
  env_.mode.denormal_report = DenormalReport::Never;
  if (insn_.op == X87Op::StoreTruncated) env_.mode.round = Round::TowardZero;
  bool stored;
  if (is_empty(0)) {
    if (!stack_fault(false)) return 0;
    (void)to_memory(kIndefinite);
    stored = true;
  } else {
    stored = to_memory(get(0));
    const uint32_t after =
        insn_.operand == X87Operand::F32 || insn_.operand == X87Operand::F64 ? kFpOverflow | kFpUnderflow : 0;
    if (unmasked(env_.flags & after)) {
      stored = false;
      env_.flags &= ~uint32_t{kFpInexact | kFpRoundedUp};
    }
    if (!finish()) stored = false;
  }
  if (!stored) return 0;
  pop();
  return kX87Stored;
}

/// Fills x87_result.
bool Unit::to_memory(Float80 v) {
  const auto integer = [&](unsigned bits) {
    const uint64_t n = soft::FToIntS(v, bits, kFpIndefinite, env_);
    result(&n, 8);
  };
  switch (insn_.operand) {
    case X87Operand::F32: {
      const auto narrow = soft::FConvert<uint32_t>(v, env_);
      result(&narrow, 4);
      break;
    }
    case X87Operand::F64: {
      const auto narrow = soft::FConvert<uint64_t>(v, env_);
      result(&narrow, 8);
      break;
    }
    case X87Operand::F80:
      result(&v.significand, 8);
      std::memcpy(s_.x87_result + 8, &v.sign_exponent, 2);
      break;
    case X87Operand::I16:
      integer(16);
      break;
    case X87Operand::I32:
      integer(32);
      break;
    case X87Operand::I64:
      integer(64);
      break;
    default:
      return to_bcd(v);
  }
  return true;
}

bool Unit::to_bcd(Float80 v) {
  constexpr uint64_t kLimit = 1'000'000'000'000'000'000;
  FpEnv env = env_;
  const uint64_t n = soft::FToIntS(v, 64, kFpIndefinite, env);
  const bool negative = v.sign_exponent >> 15;
  const uint64_t magnitude = negative ? 0 - n : n;
  if ((env.flags & kFpInvalid) || magnitude >= kLimit) {
    env_.flags |= kFpInvalid;
    constexpr uint8_t kBcdIndefinite[10] = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff};
    result(kBcdIndefinite, 10);
    return true;
  }
  env_.flags = env.flags;
  uint8_t bytes[10] = {};
  uint64_t rest = magnitude;
  for (unsigned k = 0; k < 9; ++k, rest /= 100)
    bytes[k] = static_cast<uint8_t>(rest % 10 | rest / 10 % 10 << 4);
  bytes[9] = negative ? 0x80 : 0;
  result(bytes, 10);
  return true;
}

uint64_t Unit::exchange() {
  if (is_empty(0) || is_empty(insn_.i)) {
    if (!stack_fault(false)) return 0;
    if (is_empty(0)) put(0, kIndefinite);
    if (is_empty(insn_.i)) put(insn_.i, kIndefinite);
  } else {
    s_.c1 = 0;
  }
  const Float80 a = get(0);
  put(0, get(insn_.i));
  put(insn_.i, a);
  return 0;
}

/// FCHS, FABS, FSQRT, FRNDINT.
uint64_t Unit::unary() {
  if (is_empty(0)) {
    if (stack_fault(false)) put(0, kIndefinite);
    return 0;
  }
  Float80 v = get(0);
  switch (insn_.op) {
    case X87Op::Negate:
      v.sign_exponent ^= 0x8000;
      break;
    case X87Op::Abs:
      v.sign_exponent &= 0x7fff;
      break;
    case X87Op::Sqrt:
      env_.extra = x87_precision(s_.header.mode);
      v = soft::FSqrt(v, env_);
      break;
    default:
      v = soft::FRoundInt(v, env_, 0);
      break;
  }
  if (finish()) put(0, v);
  return 0;
}

uint64_t Unit::scale() {
  if (is_empty(0) || is_empty(1)) {
    if (stack_fault(false)) put(0, kIndefinite);
    return 0;
  }
  const Float80 r = eval::FFunction(F80Function::Scale, get(0), get(1), env_);
  if (finish()) put(0, r);
  return 0;
}

uint64_t Unit::extract() {
  Float80 exponent = kIndefinite, significand = kIndefinite;
  if (is_empty(0)) {
    if (!stack_fault(false)) return 0;
  } else if (!is_empty(7)) {
    if (!stack_fault(true)) return 0;
  } else {
    const Float80 v = get(0);
    const Unpacked a = soft::unpack<Format80>(v, env_);
    if (a.is_not_number()) {
      exponent = significand = soft::nan_result<Format80>(a, env_);
    } else if (a.is_inf()) {
      exponent = soft::infinity<Format80>(false);
      significand = v;
    } else if (a.is_zero()) {
      soft::raise(env_, kFpDivideByZero);
      exponent = soft::infinity<Format80>(true);
      significand = v;
    } else {
      soft::note_denormal(a.denormal, env_);
      exponent = soft::FFromIntS<Float80>(a.exp, 0, env_);
      significand = soft::assemble<Format80>(a.sign, Format80::kBias, a.sig);
    }
    if (!finish()) return 0;
  }
  put(0, exponent);
  push(significand);
  return 0;
}

/// FPREM and FPREM1 (SDM: exponents may be brought nearer by at most 63 at a time).
uint64_t Unit::remainder() {
  s_.c2 = 0;
  if (is_empty(0) || is_empty(1)) {
    if (stack_fault(false)) put(0, kIndefinite);
    return 0;
  }
  const bool nearest = insn_.op == X87Op::RemainderNearest;
  const Float80 v = get(0);
  const Unpacked a = soft::unpack<Format80>(v, env_), b = soft::unpack<Format80>(get(1), env_);
  Float80 r = v;
  unsigned quotient = 0;
  bool partial = false, invalid = false;
  if (a.is_not_number() || b.is_not_number()) {
    r = soft::nan_result<Format80>(a, b, env_);
    invalid = true;
  } else if (a.is_inf() || b.is_zero()) {
    r = soft::invalid<Format80>(env_);
    invalid = true;
  } else {
    soft::note_denormal(a.denormal || b.denormal, env_);
    if (!a.is_zero() && !b.is_inf() && a.exp - b.exp >= -1) {
      const int distance = a.exp - b.exp;
      partial = distance > 63;
      const int steps = partial ? x87_partial_steps(distance) : distance;
      // rest < 2 * divisor all the time
      u128 rest = a.sig;
      const u128 divisor = b.sig;
      uint64_t q = 0;
      for (int k = 0; k <= steps; ++k) {
        if (k != 0) rest <<= 1;
        q <<= 1;
        if (rest >= divisor) {
          rest -= divisor;
          q |= 1;
        }
      }
      int exp = b.exp + (partial ? distance - steps : 0);
      bool sign = a.sign;
      if (distance < 0) {
        rest = a.sig;
        exp = a.exp;
      }
      if (nearest && !partial) {
        const u128 twice = distance < 0 ? rest : rest << 1;  // at a.exp = b.exp - 1 the scales differ
        if (twice > divisor || (twice == divisor && (q & 1))) {
          rest = distance < 0 ? (divisor << 1) - rest : divisor - rest;
          sign = !sign;
          ++q;
        }
      }
      quotient = partial ? 0 : static_cast<unsigned>(q & 7);
      if (rest == 0) {
        r = soft::zero<Format80>(a.sign);
      } else {
        int up = 0;
        while (!(rest >> 127)) {
          rest <<= 1;
          ++up;
        }
        r = soft::round_pack<Format80>(sign, exp + 64 - up, rest, env_);
      }
    } else if (!a.is_zero()) {
      r = soft::round_pack<Format80>(a.sign, a.exp, u128{a.sig} << 64, env_);
    }
  }
  if (!finish()) return 0;
  put(0, r);
  if (!invalid) {
    s_.c2 = partial;
    s_.c0 = quotient >> 2 & 1;
    s_.c3 = quotient >> 1 & 1;
    s_.c1 = quotient & 1;
  }
  return 0;
}

uint64_t Unit::move() {
  if (is_empty(0) || is_empty(insn_.i)) {
    if (stack_fault(false)) put(0, kIndefinite);
    return 0;
  }
  if (low_ & 1) put(0, get(insn_.i));
  return 0;
}

F80Function function_of(X87Op op) {
  switch (op) {
    case X87Op::F2xm1:
      return F80Function::Exp2Minus1;
    case X87Op::Yl2x:
      return F80Function::Log2;
    case X87Op::Yl2xp1:
      return F80Function::Log2Plus1;
    case X87Op::Tan:
      return F80Function::Tan;
    case X87Op::Atan:
      return F80Function::Angle;
    case X87Op::Sin:
      return F80Function::Sin;
    case X87Op::Cos:
      return F80Function::Cos;
    default:
      return F80Function::SinCos;
  }
}

/// F2XM1 to FSINCOS.
uint64_t Unit::function() {
  const X87Op op = insn_.op;
  const bool two = op == X87Op::Yl2x || op == X87Op::Yl2xp1 || op == X87Op::Atan;
  const bool pushes = op == X87Op::Tan || op == X87Op::SinCos;
  const unsigned to = two ? 1 : 0;
  const bool angle = !two && op != X87Op::F2xm1;
  Float80 first = kIndefinite, second = kIndefinite;
  if (angle) s_.c2 = 0;
  if (is_empty(0) || (two && is_empty(1))) {
    if (!stack_fault(false)) return 0;
  } else if (pushes && !is_empty(7)) {
    if (!stack_fault(true)) return 0;
  } else {
    const eval::F80FunctionResult r =
        eval::f80_function(function_of(op), get(0), two ? get(1) : kZero, s_.x87_control);
    env_.flags = r.flags;
    if (angle) s_.c2 = r.incomplete;
    if (!finish() || r.incomplete) return 0;
    first = r.value;
    second = r.second;
  }
  put(to, first);
  if (two) {
    s_.header.mode &= ~x87_used_bit(top());
    set_top(top() + 1);
  }
  if (pushes) push(second);
  return 0;
}

uint64_t Unit::run() {
  switch (insn_.op) {
    case X87Op::Add:
    case X87Op::Mul:
    case X87Op::Sub:
    case X87Op::SubR:
    case X87Op::Div:
    case X87Op::DivR:
      return arithmetic();
    case X87Op::Com:
    case X87Op::Ucom:
    case X87Op::ComFlags:
    case X87Op::UcomFlags:
    case X87Op::Test:
      return compare();
    case X87Op::Load:
    case X87Op::Constant:
      return load();
    case X87Op::Store:
    case X87Op::StoreTruncated:
      return store();
    case X87Op::Exchange:
      return exchange();
    case X87Op::Examine: {
      const Float80 v = get(0);
      const unsigned code = is_empty(0) ? 5 : x87_class(v.significand, v.sign_exponent);
      s_.c0 = code & 1;
      s_.c2 = code >> 1 & 1;
      s_.c3 = code >> 2 & 1;
      s_.c1 = v.sign_exponent >> 15;
      return 0;
    }
    case X87Op::Negate:
    case X87Op::Abs:
    case X87Op::Sqrt:
    case X87Op::RoundInt:
      return unary();
    case X87Op::Scale:
      return scale();
    case X87Op::Extract:
      return extract();
    case X87Op::Remainder:
    case X87Op::RemainderNearest:
      return remainder();
    case X87Op::Move:
      return move();
    default:
      return function();
  }
}

}  // namespace

uint64_t x87_execute(X86State& state, X87Insn insn, uint64_t low, uint64_t high) {
  // C1 and what was collected so far are in plain fields from here on.
  settle_x87_flags(state);
  return Unit(state, insn, low, high).run();
}

bool x87_exception_pending(const X86State& state) {
  return (x87_exceptions(state) & ~state.x87_control & 0x3f) != 0;
}

}  // namespace lyrebird::x86
