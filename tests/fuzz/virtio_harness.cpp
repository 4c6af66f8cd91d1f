// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/virtio_harness.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/log.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/gpu.h"
#include "devices/virtio/input.h"
#include "devices/virtio/net.h"
#include "devices/virtio/nine_p.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/vsock.h"
#include "tests/unit/devices/memory_node.h"

namespace lyrebird::devices::test {

namespace {

class Cable final : public net::Backend {
 public:
  void set_receiver(net::Receiver* r) override { receiver = r; }
  bool send(const net::FrameHeader&, std::span<const iovec> frame) override {
    for (const iovec& piece : frame) {
      for (size_t i = 0; i < piece.iov_len; ++i) sum += static_cast<const uint8_t*>(piece.iov_base)[i];
    }
    return ++sent % 7 != 0;
  }
  void ready() override {}
  net::Offloads can_offload() const override { return {true, true, true, true}; }
  net::Offloads wants_offload() const override { return {true, true, true, true}; }
  std::string describe() const override { return "cable"; }
  net::Receiver* receiver = nullptr;
  unsigned sent = 0, sum = 0;
};

class Line final : public system::CharBackend {
 public:
  void write(std::span<const uint8_t> bytes) override {
    for (const uint8_t byte : bytes) sum += byte;
  }
  void set_receiver(system::CharReceiver* r) override { receiver = r; }
  void accept_input() override {}
  system::CharReceiver* receiver = nullptr;
  unsigned sum = 0;
};

/// Programs at odd ports of the host; they read, write, and go away.
class Programs final : public net::VsockHost {
 public:
  ~Programs() override {
    for (const int end : ends_) ::close(end);
  }
  void set_incoming(Incoming incoming) override { incoming_ = std::move(incoming); }
  int connect(uint32_t port) override { return port & 1 ? pair() : -1; }
  void event(unsigned which, std::span<const uint8_t> data) {
    if (which & 1) {
      if (const int fd = pair(); fd >= 0) incoming_(fd, which);
    }
    char bytes[512];
    for (const int end : ends_) {
      if (which & 2) (void)!::send(end, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (which & 4) (void)!::recv(end, bytes, sizeof bytes, MSG_DONTWAIT);
      if (which & 8) ::shutdown(end, SHUT_WR);
    }
    if ((which & 16) && !ends_.empty()) {
      ::close(ends_.back());
      ends_.pop_back();
    }
  }

 private:
  int pair() {
    int both[2];
    if (ends_.size() > 64 || ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, both) != 0) return -1;
    ends_.push_back(both[0]);
    return both[1];
  }
  Incoming incoming_;
  std::vector<int> ends_;
};

/// The device under test, and what happens on the host's side.
struct Subject {
  Subject(Board& board, unsigned kind) : node(board.loop, 1 << 16) {
    const VirtioOptions options = {.id = "fuzz", .packed = true};
    system::AddressSpace& memory = *board.memory;
    switch (kind % 11) {
      case 0:
        device = std::make_unique<VirtioBlk>(VirtioBlkOptions{.virtio = options, .queues = 2}, node, memory,
                                             board.loop);
        break;
      case 1:
        device = std::make_unique<VirtioNet>(VirtioNetOptions{.virtio = options, .queue_pairs = 2}, cable,
                                             memory, board.loop);
        break;
      case 2:
        device = std::make_unique<VirtioConsole>(
            options, std::vector<VirtioConsolePort>{{&lines[0], ""}, {&lines[1], "port", false}}, memory,
            board.loop);
        break;
      case 3:
        device = std::make_unique<VirtioRng>(options, memory, board.loop);
        break;
      case 4: {
        auto made =
            std::make_unique<VirtioBalloon>(VirtioBalloonOptions{.virtio = options}, memory, board.loop);
        on_host = [&balloon = *made](unsigned which, std::span<const uint8_t>) {
          if (which & 32) balloon.set_target(which);
          if (which & 64) balloon.statistics();
        };
        device = std::move(made);
        break;
      }
      case 5:
        input(options, VirtioInputModel::tablet(), board);
        break;
      case 9: {
        auto made = std::make_unique<VirtioGpu>(
            VirtioGpuOptions{.virtio = options, .outputs = 2, .max_bytes = 1 << 20}, memory, board.loop);
        on_host = [&gpu = *made](unsigned which, std::span<const uint8_t>) {
          gpu.screens()[which & 1]->picture();
        };
        device = std::move(made);
        break;
      }
      case 7:
        input(options, VirtioInputModel::keyboard(), board);
        break;
      case 8:
        input(options, VirtioInputModel::mouse(), board);
        break;
      case 10: {
        auto programs = std::make_unique<Programs>();
        on_host = [&all = *programs](unsigned which, std::span<const uint8_t> data) {
          all.event(which, data);
        };
        device = std::make_unique<VirtioVsock>(options, 3, std::move(programs), memory, board.loop);
        break;
      }
      default:
        device = std::make_unique<Virtio9p>(
            Virtio9pOptions{.virtio = options, .path = "/proc/self/task", .tag = "fuzz", .read_only = true},
            memory, board.loop);
        break;
    }
  }
  void input(const VirtioOptions& options, VirtioInputModel model, Board& board) {
    auto made = std::make_unique<VirtioInput>(options, std::move(model), *board.memory, board.loop);
    on_host = [&input = *made](unsigned, std::span<const uint8_t> data) {
      std::vector<InputEvent> events;
      for (const uint8_t byte : data) events.push_back({byte, byte, byte});
      input.send(std::move(events));
      input.status();
    };
    device = std::move(made);
  }
  void host_event(Bytes& bytes) {
    const unsigned which = bytes.get<uint8_t>();
    node.hold = which & 1;
    node.error = which & 2 ? 5 : 0;
    const auto data = bytes.take(bytes.get<uint8_t>() * 8);
    if (on_host) on_host(which, data);
    if (cable.receiver) cable.receiver->receive({}, data);
    if (cable.receiver && (which & 4)) cable.receiver->can_send();
    for (Line& line : lines) {
      if (!line.receiver) continue;
      const size_t room = std::min(line.receiver->room(), data.size());
      if (room) line.receiver->receive(data.first(room));
      if (which & 8) line.receiver->connected(which & 16);
    }
  }

