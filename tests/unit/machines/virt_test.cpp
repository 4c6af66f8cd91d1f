// SPDX-License-Identifier: Apache-2.0
/// The board without anything that runs its CPUs: memory map, device tree, power, errors.
#include "machines/virt.h"

#include <gtest/gtest.h>
#include <libfdt.h>

#include <condition_variable>
#include <cstdio>
#include <cstring>

#include "frontend/arm/system/system_frontend.h"

namespace lyrebird::machines {
namespace {

/// A CPU that sleeps until it is kicked.
class SleepingVcpu final : public accel::Vcpu {
 public:
  explicit SleepingVcpu(ir::CpuHeader& state) : state_(state) {}
  accel::Exit run() override {
    std::unique_lock lock(mutex_);
    ++runs;
    changed_.wait(lock, [this] { return kicked_; });
    kicked_ = false;
    return {ir::ExitKind::Interrupted, 0};
  }
  accel::Exit step() override { return {ir::ExitKind::Debug, 0}; }
  void kick() override {
    const std::lock_guard lock(mutex_);
    kicked_ = true;
    changed_.notify_all();
  }
  ir::CpuHeader& state() override { return state_; }
  void set_interrupt(uint32_t lines, bool level) override { up = level ? up | lines : up & ~lines; }
  std::atomic<uint32_t> up{0};
  int runs = 0;

