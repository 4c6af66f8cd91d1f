// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "net/checksum.h"
#include "net/packet_fd.h"
#include "net/stream.h"
#include "net/user.h"

namespace lyrebird::net {
namespace {

using Frame = std::vector<uint8_t>;

class Card final : public Receiver {
 public:
  bool receive(const FrameHeader&, std::span<const uint8_t> frame) override {
    if (full) return false;
    frames.emplace_back(frame.begin(), frame.end());
    return true;
  }
  void can_send() override { ++can_sends; }
  void link_changed(bool up) override { link = up; }
  std::vector<Frame> frames;
  bool full = false, link = false;
  unsigned can_sends = 0;
};

class Networks : public testing::Test {
 protected:
  Networks() {
    char name[] = "/tmp/lyrebird_net.XXXXXX";
    folder = ::mkdtemp(name);
  }
  ~Networks() override { std::filesystem::remove_all(folder); }
  bool run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!done() && std::chrono::steady_clock::now() < end) loop.run_once(5);
    return done();
  }
  template <typename T>
  static std::unique_ptr<Backend> must(Result<T> backend) {
    EXPECT_TRUE(backend) << (backend ? "" : backend.error().message);
    return backend ? std::move(backend.value()) : nullptr;
  }
  static bool send(Backend& backend, const Frame& frame) {
    const iovec pieces[] = {
        {const_cast<uint8_t*>(frame.data()), frame.size() / 2},
        {const_cast<uint8_t*>(frame.data()) + frame.size() / 2, frame.size() - frame.size() / 2}};
    return backend.send({}, pieces);
  }

  system::EventLoop loop;
  std::string folder;
};

TEST(Checksum, IsThatOfRfc1071) {
  const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(checksum_add(0, bytes), 0xddf2);
  EXPECT_EQ(checksum_add(0, std::span(bytes).first(3)), 0xf201);
  EXPECT_EQ(checksum_add(0, {}), 0);
}

TEST(Checksum, IsPutWhereTheHeaderSays) {
  Frame frame = {9, 9, 0x00, 0x01, 0xf2, 0x03, 0, 0};
  EXPECT_TRUE(finish_checksum({.flags = 1, .checksum_start = 2, .checksum_offset = 4}, frame));
  EXPECT_EQ(checksum_add(0, std::span(frame).subspan(2)), 0xffff);
  EXPECT_FALSE(finish_checksum({.flags = 1, .checksum_start = 2, .checksum_offset = 5}, frame));
  EXPECT_FALSE(finish_checksum({.flags = 1, .checksum_start = 65535, .checksum_offset = 65535}, frame));
  EXPECT_TRUE(finish_checksum({.flags = 0, .checksum_start = 99, .checksum_offset = 5}, frame));
}

TEST(Forwards, AreParsed) {
  const auto full = parse_host_forward("udp:127.0.0.1:2222-10.0.2.15:22");
  ASSERT_TRUE(full);
  EXPECT_TRUE(full->udp);
  EXPECT_EQ(full->host_address, "127.0.0.1");
  EXPECT_EQ(full->host_port, 2222);
  EXPECT_EQ(full->guest_address, "10.0.2.15");
  EXPECT_EQ(full->guest_port, 22);
  EXPECT_TRUE(parse_host_forward("tcp::80-:8080"));
  EXPECT_TRUE(parse_host_forward("::80-:8080"));
  for (const char* wrong :
       {"", "tcp", "tcp::80", "tcp::80-8080", "sctp::1-:1", "tcp::65536-:1", "tcp::1-:0", "tcp::x-:1"}) {
    EXPECT_FALSE(parse_host_forward(wrong)) << wrong;
  }
  const auto command = parse_guest_forward("tcp:10.0.2.100:7-cmd:cat -");
  ASSERT_TRUE(command);
  EXPECT_EQ(command->command, "cat -");
  EXPECT_FALSE(parse_guest_forward("tcp:10.0.2.100-cmd:cat"));
}

