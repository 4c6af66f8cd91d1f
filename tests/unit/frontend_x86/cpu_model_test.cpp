// SPDX-License-Identifier: Apache-2.0
// What CPUID says of the models (SDM volume 2, CPUID).
#include "frontend/x86/cpu_model.h"

#include <gtest/gtest.h>

#include "base/bits.h"

namespace lyrebird::x86 {
namespace {

struct Reported {
  bool sse4_2, avx, avx2, aes, pclmulqdq, sha;
  bool operator==(const Reported&) const = default;
};

Reported reported(std::string_view name) {
  const CpuModel& model = *find_cpu_model(name);
  const CpuidResult one = cpuid(model, 1, 0, 1), seven = cpuid(model, 7, 0, 1);
  return {.sse4_2 = bit(one.ecx, 20),
          .avx = bit(one.ecx, 28),
          .avx2 = bit(seven.ebx, 5),
          .aes = bit(one.ecx, 25),
          .pclmulqdq = bit(one.ecx, 1),
          .sha = bit(seven.ebx, 29)};
}

// Programs choose their code for cryptography by these bits.
TEST(X86CpuModel, TheDefaultIsLevel3WithCryptography) {
  EXPECT_EQ(reported(kDefaultCpuModel), (Reported{true, true, true, true, true, true}));
}

TEST(X86CpuModel, OlderOnesHaveWhatTheyHad) {
  EXPECT_EQ(reported("Haswell"), (Reported{true, true, true, true, true, false}));
  EXPECT_EQ(reported("x86-64-v2"), (Reported{true, false, false, false, false, false}));
  EXPECT_EQ(reported("Nehalem"), (Reported{true, false, false, false, false, false}));
  EXPECT_EQ(reported("qemu64"), (Reported{false, false, false, false, false, false}));
}

}  // namespace
}  // namespace lyrebird::x86
