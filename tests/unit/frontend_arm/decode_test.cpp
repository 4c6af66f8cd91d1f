// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/decode.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace lyrebird::arm::a64 {
namespace {

/// A word of `b` would have to have zeros where `a` wants something else.
bool excluded_by_nonzero(const Row* a, const Row* b) {
  return a->nonzero != 0 && (a->nonzero & b->mask & ~b->value) == a->nonzero;
}

TEST(A64Decode, OverlappingRowsAreStrictlyNested) {
  for (const Row* a : all_rows())
    for (const Row* b : all_rows()) {
      if (a == b || ((a->value ^ b->value) & a->mask & b->mask) != 0) continue;
      if (excluded_by_nonzero(a, b) || excluded_by_nonzero(b, a)) continue;
      const uint32_t both = a->mask & b->mask;
      EXPECT_TRUE(a->mask != b->mask && (both == a->mask || both == b->mask))
          << a->handler << " and " << b->handler << " overlap";
    }
}

TEST(A64Decode, HandlerNamesAreUnique) {
  std::set<std::string> names;
  for (const Row* row : all_rows()) EXPECT_TRUE(names.emplace(row->handler).second) << row->handler;
}

TEST(A64Decode, AWordFindsItsRow) {
  EXPECT_EQ(find_row(0x91000421)->handler, "ADD_imm");  // add x1, x1, #1
  EXPECT_EQ(find_row(0xd4000001)->handler, "SVC");
  EXPECT_EQ(find_row(0x00000000), nullptr);
}

}  // namespace
}  // namespace lyrebird::arm::a64