  MemoryNode node;
  Cable cable;
  Line lines[2];
  std::function<void(unsigned, std::span<const uint8_t>)> on_host;
  std::unique_ptr<VirtioDevice> device;
};

constexpr uint64_t kRings = kRamBase + 0x10000, kRingStep = 0x1000;

void start(Board& board, RawTransport& raw, unsigned layout) {
  raw.restore();
  Transport& transport = raw.transport();
  transport.set_status(0);
  transport.set_status(3);
  uint64_t features = transport.features();
  if (!(layout & 1)) features &= ~kVirtioPacked;
  if (!(layout & 2)) features &= ~kVirtioEventIndex;
  if (!(layout & 4)) features &= ~kVirtioIndirect;
  if (layout & 8) features &= ~0xffffffull;
  transport.set_features(features);
  transport.set_status(11);
  for (unsigned n = 0; transport.queue_max(n) != 0; ++n) {
    const uint64_t base = kRings + n * kRingStep;
    transport.set_queue(n, {base, base + 0x400, base + 0x800, 8});
  }
  transport.set_status(15);
  board.settle();
}

void put_descriptor(Board& board, Bytes& bytes) {
  const uint64_t at = kRings + (bytes.get<uint8_t>() % 8) * kRingStep + 16 * (bytes.get<uint8_t>() % 8);
  const uint8_t where = bytes.get<uint8_t>();
  const uint64_t address = where == 0xff ? bytes.get<uint64_t>() : kRamBase + where * 64;
  board.put<uint64_t>(at, address);
  board.put<uint32_t>(at + 8, where & 1 ? bytes.get<uint8_t>() : bytes.get<uint16_t>());
  board.put<uint16_t>(at + 12, bytes.get<uint16_t>() & 0x8087);
  board.put<uint16_t>(at + 14, bytes.get<uint16_t>() & 0x8087);
}

void step(Board& board, RawTransport& raw, Subject& subject, Bytes& bytes, unsigned layout) {
  switch (bytes.get<uint8_t>() % 10) {
    case 0: {
      const uint64_t at = kRamBase + bytes.get<uint16_t>();
      const auto data = bytes.take(bytes.get<uint8_t>());
      std::copy(data.begin(), data.end(), board.host(at));
      break;
    }
    case 1: {
      const uint64_t at = kRings + bytes.get<uint16_t>() % 0x8000;
      const auto data = bytes.take(bytes.get<uint8_t>());
      std::copy(data.begin(), data.end(), board.host(at));
      break;
    }
    case 2:
    case 3:
      put_descriptor(board, bytes);
      break;
    case 4: {  // the available ring of a split queue
      const uint64_t ring = kRings + (bytes.get<uint8_t>() % 8) * kRingStep + 0x400;
      const uint16_t index = board.get<uint16_t>(ring + 2);
      board.put<uint16_t>(ring + 4 + 2 * (index % 8), bytes.get<uint8_t>() % 9);
      board.put<uint16_t>(ring + 2, static_cast<uint16_t>(index + 1));
      break;
    }
    case 5:
      raw.transport().notify(bytes.get<uint8_t>() % 10);
      break;
    case 6:
      raw.poke(bytes);
      break;
    case 7:
      subject.host_event(bytes);
      break;
    case 8:
      start(board, raw, layout);
      break;
    default: {
      const uint32_t offset = bytes.get<uint8_t>();
      const unsigned size = 1u << bytes.get<uint8_t>() % 3;
      raw.transport().set_config(offset & ~(size - 1), size, bytes.get<uint32_t>());
      raw.transport().config(offset & ~(size - 1), size);
      break;
    }
  }
  board.loop.run_once(0);
}

void check_that_it_works(Board& board, RawTransport& raw) {
  raw.restore();
  Transport& transport = raw.transport();
  transport.set_status(0);
  if (transport.status() == 0 && transport.interrupts() == 0 && !board.irq.level()) return;
  std::fputs("the device did not come back by a reset\n", stderr);
  std::abort();
}

}  // namespace

void fuzz_virtio(Bytes bytes, const Connect& connect) {
  static const bool quiet = open_log_file("/dev/null");
  (void)quiet;
  const unsigned kind = bytes.get<uint8_t>(), layout = bytes.get<uint8_t>();
  Board board;
  Subject subject(board, kind);
  const auto raw = connect(board, *subject.device);
  start(board, *raw, layout);
  while (!bytes.empty()) step(board, *raw, subject, bytes, layout);
  board.settle();
  check_that_it_works(board, *raw);
  subject.device->reset();
}

}  // namespace lyrebird::devices::test
