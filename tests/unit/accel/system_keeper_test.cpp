// SPDX-License-Identifier: Apache-2.0
// Translations that the next machine starts with: found by what the code is, wherever it lies, and never
// believed.
#include "accel/soft/system_keeper.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "accel/soft/system.h"
#include "base/report.h"
#include "frontend/arm/cpu_model.h"
#include "frontend/arm/system/system_frontend.h"
#include "jit/persist/directory.h"
#include "system/address_space.h"
#include "tests/unit/kept_folder.h"
#include "tests/unit/no_board.h"

namespace lyrebird::accel {
namespace {

constexpr uint64_t kTable = 0x1000, kStack = 0x8000, kData = 0x10000;
constexpr uint64_t kHere = 0x200000, kThere = 0x6d5000;
constexpr uint64_t kRam = 8 << 20;

/// Everything that depends on where code lies: calls, returns, addresses, literals, jumps inside a page and
/// to another, helpers, accesses whose cold path knows the pc.
constexpr uint32_t kProgram[] = {
    0x10000000,  // 00 adr x0, .
    0xb0000001,  // 04 adrp x1, . + 0x1000
    0x91004021,  // 08 add x1, x1, #0x10
    0x58000202,  // 0c ldr x2, 4c
    0x94000008,  // 10 bl 30
    0xf9000060,  // 14 str x0, [x3]
    0xf9000461,  // 18 str x1, [x3, #8]
    0xf9000862,  // 1c str x2, [x3, #16]
    0xf9000c7e,  // 20 str x30, [x3, #24]
    0xd53b4204,  // 24 mrs x4, nzcv
    0x14000406,  // 28 b 1040
    0xd503201f,  // 2c nop
    0xf9401065,  // 30 ldr x5, [x3, #32]
    0x910004a5,  // 34 add x5, x5, #1
    0xf9001065,  // 38 str x5, [x3, #32]
    0xf10028bf,  // 3c cmp x5, #10
    0x54ffff81,  // 40 b.ne 30
    0xd65f03c0,  // 44 ret
    0xd503201f,  // 48 nop
    0x55667788,  // 4c
    0x11223344,  // 50
};
/// At 1040: asks the board to switch off.
constexpr uint32_t kEnd[] = {
    0x100000e6,  // 40 adr x6, 5c
    0xf9001466,  // 44 str x6, [x3, #40]
    0xd2800100,  // 48 mov x0, #8
    0xf2b08000,  // 4c movk x0, #0x8400, lsl #16
    0xd4000002,  // 50 hvc #0
    0x14000000,  // 54 b .
};

template <typename T>
T take(Result<T> result) {
  return std::move(*result);
}

class OffBoard final : public test::NoBoard {
 public:
  void system_off() override { vcpu->kick(); }
  Vcpu* vcpu = nullptr;
};

struct Machine {
  explicit Machine(const std::string& directory, const char* model = "max")
      : config{.model = arm::find_cpu_model(model)} {
    root->add(*region, 0);
    SoftOptions options;
    if (!directory.empty()) {
      options.keep = usual_keep_options(directory);
      options.keep.key = frontend.translation_key();
    }
    soft = std::make_unique<SoftSystem>(frontend, options);
    vcpu = take(soft->create_vcpu(0, state.header, memory));
    board.vcpu = vcpu.get();
    const uint64_t block = 1 << 10 | 3 << 8 | 1;
    memory.load_bytes(kTable, &block, sizeof block);
  }
  ~Machine() { vcpu.reset(); }

  void put(uint64_t at) {
    memory.load_bytes(at, kProgram, sizeof kProgram);
    memory.load_bytes(at + 0x1040, kEnd, sizeof kEnd);
  }
  Exit from(uint64_t pc) {
    state.config = &config;
    state.board = &board;
    arm::reset_vcpu(state, 0);
    arm::set_entry(state, pc, 1, 0);
    state.reg(arm::SysReg::TTBR0_EL1) = kTable;
    state.reg(arm::SysReg::TCR_EL1) = 25 | 3 << 12 | 1 << 23 | uint64_t{2} << 32;
    state.reg(arm::SysReg::MAIR_EL1) = 0xff;
    state.reg(arm::SysReg::SCTLR_EL1) |= 1;
    state.sp = kStack;
    state.x[3] = kData;
    arm::update_mode(state);
    const std::vector<uint8_t> zeros(64);
    memory.load_bytes(kData, zeros.data(), zeros.size());
    return vcpu->run();
  }
  uint64_t word(unsigned n) {
    uint64_t value = 0;
    memory.read_bytes(kData + 8 * n, &value, sizeof value);
    return value;
  }
  /// The program at `at` did what it says.
  void expect_run(uint64_t at) {
    EXPECT_EQ(from(at).kind, ir::ExitKind::Interrupted);
    EXPECT_EQ(word(0), at);
    EXPECT_EQ(word(1), (at & ~uint64_t{0xfff}) + 0x1010);
    EXPECT_EQ(word(2), 0x1122334455667788);
    EXPECT_EQ(word(3), at + 0x14);
    EXPECT_EQ(word(4), 10u);
    EXPECT_EQ(word(5), at + 0x105c);
  }

