// SPDX-License-Identifier: Apache-2.0
#include "user/memory/address_space.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <string>

#include "base/fault_guard.h"

namespace lyrebird::user {
namespace {

constexpr int kAnonymous = MAP_PRIVATE | MAP_ANONYMOUS;
constexpr uint32_t kReadWrite = PROT_READ | PROT_WRITE;

class AddressSpaceTest : public ::testing::Test {
 protected:
  AddressSpaceTest() : space(layout_64bit()) {
    // Unguarded faults die as before.
    struct sigaction action = {};
    action.sa_sigaction = [](int signal, siginfo_t* info, void*) {
      FaultGuard::deliver(signal, *info);
      ::signal(signal, SIG_DFL);
    };
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    ::sigaction(SIGSEGV, &action, &old_segv);
    ::sigaction(SIGBUS, &action, &old_bus);
    space.on_code_change(
        [](void* self, uint64_t start, uint64_t size) {
          static_cast<AddressSpaceTest*>(self)->changes.emplace_back(start, size);
        },
        this);
  }
  ~AddressSpaceTest() override {
    ::sigaction(SIGSEGV, &old_segv, nullptr);
    ::sigaction(SIGBUS, &old_bus, nullptr);
  }
  uint64_t map(uint64_t size, uint32_t prot = kReadWrite, uint64_t address = 0, int flags = kAnonymous) {
    MapRequest request;
    request.address = address;
    request.size = size;
    request.prot = prot;
    request.flags = flags;
    return static_cast<uint64_t>(space.map(request));
  }

