// SPDX-License-Identifier: Apache-2.0
/// What a guest under KVM writes is found: by the dirty log and by the vCPUs' rings.
#include <gtest/gtest.h>

#include "accel/kvm/kvm.h"
#include "tests/conformance/x86_kvm.h"

namespace lyrebird::conformance {
namespace {

using system::DirtyClient;
using system::MemoryRegion;

class Bell final : public system::Device {
 public:
  uint64_t read(uint64_t, unsigned) override { return 0; }
  void write(uint64_t, unsigned, uint64_t) override { vcpu->kick(); }
  void reset() override {}
  void save(system::StateWriter&) const override {}
  Result<void> load(system::StateReader&) override { return {}; }
  accel::Vcpu* vcpu = nullptr;
};

class KvmDirty : public testing::TestWithParam<unsigned> {};

TEST_P(KvmDirty, ExactlyThePagesThatTheGuestWroteAreMarked) {
  const auto guest = make_x86_kvm();
  if (const std::string why = guest->why_not(); !why.empty()) GTEST_SKIP() << why;
  auto ram = system::RamBlock::create("ram", kRamSize);
  ASSERT_TRUE(ram.ok());
  system::RamBlock& block = **ram;
  const auto region = MemoryRegion::ram("ram", block);
  const auto root = MemoryRegion::container("system", uint64_t{1} << 32);
  const auto io_root = MemoryRegion::container("io", 65536);
  Bell bell;
  const auto bell_region = MemoryRegion::io("bell", 0x1000, bell, {1, 8});
  root->add(*region, 0);
  root->add(*bell_region, kBell);
  system::AddressSpace memory("memory", *root), ports("ports", *io_root);
  guest->prepare(memory);
  accel::KvmOptions options;
  options.vm.irqchip = accel::kvm::Irqchip::None;
  options.vm.dirty_ring = GetParam();
  auto kvm = accel::KvmAccelerator::create(options, memory, ports);
  if (!kvm && GetParam() != 0) GTEST_SKIP() << kvm.error().message;
  ASSERT_TRUE(kvm.ok()) << kvm.error().message;
  ir::CpuHeader& state = guest->new_state();
  auto vcpu = (*kvm)->create_vcpu(0, state, memory);
  ASSERT_TRUE(vcpu.ok()) << vcpu.error().message;
  bell.vcpu = vcpu->get();

  const auto fill = [&](uint64_t from, uint64_t pages) {
    const auto code = guest->code(Program::Fill);
    memory.load_bytes(kCodeAt, code.data(), code.size());
    guest->start(state, 0, kCodeAt);
    guest->set_argument(state, 0, from);
    guest->set_argument(state, 1, 7);
    guest->set_argument(state, 2, pages);
    ASSERT_TRUE((*vcpu)->write_state().ok());
    ASSERT_EQ((*vcpu)->run().kind, ir::ExitKind::Interrupted);
  };
  const auto dirty_pages = [&] {
    (*kvm)->collect_writes();
    unsigned count = 0;
    for (uint64_t at = kDataAt; at < kDataAt + 64 * 4096; at += 4096)
      count += block.test_and_clear(at, 4096, DirtyClient::Migration);
    return count;
  };

  block.follow(DirtyClient::Migration, true);
  (*kvm)->follow_writes(true);
  dirty_pages();  // everything is, at first
  fill(kDataAt + 8 * 4096, 5);
  (*kvm)->collect_writes();
  EXPECT_FALSE(block.is_dirty(kDataAt + 7 * 4096, DirtyClient::Migration));
  EXPECT_TRUE(block.is_dirty(kDataAt + 8 * 4096, DirtyClient::Migration));
  EXPECT_TRUE(block.is_dirty(kDataAt + 12 * 4096, DirtyClient::Migration));
  EXPECT_FALSE(block.is_dirty(kDataAt + 13 * 4096, DirtyClient::Migration));
  EXPECT_EQ(dirty_pages(), 5u);
  EXPECT_EQ(dirty_pages(), 0u);
  fill(kDataAt, 2);
  EXPECT_EQ(dirty_pages(), 2u);
}

INSTANTIATE_TEST_SUITE_P(, KvmDirty, testing::Values(0u, 1024u),
                         [](const auto& info) { return info.param ? "ring" : "log"; });

}  // namespace
}  // namespace lyrebird::conformance
