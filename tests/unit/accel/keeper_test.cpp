// SPDX-License-Identifier: Apache-2.0
// Translations that the next process starts with: an image runs as the blocks did that it was made
// from, and no longer than the guest's code is what it was.
#include "accel/soft/keeper.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "accel/soft/soft.h"
#include "frontend/arm/a64_frontend.h"
#include "frontend/arm/a64_state.h"
#include "tests/unit/kept_folder.h"

namespace lyrebird::accel {
namespace {

constexpr uint64_t kCode = 0x400000;
constexpr uint64_t kSize = 16 * 4096;
constexpr uint32_t kSvc = 0xd4000001;
constexpr uint32_t kLoad = 0xf9400041;      // ldr x1, [x2]
constexpr uint32_t kHelper = 0xdac103e0;    // pacia x0, xzr... with x31 as the modifier: sp
constexpr uint32_t kReturnTo = 0xd61f0060;  // br x3
constexpr uint32_t kMrs = 0xd53b4401;       // mrs x1, fpcr
constexpr uint32_t add_x0(uint32_t imm) { return 0x91000000 | imm << 10; }
constexpr uint32_t sub_x4(uint32_t imm) { return 0xf1000084 | imm << 10; }  // subs x4, x4, #imm
constexpr uint32_t branch(int64_t bytes) {
  return 0x14000000 | (static_cast<uint32_t>(bytes / 4) & 0x3ffffff);
}
constexpr uint32_t branch_ne(int64_t bytes) {
  return 0x54000001 | (static_cast<uint32_t>(bytes / 4) & 0x7ffff) << 5;
}

/// A file, as far as the keeper can tell.
class FileMemory final : public frontend::CodeSource {
 public:
  FileMemory()
      : bytes_(static_cast<uint8_t*>(
            mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}
  ~FileMemory() override { munmap(bytes_, kSize); }
  bool fetch(uint64_t pc, void* to, unsigned size) override {
    if (pc < kCode || pc + size > kCode + kSize) return false;
    std::memcpy(to, bytes_ + (pc - kCode), size);
    return true;
  }
  bool guarded(uint64_t) const override { return false; }
  uint64_t origin_generation() const override { return generation; }
  bool origin(uint64_t pc, frontend::CodeOrigin& out) const override {
    if (pc < kCode || pc >= kCode + kSize) return false;
    out.start = out.file_start = kCode;
    out.end = kCode + kSize;
    out.host = bytes_;
    out.identity = 77;
    out.name = name_;
    return true;
  }
  void put(uint64_t pc, std::initializer_list<uint32_t> words) {
    for (const uint32_t word : words) {
      std::memcpy(bytes_ + (pc - kCode), &word, 4);
      pc += 4;
    }
  }
  uint64_t generation = 1;

 private:
  uint8_t* bytes_;
  std::shared_ptr<const std::string> name_ = std::make_shared<const std::string>("/usr/bin/prog");
};

struct Kept : test::KeptFolder {
  arm::A64Frontend frontend{*arm::find_cpu_model("max")};
  FileMemory code;

  /// A process, as far as the keeper can tell.
  struct Run {
    Run(Kept& test, SoftOptions options)
        : accelerator(test.frontend, test.code, options), vcpu(accelerator.create_vcpu(state.header)) {}
    SoftAccelerator accelerator;
    arm::A64State state;
    std::unique_ptr<Vcpu> vcpu;
    Exit from(uint64_t pc) {
      state.header.pc = pc;
      return vcpu->run();
    }
  };

  void SetUp() override {
    test::KeptFolder::SetUp();
    // Block i of page p adds one and goes on to the next; every 16th through a register.
    for (uint64_t i = 0; i < kBlocks; ++i) {
      const uint64_t pc = block(i);
      code.put(pc, {add_x0(1), branch(static_cast<int64_t>(block(i + 1) - pc) - 4)});
    }
    code.put(block(kBlocks), {sub_x4(1), branch_ne(static_cast<int64_t>(kCode - block(kBlocks)) - 4), kSvc});
  }

  static constexpr uint64_t kBlocks = 200;
  static uint64_t block(uint64_t i) { return kCode + (i % 8) * 4096 + i / 8 * 32; }

