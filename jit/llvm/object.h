// SPDX-License-Identifier: Apache-2.0
/// From an ELF object in memory to one piece of position-independent code.
#pragma once

#include <llvm/ADT/StringRef.h>

#include <map>
#include <string>

#include "jit/llvm/fault_labels.h"
#include "jit/region_compiler.h"

namespace lyrebird::jit::lowering {

class Lowering;

/// Lays the object's sections out behind the header, resolves what they refer to, and finds the
/// lowering's exits, records and faults in it; adds the exits' stubs. False, with the reason in `why`, if
/// the code refers to something outside of it.
bool lay_out(llvm::StringRef object, const Lowering& lowering, const std::map<uint32_t, FaultPlaces>& places,
             uint64_t entry_pc, RegionCode& code, std::string& why);

}  // namespace lyrebird::jit::lowering
