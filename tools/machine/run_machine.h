// SPDX-License-Identifier: Apache-2.0
/// lyrebird-system-ARCH: a whole machine.
#pragma once

#include <string>
#include <vector>

namespace lyrebird::tools {

/// Returns the exit status. `invoked_as` is for messages.
int run_machine(const std::vector<std::string>& arguments, const std::string& invoked_as,
                const std::string& guest);

}  // namespace lyrebird::tools
