// SPDX-License-Identifier: Apache-2.0
#include "block/overlay_node.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "block/file_node.h"

namespace lyrebird::block {
namespace {

constexpr uint64_t kSize = 64 * 1024;

struct Overlay : testing::Test {
  Overlay() {
    std::ofstream(path) << std::string(kSize, 'b');
    auto base = open_file({.path = path, .read_only = true}, loop);
    EXPECT_TRUE(base);
    auto made = open_overlay(std::move(*base), loop);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    node = std::move(*made);
  }
  ~Overlay() override {
    node.reset();
    std::filesystem::remove(path);
  }
  template <typename Request>
  int wait(Request&& request) {
    std::optional<int> error;
    request([&](int e) { error = e; });
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!error && std::chrono::steady_clock::now() < end) loop.run_once(5);
    return error.value_or(-1);
  }
  int write(uint64_t offset, std::string data) {
    const iovec piece{data.data(), data.size()};
    return wait([&](Done done) { node->write(offset, {&piece, 1}, true, done); });
  }
  std::string read(uint64_t offset, size_t size) {
    std::string first(size / 2, '?'), second(size - size / 2, '?');
    const iovec pieces[] = {{first.data(), first.size()}, {second.data(), second.size()}};
    EXPECT_EQ(wait([&](Done done) { node->read(offset, pieces, done); }), 0);
    return first + second;
  }
  const std::string path = "build/overlay_test." + std::to_string(getpid());
  system::EventLoop loop;
  std::unique_ptr<Node> node;
};

TEST_F(Overlay, WritesAreReadAndTheImageStays) {
  EXPECT_FALSE(node->info().read_only);
  EXPECT_EQ(node->info().size, kSize);
  EXPECT_EQ(write(1000, "11111"), 0);
  EXPECT_EQ(write(1010, "2222"), 0);
  EXPECT_EQ(read(998, 20), "bb11111bbbbb2222bbbb");
  EXPECT_EQ(write(1003, "333333333"), 0);  // over both
  EXPECT_EQ(read(998, 20), "bb11133333333322bbbb");
  EXPECT_EQ(wait([&](Done done) { node->flush(done); }), 0);
  std::ifstream image(path);
  const std::string text{std::istreambuf_iterator<char>(image), {}};
  EXPECT_EQ(text, std::string(kSize, 'b'));
}

TEST_F(Overlay, ZeroesAreWrittenAndDiscardsAreNot) {
  EXPECT_EQ(wait([&](Done done) { node->write_zeroes(4096, 8192, true, false, done); }), 0);
  EXPECT_EQ(read(4094, 4), std::string("bb\0\0", 4));
  EXPECT_EQ(read(12286, 4), std::string("\0\0bb", 4));
  EXPECT_EQ(wait([&](Done done) { node->discard(20480, 4096, done); }), 0);
  EXPECT_EQ(read(20480, 2), "bb");
}

TEST_F(Overlay, BehindTheEndIsAnError) {
  EXPECT_EQ(write(kSize - 1, "xx"), EINVAL);
  char byte[2];
  const iovec piece{byte, 2};
  EXPECT_EQ(wait([&](Done done) { node->read(kSize - 1, {&piece, 1}, done); }), EINVAL);
  EXPECT_EQ(read(kSize - 2, 2), "bb");
}

}  // namespace
}  // namespace lyrebird::block
