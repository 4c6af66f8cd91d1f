// SPDX-License-Identifier: Apache-2.0
// Two vCPUs: one stores into a page while the other translates code of it for the first time.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "accel/soft/system.h"
#include "frontend/arm/cpu_model.h"
#include "frontend/arm/system/system_frontend.h"
#include "system/address_space.h"
#include "system/device.h"
#include "tests/unit/no_board.h"

namespace lyrebird::accel {
namespace {

constexpr uint64_t kTable = 0x1000, kFlags = 0x10000, kWriter = 0x200000, kRunner = 0x210000,
                   kCode = 0x220000;
constexpr uint64_t kDevice = 0xa00000, kRam = 8 << 20;

constexpr uint32_t kMov1 = 0xd2800025;  // mov x5, #1
constexpr uint32_t kMov2 = 0xd2800045;  // mov x5, #2

/// Twice round: the second time [x3] is the device. The store needs no look at the TLB of its own, as the
/// load of the same word had one.
constexpr uint32_t kWriterCode[] = {
    0xf9400020,  // 00 ldr x0, [x1]
    0xf9400062,  // 04 ldr x2, [x3]
    0xb9000024,  // 08 str w4, [x1]
    0xaa0803e3,  // 0c mov x3, x8
    0x2a0903e4,  // 10 mov w4, w9
    0xf100054a,  // 14 subs x10, x10, #1
    0x54ffff41,  // 18 b.ne 00
    0xd50b7b21,  // 1c dc cvau, x1
    0xd5033b9f,  // 20 dsb ish
    0xd50b7521,  // 24 ic ivau, x1
    0xd5033b9f,  // 28 dsb ish
    0xf90004ea,  // 2c str x10, [x7, #8]
    0x14000000,  // 30 b .
};
constexpr uint32_t kRunnerCode[] = {
    0xd63f0020,  // 00 blr x1
    0xf90000e5,  // 04 str x5, [x7]
    0xf94004ec,  // 08 ldr x12, [x7, #8]
    0xb5ffffec,  // 0c cbnz x12, 08
    0xd5033fdf,  // 10 isb
    0xd63f0020,  // 14 blr x1
    0x14000000,  // 18 b .
};
constexpr uint32_t kCalled[] = {kMov1, 0xd65f03c0};  // ret

template <typename T>
T take(Result<T> result) {
  return std::move(*result);
}

/// A read of it ends when a word of memory is not 0, or too much time has passed.
class Gate final : public system::Device {
 public:
  explicit Gate(const uint8_t* word) : word_(reinterpret_cast<const uint64_t*>(word)) {}
  uint64_t read(uint64_t, unsigned) override {
    reached.store(true);
    for (int i = 0; i < 10'000 && __atomic_load_n(word_, __ATOMIC_ACQUIRE) == 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return 0;
  }
  void write(uint64_t, unsigned, uint64_t) override {}
  void reset() override {}
  void save(system::StateWriter&) const override {}
  Result<void> load(system::StateReader&) override { return {}; }

  std::atomic<bool> reached{false};

 private:
  const uint64_t* word_;
};

struct Cpu {
  arm::A64SystemState state;
  std::unique_ptr<Vcpu> vcpu;
};

struct SystemRace : testing::TestWithParam<Executor> {
  SystemRace() {
    root->add(*region, 0);
    root->add(*gate_region, kDevice);
    // 2 MiB each: memory, and what is the device.
    const uint64_t memory_block = 1 << 10 | 3 << 8 | 1;
    for (uint64_t i = 0; i < 8; ++i) {
      const uint64_t block = (i << 21) | memory_block;
      memory.load_bytes(kTable + 8 * i, &block, sizeof block);
    }
    memory.load_bytes(kWriter, kWriterCode, sizeof kWriterCode);
    memory.load_bytes(kRunner, kRunnerCode, sizeof kRunnerCode);
    memory.load_bytes(kCode, kCalled, sizeof kCalled);
    const uint64_t one = 1;
    memory.load_bytes(kFlags + 8, &one, sizeof one);
    soft.set_breakpoints({kWriter + 0x30, kRunner + 0x18});
    for (unsigned i = 0; i < 2; ++i) start(i);
  }
  ~SystemRace() override {
    for (Cpu& cpu : cpus) cpu.vcpu.reset();
  }

  void start(unsigned index) {
    arm::A64SystemState& state = cpus[index].state;
    cpus[index].vcpu = take(soft.create_vcpu(index, state.header, memory));
    state.config = &config;
    state.board = &board;
    arm::reset_vcpu(state, index);
    arm::set_entry(state, index == 0 ? kWriter : kRunner, 1, 0);
    state.reg(arm::SysReg::TTBR0_EL1) = kTable;
    state.reg(arm::SysReg::TCR_EL1) = 34 | 3 << 12 | 1 << 23 | uint64_t{2} << 32;
    state.reg(arm::SysReg::MAIR_EL1) = 0xff;
    state.reg(arm::SysReg::SCTLR_EL1) |= 1;
    state.x[1] = kCode;
    state.x[7] = kFlags;
    arm::update_mode(state);
  }

  const arm::SystemConfig config{.model = arm::find_cpu_model("max")};
  const arm::A64SystemFrontend frontend{config};
  test::NoBoard board;
  std::unique_ptr<system::RamBlock> ram = take(system::RamBlock::create("ram", kRam));
  Gate gate{ram->host() + kFlags};
  system::MemoryRegionPtr region = system::MemoryRegion::ram("ram", *ram);
  system::MemoryRegionPtr gate_region = system::MemoryRegion::io("gate", 0x1000, gate);
  system::MemoryRegionPtr root = system::MemoryRegion::container("root", uint64_t{1} << 32);
  system::AddressSpace memory{"memory", *root};
  SoftSystem soft{frontend, {.executor = GetParam()}};
  Cpu cpus[2];
};

TEST_P(SystemRace, AStoreInTheMiddleOfABlockIsSeenByCodeThatIsTranslatedMeanwhile) {
  Cpu &writer = cpus[0], &runner = cpus[1];
  writer.state.x[3] = kFlags + 0x100;
  writer.state.x[8] = kDevice;
  writer.state.x[4] = kMov1;
  writer.state.x[9] = kMov2;
  writer.state.x[10] = 2;
  std::thread thread([&] { EXPECT_EQ(writer.vcpu->run().kind, ir::ExitKind::Debug); });
  while (!gate.reached.load()) std::this_thread::yield();
  EXPECT_EQ(runner.vcpu->run().kind, ir::ExitKind::Debug);
  thread.join();
  uint64_t before = 0;
  memory.read_bytes(kFlags, &before, sizeof before);
  EXPECT_EQ(before, 1u);
  EXPECT_EQ(runner.state.x[5], 2u);
}

INSTANTIATE_TEST_SUITE_P(Executors, SystemRace, testing::Values(Executor::Interp, Executor::Baseline),
                         [](const auto& of) {
                           return of.param == Executor::Interp ? std::string("interp")
                                                               : std::string("baseline");
                         });

}  // namespace
}  // namespace lyrebird::accel