  struct sigaction old_segv, old_bus;
  std::vector<std::pair<uint64_t, uint64_t>> changes;
  AddressSpace space;
};

TEST_F(AddressSpaceTest, MapsFromTheTopDown) {
  const uint64_t first = map(kPage), second = map(3 * kPage);
  EXPECT_EQ(first, space.layout().mmap_top - kPage);
  EXPECT_EQ(second, first - 3 * kPage);
}

TEST_F(AddressSpaceTest, EqualNeighboursAreOneRegion) {
  map(kPage);
  map(kPage);
  EXPECT_EQ(space.regions().size(), 1u);
}

TEST_F(AddressSpaceTest, AHoleInTheMiddleLeavesTwoRegions) {
  const uint64_t at = map(3 * kPage);
  EXPECT_EQ(space.unmap(at + kPage, kPage), 0);
  EXPECT_EQ(space.regions().size(), 2u);
  EXPECT_FALSE(space.is_mapped(at, 3 * kPage));
  EXPECT_EQ(space.mapped_prefix(at, 3 * kPage), kPage);
  EXPECT_EQ(map(kPage), at + kPage);
}

TEST_F(AddressSpaceTest, WhatWasSeenMappedIsForgottenWithIt) {
  constexpr unsigned kPlaces = 6;  // more than a thread remembers
  uint64_t places[kPlaces], value = 0;
  for (uint64_t& place : places) place = map(kPage, kReadWrite, 0, MAP_SHARED | MAP_ANONYMOUS);
  for (unsigned round = 0; round < 2; ++round)
    for (const uint64_t place : places) EXPECT_TRUE(space.put(place, place) && space.get(place, value));
  EXPECT_EQ(space.mapped_prefix(places[0], 2 * kPage), kPage);
  ASSERT_EQ(space.unmap(places[1], kPage), 0);
  EXPECT_FALSE(space.get(places[1], value));
  EXPECT_EQ(space.mapped_prefix(places[1], 1), 0u);
  EXPECT_TRUE(space.get(places[2], value));
  EXPECT_EQ(value, places[2]);
  // Nor does another space have it.
  const AddressSpace other(layout_64bit());
  EXPECT_EQ(other.mapped_prefix(places[2], 1), 0u);
}

TEST_F(AddressSpaceTest, FixedReplacesWhatTheGuestHas) {
  const uint64_t at = map(2 * kPage);
  EXPECT_TRUE(space.put(at, uint64_t{42}));
  EXPECT_EQ(map(kPage, kReadWrite, at, kAnonymous | MAP_FIXED), at);
  uint64_t value = 1;
  EXPECT_TRUE(space.get(at, value));
  EXPECT_EQ(value, 0u);
}

TEST_F(AddressSpaceTest, FixedNoReplaceRefusesWhatTheGuestHas) {
  const uint64_t at = map(kPage);
  EXPECT_EQ(static_cast<int64_t>(map(kPage, kReadWrite, at, kAnonymous | MAP_FIXED_NOREPLACE)), -EEXIST);
}

TEST_F(AddressSpaceTest, FixedDoesNotDestroyTheEmulator) {
  static int ours = 5;
  const uint64_t page = reinterpret_cast<uint64_t>(&ours) & ~(kPage - 1);
  EXPECT_EQ(static_cast<int64_t>(map(kPage, kReadWrite, page, kAnonymous | MAP_FIXED)), -ENOMEM);
  EXPECT_EQ(ours, 5);
}

TEST_F(AddressSpaceTest, UnmapAndProtectLeaveTheEmulatorAlone) {
  static int ours = 5;
  const uint64_t page = reinterpret_cast<uint64_t>(&ours) & ~(kPage - 1);
  EXPECT_EQ(space.unmap(page, kPage), 0);
  EXPECT_EQ(space.protect(page, kPage, PROT_NONE, false), -ENOMEM);
  EXPECT_EQ(ours, 5);
}

TEST_F(AddressSpaceTest, FailedFixedMapTakesNothing) {
  MapRequest request;
  request.address = space.layout().mmap_bottom;
  request.size = kPage;
  request.prot = PROT_READ;
  request.flags = MAP_PRIVATE | MAP_FIXED;
  request.fd = -1;
  EXPECT_EQ(space.map(request), -EBADF);
  EXPECT_TRUE(space.regions().empty());
  EXPECT_EQ(map(kPage, kReadWrite, request.address, kAnonymous | MAP_FIXED_NOREPLACE), request.address);
}

TEST_F(AddressSpaceTest, ExecuteNeverReachesTheHost) {
  const uint64_t at = map(kPage, PROT_READ | PROT_EXEC);
  unsigned char resident;
  ASSERT_EQ(::mincore(space.host(at), kPage, &resident), 0);
  uint32_t word;
  EXPECT_TRUE(space.fetch(at, &word, 4));
  FILE* const maps = std::fopen("/proc/self/maps", "r");
  char line[512];
  bool found = false;
  while (std::fgets(line, sizeof line, maps)) {
    unsigned long low, high;
    char rights[5];
    if (std::sscanf(line, "%lx-%lx %4s", &low, &high, rights) != 3 || low > at || high <= at) continue;
    found = true;
    EXPECT_EQ(rights[2], '-');
  }
  std::fclose(maps);
  EXPECT_TRUE(found);
}

TEST_F(AddressSpaceTest, FetchNeedsTheExecuteRight) {
  const uint64_t at = map(kPage);
  uint32_t word;
  EXPECT_FALSE(space.fetch(at, &word, 4));
  EXPECT_EQ(space.protect(at, kPage, PROT_READ | PROT_EXEC, false), 0);
  EXPECT_TRUE(space.fetch(at, &word, 4));
  EXPECT_FALSE(space.fetch(at + kPage - 2, &word, 4));
}

TEST_F(AddressSpaceTest, CodeChangesAreTold) {
  const uint64_t at = map(2 * kPage, PROT_READ | PROT_EXEC);
  changes.clear();
  space.protect(at, kPage, kReadWrite, false);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0], std::make_pair(at, kPage));
  space.unmap(at, 2 * kPage);
  EXPECT_GE(changes.size(), 2u);
}

TEST_F(AddressSpaceTest, GuardedPagesAreKnown) {
  const uint64_t at = map(2 * kPage, PROT_READ | PROT_EXEC);
  EXPECT_FALSE(space.any_guarded());
  space.protect(at, kPage, PROT_READ | PROT_EXEC, true);
  EXPECT_TRUE(space.guarded(at + 8));
  EXPECT_FALSE(space.guarded(at + kPage));
}

