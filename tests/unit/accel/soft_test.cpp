// SPDX-License-Identifier: Apache-2.0
// The translation loop, with A64 code that the tests change under it.
#include "accel/soft/soft.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "frontend/arm/a64_frontend.h"
#include "frontend/arm/a64_state.h"

namespace lyrebird::accel {
namespace {

constexpr uint64_t kCode = 0x400000;
constexpr uint32_t kNop = 0xd503201f, kSvc = 0xd4000001;
constexpr uint32_t add_x0(uint32_t imm) { return 0x91000000 | imm << 10; }  // add x0, x0, #imm
constexpr uint32_t mov_x0(uint32_t imm) { return 0xd2800000 | imm << 5; }   // mov x0, #imm
constexpr uint32_t branch(int words) { return 0x14000000 | (static_cast<uint32_t>(words) & 0x3ffffff); }

class CodeMemory final : public frontend::CodeSource {
 public:
  bool fetch(uint64_t pc, void* to, unsigned size) override {
    const std::lock_guard lock(mutex_);
    for (unsigned i = 0; i < size; i += 4) {
      const auto it = words_.find(pc + i);
      if (it == words_.end()) return false;
      std::memcpy(static_cast<uint8_t*>(to) + i, &it->second, 4);
    }
    return true;
  }
  bool guarded(uint64_t) const override { return false; }
  std::mutex& mutex() { return mutex_; }  // for fork()

  void put(uint64_t pc, std::initializer_list<uint32_t> words) {
    const std::lock_guard lock(mutex_);
    for (const uint32_t word : words) {
      words_[pc] = word;
      pc += 4;
    }
  }

 private:
  std::mutex mutex_;
  std::map<uint64_t, uint32_t> words_;
};

struct Soft : testing::Test {
  arm::A64Frontend frontend{*arm::find_cpu_model("max")};
  CodeMemory code;
  SoftAccelerator accelerator{frontend, code};
  arm::A64State state;
  std::unique_ptr<Vcpu> vcpu = accelerator.create_vcpu(state.header);

  Exit run_from(uint64_t pc) {
    state.header.pc = pc;
    return vcpu->run();
  }
};

TEST_F(Soft, RunsToTheSyscall) {
  code.put(kCode, {mov_x0(5), add_x0(2), kSvc});
  EXPECT_EQ(run_from(kCode).kind, ir::ExitKind::Syscall);
  EXPECT_EQ(state.x[0], 7u);
  EXPECT_EQ(state.header.pc, kCode + 12);
  EXPECT_EQ(accelerator.stats().blocks, 1u);
}

TEST_F(Soft, ChangedCodeRunsAfterInvalidate) {
  code.put(kCode, {mov_x0(1), branch(4)});
  code.put(kCode + 20, {add_x0(1), kSvc});
  run_from(kCode);
  EXPECT_EQ(state.x[0], 2u);
  code.put(kCode + 20, {add_x0(5), kSvc});
  accelerator.invalidate(kCode + 20, 4);
  run_from(kCode);
  EXPECT_EQ(state.x[0], 6u);
  EXPECT_EQ(accelerator.stats().invalidated, 1u);
}

TEST_F(Soft, FetchFaultIsNotRemembered) {
  Exit exit = run_from(kCode);
  EXPECT_EQ(exit.kind, ir::ExitKind::FetchFault);
  EXPECT_EQ(state.header.pc, kCode);
  EXPECT_EQ(state.header.fault_address, kCode);
  EXPECT_EQ(state.header.fault_access, static_cast<uint32_t>(ir::Access::Fetch));
  code.put(kCode, {kSvc});
  EXPECT_EQ(run_from(kCode).kind, ir::ExitKind::Syscall);
}

TEST_F(Soft, StepRunsOneInstruction) {
  code.put(kCode, {mov_x0(5), add_x0(2), kSvc});
  state.header.pc = kCode;
  EXPECT_EQ(vcpu->step().kind, ir::ExitKind::Debug);
  EXPECT_EQ(state.header.pc, kCode + 4);
  EXPECT_EQ(state.x[0], 5u);
  EXPECT_EQ(vcpu->step().kind, ir::ExitKind::Debug);
  EXPECT_EQ(vcpu->step().kind, ir::ExitKind::Syscall);
  EXPECT_EQ(accelerator.stats().blocks, 0u) << "single steps leave no blocks behind";
}

TEST_F(Soft, BreakpointsStopBeforeTheInstruction) {
  code.put(kCode, {mov_x0(5), add_x0(2), add_x0(2), kSvc});
  EXPECT_EQ(run_from(kCode).kind, ir::ExitKind::Syscall);
  accelerator.set_breakpoints({kCode + 8});
  EXPECT_EQ(run_from(kCode).kind, ir::ExitKind::Debug);
  EXPECT_EQ(state.header.pc, kCode + 8);
  EXPECT_EQ(state.x[0], 7u);
  EXPECT_EQ(vcpu->run().kind, ir::ExitKind::Debug) << "still there";
  EXPECT_EQ(vcpu->step().kind, ir::ExitKind::Debug);
  EXPECT_EQ(state.header.pc, kCode + 12) << "step goes over it";
  EXPECT_EQ(vcpu->run().kind, ir::ExitKind::Syscall);
  accelerator.set_breakpoints({});
  EXPECT_EQ(run_from(kCode).kind, ir::ExitKind::Syscall);
}

TEST_F(Soft, KickBeforeRunIsNotLost) {
  code.put(kCode, {kSvc});
  vcpu->kick();
  EXPECT_EQ(run_from(kCode).kind, ir::ExitKind::Interrupted);
  EXPECT_EQ(state.header.pc, kCode);
  EXPECT_EQ(vcpu->run().kind, ir::ExitKind::Syscall);
}

TEST_F(Soft, KickEndsAnEndlessLoop) {
  code.put(kCode, {add_x0(1), branch(-1)});
  std::thread kicker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    vcpu->kick();
  });
  EXPECT_EQ(run_from(kCode).kind, ir::ExitKind::Interrupted);
  kicker.join();
  EXPECT_GT(state.x[0], 0u);
  EXPECT_TRUE(state.header.pc == kCode || state.header.pc == kCode + 4);
}

