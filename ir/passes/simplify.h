// SPDX-License-Identifier: Apache-2.0
/// Folding and algebra of one instruction; private to ir/passes.
#pragma once

#include "ir/block.h"

namespace lyrebird::ir::passes {

/// Rewrites instruction `id` in place into something simpler that means the same,
/// or gives an earlier value that it equals; `id` itself otherwise. Operands are
/// simplified already.
ValueId simplify(Block& block, ValueId id);

/// The bytes of a constant. Only for ids of Const instructions.
struct ConstBytes {
  alignas(16) uint8_t b[16];
};
ConstBytes bytes_of(const Inst& constant);

}  // namespace lyrebird::ir::passes
