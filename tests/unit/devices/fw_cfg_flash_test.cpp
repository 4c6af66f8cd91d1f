// SPDX-License-Identifier: Apache-2.0
#include "devices/flash/cfi_flash.h"
#include "devices/misc/fw_cfg.h"
#include "tests/unit/devices/fixture.h"

namespace lyrebird::devices {
namespace {

struct FwCfgTest : testing::Test {
  FwCfgTest() {
    root->add(*region, 0x1000);
    root->add(*io, 0x9020000);
    config.add_file("etc/second", {1, 2, 3});
    config.add_file("etc/first", {9});
  }
  void select(uint16_t item) { EXPECT_TRUE(space.write(0x9020008, 2, __builtin_bswap16(item))); }
  uint64_t data(unsigned size) { return space.read(0x9020000, size).value; }
  uint32_t dma(uint32_t control, uint32_t length, uint64_t address) {
    const uint32_t words[] = {__builtin_bswap32(control), __builtin_bswap32(length),
                              __builtin_bswap32(static_cast<uint32_t>(address >> 32)),
                              __builtin_bswap32(static_cast<uint32_t>(address))};
    space.write_bytes(0x1000, words, sizeof words);
    space.write(0x9020010, 8, __builtin_bswap64(0x1000));
    return __builtin_bswap32(static_cast<uint32_t>(space.read(0x1000, 4).value));
  }
  std::unique_ptr<system::RamBlock> ram = std::move(system::RamBlock::create("ram", 0x4000).value());
  system::MemoryRegionPtr root = system::MemoryRegion::container("root", 1 << 30);
  system::MemoryRegionPtr region = system::MemoryRegion::ram("ram", *ram);
  system::AddressSpace space{"test", *root};
  FwCfg config{space};
  system::MemoryRegionPtr io = system::MemoryRegion::io("fw_cfg", FwCfg::kSize, config, FwCfg::kSizes);
};

TEST_F(FwCfgTest, ItemsAreReadByteByByteOrWider) {
  EXPECT_EQ(data(4), 0x554d4551u);  // "QEMU"
  EXPECT_EQ(data(1), 0u);
  select(FwCfg::kId);
  EXPECT_EQ(data(4), 3u);
  select(0x123);
  EXPECT_EQ(data(8), 0u);
}

TEST_F(FwCfgTest, FilesAreListedByName) {
  select(FwCfg::kDirectory);
  EXPECT_EQ(data(4), __builtin_bswap32(2));
  EXPECT_EQ(data(4), __builtin_bswap32(1));
  EXPECT_EQ(data(2), __builtin_bswap16(0x21));
  EXPECT_EQ(data(2), 0u);
  std::string name;
  for (int i = 0; i < 56; ++i) name.push_back(static_cast<char>(data(1)));
  EXPECT_STREQ(name.c_str(), "etc/first");
  EXPECT_EQ(data(4), __builtin_bswap32(3));
}

TEST_F(FwCfgTest, DmaReadsSkipsAndRefusesWrites) {
  EXPECT_EQ(space.read(0x9020010, 8).value, 0x47464320554d4551u);
  EXPECT_EQ(dma(0x20u << 16 | 8 | 4, 1, 0), 0u);
  EXPECT_EQ(dma(2, 4, 0x2000), 0u);
  EXPECT_EQ(space.read(0x2000, 4).value, 0x00000302u) << "zeros behind the end";
  EXPECT_EQ(dma(16, 4, 0x2000), 1u);
  EXPECT_EQ(dma(0x20u << 16 | 8 | 2, 4, 0x20000000), 1u) << "no memory there";
}

struct FlashTest : testing::Test {
  FlashTest() {
    root->add(flash.region(), 0);
    std::fill_n(block->host(), block->size(), 0xff);
    block->host()[0] = 0x5a;
    flash.reset();
  }
  uint32_t read(uint64_t address) { return static_cast<uint32_t>(space.read(address, 4).value); }
  void write(uint64_t address, uint32_t value) { EXPECT_TRUE(space.write(address, 4, value)); }
  std::unique_ptr<system::RamBlock> block = std::move(system::RamBlock::create("flash", 4 << 20).value());
  std::vector<std::pair<uint64_t, uint64_t>> written;
  CfiFlash flash{"flash", *block, false,
                 [this](uint64_t at, uint64_t size) { written.emplace_back(at, size); }};
  system::MemoryRegionPtr root = system::MemoryRegion::container("root", 1 << 30);
  system::AddressSpace space{"test", *root};
};

TEST_F(FlashTest, ReadsAsMemoryUntilACommand) {
  EXPECT_EQ(read(0), 0xffffff5au);
  EXPECT_TRUE(space.host(0).has_value());
  write(0, 0x00980098);
  EXPECT_FALSE(space.host(0).has_value());
  EXPECT_EQ(read(4 * 0x10), 0x00510051u);
  EXPECT_EQ(read(4 * 0x27), 0x00150015u) << "2 MiB a chip";
  EXPECT_EQ(read(4 * 0x2d), 0x000f000fu) << "16 blocks";
  EXPECT_EQ(read(4 * 0x30), 0x00020002u) << "of 128 KiB a chip";
  write(0, 0x00ff00ff);
  EXPECT_EQ(read(0), 0xffffff5au);
}

TEST_F(FlashTest, ProgrammingOnlyClearsBitsAndErasingSetsABlock) {
  write(0x100, 0x00400040);
  write(0x100, 0x12345678);
  EXPECT_EQ(read(0x100), 0x00800080u);
  write(0x100, 0x00400040);
  write(0x100, 0xff00ff00);
  write(0, 0x00ff00ff);
  EXPECT_EQ(read(0x100), 0x12005600u);
  EXPECT_EQ(written.size(), 2u);
  write(0x140, 0x00200020);
  write(0x140, 0x00d000d0);
  write(0, 0x00ff00ff);
  EXPECT_EQ(read(0x100), ~0u);
  EXPECT_EQ(read(0), ~0u) << "the same block";
  EXPECT_EQ(written.back(), (std::pair<uint64_t, uint64_t>{0, CfiFlash::kBlockSize}));
}

TEST_F(FlashTest, ABufferIsProgrammedWhenItIsConfirmed) {
  write(0x200, 0x00e800e8);
  EXPECT_EQ(read(0x200), 0x00800080u);
  write(0x200, 0x00010001);
  write(0x200, 1);
  write(0x204, 2);
  EXPECT_TRUE(written.empty());
  write(0x200, 0x00d000d0);
  write(0, 0x00ff00ff);
  EXPECT_EQ(read(0x200), 1u);
  EXPECT_EQ(read(0x204), 2u);
}

TEST_F(FlashTest, AWrongSequenceIsAnErrorUntilItIsCleared) {
  write(0, 0x00200020);
  write(0, 0x12341234);
  EXPECT_EQ(read(0), 0x00b000b0u);
  write(0, 0x00500050);
  write(0, 0x00700070);
  EXPECT_EQ(read(0), 0x00800080u);
}

TEST_F(FlashTest, AReadOnlyOneIsNotChanged) {
  CfiFlash fixed("fixed", *block, true);
  fixed.write(0, 4, 0x00400040);
  fixed.write(0, 4, 0);
  EXPECT_EQ(fixed.read(0, 4), 0x00900090u);
  EXPECT_EQ(block->host()[0], 0x5a);
}

}  // namespace
}  // namespace lyrebird::devices