TEST_F(Soft, InvalidateReachesAThreadThatIsRunning) {
  // A loop that another thread turns into a way out.
  code.put(kCode, {add_x0(1), branch(1), branch(-2)});
  std::thread changer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    code.put(kCode + 8, {kSvc});
    accelerator.invalidate(kCode + 8, 4);
  });
  EXPECT_EQ(run_from(kCode).kind, ir::ExitKind::Syscall);
  changer.join();
}

// Nothing in these loops tests for requests: indirect jumps miss instead (jit/jump_cache.h).
constexpr uint32_t kBrX1 = 0xd61f0020, kRet = 0xd65f03c0;

TEST_F(Soft, KickEndsALoopOfIndirectJumps) {
  code.put(kCode, {add_x0(1), kBrX1});
  code.put(kCode + 64, {add_x0(1), kRet});
  state.x[1] = kCode + 64;
  state.x[30] = kCode;
  for (unsigned round = 0; round < 3; ++round) {
    state.x[0] = 0;
    std::thread kicker([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      vcpu->kick();
    });
    EXPECT_EQ(run_from(kCode).kind, ir::ExitKind::Interrupted);
    kicker.join();
    EXPECT_GT(state.x[0], 1000u) << "they hit again after the round before";
  }
}

TEST_F(Soft, InvalidateReachesALoopOfIndirectJumps) {
  code.put(kCode, {add_x0(1), kBrX1});
  code.put(kCode + 64, {add_x0(1), kRet});
  state.x[1] = kCode + 64;
  state.x[30] = kCode;
  std::thread changer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    code.put(kCode + 68, {kSvc});
    accelerator.invalidate(kCode + 68, 4);
  });
  EXPECT_EQ(run_from(kCode).kind, ir::ExitKind::Syscall);
  changer.join();
}

TEST_F(Soft, ManyThreadsAndConstantInvalidation) {
  // Each thread counts to 1000 through a few blocks, while they are thrown away all the time.
  code.put(kCode, {add_x0(1), branch(3)});  // x0 += 1
  code.put(kCode + 16, {0xf10fa01fu /* cmp x0, #1000 */, 0x54000041u /* b.ne +8 */, kSvc, branch(-7)});
  std::atomic<unsigned> done{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      arm::A64State own;
      const auto mine = accelerator.create_vcpu(own.header);
      own.header.pc = kCode;
      const Exit exit = mine->run();
      done += exit.kind == ir::ExitKind::Syscall && own.x[0] == 1000;
    });
  for (unsigned i = 0; i < 100; ++i) {
    accelerator.invalidate(kCode, 64);
    std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(done.load(), 4u);
}

