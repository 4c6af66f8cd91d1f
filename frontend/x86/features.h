// SPDX-License-Identifier: Apache-2.0
/// The features that decode rows, CPUID and XCR0 depend on. A processor model is a set of them;
/// what it lacks is undefined, or what older processors made of the same bytes.
#pragma once

#include <cstdint>

namespace lyrebird::x86 {

enum class Feature : uint8_t {
  Base,  ///< what every processor from the Pentium on has
  FPU,
  TSC,
  MSR,
  CX8,
  SEP,
  CMOV,  ///< with FPU also FCMOVcc, FCOMI and FUCOMI
  MMX,
  MMXEXT,  ///< the MMX instructions that came with SSE
  FXSR,
  SSE,
  SSE2,
  SSE3,
  SSSE3,
  SSE4_1,
  SSE4_2,
  CPUID,
  MONITOR,
  CLFLUSH,
  Long,    ///< 64-bit mode, SYSCALL, SWAPGS
  LAHF64,  ///< LAHF and SAHF in 64-bit mode
  CX16,
  RDTSCP,
  PREFETCHW,
  POPCNT,
  LZCNT,
  BMI1,
  BMI2,
  ADX,
  MOVBE,
  AES,
  PCLMUL,
  SHA,
  GFNI,
  F16C,
  FMA,
  AVX,
  AVX2,
  VAES,
  VPCLMUL,
  XSAVE,
  XSAVEOPT,
  XSAVEC,
  XSAVES,
  FSGSBASE,
  RDPID,
  RDRAND,
  RDSEED,
  CLFLUSHOPT,
  CLWB,
  WBNOINVD,
  SMAP,
  INVPCID,
  VMX,
  SVM,
  Count
};
static_assert(static_cast<unsigned>(Feature::Count) <= 64);

/// A set of features.
class Features {
 public:
  constexpr Features() = default;
  static constexpr Features all() {
    Features f;
    f.bits_ = (uint64_t{1} << static_cast<unsigned>(Feature::Count)) - 1;
    return f;
  }
  constexpr bool has(Feature f) const {
    return f == Feature::Base || (bits_ >> static_cast<unsigned>(f) & 1) != 0;
  }
  constexpr Features& add(Feature f) {
    bits_ |= uint64_t{1} << static_cast<unsigned>(f);
    return *this;
  }
  constexpr Features& remove(Feature f) {
    bits_ &= ~(uint64_t{1} << static_cast<unsigned>(f));
    return *this;
  }

 private:
  uint64_t bits_ = 0;
};

}  // namespace lyrebird::x86
