// SPDX-License-Identifier: Apache-2.0
/// The static program's module: LLVM and Capstone as a shared object, which lies in the program's read-only
/// data (tools/module) and costs nothing until somebody wants it. A static program has no loader; this is as
/// much of one as the module needs. It is mapped as it is, so neither a file nor /proc nor a copy is needed.
#pragma once

#include "base/result.h"

namespace lyrebird {

/// Address of a function that the module exports. The first call loads the module, which takes some
/// milliseconds for its pointers and static objects; it stays. From any thread.
Result<void*> module_function(const char* name);

}  // namespace lyrebird
