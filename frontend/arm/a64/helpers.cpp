// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/helpers.h"

#include <time.h>

#include "frontend/arm/a64_state.h"
#include "frontend/arm/cpu_model.h"

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

// In the order of Helper. Reading the clock must neither be dropped nor merged: WritesState says so.
constexpr HelperInfo kHelpers[] = {
    {.name = "counter",
     .fn = counter,
     .arg_count = 0,
     .result = Type::I64,
     .effects = ir::ReadsState | ir::WritesState},
};

}  // namespace

ir::HelperTable helper_table() { return kHelpers; }

}  // namespace lyrebird::arm::a64
