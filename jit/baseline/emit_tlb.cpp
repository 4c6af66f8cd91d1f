// SPDX-License-Identifier: Apache-2.0
// Guest memory in system mode: a look into the vCPU's TLB (jit/tlb.h) inline, and the interpreter's handler
// where that fails.
#include "jit/baseline/emitter.h"
#include "jit/tlb.h"

namespace lyrebird::jit::baseline {

bool Emitter::emit_system_memory(const ir::Inst&) { return false; }

}  // namespace lyrebird::jit::baseline
