// SPDX-License-Identifier: Apache-2.0
#include "block/file_node.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "block/image_lock.h"

namespace lyrebird::block {
namespace {

class TemporaryFile {
 public:
  explicit TemporaryFile(uint64_t size) {
    // Not in /tmp, which may be a file system without direct I/O.
    std::string name = (std::filesystem::current_path() / "build/block_test.XXXXXX").string();
    const int fd = ::mkstemp(name.data());
    EXPECT_GE(fd, 0) << name;
    EXPECT_EQ(::ftruncate(fd, static_cast<off_t>(size)), 0);
    ::close(fd);
    path = name;
  }
  ~TemporaryFile() { ::unlink(path.c_str()); }
  uint64_t blocks() const {
    struct stat status = {};
    ::stat(path.c_str(), &status);
    return static_cast<uint64_t>(status.st_blocks);
  }
  std::string path;
};

struct Mode {
  CacheMode cache;
  IoEngine::Kind aio;
};

class FileNodes : public testing::TestWithParam<Mode> {
 protected:
  std::unique_ptr<Node> open(FileOptions options = {}) {
    options.path = options.path.empty() ? file.path : options.path;
    options.cache = GetParam().cache;
    options.aio = GetParam().aio;
    auto node = open_file(options, loop);
    EXPECT_TRUE(node) << (node ? "" : node.error().message);
    return node ? std::move(node.value()) : nullptr;
  }
  template <typename Request>
  int wait(Request&& request) {
    std::optional<int> error;
    request([&](int e) { error = e; });
    EXPECT_FALSE(error) << "done inside of the request";
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!error && std::chrono::steady_clock::now() < end) loop.run_once(5);
    return error.value_or(-1);
  }
  int write(Node& node, uint64_t offset, const void* data, size_t size) {
    const iovec piece{const_cast<void*>(data), size};
    return wait([&](Done done) { node.write(offset, {&piece, 1}, false, done); });
  }
  int read(Node& node, uint64_t offset, void* data, size_t size) {
    const iovec piece{data, size};
    return wait([&](Done done) { node.read(offset, {&piece, 1}, done); });
  }

  static constexpr uint64_t kSize = 1 << 20;
  TemporaryFile file{kSize};
  system::EventLoop loop;
  alignas(4096) uint8_t out_[65536], in_[65536];
};

TEST_P(FileNodes, WhatWasWrittenIsRead) {
  const auto node = open();
  ASSERT_EQ(node->info().size, kSize);
  for (size_t i = 0; i < sizeof out_; ++i) out_[i] = static_cast<uint8_t>(i * 7 + i / 256);
  // Aligned for any disk, for memory pages only, for sectors only, for nothing.
  for (const auto [offset, skip, size] :
       {std::array<size_t, 3>{8192, 0, 65536}, {512, 0, 1024}, {4096, 3, 4096}, {777, 5, 1001}}) {
    ASSERT_EQ(write(*node, offset, out_ + skip, size), 0);
    std::memset(in_, 0, sizeof in_);
    ASSERT_EQ(read(*node, offset, in_ + skip, size), 0);
    EXPECT_EQ(std::memcmp(in_ + skip, out_ + skip, size), 0) << offset;
    if (skip + size > sizeof out_) break;
  }
  EXPECT_EQ(wait([&](Done done) { node->flush(done); }), 0);
}

TEST_P(FileNodes, ManyPiecesAtOnce) {
  const auto node = open();
  std::vector<iovec> pieces;
  for (size_t i = 0; i < sizeof out_; ++i) out_[i] = static_cast<uint8_t>(i * 3);
  for (int i = 0; i < 16; ++i) pieces.push_back({out_ + 4096 * (15 - i), 4096});
  ASSERT_EQ(wait([&](Done done) { node->write(4096, pieces, true, done); }), 0);
  for (iovec& piece : pieces) piece.iov_base = in_ + (static_cast<uint8_t*>(piece.iov_base) - out_);
  ASSERT_EQ(wait([&](Done done) { node->read(4096, pieces, done); }), 0);
  EXPECT_EQ(std::memcmp(in_, out_, sizeof in_), 0);
}

TEST_P(FileNodes, ZeroesAreWrittenWithAndWithoutUnmapping) {
  const auto node = open({.discard = true});
  std::memset(out_, 0xaa, sizeof out_);
  for (const bool unmap : {false, true}) {
    ASSERT_EQ(write(*node, 0, out_, 65536), 0);
    ASSERT_EQ(wait([&](Done done) { node->write_zeroes(4096, 32768, unmap, true, done); }), 0);
    ASSERT_EQ(read(*node, 0, in_, 65536), 0);
    EXPECT_EQ(in_[4095], 0xaa);
    EXPECT_TRUE(std::all_of(in_ + 4096, in_ + 4096 + 32768, [](uint8_t b) { return b == 0; }));
    EXPECT_EQ(in_[4096 + 32768], 0xaa);
  }
}

TEST_P(FileNodes, DiscardGivesSpaceBackOnlyIfAskedFor) {
  std::memset(out_, 0xaa, sizeof out_);
  for (const bool unmap : {false, true}) {
    const auto node = open({.discard = unmap});
    ASSERT_EQ(write(*node, 0, out_, 65536), 0);
    ASSERT_EQ(wait([&](Done done) { node->flush(done); }), 0);
    ::sync();
    const uint64_t before = file.blocks();
    ASSERT_EQ(wait([&](Done done) { node->discard(0, 65536, done); }), 0);
    EXPECT_EQ(file.blocks() < before, unmap);
  }
}

TEST_P(FileNodes, RequestsOutsideOfTheDiskAreRefused) {
  const auto node = open();
  EXPECT_EQ(read(*node, kSize - 512, in_, 1024), EINVAL);
  EXPECT_EQ(write(*node, kSize, out_, 512), EINVAL);
  EXPECT_EQ(write(*node, ~0ull - 511, out_, 512), EINVAL);
  EXPECT_EQ(wait([&](Done done) { node->discard(kSize - 1, 2, done); }), EINVAL);
  EXPECT_EQ(wait([&](Done done) { node->write_zeroes(kSize - 1, 2, false, false, done); }), EINVAL);
}

TEST_P(FileNodes, AReadOnlyDiskRefusesWrites) {
  const auto node = open({.read_only = true});
  EXPECT_TRUE(node->info().read_only);
  EXPECT_EQ(write(*node, 0, out_, 512), EPERM);
  EXPECT_EQ(read(*node, 0, in_, 512), 0);
  EXPECT_EQ(wait([&](Done done) { node->flush(done); }), 0);
}

TEST_P(FileNodes, ALastPartialSectorReadsAsZeros) {
  ASSERT_EQ(::truncate(file.path.c_str(), 700), 0);
  std::ofstream(file.path, std::ios::in) << std::string(700, 'x');
  const auto node = open();
  EXPECT_EQ(node->info().size, 1024u);
  std::memset(in_, 0xee, 1024);
  ASSERT_EQ(read(*node, 0, in_, 1024), 0);
  EXPECT_EQ(in_[699], 'x');
  EXPECT_EQ(in_[700], 0);
  EXPECT_EQ(in_[1023], 0);
}

TEST_P(FileNodes, DrainWaitsForEverythingWithoutTheLoop) {
  const auto node = open();
  int done = 0;
  const iovec piece{out_, 4096};
  for (uint64_t i = 0; i < 200; ++i)
    node->write(4096 * i, {&piece, 1}, false, [&](int error) { done += error == 0; });
  node->read(kSize, {&piece, 1}, [&](int error) { done += error == EINVAL; });
  std::thread other([&] { node->drain(); });
  other.join();
  EXPECT_EQ(done, 201);
}

TEST_P(FileNodes, RequestsMayBeHandedOverTogether) {
  const auto node = open();
  int done = 0;
  const iovec piece{out_, 512};
  node->plug();
  for (uint64_t i = 0; i < 400; ++i)
    node->write(512 * i, {&piece, 1}, false, [&](int error) { done += error == 0; });
  node->unplug();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (done < 400 && std::chrono::steady_clock::now() < end) loop.run_once(5);
  EXPECT_EQ(done, 400);
}

TEST_P(FileNodes, TwoWritersAreKeptApart) {
  const auto node = open();
  for (const bool read_only : {false, true}) {
    const auto second = open_file({.path = file.path, .read_only = read_only}, loop);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("in use"), std::string::npos) << second.error().message;
  }
  EXPECT_TRUE(open_file({.path = file.path, .locking = LockMode::Off}, loop));
}

