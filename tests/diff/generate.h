// SPDX-License-Identifier: Apache-2.0
/// Random instructions from the decode rows, with random state to run them on.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "frontend/arm/a64/decode.h"
#include "tests/diff/vector.h"

namespace lyrebird::diff {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() { return diff_random(&state_); }
  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(next() % limit); }
  bool one_in(uint32_t n) { return below(n) == 0; }

 private:
  uint64_t state_;
};

/// Rows whose outcome the peer cannot confirm (keys, clocks, identification, syscalls).
bool is_comparable(const arm::a64::Row& row);
/// Rows to draw from; `only` picks those whose handler contains it.
std::vector<const arm::a64::Row*> rows_to_test(std::string_view only);

/// A word that decodes to this row.
uint32_t random_word(Random& random, const arm::a64::Row& row);
/// State that makes something happen: addresses in the data page, edges of ints and floats.
void random_state(Random& random, DiffState& state);

}  // namespace lyrebird::diff