TEST_F(Soft, ExecutedCodeThatIsNotOptimisedDoesTheSame) {
  SoftAccelerator plain(frontend, code, {.optimise = false});
  arm::A64State other;
  const auto second = plain.create_vcpu(other.header);
  code.put(kCode, {mov_x0(9), add_x0(1), kNop, kSvc});
  run_from(kCode);
  other.header.pc = kCode;
  second->run();
  EXPECT_EQ(state.x[0], other.x[0]);
}

TEST_F(Soft, AForkedChildGoesOn) {
  code.put(kCode, {mov_x0(3), kSvc});
  run_from(kCode);
  for (const bool prepared : {true, false}) {
    if (prepared) accelerator.before_fork();
    const pid_t pid = fork();
    if (pid == 0) {
      accelerator.after_fork_in_child();
      code.put(kCode + 64, {add_x0(4), kSvc});
      run_from(kCode);
      const bool first = state.x[0] == 3;
      run_from(kCode + 64);
      accelerator.invalidate(kCode, 128);
      _exit(first && state.x[0] == 7 ? 42 : 1);
    }
    if (prepared) accelerator.after_fork_in_parent();
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42) << "prepared: " << prepared;
  }
  EXPECT_EQ(run_from(kCode).kind, ir::ExitKind::Syscall);
}

TEST_F(Soft, AForkedChildKeepsItsCodeAndNeitherSideSeesTheOthers) {
  // A loop of two blocks, so that there are links; the parent goes on changing them.
  code.put(kCode, {add_x0(1), 0xf10fa01fu /* cmp x0, #1000 */, 0x54ffffc1u /* b.ne -8 */, kSvc});
  state.x[0] = 0;
  run_from(kCode);
  const uint64_t before = accelerator.stats().translations;
  int ready[2], go[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(go), 0);
  accelerator.before_fork();
  const pid_t pid = fork();
  if (pid == 0) {
    accelerator.after_fork_in_child();
    char byte = 0;
    (void)!read(go[0], &byte, 1);  // the parent has thrown its blocks away and made others in their place
    state.x[0] = 0;
    run_from(kCode);
    const bool kept = state.x[0] == 1000 && accelerator.stats().translations == before;
    for (unsigned i = 0; i < 100; ++i) {
      code.put(kCode + 64 + 16 * i, {add_x0(2), kSvc});
      run_from(kCode + 64 + 16 * i);
    }
    accelerator.invalidate(kCode, 64);
    code.put(kCode, {mov_x0(5), kSvc});
    run_from(kCode);
    (void)!write(ready[1], "c", 1);
    _exit(kept && state.x[0] == 5 ? 42 : 1);
  }
  accelerator.after_fork_in_parent();
  accelerator.invalidate(kCode, 64);
  for (unsigned i = 0; i < 100; ++i) code.put(kCode + 16 * i, {mov_x0(7), kSvc});
  for (unsigned i = 0; i < 100; ++i) run_from(kCode + 16 * i);
  (void)!write(go[1], "p", 1);
  char byte = 0;
  (void)!read(ready[0], &byte, 1);
  state.x[0] = 0;
  for (unsigned i = 0; i < 100; ++i) {
    run_from(kCode + 16 * i);
    EXPECT_EQ(state.x[0], 7u);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42) << status;
  for (const int fd : {ready[0], ready[1], go[0], go[1]}) close(fd);
}