  SoftOptions options(Executor executor = Executor::Baseline) const {
    SoftOptions options;
    options.executor = executor;
    options.zero_base = true;
    options.keep.directory = directory + "/cache";
    options.keep.limit = uint64_t{1} << 30;
    return options;
  }
  /// The first process, which translates everything.
  void fill(Executor executor = Executor::Baseline) {
    Run run(*this, options(executor));
    run.state.x[4] = 2;
    ASSERT_EQ(run.from(kCode).kind, ir::ExitKind::Syscall);
    ASSERT_EQ(run.state.x[0], 2 * kBlocks);
    run.accelerator.keep();
  }
  std::string image() const {
    for (const auto& entry : std::filesystem::directory_iterator(directory + "/cache"))
      if (entry.path().extension() == ".lyi") return entry.path();
    return {};
  }
};

TEST_F(Kept, TheSecondProcessTranslatesNothing) {
  for (const Executor executor : {Executor::Baseline, Executor::Tiered}) {
    fill(executor);
    ASSERT_FALSE(image().empty());
    Run run(*this, options(executor));
    run.state.x[4] = 3;
    EXPECT_EQ(run.from(kCode).kind, ir::ExitKind::Syscall);
    EXPECT_EQ(run.state.x[0], 3 * kBlocks);
    EXPECT_EQ(run.state.header.pc, block(kBlocks) + 12);
    EXPECT_EQ(run.accelerator.stats().translations, 0u);
    // In place, the blocks find each other without the map.
    EXPECT_LT(run.accelerator.stats().blocks, 10u);
  }
}

TEST_F(Kept, CodeThatChangesWhileItsImageRuns) {
  fill();
  Run run(*this, options());
  run.state.x[4] = 1;
  run.from(kCode);
  EXPECT_EQ(run.state.x[0], kBlocks);
  for (const uint64_t changed : {uint64_t{100}, uint64_t{3}, kBlocks - 1}) {
    code.put(block(changed), {add_x0(1000)});
    run.accelerator.invalidate(block(changed), 4);
    run.state.x[0] = 0, run.state.x[4] = 1;
    run.from(kCode);
    EXPECT_GE(run.state.x[0], 1000u);
    code.put(block(changed), {add_x0(1)});
    run.accelerator.invalidate(block(changed), 4);
    run.state.x[0] = 0, run.state.x[4] = 1;
    run.from(kCode);
    EXPECT_EQ(run.state.x[0], kBlocks);
  }
  // What was changed meanwhile was never to be kept.
  run.accelerator.keep();
  Run next(*this, options());
  next.state.x[4] = 1;
  next.from(kCode);
  EXPECT_EQ(next.state.x[0], kBlocks);
}

TEST_F(Kept, OtherCodeAtTheSamePlaceIsTranslated) {
  fill();
  code.put(block(77), {add_x0(501)});
  Run run(*this, options());
  run.state.x[4] = 1;
  run.from(kCode);
  EXPECT_EQ(run.state.x[0], kBlocks + 500);
  EXPECT_GT(run.accelerator.stats().translations, 0u);
}

TEST_F(Kept, ABreakpointStopsInsideAnImage) {
  fill();
  Run run(*this, options());
  run.state.x[4] = 1;
  run.from(kCode);
  run.accelerator.set_breakpoints({block(150)});
  run.state.x[0] = 0, run.state.x[4] = 1;
  EXPECT_EQ(run.from(kCode).kind, ir::ExitKind::Debug);
  EXPECT_EQ(run.state.header.pc, block(150));
  EXPECT_EQ(run.state.x[0], 150u);
}

TEST_F(Kept, AThreadInAnImageIsReached) {
  fill();
  Run run(*this, options());
  run.state.x[4] = 1;
  run.from(kCode);
  run.state.x[4] = ~uint64_t{0};
  std::thread changer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    code.put(block(9), {kSvc});
    run.accelerator.invalidate(block(9), 4);
  });
  EXPECT_EQ(run.from(kCode).kind, ir::ExitKind::Syscall);
  EXPECT_EQ(run.state.header.pc, block(9) + 4);
  changer.join();
}

TEST_F(Kept, KickEndsALoopOfAnImage) {
  fill();
  Run run(*this, options());
  run.state.x[4] = ~uint64_t{0};
  std::thread kicker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    run.vcpu->kick();
  });
  EXPECT_EQ(run.from(kCode).kind, ir::ExitKind::Interrupted);
  kicker.join();
}

