// SPDX-License-Identifier: Apache-2.0
/// lyrebird run KERNEL|IMAGE: what to give to lyrebird-system-aarch64 for a file that is no program.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace lyrebird::tools {

/// The options that start the file in a machine with a console here: a kernel for arm64, or a disk with a
/// partition table, which firmware starts from. nullopt: neither.
std::optional<std::vector<std::string>> machine_for(const std::string& path);

}  // namespace lyrebird::tools