  const arm::SystemConfig config;
  const arm::A64SystemFrontend frontend{config};
  OffBoard board;
  std::unique_ptr<system::RamBlock> ram = take(system::RamBlock::create("ram", kRam));
  system::MemoryRegionPtr region = system::MemoryRegion::ram("ram", *ram);
  system::MemoryRegionPtr root = system::MemoryRegion::container("root", uint64_t{1} << 32);
  system::AddressSpace memory{"memory", *root};
  arm::A64SystemState state;
  std::unique_ptr<SoftSystem> soft;
  std::unique_ptr<Vcpu> vcpu;
};

struct SystemKept : test::KeptFolder {
  void run_once(uint64_t at = kHere) {
    Machine machine(directory);
    machine.put(at);
    machine.expect_run(at);
  }
  std::string file() const {
    for (const auto& entry : std::filesystem::directory_iterator(directory))
      if (entry.path().extension() == jit::persist::kSuffix) return entry.path();
    return {};
  }
};

TEST_F(SystemKept, TheSecondMachineTranslatesNothing) {
  run_once();
  Machine machine(directory);
  machine.put(kHere);
  machine.expect_run(kHere);
  EXPECT_EQ(machine.soft->translations(), 0u);
}

TEST_F(SystemKept, CodeAtAnotherAddressIsTheSame) {
  run_once();
  Machine machine(directory);
  machine.put(kThere);
  machine.expect_run(kThere);
  EXPECT_EQ(machine.soft->translations(), 0u);
  // Both at once.
  machine.put(kHere);
  machine.expect_run(kHere);
  machine.expect_run(kThere);
  EXPECT_EQ(machine.soft->translations(), 0u);
}

TEST_F(SystemKept, OtherCodeBehindTheSameStartIsTranslated) {
  run_once();
  Machine machine(directory);
  machine.put(kHere);
  const uint32_t add_two = 0x910008a5;
  machine.memory.load_bytes(kHere + 0x34, &add_two, sizeof add_two);
  EXPECT_EQ(machine.from(kHere).kind, ir::ExitKind::Interrupted);
  EXPECT_EQ(machine.word(4), 10u);
  EXPECT_NE(machine.soft->translations(), 0u);
}

TEST_F(SystemKept, AWriteToCodeThatCameFromTheFileCounts) {
  run_once();
  Machine machine(directory);
  machine.put(kHere);
  machine.expect_run(kHere);
  const uint32_t compare_20 = 0xf10050bf;
  machine.memory.write_bytes(kHere + 0x3c, &compare_20, sizeof compare_20);
  EXPECT_EQ(machine.from(kHere).kind, ir::ExitKind::Interrupted);
  EXPECT_EQ(machine.word(4), 20u);
}

TEST_F(SystemKept, WhatWasTakenOutIsKept) {
  {
    Machine machine(directory);
    machine.put(kHere);
    machine.expect_run(kHere);
    const std::vector<uint8_t> zeros(0x2000);
    machine.memory.write_bytes(kHere, zeros.data(), zeros.size());
  }
  Machine machine(directory);
  machine.put(kHere);
  machine.expect_run(kHere);
  EXPECT_EQ(machine.soft->translations(), 0u);
}

TEST_F(SystemKept, AnotherProcessorFindsNothing) {
  run_once();
  Machine machine(directory, "cortex-a57");
  machine.put(kHere);
  machine.expect_run(kHere);
  EXPECT_NE(machine.soft->translations(), 0u);
}

TEST_F(SystemKept, ABreakpointIsNotInKeptCode) {
  run_once();
  Machine machine(directory);
  machine.put(kHere);
  machine.soft->set_breakpoints({kHere + 0x38});
  EXPECT_EQ(machine.from(kHere).kind, ir::ExitKind::Debug);
  EXPECT_EQ(machine.state.header.pc, kHere + 0x38);
}

TEST_F(SystemKept, TwoMachinesAtOnce) {
  {
    Machine one(directory), two(directory);
    one.put(kHere);
    two.put(kThere);
    one.expect_run(kHere);
    two.expect_run(kThere);
  }
  const auto info = jit::persist::File::inspect(file(), true);
  EXPECT_TRUE(info.valid);
  EXPECT_EQ(info.bad, 0u);
  Machine machine(directory);
  machine.put(kHere);
  machine.expect_run(kHere);
  EXPECT_EQ(machine.soft->translations(), 0u);
}

TEST_F(SystemKept, ADamagedFileIsNotBelieved) {
  run_once();
  const std::string path = file();
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> good((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  ASSERT_GT(good.size(), 1000u);
  const auto rewrite = [&](const std::vector<char>& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc)
        .write(bytes.data(), static_cast<long>(bytes.size()));
  };
  for (size_t at = 0; at < good.size(); at += 97) {
    std::vector<char> bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    rewrite(bad);
    run_once();
    bad.resize(at);
    rewrite(bad);
    run_once();
  }
}

TEST_F(SystemKept, AFileThatIsCutShortWhileItIsMapped) {
  run_once();
  Machine machine(directory);
  std::filesystem::resize_file(file(), 200);
  machine.put(kHere);
  machine.expect_run(kHere);
  EXPECT_NE(machine.soft->translations(), 0u);
}

}  // namespace
}  // namespace lyrebird::accel