 private:
  ir::CpuHeader& state_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool kicked_ = false;
};

class NoAccelerator final : public accel::Accelerator {
 public:
  std::string_view name() const override { return "none"; }
  Result<std::unique_ptr<accel::Vcpu>> create_vcpu(unsigned, ir::CpuHeader& state,
                                                   system::AddressSpace&) override {
    return std::unique_ptr<accel::Vcpu>(std::make_unique<SleepingVcpu>(state));
  }
  void set_breakpoints(std::vector<uint64_t>) override {}
};

struct VirtTest : testing::Test {
  Result<std::unique_ptr<VirtMachine>> make(VirtOptions options) {
    return VirtMachine::create(loop, std::move(options),
                               [](const arm::SystemConfig& config) -> Result<VirtMachine::Engine> {
                                 return VirtMachine::Engine{std::make_unique<arm::A64SystemFrontend>(config),
                                                            std::make_unique<NoAccelerator>()};
                               });
  }
  std::string error_of(VirtOptions options) {
    const auto machine = make(std::move(options));
    return machine.ok() ? "" : machine.error().message;
  }
  uint32_t up(VirtMachine& machine, size_t cpu) {
    return static_cast<SleepingVcpu&>(machine.cpu(cpu).vcpu()).up.load();
  }
  system::EventLoop loop;
};

std::string text_of(const Bytes& tree, const char* path, const char* property) {
  const int node = fdt_path_offset(tree.data(), path);
  int length = 0;
  const auto* const value = static_cast<const char*>(fdt_getprop(tree.data(), node, property, &length));
  return value ? std::string(value, strnlen(value, static_cast<size_t>(length))) : "(none)";
}

TEST_F(VirtTest, TheDeviceTreeSaysWhatThereIs) {
  VirtOptions options{.cpus = 3, .ram_size = 256 << 20};
  options.append = "console=ttyAMA0";
  const auto machine = make(options);
  ASSERT_TRUE(machine.ok()) << machine.error().message;
  const Bytes& tree = (*machine)->device_tree();
  ASSERT_EQ(fdt_check_full(tree.data(), tree.size()), 0);
  EXPECT_EQ(text_of(tree, "/chosen", "bootargs"), "console=ttyAMA0");
  EXPECT_EQ(text_of(tree, "/psci", "method"), "hvc");
  EXPECT_EQ(text_of(tree, "/intc@8000000", "compatible"), "arm,cortex-a15-gic");
  EXPECT_EQ(text_of(tree, "/cpus/cpu@2", "enable-method"), "psci");
  EXPECT_LT(fdt_path_offset(tree.data(), "/cpus/cpu@3"), 0);
  EXPECT_GE(fdt_path_offset(tree.data(), "/virtio_mmio@a003e00"), 0);
  EXPECT_GE(fdt_path_offset(tree.data(), "/pcie@10000000"), 0);
  // It is in memory where the first CPU is told that it is.
  uint32_t magic = 0;
  EXPECT_TRUE((*machine)->memory().read_bytes(0x4000'0000, &magic, 4));
  EXPECT_EQ(magic, 0xedfe0dd0u);
  EXPECT_EQ((*machine)->state(0).x[0], 0x4000'0000u);
}

TEST_F(VirtTest, MoreThanEightCpusHaveAGicV3) {
  const auto machine = make({.cpus = 12});
  ASSERT_TRUE(machine.ok()) << machine.error().message;
  EXPECT_EQ(text_of((*machine)->device_tree(), "/intc@8000000", "compatible"), "arm,gic-v3");
  EXPECT_GE(fdt_path_offset((*machine)->device_tree().data(), "/intc@8000000/its@8080000"), 0);
}

TEST_F(VirtTest, MistakesAreNamed) {
  EXPECT_EQ(error_of({.cpu = "cortex-a99"}), "-cpu cortex-a99: no such processor; -cpu help lists them");
  EXPECT_EQ(error_of({.cpus = 9, .gic_version = 2}), "-smp 9: virt has 1 to 8 CPUs with gic-version=2");
  EXPECT_NE(error_of({.ram_size = 1 << 20}).find("-m 1M"), std::string::npos);
  VirtOptions options;
  options.kernel = "/nowhere/Image";
  EXPECT_EQ(error_of(options), "-kernel /nowhere/Image: No such file or directory");
}

TEST_F(VirtTest, DevicesAreWhereGuestsExpectThem) {
  const auto made = make({});
  ASSERT_TRUE(made.ok());
  system::AddressSpace& memory = (*made)->memory();
  EXPECT_EQ(memory.read(0x0900'0fe0, 4).value, 0x11u);
  EXPECT_EQ(memory.read(0x0901'0fe0, 4).value, 0x31u);
  EXPECT_EQ(memory.read(0x0903'0fe0, 4).value, 0x61u);
  EXPECT_EQ(memory.read(0x0a00'0000, 4).value, 0x74726976u);
  EXPECT_EQ(memory.read(0x0902'0000, 4).value, 0x554d4551u);
  EXPECT_EQ(memory.read(0x40'1000'0000, 4).value, 0x00081b36u);
  EXPECT_FALSE(memory.read(0x0d00'0000, 4).ok);
  EXPECT_FALSE(memory.read(0, 4).ok) << "no flash without firmware";
}

TEST_F(VirtTest, CpusAreSwitchedOnAndOffByPsci) {
  const auto made = make({.cpus = 2});
  ASSERT_TRUE(made.ok());
  VirtMachine& machine = **made;
  EXPECT_TRUE(machine.cpu(0).powered());
  EXPECT_FALSE(machine.cpu(1).powered());
  arm::BoardServices& board = *machine.state(0).board;
  EXPECT_EQ(board.affinity_info(1, 0), 1);
  EXPECT_EQ(board.cpu_on(5, 0, 0), arm::kPsciInvalidParameters);
  EXPECT_EQ(board.cpu_on(0, 0, 0), arm::kPsciAlreadyOn);
  EXPECT_EQ(board.cpu_on(1, 0x4020'0000, 77), arm::kPsciSuccess);
  EXPECT_EQ(board.affinity_info(1, 0), 0);
  EXPECT_EQ(machine.state(1).header.pc, 0x4020'0000u);
  EXPECT_EQ(machine.state(1).x[0], 77u);
  machine.reset();
  EXPECT_FALSE(machine.cpu(1).powered());
}

TEST_F(VirtTest, ATimerRaisesItsInterruptWhenTheTimeHasCome) {
  const auto made = make({.gic_version = 3});
  ASSERT_TRUE(made.ok());
  VirtMachine& machine = **made;
  arm::BoardServices& board = *machine.state(0).board;
  // Groups on, PPI 27 in group 1 and enabled, the CPU interface open.
  machine.memory().write(0x0800'0000, 4, 3);
  machine.memory().write(0x080b'0080, 4, ~0u);
  machine.memory().write(0x080b'0100, 4, 1u << 27);
  EXPECT_TRUE(board.gic_write(arm::sys_reg_key(3, 0, 4, 6, 0), 1, false, 0xf8));
  EXPECT_TRUE(board.gic_write(arm::sys_reg_key(3, 0, 12, 12, 7), 1, false, 1));
  machine.resume();
  board.timer_changed(arm::GenericTimer::Virtual, true, board.counter() + 20'000'000);
  EXPECT_EQ(up(machine, 0), 0u);
  for (int i = 0; i < 100 && up(machine, 0) == 0; ++i) loop.run_once(100);
  EXPECT_EQ(up(machine, 0), uint32_t{arm::kLineIrq});
  uint64_t id = 0;
  EXPECT_TRUE(board.gic_read(arm::sys_reg_key(3, 0, 12, 12, 0), 1, false, id));
  EXPECT_EQ(id, 27u);
  board.timer_changed(arm::GenericTimer::Virtual, false, 0);
  EXPECT_TRUE(board.gic_write(arm::sys_reg_key(3, 0, 12, 12, 1), 1, false, 27));
  EXPECT_EQ(up(machine, 0), 0u);
  machine.pause();
}

TEST_F(VirtTest, ShutdownIsToldOnceOnTheLoop) {
  const auto made = make({});
  ASSERT_TRUE(made.ok());
  VirtMachine& machine = **made;
  int told = 0;
  machine.on_shutdown = [&](Shutdown reason, const std::string&) {
    EXPECT_EQ(reason, Shutdown::Guest);
    ++told;
    loop.stop();
  };
  machine.resume();
  machine.state(0).board->system_off();
  machine.state(0).board->system_off();
  loop.run();
  loop.run_once(0);
  EXPECT_EQ(told, 1);
  EXPECT_FALSE(machine.running());
  machine.resume();
  EXPECT_FALSE(machine.running()) << "it has no power";
}

TEST_F(VirtTest, AResetPutsMemoryBackAndGoesOn) {
  const auto made = make({});
  ASSERT_TRUE(made.ok());
  VirtMachine& machine = **made;
  machine.resume();
  machine.memory().write(0x4000'0000, 4, 0);
  machine.state(0).board->system_reset();
  for (int i = 0; i < 100 && machine.memory().read(0x4000'0000, 4).value == 0; ++i) loop.run_once(100);
  EXPECT_EQ(machine.memory().read(0x4000'0000, 4).value, 0xedfe0dd0u);
  EXPECT_TRUE(machine.running());
  machine.pause();
}

}  // namespace
}  // namespace lyrebird::machines
