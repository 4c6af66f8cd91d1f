// SPDX-License-Identifier: Apache-2.0
/// Descriptors of the emulator itself (log file, debugger), which the guest must not close.
#pragma once

#include <vector>

namespace lyrebird::user::host {

/// Moves `fd` to a high number, close-on-exec, and keeps it from the guest. `moved` is told the
/// number now and each time it has to change. Returns the new number, or -1.
int adopt_private_fd(int fd, void (*moved)(int fd));
bool is_private_fd(int fd);
/// The guest wants this very number: gives it up for another. False: no free number.
bool move_private_fd(int fd);
/// Sorted.
std::vector<int> private_fds();

}  // namespace lyrebird::user::host
