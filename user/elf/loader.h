// SPDX-License-Identifier: Apache-2.0
/// From a program file to a process ready to run: mappings, interpreter, vDSO, stack, auxv.
#pragma once

#include "base/result.h"
#include "user/process.h"

namespace lyrebird::user {

/// Loads process.options.program (a host path) into the empty address space; fills
/// process.program. `fd`: the program, already open (binfmt_misc flag O), or -1. The message of
/// an error names the file and what to do; process.load_exit_status is for the shell.
Result<void> load_program(Process& process, int fd = -1);

/// The ELF machine of the file at a host path; 0 and errno (ENOEXEC: not ELF for Linux) else.
uint16_t elf_machine_of(const char* host_path);

}  // namespace lyrebird::user
