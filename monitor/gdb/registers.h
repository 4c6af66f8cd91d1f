// SPDX-License-Identifier: Apache-2.0
/// One guest ISA's registers as gdb numbers them. One file per ISA (aarch64_registers.cpp).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ir/cpu_header.h"

namespace lyrebird::gdb {

class Registers {
 public:
  virtual ~Registers() = default;
  unsigned in_g = 0;                ///< those before it are in a g packet; gdb asks for others one by one
  unsigned pc = 0, sp = 0, fp = 0;  ///< their numbers: sent with every stop

  /// target.xml (GDB manual, appendix G).
  virtual std::string target_xml() const = 0;
  /// Bytes in the guest's order; empty: no such register.
  virtual std::string read(const ir::CpuHeader& cpu, unsigned number) const = 0;
  /// False: no such register or a wrong size.
  virtual bool write(ir::CpuHeader& cpu, unsigned number, std::string_view bytes) const = 0;
};

/// Of a program, by Abi::name, or null.
const Registers* find_registers(std::string_view guest);
/// Of a machine's CPU: "aarch64" with the system registers, "x86_64". Null: none.
const Registers* find_system_registers(std::string_view guest);

}  // namespace lyrebird::gdb