TEST_F(Kept, FaultsHelpersAndRecordsOfAnImage) {
  const uint64_t after = block(kBlocks) + 8;
  code.put(after, {kHelper, kMrs, kReturnTo});
  code.put(kCode + 12 * 4096, {add_x0(1), kLoad, add_x0(1), kSvc});
  uint64_t results[2][3];
  for (unsigned process = 0; process < 2; ++process) {
    Run run(*this, options());
    uint64_t word = 4711;
    run.state.x[2] = reinterpret_cast<uint64_t>(&word);
    run.state.x[3] = kCode + 12 * 4096;
    run.state.x[4] = 1;
    EXPECT_EQ(run.from(kCode).kind, ir::ExitKind::Syscall);
    EXPECT_EQ(run.state.x[1], 4711u);
    results[process][0] = run.state.x[0];
    run.state.x[2] = 8;  // nothing is there
    const Exit exit = run.from(kCode + 12 * 4096);
    EXPECT_EQ(exit.kind, ir::ExitKind::MemoryFault);
    EXPECT_EQ(run.state.header.pc, kCode + 12 * 4096 + 4);
    EXPECT_EQ(run.state.header.fault_address, 8u);
    results[process][1] = run.state.x[0];
    results[process][2] = run.accelerator.stats().translations;
    run.accelerator.keep();
  }
  EXPECT_EQ(results[0][0], results[1][0]);
  EXPECT_EQ(results[0][1], results[1][1]);
  // The interpreter translates the instruction that faults.
  EXPECT_LE(results[1][2], 1u);
}

TEST_F(Kept, AForkedChildRunsTheImageAndMayChangeItsCode) {
  fill();
  Run run(*this, options());
  run.state.x[4] = 1;
  run.from(kCode);
  run.accelerator.before_fork();
  const pid_t child = fork();
  if (child == 0) {
    run.accelerator.after_fork_in_child();
    run.state.x[0] = 0, run.state.x[4] = 1;
    run.from(kCode);
    bool good = run.state.x[0] == kBlocks;
    code.put(block(50), {add_x0(7)});
    run.accelerator.invalidate(block(50), 4);
    run.state.x[0] = 0, run.state.x[4] = 1;
    run.from(kCode);
    good = good && run.state.x[0] == kBlocks + 6;
    _exit(good ? 0 : 1);
  }
  run.accelerator.after_fork_in_parent();
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  run.state.x[0] = 0, run.state.x[4] = 1;
  run.from(kCode);
  EXPECT_EQ(run.state.x[0], kBlocks);
}

TEST_F(Kept, WhatIsNewJoinsTheImageWhenItHasBecomeMuch) {
  fill();
  const auto first = std::filesystem::last_write_time(image());
  // A few more blocks go to the file beside it, many make a new image.
  const uint64_t more = kCode + 13 * 4096;
  for (uint64_t i = 0; i < 100; ++i) code.put(more + 16 * i, {add_x0(1), branch(12)});
  code.put(more + 1600, {kSvc});
  bool renewed = false;
  for (const uint64_t from : {uint64_t{80}, uint64_t{0}}) {
    // The page is new to the image, but it holds no code of the image's.
    Run run(*this, options());
    EXPECT_EQ(run.from(more + 16 * from).kind, ir::ExitKind::Syscall);
    EXPECT_EQ(run.state.x[0], 100 - from);
    run.accelerator.keep();
    renewed |= std::filesystem::last_write_time(image()) != first;
  }
  EXPECT_TRUE(renewed);
  Run run(*this, options());
  EXPECT_EQ(run.from(more).kind, ir::ExitKind::Syscall);
  run.state.x[4] = 1;
  EXPECT_EQ(run.from(kCode).kind, ir::ExitKind::Syscall);
  EXPECT_EQ(run.state.x[0], 100 + kBlocks);
  EXPECT_EQ(run.accelerator.stats().translations, 0u);
}