TEST_F(Networks, TwoStreamsAreACable) {
  const SocketAddress at{.path = folder + "/cable"};
  const auto server = must(open_stream({.address = at, .server = true}, loop));
  Card left, right;
  server->set_receiver(&left);
  EXPECT_FALSE(server->link_up());
  const auto client = must(open_stream({.address = at}, loop));
  client->set_receiver(&right);
  ASSERT_TRUE(run_until([&] { return left.link; }));
  const Frame small(60, 1), large(60000, 2);
  EXPECT_TRUE(send(*client, small));
  EXPECT_TRUE(send(*client, large));
  EXPECT_TRUE(send(*server, small));
  ASSERT_TRUE(run_until([&] { return left.frames.size() == 2 && right.frames.size() == 1; }));
  EXPECT_EQ(left.frames, (std::vector{small, large}));
}

TEST_F(Networks, AStreamHoldsFramesBackAndGoesOn) {
  const SocketAddress at{.path = folder + "/cable"};
  const auto server = must(open_stream({.address = at, .server = true}, loop));
  Card left, right;
  server->set_receiver(&left);
  const auto client = must(open_stream({.address = at}, loop));
  client->set_receiver(&right);
  ASSERT_TRUE(run_until([&] { return left.link; }));
  left.full = true;
  unsigned sent = 0;
  const Frame frame(60000, 3);
  while (send(*client, frame) && sent < 1000) {
    ++sent;
    loop.run_once(0);
  }
  EXPECT_LT(sent, 1000u) << "it must say that it is full";
  left.full = false;
  server->ready();
  EXPECT_TRUE(run_until([&] { return left.frames.size() == sent && right.can_sends > 0; }));
}

TEST_F(Networks, AStreamOfSomethingElseIsClosed) {
  const SocketAddress at{.path = folder + "/cable"};
  const auto server = must(open_stream({.address = at, .server = true}, loop));
  Card card;
  server->set_receiver(&card);
  auto address = resolve(at, SOCK_STREAM, false);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::connect(fd, address->get(), address->size), 0);
  ASSERT_TRUE(run_until([&] { return card.link; }));
  ASSERT_EQ(::write(fd, "GET / HTTP/1.0\r\n\r\n", 18), 18);
  EXPECT_TRUE(run_until([&] { return !card.link; }));
  ::close(fd);
}

TEST_F(Networks, DatagramsAreFrames) {
  const SocketAddress a{.host = "127.0.0.1", .port = "47113"}, b{.host = "127.0.0.1", .port = "47114"};
  const auto left = must(open_datagram({.local = a, .remote = b}, loop));
  const auto right = must(open_datagram({.local = b, .remote = a}, loop));
  Card card;
  right->set_receiver(&card);
  const Frame frame(1500, 7);
  EXPECT_TRUE(send(*left, frame));
  ASSERT_TRUE(run_until([&] { return card.frames.size() == 1; }));
  EXPECT_EQ(card.frames[0], frame);
  card.full = true;
  send(*left, frame);
  for (int i = 0; i < 5; ++i) loop.run_once(2);
  EXPECT_EQ(card.frames.size(), 1u);
  card.full = false;
  right->ready();
  EXPECT_TRUE(run_until([&] { return card.frames.size() == 2; }));
}

// --- user networking, as a guest that speaks ARP, DHCP and TFTP sees it ---

class User : public Networks {
 protected:
  void open(UserOptions options = {}) {
    network = must(open_user(options, loop));
    if (network) network->set_receiver(&card);
  }
  static void put16(Frame& to, size_t at, unsigned value) {
    to[at] = static_cast<uint8_t>(value >> 8);
    to[at + 1] = static_cast<uint8_t>(value);
  }
  Frame arp_request(uint32_t address) {
    Frame frame(42);
    std::fill_n(frame.begin(), 6, 0xff);
    std::copy_n(kMac, 6, frame.begin() + 6);
    put16(frame, 12, 0x0806);
    const uint8_t head[] = {0, 1, 8, 0, 6, 4, 0, 1};
    std::copy_n(head, 8, frame.begin() + 14);
    std::copy_n(kMac, 6, frame.begin() + 22);
    const uint8_t own[] = {10, 0, 2, 15};
    std::copy_n(own, 4, frame.begin() + 28);
    for (int i = 0; i < 4; ++i) frame[38 + i] = static_cast<uint8_t>(address >> (24 - 8 * i));
    return frame;
  }
  Frame udp(uint32_t to, unsigned from_port, unsigned to_port, const std::vector<uint8_t>& data,
            uint32_t from) {
    Frame frame(42 + data.size());
    std::fill_n(frame.begin(), 6, 0xff);
    std::copy_n(kMac, 6, frame.begin() + 6);
    put16(frame, 12, 0x0800);
    frame[14] = 0x45;
    put16(frame, 16, static_cast<unsigned>(28 + data.size()));
    frame[22] = 64;
    frame[23] = 17;
    for (int i = 0; i < 4; ++i) {
      frame[26 + i] = static_cast<uint8_t>(from >> (24 - 8 * i));
      frame[30 + i] = static_cast<uint8_t>(to >> (24 - 8 * i));
    }
    put16(frame, 24, static_cast<uint16_t>(~checksum_add(0, std::span(frame).subspan(14, 20))));
    put16(frame, 34, from_port);
    put16(frame, 36, to_port);
    put16(frame, 38, static_cast<unsigned>(8 + data.size()));
    std::copy(data.begin(), data.end(), frame.begin() + 42);
    return frame;
  }

