// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/cpu_model.h"

#include <gtest/gtest.h>

#include "frontend/arm/a64_mode.h"
#include "frontend/arm/a64_state.h"

namespace lyrebird::arm {
namespace {

const CpuModel& model(const char* name) { return *find_cpu_model(name); }

TEST(CpuModel, EveryNameIsFound) {
  for (const char* name : {"max", "cortex-a53", "cortex-a57", "cortex-a72", "neoverse-n1"})
    EXPECT_NE(find_cpu_model(name), nullptr) << name;
  EXPECT_EQ(find_cpu_model("cortex-a54"), nullptr);
}

// What /proc/cpuinfo shows on such machines.
TEST(CpuModel, HwcapsAreTheProcessors) {
  constexpr uint64_t kA72 = 0x8ff;      // fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid
  constexpr uint64_t kN1 = 0x10119fff;  // + atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp ssbs
  EXPECT_EQ(hwcap(model("cortex-a72")), kA72);
  EXPECT_EQ(hwcap(model("cortex-a53")), kA72);
  EXPECT_EQ(hwcap(model("neoverse-n1")), kN1);
  EXPECT_EQ(hwcap2(model("neoverse-n1")), 0u);
}

TEST(CpuModel, AbsentFeaturesAreReportedAbsent) {
  constexpr uint64_t kSve = 1 << 22, kDit = 1 << 24, kSm = 3 << 18, kMte = 1 << 18;
  EXPECT_EQ(hwcap(model("max")) & (kSve | kDit | kSm), 0u);
  EXPECT_EQ(hwcap2(model("max")) & kMte, 0u);
  EXPECT_EQ(*id_register(model("max"), 4, 0) >> 32, 0u) << "SVE, DIT, AMU";
  EXPECT_EQ(*id_register(model("max"), 4, 1) >> 8, 0u) << "MTE, SME";
}

TEST(CpuModel, IdentificationRegistersAreSanitised) {
  const CpuModel& n1 = model("neoverse-n1");
  EXPECT_EQ(id_register(n1, 0, 0), 0x414fd0c1u);
  EXPECT_EQ(id_register(n1, 0, 5), 0x80000000u);
  EXPECT_EQ(id_register(n1, 0, 6), 0u);
  EXPECT_EQ(id_register(n1, 0, 1), std::nullopt);
  EXPECT_EQ(id_register(n1, 1, 0), std::nullopt);
  EXPECT_EQ(id_register(n1, 3, 0), std::nullopt) << "MVFR0_EL1";
  EXPECT_EQ(id_register(n1, 4, 0), 0x110011u);
  EXPECT_EQ(id_register(n1, 6, 0), 0x0000100010211120u);
  EXPECT_EQ(id_register(n1, 6, 1), 0x0000000000100001u);
  EXPECT_EQ(id_register(n1, 7, 7), 0u);
  EXPECT_EQ(id_register(model("cortex-a72"), 4, 0), 0x11u);
  EXPECT_EQ(id_register(model("cortex-a72"), 6, 0), 0x11120u);
}

TEST(A64State, PstateKeepsItsFields) {
  A64State state;
  set_pstate(state, 0xf0001c00);
  EXPECT_EQ(pstate(state), 0xf0001000u) << "no guarded page: BTYPE stays 0";
  state.header.mode |= kModeBti;
  set_pstate(state, 0x50000800);
  EXPECT_EQ(pstate(state), 0x50000800u);
  EXPECT_EQ(state.header.mode, kModeBti | 2u << kModeBtypeShift);
}

}  // namespace
}  // namespace lyrebird::arm