/// Where code comes from that a file of that name in a directory of its own holds, all written at the same
/// time.
uint64_t identity_of_file(AddressSpace& space, const std::string& contents) {
  char directory[] = "/tmp/lyrebird-identity-XXXXXX";
  EXPECT_NE(::mkdtemp(directory), nullptr);
  const std::string path = std::string(directory) + "/ld.so";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0700);
  EXPECT_EQ(::write(fd, contents.data(), contents.size()), static_cast<ssize_t>(contents.size()));
  const timespec times[2] = {{.tv_sec = 1'777'320'873}, {.tv_sec = 1'777'320'873}};
  EXPECT_EQ(::futimens(fd, times), 0);
  MapRequest request;
  request.size = kPage;
  request.prot = PROT_READ | PROT_EXEC;
  request.flags = MAP_PRIVATE;
  request.fd = fd;
  const int64_t at = space.map(request);
  frontend::CodeOrigin origin;
  EXPECT_TRUE(at > 0 && space.origin(static_cast<uint64_t>(at), origin));
  ::close(fd);
  ::unlink(path.c_str());
  ::rmdir(directory);
  return origin.identity;
}

TEST_F(AddressSpaceTest, CopiesOfAFileAreOneOtherBuildsAreNot) {
  const uint64_t one = identity_of_file(space, std::string(kPage, 'a'));
  EXPECT_EQ(identity_of_file(space, std::string(kPage, 'a')), one);
  EXPECT_NE(identity_of_file(space, std::string(kPage, 'b')), one);
}

TEST_F(AddressSpaceTest, AccessToUnmappedAndUnreadableMemoryFails) {
  const uint64_t at = map(2 * kPage);
  space.protect(at + kPage, kPage, PROT_NONE, false);
  char byte;
  EXPECT_TRUE(space.read(at + kPage - 1, &byte, 1));
  EXPECT_FALSE(space.read(at + kPage, &byte, 1));
  EXPECT_FALSE(space.read(0, &byte, 1));
  EXPECT_FALSE(space.write(at + kPage, "x", 1));
  EXPECT_FALSE(space.read(reinterpret_cast<uint64_t>(&byte), &byte, 1));
}

TEST_F(AddressSpaceTest, StringsEndBeforeAHole) {
  const uint64_t at = map(kPage);
  EXPECT_TRUE(space.write(at + kPage - 4, "abc", 4));
  std::string text;
  EXPECT_EQ(space.read_string(at + kPage - 4, text), 0);
  EXPECT_EQ(text, "abc");
  EXPECT_TRUE(space.write(at + kPage - 4, "abcd", 4));
  EXPECT_EQ(space.read_string(at + kPage, text), -EFAULT);
}

