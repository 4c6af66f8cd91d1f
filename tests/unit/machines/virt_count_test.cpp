// SPDX-License-Identifier: Apache-2.0
/// A machine whose time is its instructions (-icount), moved to another one.
#include <gtest/gtest.h>

#include "accel/soft/system.h"
#include "frontend/arm/system/system_frontend.h"
#include "machines/saved_state.h"
#include "machines/virt.h"

namespace lyrebird::machines {
namespace {

constexpr uint64_t kCode = 0x4100'0000;

struct Counting {
  explicit Counting(system::EventLoop& loop) {
    VirtOptions options{.ram_size = 64 << 20};
    options.counted_clock = std::make_shared<system::CountedClock>(system::CountedClock::Options{});
    clock = options.counted_clock.get();
    auto made = VirtMachine::create(
        loop, std::move(options), [this](const arm::SystemConfig& config) -> Result<VirtMachine::Engine> {
          VirtMachine::Engine engine;
          auto frontend = std::make_unique<arm::A64SystemFrontend>(config);
          accel::SoftOptions soft;
          soft.executor = accel::Executor::Interp;
          engine.accelerator = std::make_unique<accel::SoftSystem>(*frontend, soft, clock, "machine");
          engine.frontend = std::move(frontend);
          return engine;
        });
    if (made.ok()) machine = std::move(*made);
  }
  system::CountedClock* clock = nullptr;
  std::unique_ptr<VirtMachine> machine;
};

void run_until(system::EventLoop& loop, Counting& counting, int64_t then) {
  while (counting.clock->now_ns() < then) {
    counting.machine->resume();
    loop.run_once(1);
    counting.machine->pause();
  }
}

TEST(VirtCount, AMovedMachinesClockGoesOnWhereItWas) {
  system::EventLoop loop;
  const std::string state = testing::TempDir() + "virt-count-state";
  Counting one(loop);
  ASSERT_NE(one.machine, nullptr);
  constexpr uint32_t kBranchToItself = 0x14000000;
  ASSERT_TRUE(one.machine->memory().load_bytes(kCode, &kBranchToItself, sizeof kBranchToItself));
  one.machine->state(0).header.pc = kCode;
  run_until(loop, one, 1'000'000);
  // In the middle of a slice, whose rest must not count.
  const int64_t then = one.clock->now_ns();
  ASSERT_TRUE(save_machine(*one.machine, true, state).ok());

  Counting other(loop);
  ASSERT_NE(other.machine, nullptr);
  const auto loaded = load_machine(*other.machine, state);
  unlink(state.c_str());
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(other.clock->now_ns(), then);
  run_until(loop, other, then + 1'000'000);
  EXPECT_EQ(other.machine->state(0).header.pc, kCode);
}

}  // namespace
}  // namespace lyrebird::machines
