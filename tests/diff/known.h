// SPDX-License-Identifier: Apache-2.0
/// Where the two sides may differ, each with its reason in known.md.
#pragma once

#include "frontend/arm/a64/decode.h"
#include "tests/diff/vector.h"

namespace lyrebird::diff {

/// The manual leaves open what the word does with these registers (CONSTRAINED UNPREDICTABLE).
bool is_unpredictable(const arm::a64::Row& row, uint32_t word);
/// Leaves something behind that only the peer has: only run alone.
bool runs_alone(const arm::a64::Row& row, uint32_t word);
/// Takes out what the peer has and we do not, and the other way round.
void normalise(DiffOutput& out);
/// The outputs differ in a known way.
bool is_known(const DiffInput& in, const DiffOutput& ours, const DiffOutput& peers);

}  // namespace lyrebird::diff
