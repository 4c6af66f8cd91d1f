// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <numeric>

#include "tests/unit/devices/virtio_driver.h"

namespace lyrebird::devices::test {
namespace {

/// Sends back what it reads, once for each buffer; holds buffers while told to.
class Echo final : public VirtioDevice {
 public:
  Echo(system::AddressSpace& memory, system::EventLoop& loop, bool packed = true)
      : VirtioDevice(VirtioType::Entropy, {.id = "echo", .packed = packed}, {16, 64}, 8, memory, loop) {}

  unsigned seen = 0;
  bool hold = false;
  std::vector<Chain> held;

  void release(size_t n) {
    const std::lock_guard lock(mutex());
    answer(held.at(n));
    held.erase(held.begin() + n);
    interrupt(0);
  }

 private:
  void process(unsigned n) override {
    for_each_chain(n, [&](Chain& chain) {
      ++seen;
      if (hold) {
        held.push_back(chain);
      } else {
        answer(chain);
      }
      return true;
    });
  }
  void answer(const Chain& chain) {
    std::vector<uint8_t> data(chain.readable_size);
    chain.read(0, data.data(), data.size());
    complete(0, chain, static_cast<uint32_t>(chain.write(0, data.data(), data.size())));
  }
  void drain() override { held.clear(); }
};

class Rings : public testing::TestWithParam<int> {
 protected:
  Rings() : kind{(GetParam() & 1) != 0, (GetParam() & 2) != 0, (GetParam() & 4) != 0} {}

  std::vector<Buffer> buffers(uint32_t out, uint32_t in, uint32_t pieces) {
    std::vector<Buffer> list;
    out_ = board.allocate(out);
    in_ = board.allocate(in);
    for (uint32_t i = 0; i < pieces; ++i) list.push_back({out_ + out / pieces * i, out / pieces, false});
    for (uint32_t i = 0; i < pieces; ++i) list.push_back({in_ + in / pieces * i, in / pieces, true});
    return list;
  }

  const RingKind kind;
  Board board;
  Echo echo{*board.memory, board.loop};
  MmioTransport transport{board, echo};
  Driver driver{board, transport, kind};
  uint64_t out_ = 0, in_ = 0;
};

TEST_P(Rings, EveryBufferComesBackWithItsBytesThroughManyRoundsOfTheRing) {
  ASSERT_TRUE(driver.start(0));
  for (uint32_t round = 0; round < 200; ++round) {
    board.free_all();
    board.allocate(64 << 10);  // the rings
    const uint32_t pieces = 1 + round % 3;
    const auto list = buffers(96, 96, pieces);
    std::iota(board.host(out_), board.host(out_) + 96, static_cast<uint8_t>(round));
    std::memset(board.host(in_), 0xee, 96);
    const auto used = driver.request(0, list);
    ASSERT_TRUE(used) << round;
    EXPECT_EQ(used->written, 96u);
    EXPECT_EQ(std::memcmp(board.host(out_), board.host(in_), 96), 0);
  }
  EXPECT_EQ(echo.seen, 200u);
}

TEST_P(Rings, BuffersMayComeBackInAnyOrder) {
  ASSERT_TRUE(driver.start(0));
  echo.hold = true;
  for (int round = 0; round < 20; ++round) {
    std::vector<uint16_t> ids;
    for (int i = 0; i < 4; ++i) ids.push_back(driver.rings[0]->add(buffers(8, 8, 1)));
    driver.kick(0);
    ASSERT_TRUE(board.run_until([&] { return echo.held.size() == 4; }));
    for (size_t n : {2, 0, 1, 0}) {
      const uint16_t id = echo.held[n].id;
      echo.release(n);
      const auto used = driver.rings[0]->get();
      ASSERT_TRUE(used);
      EXPECT_EQ(used->id, id);
    }
    EXPECT_FALSE(driver.rings[0]->get());
  }
}

TEST_P(Rings, InterruptsComeWhenTheDriverWantsThem) {
  ASSERT_TRUE(driver.start(0));
  ASSERT_TRUE(driver.request(0, buffers(8, 8, 1)));
  EXPECT_EQ(transport.interrupts(), 1u);
  EXPECT_EQ(transport.interrupts(), 0u);
  EXPECT_FALSE(board.irq.level());

  driver.rings[0]->disable_interrupts();
  if (kind.event_index && !kind.packed) return;  // it has no way to say never
  ASSERT_TRUE(driver.request(0, buffers(8, 8, 1)));
  EXPECT_EQ(transport.interrupts(), 0u);
}

TEST_P(Rings, TheEventIndexDelaysTheInterrupt) {
  if (!kind.event_index) GTEST_SKIP();
  ASSERT_TRUE(driver.start(0));
  echo.hold = true;
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 3; ++i) driver.rings[0]->add(buffers(8, 8, 1));
    driver.kick(0);
    ASSERT_TRUE(board.run_until([&] { return echo.held.size() == 3; }));
    // The packed layout counts descriptors, of which a buffer has two here.
    driver.rings[0]->want_interrupt_after(kind.packed && !kind.indirect ? 4 : 2);
    echo.release(0);
    EXPECT_EQ(transport.interrupts(), 0u) << round;
    echo.release(0);
    EXPECT_EQ(transport.interrupts(), 0u) << round;
    echo.release(0);
    EXPECT_EQ(transport.interrupts(), 1u) << round;
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(driver.rings[0]->get());
  }
}