TEST_F(Soft, ForksOfForksAndThreadsThatTranslateMeanwhile) {
  for (unsigned i = 0; i < 200; ++i) code.put(kCode + 16 * i, {add_x0(1), branch(3)});
  code.put(kCode + 16 * 200, {kSvc});
  std::atomic<bool> stop{false};
  std::thread other([&] {
    arm::A64State own;
    const auto mine = accelerator.create_vcpu(own.header);
    while (!stop.load()) {
      own.x[0] = 0;
      own.header.pc = kCode;
      mine->run();
      EXPECT_EQ(own.x[0], 200u);
      accelerator.invalidate(kCode + 160, 1600);
    }
  });
  for (unsigned round = 0; round < 20; ++round) {
    code.mutex().lock();
    accelerator.before_fork();
    const pid_t pid = fork();
    code.mutex().unlock();
    if (pid == 0) {
      accelerator.after_fork_in_child();
      for (unsigned depth = 0; depth < 3; ++depth) {
        state.x[0] = 0;
        run_from(kCode);
        if (state.x[0] != 200) _exit(1);
        accelerator.before_fork();
        const pid_t grandchild = fork();
        if (grandchild == 0) {
          accelerator.after_fork_in_child();
          continue;
        }
        accelerator.after_fork_in_parent();
        state.x[0] = 0;
        run_from(kCode);
        int status = 0;
        waitpid(grandchild, &status, 0);
        _exit(state.x[0] == 200 && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
      }
      _exit(42);
    }
    accelerator.after_fork_in_parent();
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42) << status;
  }
  stop = true;
  other.join();
}

TEST_F(Soft, ASmallLimitOnlyCostsTranslations) {
  SoftAccelerator tight(frontend, code, {.memory_limit = 8192});
  arm::A64State own;
  const auto mine = tight.create_vcpu(own.header);
  for (unsigned i = 0; i < 200; ++i) code.put(kCode + 16 * i, {add_x0(1), branch(3)});
  code.put(kCode + 16 * 200, {kSvc});
  for (unsigned round = 0; round < 3; ++round) {
    own.header.pc = kCode;
    ASSERT_EQ(mine->run().kind, ir::ExitKind::Syscall);
  }
  EXPECT_EQ(own.x[0], 600u);
  EXPECT_LE(tight.stats().bytes, 8192u);
  EXPECT_GT(tight.stats().evicted, 0u);
}

/// Under tsan: translation, publication, links, invalidation and eviction by all at once.
class ManyThreads : public Soft, public testing::WithParamInterface<Executor> {};
INSTANTIATE_TEST_SUITE_P(, ManyThreads, testing::Values(Executor::Interp, Executor::Baseline));

TEST_P(ManyThreads, EightTranslateTheSameCodeAtOnce) {
  constexpr unsigned kBlocks = 1000, kThreads = 8, kChanges = 200;
  SoftAccelerator shared(frontend, code, {.executor = GetParam(), .memory_limit = size_t{96} << 10});
  for (unsigned i = 0; i < kBlocks; ++i) code.put(kCode + 16 * i, {add_x0(1), branch(3)});
  code.put(kCode + 16 * kBlocks, {kSvc});
  std::atomic<unsigned> wrong{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (unsigned n = 0; n < kThreads; ++n)
    threads.emplace_back([&, n] {
      arm::A64State own;
      const auto mine = shared.create_vcpu(own.header);
      uint64_t want = 0;
      while (!stop) {
        const unsigned first = n * kBlocks / kThreads / 2;
        own.header.pc = kCode + 16 * first;
        want += kBlocks - first;
        if (mine->run().kind != ir::ExitKind::Syscall) ++wrong;
      }
      if (own.x[0] != want) ++wrong;
    });
  std::thread changer([&] {
    for (unsigned i = 0; i < kChanges; ++i) {
      shared.invalidate(kCode + 16 * (i * 7 % kBlocks), 64);
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    stop = true;
  });
  changer.join();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(shared.stats().invalidated, 0u);
  EXPECT_GT(shared.stats().evicted, 0u);
}

TEST_F(Soft, FullCodeMemoryOnlyCostsTranslations) {
  // Four segments of 256 KiB; the blocks need more than that.
  SoftAccelerator tight(frontend, code, {.executor = Executor::Baseline, .code_bytes = size_t{1} << 20});
  arm::A64State own;
  const auto mine = tight.create_vcpu(own.header);
  constexpr unsigned kBlocks = 30000;
  for (unsigned i = 0; i < kBlocks; ++i) code.put(kCode + 16 * i, {add_x0(1), branch(3)});
  code.put(kCode + 16 * kBlocks, {kSvc});
  for (unsigned round = 0; round < 2; ++round) {
    own.header.pc = kCode;
    ASSERT_EQ(mine->run().kind, ir::ExitKind::Syscall);
  }
  EXPECT_EQ(own.x[0], 2 * kBlocks);
  EXPECT_GT(tight.stats().evicted, 0u);
  // Never everything at once.
  EXPECT_GT(tight.stats().blocks, kBlocks / 8);
}

}  // namespace
}  // namespace lyrebird::accel
