// SPDX-License-Identifier: Apache-2.0
/// For tests of AArch64 CPUs without a machine: a board on which nothing is asked for.
#pragma once

#include "frontend/arm/system/services.h"

namespace lyrebird::test {

class NoBoard : public arm::BoardServices {
 public:
  uint64_t counter() override { return 0; }
  void timer_changed(arm::GenericTimer, bool, uint64_t) override {}
  arm::PsciResult cpu_on(uint64_t, uint64_t, uint64_t) override { return arm::kPsciNotSupported; }
  void cpu_off() override {}
  int32_t affinity_info(uint64_t, unsigned) override { return arm::kPsciNotSupported; }
  void system_off() override {}
  void system_reset() override {}
};

}  // namespace lyrebird::test
