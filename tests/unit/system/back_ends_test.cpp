// SPDX-License-Identifier: Apache-2.0
#include "system/chardev/back_ends.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace lyrebird::system {
namespace {

class Guest final : public CharReceiver {
 public:
  size_t room() override { return space; }
  void receive(std::span<const uint8_t> bytes) override {
    text.append(bytes.begin(), bytes.end());
    space -= std::min(space, bytes.size());
  }
  void connected(bool on) override { there = on; }
  std::string text;
  size_t space = 100;
  bool there = true;
};

class BackEnds : public testing::Test {
 protected:
  BackEnds() {
    char name[] = "/tmp/lyrebird_chardev.XXXXXX";
    folder = ::mkdtemp(name);
  }
  ~BackEnds() override { std::filesystem::remove_all(folder); }
  std::unique_ptr<CharBackend> open(const CharOptions& options) {
    auto backend = open_char_backend(options, loop);
    EXPECT_TRUE(backend) << (backend ? "" : backend.error().message);
    return backend ? std::move(backend.value()) : nullptr;
  }
  bool run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!done() && std::chrono::steady_clock::now() < end) loop.run_once(5);
    return done();
  }
  static void write(CharBackend& backend, std::string_view text) {
    backend.write({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  }
  int connect_to(const std::string& path) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }

  EventLoop loop;
  std::string folder;
  Guest guest;
};

TEST_F(BackEnds, AFileGetsEverything) {
  const std::string path = folder + "/log";
  std::ofstream(path) << "old\n";
  write(*open({.kind = CharOptions::Kind::File, .path = path, .append = true}), "new\n");
  std::string text;
  std::getline(std::ifstream(path), text, '\0');
  EXPECT_EQ(text, "old\nnew\n");
  const auto missing = open_char_backend({.kind = CharOptions::Kind::File, .path = "/nonexistent/x"}, loop);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "/nonexistent/x: No such file or directory");
}

TEST_F(BackEnds, AServerServesOneAfterTheOther) {
  const std::string path = folder + "/socket";
  const auto server = open({.kind = CharOptions::Kind::Unix, .path = path, .server = true, .wait = false});
  server->set_receiver(&guest);
  EXPECT_FALSE(guest.there);
  write(*server, "nobody hears this");
  for (const std::string_view name : {"first", "second"}) {
    const int client = connect_to(path);
    ASSERT_TRUE(run_until([&] { return guest.there; }));
    ASSERT_EQ(::write(client, name.data(), name.size()), static_cast<ssize_t>(name.size()));
    ASSERT_TRUE(run_until([&] { return guest.text == name; }));
    write(*server, "hello");
    char buffer[16];
    EXPECT_EQ(::read(client, buffer, sizeof buffer), 5);
    ::close(client);
    ASSERT_TRUE(run_until([&] { return !guest.there; }));
    guest.text.clear();
  }
}

TEST_F(BackEnds, InputWaitsForRoom) {
  const std::string path = folder + "/socket";
  const auto server = open({.kind = CharOptions::Kind::Unix, .path = path, .server = true, .wait = false});
  server->set_receiver(&guest);
  const int client = connect_to(path);
  guest.space = 3;
  ASSERT_EQ(::write(client, "abcdef", 6), 6);
  ASSERT_TRUE(run_until([&] { return guest.text == "abc"; }));
  for (int i = 0; i < 10; ++i) loop.run_once(1);
  EXPECT_EQ(guest.text, "abc");
  guest.space = 3;
  server->accept_input();
  EXPECT_TRUE(run_until([&] { return guest.text == "abcdef"; }));
  ::close(client);
}

TEST_F(BackEnds, OutputThatNobodyReadsIsKeptUpToALimit) {
  const std::string path = folder + "/socket";
  const auto server = open({.kind = CharOptions::Kind::Unix, .path = path, .server = true, .wait = false});
  server->set_receiver(&guest);
  const int client = connect_to(path);
  ASSERT_TRUE(run_until([&] { return guest.there; }));
  const std::string block(100'000, 'x');
  for (int i = 0; i < 100; ++i) write(*server, block);  // does not wait
  size_t read_bytes = 0;
  char buffer[65536];
  for (int i = 0; i < 1000; ++i) {
    loop.run_once(0);
    const ssize_t n = ::recv(client, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n > 0) read_bytes += static_cast<size_t>(n);
  }
  EXPECT_GE(read_bytes, size_t{1} << 20);
  EXPECT_LT(read_bytes, size_t{4} << 20);
  ::close(client);
}

TEST_F(BackEnds, APseudoTerminalIsRaw) {
  const auto pty = open({.kind = CharOptions::Kind::Pty, .label = "test"});
  pty->set_receiver(&guest);
  write(*pty, "a\n");
  loop.run_once(0);
  EXPECT_TRUE(guest.text.empty()) << "no echo";
}

TEST_F(BackEnds, ARingKeepsTheLastBytes) {
  RingBackend ring(8);
  write(ring, "0123456789");
  EXPECT_EQ(ring.take(), "23456789");
  EXPECT_EQ(ring.take(), "");
}

TEST_F(BackEnds, AClientNeedsAServer) {
  const auto client = open_char_backend({.kind = CharOptions::Kind::Unix, .path = folder + "/none"}, loop);
  ASSERT_FALSE(client);
  EXPECT_NE(client.error().message.find("No such file"), std::string::npos);
}

}  // namespace
}  // namespace lyrebird::system
