// SPDX-License-Identifier: Apache-2.0
/// What every accelerator's vCPUs do, whatever the guest: written once over accel::Vcpu.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "accel/vcpu_thread.h"
#include "system/address_space.h"
#include "tests/conformance/guest.h"

namespace lyrebird::conformance {
namespace {

using namespace std::chrono_literals;
using ir::ExitKind;
using system::MemoryRegion;

class Plain : public system::Device {
 public:
  void reset() override {}
  void save(system::StateWriter&) const override {}
  Result<void> load(system::StateReader&) override { return {}; }
};

struct Access {
  bool write;
  uint64_t offset;
  unsigned size;
  uint64_t value;
  bool operator==(const Access&) const = default;
};

/// Remembers; what it gives depends on the offset and size.
class Probe final : public Plain {
 public:
  static uint64_t answer(uint64_t offset, unsigned size) {
    const uint64_t all = 0x8877665544332211u + 0x0101010101010101u * offset;
    return size == 8 ? all : all & ((uint64_t{1} << 8 * size) - 1);
  }
  uint64_t read(uint64_t offset, unsigned size) override {
    seen.push_back({false, offset, size, 0});
    return answer(offset, size);
  }
  void write(uint64_t offset, unsigned size, uint64_t value) override {
    seen.push_back({true, offset, size, value});
  }
  std::vector<Access> seen;
};

class Call final : public Plain {
 public:
  uint64_t read(uint64_t, unsigned) override { return 0; }
  void write(uint64_t, unsigned, uint64_t value) override {
    last = value;
    if (then) then();
    // Last: who waits for the count raises the line anew, which `then` must not lower any more.
    count.fetch_add(1);
  }
  std::function<void()> then;
  std::atomic<uint64_t> last{0};
  std::atomic<unsigned> count{0};
};

class Conformance : public testing::TestWithParam<GuestKind> {
 protected:
  void SetUp() override {
    guest = GetParam().make();
    if (const std::string why = guest->why_not(); !why.empty()) GTEST_SKIP() << why;
    ram = block("ram", kRamSize);
    ram_region = MemoryRegion::ram("ram", *ram);
    root->add(*ram_region, guest->ram_base());
    root->add(*probe_region, kProbe);
    root->add(*bell_region, kBell);
    root->add(*quiet_region, kQuiet);
    io_root->add(*port_region, 0x300);
    memory = std::make_unique<system::AddressSpace>("memory", *root);
    ports = std::make_unique<system::AddressSpace>("ports", *io_root);
    guest->prepare(*memory);
  }

  std::unique_ptr<system::RamBlock> block(const char* id, uint64_t size) {
    auto made = system::RamBlock::create(id, size);
    EXPECT_TRUE(made.ok());
    return std::move(*made);
  }

  /// vCPU 0 is `vcpu`, whose doorbell is kBell.
  void create(unsigned cpus = 1) {
    auto made = guest->accelerator(*memory, *ports, cpus);
    if (!made) throw std::runtime_error(made.error().message);
    accelerator = std::move(*made);
    for (unsigned i = 0; i < cpus; ++i) {
      states.push_back(&guest->new_state());
      auto cpu = accelerator->create_vcpu(i, *states.back(), *memory);
      if (!cpu) throw std::runtime_error(cpu.error().message);
      vcpus.push_back(std::move(*cpu));
    }
    vcpu = vcpus[0].get();
    bell.then = [this] { vcpu->kick(); };
    quiet.then = [this] { vcpu->set_interrupt(guest->interrupt_line(), false); };
  }

  /// vCPU 0 spins and is kicked 20 ms later; again until it has counted, as a busy host may not even have
  /// begun with the guest by then.
  void run_until_it_counts() {
    for (unsigned tries = 0; tries < kMostTries && argument(0) == 0; ++tries) {
      std::thread kicker([&] {
        std::this_thread::sleep_for(20ms);
        vcpu->kick();
      });
      EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
      kicker.join();
    }
    EXPECT_GT(argument(0), 0u);
  }
  static constexpr unsigned kMostTries = 500;

  void put(Program program, uint64_t at = kCodeAt) {
    const auto code = guest->code(program);
    ASSERT_FALSE(code.empty());
    ASSERT_TRUE(memory->load_bytes(guest->ram_base() + at, code.data(), code.size()));
  }

  void start(Program program, std::initializer_list<uint64_t> arguments, unsigned cpu = 0,
             uint64_t at = kCodeAt) {
    put(program, at);
    guest->start(*states[cpu], cpu, guest->ram_base() + at);
    unsigned n = 0;
    for (const uint64_t value : arguments) guest->set_argument(*states[cpu], n++, value);
    const auto written = vcpus[cpu]->write_state();
    ASSERT_TRUE(written.ok()) << written.error().message;
  }

