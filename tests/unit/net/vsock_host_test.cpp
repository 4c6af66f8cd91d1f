// SPDX-License-Identifier: Apache-2.0
#include "net/vsock_host.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <optional>

namespace lyrebird::net {
namespace {

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

class VsockHostTest : public testing::Test {
 protected:
  void SetUp() override {
    path = testing::TempDir() + "vsock-host-" + std::to_string(getpid());
    auto opened = open_vsock_host(path, loop);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    host = std::move(*opened);
    host->set_incoming([this](int socket, uint32_t wanted) {
      given = socket;
      port = wanted;
    });
  }
  void TearDown() override {
    if (given >= 0) ::close(given);
  }
  int program() {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const sockaddr_un address = address_of(path);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  void settle() {
    for (int i = 0; i < 6; ++i) loop.run_once(2);
  }
  static void say(int fd, std::string_view text) {
    EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  static bool closed(int fd) {
    char byte;
    return ::recv(fd, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET;
  }

  system::EventLoop loop;
  std::string path;
  std::unique_ptr<VsockHost> host;
  int given = -1;
  uint32_t port = 0;
};

TEST_F(VsockHostTest, AProgramNamesThePortAndTheRestIsTheGuests) {
  const int fd = program();
  settle();
  say(fd, "CONN");
  settle();
  EXPECT_EQ(given, -1);
  say(fd, "ECT 1234\nfirst words");
  settle();
  ASSERT_GE(given, 0);
  EXPECT_EQ(port, 1234u);
  char text[64];
  EXPECT_EQ(::recv(given, text, sizeof text, 0), 11);
  EXPECT_EQ(std::string_view(text, 11), "first words");
  ::close(fd);
}

TEST_F(VsockHostTest, WhatIsNoCommandIsClosed) {
  for (const char* const text : {"GET / HTTP/1.0\n", "CONNECT \n", "CONNECT 12x\n", "CONNECT 99999999999\n",
                                 "CONNECT -1\n", "CONNECT 00000000000000000000000000000000000001\n", "\n"}) {
    const int fd = program();
    say(fd, text);
    settle();
    EXPECT_TRUE(closed(fd)) << text;
    ::close(fd);
  }
  const int fd = program();
  ::close(fd);  // without a word
  settle();
  EXPECT_EQ(given, -1);
}

TEST_F(VsockHostTest, PortsOfTheHostAreSocketsBesideIt) {
  EXPECT_EQ(host->connect(7), -1);
  const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
  const sockaddr_un address = address_of(path + "_7");
  ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  const int fd = host->connect(7);
  ASSERT_GE(fd, 0);
  const int accepted = ::accept(listener, nullptr, nullptr);
  say(fd, "x");
  char byte = 0;
  EXPECT_EQ(::recv(accepted, &byte, 1, 0), 1);
  for (const int one : {fd, accepted, listener}) ::close(one);
  ::unlink((path + "_7").c_str());
}

TEST_F(VsockHostTest, OnlyWhatNobodyListensAtIsReplaced) {
  EXPECT_NE(open_vsock_host(path, loop).error().message.find("is in use"), std::string::npos);
  host.reset();
  EXPECT_NE(::access(path.c_str(), F_OK), 0) << "it cleans up";
  const int left = ::socket(AF_UNIX, SOCK_STREAM, 0);
  const sockaddr_un address = address_of(path);
  ASSERT_EQ(::bind(left, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(left);
  EXPECT_TRUE(open_vsock_host(path, loop).ok()) << "somebody's who is gone";
  std::ofstream(path) << "a file";
  EXPECT_FALSE(open_vsock_host(path, loop).ok());
  ::unlink(path.c_str());
  EXPECT_FALSE(open_vsock_host(std::string(200, 'x'), loop).ok());
  EXPECT_FALSE(open_vsock_host("/nowhere/at/all", loop).ok());
}

}  // namespace
}  // namespace lyrebird::net
