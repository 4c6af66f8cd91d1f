// SPDX-License-Identifier: Apache-2.0
// What the host's processor has (SDM volume 2, CPUID).
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "accel/direct/x86_translator.h"

namespace lyrebird::accel::direct {

#if defined(__x86_64__)
namespace {

using x86::Feature;

enum Register : uint8_t { kEax, kEbx, kEcx, kEdx };
struct Bit {
  Feature feature;
  uint32_t leaf;
  Register reg;
  uint8_t bit;
};

/// Of what is copied, and may be absent from a processor with SSE4.2. AVX, and what needs it, also wants the
/// operating system's word.
constexpr Bit kBits[] = {{Feature::SSE3, 1, kEcx, 0},
                         {Feature::PCLMUL, 1, kEcx, 1},
                         {Feature::SSSE3, 1, kEcx, 9},
                         {Feature::FMA, 1, kEcx, 12},
                         {Feature::CX16, 1, kEcx, 13},
                         {Feature::SSE4_1, 1, kEcx, 19},
                         {Feature::SSE4_2, 1, kEcx, 20},
                         {Feature::MOVBE, 1, kEcx, 22},
                         {Feature::POPCNT, 1, kEcx, 23},
                         {Feature::AES, 1, kEcx, 25},
                         {Feature::AVX, 1, kEcx, 28},
                         {Feature::F16C, 1, kEcx, 29},
                         {Feature::BMI1, 7, kEbx, 3},
                         {Feature::AVX2, 7, kEbx, 5},
                         {Feature::BMI2, 7, kEbx, 8},
                         {Feature::ADX, 7, kEbx, 19},
                         {Feature::CLFLUSHOPT, 7, kEbx, 23},
                         {Feature::CLWB, 7, kEbx, 24},
                         {Feature::SHA, 7, kEbx, 29},
                         {Feature::GFNI, 7, kEcx, 8},
                         {Feature::VAES, 7, kEcx, 9},
                         {Feature::VPCLMUL, 7, kEcx, 10},
                         {Feature::LAHF64, 0x80000001, kEcx, 0},
                         {Feature::LZCNT, 0x80000001, kEcx, 5},
                         {Feature::PREFETCHW, 0x80000001, kEcx, 8}};

bool has_bit(const Bit& bit) {
  uint32_t r[4] = {};
  return __get_cpuid_count(bit.leaf, 0, &r[kEax], &r[kEbx], &r[kEcx], &r[kEdx]) &&
         (r[bit.reg] >> bit.bit & 1);
}

}  // namespace

bool X86Translator::host_has(const x86::CpuModel& cpu) {
  for (const Bit& bit : kBits)
    if (cpu.features.has(bit.feature) && !has_bit(bit)) return false;
  return !cpu.features.has(Feature::AVX) || __builtin_cpu_supports("avx");
}
#else
bool X86Translator::host_has(const x86::CpuModel&) { return false; }
#endif

}  // namespace lyrebird::accel::direct
