// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/system/state_stream.h"

#include <algorithm>

namespace lyrebird::arm {
namespace {

constexpr const char* kSection = "a64-cpu";
/// 3: "status" is for "n", "z", "c" and "v".
constexpr uint32_t kVersion = 3;

/// What code and tables are indexed with, or that generated code takes to be 0 or 1.
const char* nonsense(const A64SystemState& s) {
  const auto flag = [](uint8_t value) { return value <= 1; };
  if (s.el > 3 || (s.el == 2 && !s.config->el2) || (s.el == 3 && !s.config->el3))
    return "an exception level that this processor has not";
  if (!flag(s.qc) || !flag(s.ssbs) || !flag(s.sp_sel) || !flag(s.pan) || !flag(s.uao) || !flag(s.dit) ||
      !flag(s.illegal) || !flag(s.single_step) || !flag(s.event) || !flag(s.uses_bti) || s.daif > 0xf)
    return "a flag that is neither 0 nor 1";
  return nullptr;
}

/// What is left of a slice of -icount belongs to who hands slices out, not to the processor.
bool is_moved(const ir::StateField& field) { return field.offset != state_offset::kInstructionBudget; }

/// A byte for each of N, Z, C and V.
void load_four_flags(A64State& state, system::StateReader& from) {
  uint32_t flags = 0;
  for (const char* const name : {"n", "z", "c", "v"}) {
    uint8_t flag = 0;
    from.array(name, std::span<uint8_t>(&flag, 1));
    flags = flags << 1 | (flag & 1);
  }
  set_nzcv(state, flags << 28);
}

}  // namespace

void save_state(const A64SystemState& state, system::StateWriter& to) {
  to.begin(kSection, kVersion);
  const auto* const bytes = reinterpret_cast<const uint8_t*>(&state);
  for (const ir::StateField& field : a64_system_layout().fields)
    if (is_moved(field)) to.bytes(field.name, {bytes + field.offset, ir::byte_size(field.type)});
  to.field("fp_flags", state.header.fp_flags);
  to.end();
}

Result<void> load_state(A64SystemState& state, system::StateReader& from) {
  const uint32_t version = from.begin(kSection, kVersion);
  auto* const bytes = reinterpret_cast<uint8_t*>(&state);
  for (const ir::StateField& field : a64_system_layout().fields)
    if (version < 3 && field.offset == offsetof(A64State, status))
      load_four_flags(state, from);
    else if (is_moved(field))
      from.array(field.name, std::span<uint8_t>(bytes + field.offset, ir::byte_size(field.type)));
  from.field("fp_flags", state.header.fp_flags);
  from.end();
  if (from.ok())
    if (const char* const wrong = nonsense(state)) from.fail(wrong);
  if (!from.ok()) {
    // Nothing may be made of half a state.
    reset_vcpu(state, state.mpidr);
    return from.status();
  }
  state_changed(state);
  return {};
}

}  // namespace lyrebird::arm
