// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "devices/virtio/vsock.h"
#include "tests/unit/devices/virtio_driver.h"

namespace lyrebird::devices::test {
namespace {

constexpr uint64_t kCid = 77;
constexpr unsigned kHeader = 44;
enum Op : uint16_t { Request = 1, Response, Reset, Shutdown, Data, CreditUpdate, CreditRequest };

/// A packet, as the specification lays it out.
struct Packet {
  uint64_t source_cid = kCid, target_cid = 2;
  uint32_t source_port = 1000, target_port = 5;
  uint16_t type = 1;
  uint16_t op = 0;
  uint32_t flags = 0, room = 1 << 16, forwarded = 0;
  std::string data;
};

/// Listens at ports 5 and up to 9.
class Programs final : public net::VsockHost {
 public:
  ~Programs() override {
    for (const int end : ends) ::close(end);
  }
  void set_incoming(Incoming callback) override { incoming = std::move(callback); }
  int connect(uint32_t port) override { return port >= 5 && port <= 9 ? pair() : -1; }
  int pair() {
    int both[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, both), 0);
    ends.push_back(both[0]);
    return both[1];
  }
  Incoming incoming;
  std::vector<int> ends;
};

class Vsock : public testing::Test {
 protected:
  void SetUp() override {
    auto host = std::make_unique<Programs>();
    programs = host.get();
    make(std::move(host));
  }
  void make(std::unique_ptr<net::VsockHost> host) {
    device = std::make_unique<VirtioVsock>(VirtioOptions{.id = "vsock"}, kCid, std::move(host), *board.memory,
                                           board.loop);
    transport = std::make_unique<MmioTransport>(board, *device);
    driver = std::make_unique<Driver>(board, *transport, RingKind{.event_index = true});
    ASSERT_TRUE(driver->start(0));
  }
  void give_buffers(unsigned count, uint32_t size = 4096) {
    for (unsigned i = 0; i < count; ++i) {
      const uint64_t at = board.allocate(size);
      const uint16_t id = driver->rings[0]->add({{at, size, true}});
      buffers[id] = at;
    }
    driver->kick(0);
    board.settle();
  }
  void send(const Packet& p) {
    const uint64_t at = board.allocate(kHeader + p.data.size());
    board.put(at, p.source_cid);
    board.put(at + 8, p.target_cid);
    board.put(at + 16, p.source_port);
    board.put(at + 20, p.target_port);
    board.put(at + 24, static_cast<uint32_t>(p.data.size()));
    board.put(at + 28, p.type);
    board.put(at + 30, p.op);
    board.put(at + 32, p.flags);
    board.put(at + 36, p.room);
    board.put(at + 40, p.forwarded);
    std::memcpy(board.host(at + kHeader), p.data.data(), p.data.size());
    std::vector<Buffer> pieces = {{at, kHeader, false}};
    if (!p.data.empty()) pieces.push_back({at + kHeader, static_cast<uint32_t>(p.data.size()), false});
    ASSERT_TRUE(driver->request(1, pieces));
  }
  void send(Op op) { send(Packet{.op = op}); }
  /// The next packet for the guest; op 0: none comes.
  Packet next() {
    Packet packet;
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
    while ((packet = next_now()).op == 0 && std::chrono::steady_clock::now() < end) board.loop.run_once(5);
    return packet;
  }
  Packet next_now() {
    board.settle();
    const std::optional<Used> used = driver->rings[0]->get();
    if (!used) return {};
    const uint64_t at = buffers.at(used->id);
    Packet p;
    p.source_cid = board.get<uint64_t>(at);
    p.target_cid = board.get<uint64_t>(at + 8);
    p.source_port = board.get<uint32_t>(at + 16);
    p.target_port = board.get<uint32_t>(at + 20);
    p.type = board.get<uint16_t>(at + 28);
    p.op = board.get<uint16_t>(at + 30);
    p.flags = board.get<uint32_t>(at + 32);
    p.room = board.get<uint32_t>(at + 36);
    p.forwarded = board.get<uint32_t>(at + 40);
    EXPECT_EQ(used->written, kHeader + board.get<uint32_t>(at + 24));
    p.data.assign(reinterpret_cast<const char*>(board.host(at + kHeader)), used->written - kHeader);
    return p;
  }
  std::string received(int end) {
    board.settle();
    std::string text(1 << 20, 0);
    const ssize_t n = ::recv(end, text.data(), text.size(), MSG_DONTWAIT);
    text.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return text;
  }
  void say(int end, std::string_view text) {
    EXPECT_EQ(::send(end, text.data(), text.size(), MSG_DONTWAIT), static_cast<ssize_t>(text.size()));
  }
  void connect(uint32_t room = 1 << 16) {
    send(Packet{.op = Request, .room = room});
    ASSERT_EQ(next().op, Response);
  }

