// SPDX-License-Identifier: Apache-2.0
// Identification registers as privileged code reads them (DDI 0487, D19.2).
#include "base/bits.h"
#include "frontend/arm/system/system_registers.h"

namespace lyrebird::arm {
namespace {

struct Field {
  uint8_t shift;
  uint64_t value;
};

/// The features that programs may know of, and `fields` besides.
template <size_t N>
uint64_t with(uint64_t visible, const Field (&fields)[N]) {
  for (const auto [shift, value] : fields) visible |= value << shift;
  return visible;
}

uint64_t pa_range(unsigned bits) {
  switch (bits) {
    case 32:
      return 0;
    case 36:
      return 1;
    case 40:
      return 2;
    case 42:
      return 3;
    case 44:
      return 4;
    case 52:
      return 6;
    default:
      return 5;
  }
}

}  // namespace

uint64_t id_value(const SystemConfig& config, SysRegKey key) {
  const CpuModel& model = *config.model;
  const auto has = [&model](Feature f) -> uint64_t { return model.features.has(f); };
  const auto visible = [&](unsigned m, unsigned op2) { return feature_fields(model, m, op2); };
  switch (key) {
    case sys_reg_key(3, 3, 0, 0, 1):  // CTR_EL0: code is coherent by itself where no processor says otherwise
      return model.midr == kMaxMidr ? kCtrEl0 | 3u << 28 : kCtrEl0;
    case sys_reg_key(3, 0, 0, 4, 0):  // ID_AA64PFR0_EL1: AArch64 only
      return with(visible(4, 0), {{0, 1},
                                  {4, 1},
                                  {8, uint64_t{config.el2}},
                                  {12, uint64_t{config.el3}},
                                  {24, uint64_t{config.gicv3}},
                                  {56, has(Feature::CSV3)},
                                  {60, has(Feature::CSV3)}});
    case sys_reg_key(3, 0, 0, 4, 1):
      return visible(4, 1);
    case sys_reg_key(3, 0, 0, 5, 0):  // ID_AA64DFR0_EL1: v8.0 debug, PMUv3, 2 breakpoints, 2 watchpoints
      return with(0, {{0, 6}, {8, 1}, {12, 1}, {20, 1}});
    case sys_reg_key(3, 0, 0, 6, 0):
      return visible(6, 0);
    case sys_reg_key(3, 0, 0, 6, 1):
      return visible(6, 1);
    case sys_reg_key(3, 0, 0, 7, 0):  // ID_AA64MMFR0_EL1: ASIDs of 16 bits, big-endian data, 4, 16, 64 KiB
      return with(0, {{0, pa_range(config.pa_bits)}, {4, 2}, {8, 1}, {12, uint64_t{config.el3}}, {20, 1}});
    case sys_reg_key(3, 0, 0, 7, 1):  // ID_AA64MMFR1_EL1
      return with(0, {{0, 2 * has(Feature::HAFDBS)},
                      {4, 2 * has(Feature::VMID16)},
                      {8, has(Feature::VHE)},
                      {12, has(Feature::HPDS)},
                      {16, has(Feature::LOR)},
                      {20, 2 * has(Feature::PAN)}});
    case sys_reg_key(3, 0, 0, 7, 2):  // ID_AA64MMFR2_EL1
      return with(visible(7, 2), {{0, has(Feature::UAO)}, {4, has(Feature::UAO)}, {16, has(Feature::LVA)}});
    default:
      return 0;
  }
}

}  // namespace lyrebird::arm
