// SPDX-License-Identifier: Apache-2.0
/// Code as text for -d in_asm and out_asm, by Capstone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace lyrebird::tools {

/// An accel::Disassembler for A64. Loads Capstone at its first call, so that programs which do
/// not ask for it do not pay for it; without Capstone the words must do.
void disassemble_a64(uint64_t pc, uint32_t mode, const uint8_t* code, size_t size, std::string& out);

/// The same for x86 of 16, 32 and 64 bits, as the mode says.
void disassemble_x86(uint64_t pc, uint32_t mode, const uint8_t* code, size_t size, std::string& out);

/// The same for code of this machine.
void disassemble_host(uint64_t pc, uint32_t mode, const uint8_t* code, size_t size, std::string& out);

}  // namespace lyrebird::tools
