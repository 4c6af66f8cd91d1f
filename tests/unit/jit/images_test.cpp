// SPDX-License-Identifier: Apache-2.0
// Images that the baseline engine runs from in place.
#if defined(LYREBIRD_TEST_BASELINE) && !defined(LYREBIRD_TEST_LLVM)
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>
#include <vector>

#include "jit/persist/image.h"
#include "tests/unit/jit/machine.h"
#include "tests/unit/kept_folder.h"

namespace lyrebird::jit::test {
namespace {

using Images = lyrebird::test::KeptFolder;

std::unique_ptr<persist::Image> make_image(const std::string& path, uint64_t key) {
  const persist::ImageName name{.path = path, .key = key, .of = "a program", .pages = 1};
  persist::ImageWriter writer(name);
  if (!writer.begin(persist::kImageCodeUnit)) return nullptr;
  std::memset(writer.room(64), 0, 64);
  const int mode = writer.mode(0);
  const persist::ImageBlock block{.pc = 0,
                                  .code = 0,
                                  .info = 0,
                                  .guest_size = 4,
                                  .guest_count = 1,
                                  .mode = static_cast<uint32_t>(mode) & 7,
                                  .entry = 1,
                                  .start = 0};
  const persist::ImagePage page{.hash = 1, .first = 0, .spare = 0};
  const std::vector<uint8_t> info(64);
  if (!writer.finish({&block, 1}, {&page, 1}, info)) return nullptr;
  return persist::Image::open(path, key, 1);
}

/// Their ids are random: of so many, some have the same low bits.
TEST_F(Images, AsManyAsAProgramHasLibrariesAreAllRunFrom) {
  constexpr unsigned kCount = 100;
  std::vector<std::unique_ptr<persist::Image>> images;
  std::set<uint32_t> low;
  Machine machine;
  for (unsigned i = 0; i < kCount; ++i) {
    images.push_back(make_image(directory + "/" + std::to_string(i), 7 + i));
    ASSERT_TRUE(images.back());
    low.insert(images.back()->id() % 128);
    EXPECT_TRUE(machine.engine.attach(*images.back(), uint64_t{i} << 20)) << i;
  }
  EXPECT_LT(low.size(), kCount);
  for (const auto& image : images) machine.engine.detach(*image);
  EXPECT_FALSE(machine.engine.attach(*images[0], 0)) << "it stays until the engine goes";
}

/// A byte of the image's code becomes another one.
void change(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY);
  const uint8_t other = 1;
  ASSERT_EQ(::pwrite(fd, &other, 1, 4096 + 32), 1);
  ::close(fd);
}

timespec time_of_writing(const std::string& path) {
  struct stat st{};
  EXPECT_EQ(::stat(path.c_str(), &st), 0);
  return st.st_mtim;
}

void set_time(const std::string& path, timespec written) {
  const timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, written};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

TEST_F(Images, WhatWasWrittenToIsNotBelieved) {
  const std::string path = directory + "/image";
  ASSERT_TRUE(make_image(path, 7));
  EXPECT_TRUE(persist::Image::open(path, 7, 1));
  change(path);
  EXPECT_FALSE(persist::Image::open(path, 7, 1));
}

/// The times say that it is as it was written: its checksum is not made again. Only whoever sets them does
/// that.
TEST_F(Images, AFileThatNobodyWroteToIsNotReadThrough) {
  const std::string path = directory + "/image";
  ASSERT_TRUE(make_image(path, 7));
  const timespec written = time_of_writing(path);
  change(path);
  set_time(path, written);
  EXPECT_TRUE(persist::Image::open(path, 7, 1));
  set_time(path, {written.tv_sec, (written.tv_nsec + 1) % 1'000'000'000});
  EXPECT_FALSE(persist::Image::open(path, 7, 1));
}

TEST_F(Images, ACopyIsVerified) {
  const std::string path = directory + "/image", copy = directory + "/copy";
  ASSERT_TRUE(make_image(path, 7));
  const timespec written = time_of_writing(path);
  std::filesystem::copy_file(path, copy);
  ASSERT_EQ(::chmod(copy.c_str(), 0600), 0);
  set_time(copy, written);
  EXPECT_TRUE(persist::Image::open(copy, 7, 1));
  change(copy);
  set_time(copy, written);
  EXPECT_FALSE(persist::Image::open(copy, 7, 1));
}

TEST_F(Images, UseLeavesTheTimeOfWritingAlone) {
  const std::string path = directory + "/image";
  ASSERT_TRUE(make_image(path, 7));
  const timespec written = time_of_writing(path);
  const timespec long_ago[2] = {{1000, 0}, {.tv_sec = 0, .tv_nsec = UTIME_OMIT}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), long_ago, 0), 0);
  ASSERT_TRUE(persist::Image::open(path, 7, 1));
  struct stat st{};
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_GT(st.st_atime, 1000);
  EXPECT_EQ(st.st_mtim.tv_sec, written.tv_sec);
  EXPECT_EQ(st.st_mtim.tv_nsec, written.tv_nsec);
}

}  // namespace
}  // namespace lyrebird::jit::test
#endif
