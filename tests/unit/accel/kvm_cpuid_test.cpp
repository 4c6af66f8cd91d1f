// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "accel/kvm/x86/cpuid.h"

namespace lyrebird::accel::kvm {
namespace {

/// A host with SSE2 and AVX, but neither SSE3 nor AVX2.
std::vector<kvm_cpuid_entry2> host() {
  return {{0, 0, 0, 0xd, 0x756e6547, 0x6c65746e, 0x49656e69, {}},
          {1, 0, 0, 0x306c3, 0x800, 1u << 28 | 1u << 26 | 1u << 31 | 1u << 21, 0xffffffff, {}},
          {7, 0, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, 0, 1, 0, 0, {}},
          {0xd, 0, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, 7, 0x340, 0x340, 0, {}},
          {0x40000000, 0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d, {}},
          {0x80000000, 0, 0, 0x80000008, 0, 0, 0, {}},
          {0x80000001, 0, 0, 0, 0, 1, 0xffffffff, {}},
          {0x80000008, 0, 0, 0x3028, 0, 0, 0, {}}};
}

const kvm_cpuid_entry2& leaf(const std::vector<kvm_cpuid_entry2>& entries, uint32_t function) {
  for (const auto& entry : entries)
    if (entry.function == function) return entry;
  throw std::runtime_error("no such leaf");
}

bool contains(const std::vector<std::string>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

TEST(KvmCpuid, HostIsWhatTheKernelSupports) {
  const auto cpuid = Cpuid::create(host(), "host");
  ASSERT_TRUE(cpuid.ok());
  EXPECT_TRUE(cpuid->missing().empty());
  EXPECT_EQ(leaf(cpuid->for_vcpu(0, 1), 1).ecx, host()[1].ecx);
  EXPECT_EQ(cpuid->address_bits(), 40u);
}

TEST(KvmCpuid, AModelLosesWhatTheHostHasNotAndSaysSo) {
  const auto cpuid = Cpuid::create(host(), "Haswell");
  ASSERT_TRUE(cpuid.ok());
  EXPECT_TRUE(contains(cpuid->missing(), "sse3"));
  EXPECT_TRUE(contains(cpuid->missing(), "avx2"));
  EXPECT_FALSE(contains(cpuid->missing(), "avx"));
  EXPECT_EQ(leaf(cpuid->for_vcpu(0, 1), 1).ecx & 1, 0u);
  EXPECT_EQ(leaf(cpuid->for_vcpu(0, 1), 1).ecx >> 28 & 1, 1u);
}

TEST(KvmCpuid, EnforceMakesItAnError) {
  const auto cpuid = Cpuid::create(host(), "Haswell,enforce");
  ASSERT_FALSE(cpuid.ok());
  EXPECT_NE(cpuid.error().message.find("avx2"), std::string::npos);
}

TEST(KvmCpuid, FeaturesAreSwitchedByName) {
  const auto cpuid = Cpuid::create(host(), "host,-avx,+avx2,kvm=off");
  ASSERT_TRUE(cpuid.ok());
  EXPECT_EQ(cpuid->missing(), std::vector<std::string>{"avx2"});
  const auto entries = cpuid->for_vcpu(0, 1);
  EXPECT_EQ(leaf(entries, 1).ecx >> 28 & 1, 0u);
  EXPECT_EQ(leaf(entries, 1).ecx >> 31, 0u);
  EXPECT_THROW(leaf(entries, 0x40000000), std::runtime_error);
}

TEST(KvmCpuid, UnknownNamesAreErrors) {
  EXPECT_FALSE(Cpuid::create(host(), "Hazwell").ok());
  EXPECT_FALSE(Cpuid::create(host(), "host,+avx3").ok());
  EXPECT_FALSE(Cpuid::create(host(), "host,turbo").ok());
}

TEST(KvmCpuid, EachVcpuHasItsApicId) {
  const auto cpuid = Cpuid::create(host(), "host");
  ASSERT_TRUE(cpuid.ok());
  EXPECT_EQ(leaf(cpuid->for_vcpu(3, 4), 1).ebx >> 24, 3u);
  EXPECT_EQ(leaf(cpuid->for_vcpu(3, 4), 1).ebx >> 16 & 0xff, 4u);
}

}  // namespace
}  // namespace lyrebird::accel::kvm
