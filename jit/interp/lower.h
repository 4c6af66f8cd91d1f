// SPDX-License-Identifier: Apache-2.0
/// From an IR block to the interpreter's records.
#pragma once

#include <vector>

#include "ir/block.h"
#include "jit/interp/code.h"

namespace lyrebird::jit::interp {

/// The block's records; the first is where it starts. Aborts with the op's name and types if an
/// instruction has no handler: the verifier let something through that ir/eval.h does not define.
std::vector<Code> lower(const ir::Block& block, ir::HelperTable helpers, bool system);

}  // namespace lyrebird::jit::interp
