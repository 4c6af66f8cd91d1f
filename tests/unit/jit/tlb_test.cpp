// SPDX-License-Identifier: Apache-2.0
#include "jit/tlb.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "jit/block_map.h"
#include "jit/thread_context.h"
#include "system/ram_block.h"

namespace lyrebird::jit {
namespace {

using ir::Access;

constexpr uint64_t kRam = 0x4000'0000, kRamSize = 4 << 20, kDevice = 0x1000'0000;

class Register final : public system::Device {
 public:
  uint64_t read(uint64_t offset, unsigned) override { return 0x1122334455667788 + offset; }
  void write(uint64_t, unsigned, uint64_t value) override { last = value; }
  void reset() override {}
  void save(system::StateWriter&) const override {}
  Result<void> load(system::StateReader&) override { return {}; }
  uint64_t last = 0;
};

/// Tables as a map from virtual to physical pages.
class Pages final : public PageWalker {
 public:
  bool walk(ir::CpuHeader&, uint64_t va, Access access, unsigned, GuestPage& page) override {
    ++walks;
    const auto it = pages.find(va >> 12);
    if (it == pages.end()) return false;
    page = it->second;
    return access == Access::Read ? page.read : access == Access::Write ? page.write : page.execute;
  }
  void bus_error(ir::CpuHeader&, uint64_t, Access, unsigned) override { ++bus_errors; }
  unsigned fetch_space(uint32_t mode) const override { return mode; }
  void map(uint64_t va, uint64_t pa, bool global = false) {
    pages[va >> 12] = {.physical = pa, .read = true, .write = true, .execute = true, .global = global};
  }
  std::map<uint64_t, GuestPage> pages;
  unsigned walks = 0, bus_errors = 0;
};

class TlbTest : public testing::Test {
 protected:
  TlbTest() {
    root->add(*region, kRam);
    root->add(*io, kDevice);
    tlb.set_thread(thread);
  }
  uint64_t load(uint64_t va, unsigned size, unsigned space = 0) {
    uint8_t bytes[32] = {};
    EXPECT_TRUE(tlb.read(va, size, space, bytes));
    uint64_t value;
    std::memcpy(&value, bytes, 8);
    return value;
  }
  bool store(uint64_t va, unsigned size, uint64_t value, unsigned space = 0) {
    uint8_t bytes[32] = {};
    std::memcpy(bytes, &value, 8);
    return tlb.write(va, size, space, bytes);
  }
  uint64_t word(uint64_t pa) { return memory->read(pa, 8).value; }

