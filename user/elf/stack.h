// SPDX-License-Identifier: Apache-2.0
/// The first stack of a program: strings, argv, envp and the auxiliary vector, as the kernel's
/// create_elf_tables leaves them (System V ABI, "Process Initialization").
#pragma once

#include <string>

#include "base/result.h"
#include "user/process.h"

namespace lyrebird::user {

struct StackInputs {
  std::string exec_name;
  uint64_t entry = 0;
  uint64_t interpreter_base = 0;
  uint64_t program_headers = 0;
  uint64_t header_count = 0, header_size = 0;
  uint64_t vdso = 0;
  bool executable = false;  ///< PT_GNU_STACK with PF_X: nested functions put code there
};

/// Maps the stack, fills it, and sets stack_pointer, auxv and the argument ranges in
/// process.program.
Result<void> build_stack(Process& process, const StackInputs& inputs);

}  // namespace lyrebird::user