TEST_P(Rings, TheDeviceAsksForNotificationsOnlyWhenItIsIdle) {
  ASSERT_TRUE(driver.start(0));
  driver.rings[0]->add(buffers(8, 8, 1));
  EXPECT_TRUE(driver.rings[0]->must_notify());
  transport.notify(0);
  ASSERT_TRUE(board.run_until([&] { return echo.seen == 1; }));
  driver.rings[0]->add(buffers(8, 8, 1));
  EXPECT_TRUE(driver.rings[0]->must_notify());
  if (!kind.event_index) return;
  driver.rings[0]->add(buffers(8, 8, 1));
  EXPECT_FALSE(driver.rings[0]->must_notify());  // it has been told and did not look yet
}

TEST_P(Rings, WhatWasOfferedBeforeDriverOkIsSeen) {
  transport.set_status(0);
  transport.set_status(3);
  uint64_t features = kVirtioVersion1;
  if (kind.packed) features |= kVirtioPacked;
  transport.set_features(features);
  transport.set_status(11);
  DriverRing ring(board, {.packed = kind.packed}, 16);
  transport.set_queue(0, ring);
  ring.add(buffers(8, 8, 1));
  transport.set_status(15);
  EXPECT_TRUE(board.run_until([&] { return ring.get().has_value(); }));
}

TEST_P(Rings, StateGoesOnInAnotherDevice) {
  ASSERT_TRUE(driver.start(0));
  for (int i = 0; i < 21; ++i) ASSERT_TRUE(driver.request(0, buffers(8, 8, 1)));
  system::StateWriter writer;
  transport.mmio.save(writer);
  board.settle();

  Echo other(*board.memory, board.loop);
  VirtioMmio mmio(system::IrqLine(board.irq, 0));
  mmio.plug(other);
  system::StateReader reader(writer.data());
  const auto loaded = mmio.load(reader);
  ASSERT_TRUE(loaded) << loaded.error().message;
  driver.rings[0]->add(buffers(8, 8, 1));
  mmio.write(VirtioMmio::kQueueNotify, 4, 0);
  EXPECT_TRUE(board.run_until([&] { return driver.rings[0]->get().has_value(); }));
  EXPECT_EQ(other.seen, 1u);
}

std::string ring_name(const testing::TestParamInfo<int>& info) {
  const int n = info.param;
  return std::string(n & 1 ? "Packed" : "Split") + (n & 2 ? "EventIndex" : "") + (n & 4 ? "Indirect" : "");
}
INSTANTIATE_TEST_SUITE_P(All, Rings, testing::Range(0, 8), ring_name);