  Register device;
  std::unique_ptr<system::RamBlock> ram = std::move(system::RamBlock::create("ram", kRamSize).value());
  system::MemoryRegionPtr root = system::MemoryRegion::container("root", uint64_t{1} << 40);
  system::MemoryRegionPtr region = system::MemoryRegion::ram("ram", *ram);
  system::MemoryRegionPtr io = system::MemoryRegion::io("io", 0x1000, device, {1, 8});
  std::unique_ptr<system::AddressSpace> memory = std::make_unique<system::AddressSpace>("memory", *root);
  BlockMap map;
  ThreadContext thread{map};
  ir::CpuHeader cpu;
  Pages pages;
  WritablePages writable;
  Tlb tlb{cpu, *memory, pages, writable};
};

TEST_F(TlbTest, AnEntryMakesTheNextAccessPlain) {
  pages.map(0x7000, kRam + 0x3000);
  EXPECT_EQ(tlb.probe(0x7008, 8, false, 0), 0u);
  EXPECT_TRUE(store(0x7008, 8, 42));
  EXPECT_EQ(word(kRam + 0x3008), 42u);
  EXPECT_EQ(tlb.probe(0x7008, 8, true, 0), reinterpret_cast<uint64_t>(ram->host()) + 0x3008);
  EXPECT_EQ(tlb.probe(0x7008, 8, false, 1), 0u) << "another space";
  EXPECT_EQ(tlb.probe(0x7ffc, 8, false, 0), 0u) << "crosses into the next page";
  EXPECT_EQ(tlb.probe(0x7ffc, 4, false, 0), reinterpret_cast<uint64_t>(ram->host()) + 0x3ffc);
}

TEST_F(TlbTest, AccessesAcrossPagesNeedBoth) {
  pages.map(0x7000, kRam + 0x3000);
  EXPECT_FALSE(store(0x7ffc, 8, ~uint64_t{0}));
  EXPECT_EQ(cpu.fault_address, 0x8000u);
  EXPECT_EQ(cpu.fault_access, static_cast<uint32_t>(Access::Write));
  EXPECT_EQ(word(kRam + 0x3ff8), 0u) << "nothing was done";
  pages.map(0x8000, kRam + 0x10000);
  EXPECT_TRUE(store(0x7ffc, 8, 0x8877665544332211));
  EXPECT_EQ(memory->read(kRam + 0x3ffc, 4).value, 0x44332211u);
  EXPECT_EQ(memory->read(kRam + 0x10000, 4).value, 0x88776655u);
  EXPECT_EQ(load(0x7ffc, 8), 0x8877665544332211u);
}

TEST_F(TlbTest, DevicesAreNeverPlain) {
  pages.map(0x7000, kDevice);
  EXPECT_EQ(load(0x7010, 8), 0x1122334455667798u);
  EXPECT_TRUE(store(0x7010, 4, 77));
  EXPECT_EQ(device.last, 77u);
  EXPECT_EQ(tlb.probe(0x7010, 8, false, 0), 0u);
  EXPECT_EQ(tlb.probe(0x7010, 4, true, 0), 0u);
}

TEST_F(TlbTest, NothingAtThePhysicalAddressIsABusError) {
  pages.map(0x7000, 0x2000'0000);
  uint8_t bytes[32];
  EXPECT_FALSE(tlb.read(0x7010, 4, 0, bytes));
  EXPECT_EQ(pages.bus_errors, 1u);
}

TEST_F(TlbTest, FlushOfAPageLeavesTheOthers) {
  pages.map(0x7000, kRam);
  pages.map(0x9000, kRam + 0x1000);
  (void)load(0x7000, 8);
  (void)load(0x9000, 8);
  tlb.flush({.by_address = true, .address = 0x7000, .size = 1});
  EXPECT_EQ(tlb.probe(0x7000, 8, false, 0), 0u);
  EXPECT_NE(tlb.probe(0x9000, 8, false, 0), 0u);
  tlb.flush_all();
  EXPECT_EQ(tlb.probe(0x9000, 8, false, 0), 0u);
}

TEST_F(TlbTest, FlushOfOneAddressTakesAllOfALargePage) {
  for (uint64_t va = 0x200000; va < 0x400000; va += 0x1000)
    pages.pages[va >> 12] = {.physical = kRam + 0x200000, .bits = 21, .read = true, .write = true};
  (void)load(0x203000, 8);
  EXPECT_EQ(tlb.probe(0x203000, 8, false, 0), reinterpret_cast<uint64_t>(ram->host()) + 0x203000);
  tlb.flush({.by_address = true, .address = 0x3ff000, .size = 1});
  EXPECT_EQ(tlb.probe(0x203000, 8, false, 0), 0u);
}

TEST_F(TlbTest, FlushFindsEntriesOfTaggedAddresses) {
  constexpr uint64_t kTagged = 0x5a00'0000'0000'7000;
  pages.map(kTagged, kRam);
  (void)load(kTagged, 8);
  EXPECT_NE(tlb.probe(kTagged, 8, false, 0), 0u);
  EXPECT_EQ(tlb.probe(0x7000, 8, false, 0), 0u);
  tlb.flush({.by_address = true, .address = 0x7000, .size = 1});
  EXPECT_EQ(tlb.probe(kTagged, 8, false, 0), 0u);
}

TEST_F(TlbTest, ContextsKeepTheirEntries) {
  tlb.context_changed(1, 1);
  pages.map(0x7000, kRam);
  (void)load(0x7000, 8);
  tlb.context_changed(1, 2);
  EXPECT_EQ(tlb.probe(0x7000, 8, false, 0), 0u);
  pages.map(0x7000, kRam + 0x1000);
  (void)load(0x7000, 8);
  tlb.context_changed(1, 1);
  EXPECT_EQ(tlb.probe(0x7000, 8, false, 0), reinterpret_cast<uint64_t>(ram->host()));
  tlb.flush({.by_context = true, .context = 2});
  EXPECT_NE(tlb.probe(0x7000, 8, false, 0), 0u) << "another context's";
  tlb.context_changed(1, 2);
  EXPECT_EQ(tlb.probe(0x7000, 8, false, 0), 0u) << "flushed while it was away";
}

TEST_F(TlbTest, ATableGrowsWherePagesTakeEachOthersPlace) {
  constexpr uint64_t kA = 0x7000, kB = kA + kTlbSize * kTlbPageSize, kOther = 0x9000;
  const auto host = reinterpret_cast<uint64_t>(ram->host());
  pages.map(kA, kRam + 0x1000);
  pages.map(kB, kRam + 0x2000);
  pages.map(kOther, kRam + 0x3000);
  (void)load(kOther, 8);
  for (unsigned i = 0; i < 10 * kTlbSize; ++i) {
    EXPECT_TRUE(store(kA, 8, i));
    EXPECT_TRUE(store(kB, 8, i + 1));
  }
  EXPECT_LT(pages.walks, 3 * kTlbSize);
  EXPECT_EQ(tlb.stats().grown, 1u);
  EXPECT_EQ(word(kRam + 0x1000), 10 * kTlbSize - 1);
  EXPECT_EQ(word(kRam + 0x2000), 10 * kTlbSize);
  EXPECT_EQ(tlb.probe(kA, 8, true, 0), host + 0x1000);
  EXPECT_EQ(tlb.probe(kB, 8, true, 0), host + 0x2000);
  EXPECT_EQ(tlb.probe(kOther, 8, false, 0), host + 0x3000) << "what was there stays";

  tlb.protect(ram->host() + 0x2000);
  EXPECT_EQ(tlb.probe(kB, 8, true, 0), 0u);
  tlb.flush({.by_address = true, .address = kB, .size = 1});
  EXPECT_EQ(tlb.probe(kB, 8, false, 0), 0u);
  EXPECT_EQ(tlb.probe(kA, 8, false, 0), host + 0x1000);
  tlb.flush_all();
  EXPECT_EQ(tlb.probe(kA, 8, false, 0), 0u);
  (void)load(kA, 8);
  (void)load(kB, 8);
  EXPECT_EQ(tlb.probe(kA, 8, false, 0), 0u) << "small again";
}

TEST_F(TlbTest, ATableGrowsToItsLimit) {
  constexpr uint64_t kStep = kTlbMaxSize * kTlbPageSize;
  for (uint64_t i = 0; i < 2; ++i) pages.map(0x7000 + i * kStep, kRam + 0x1000 * i);
  for (unsigned i = 0; i < 8 * kTlbMaxSize; ++i)
    for (uint64_t page = 0; page < 2; ++page) {
      EXPECT_TRUE(store(0x7000 + page * kStep, 8, i));
      EXPECT_EQ(tlb.probe(0x7000 + page * kStep, 8, true, 0),
                reinterpret_cast<uint64_t>(ram->host()) + 0x1000 * page);
    }
  EXPECT_EQ(kTlbSize << tlb.stats().grown, kTlbMaxSize);
}

TEST_F(TlbTest, ManyContextsNeverSeeEachOther) {
  for (uint32_t round = 0; round < 3; ++round)
    for (uint32_t context = 1; context < 30; ++context) {
      tlb.context_changed(1, context);
      pages.map(0x7000, kRam + 0x1000 * context);
      (void)load(0x7000, 8);
      EXPECT_EQ(tlb.probe(0x7000, 8, false, 0), reinterpret_cast<uint64_t>(ram->host()) + 0x1000 * context);
    }
}

TEST_F(TlbTest, GlobalEntriesStayAcrossContexts) {
  tlb.context_changed(2, 1);
  for (uint64_t i = 0; i < 8; ++i) {
    pages.map(0xffff'0000'0000'0000 + 0x1000 * i, kRam + 0x1000 * i, true);
    (void)load(0xffff'0000'0000'0000 + 0x1000 * i, 8, 1);
  }
  pages.map(0x9000, kRam);
  (void)load(0x9000, 8, 1);
  tlb.context_changed(2, 2);
  EXPECT_NE(tlb.probe(0xffff'0000'0000'0000, 8, false, 1), 0u);
  EXPECT_EQ(tlb.probe(0x9000, 8, false, 1), 0u);
}

TEST_F(TlbTest, PagesWithCodeAreWrittenTheSlowWay) {
  struct Listener final : system::CodeWriteListener {
    void code_written(system::RamBlock& block, uint64_t offset, uint64_t size) override {
      seen = {offset, size};
      block.set_has_code(offset, false);
    }
    std::pair<uint64_t, uint64_t> seen;
  } listener;
  ram->set_code_listener(&listener);
  pages.map(0x7000, kRam + 0x3000);
  EXPECT_TRUE(store(0x7000, 8, 1));
  EXPECT_NE(tlb.probe(0x7000, 8, true, 0), 0u);
  ram->set_has_code(0x3000, true);
  EXPECT_TRUE(writable.take(ram->host() + 0x3000));
  tlb.protect(ram->host() + 0x3000);
  EXPECT_EQ(tlb.probe(0x7000, 8, true, 0), 0u);
  EXPECT_NE(tlb.probe(0x7000, 8, false, 0), 0u);
  EXPECT_TRUE(store(0x7010, 4, 2));
  EXPECT_EQ(listener.seen, (std::pair<uint64_t, uint64_t>{0x3010, 4}));
  EXPECT_TRUE(store(0x7010, 4, 3));
  EXPECT_NE(tlb.probe(0x7010, 4, true, 0), 0u) << "there is no code any more";
}

TEST_F(TlbTest, CodeIsFoundUntilItsPageIsFlushed) {
  Tlb::Code code;
  pages.map(0x7000, kRam + 0x3000);
  EXPECT_FALSE(tlb.find_code(0x7004, 0, code));
  ASSERT_TRUE(tlb.locate_code(0x7004, 0, code));
  EXPECT_EQ(code.host, ram->host() + 0x3004);
  EXPECT_TRUE(tlb.find_code(0x7008, 0, code));
  EXPECT_EQ(code.host, ram->host() + 0x3008);
  const uint64_t tag = cpu.jump_tag;
  EXPECT_NE(tag, 0u);
  tlb.flush({.by_address = true, .address = 0x100000, .size = 1});
  EXPECT_EQ(cpu.jump_tag, tag) << "no code there";
  tlb.flush({.by_address = true, .address = 0x7000, .size = 1});
  EXPECT_NE(cpu.jump_tag, tag);
  EXPECT_FALSE(tlb.find_code(0x7008, 0, code));
}

TEST_F(TlbTest, TagsOfSpacesAndContextsDifferForEver) {
  Tlb::Code code;
  pages.map(0x7000, kRam + 0x3000);
  ASSERT_TRUE(tlb.locate_code(0x7000, 0, code));
  const uint64_t user = cpu.jump_tag;
  ASSERT_TRUE(tlb.locate_code(0x7000, 1, code));
  EXPECT_NE(cpu.jump_tag, user);
  ASSERT_TRUE(tlb.find_code(0x7000, 0, code));
  EXPECT_EQ(cpu.jump_tag, user);
  uint64_t last = user;
  for (unsigned i = 0; i < 5000; ++i) {
    tlb.flush_all();
    ASSERT_TRUE(tlb.locate_code(0x7000, 0, code));
    EXPECT_NE(cpu.jump_tag, last);
    EXPECT_NE(cpu.jump_tag, 0u);
    last = cpu.jump_tag;
  }
}

}  // namespace
}  // namespace lyrebird::jit
