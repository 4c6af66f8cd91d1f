// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "system/address_space.h"
#include "system/state_stream.h"

namespace lyrebird::system {
namespace {

struct TestDevice : Device {
  struct Access {
    uint64_t offset;
    unsigned size;
    uint64_t value;
    bool operator==(const Access&) const = default;
  };
  uint64_t read(uint64_t offset, unsigned size) override {
    reads.push_back({offset, size, 0});
    return answer >> (8 * (offset % 8));
  }
  void write(uint64_t offset, unsigned size, uint64_t value) override {
    writes.push_back({offset, size, value});
  }
  void reset() override {}
  void save(StateWriter&) const override {}
  Result<void> load(StateReader&) override { return {}; }
  std::vector<Access> reads, writes;
  uint64_t answer = 0x8877665544332211;
};

std::unique_ptr<RamBlock> ram(uint64_t size) { return std::move(RamBlock::create("ram", size).value()); }

TEST(AddressSpace, ShowsTheChildOfHigherPriority) {
  const auto low = ram(0x10000), high = ram(0x1000);
  const auto root = MemoryRegion::container("root", 1 << 20);
  const auto a = MemoryRegion::ram("a", *low), b = MemoryRegion::ram("b", *high);
  root->add(*b, 0x2000, 1);
  root->add(*a, 0);
  const AddressSpace space("test", *root);
  const auto ranges = space.ranges();
  ASSERT_EQ(ranges.size(), 3u);
  EXPECT_EQ(ranges[0].region, a.get());
  EXPECT_EQ(ranges[0].size, 0x2000u);
  EXPECT_EQ(ranges[1].region, b.get());
  EXPECT_EQ(ranges[2].start, 0x3000u);
  EXPECT_EQ(ranges[2].region_offset, 0x3000u);
}

TEST(AddressSpace, AContainerIsTransparentWhereNoChildIs) {
  const auto low = ram(0x4000), high = ram(0x1000);
  const auto root = MemoryRegion::container("root", 1 << 20), over = MemoryRegion::container("over", 0x4000);
  const auto a = MemoryRegion::ram("a", *low), b = MemoryRegion::ram("b", *high);
  root->add(*a, 0);
  over->add(*b, 0x1000);
  root->add(*over, 0, 1);
  const AddressSpace space("test", *root);
  EXPECT_EQ(space.find(0)->region, a.get());
  EXPECT_EQ(space.find(0x1000)->region, b.get());
  EXPECT_EQ(space.find(0x2000)->region, a.get());
  over->set_enabled(false);
  EXPECT_EQ(space.find(0x1000)->region, a.get());
}

TEST(AddressSpace, AnAliasShowsAPieceOfItsTargetAndFollowsIt) {
  const auto block = ram(0x4000);
  const auto root = MemoryRegion::container("root", 1 << 20),
             other = MemoryRegion::container("other", 1 << 20);
  const auto memory = MemoryRegion::ram("memory", *block);
  const auto window = MemoryRegion::alias("window", *root, 0x1000, 0x2000);
  root->add(*memory, 0);
  other->add(*window, 0x8000);
  const AddressSpace space("test", *other);
  block->host()[0x1234] = 42;
  EXPECT_EQ(space.read(0x8234, 1).value, 42u);
  EXPECT_FALSE(space.read(0xa000, 1).ok);
  memory->move(0x1000);
  block->host()[0x234] = 43;
  EXPECT_EQ(space.read(0x8234, 1).value, 43u);
}

TEST(AddressSpace, AnAliasOfWhatItLiesInEnds) {
  const auto block = ram(0x1000);
  const auto root = MemoryRegion::container("root", 1 << 20);
  const auto memory = MemoryRegion::ram("memory", *block);
  const auto mirror = MemoryRegion::alias("mirror", *root, 0, 1 << 20);
  root->add(*memory, 0);
  root->add(*mirror, 0x1000);
  const AddressSpace space("test", *root);
  block->host()[5] = 7;
  EXPECT_EQ(space.read(0x1005, 1).value, 7u);
}

TEST(AddressSpace, WritesCrossRegionsAndMarkRam) {
  const auto one = ram(0x1000), two = ram(0x1000);
  const auto root = MemoryRegion::container("root", 1 << 20);
  const auto a = MemoryRegion::ram("a", *one), b = MemoryRegion::ram("b", *two);
  root->add(*a, 0);
  root->add(*b, 0x1000);
  one->follow(DirtyClient::Migration, true);
  two->follow(DirtyClient::Migration, true);
  one->test_and_clear(0, 0x1000, DirtyClient::Migration);
  const AddressSpace space("test", *root);
  EXPECT_TRUE(space.write(0xffd, 8, 0x1122334455667788));
  EXPECT_EQ(space.read(0xffd, 8).value, 0x1122334455667788u);
  EXPECT_EQ(one->host()[0xfff], 0x66);
  EXPECT_EQ(two->host()[0], 0x55);
  EXPECT_TRUE(one->test_and_clear(0, 0x1000, DirtyClient::Migration));
  EXPECT_FALSE(one->is_dirty(0, DirtyClient::Migration));
}

TEST(AddressSpace, RomIgnoresWritesButLoadersMayFillIt) {
  const auto block = ram(0x1000);
  const auto root = MemoryRegion::container("root", 1 << 20);
  const auto rom = MemoryRegion::rom("rom", *block);
  root->add(*rom, 0);
  const AddressSpace space("test", *root);
  EXPECT_TRUE(space.write(0, 4, 5));
  EXPECT_EQ(space.read(0, 4).value, 0u);
  EXPECT_FALSE(space.write_bytes(0, "abcd", 4));
  EXPECT_TRUE(space.load_bytes(0, "abcd", 4));
  EXPECT_EQ(space.read(0, 4).value, 0x64636261u);
}

TEST(AddressSpace, SplitsWhatADeviceDoesNotTake) {
  TestDevice device;
  const auto root = MemoryRegion::container("root", 1 << 20);
  const auto io = MemoryRegion::io("io", 0x1000, device);
  root->add(*io, 0x4000);
  const AddressSpace space("test", *root);
  EXPECT_EQ(space.read(0x4000, 8).value, 0x8877665544332211u);
  EXPECT_EQ(device.reads, (std::vector<TestDevice::Access>{{0, 4, 0}, {4, 4, 0}}));
  EXPECT_TRUE(space.write(0x4002, 4, 0xaabbccdd));
  EXPECT_EQ(device.writes, (std::vector<TestDevice::Access>{{2, 2, 0xccdd}, {4, 2, 0xaabb}}));
}

TEST(AddressSpace, WidensWhatIsTooSmallForADevice) {
  TestDevice device;
  const auto root = MemoryRegion::container("root", 1 << 20);
  const auto io = MemoryRegion::io("io", 0x1000, device, {.min = 4, .max = 4});
  root->add(*io, 0);
  const AddressSpace space("test", *root);
  EXPECT_EQ(space.read(0x2, 1).value, 0x33u);
  EXPECT_TRUE(space.write(0x3, 1, 0x99));
  EXPECT_EQ(device.writes, (std::vector<TestDevice::Access>{{0, 4, 0x99000000}}));
}

TEST(AddressSpace, NothingThereIsAnErrorAndDmaReachesOnlyMemory) {
  TestDevice device;
  const auto root = MemoryRegion::container("root", ~uint64_t{0});
  const auto io = MemoryRegion::io("io", 0x1000, device);
  root->add(*io, 0);
  const AddressSpace space("test", *root);
  EXPECT_FALSE(space.read(0x1000, 4).ok);
  EXPECT_FALSE(space.write(~uint64_t{0}, 8, 1));
  uint32_t word = 0;
  EXPECT_FALSE(space.read_bytes(0, &word, 4));
  EXPECT_FALSE(space.host(0).has_value());
}

TEST(AddressSpace, FlashReadsFromMemoryUntilToldOtherwise) {
  TestDevice device;
  const auto block = ram(0x1000);
  const auto root = MemoryRegion::container("root", 1 << 20);
  const auto flash = MemoryRegion::rom_device("flash", *block, device);
  root->add(*flash, 0);
  const AddressSpace space("test", *root);
  block->host()[0] = 9;
  EXPECT_EQ(space.read(0, 1).value, 9u);
  EXPECT_FALSE(space.host(0)->writable);
  flash->set_readable(false);
  EXPECT_EQ(space.read(0, 1).value, 0x11u);
  EXPECT_TRUE(space.write(0, 1, 3));
  EXPECT_EQ(device.writes.size(), 1u);
}

struct Recorder : MemoryListener {
  void range_removed(const FlatRange& range) override { text += "-" + range.region->name(); }
  void range_added(const FlatRange& range) override { text += "+" + range.region->name(); }
  void changed() override { text += "."; }
  std::string text;
};

TEST(AddressSpace, ListenersHearOfATransactionOnce) {
  const auto one = ram(0x1000), two = ram(0x1000);
  const auto root = MemoryRegion::container("root", 1 << 20);
  const auto a = MemoryRegion::ram("a", *one), b = MemoryRegion::ram("b", *two);
  root->add(*a, 0);
  AddressSpace space("test", *root);
  Recorder recorder;
  space.add_listener(recorder);
  const uint64_t before = space.generation();
  {
    const MemoryTransaction transaction;
    root->add(*b, 0x1000);
    root->remove(*a);
    root->add(*a, 0x2000);
    EXPECT_EQ(recorder.text, "+a.");
  }
  EXPECT_EQ(recorder.text, "+a.-a+b+a.");
  EXPECT_NE(space.generation(), before);
  {
    const MemoryTransaction transaction;
    root->remove(*b);
    root->add(*b, 0x1000);
  }
  EXPECT_EQ(recorder.text, "+a.-a+b+a.");
  space.remove_listener(recorder);
}

TEST(AddressSpace, ReadersSeeTheViewOfBeforeOrAfter) {
  const auto one = ram(0x1000), two = ram(0x1000);
  one->host()[0] = 1;
  two->host()[0] = 2;
  const auto root = MemoryRegion::container("root", 1 << 20);
  const auto a = MemoryRegion::ram("a", *one), b = MemoryRegion::ram("b", *two);
  root->add(*a, 0);
  root->add(*b, 0, 1);
  const AddressSpace space("test", *root);
  std::atomic<bool> stop{false}, wrong{false};
  std::thread reader([&] {
    while (!stop) {
      const MemoryResult result = space.read(0, 1);
      if (!result.ok || (result.value != 1 && result.value != 2)) wrong = true;
    }
  });
  for (int i = 0; i < 300; ++i) b->set_enabled(i % 2);
  stop = true;
  reader.join();
  EXPECT_FALSE(wrong);
}

struct CodeRecorder : CodeWriteListener {
  void code_written(RamBlock& ram, uint64_t offset, uint64_t size) override {
    events.emplace_back(offset, size);
    ram.set_has_code(offset, false);
  }
  std::vector<std::pair<uint64_t, uint64_t>> events;
};

TEST(RamBlock, DmaIntoTranslatedCodeIsToldOncePerPage) {
  const auto block = ram(0x200000);
  const auto root = MemoryRegion::container("root", 1 << 22);
  const auto memory = MemoryRegion::ram("memory", *block);
  root->add(*memory, 0);
  const AddressSpace space("test", *root);
  CodeRecorder recorder;
  block->set_code_listener(&recorder);
  block->set_has_code(0x3000, true);
  block->set_has_code(0x100000, true);
  const std::vector<uint8_t> data(0x1fe000, 0xaa);
  EXPECT_TRUE(space.write_bytes(0x3800, data.data(), data.size() - 0x2000));
  EXPECT_EQ(recorder.events,
            (std::vector<std::pair<uint64_t, uint64_t>>{{0x3800, 0x800}, {0x100000, 0x1000}}));
  recorder.events.clear();
  EXPECT_TRUE(space.write(0x3800, 4, 1));
  EXPECT_TRUE(recorder.events.empty());
}

TEST(RamBlock, ClearsToZeros) {
  for (const bool shared : {false, true}) {
    const auto block = std::move(RamBlock::create("ram", 0x3000, {.shared = shared}).value());
    block->host()[0x2fff] = 1;
    block->clear();
    EXPECT_EQ(block->host()[0x2fff], 0);
    EXPECT_EQ(block->fd() >= 0, shared);
  }
}

TEST(RamBlock, TooMuchIsAnErrorThatNamesIt) {
  const auto block = RamBlock::create("pc.ram", uint64_t{1} << 60);
  ASSERT_FALSE(block.ok());
  EXPECT_NE(block.error().message.find("pc.ram"), std::string::npos);
}

}  // namespace
}  // namespace lyrebird::system
