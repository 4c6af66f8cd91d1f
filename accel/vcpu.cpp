// SPDX-License-Identifier: Apache-2.0
#include "accel/vcpu.h"

#include <cstdio>
#include <cstdlib>

namespace lyrebird::accel {

void Vcpu::set_interrupt(uint32_t, bool) {
  std::fprintf(stderr, "lyrebird: internal error: an interrupt for a CPU that has none\n");
  std::abort();
}

}  // namespace lyrebird::accel
