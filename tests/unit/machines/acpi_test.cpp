// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <numeric>
#include <string>

#include "base/bits.h"
#include "machines/acpi/aml.h"
#include "machines/acpi/tables.h"

namespace lyrebird::machines::acpi {
namespace {

using Expected = std::vector<uint8_t>;

uint8_t sum(const Bytes& data, size_t at, size_t size) {
  return static_cast<uint8_t>(
      std::accumulate(data.begin() + static_cast<long>(at), data.begin() + static_cast<long>(at + size), 0));
}

TEST(Aml, NamesAreFilledUpAndPathsHavePrefixes) {
  Aml aml;
  aml.name("_S5").integer(5);
  EXPECT_EQ(aml.bytes(), Expected({0x08, '_', 'S', '5', '_', 0x0a, 5}));
  Aml path;
  path.path("\\_SB.PWRB");
  EXPECT_EQ(path.bytes(), Expected({'\\', 0x2e, '_', 'S', 'B', '_', 'P', 'W', 'R', 'B'}));
}

TEST(Aml, IntegersTakeTheShortestForm) {
  Aml aml;
  aml.integer(0).integer(1).integer(2).integer(0x100).integer(0x10000).integer(uint64_t{1} << 32);
  EXPECT_EQ(aml.bytes(),
            Expected({0x00, 0x01, 0x0a, 2, 0x0b, 0, 1, 0x0c, 0, 0, 1, 0, 0x0e, 0, 0, 0, 0, 1, 0, 0, 0}));
}

TEST(Aml, LengthsCountThemselvesAndGrow) {
  Aml small, large;
  small.scope("A", [](Aml& a) { a.integer(0); });
  EXPECT_EQ(small.bytes()[1], 6);
  large.scope("A", [](Aml& a) { a.string(std::string(100, 'x')); });
  // 2 bytes of length, 4 of name, 102 of string: 108 is 0x6c.
  EXPECT_EQ(large.bytes()[1], 0x4c);
  EXPECT_EQ(large.bytes()[2], 0x06);
  EXPECT_EQ(large.bytes().size(), 1u + 0x6c);
}

TEST(Aml, EisaIdsArePackedAsTheSpecificationHasThem) {
  Aml aml;
  aml.eisa_id("PNP0501");
  EXPECT_EQ(aml.bytes(), Expected({0x0c, 0x41, 0xd0, 0x05, 0x01}));
}

TEST(Aml, ResourcesEndWithATag) {
  Aml aml;
  aml.resources(Resources().irq(4));
  EXPECT_EQ(aml.bytes(), Expected({0x11, 8, 0x0a, 5, 0x22, 0x10, 0x00, 0x79, 0x00}));
}

TEST(AcpiTables, EveryTableIsWhereItsPointerSaysAndSumsToZero) {
  constexpr uint64_t kAt = 0xe0000;
  Aml dsdt;
  dsdt.name("TEST").integer(7);
  Interrupts interrupts;
  interrupts.cpus = 300;
  const Bytes all = lay_out(kAt, 0x20000, dsdt, {0x1000, 0x1001, 0x1002, 0x42}, interrupts);
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(std::string(all.begin(), all.begin() + 8), "RSD PTR ");
  EXPECT_EQ(sum(all, 0, 20), 0);
  EXPECT_EQ(sum(all, 0, 36), 0);
  const auto check = [&](uint64_t at, const char* signature) {
    const size_t offset = at - kAt;
    EXPECT_EQ(
        std::string(all.begin() + static_cast<long>(offset), all.begin() + static_cast<long>(offset) + 4),
        signature);
    EXPECT_EQ(sum(all, offset, load_unaligned<uint32_t>(all.data() + offset + 4)), 0) << signature;
    return offset;
  };
  const size_t xsdt = check(load_unaligned<uint64_t>(all.data() + 24), "XSDT");
  const size_t fadt = check(load_unaligned<uint64_t>(all.data() + xsdt + 36), "FACP");
  const size_t madt = check(load_unaligned<uint64_t>(all.data() + xsdt + 44), "APIC");
  check(load_unaligned<uint64_t>(all.data() + fadt + 140), "DSDT");
  EXPECT_EQ(load_unaligned<uint32_t>(all.data() + fadt + 4), 276u);
  EXPECT_EQ(load_unaligned<uint64_t>(all.data() + fadt + 248), 0x1000u);
  EXPECT_EQ(all[fadt + 128], 0x42);
  // 255 local APICs, 45 x2APICs, one I/O APIC, the NMI.
  EXPECT_EQ(load_unaligned<uint32_t>(all.data() + madt + 4), 44u + 255 * 8 + 45 * 16 + 12 + 6);
}

TEST(AcpiTables, TooMuchForTheRoomIsRefused) { EXPECT_TRUE(lay_out(0xe0000, 200, Aml(), {}, {}).empty()); }

}  // namespace
}  // namespace lyrebird::machines::acpi
