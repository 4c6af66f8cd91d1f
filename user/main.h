// SPDX-License-Identifier: Apache-2.0
/// User mode as a program.
#pragma once

#include <string>

#include "user/process.h"

namespace lyrebird::user {

/// Called with the first thread before guest code runs, when -g is given; null: no debugger.
using DebuggerStart = bool (*)(Thread& first, const std::string& where);

/// Parses the arguments after the program's own name and runs the guest. `guest` ("aarch64") may
/// be empty: then the program file says it. Returns the exit status.
int run_program(int argc, char** argv, char** environment, const std::string& invoked_as,
                const std::string& guest, DebuggerStart debugger);

}  // namespace lyrebird::user
