// SPDX-License-Identifier: Apache-2.0
/// gdb's interface for code made at run time (GDB manual, "JIT Compilation Interface"): a list of
/// object files in memory that gdb reads when a function it has a breakpoint in is called.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace lyrebird::accel::gdb {

/// One function symbol for [code, code + size). The caller serialises calls of both functions.
void* register_code(const std::string& name, const uint8_t* code, size_t size);
void unregister_code(void* entry);

}  // namespace lyrebird::accel::gdb
