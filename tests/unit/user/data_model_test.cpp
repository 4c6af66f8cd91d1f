// SPDX-License-Identifier: Apache-2.0
#include "user/abi/data_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>

#include "user/abi/abi.h"
#include "user/abi/structs.h"

namespace lyrebird::user {
namespace {

constexpr DataModel kArm64{};
constexpr DataModel kArm32{.big_endian = false, .word = 4, .align64 = 8};
constexpr DataModel kI386{.big_endian = false, .word = 4, .align64 = 4};
constexpr DataModel kPpc32{.big_endian = true, .word = 4, .align64 = 8};

TEST(DataModel, SizesFollowTheModel) {
  const StructDesc& timespec = Desc<struct timespec>::desc;
  EXPECT_EQ(guest_size(kArm64, timespec), 16u);
  EXPECT_EQ(guest_size(kArm32, timespec), 8u);
  EXPECT_EQ(guest_size(kArm64, kAlignedEpollEvent), 16u);
  EXPECT_EQ(guest_size(kI386, kAlignedEpollEvent), 12u);
  EXPECT_EQ(guest_size(kArm64, kGenericStat), 128u);
  EXPECT_EQ(guest_size(kArm64, Desc<struct statx>::desc), 256u);
  EXPECT_EQ(guest_size(kArm32, Desc<struct statx>::desc), 256u);
}

TEST(DataModel, MembersOfStatMoveToTheGenericPlaces) {
  struct stat host{};
  host.st_mode = 0x1234;
  host.st_nlink = 5;
  host.st_size = 0x1122334455667788;
  host.st_mtim.tv_sec = 99;
  unsigned char guest[128];
  EXPECT_EQ(struct_to_guest(kArm64, kGenericStat, &host, guest, sizeof guest - 1), 0u);
  std::memset(guest, 0xaa, sizeof guest);
  EXPECT_EQ(struct_to_guest(kArm64, kGenericStat, &host, guest), sizeof guest);
  EXPECT_EQ(std::count(std::begin(guest), std::end(guest), 0xaa), 0) << "what is between members is zero";
  const auto at = [&](unsigned offset, unsigned size) {
    uint64_t value = 0;
    std::memcpy(&value, guest + offset, size);
    return value;
  };
  // asm-generic/stat.h
  EXPECT_EQ(at(16, 4), 0x1234u);
  EXPECT_EQ(at(20, 4), 5u);
  EXPECT_EQ(at(48, 8), 0x1122334455667788u);
  EXPECT_EQ(at(88, 8), 99u);
  struct stat back;
  struct_to_host(kArm64, kGenericStat, guest, &back);
  EXPECT_EQ(back.st_size, host.st_size);
  EXPECT_EQ(back.st_nlink, host.st_nlink);
}

TEST(DataModel, ByteOrderAndSign) {
  const unsigned char guest[8] = {0xff, 0xff, 0xff, 0xfe, 0, 0, 1, 0};
  struct timespec host;
  struct_to_host(kPpc32, Desc<struct timespec>::desc, guest, &host);
  EXPECT_EQ(host.tv_sec, -2);
  EXPECT_EQ(host.tv_nsec, 256);
  unsigned char back[8];
  struct_to_guest(kPpc32, Desc<struct timespec>::desc, &host, back);
  EXPECT_EQ(std::memcmp(back, guest, 8), 0);
}

TEST(DataModel, Arm64OpenFlagsDifferFromX86) {
  const Abi& abi = *find_abi("aarch64");
  EXPECT_EQ(flags_to_host(abi.open_flags, 040000), uint64_t{O_DIRECTORY});
  EXPECT_EQ(flags_to_host(abi.open_flags, 0100000), uint64_t{O_NOFOLLOW});
  EXPECT_EQ(flags_to_host(abi.open_flags, 0200000), uint64_t{O_DIRECT});
  EXPECT_EQ(flags_to_host(abi.open_flags, 0400000), 0100000u);
  EXPECT_EQ(flags_to_guest(abi.open_flags, O_DIRECTORY | O_CLOEXEC), 040000u | O_CLOEXEC);
}

}  // namespace
}  // namespace lyrebird::user
