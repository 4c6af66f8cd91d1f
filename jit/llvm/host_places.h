// SPDX-License-Identifier: Apache-2.0
/// Where values are at an instruction of finished machine code, from the stack maps around it.
///
/// LLVM may move a value between a stack map and the instruction it is meant for. So there is one on
/// either side: a place named in front of the instruction is right if nothing in between changes it, and
/// one named behind it is followed back to the instruction through the moves in between.
#pragma once

#include <llvm/CodeGen/MachineInstr.h>

#include <optional>
#include <vector>

#include "jit/recovery.h"

namespace lyrebird::jit::lowering {

/// The `count` places that the stack maps `before` and `after` in the access's own block agree on;
/// nullopt if one of them cannot be told.
std::optional<std::vector<HostPlace>> find_places(const llvm::MachineInstr& access, uint64_t before,
                                                  uint64_t after, size_t count);

}  // namespace lyrebird::jit::lowering