  static constexpr uint8_t kMac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
  static constexpr uint32_t kOwn = 0x0a00020f, kHost = 0x0a000202;
  Card card;
  std::unique_ptr<Backend> network;
};

TEST_F(User, AnswersArp) {
  open();
  send(*network, arp_request(kHost));
  ASSERT_TRUE(run_until([&] { return !card.frames.empty(); }));
  EXPECT_EQ(card.frames[0][13], 6);
  EXPECT_EQ(card.frames[0][21], 2);
}

TEST_F(User, GivesFilesByTftp) {
  std::ofstream(folder + "/boot.cfg") << "what is in it";
  open({.tftp = folder});
  send(*network, arp_request(kHost));
  ASSERT_TRUE(run_until([&] { return !card.frames.empty(); }));
  card.frames.clear();
  const std::string text("\0\1boot.cfg\0octet\0", 17);
  send(*network, udp(kHost, 1234, 69, {text.begin(), text.end()}, kOwn));
  ASSERT_TRUE(run_until([&] { return !card.frames.empty(); }));
  const Frame& answer = card.frames.back();
  EXPECT_NE(std::search(answer.begin(), answer.end(), &"what is in it"[0], &"what is in it"[13]),
            answer.end());
}

TEST_F(User, FramesWaitForTheGuest) {
  open();
  card.full = true;
  send(*network, arp_request(kHost));
  for (int i = 0; i < 10; ++i) loop.run_once(1);
  EXPECT_TRUE(card.frames.empty());
  card.full = false;
  network->ready();
  EXPECT_TRUE(run_until([&] { return !card.frames.empty(); }));
}

TEST_F(User, GarbageIsIgnored) {
  open();
  uint32_t random = 1;
  for (int i = 0; i < 2000; ++i) {
    Frame frame(14 + random % 200);
    for (uint8_t& byte : frame) byte = static_cast<uint8_t>((random = random * 1664525 + 1013904223) >> 24);
    frame[12] = 8;
    frame[13] = 0;
    if (i % 2) frame[14] = 0x45;
    send(*network, frame);
  }
  send(*network, arp_request(kHost));
  EXPECT_TRUE(run_until([&] { return !card.frames.empty(); }));
}

TEST_F(User, AForwardedPortIsOpen) {
  open({.host_forwards = {{.host_address = "127.0.0.1", .host_port = 47117, .guest_port = 22}}});
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(47117);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to);
  // The guest is asked for its address first.
  EXPECT_TRUE(run_until([&] { return !card.frames.empty(); }));
  ::close(fd);
  const auto taken = open_user(
      {.host_forwards = {{.host_address = "127.0.0.1", .host_port = 47117, .guest_port = 22}}}, loop);
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().message.find("47117"), std::string::npos) << taken.error().message;
}

TEST_F(User, SaysWhichOptionIsWrong) {
  EXPECT_EQ(open_user({.net = "10.0.2.0/99"}, loop).error().message,
            "net=10.0.2.0/99: the width of the network must be from 4 to 30");
  EXPECT_EQ(open_user({.dns = "8.8.8.8"}, loop).error().message,
            "dns=8.8.8.8: does not lie in the network 10.0.2.0/24");
  EXPECT_EQ(open_user({.host = "x"}, loop).error().message, "host=x: is not an IPv4 address");
  EXPECT_EQ(open_user({.tftp = "/nonexistent"}, loop).error().message, "tftp=/nonexistent: is not a folder");
}

}  // namespace
}  // namespace lyrebird::net
