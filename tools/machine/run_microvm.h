// SPDX-License-Identifier: Apache-2.0
/// lyrebird-system-x86_64 and -i386: x86 machines. So far there is `microvm`, under KVM.
#pragma once

#include <string>
#include <vector>

namespace lyrebird::tools {

/// Returns the exit status. `invoked_as` is for messages.
int run_x86_machine(const std::vector<std::string>& arguments, const std::string& invoked_as);

}  // namespace lyrebird::tools
