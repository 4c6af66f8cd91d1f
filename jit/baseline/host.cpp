// SPDX-License-Identifier: Apache-2.0
#include "jit/baseline/host.h"

#include <asmjit/core.h>

#include <cstdlib>
#include <string_view>

namespace lyrebird::jit::baseline {

HostFeatures host_features() {
  const auto& cpu = asmjit::CpuInfo::host().features().x86();
  HostFeatures f{
      .sse42 = cpu.hasSSE4_2(),
      .avx = cpu.hasAVX(),
      .avx2 = cpu.hasAVX2(),
      .fma = cpu.hasFMA(),
      .avx512 = cpu.hasAVX512_F() && cpu.hasAVX512_VL() && cpu.hasAVX512_BW() && cpu.hasAVX512_DQ(),
      .bmi1 = cpu.hasBMI(),
      .bmi2 = cpu.hasBMI2(),
      .lzcnt = cpu.hasLZCNT(),
      .popcnt = cpu.hasPOPCNT(),
      .movbe = cpu.hasMOVBE(),
      .aes = cpu.hasAESNI(),
      .pclmul = cpu.hasPCLMULQDQ(),
      .sha = cpu.hasSHA(),
      .gfni = cpu.hasGFNI()};
  const char* const limit = std::getenv("LYREBIRD_HOST_FEATURES");
  if (!limit) return f;
  const std::string_view wanted = limit;
  if (wanted == "sse4.2") return {.sse42 = f.sse42};
  if (wanted == "avx2") f.avx512 = f.gfni = false;
  return f;
}

}  // namespace lyrebird::jit::baseline