TEST_F(Kept, ADamagedImageIsNotBelieved) {
  fill();
  const std::string path = image();
  std::ifstream in(path, std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  for (size_t at = 0; at < good.size(); at += good.size() / 61 + 1) {
    std::string bad = good;
    // The first page has less in it than its size.
    const size_t where = at < 4096 ? at % 160 : at;
    bad[where] = static_cast<char>(bad[where] ^ 0x10);
    std::filesystem::remove(path);
    std::ofstream(path, std::ios::binary) << (at % 2 ? bad : good.substr(0, at));
    std::filesystem::permissions(path,
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    Run run(*this, options());
    run.state.x[4] = 1;
    run.from(kCode);
    EXPECT_EQ(run.state.x[0], kBlocks);
    EXPECT_GT(run.accelerator.stats().translations, 0u) << "damage at " << at;
  }
}

// --- regions

/// Loops that the optimising tier takes.
struct KeptRegions : Kept {
  static constexpr uint64_t kLoop = kCode + 14 * 4096, kOther = kLoop + 256;
  static constexpr uint64_t kForEver = ~uint64_t{0};
  uint64_t word = 4711;

  void SetUp() override {
    Kept::SetUp();
    for (const uint64_t pc : {kLoop, kOther})
      code.put(pc, {kLoad, add_x0(1), sub_x4(1), branch_ne(-12), kSvc});
  }

  SoftOptions tiered() const {
    SoftOptions given = options(Executor::Tiered);
    using std::chrono::milliseconds;
    given.tier = {.first = milliseconds(1),
                  .rest = milliseconds(4),
                  .worth = milliseconds(0),
                  .share = 0,
                  .thread_made = {}};
    return given;
  }
  /// Goes round a loop until there is a region for it.
  static SoftStats warm_up(Run& run, uint64_t loop, uint64_t& read) {
    run.state.x[2] = reinterpret_cast<uint64_t>(&read);
    run.state.x[4] = kForEver;
    std::thread waits([&] {
      for (unsigned i = 0; i < 20000; ++i) {
        const SoftStats stats = run.accelerator.stats();
        if (stats.regions + stats.kept_regions != 0) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      run.vcpu->kick();
    });
    EXPECT_EQ(run.from(loop).kind, ir::ExitKind::Interrupted);
    waits.join();
    return run.accelerator.stats();
  }
  /// The loop does what it should.
  static void use(Run& run, uint64_t loop, uint64_t step = 1) {
    run.state.x[0] = run.state.x[1] = 0, run.state.x[4] = 1000;
    EXPECT_EQ(run.from(loop).kind, ir::ExitKind::Syscall);
    EXPECT_EQ(run.state.x[0], 1000u * step);
    EXPECT_EQ(run.state.x[1], 4711u);
    EXPECT_EQ(run.state.header.pc, loop + 20);
    run.state.x[0] = 5, run.state.x[2] = 8, run.state.x[4] = 1000;  // nothing is there
    const Exit exit = run.from(loop);
    EXPECT_EQ(exit.kind, ir::ExitKind::MemoryFault);
    EXPECT_EQ(run.state.header.fault_address, 8u);
    EXPECT_EQ(run.state.header.pc, loop);
    EXPECT_EQ(run.state.x[0], 5u);
    EXPECT_EQ(run.state.x[4], 1000u);
  }
  void fill_regions(uint64_t loop) {
    Run run(*this, tiered());
    const SoftStats stats = warm_up(run, loop, word);
    EXPECT_EQ(stats.regions + stats.kept_regions, 1u);
    use(run, loop);
    run.accelerator.keep();
  }
  std::string regions() const {
    for (const auto& entry : std::filesystem::directory_iterator(directory + "/cache"))
      if (entry.path().string().ends_with(".regions.lyc")) return entry.path();
    return {};
  }
};

TEST_F(KeptRegions, TheSecondProcessCompilesNone) {
  fill_regions(kLoop);
  ASSERT_FALSE(regions().empty());
  for (const bool image : {false, true}) {
    if (image) {
      fill();
      ASSERT_FALSE(this->image().empty());
    }
    Run run(*this, tiered());
    const SoftStats stats = warm_up(run, kLoop, word);
    EXPECT_EQ(stats.regions, 0u);
    EXPECT_EQ(stats.kept_regions, 1u);
    use(run, kLoop);
    // And what comes after it.
    run.state.x[4] = 2, run.state.x[0] = 0;
    EXPECT_EQ(run.from(kCode).kind, ir::ExitKind::Syscall);
    EXPECT_EQ(run.state.x[0], 2 * kBlocks);
  }
}

/// The loop's own block is in an image: its jumps go to the region.
TEST_F(KeptRegions, ALoopInsideAnImageGoesToTheRegion) {
  {
    Run run(*this, options());
    run.state.x[4] = 3, run.state.x[2] = reinterpret_cast<uint64_t>(&word);
    EXPECT_EQ(run.from(kLoop).kind, ir::ExitKind::Syscall);
    run.state.x[4] = 2;
    EXPECT_EQ(run.from(kCode).kind, ir::ExitKind::Syscall);
    run.accelerator.keep();
  }
  ASSERT_FALSE(image().empty());
  for (unsigned process = 0; process < 2; ++process) {
    Run run(*this, tiered());
    EXPECT_EQ(warm_up(run, kLoop, word).kept_regions, process);
    // Sampled no more: it is in the region, which does not look for samples in between.
    use(run, kLoop);
    run.accelerator.keep();
  }
}

TEST_F(KeptRegions, ARegionOfOtherCodeIsNotUsed) {
  fill_regions(kLoop);
  for (unsigned process = 0; process < 2; ++process) {
    code.put(kLoop + 4, {add_x0(3)});
    Run run(*this, tiered());
    const SoftStats stats = warm_up(run, kLoop, word);
    // The old one is out of the way of the new one.
    EXPECT_EQ(stats.kept_regions, process);
    use(run, kLoop, 3);
    run.accelerator.keep();
  }
}

TEST_F(KeptRegions, CodeThatChangesUnderAKeptRegion) {
  fill_regions(kLoop);
  Run run(*this, tiered());
  EXPECT_EQ(warm_up(run, kLoop, word).kept_regions, 1u);
  code.put(kLoop + 4, {add_x0(7)});
  run.accelerator.invalidate(kLoop + 4, 4);
  use(run, kLoop, 7);
  run.accelerator.set_breakpoints({kLoop + 8});
  run.state.x[4] = 10, run.state.x[2] = reinterpret_cast<uint64_t>(&word);
  EXPECT_EQ(run.from(kLoop).kind, ir::ExitKind::Debug);
  EXPECT_EQ(run.state.header.pc, kLoop + 8);
}

TEST_F(KeptRegions, ADamagedFileIsNotBelieved) {
  fill_regions(kLoop);
  const std::string path = regions();
  std::ifstream in(path, std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  for (size_t at = 0; at < good.size(); at += good.size() / 13 + 1) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    std::filesystem::remove(path);
    std::ofstream(path, std::ios::binary) << (at % 2 ? bad : good.substr(0, at));
    std::filesystem::permissions(path,
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    Run run(*this, tiered());
    warm_up(run, kLoop, word);
    use(run, kLoop);
    run.accelerator.keep();
  }
}

TEST_F(KeptRegions, TwoProcessesWrite) {
  for (unsigned round = 0; round < 3; ++round) {
    pid_t children[2];
    for (unsigned i = 0; i < 2; ++i) {
      children[i] = fork();
      if (children[i] != 0) continue;
      fill_regions(i ? kLoop : kOther);
      _exit(HasFailure() ? 1 : 0);
    }
    for (const pid_t child : children) {
      int status = -1;
      waitpid(child, &status, 0);
      EXPECT_EQ(status, 0);
    }
    const auto info = jit::persist::File::inspect(regions(), true);
    EXPECT_TRUE(info.valid);
    EXPECT_GE(info.items, 1u);
    EXPECT_LE(info.items, 2u);
    EXPECT_EQ(info.bad, 0u);
  }
}

}  // namespace
}  // namespace lyrebird::accel
