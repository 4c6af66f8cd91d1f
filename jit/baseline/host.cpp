// SPDX-License-Identifier: Apache-2.0
#include "jit/baseline/host.h"

#include <sys/platform/x86.h>

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/host_shifts.h"
#include "ir/eval_scalar.h"

namespace lyrebird::jit::baseline {

namespace {

/// A status word after the host's instruction, which finds `old` in its flags.
template <typename U>
uint16_t host_status(uint32_t way, U a, uint8_t n, uint16_t old) {
  uint16_t word = old;
#define LYREBIRD_SHIFT(name)                      \
  asm volatile("add $0x7f, %%al\n\tsahf\n\t" name \
               " %%cl, %1\n\t"                    \
               "lahf\n\tseto %%al"                \
               : "+a"(word), "+q"(a)              \
               : "c"(n)                           \
               : "cc")
  switch (way) {
    case ir::eval::kShiftLeft:
      LYREBIRD_SHIFT("shl");
      break;
    case ir::eval::kShiftRight:
      LYREBIRD_SHIFT("shr");
      break;
    case ir::eval::kShiftRightSigned:
      LYREBIRD_SHIFT("sar");
      break;
    case ir::eval::kTurnLeft:
      LYREBIRD_SHIFT("rol");
      break;
    default:
      LYREBIRD_SHIFT("ror");
      break;
  }
#undef LYREBIRD_SHIFT
  return word;
}

template <typename U>
bool shifts_as_said(uint32_t first) {
  constexpr uint64_t kValues[] = {
      0, 1, 0x12345678'9abcdef0, 0xfedcba98'87654321, 0x80808080'80808080, ~uint64_t{0}};
  // None, one, around the widths and the most: this runs at each start of the program.
  constexpr uint8_t kAmounts[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 63};
  constexpr uint16_t kWords[] = {0x200, 0xd701, 0x4300};
  for (uint32_t way = 0; way < ir::eval::kShiftWays; ++way)
    for (const uint64_t value : kValues)
      for (const uint8_t n : kAmounts) {
        if (n >= (sizeof(U) == 8 ? 64 : 32)) break;
        for (const uint16_t old : kWords) {
          const auto a = static_cast<U>(value);
          if (host_status<U>(way, a, n, old) != ir::eval::StatusOfShift<U>(a, U{n}, old, way | first))
            return false;
        }
      }
  return true;
}

/// Turns by an immediate: overflow of the last step, or (kFirstStep) as it was.
bool turns_as_said(uint32_t first) {
  for (const uint16_t old : {0x200, 0x201})
    for (const uint8_t value : {0x00, 0x20, 0x40, 0x60, 0xa5}) {
      uint16_t word = old;
      uint8_t a = value;
      asm volatile("add $0x7f, %%al\n\tsahf\n\trolb $2, %1\n\tlahf\n\tseto %%al"
                   : "+a"(word), "+q"(a)
                   :
                   : "cc");
      const uint32_t aux = ir::eval::kTurnLeft | first | (first ? ir::eval::kOldOverflow : 0);
      if (word != ir::eval::StatusOfShift<uint8_t>(value, 2, old, aux)) return false;
    }
  return true;
}

}  // namespace

std::optional<uint32_t> host_shift_status() {
  static const auto status = []() -> std::optional<uint32_t> {
    const uint32_t first = host_shifts_tell_first_step() ? ir::eval::kFirstStep : 0;
    const bool there = shifts_as_said<uint8_t>(first) && shifts_as_said<uint16_t>(first) &&
                       shifts_as_said<uint32_t>(first) && shifts_as_said<uint64_t>(first) &&
                       turns_as_said(first);
    return there ? std::optional(first) : std::nullopt;
  }();
  return status;
}

/// The C library has asked the processor already. To ask once more takes a tenth of a millisecond in a
/// virtual machine, where each CPUID is an exit.
HostFeatures host_features() {
  HostFeatures f{.sse42 = CPU_FEATURE_ACTIVE(SSE4_2),
                 .avx = CPU_FEATURE_ACTIVE(AVX),
                 .avx2 = CPU_FEATURE_ACTIVE(AVX2),
                 .fma = CPU_FEATURE_ACTIVE(FMA),
                 .avx512 = CPU_FEATURE_ACTIVE(AVX512F) && CPU_FEATURE_ACTIVE(AVX512VL) &&
                           CPU_FEATURE_ACTIVE(AVX512BW) && CPU_FEATURE_ACTIVE(AVX512DQ),
                 .bmi1 = CPU_FEATURE_ACTIVE(BMI1),
                 .bmi2 = CPU_FEATURE_ACTIVE(BMI2),
                 .lzcnt = CPU_FEATURE_ACTIVE(LZCNT),
                 .popcnt = CPU_FEATURE_ACTIVE(POPCNT),
                 .movbe = CPU_FEATURE_ACTIVE(MOVBE),
                 .aes = CPU_FEATURE_ACTIVE(AES),
                 .pclmul = CPU_FEATURE_ACTIVE(PCLMULQDQ),
                 .sha = CPU_FEATURE_ACTIVE(SHA),
                 .gfni = CPU_FEATURE_ACTIVE(GFNI)};
  const char* const limit = std::getenv("LYREBIRD_HOST_FEATURES");
  if (!limit) return f;
  const std::string_view wanted = limit;
  if (wanted == "sse4.2") return {.sse42 = f.sse42};
  if (wanted == "avx2") f.avx512 = f.gfni = false;
  return f;
}

}  // namespace lyrebird::jit::baseline
