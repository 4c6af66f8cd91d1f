// SPDX-License-Identifier: Apache-2.0
/// AArch64 by translation, at EL1 with the MMU on, by each executor.
#include "tests/conformance/a64_soft.h"

#include <fmt/core.h>

#include <cstring>
#include <vector>

#include "accel/soft/system.h"
#include "frontend/arm/cpu_model.h"
#include "frontend/arm/system/system_frontend.h"
#include "frontend/arm/system/system_state.h"
#include "tests/conformance/a64_programs.h"
#include "tests/unit/no_board.h"

namespace lyrebird::conformance {
namespace {

using arm::A64SystemState;
using arm::SysReg;

constexpr uint64_t kTable = 0x1000, kVectors = 0x8000, kIrqVector = kVectors + 0x280, kStacks = 0x1f0000;

template <size_t n>
std::span<const uint8_t> bytes_of(const uint32_t (&words)[n]) {
  return {reinterpret_cast<const uint8_t*>(words), sizeof words};
}

class A64Soft final : public Guest {
 public:
  explicit A64Soft(accel::Executor executor) : executor_(executor) {}

  bool live_state() const override { return true; }

  Result<std::unique_ptr<accel::Accelerator>> accelerator(system::AddressSpace&, system::AddressSpace&,
                                                          unsigned) override {
    accel::SoftOptions options;
    options.executor = executor_;
    return std::unique_ptr<accel::Accelerator>(std::make_unique<accel::SoftSystem>(frontend_, options));
  }

  ir::CpuHeader& new_state() override {
    states_.push_back(std::make_unique<A64SystemState>());
    return states_.back()->header;
  }

  std::span<const uint8_t> code(Program program) const override {
    switch (program) {
      case Program::Store:
        return bytes_of(a64::kStore);
      case Program::Load:
        return bytes_of(a64::kLoad);
      case Program::Spin:
        return bytes_of(a64::kSpin);
      case Program::Count:
        return bytes_of(a64::kCount);
      case Program::SelfModify:
        return bytes_of(a64::kSelfModify);
      case Program::Halt:
        return bytes_of(a64::kHalt);
      case Program::HaltMasked:
        return bytes_of(a64::kHaltMasked);
      case Program::Fill:
        return bytes_of(a64::kFill);
      default:
        return {};
    }
  }

  /// Identity-mapped 4 GiB of blocks of 1 GiB, and the vector of an IRQ at EL1.
  void prepare(system::AddressSpace& memory) override {
    for (uint64_t i = 0; i < 4; ++i) {
      const uint64_t block = i << 30 | 1 << 10 | 3 << 8 | 1;  // accessed, inner shareable
      memory.load_bytes(kTable + 8 * i, &block, sizeof block);
    }
    memory.load_bytes(kIrqVector, a64::kHandler, sizeof a64::kHandler);
  }

  void start(ir::CpuHeader& header, unsigned cpu, uint64_t pc) override {
    auto& state = reinterpret_cast<A64SystemState&>(header);
    state.config = &config_;
    state.board = &board_;
    arm::reset_vcpu(state, cpu);
    arm::set_entry(state, pc, 1, 0);
    state.reg(SysReg::TTBR0_EL1) = kTable;
    state.reg(SysReg::TCR_EL1) = 25 | 3 << 12 | 1 << 23 | uint64_t{2} << 32;  // 39 bits, 4 KiB, no TTBR1
    state.reg(SysReg::MAIR_EL1) = 0xff;
    state.reg(SysReg::VBAR_EL1) = kVectors;
    state.reg(SysReg::SCTLR_EL1) |= 1;
    state.sp = kStacks + 0x1000 * (cpu + 1);
    arm::update_mode(state);
  }

  void set_argument(ir::CpuHeader& state, unsigned n, uint64_t value) override {
    reinterpret_cast<A64SystemState&>(state).x[n] = value;
  }
  uint64_t argument(const ir::CpuHeader& state, unsigned n) const override {
    return reinterpret_cast<const A64SystemState&>(state).x[n];
  }
  uint32_t interrupt_line() const override { return arm::kLineIrq; }

  void scramble(ir::CpuHeader& state, unsigned seed) override {
    for (uint64_t& x : reinterpret_cast<A64SystemState&>(state).x) x = seed++ * 0x9e3779b97f4a7c15u;
  }
  std::string difference(const ir::CpuHeader& a, const ir::CpuHeader& b) const override {
    const auto& one = reinterpret_cast<const A64SystemState&>(a);
    const auto& two = reinterpret_cast<const A64SystemState&>(b);
    return std::memcmp(one.x, two.x, sizeof one.x) == 0 ? "" : "x0..x30";
  }

 private:
  const accel::Executor executor_;
  const arm::SystemConfig config_{.model = arm::find_cpu_model("max")};
  const arm::A64SystemFrontend frontend_{config_};
  test::NoBoard board_;
  std::vector<std::unique_ptr<A64SystemState>> states_;
};

}  // namespace

std::unique_ptr<Guest> make_a64_interp() { return std::make_unique<A64Soft>(accel::Executor::Interp); }
std::unique_ptr<Guest> make_a64_baseline() { return std::make_unique<A64Soft>(accel::Executor::Baseline); }

}  // namespace lyrebird::conformance
