// SPDX-License-Identifier: Apache-2.0
// The x87 in software against the host's: random stacks, control words and operands, one instruction.
#include "frontend/x86/x87.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "frontend/x86/x87_functions.h"
#include "tests/unit/ir/fp_cases.h"

#if defined(__x86_64__)

namespace lyrebird::x86 {
namespace {

using test::Random;

struct [[gnu::packed]] Image {
  uint32_t control, status, tags, ip, cs, dp, ds;
  uint8_t st[8][10];
};

struct Case {
  const char* name;
  uint8_t bytes[2];  ///< second: ModRM; /digit forms with [rsi], register forms with ST(i) added
  X87Insn insn;
};

using enum X87Op;
using enum X87Operand;
constexpr uint8_t mem(unsigned digit) { return static_cast<uint8_t>(digit << 3 | 6); }
constexpr Case kCases[] = {
    {"fadd m32", {0xd8, mem(0)}, {Add, F32}},
    {"fmul m64", {0xdc, mem(1)}, {Mul, F64}},
    {"fsub m32", {0xd8, mem(4)}, {Sub, F32}},
    {"fsubr m64", {0xdc, mem(5)}, {SubR, F64}},
    {"fdiv m64", {0xdc, mem(6)}, {Div, F64}},
    {"fdivr m32", {0xd8, mem(7)}, {DivR, F32}},
    {"fiadd m32", {0xda, mem(0)}, {Add, I32}},
    {"fimul m16", {0xde, mem(1)}, {Mul, I16}},
    {"fisub m16", {0xde, mem(4)}, {Sub, I16}},
    {"fidivr m32", {0xda, mem(7)}, {DivR, I32}},
    {"fadd st0,st1", {0xd8, 0xc1}, {Add, Register, 1}},
    {"fmul st0,st2", {0xd8, 0xca}, {Mul, Register, 2}},
    {"fsub st0,st1", {0xd8, 0xe1}, {Sub, Register, 1}},
    {"fsubr st0,st1", {0xd8, 0xe9}, {SubR, Register, 1}},
    {"fdiv st0,st1", {0xd8, 0xf1}, {Div, Register, 1}},
    {"fdivr st0,st0", {0xd8, 0xf8}, {DivR, Register, 0}},
    {"faddp", {0xde, 0xc1}, {Add, Register, 1, 1, true}},
    {"fsubp st1", {0xde, 0xe9}, {Sub, Register, 1, 1, true}},
    {"fsubrp st1", {0xde, 0xe1}, {SubR, Register, 1, 1, true}},
    {"fdiv st2,st0", {0xdc, 0xfa}, {Div, Register, 2, 0, true}},
    {"fdivrp st1", {0xde, 0xf1}, {DivR, Register, 1, 1, true}},
    {"fmulp st0", {0xde, 0xc8}, {Mul, Register, 0, 1, true}},
    {"fcom m32", {0xd8, mem(2)}, {Com, F32}},
    {"fcomp m64", {0xdc, mem(3)}, {Com, F64, 0, 1}},
    {"ficom m16", {0xde, mem(2)}, {Com, I16}},
    {"ficomp m32", {0xda, mem(3)}, {Com, I32, 0, 1}},
    {"fcom st1", {0xd8, 0xd1}, {Com, Register, 1}},
    {"fcompp", {0xde, 0xd9}, {Com, Register, 1, 2}},
    {"fucom st1", {0xdd, 0xe1}, {Ucom, Register, 1}},
    {"fucompp", {0xda, 0xe9}, {Ucom, Register, 1, 2}},
    {"fcomi", {0xdb, 0xf1}, {ComFlags, Register, 1}},
    {"fucomip", {0xdf, 0xe9}, {UcomFlags, Register, 1, 1}},
    {"fld m32", {0xd9, mem(0)}, {Load, F32}},
    {"fld m64", {0xdd, mem(0)}, {Load, F64}},
    {"fld m80", {0xdb, mem(5)}, {Load, F80}},
    {"fild m16", {0xdf, mem(0)}, {Load, I16}},
    {"fild m32", {0xdb, mem(0)}, {Load, I32}},
    {"fild m64", {0xdf, mem(5)}, {Load, I64}},
    {"fbld", {0xdf, mem(4)}, {Load, Bcd}},
    {"fld st1", {0xd9, 0xc1}, {Load, Register, 1}},
    {"fld st7", {0xd9, 0xc7}, {Load, Register, 7}},
    {"fst m32", {0xd9, mem(2)}, {Store, F32}},
    {"fstp m64", {0xdd, mem(3)}, {Store, F64, 0, 1}},
    {"fstp m80", {0xdb, mem(7)}, {Store, F80, 0, 1}},
    {"fist m16", {0xdf, mem(2)}, {Store, I16}},
    {"fistp m32", {0xdb, mem(3)}, {Store, I32, 0, 1}},
    {"fistp m64", {0xdf, mem(7)}, {Store, I64, 0, 1}},
    {"fbstp", {0xdf, mem(6)}, {Store, Bcd, 0, 1}},
    {"fisttp m16", {0xdf, mem(1)}, {StoreTruncated, I16, 0, 1}},
    {"fisttp m64", {0xdd, mem(1)}, {StoreTruncated, I64, 0, 1}},
    {"fst st1", {0xdd, 0xd1}, {Store, Register, 1}},
    {"fstp st2", {0xdd, 0xda}, {Store, Register, 2, 1}},
    {"fxch st1", {0xd9, 0xc9}, {Exchange, Register, 1}},
    {"ftst", {0xd9, 0xe4}, {Test}},
    {"fxam", {0xd9, 0xe5}, {Examine}},
    {"fchs", {0xd9, 0xe0}, {Negate}},
    {"fabs", {0xd9, 0xe1}, {Abs}},
    {"fsqrt", {0xd9, 0xfa}, {Sqrt}},
    {"frndint", {0xd9, 0xfc}, {RoundInt}},
    {"fscale", {0xd9, 0xfd}, {Scale}},
    {"fxtract", {0xd9, 0xf4}, {Extract}},
    {"fprem", {0xd9, 0xf8}, {Remainder}},
    {"fprem1", {0xd9, 0xf5}, {RemainderNearest}},
    {"fld1", {0xd9, 0xe8}, {Constant, Register, 0}},
    {"fldl2t", {0xd9, 0xe9}, {Constant, Register, 1}},
    {"fldl2e", {0xd9, 0xea}, {Constant, Register, 2}},
    {"fldpi", {0xd9, 0xeb}, {Constant, Register, 3}},
    {"fldlg2", {0xd9, 0xec}, {Constant, Register, 4}},
    {"fldln2", {0xd9, 0xed}, {Constant, Register, 5}},
    {"fldz", {0xd9, 0xee}, {Constant, Register, 6}},
    {"fcmove st1", {0xda, 0xc9}, {Move, Register, 1}},
    {"f2xm1", {0xd9, 0xf0}, {F2xm1}},
    {"fyl2x", {0xd9, 0xf1}, {Yl2x}},
    {"fyl2xp1", {0xd9, 0xf9}, {Yl2xp1}},
    {"fptan", {0xd9, 0xf2}, {Tan}},
    {"fpatan", {0xd9, 0xf3}, {Atan}},
    {"fsin", {0xd9, 0xfe}, {Sin}},
    {"fcos", {0xd9, 0xff}, {Cos}},
    {"fsincos", {0xd9, 0xfb}, {SinCos}},
};

class Host {
 public:
  Host() {
    code_ = static_cast<uint8_t*>(
        mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  }
  ~Host() { munmap(code_, 4096); }
  /// frstor, flags of edx against 1, the instruction, flags, fnsave, fninit.
  uint64_t run(const uint8_t (&bytes)[2], Image* image, void* memory, uint32_t condition) {
    const uint8_t code[] = {0xdd, 0x27, 0x83, 0xfa, 0x01, bytes[0], bytes[1], 0x9c, 0x58, 0xdd, 0x37, 0xc3};
    uint8_t* const function = code_ + 64;  // -fsanitize=function reads what lies before it
    std::memcpy(function, code, sizeof code);
    return reinterpret_cast<uint64_t (*)(Image*, void*, uint32_t)>(function)(image, memory, condition);
  }

 private:
  uint8_t* code_;
};

uint64_t random_significand(Random& random) {
  const uint64_t top = uint64_t{1} << 63;
  switch (random.below(8)) {
    case 0:
      return top;
    case 1:
      return ~uint64_t{0};
    case 2:
      return top | random.next() >> random.below(64);
    case 3:
      return top | random.next() << random.below(63);
    case 4:
      return random.below(4) ? top | top >> 1 : random.next();
    default:
      return top | random.next();
  }
}

void random_float(Random& random, uint8_t* to) {
  uint64_t significand = random_significand(random);
  uint16_t exponent;
  switch (random.below(12)) {
    case 0:
      exponent = 0;
      if (random.below(4)) significand = significand << 1 >> 1;
      if (random.below(2)) significand = 0;
      break;
    case 1:
      exponent = 0x7fff;
      if (random.below(2)) significand = uint64_t{1} << 63;
      break;
    case 2:
      exponent = static_cast<uint16_t>(1 + random.below(70));
      break;
    case 3:
      exponent = static_cast<uint16_t>(0x7ffe - random.below(70));
      break;
    case 4:
      exponent = static_cast<uint16_t>(random.below(0x7fff));
      break;
    case 5:
      exponent = static_cast<uint16_t>(0x3fff - 1100 + random.below(2200));
      break;
    case 6:
      exponent = static_cast<uint16_t>(0x3fff - 160 + random.below(320));
      break;
    default:
      exponent = static_cast<uint16_t>(0x3fff - 8 + random.below(80));
      break;
  }
  if (random.below(16) == 0) {  // integers and halves
    exponent = static_cast<uint16_t>(0x3ffe + random.below(66));
    significand = uint64_t{1} << 63 | random.next() << random.below(63);
  }
  exponent |= static_cast<uint16_t>(random.next() & 0x8000);
  std::memcpy(to, &significand, 8);
  std::memcpy(to + 8, &exponent, 2);
}

void random_memory(Random& random, X87Operand kind, uint8_t* to) {
  const uint64_t bits = random.next();
  std::memset(to, 0, 16);
  switch (kind) {
    case F32: {
      const uint32_t exponents[] = {0, 0, 255, 1, 254, static_cast<uint32_t>(random.below(256)), 127, 130};
      const uint32_t v = static_cast<uint32_t>(bits & 0x807fffff) | exponents[random.below(8)] << 23;
      const uint32_t chosen = random.below(6) ? v : v & 0xff800000;
      std::memcpy(to, &chosen, 4);
      break;
    }
    case F64: {
      const uint64_t exponents[] = {0, 0, 2047, 1, 2046, random.below(2048), 1023, 1030};
      const uint64_t v = (bits & 0x800fffffffffffff) | exponents[random.below(8)] << 52;
      const uint64_t chosen = random.below(6) ? v : v & 0xfff0000000000000;
      std::memcpy(to, &chosen, 8);
      break;
    }
    case F80:
      random_float(random, to);
      break;
    case Bcd:
      for (unsigned k = 0; k < 9; ++k) to[k] = static_cast<uint8_t>(random.below(10) | random.below(10) << 4);
      to[9] = static_cast<uint8_t>(random.next() & 0x80);
      break;
    default: {
      const uint64_t v = bits >> random.below(64);
      std::memcpy(to, &v, 8);
      break;
    }
  }
}

std::string text_of(const Image& image) {
  std::string out;
  char line[64];
  std::snprintf(line, sizeof line, "cw %04x sw %04x tw %04x", image.control & 0xffff, image.status & 0xffff,
                image.tags & 0xffff);
  out = line;
  for (unsigned i = 0; i < 8; ++i) {
    uint64_t significand;
    uint16_t exponent;
    std::memcpy(&significand, image.st[i], 8);
    std::memcpy(&exponent, image.st[i] + 8, 2);
    std::snprintf(line, sizeof line, " %04x:%016lx", exponent, significand);
    if (i < 3 || i == 7) out += line;
  }
  return out;
}

void to_state(const Image& image, X86State& s) {
  set_x87_control(s, static_cast<uint16_t>(image.control));
  set_x87_status(s, static_cast<uint16_t>(image.status));
  set_x87_tags(s, static_cast<uint16_t>(image.tags));
  for (unsigned i = 0; i < 8; ++i)
    std::memcpy(s.x87[(x87_top_of_mode(s.header.mode) + i) & 7], image.st[i], 10);
}
void from_state(const X86State& s, Image& image) {
  image.status = x87_status(s);
  image.tags = x87_tags(s);
  for (unsigned i = 0; i < 8; ++i)
    std::memcpy(image.st[i], s.x87[(x87_top_of_mode(s.header.mode) + i) & 7], 10);
}

bool host_is_intel() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("vendor_id")) return line.ends_with("GenuineIntel");
  return false;
}

/// FSCALE by zero, and FPREM and FPREM1 by infinity, leave ST0 as it is. Where it is denormal and #U is
/// unmasked, AMD's processors report the tiny result and store it with its exponent adjusted (SDM 1,
/// 8.5.5; so do we), Intel's return it with #D alone, as if #U were masked.
bool hides_underflow_on_intel(const X87Insn& insn, const Image& before) {
  uint64_t significand;
  uint16_t exponent;
  std::memcpy(&significand, before.st[1], 8);
  std::memcpy(&exponent, before.st[1] + 8, 2);
  exponent &= 0x7fff;
  if (insn.op == Scale) return exponent == 0 && significand == 0;
  return (insn.op == Remainder || insn.op == RemainderNearest) && exponent == 0x7fff &&
         significand == uint64_t{1} << 63;
}

class X87Host : public testing::TestWithParam<size_t> {};

TEST_P(X87Host, Agrees) {
  const Case& c = kCases[GetParam()];
  Host host;
  const bool intel = host_is_intel();
  Random random(GetParam() + 1);
  unsigned wrong = 0;
  for (unsigned n = 0; n < 20000 && wrong < 4; ++n) {
    Image before{};
    before.control = 0x40 | static_cast<uint32_t>(random.below(4) << 8 | random.below(4) << 10);
    before.control |= random.below(3) ? 0x3f : static_cast<uint32_t>(random.below(64));
    const auto top = static_cast<uint32_t>(random.below(8));
    before.status = (static_cast<uint32_t>(random.next()) & 0x4700) | top << 11;
    before.status |= static_cast<uint32_t>(random.next()) & before.control & 0x3f;
    for (unsigned i = 0; i < 8; ++i) {
      random_float(random, before.st[i]);
      // Mostly what the instruction wants: ST0 to ST2 full, ST7 empty.
      const bool empty = random.below(12) ? i > 3 : random.below(2);
      if (empty) before.tags |= 3u << 2 * ((top + i) & 7);
    }
    uint8_t memory[16], expected[16];
    random_memory(random, c.insn.operand, memory);
    const auto condition = static_cast<uint32_t>(random.below(2));
    X86State s;
    to_state(before, s);
    constexpr uint16_t kUnderflowMask = 0x10;
    if (intel && hides_underflow_on_intel(c.insn, before)) s.x87_control |= kUnderflowMask;
    std::memcpy(expected, memory, sizeof expected);
    uint64_t low, high = 0;
    std::memcpy(&low, memory, 8);
    std::memcpy(&high, memory + 8, 2);
    if (c.insn.op == Move) low = condition == 1;
    const uint64_t result = x87_execute(s, c.insn, low, high);
    constexpr unsigned kSizes[] = {0, 4, 8, 10, 2, 4, 8, 10};
    if (result & kX87Stored)
      std::memcpy(expected, s.x87_result, kSizes[static_cast<unsigned>(c.insn.operand)]);
    Image got = before;
    from_state(s, got);

    Image after = before;
    const uint64_t flags = host.run(c.bytes, &after, memory, condition);
    after.control = got.control;  // compared by nobody
    // FCOMI and its like clear C1, says Intel; AMD's processors leave it.
    const bool compares_to_flags = c.insn.op == ComFlags || c.insn.op == UcomFlags;
    if (compares_to_flags) after.status = (after.status & ~0x200u) | (got.status & 0x200u);
    bool same = (after.status & 0xffff) == (got.status & 0xffff) && (after.tags & 0xffff) == got.tags &&
                std::memcmp(after.st, got.st, sizeof after.st) == 0 && std::memcmp(memory, expected, 16) == 0;
    if (compares_to_flags) {
      constexpr uint64_t kFlags[] = {0x40, 0x01, 0x00, 0x45};
      same = same && (flags & 0x45) == kFlags[result >> 8 & 3];
    }
    if (same) continue;
    ++wrong;
    ADD_FAILURE() << c.name << "\n  before " << text_of(before) << "\n  got    " << text_of(got)
                  << "\n  host   " << text_of(after) << "\n  memory " << std::hex << low << " flags "
                  << (flags & 0xff);
  }
}

INSTANTIATE_TEST_SUITE_P(Insns, X87Host, testing::Range<size_t>(0, std::size(kCases)), [](const auto& info) {
  std::string name = kCases[info.param].name;
  for (char& ch : name)
    if (ch == ' ' || ch == ',') ch = '_';
  return name;
});

}  // namespace
}  // namespace lyrebird::x86

#endif  // __x86_64__
