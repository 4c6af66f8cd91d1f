// SPDX-License-Identifier: Apache-2.0
// Saved processors, as this program and older ones wrote them.
#include "frontend/arm/system/state_stream.h"

#include <gtest/gtest.h>

#include "tests/unit/frontend_arm/system_machine.h"

namespace lyrebird::arm::test {
namespace {

std::span<const uint8_t> field_of(const A64SystemState& state, const ir::StateField& field) {
  return {reinterpret_cast<const uint8_t*>(&state) + field.offset, ir::byte_size(field.type)};
}

/// As version 2 has it: a byte for each of N, Z, C and V.
std::vector<uint8_t> with_four_flags(const A64SystemState& state) {
  system::StateWriter to;
  to.begin("a64-cpu", 2);
  for (const ir::StateField& field : a64_system_layout().fields) {
    if (field.offset == state_offset::kInstructionBudget) continue;
    if (field.name != "status") {
      to.bytes(field.name, field_of(state, field));
      continue;
    }
    unsigned bit = 31;
    for (const char* const name : {"n", "z", "c", "v"}) {
      const uint8_t flag = nzcv(state) >> bit-- & 1;
      to.bytes(name, {&flag, 1});
    }
  }
  to.field("fp_flags", state.header.fp_flags);
  to.end();
  return to.data();
}

TEST(StateStream, FlagsSurviveInEitherVersion) {
  for (uint32_t flags = 0; flags < 16; ++flags) {
    Machine from;
    from.state.x[3] = 0x1234 + flags;
    set_nzcv(from.state, flags << 28);
    system::StateWriter now;
    save_state(from.state, now);
    for (const std::vector<uint8_t>& bytes : {now.data(), with_four_flags(from.state)}) {
      Machine to;
      system::StateReader reader(bytes);
      const auto loaded = load_state(to.state, reader);
      ASSERT_TRUE(loaded.ok()) << loaded.error().message;
      EXPECT_EQ(nzcv(to.state), flags << 28);
      EXPECT_EQ(to.state.x[3], 0x1234 + flags);
      EXPECT_EQ(to.state.qc, from.state.qc);
    }
  }
}

}  // namespace
}  // namespace lyrebird::arm::test