TEST_P(FileNodes, TwoReadersMayShare) {
  const auto node = open({.read_only = true});
  EXPECT_TRUE(open_file({.path = file.path, .read_only = true}, loop));
  EXPECT_FALSE(open_file({.path = file.path}, loop));
}

std::string mode_name(const testing::TestParamInfo<Mode>& info) {
  static constexpr const char* kNames[] = {"Writeback", "None", "Writethrough", "Directsync", "Unsafe"};
  return std::string(kNames[static_cast<int>(info.param.cache)]) +
         (info.param.aio == IoEngine::Kind::Uring ? "Uring" : "Threads");
}
constexpr Mode mode(CacheMode cache, IoEngine::Kind aio) { return {cache, aio}; }
INSTANTIATE_TEST_SUITE_P(Modes, FileNodes,
                         testing::Values(mode(CacheMode::Writeback, IoEngine::Kind::Uring),
                                         mode(CacheMode::None, IoEngine::Kind::Uring),
                                         mode(CacheMode::Writethrough, IoEngine::Kind::Uring),
                                         mode(CacheMode::Directsync, IoEngine::Kind::Uring),
                                         mode(CacheMode::Unsafe, IoEngine::Kind::Uring),
                                         mode(CacheMode::Writeback, IoEngine::Kind::Threads),
                                         mode(CacheMode::None, IoEngine::Kind::Threads),
                                         mode(CacheMode::Directsync, IoEngine::Kind::Threads)),
                         mode_name);

TEST(OpenFile, SaysWhatIsWrong) {
  system::EventLoop loop;
  const auto missing = open_file({.path = "/nonexistent/disk.img"}, loop);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "/nonexistent/disk.img: No such file or directory");
  const auto folder = open_file({.path = "/", .read_only = true}, loop);
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().message, "/: is neither a file nor a block device");
  EXPECT_FALSE(parse_cache_mode("writeback2"));
  EXPECT_FALSE(parse_aio(""));
}

TEST(ProbeFormat, KnowsImagesThatAreNotRaw) {
  const std::string qcow2 = std::string("QFI\xfb", 4) + std::string(508, '\0');
  EXPECT_EQ(probe_format({reinterpret_cast<const uint8_t*>(qcow2.data()), qcow2.size()}), "qcow2");
  const std::vector<uint8_t> zeros(512);
  EXPECT_EQ(probe_format(zeros), "");
  EXPECT_EQ(probe_format({}), "");
}

}  // namespace
}  // namespace lyrebird::block
