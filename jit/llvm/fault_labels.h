// SPDX-License-Identifier: Apache-2.0
/// Where in the machine code guest memory is accessed. The last pass before the code is printed puts a
/// symbol `fault.INDEX.NUMBER` at every host instruction that carries a mark, and reads off the stack
/// maps around it where the guest's state is.
#pragma once

#include <llvm/ADT/DenseMap.h>
#include <llvm/CodeGen/MachineFunctionPass.h>
#include <llvm/IR/Metadata.h>

#include <map>
#include <vector>

#include "jit/recovery.h"

namespace lyrebird::jit::lowering {

inline constexpr const char* kFaultPrefix = "fault.";

/// Where the saved fields are at the label `fault.INDEX.NUMBER`.
struct FaultPlaces {
  uint32_t index = 0;
  std::vector<HostPlace> places;  ///< of the fields of FaultMarks::saved, the recipe and the leaves
};

/// What a fault needs besides memory.
struct FaultState {
  std::vector<SavedField> fields;  ///< (without places)
  bool lazy = false;               ///< the number of the recipe for flags, and
  unsigned leaves = 0;             ///< so many values
  size_t count() const { return fields.size() + (lazy ? 1 + leaves : 0); }
};

struct FaultMarks {
  llvm::DenseMap<const llvm::MDNode*, uint32_t> accesses;  ///< alias.scope of volatile accesses
  uint32_t count = 0;                                      ///< of indexes
  const llvm::MDNode* state = nullptr;                     ///< that of volatile accesses to the state
  /// By index: what the fault needs. A stack map (2 * index) in front of the access names them in
  /// that order, and another one (2 * index + 1) behind it, which keeps them alive until then.
  std::map<uint32_t, FaultState> saved;
};

/// Takes the traces of stack maps off a function, which is none that calls for their sake. Runs right
/// after instruction selection.
llvm::MachineFunctionPass* make_quiet_stack_maps();

/// `places`: by NUMBER; filled in where there are saved fields.
/// `failed` is set if something cannot be told apart any more. Both are read and written when the pass
/// runs, which it may for one module after the other.
llvm::MachineFunctionPass* make_fault_labels(const FaultMarks& marks, std::map<uint32_t, FaultPlaces>& places,
                                             bool& failed);

}  // namespace lyrebird::jit::lowering
