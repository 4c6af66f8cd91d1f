// SPDX-License-Identifier: Apache-2.0
// Faults of guest accesses: how often the host has to fault for one.
#if defined(__x86_64__)
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <csignal>
#include <cstring>

#include "accel/soft/soft.h"
#include "base/fault_guard.h"
#include "frontend/arm/a64_frontend.h"
#include "frontend/arm/a64_state.h"

namespace lyrebird::accel {
namespace {

constexpr uint64_t kCode = 0x400000;
constexpr uint32_t kLoad = 0xf9400041, kStore = 0xf9000041, kSvc = 0xd4000001;  // ldr x1, [x2]; str x1, [x2]
constexpr uint32_t kAtomic = 0xf8210040;                                        // ldadd x1, x0, [x2]
constexpr size_t kPage = 4096;

class Code final : public frontend::CodeSource {
 public:
  bool fetch(uint64_t pc, void* to, unsigned size) override {
    if (pc < kCode || pc + size > kCode + sizeof words) return false;
    std::memcpy(to, reinterpret_cast<const uint8_t*>(words) + (pc - kCode), size);
    return true;
  }
  bool guarded(uint64_t) const override { return false; }
  uint32_t words[2] = {kLoad, kSvc};
};

volatile sig_atomic_t host_faults;

void on_fault(int signal, siginfo_t* info, void* context) {
  host_faults = host_faults + 1;
  FaultGuard::deliver(signal, *info, context);
  std::signal(signal, SIG_DFL);
}

struct Faults : testing::Test {
  Faults() {
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSEGV, &action, &before);
    page = mmap(nullptr, kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    host_faults = 0;
  }
  ~Faults() override {
    munmap(page, kPage);
    sigaction(SIGSEGV, &before, nullptr);
  }
  Exit run(uint32_t instruction) {
    code.words[0] = instruction;
    accelerator.invalidate(kCode, sizeof code.words);
    state.x[2] = reinterpret_cast<uint64_t>(page) + 64;
    return from_start();
  }
  Exit from_start() {
    state.header.pc = kCode;
    return vcpu->run();
  }
  void expect_fault(const Exit& exit, ir::Access access) {
    EXPECT_EQ(exit.kind, ir::ExitKind::MemoryFault);
    EXPECT_EQ(state.header.pc, kCode);
    EXPECT_EQ(state.header.fault_address, reinterpret_cast<uint64_t>(page) + 64);
    EXPECT_EQ(state.header.fault_access, static_cast<uint32_t>(access));
    EXPECT_EQ(state.header.fault_signal, SIGSEGV);
    EXPECT_EQ(state.header.fault_code, SEGV_ACCERR);
  }

  struct sigaction before;
  void* page;
  Code code;
  arm::A64Frontend frontend{*arm::find_cpu_model("max")};
  SoftAccelerator accelerator{frontend, code, {.zero_base = true}};
  arm::A64State state;
  std::unique_ptr<Vcpu> vcpu = accelerator.create_vcpu(state.header);
};

TEST_F(Faults, ALoadOrAStoreFaultsOnce) {
  expect_fault(run(kLoad), ir::Access::Read);
  EXPECT_EQ(host_faults, 1);
  state.header.pc = 0;
  (void)vcpu->run();
  host_faults = 0;
  expect_fault(run(kStore), ir::Access::Write);
  EXPECT_EQ(host_faults, 1);
}

TEST_F(Faults, WhoComesBackAtOnceGetsTheInterpretersWord) {
  expect_fault(run(kLoad), ir::Access::Read);
  host_faults = 0;
  expect_fault(from_start(), ir::Access::Read);
  EXPECT_EQ(host_faults, 2);
}

TEST_F(Faults, AnAtomicAccessIsForTheInterpreterToName) {
  expect_fault(run(kAtomic), ir::Access::Write);
  EXPECT_EQ(host_faults, 2);
}

TEST_F(Faults, WhatIsMappedMeanwhileGoesOn) {
  expect_fault(run(kLoad), ir::Access::Read);
  ASSERT_EQ(mprotect(page, kPage, PROT_READ), 0);
  EXPECT_EQ(from_start().kind, ir::ExitKind::Syscall);
  EXPECT_EQ(state.x[1], 0u);
}

}  // namespace
}  // namespace lyrebird::accel
#endif
