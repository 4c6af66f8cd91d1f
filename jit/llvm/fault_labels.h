// SPDX-License-Identifier: Apache-2.0
/// Where in the machine code guest memory is accessed. The last pass before the code is printed puts a
/// symbol `fault.INDEX.NUMBER` at every host instruction that carries a mark.
#pragma once

#include <llvm/ADT/DenseMap.h>
#include <llvm/CodeGen/MachineFunctionPass.h>
#include <llvm/IR/Metadata.h>

namespace lyrebird::jit::lowering {

inline constexpr const char* kFaultPrefix = "fault.";

struct FaultMarks {
  llvm::DenseMap<const llvm::MDNode*, uint32_t> accesses;  ///< alias.scope of volatile accesses
  uint32_t count = 0;                                      ///< of indexes
  const llvm::MDNode* state = nullptr;                     ///< that of volatile accesses to the state
};

/// `failed` is set if something cannot be told apart any more. Both are read and written when the pass
/// runs, which it may for one module after the other.
llvm::MachineFunctionPass* make_fault_labels(const FaultMarks& marks, bool& failed);

}  // namespace lyrebird::jit::lowering
