// SPDX-License-Identifier: Apache-2.0
// Whole random blocks: the interpreter leaves the state that the plain runner leaves.
#include <gtest/gtest.h>

#include "ir/passes.h"
#include "ir/print.h"
#include "tests/unit/ir/ir_runner.h"
#include "tests/unit/ir/random_block.h"
#include "tests/unit/jit/machine.h"

namespace lyrebird::jit::test {
namespace {

std::string hex(uint64_t v) {
  char text[24];
  std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(v));
  return text;
}

/// How the block was left, in the runner's words.
std::string exit_text(const ir::Block& block, const Stop& stop, const ir::CpuHeader& cpu) {
  if (stop.kind == ir::ExitKind::None) return "to " + hex(cpu.pc);
  // The runner always names the pc of the instruction.
  const bool after = stop.kind == ir::ExitKind::Syscall || stop.kind == ir::ExitKind::InvalidateCode ||
                     stop.kind == ir::ExitKind::Yield;
  (void)block;
  return std::string(ir::name(stop.kind)) + " at " + hex(cpu.pc - (after ? 4 : 0)) + " with " +
         hex(stop.detail);
}

std::vector<uint8_t> random_state(ir::test::Random& random) {
  std::vector<uint8_t> state(ir::test::test_layout().size);
  for (size_t i = sizeof(ir::CpuHeader); i < state.size(); ++i)
    state[i] = static_cast<uint8_t>(random.number());
  // Flags are truth values: passes rely on it.
  for (const ir::StateField& f : ir::test::test_layout().fields)
    if (f.type == ir::Type::I8) state[f.offset] &= 1;
  return state;
}

void check(ir::test::Random& random, Machine& machine, bool optimise) {
  ir::Block block =
      ir::test::random_block(random, {.size = 4 + random.below(60), .memory = false, .calls = false});
  std::vector<uint8_t> state = random_state(random);
  const ir::test::Outcome expected = ir::test::run(block, state, 0, ir::test::test_helpers());
  const std::string text = ir::print(block);
  if (optimise) ir::optimise(block, ir::test::test_layout(), ir::test::test_helpers());

  constexpr size_t kHeader = sizeof(ir::CpuHeader);
  std::memcpy(machine.state->bytes, state.data() + kHeader, state.size() - kHeader);
  machine.state->header.fp_flags = 0;
  ir::set_f80_flags(machine.state->header, 0);
  const Stop stop = machine.run(block);
  ASSERT_EQ(exit_text(block, stop, machine.state->header), expected.exit) << text;
  ASSERT_EQ(machine.state->header.fp_flags, expected.fp_flags) << text;
  ASSERT_EQ(ir::f80_flags(machine.state->header), expected.f80_flags) << text;
  for (size_t i = kHeader; i < state.size(); ++i)
    ASSERT_EQ(machine.state->bytes[i - kHeader], expected.state[i]) << "state byte " << i << "\n" << text;
}

class Blocks : public testing::TestWithParam<bool> {};

TEST_P(Blocks, LeaveTheStateThatThePlainRunnerLeaves) {
  Machine machine(ir::test::test_helpers());
  ir::test::Random random(7);
  for (unsigned i = 0; i < rounds(4000) && !testing::Test::HasFatalFailure(); ++i)
    check(random, machine, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Passes, Blocks, testing::Bool());

}  // namespace
}  // namespace lyrebird::jit::test
