// SPDX-License-Identifier: Apache-2.0
#include "ir/inst.h"

namespace lyrebird::ir {

const OpInfo kOps[kOpCount] = {
#define OP(name, kind, signature, effects, meaning) \
  {#name,   OpKind::kind, signature,                \
   effects, meaning,      static_cast<uint8_t>(std::string_view(signature).find('>'))},
#include "ir/ops.inc"
};

std::string_view name(ExitKind kind) {
  constexpr std::string_view kNames[] = {"none",
                                         "syscall",
                                         "undefined",
                                         "breakpoint",
                                         "memory-fault",
                                         "unaligned",
                                         "fetch-fault",
                                         "branch-target",
                                         "arithmetic-trap",
                                         "auth-failure",
                                         "invalidate-code",
                                         "debug",
                                         "interrupted",
                                         "yield",
                                         "error",
                                         "software-interrupt",
                                         "protection-fault",
                                         "stack-fault",
                                         "segment-absent",
                                         "system-trap",
                                         "reset",
                                         "shutdown"};
  return kNames[static_cast<unsigned>(kind)];
}

}  // namespace lyrebird::ir
