// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/helpers.h"

#include <time.h>

#include "frontend/arm/a64_state.h"
#include "frontend/arm/cpu_model.h"
#include "frontend/arm/pauth.h"

namespace lyrebird::arm::a64 {
namespace {

using ir::HelperInfo;
using ir::Type;

static_assert(kCounterFrequency == 1'000'000'000, "the counter is the host's monotonic clock in ns");

uint64_t counter(void*, uint64_t, uint64_t, uint64_t, uint64_t) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kCounterFrequency + static_cast<uint64_t>(now.tv_nsec);
}

constexpr unsigned kGenericKey = 4;

/// A key that is switched off (SCTLR_EL1.EnIA ..) leaves pointers as they are.
bool enabled(const A64State& state, uint64_t key) { return state.pac_enabled >> key & 1; }

uint64_t add_pac_helper(void* cpu, uint64_t pointer, uint64_t modifier, uint64_t key, uint64_t) {
  const auto& state = *static_cast<const A64State*>(cpu);
  return enabled(state, key) ? add_pac(pointer, modifier, state.pac_keys[key]) : pointer;
}

uint64_t authenticate_helper(void* cpu, uint64_t pointer, uint64_t modifier, uint64_t key, uint64_t) {
  const auto& state = *static_cast<const A64State*>(cpu);
  if (!enabled(state, key)) return pointer;
  return authenticate(pointer, modifier, state.pac_keys[key], (key & 1) != 0);
}

uint64_t generic_pac(void* cpu, uint64_t data, uint64_t modifier, uint64_t, uint64_t) {
  const auto& state = *static_cast<const A64State*>(cpu);
  return compute_pac(data, modifier, state.pac_keys[kGenericKey]) & 0xffffffff00000000;
}

// In the order of Helper. Reading the clock must neither be dropped nor merged: WritesState says so.
constexpr HelperInfo kHelpers[] = {
    {.name = "counter",
     .fn = counter,
     .arg_count = 0,
     .result = Type::I64,
     .effects = ir::ReadsState | ir::WritesState},
    {.name = "add_pac", .fn = add_pac_helper, .arg_count = 3, .result = Type::I64, .effects = ir::ReadsState},
    {.name = "authenticate",
     .fn = authenticate_helper,
     .arg_count = 3,
     .result = Type::I64,
     .effects = ir::ReadsState},
    {.name = "generic_pac",
     .fn = generic_pac,
     .arg_count = 2,
     .result = Type::I64,
     .effects = ir::ReadsState},
};

}  // namespace

ir::HelperTable helper_table() { return kHelpers; }

}  // namespace lyrebird::arm::a64
