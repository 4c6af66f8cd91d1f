// SPDX-License-Identifier: Apache-2.0
/// What the host's processor makes of the flags that the x86 manual leaves undefined after a shift.
#pragma once

#include <cstdint>

namespace lyrebird {

/// Whether the overflow of a shift by more than one is that of its first step, as on Intel's processors, or
/// of its last one, as on AMD's (SDM volume 2B, SAL/SAR/SHL/SHR and RCL/RCR/ROL/ROR: undefined).
inline bool host_shifts_tell_first_step() {
#ifdef __x86_64__
  // The second step alone changes the sign.
  uint8_t value = 0x20, amount = 2;
  bool overflow = false;
  asm("shlb %%cl, %0" : "+q"(value), "=@cco"(overflow) : "c"(amount));
  return !overflow;
#else
  return false;
#endif
}

}  // namespace lyrebird