  uint64_t argument(unsigned n, unsigned cpu = 0) {
    const auto read = vcpus[cpu]->read_state();
    EXPECT_TRUE(read.ok()) << read.error().message;
    return guest->argument(*states[cpu], n);
  }

  uint64_t data() const { return guest->ram_base() + kDataAt; }
  uint64_t word(uint64_t pa) const { return memory->read(pa, 8).value; }

  std::unique_ptr<Guest> guest;
  Probe probe, port;
  Call bell, quiet;
  system::MemoryRegionPtr root = MemoryRegion::container("system", uint64_t{1} << 32);
  system::MemoryRegionPtr io_root = MemoryRegion::container("io", 65536);
  system::MemoryRegionPtr probe_region = MemoryRegion::io("probe", 0x1000, probe, {1, 8});
  system::MemoryRegionPtr port_region = MemoryRegion::io("port", 0x100, port, {1, 4});
  system::MemoryRegionPtr bell_region = MemoryRegion::io("bell", 0x1000, bell, {1, 8});
  system::MemoryRegionPtr quiet_region = MemoryRegion::io("quiet", 0x1000, quiet, {1, 8});
  std::unique_ptr<system::RamBlock> ram;
  system::MemoryRegionPtr ram_region;
  std::unique_ptr<system::AddressSpace> memory, ports;
  std::unique_ptr<accel::Accelerator> accelerator;
  std::vector<ir::CpuHeader*> states;
  std::vector<std::unique_ptr<accel::Vcpu>> vcpus;
  accel::Vcpu* vcpu = nullptr;
};

TEST_P(Conformance, StoresOfEverySizeReachTheDevice) {
  create();
  for (const unsigned size : {1u, 2u, 4u, 8u}) {
    probe.seen.clear();
    start(Program::Store, {kProbe + 0x40, 0x8899aabbccddeeff, size});
    EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
    const uint64_t value =
        size == 8 ? 0x8899aabbccddeeff : 0x8899aabbccddeeff & ((uint64_t{1} << 8 * size) - 1);
    EXPECT_EQ(probe.seen, std::vector<Access>({{true, 0x40, size, value}}));
  }
}

TEST_P(Conformance, LoadsOfEverySizeComeFromTheDevice) {
  create();
  for (const unsigned size : {1u, 2u, 4u, 8u}) {
    probe.seen.clear();
    start(Program::Load, {0, kProbe + 0x80, size});
    EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
    EXPECT_EQ(argument(0), Probe::answer(0x80, size));
    EXPECT_EQ(probe.seen, std::vector<Access>({{false, 0x80, size, 0}}));
  }
}

TEST_P(Conformance, PortsOfEverySize) {
  if (!guest->has_ports()) GTEST_SKIP() << "this guest has no ports";
  create();
  for (const unsigned size : {1u, 2u, 4u}) {
    port.seen.clear();
    start(Program::PortOut, {0x304, 0x44332211, size});
    EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
    const uint64_t value = 0x44332211 & ((uint64_t{1} << 8 * size) - 1);
    EXPECT_EQ(port.seen, std::vector<Access>({{true, 4, size, value}}));
    start(Program::PortIn, {0, 0x308, size});
    EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
    EXPECT_EQ(argument(0), Probe::answer(8, size));
  }
}

TEST_P(Conformance, KickEndsRunFromAnotherThread) {
  create();
  start(Program::Spin, {0});
  run_until_it_counts();
}

TEST_P(Conformance, KickBeforeRunEndsItAtOnceAndOnlyOnce) {
  create();
  start(Program::Count, {0});
  vcpu->kick();
  vcpu->kick();
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  EXPECT_EQ(argument(0), 0u);
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  EXPECT_EQ(bell.last.load(), 15u);
}

TEST_P(Conformance, KickEndsAHalt) {
  create();
  start(Program::Halt, {1, data()});
  std::thread kicker([&] {
    std::this_thread::sleep_for(20ms);
    vcpu->kick();
  });
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  kicker.join();
  EXPECT_EQ(bell.count.load(), 0u);
}

TEST_P(Conformance, InterruptWakesAHaltAndTheHandlerRunsOnce) {
  create();
  memory->write(data(), 8, 0);
  start(Program::Halt, {5, data()});
  std::thread device([&] {
    for (unsigned i = 0; i < 5; ++i) {
      std::this_thread::sleep_for(5ms);
      const unsigned before = quiet.count.load();
      vcpu->set_interrupt(guest->interrupt_line(), true);
      while (quiet.count.load() == before) std::this_thread::sleep_for(100us);
    }
  });
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  device.join();
  EXPECT_EQ(word(data()), 5u);
  EXPECT_EQ(bell.count.load(), 1u);
}

TEST_P(Conformance, MaskedInterruptWaitsUntilItIsUnmasked) {
  create();
  memory->write(data(), 8, 0);
  start(Program::HaltMasked, {3, data(), 1000});
  std::thread device([&] {
    for (unsigned i = 0; i < 3; ++i) {
      const unsigned before = quiet.count.load();
      vcpu->set_interrupt(guest->interrupt_line(), true);
      while (quiet.count.load() == before) std::this_thread::sleep_for(100us);
    }
  });
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  device.join();
  EXPECT_EQ(word(data()), 3u);
}

TEST_P(Conformance, InterruptStaysOutsideWhileMasked) {
  create();
  memory->write(data(), 8, 0);
  start(Program::Spin, {0});
  vcpu->set_interrupt(guest->interrupt_line(), true);
  run_until_it_counts();
  EXPECT_EQ(quiet.count.load(), 0u);
  vcpu->set_interrupt(guest->interrupt_line(), false);
}

TEST_P(Conformance, MemoryAddedWhileRunningIsMemory) {
  create();
  const auto more = block("more", 1 << 16);
  const auto region = MemoryRegion::ram("more", *more);
  root->add(*region, kWindow);
  start(Program::Store, {kWindow + 0x1000, 77, 8});
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  EXPECT_EQ(word(kWindow + 0x1000), 77u);
  region->move(kWindow + 0x100000);
  start(Program::Load, {0, kWindow + 0x101000, 8});
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  EXPECT_EQ(argument(0), 77u);
  root->remove(*region);
}

TEST_P(Conformance, AnAliasShowsTheSameMemory) {
  create();
  const auto alias = MemoryRegion::alias("alias", *ram_region, kDataAt, 0x2000);
  root->add(*alias, kWindow);
  start(Program::Store, {kWindow + 8, 0x1234567, 8});
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  EXPECT_EQ(word(data() + 8), 0x1234567u);
  root->remove(*alias);
}

TEST_P(Conformance, RomKeepsItsBytes) {
  create();
  const auto bytes = block("rom", 1 << 16);
  const auto rom = MemoryRegion::rom("rom", *bytes);
  root->add(*rom, kWindow);
  const uint64_t value = 42;
  memory->load_bytes(kWindow, &value, 8);
  start(Program::Store, {kWindow, 1, 8});
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  start(Program::Load, {0, kWindow, 8});
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  EXPECT_EQ(argument(0), 42u);
  root->remove(*rom);
}

TEST_P(Conformance, MemoryChangesWhileTheGuestRuns) {
  create();
  const auto more = block("more", 1 << 16);
  const auto region = MemoryRegion::ram("more", *more);
  root->add(*region, kWindow);
  std::atomic<bool> stop{false};
  std::thread changer([&] {
    // Not for ever: each change costs the hardware's tables, and a slow host would do nothing else.
    for (unsigned i = 0; !stop.load() && i < 200; ++i) {
      region->move(kWindow + 0x100000 * (i % 3));
      std::this_thread::sleep_for(1ms);
    }
  });
  for (unsigned i = 0; i < 20; ++i) {
    start(Program::Fill, {data(), i + 1, 64});
    EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
    EXPECT_EQ(word(data() + 63 * 4096), i + 1);
  }
  stop = true;
  changer.join();
  root->remove(*region);
}

TEST_P(Conformance, SelfModifyingCodeRunsTheNewBytes) {
  create();
  start(Program::SelfModify, {0, 1111, 2222, 0});
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  EXPECT_EQ(argument(3), 1111u);
  EXPECT_EQ(bell.last.load(), 2222u);
}

TEST_P(Conformance, CodeWrittenByADeviceRuns) {
  create();
  start(Program::Count, {0});
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  EXPECT_EQ(bell.last.load(), 15u);
  start(Program::Load, {0, kProbe, 4});
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  EXPECT_EQ(bell.last.load(), Probe::answer(0, 4));
}

TEST_P(Conformance, StepRunsOneInstruction) {
  create();
  start(Program::Count, {0});
  const uint64_t sums[] = {1, 3, 7, 15};
  for (const uint64_t sum : sums) {
    EXPECT_EQ(vcpu->step().kind, ExitKind::Debug);
    EXPECT_EQ(argument(0), sum);
  }
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  EXPECT_EQ(bell.last.load(), 15u);
}

/// A pause that was asked for while the CPU was stopping already.
TEST_P(Conformance, AnOldKickTakesNoStepAway) {
  create();
  start(Program::Count, {0});
  accel::VcpuThread thread(*vcpu, "cpu0", {});
  vcpu->kick();
  EXPECT_EQ(thread.step().kind, ExitKind::Debug);
  EXPECT_EQ(argument(0), 1u);
}

TEST_P(Conformance, BreakpointStopsBeforeItsInstruction) {
  create();
  start(Program::Count, {0});
  ASSERT_EQ(vcpu->step().kind, ExitKind::Debug);
  ASSERT_TRUE(vcpu->read_state().ok());
  const uint64_t second = states[0]->pc;
  start(Program::Count, {0});
  accelerator->set_breakpoints({second});
  EXPECT_EQ(vcpu->run().kind, ExitKind::Debug);
  EXPECT_EQ(argument(0), 1u);
  EXPECT_EQ(states[0]->pc, second);
  accelerator->set_breakpoints({});
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  EXPECT_EQ(bell.last.load(), 15u);
}

TEST_P(Conformance, MoreBreakpointsThanThereAreRegistersStopToo) {
  if (!guest->has_many_breakpoints()) GTEST_SKIP() << "the hardware's first four are all";
  create();
  start(Program::Count, {0});
  uint64_t at[3];
  for (uint64_t& address : at) {
    ASSERT_EQ(vcpu->step().kind, ExitKind::Debug);
    ASSERT_TRUE(vcpu->read_state().ok());
    address = states[0]->pc;
  }
  const uint64_t begin = guest->ram_base() + kCodeAt;
  const uint64_t before = word(begin);
  start(Program::Count, {0});
  // Four that nothing comes by, and two.
  accelerator->set_breakpoints({begin - 64, begin - 48, begin - 32, begin - 16, at[0], at[2]});
  ASSERT_EQ(vcpu->run().kind, ExitKind::Debug);
  EXPECT_EQ(argument(0), 1u);
  EXPECT_EQ(states[0]->pc, at[0]);
  EXPECT_EQ(word(begin), before) << "memory is the guest's own while it stands";
  EXPECT_EQ(vcpu->step().kind, ExitKind::Debug);
  ASSERT_EQ(vcpu->run().kind, ExitKind::Debug);
  EXPECT_EQ(argument(0), 7u);
  EXPECT_EQ(states[0]->pc, at[2]);
  EXPECT_EQ(vcpu->step().kind, ExitKind::Debug);
  EXPECT_EQ(argument(0), 15u);
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  EXPECT_EQ(bell.last.load(), 15u);
  accelerator->set_breakpoints({});
}

TEST_P(Conformance, EveryFieldOfTheStateComesBack) {
  if (guest->live_state()) GTEST_SKIP() << "there is but one state";
  create(2);
  for (unsigned seed = 1; seed <= 20; ++seed) {
    guest->start(*states[0], 0, guest->ram_base() + kCodeAt);
    guest->start(*states[1], 0, guest->ram_base() + kCodeAt);
    guest->scramble(*states[0], seed);
    guest->scramble(*states[1], seed);
    ASSERT_EQ(guest->difference(*states[0], *states[1]), "");
    const auto written = vcpu->write_state();
    ASSERT_TRUE(written.ok()) << written.error().message;
    guest->scramble(*states[0], seed + 1000);
    ASSERT_NE(guest->difference(*states[0], *states[1]), "");
    ASSERT_TRUE(vcpu->read_state().ok());
    EXPECT_EQ(guest->difference(*states[0], *states[1]), "") << "seed " << seed;
  }
}

TEST_P(Conformance, ThreadsPauseAndResume) {
  create(2);
  start(Program::Spin, {0}, 0);
  start(Program::Spin, {0}, 1);
  accel::VcpuThread::StopCallback none = [](accel::VcpuThread&, accel::Exit) {};
  accel::VcpuThread one(*vcpus[0], "cpu0", none), two(*vcpus[1], "cpu1", none);
  uint64_t before[2] = {0, 0};
  for (unsigned round = 0; round < 10 || (round < kMostTries && !(before[0] && before[1])); ++round) {
    one.resume();
    two.resume();
    std::this_thread::sleep_for(10ms);
    one.request_pause();
    two.request_pause();
    one.wait_paused();
    two.wait_paused();
    for (unsigned cpu = 0; cpu < 2; ++cpu) {
      const uint64_t now = argument(0, cpu);
      EXPECT_GE(now, before[cpu]);
      before[cpu] = now;
    }
  }
  EXPECT_GT(before[0], 0u);
  EXPECT_GT(before[1], 0u);
}

/// A device's thread, one that changes memory and the monitor's, all at once. LYREBIRD_STRESS: for so many
/// seconds.
TEST_P(Conformance, PausesInterruptsAndMemoryChangesAtRandom) {
  create(2);
  memory->write(data(), 8, 0);
  start(Program::Halt, {~uint64_t{0} >> 1, data()}, 0);
  start(Program::Spin, {0}, 1, kCodeAt + 0x800);
  const auto more = block("more", 1 << 16);
  const auto one_region = MemoryRegion::ram("more", *more);
  const auto alias = MemoryRegion::alias("alias", *ram_region, kDataAt, 0x2000);
  const auto rom = MemoryRegion::rom("rom", *more);
  root->add(*one_region, kWindow);
  root->add(*alias, kWindow + 0x400000);
  root->add(*rom, kWindow + 0x800000);
  accel::VcpuThread::StopCallback none = [](accel::VcpuThread&, accel::Exit exit) {
    ADD_FAILURE() << "a CPU stopped by itself, exit " << static_cast<int>(exit.kind);
  };
  accel::VcpuThread one(*vcpus[0], "cpu0", none), two(*vcpus[1], "cpu1", none);
  accel::VcpuThread* const threads[] = {&one, &two};
  std::atomic<bool> stop{false};
  std::thread device([&] {
    while (!stop.load()) {
      const unsigned before = quiet.count.load();
      vcpu->set_interrupt(guest->interrupt_line(), true);
      while (quiet.count.load() == before && !stop.load()) std::this_thread::sleep_for(50us);
    }
  });
  std::thread changer([&] {
    std::minstd_rand random(2);
    while (!stop.load()) {
      switch (random() % 4) {
        case 0:
          one_region->move(kWindow + 0x100000 * (random() % 3));
          break;
        case 1:
          alias->set_enabled(random() % 2);
          break;
        case 2: {
          const system::MemoryTransaction all_at_once;
          rom->set_enabled(random() % 2);
          one_region->set_enabled(random() % 2);
          break;
        }
        default:
          memory->write(kWindow + random() % 0x10000, 1, random());
      }
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    }
  });
  const char* const asked = std::getenv("LYREBIRD_STRESS");
  const auto end = std::chrono::steady_clock::now() + (asked ? std::atoi(asked) * 1000ms : 700ms);
  std::minstd_rand random(1);
  uint64_t before = 0, rounds = 0;
  for (; std::chrono::steady_clock::now() < end || quiet.count.load() < 10 || before == 0; ++rounds) {
    ASSERT_LT(std::chrono::steady_clock::now(), end + 60s) << "no progress";
    for (accel::VcpuThread* const thread : threads)
      if (random() % 4) thread->resume();
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 4000));
    for (accel::VcpuThread* const thread : threads)
      if (random() % 2) thread->request_pause();
    if (random() % 3) continue;
    for (accel::VcpuThread* const thread : threads) thread->pause();
    const uint64_t now = argument(0, 1);
    EXPECT_GE(now, before);
    before = now;
    if (random() % 4 == 0) {
      const auto written = vcpus[0]->read_state() ? vcpus[0]->write_state() : Result<void>();
      EXPECT_TRUE(written.ok());
    }
    if (random() % 8 == 0) EXPECT_EQ(two.step().kind, ExitKind::Debug);
  }
  stop = true;
  device.join();
  changer.join();
  for (accel::VcpuThread* const thread : threads) thread->stop();
  vcpu->set_interrupt(guest->interrupt_line(), false);
  // The handler counts before it writes to the device.
  EXPECT_GE(word(data()), quiet.count.load());
  EXPECT_LE(word(data()), quiet.count.load() + 1);
  RecordProperty("rounds", std::to_string(rounds));
  RecordProperty("interrupts", std::to_string(quiet.count.load()));
  for (const auto* const region : {one_region.get(), alias.get(), rom.get()})
    root->remove(*const_cast<MemoryRegion*>(region));
}

TEST_P(Conformance, ACrashAsksForAReset) {
  if (!guest->has_crash()) GTEST_SKIP() << "this guest cannot";
  create();
  start(Program::Crash, {});
  EXPECT_EQ(vcpu->run().kind, ExitKind::Reset);
  start(Program::Count, {0});
  EXPECT_EQ(vcpu->run().kind, ExitKind::Interrupted);
  EXPECT_EQ(bell.last.load(), 15u);
}

INSTANTIATE_TEST_SUITE_P(, Conformance, testing::ValuesIn(guest_kinds().begin(), guest_kinds().end()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace lyrebird::conformance
