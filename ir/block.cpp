// SPDX-License-Identifier: Apache-2.0
#include "ir/block.h"

namespace lyrebird::ir {

uint16_t effects(const Inst& inst, HelperTable helpers) {
  if (inst.op == Op::CallHelper) return helpers[inst.aux].effects;
  const uint16_t all = info(inst.op).effects;
  const bool quiet = (all & FpFlags) && inst.fp_mode().no_flags;
  return quiet ? all & ~FpFlags : all;
}

unsigned arg_count(const Inst& inst) {
  if (inst.op == Op::CallHelper) {
    unsigned n = 0;
    while (n < 4 && inst.args[n] != kNoValue) ++n;
    return n;
  }
  return info(inst.op).args;
}

}  // namespace lyrebird::ir