// --- what a driver must not do ---

class Hostile : public testing::TestWithParam<bool> {
 protected:
  Hostile() { driver.start(0); }

  void put(unsigned slot, uint64_t address, uint32_t size, uint16_t flags, uint16_t next_or_id) {
    const uint64_t at = ring().descriptors + 16 * slot;
    board.put<uint64_t>(at, address);
    board.put<uint32_t>(at + 8, size);
    if (packed) flags |= 1 << 7;
    board.put<uint16_t>(at + 12, packed ? next_or_id : flags);
    board.put<uint16_t>(at + 14, packed ? flags : next_or_id);
  }
  void offer(uint16_t count = 1) {
    if (!packed) {
      for (uint16_t i = 0; i < count; ++i) board.put<uint16_t>(ring().driver_area + 4 + 2 * i, 0);
      board.put<uint16_t>(ring().driver_area + 2, count);
    }
    transport.notify(0);
    board.settle();
  }
  DriverRing& ring() { return *driver.rings[0]; }
  bool failed() { return transport.status() & kStatusNeedsReset; }

  const bool packed = GetParam();
  Board board;
  Echo echo{*board.memory, board.loop};
  MmioTransport transport{board, echo};
  Driver driver{board, transport, {.packed = packed, .event_index = false, .indirect = true}};
};

TEST_P(Hostile, ABufferOutsideOfRamNeedsAReset) {
  put(0, 0x1000, 16, 0, 0);
  offer();
  EXPECT_TRUE(failed());
  EXPECT_EQ(echo.seen, 0u);
  EXPECT_EQ(transport.interrupts(), 2u) << "the driver is told";
}

TEST_P(Hostile, ABufferThatIsADevicesRegistersNeedsAReset) {
  put(0, kMmioBase, 16, 2, 0);
  offer();
  EXPECT_TRUE(failed());
}

TEST_P(Hostile, ABufferThatWrapsAroundNeedsAReset) {
  put(0, ~0ull - 4, 64, 2, 0);
  offer();
  EXPECT_TRUE(failed());
}

TEST_P(Hostile, ALoopNeedsAReset) {
  for (unsigned i = 0; i < 16; ++i) put(i, kRamBase, 16, 1, 0);
  offer();
  EXPECT_TRUE(failed());
}

TEST_P(Hostile, ReadableAfterWritableNeedsAReset) {
  put(0, kRamBase, 16, 2 | 1, 1);
  put(1, kRamBase, 16, 0, 0);
  offer();
  EXPECT_TRUE(failed());
}

TEST_P(Hostile, AnIndirectTableInsideOfATableNeedsAReset) {
  const uint64_t table = board.allocate(32);
  std::memset(board.host(table), 0, 32);
  board.put<uint16_t>(table + (packed ? 14 : 12), 4);
  put(0, table, 16, 4, 0);
  offer();
  EXPECT_TRUE(failed());
}

TEST_P(Hostile, AnIndirectTableOfAWrongSizeNeedsAReset) {
  put(0, kRamBase, 17, 4, 0);
  offer();
  EXPECT_TRUE(failed());
}

TEST_P(Hostile, AnIndirectTableWithoutEndNeedsAReset) {
  const uint64_t table = board.allocate(16 * 2000);
  for (unsigned i = 0; i < 2000; ++i) {
    board.put<uint64_t>(table + 16 * i, kRamBase);
    board.put<uint32_t>(table + 16 * i + 8, 1);
    board.put<uint16_t>(table + 16 * i + 12, packed ? 0 : 1);
    board.put<uint16_t>(table + 16 * i + 14, static_cast<uint16_t>(packed ? 0 : i + 1));
  }
  put(0, table, 16 * 2000, 4, 0);
  offer();
  EXPECT_TRUE(failed());
}

