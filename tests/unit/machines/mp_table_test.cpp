// SPDX-License-Identifier: Apache-2.0
#include "machines/mp_table.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>

#include "base/bits.h"

namespace lyrebird::machines {
namespace {

TEST(MpTable, PointerAndTableSumToZeroAndCountTheirEntries) {
  MpTable what;
  what.cpus = 3;
  const std::vector<uint8_t> all = make_mp_table(0xf0000, what);
  EXPECT_EQ(std::string(all.begin(), all.begin() + 4), "_MP_");
  EXPECT_EQ(load_unaligned<uint32_t>(all.data() + 4), 0xf0010u);
  EXPECT_EQ(static_cast<uint8_t>(std::accumulate(all.begin(), all.begin() + 16, 0)), 0);
  EXPECT_EQ(std::string(all.begin() + 16, all.begin() + 20), "PCMP");
  EXPECT_EQ(load_unaligned<uint16_t>(all.data() + 20), all.size() - 16);
  EXPECT_EQ(static_cast<uint8_t>(std::accumulate(all.begin() + 16, all.end(), 0)), 0);
  // 3 processors of 20 bytes; a bus, an I/O APIC, 23 pins, 2 local interrupts of 8.
  EXPECT_EQ(load_unaligned<uint16_t>(all.data() + 16 + 34), 3u + 2 + 23 + 2);
  EXPECT_EQ(all.size(), 16u + 44 + 3 * 20 + (2 + 23 + 2) * 8);
}

}  // namespace
}  // namespace lyrebird::machines
