// SPDX-License-Identifier: Apache-2.0
// Floating point exceptions of generated code: the host tells of them, and of a block that has many only so
// often.
#if defined(__x86_64__)
#include <gtest/gtest.h>

#include <csignal>
#include <cstring>
#include <limits>

#include "accel/soft/soft.h"
#include "base/fault_guard.h"
#include "frontend/arm/a64_frontend.h"
#include "frontend/arm/a64_state.h"
#include "jit/baseline/baseline.h"

namespace lyrebird::accel {
namespace {

constexpr uint64_t kCode = 0x10000, kDefaultNan = 0x7ff8000000000000;
constexpr uint32_t kLimit = jit::BaselineOptions{}.fp_trap_limit;

struct Code final : frontend::CodeSource {
  bool fetch(uint64_t pc, void* to, unsigned size) override {
    if (pc < kCode || pc - kCode + size > sizeof words) return false;
    std::memcpy(to, reinterpret_cast<const uint8_t*>(words) + (pc - kCode), size);
    return true;
  }
  bool guarded(uint64_t) const override { return false; }
  uint32_t words[5] = {
      0x1e621820,  // fdiv d0, d1, d2
      0xf1000400,  // subs x0, x0, #1
      0x54ffffc1,  // b.ne: the fdiv
      0x1e652883,  // fadd d3, d4, d5
      0xd4000001,  // svc #0
  };
};

volatile sig_atomic_t host_traps;

void on_trap(int signal, siginfo_t* info, void* context) {
  host_traps = host_traps + 1;
  if (!FaultGuard::deliver(signal, *info, context)) std::signal(signal, SIG_DFL);
}

struct Traps : testing::Test {
  Traps() {
    struct sigaction action = {};
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGFPE, &action, &before);
    host_traps = 0;
  }
  ~Traps() override { sigaction(SIGFPE, &before, nullptr); }
  void set(unsigned reg, double value) { std::memcpy(&state.v[reg], &value, sizeof value); }
  uint64_t low(unsigned reg) const {
    uint64_t value;
    std::memcpy(&value, &state.v[reg], sizeof value);
    return value;
  }
  void run(uint64_t rounds) {
    state.x[0] = rounds;
    state.header.pc = kCode;
    state.header.fp_flags = 0;
    EXPECT_EQ(vcpu->run().kind, ir::ExitKind::Syscall);
  }

  struct sigaction before;
  Code code;
  arm::A64Frontend frontend{*arm::find_cpu_model("max")};
  SoftAccelerator accelerator{frontend, code, {.zero_base = true, .fp_traps = true}};
  arm::A64State state;
  std::unique_ptr<Vcpu> vcpu = accelerator.create_vcpu(state.header);
};

TEST_F(Traps, WhatRaisesNothingDoesNotTrap) {
  set(1, 3), set(2, 2), set(4, 1e300), set(5, 2);
  run(1000);
  EXPECT_EQ(host_traps, 0);
  EXPECT_EQ(state.header.fp_flags & ~uint32_t{ir::kFpInexact}, 0u);
}

TEST_F(Traps, AnInvalidOperationIsTheGuestsOwn) {
  set(1, 0), set(2, 0), set(4, 1), set(5, 2);
  run(1);
  EXPECT_EQ(host_traps, 1);
  EXPECT_EQ(low(0), kDefaultNan);
  EXPECT_EQ(state.header.fp_flags, uint32_t{ir::kFpInvalid});
}

// What comes behind the careful block traps again: the host's own NaN is negative.
TEST_F(Traps, ABlockThatTrapsOftenIsMadeAnew) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  set(1, 0), set(2, 0), set(4, kInfinity), set(5, -kInfinity);
  run(1000);
  EXPECT_EQ(host_traps, static_cast<int>(kLimit) + 1);
  EXPECT_EQ(low(0), kDefaultNan);
  EXPECT_EQ(low(3), kDefaultNan);
  EXPECT_EQ(state.header.fp_flags, uint32_t{ir::kFpInvalid});
  run(1000);
  EXPECT_EQ(host_traps, static_cast<int>(kLimit) + 2);
  EXPECT_EQ(low(0), kDefaultNan);
}

// Not lost when something traps before it is collected.
TEST_F(Traps, WhatMaskedCodeRaisedIsKept) {
  set(1, 0), set(2, 0), set(4, 1), set(5, 2);
  run(1000);
  set(1, 0x1p-1000), set(2, 0x1p60);  // a tiny quotient that is exact
  set(4, std::numeric_limits<double>::infinity()), set(5, -std::numeric_limits<double>::infinity());
  run(10);
  EXPECT_EQ(state.header.fp_flags, uint32_t{ir::kFpInvalid});
  set(1, 0x1.0000000000001p-1000);
  run(10);
  EXPECT_EQ(state.header.fp_flags, uint32_t{ir::kFpInvalid} | ir::kFpUnderflow | ir::kFpInexact);
}

}  // namespace
}  // namespace lyrebird::accel
#endif
