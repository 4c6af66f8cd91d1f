// SPDX-License-Identifier: Apache-2.0
// Files of kept translations: what goes in comes out, and whatever happens to a file only costs
// translations.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/fault_guard.h"
#include "jit/persist/build.h"
#include "jit/persist/directory.h"
#include "jit/persist/file.h"
#include "jit/persist/hash.h"
#include "tests/unit/kept_folder.h"

namespace lyrebird::jit::persist {
namespace {

constexpr uint64_t kKey = 0x1234;

struct Persist : test::KeptFolder {
  std::vector<std::vector<uint8_t>> codes;

  std::string path(const char* name = "a.lyc") const { return directory + "/" + name; }

  Item item(uint64_t pc, size_t size = 64) {
    codes.emplace_back(size, static_cast<uint8_t>(pc ^ pc >> 8));
    Item item;
    item.key = {pc, 3};
    item.guest_size = 16, item.guest_count = 4, item.guest_hash = pc * 7;
    item.code = codes.back();
    return item;
  }
  std::vector<Item> items(uint64_t first, unsigned count) {
    std::vector<Item> all;
    for (unsigned i = 0; i < count; ++i) all.push_back(item(first + 16 * i, 40 + 8 * (i % 5)));
    return all;
  }
  /// Number of the items found whole; every one that is found must be right.
  static unsigned found(const File& file, const std::vector<Item>& all) {
    volatile unsigned count = 0;
    for (const Item& wanted : all) {
      FaultGuard guard;
      if (sigsetjmp(guard.env, 0) != 0) continue;
      guard.arm();
      const auto got = file.find(wanted.key);
      if (!got) continue;
      EXPECT_EQ(got->guest_hash, wanted.guest_hash);
      EXPECT_EQ(got->guest_size, wanted.guest_size);
      EXPECT_TRUE(std::equal(got->code.begin(), got->code.end(), wanted.code.begin(), wanted.code.end()));
      count = count + 1;
    }
    return count;
  }
};

TEST_F(Persist, WhatWasAppendedIsFoundByTheNext) {
  auto all = items(0x1000, 100);
  all[7].more = {{0x9000, 8, 1}, {0xa000, 12, 2}};
  {
    File file(path(), kKey, "prog");
    EXPECT_EQ(found(file, all), 0u);
    EXPECT_EQ(file.append(all), 100);
  }
  File file(path(), kKey, "prog");
  EXPECT_EQ(found(file, all), 100u);
  EXPECT_FALSE(file.find({0x1000, 4})) << "another mode";
  const auto region = file.find(all[7].key);
  ASSERT_EQ(region->more.size(), 2u);
  EXPECT_EQ(region->more[1].pc, 0xa000u);
  const FileInfo info = File::inspect(path(), true);
  EXPECT_TRUE(info.valid);
  EXPECT_EQ(info.items, 100u);
  EXPECT_EQ(info.bad, 0u);
  EXPECT_EQ(info.image, "prog");
}

TEST_F(Persist, OnlyWhatIsMissingIsAppendedAndManyChunksBecomeOne) {
  File file(path(), kKey, "prog");
  std::vector<Item> all;
  for (unsigned i = 0; i < 40; ++i) {
    const auto more = items(0x1000 * (i + 1), 3);
    EXPECT_EQ(file.append(more), 3);
    EXPECT_EQ(file.append(more), 0);
    all.insert(all.end(), more.begin(), more.end());
  }
  EXPECT_LE(File::inspect(path(), true).chunks, 13u);
  File other(path(), kKey, "prog");
  EXPECT_EQ(found(other, all), 120u);
  file.refresh();
  EXPECT_EQ(found(file, all), 120u);
}

TEST_F(Persist, AnotherKeyFindsNothingAndStartsAnew) {
  const auto all = items(0x1000, 10);
  EXPECT_EQ(File(path(), kKey, "prog").append(all), 10);
  File file(path(), kKey + 1, "prog");
  EXPECT_EQ(found(file, all), 0u);
  EXPECT_EQ(file.append(all), 10);
  EXPECT_EQ(found(File(path(), kKey, "prog"), all), 0u);
}

TEST_F(Persist, EveryFlippedBitIsNoticed) {
  const auto all = items(0x1000, 20);
  EXPECT_EQ(File(path(), kKey, "prog").append(all), 20);
  std::ifstream in(path(), std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  std::mt19937 random(1);
  unsigned lost = 0;
  for (unsigned round = 0; round < 600; ++round) {
    std::string bad = good;
    for (unsigned n = 0; n <= round % 3; ++n)
      bad[random() % bad.size()] ^= static_cast<char>(1 << random() % 8);
    std::ofstream(path(), std::ios::binary) << bad;
    ASSERT_EQ(chmod(path().c_str(), 0600), 0);
    File file(path(), kKey, "prog");
    lost += found(file, all) < 20;
    (void)File::inspect(path(), true);
    if (round % 100 == 0) {
      EXPECT_GE(file.append(all), 0);
      file.refresh();
      EXPECT_EQ(found(file, all), 20u);
    }
  }
  EXPECT_GT(lost, 300u);
}

TEST_F(Persist, TruncationAtEveryLength) {
  const auto first = items(0x1000, 5), second = items(0x8000, 5);
  {
    File file(path(), kKey, "prog");
    EXPECT_EQ(file.append(first), 5);
  }
  struct stat st;
  ASSERT_EQ(stat(path().c_str(), &st), 0);
  const auto one = st.st_size;
  EXPECT_EQ(File(path(), kKey, "prog").append(second), 5);
  ASSERT_EQ(stat(path().c_str(), &st), 0);
  std::ifstream in(path(), std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  for (off_t size = 0; size < st.st_size; size += 7) {
    std::ofstream(path(), std::ios::binary) << good.substr(0, static_cast<size_t>(size));
    File file(path(), kKey, "prog");
    EXPECT_EQ(found(file, first), size < one ? 0u : 5u) << size;
    EXPECT_EQ(found(file, second), 0u);
    EXPECT_GT(file.append(second), 0);
    file.refresh();
    EXPECT_EQ(found(file, second), 5u) << size;
  }
}

TEST_F(Persist, AFileThatShrinksWhileMappedCostsALookUp) {
  const auto all = items(0x1000, 2000);
  File file(path(), kKey, "prog");
  EXPECT_EQ(file.append(all), 2000);
  file.refresh();
  EXPECT_EQ(found(file, all), 2000u);
  ASSERT_EQ(truncate(path().c_str(), 200), 0);
  EXPECT_LT(found(file, all), 2000u);
  EXPECT_GT(file.append(all), 0);
  EXPECT_EQ(found(File(path(), kKey, "prog"), all), 2000u);
}

TEST_F(Persist, ManyWritersAtOnce) {
  constexpr unsigned kWriters = 6, kRounds = 20;
  for (unsigned w = 0; w < kWriters; ++w) {
    if (fork() == 0) {
      File file(path(), kKey, "prog");
      for (unsigned r = 0; r < kRounds; ++r)
        if (file.append(items(0x100000 * (w + 1) + 0x1000 * r, 10), true) < 0) _exit(1);
      _exit(0);
    }
  }
  for (unsigned w = 0; w < kWriters; ++w) {
    int status = 0;
    wait(&status);
    EXPECT_EQ(status, 0);
  }
  File file(path(), kKey, "prog");
  for (unsigned w = 0; w < kWriters; ++w)
    for (unsigned r = 0; r < kRounds; ++r)
      EXPECT_EQ(found(file, items(0x100000 * (w + 1) + 0x1000 * r, 10)), 10u) << w << ' ' << r;
  EXPECT_EQ(File::inspect(path(), true).bad, 0u);
}

TEST_F(Persist, ALockedFileIsLeftAlone) {
  const auto all = items(0x1000, 3);
  File file(path(), kKey, "prog");
  EXPECT_EQ(file.append(all), 3);
  const int fd = open(path().c_str(), O_RDWR);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  EXPECT_EQ(file.append(items(0x9000, 3)), -1);
  close(fd);
  EXPECT_EQ(file.append(items(0x9000, 3)), 3);
}

TEST_F(Persist, NoRoomAndNoRights) {
  const auto all = items(0x1000, 200);
  File file(path(), kKey, "prog");
  EXPECT_EQ(file.append(items(0x80000, 5)), 5);
  struct stat before, after;
  ASSERT_EQ(stat(path().c_str(), &before), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    const rlimit limit{static_cast<rlim_t>(before.st_size) + 1000, RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &limit);
    _exit(file.append(all) == -1 ? 0 : 1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
  ASSERT_EQ(stat(path().c_str(), &after), 0);
  EXPECT_EQ(before.st_size, after.st_size);
  EXPECT_EQ(File("/dev/full", kKey, "prog").append(all), -1);
  EXPECT_EQ(File("/proc/nothing.lyc", kKey, "prog").append(all), -1);
  EXPECT_EQ(File(directory + "/none/a.lyc", kKey, "prog").append(all), -1);
}

TEST_F(Persist, LinksAndFilesThatOthersMayWriteAreRefused) {
  const auto all = items(0x1000, 3);
  ASSERT_EQ(File(path("real"), kKey, "prog").append(all), 3);
  ASSERT_EQ(symlink(path("real").c_str(), path("soft.lyc").c_str()), 0);
  File soft(path("soft.lyc"), kKey, "prog");
  EXPECT_EQ(found(soft, all), 0u);
  EXPECT_EQ(soft.append(all), -1);
  ASSERT_EQ(link(path("real").c_str(), path("hard.lyc").c_str()), 0);
  EXPECT_EQ(found(File(path("hard.lyc"), kKey, "prog"), all), 0u);
  ASSERT_EQ(unlink(path("hard.lyc").c_str()), 0);
  EXPECT_EQ(found(File(path("real"), kKey, "prog"), all), 3u);
  ASSERT_EQ(chmod(path("real").c_str(), 0666), 0);
  EXPECT_EQ(found(File(path("real"), kKey, "prog"), all), 0u);
  ASSERT_EQ(mkfifo(path("pipe.lyc").c_str(), 0600), 0);
  EXPECT_EQ(File(path("pipe.lyc"), kKey, "prog").append(all), -1);
}

TEST_F(Persist, DirectoriesThatWeMayNotTrust) {
  std::string why;
  EXPECT_TRUE(open_directory(path("deep/cache"), &why)) << why;
  struct stat st;
  ASSERT_EQ(stat(path("deep/cache").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700u);
  ASSERT_EQ(chmod(path("deep/cache").c_str(), 0777), 0);
  EXPECT_FALSE(open_directory(path("deep/cache"), &why));
  ASSERT_EQ(symlink(path("deep").c_str(), path("link").c_str()), 0);
  EXPECT_FALSE(open_directory(path("link"), &why));
  EXPECT_FALSE(open_directory("", &why));
  EXPECT_FALSE(open_directory("/proc/no/such", &why));
  if (geteuid() == 0) {
    ASSERT_EQ(mkdir(path("other").c_str(), 0700), 0);
    ASSERT_EQ(chown(path("other").c_str(), 1234, 1234), 0);
    EXPECT_FALSE(open_directory(path("other"), &why));
    const pid_t pid = fork();
    // Not by seteuid(): after a fork the C library waits for threads that are not there, tsan's own.
    if (pid == 0) _exit(syscall(SYS_setresuid, -1, 1234, -1) == 0 && !open_directory(path("deep")) ? 0 : 1);
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0) << "a program with other rights than its user's";
  }
}

TEST_F(Persist, PruningKeepsWhatWasUsedLast) {
  for (unsigned i = 0; i < 5; ++i) {
    const std::string name = path(("f" + std::to_string(i) + ".lyc").c_str());
    std::ofstream(name) << std::string(1000, 'x');
    const timespec times[2] = {{1000 + i, 0}, {1000 + i, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, name.c_str(), times, 0), 0);
  }
  std::ofstream(path("not-ours.txt")) << "x";
  EXPECT_EQ(prune_directory(directory, 5000), 0u);
  EXPECT_EQ(prune_directory(directory, 2500), 3u);
  const auto left = list_directory(directory);
  ASSERT_EQ(left.size(), 2u);
  EXPECT_EQ(left[0].path, path("f4.lyc"));
  EXPECT_EQ(left[1].path, path("f3.lyc"));
  EXPECT_EQ(prune_directory(directory, 0), 2u);
  EXPECT_EQ(access(path("not-ours.txt").c_str(), F_OK), 0);
}

TEST(PersistBuild, TheProgramKnowsItself) {
  EXPECT_GE(build_id().size(), 8u);
  const auto here = reinterpret_cast<uint64_t>(&hash_bytes);
  (void)here;
  EXPECT_LT(reinterpret_cast<uint64_t>(&build_id) - image_base(), image_size());
}

TEST(PersistHash, NoShortInputsCollide) {
  std::vector<uint64_t> seen;
  uint8_t bytes[80] = {};
  for (unsigned size = 0; size <= 80; ++size) seen.push_back(hash_bytes(bytes, size, 1));
  for (unsigned bit = 0; bit < 640; ++bit) {
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    seen.push_back(hash_bytes(bytes, 80, 1));
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
}

TEST(PersistSize, Text) {
  uint64_t size = 0;
  EXPECT_TRUE(parse_size("12", size) && size == 12);
  EXPECT_TRUE(parse_size("3K", size) && size == 3072);
  EXPECT_TRUE(parse_size("2G", size) && size == uint64_t{2} << 30);
  for (const char* bad : {"", "x", "-1", "3X", "3KB"}) EXPECT_FALSE(parse_size(bad, size)) << bad;
}

}  // namespace
}  // namespace lyrebird::jit::persist
