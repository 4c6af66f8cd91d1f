// SPDX-License-Identifier: Apache-2.0
/// What the monitor shows, as text: lines with \n. The machine is paused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "accel/soft/soft.h"
#include "machines/machine.h"

namespace lyrebird::monitor {

/// Every field of the guest's state by the name its layout gives it.
std::string show_registers(machines::Machine& machine, size_t cpu);
std::string show_memory_tree(const system::AddressSpace& space);
std::string show_flat_view(const system::AddressSpace& space);
/// `arguments`: [/NFS] ADDRESS. `disassemble`: for format i; null: it is not there.
std::string show_memory(machines::Machine& machine, size_t cpu, std::string_view arguments, bool physical,
                        accel::Disassembler disassemble);
/// `arguments`: [/F] EXPRESSION.
std::string show_value(machines::Machine& machine, size_t cpu, std::string_view arguments);
/// The physical address of a virtual one.
std::string show_translation(machines::Machine& machine, size_t cpu, std::string_view address);

/// An expression in which $NAME is a register of a CPU.
Result<uint64_t> evaluate(machines::Machine& machine, size_t cpu, std::string_view text);

}  // namespace lyrebird::monitor
