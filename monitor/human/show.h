// SPDX-License-Identifier: Apache-2.0
/// What the monitor shows, as text: lines with \n. The machine is paused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "machines/machine.h"

namespace lyrebird::monitor {

/// Every field of the guest's state by the name its layout gives it.
std::string show_registers(machines::Machine& machine, size_t cpu);
std::string show_memory_tree(const system::AddressSpace& space);
std::string show_flat_view(const system::AddressSpace& space);
/// `arguments`: [/NFS] ADDRESS.
std::string show_memory(machines::Machine& machine, size_t cpu, std::string_view arguments, bool physical);

/// A number, decimal or with 0x.
std::optional<uint64_t> evaluate(std::string_view text);

}  // namespace lyrebird::monitor
