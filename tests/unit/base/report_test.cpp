// SPDX-License-Identifier: Apache-2.0
#include "base/report.h"

#include <gtest/gtest.h>

namespace lyrebird {
namespace {

TEST(Report, IsATableWithoutEmptySections) {
  Report report;
  report.section("empty");
  report.section("translation");
  report.count("blocks", 1234567, "all");
  report.bytes("code", 1 << 20);
  report.ratio("nothing to divide by", 1, 0);
  report.ratio("rate", 3, 2);
  report.seconds("time", 0.25);
  report.section("empty too");
  EXPECT_EQ(report.table(),
            "translation\n"
            "  blocks  1 234 567  all\n"
            "  code    1 024 KiB\n"
            "  rate         1.50\n"
            "  time      0.250 s\n");
}

}  // namespace
}  // namespace lyrebird