TEST_P(Hostile, ChainsOfMoreThan4GiBNeedAReset) {
  const uint64_t table = board.allocate(16 * 1000);
  for (unsigned i = 0; i < 1000; ++i) {
    board.put<uint64_t>(table + 16 * i, kRamBase);
    board.put<uint32_t>(table + 16 * i + 8, 15 << 20);
    board.put<uint16_t>(table + 16 * i + 12, packed ? 0 : (i < 999));
    board.put<uint16_t>(table + 16 * i + 14, static_cast<uint16_t>(packed ? 0 : (i + 1) % 1000));
  }
  put(0, table, 16 * 1000, 4, 0);
  offer();
  EXPECT_TRUE(failed());
}

TEST_P(Hostile, AfterAResetItWorksAgain) {
  put(0, 0x1000, 16, 0, 0);
  offer();
  ASSERT_TRUE(failed());
  ASSERT_TRUE(driver.start(0));
  EXPECT_FALSE(failed());
  const uint64_t at = board.allocate(16);
  EXPECT_TRUE(driver.request(0, {{at, 8, false}, {at + 8, 8, true}}));
}

INSTANTIATE_TEST_SUITE_P(Layouts, Hostile, testing::Bool(),
                         [](const auto& info) { return info.param ? "Packed" : "Split"; });

TEST(SplitRing, AnIndexThatRunsAwayNeedsAReset) {
  Board board;
  Echo echo(*board.memory, board.loop);
  MmioTransport transport(board, echo);
  Driver driver(board, transport, {});
  ASSERT_TRUE(driver.start(0));
  board.put<uint16_t>(driver.rings[0]->driver_area + 2, 17);
  transport.notify(0);
  board.settle();
  EXPECT_TRUE(transport.status() & kStatusNeedsReset);
}

TEST(SplitRing, TheSameBufferOfferedForEverNeedsAReset) {
  Board board;
  Echo echo(*board.memory, board.loop);
  echo.hold = true;
  MmioTransport transport(board, echo);
  Driver driver(board, transport, {});
  ASSERT_TRUE(driver.start(0));
  board.put<uint64_t>(driver.rings[0]->descriptors, kRamBase);
  board.put<uint32_t>(driver.rings[0]->descriptors + 8, 4);
  for (uint16_t n = 1; n < 40; ++n) {
    board.put<uint16_t>(driver.rings[0]->driver_area + 2, n);
    transport.notify(0);
    board.settle();
  }
  EXPECT_TRUE(transport.status() & kStatusNeedsReset);
  EXPECT_LE(echo.held.size(), 16u);
}

TEST(Status, FeaturesThatWereNotOfferedAreRefused) {
  Board board;
  Echo echo(*board.memory, board.loop, false);
  MmioTransport transport(board, echo);
  Driver packed(board, transport, {.packed = true});
  EXPECT_FALSE(packed.start(0));
  transport.set_status(0);
  transport.set_status(3);
  transport.set_features(0);  // a legacy driver
  transport.set_status(11);
  EXPECT_FALSE(transport.status() & kStatusFeaturesOk);
}

TEST(Status, AQueueOfAWrongSizeOrAlignmentNeedsAReset) {
  Board board;
  Echo echo(*board.memory, board.loop);
  MmioTransport transport(board, echo);
  for (const uint32_t size : {0u, 17u, 3u, 70000u}) {
    transport.set_status(0);
    transport.set_status(3);
    transport.set_features(kVirtioVersion1);
    transport.set_status(11);
    transport.write(0x30, 0);
    transport.write(0x38, size);
    transport.write(0x44, 1);
    EXPECT_TRUE(transport.status() & kStatusNeedsReset) << size;
    EXPECT_EQ(transport.read(0x44), 0u);
  }
}

TEST(Mmio, AnEmptySlotSaysSo) {
  VirtioMmio slot{system::IrqLine()};
  EXPECT_EQ(slot.read(0, 4), 0x74726976u);
  EXPECT_EQ(slot.read(4, 4), 2u);
  EXPECT_EQ(slot.read(8, 4), 0u);
  slot.write(0x70, 4, 1);
  EXPECT_EQ(slot.read(0x70, 4), 0u);
}

}  // namespace
}  // namespace lyrebird::devices::test