TEST_F(AddressSpaceTest, KernelPointersOfBadMemoryFail) {
  uint64_t size = 16;
  void* const bad = space.for_kernel(reinterpret_cast<uint64_t>(&size), size);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_EQ(::write(ends[1], bad, 16), -1);
  EXPECT_EQ(errno, EFAULT);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(AddressSpaceTest, BrkGrowsAndShrinks) {
  const uint64_t start = space.layout().pie_base;
  space.init_brk(start);
  EXPECT_EQ(space.set_brk(0), start);
  EXPECT_EQ(space.set_brk(start + 5000), start + 5000);
  EXPECT_TRUE(space.put(start + 4999, uint8_t{1}));
  EXPECT_EQ(space.set_brk(start + 100), start + 100);
  EXPECT_FALSE(space.is_mapped(start + kPage, 1));
  EXPECT_EQ(space.set_brk(start + 5000), start + 5000);
  uint8_t again = 7;
  EXPECT_TRUE(space.get(start + 4999, again));
  EXPECT_EQ(again, 0);
}

TEST_F(AddressSpaceTest, BrkStopsAtTheNextMapping) {
  const uint64_t start = space.layout().pie_base;
  space.init_brk(start);
  map(kPage, kReadWrite, start + 4 * kPage, kAnonymous | MAP_FIXED);
  EXPECT_EQ(space.set_brk(start + 4 * kPage), start + 4 * kPage);
  EXPECT_EQ(space.set_brk(start + 4 * kPage + 1), start + 4 * kPage);
}

TEST_F(AddressSpaceTest, LimitsHold) {
  space.set_limits(4 * kPage, ~uint64_t{0});
  map(3 * kPage);
  EXPECT_EQ(static_cast<int64_t>(map(2 * kPage)), -ENOMEM);
  EXPECT_GT(static_cast<int64_t>(map(kPage)), 0);
}

TEST_F(AddressSpaceTest, RemapGrowsInPlaceWhenItCan) {
  const uint64_t at = map(4 * kPage);
  space.unmap(at + kPage, 3 * kPage);
  EXPECT_TRUE(space.put(at, uint32_t{9}));
  EXPECT_EQ(space.remap(at, kPage, 3 * kPage, 0, 0), static_cast<int64_t>(at));
  EXPECT_TRUE(space.is_mapped(at, 3 * kPage));
  EXPECT_TRUE(space.put(at + 3 * kPage - 4, uint32_t{1}));
}

TEST_F(AddressSpaceTest, RemapMovesWhenItMust) {
  const uint64_t blocker = map(kPage);
  const uint64_t at = map(kPage);
  ASSERT_EQ(at + kPage, blocker);
  EXPECT_TRUE(space.put(at, uint32_t{9}));
  EXPECT_EQ(space.remap(at, kPage, 2 * kPage, 0, 0), -ENOMEM);
  const int64_t moved = space.remap(at, kPage, 2 * kPage, MREMAP_MAYMOVE, 0);
  ASSERT_GT(moved, 0);
  EXPECT_NE(static_cast<uint64_t>(moved), at);
  EXPECT_FALSE(space.is_mapped(at, 1));
  uint32_t value = 0;
  EXPECT_TRUE(space.get(static_cast<uint64_t>(moved), value));
  EXPECT_EQ(value, 9u);
}

TEST_F(AddressSpaceTest, RemapShrinks) {
  const uint64_t at = map(4 * kPage);
  EXPECT_EQ(space.remap(at, 4 * kPage, kPage, 0, 0), static_cast<int64_t>(at));
  EXPECT_FALSE(space.is_mapped(at + kPage, 1));
}

TEST_F(AddressSpaceTest, RemapFixedReplacesTheTarget) {
  const uint64_t target = map(2 * kPage), at = map(kPage);
  EXPECT_TRUE(space.put(at, uint32_t{3}));
  EXPECT_EQ(space.remap(at, kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED, target),
            static_cast<int64_t>(target));
  uint32_t value = 0;
  EXPECT_TRUE(space.get(target, value));
  EXPECT_EQ(value, 3u);
  EXPECT_EQ(space.remap(target, kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED,
                        reinterpret_cast<uint64_t>(&value) & ~(kPage - 1)),
            -ENOMEM);
}

TEST_F(AddressSpaceTest, StackGrowsDown) {
  const uint64_t place = space.layout().mmap_bottom + 4096 * kPage;
  const uint64_t at = map(kPage, kReadWrite, place, kAnonymous | MAP_GROWSDOWN | MAP_FIXED);
  EXPECT_TRUE(space.grow_down(at - 100));
  EXPECT_TRUE(space.put(at - 100, uint32_t{1}));
  EXPECT_FALSE(space.grow_down(at - (16u << 20)));
}

TEST_F(AddressSpaceTest, WorksWithABase) {
  constexpr uint64_t kSize = 64u << 20;
  void* const reserved =
      ::mmap(nullptr, kSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(reserved, MAP_FAILED);
  ::munmap(reserved, kSize);  // only to know a free place
  SpaceLayout layout;
  layout.base = reinterpret_cast<uint64_t>(reserved);
  layout.min_address = kPage;
  layout.task_size = kSize;
  layout.mmap_bottom = 1u << 20;
  layout.mmap_top = kSize;
  layout.reserved = true;
  {
    AddressSpace small(layout);
    MapRequest request;
    request.size = kPage;
    request.prot = kReadWrite;
    request.flags = kAnonymous;
    const int64_t at = small.map(request);
    EXPECT_EQ(at, static_cast<int64_t>(kSize - kPage));
    EXPECT_TRUE(small.put(static_cast<uint64_t>(at), uint32_t{7}));
    EXPECT_EQ(small.unmap(static_cast<uint64_t>(at), kPage), 0);
    EXPECT_FALSE(small.put(static_cast<uint64_t>(at), uint32_t{7}));
    request.address = 0x10000;
    request.flags |= MAP_FIXED;
    EXPECT_EQ(small.map(request), 0x10000);
  }
}

}  // namespace
}  // namespace lyrebird::user