  Board board;
  Programs* programs = nullptr;
  std::unique_ptr<VirtioVsock> device;
  std::unique_ptr<MmioTransport> transport;
  std::unique_ptr<Driver> driver;
  std::map<uint16_t, uint64_t> buffers;
};

TEST_F(Vsock, TheGuestConnectsAndBothTalk) {
  EXPECT_EQ(transport->config(0, 4), kCid);
  give_buffers(8);
  send(Request);
  const Packet response = next();
  EXPECT_EQ(response.op, Response);
  EXPECT_EQ(response.source_cid, 2u);
  EXPECT_EQ(response.target_cid, kCid);
  EXPECT_EQ(response.source_port, 5u);
  EXPECT_EQ(response.target_port, 1000u);
  EXPECT_EQ(response.room, 256u << 10);
  ASSERT_EQ(programs->ends.size(), 1u);
  send(Packet{.op = Data, .data = "hello"});
  EXPECT_EQ(received(programs->ends[0]), "hello");
  say(programs->ends[0], "and hello to you");
  const Packet data = next();
  EXPECT_EQ(data.op, Data);
  EXPECT_EQ(data.data, "and hello to you");
  EXPECT_EQ(data.forwarded, 5u);
  send(CreditRequest);
  EXPECT_EQ(next().op, CreditUpdate);
}

TEST_F(Vsock, WhereNobodyListensIsRefused) {
  give_buffers(8);
  send(Packet{.target_port = 4, .op = Request});
  EXPECT_EQ(next().op, Reset);
  send(Packet{.target_port = 4, .op = Data, .data = "x"});
  EXPECT_EQ(next().op, Reset) << "of a connection that there is not";
  send(Packet{.target_port = 4, .op = Reset});
  EXPECT_EQ(next().op, 0) << "a reset is not answered";
  send(Packet{.target_cid = 9, .op = Request});
  send(Packet{.source_cid = kCid + 1, .op = Request});
  EXPECT_EQ(next().op, 0) << "not for this host, not from this guest";
  send(Packet{.type = 2, .op = Request});
  const Packet reset = next();
  EXPECT_EQ(reset.op, Reset) << "only streams";
  EXPECT_EQ(reset.type, 2);
  connect();
  send(Request);
  EXPECT_EQ(next().op, Reset) << "twice";
  send(Packet{.op = Data, .data = "x"});
  EXPECT_EQ(next().op, Reset) << "the first is gone, too";
}

TEST_F(Vsock, TheHostWaitsForRoomInTheGuest) {
  give_buffers(16);
  connect(10);
  say(programs->ends[0], "0123456789abcdefghijKLM");
  EXPECT_EQ(next().data, "0123456789");
  EXPECT_EQ(next().op, 0) << "no room";
  send(Packet{.op = CreditUpdate, .room = 10, .forwarded = 10});
  EXPECT_EQ(next().data, "abcdefghij");
  send(Packet{.op = CreditUpdate, .room = 10, .forwarded = 15});
  EXPECT_EQ(next().data, "KLM");
  send(Packet{.op = CreditUpdate, .room = 4, .forwarded = 1000});
  say(programs->ends[0], "more");
  EXPECT_EQ(next().op, 0) << "a guest that counts wrongly gets nothing, and nothing breaks";
}

TEST_F(Vsock, TheGuestWaitsForTheHost) {
  give_buffers(14);
  connect();
  const std::string piece(32 << 10, 'x');
  uint32_t sent = 0, forwarded = 0;
  bool refused = false;
  // The program reads nothing: what its socket does not take stays in the device, until that is full.
  for (; sent < (4u << 20) && !refused; sent += static_cast<uint32_t>(piece.size())) {
    send(Packet{.op = Data, .data = piece});
    send(CreditRequest);
    for (Packet told; (told = next_now()).op != 0; give_buffers(1)) {
      if (told.op == CreditUpdate) forwarded = told.forwarded;
      refused |= told.op == Reset;
    }
    if (!refused) EXPECT_LE(sent + piece.size() - forwarded, 256u << 10) << "more than there is room for";
  }
  EXPECT_TRUE(refused);
  EXPECT_GT(sent, 256u << 10);
}

TEST_F(Vsock, EndsAreToldBothWays) {
  give_buffers(16);
  connect();
  ::shutdown(programs->ends[0], SHUT_WR);
  Packet end = next();
  EXPECT_EQ(end.op, Shutdown);
  EXPECT_EQ(end.flags, 2u) << "it sends no more, and still listens";
  send(Packet{.op = Data, .data = "last words"});
  EXPECT_EQ(received(programs->ends[0]), "last words");
  send(Packet{.op = Shutdown, .flags = 2});
  char byte;
  EXPECT_TRUE(board.run_until([&] { return ::recv(programs->ends[0], &byte, 1, MSG_DONTWAIT) == 0; }));
  send(Packet{.op = Shutdown, .flags = 3});
  Packet last = next();
  if (last.op == Shutdown) last = next();  // the program's end, seen as a whole
  EXPECT_EQ(last.op, Reset);

  connect();
  say(programs->ends[1], "bye");
  ::close(programs->ends[1]);
  programs->ends.pop_back();
  EXPECT_EQ(next().data, "bye") << "what was sent before the end comes";
  end = next();
  EXPECT_EQ(end.op, Shutdown);
  EXPECT_EQ(end.flags, 3u);
  send(Reset);
  EXPECT_EQ(next().op, 0);
}

TEST_F(Vsock, AProgramConnectsToTheGuest) {
  give_buffers(8);
  programs->incoming(programs->pair(), 4321);
  const Packet request = next();
  EXPECT_EQ(request.op, Request);
  EXPECT_EQ(request.target_port, 4321u);
  say(programs->ends[0], "early");
  EXPECT_EQ(next().op, 0) << "not before the guest has accepted";
  Packet answer{.source_port = 4321, .target_port = request.source_port, .op = Response};
  send(answer);
  EXPECT_EQ(received(programs->ends[0]), "OK " + std::to_string(request.source_port) + "\n");
  EXPECT_EQ(next().data, "early");
  answer.op = Data;
  answer.data = "reply";
  send(answer);
  EXPECT_EQ(received(programs->ends[0]), "reply");

  programs->incoming(programs->pair(), 4321);
  const Packet other = next();
  EXPECT_NE(other.source_port, request.source_port);
  send(Packet{.source_port = 4321, .target_port = other.source_port, .op = Reset});
  char byte;
  EXPECT_EQ(::recv(programs->ends[1], &byte, 1, MSG_DONTWAIT), 0) << "refused: closed";
}

TEST_F(Vsock, BrokenPacketsAreTheDriversMistake) {
  const uint64_t at = board.allocate(64);
  std::memset(board.host(at), 0, 64);
  board.put<uint32_t>(at + 24, 100);
  driver->request(1, {{at, 64, false}});
  EXPECT_TRUE(transport->status() & kStatusNeedsReset);
  ASSERT_TRUE(driver->start(0));
  driver->request(1, {{at, 20, false}});
  EXPECT_TRUE(transport->status() & kStatusNeedsReset);
  ASSERT_TRUE(driver->start(0));
  give_buffers(1, 44);
  EXPECT_TRUE(transport->status() & kStatusNeedsReset) << "a buffer with no room for data";
}

TEST_F(Vsock, AfterALoadTheGuestIsToldThatConnectionsAreGone) {
  give_buffers(4);
  connect();
  const uint64_t event = board.allocate(4);
  board.put<uint32_t>(event, 99);
  driver->rings[2]->add({{event, 4, true}});
  driver->kick(2);
  board.settle();
  EXPECT_FALSE(driver->rings[2]->get());
  system::StateWriter writer;
  device->save(writer);
  system::StateReader reader(writer.data());
  ASSERT_TRUE(device->load(reader).ok());
  board.settle();
  ASSERT_TRUE(driver->rings[2]->get());
  EXPECT_EQ(board.get<uint32_t>(event), 0u);
  char byte;
  EXPECT_EQ(::recv(programs->ends[0], &byte, 1, MSG_DONTWAIT), 0);
}

}  // namespace
}  // namespace lyrebird::devices::test
