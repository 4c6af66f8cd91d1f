// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/x87_functions.h"

namespace lyrebird::x86 {

using ir::Round;
using ir::eval::Float80;

Float80 x87_constant(unsigned which, Round round) {
  // The significand cut off, and whether rounding to nearest goes up.
  struct Entry {
    uint16_t exponent;
    uint64_t significand;
    bool nearest_up, exact;
  };
  constexpr Entry kConstants[] = {
      {0x3fff, 0x8000000000000000, false, true},
      {0x4000, 0xd49a784bcd1b8afe, false, false},
      {0x3fff, 0xb8aa3b295c17f0bb, true, false},
      {0x4000, 0xc90fdaa22168c234, true, false},
      {0x3ffd, 0x9a209a84fbcff798, true, false},
      {0x3ffe, 0xb17217f7d1cf79ab, true, false},
      {0, 0, false, true},
  };
  const Entry& c = kConstants[which];
  const bool up =
      !c.exact && (round == Round::TowardPositive || (round == Round::NearestEven && c.nearest_up));
  return {c.significand + up, c.exponent};
}

unsigned x87_class(uint64_t significand, uint16_t sign_exponent) {
  const unsigned exponent = sign_exponent & 0x7fff;
  if (exponent == 0) return significand == 0 ? 4 : 6;
  if (!(significand >> 63)) return 0;
  if (exponent != 0x7fff) return 2;
  return significand << 1 == 0 ? 3 : 1;
}

int x87_partial_steps(int distance) { return 32 + (distance & 31); }

}  // namespace lyrebird::x86
