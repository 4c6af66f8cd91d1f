// SPDX-License-Identifier: Apache-2.0
// A driver that does what it likes: the bytes are a program that writes the rings, the buffers, the
// transport's registers and the configuration of one virtio device. Nothing may crash, hang or touch other
// memory; after a reset the device must work again.
#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>

#include "base/log.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/input.h"
#include "devices/virtio/net.h"
#include "devices/virtio/nine_p.h"
#include "devices/virtio/rng.h"
#include "tests/unit/devices/memory_node.h"
#include "tests/unit/devices/virtio_driver.h"

namespace {

using namespace lyrebird;
using namespace lyrebird::devices;
using namespace lyrebird::devices::test;

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  bool empty() const { return at_ == end_; }
  template <typename T>
  T get() {
    T value = 0;
    const size_t n = std::min<size_t>(sizeof value, static_cast<size_t>(end_ - at_));
    std::memcpy(&value, at_, n);
    at_ += n;
    return value;
  }
  std::span<const uint8_t> take(size_t n) {
    n = std::min<size_t>(n, static_cast<size_t>(end_ - at_));
    at_ += n;
    return {at_ - n, n};
  }

 private:
  const uint8_t *at_, *end_;
};

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

/// The device under test, and what happens on the host's side.
struct Subject {
  Subject(Board& board, unsigned kind) : node(board.loop, 1 << 16) {
    const VirtioOptions options = {.id = "fuzz", .packed = true};
    system::AddressSpace& memory = *board.memory;
    switch (kind % 7) {
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
      case 4:
        device = std::make_unique<VirtioBalloon>(VirtioBalloonOptions{.virtio = options}, memory, board.loop);
        break;
      case 5:
        device = std::make_unique<VirtioInput>(options, VirtioInputModel::tablet(), memory, board.loop);
        break;
      default:
        device = std::make_unique<Virtio9p>(
            Virtio9pOptions{.virtio = options, .path = "/proc/self/task", .tag = "fuzz", .read_only = true},
            memory, board.loop);
        break;
    }
  }
  void host_event(Bytes& bytes) {
    const unsigned which = bytes.get<uint8_t>();
    node.hold = which & 1;
    node.error = which & 2 ? 5 : 0;
    const auto data = bytes.take(bytes.get<uint8_t>() * 8);
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
  std::unique_ptr<VirtioDevice> device;
};

constexpr uint64_t kRings = kRamBase + 0x10000, kRingStep = 0x1000;

void start(Board& board, MmioTransport& transport, unsigned layout) {
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
    transport.write(0x30, n);
    transport.write(0x38, 8);
    const uint64_t base = kRings + n * kRingStep;
    for (unsigned area = 0; area < 3; ++area) {
      transport.write(0x80 + 0x10 * area, static_cast<uint32_t>(base + 0x400 * area));
      transport.write(0x84 + 0x10 * area, 0);
    }
    transport.write(0x44, 1);
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

void step(Board& board, MmioTransport& transport, Subject& subject, Bytes& bytes, unsigned layout) {
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
      transport.notify(bytes.get<uint8_t>() % 10);
      break;
    case 6: {
      const uint32_t offset = bytes.get<uint8_t>() * 4u;
      // Not the device's configuration: that is 9.
      transport.write(offset & 0xfc, bytes.get<uint32_t>());
      transport.read(offset & 0xfc);
      break;
    }
    case 7:
      subject.host_event(bytes);
      break;
    case 8:
      start(board, transport, layout);
      break;
    default: {
      const uint32_t offset = bytes.get<uint8_t>();
      const unsigned size = 1u << bytes.get<uint8_t>() % 3;
      transport.set_config(offset & ~(size - 1), size, bytes.get<uint32_t>());
      transport.config(offset & ~(size - 1), size);
      break;
    }
  }
  board.loop.run_once(0);
}

void check_that_it_works(Board& board, MmioTransport& transport) {
  transport.set_status(0);
  if (transport.status() == 0 && transport.interrupts() == 0 && !board.irq.level()) return;
  std::fputs("the device did not come back by a reset\n", stderr);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool quiet = open_log_file("/dev/null");
  (void)quiet;
  Bytes bytes(data, size);
  const unsigned kind = bytes.get<uint8_t>(), layout = bytes.get<uint8_t>();
  Board board;
  Subject subject(board, kind);
  {
    MmioTransport transport(board, *subject.device);
    start(board, transport, layout);
    while (!bytes.empty()) step(board, transport, subject, bytes, layout);
    board.settle();
    check_that_it_works(board, transport);
    subject.device.reset();
  }
  return 0;
}
