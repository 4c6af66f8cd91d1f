// SPDX-License-Identifier: Apache-2.0
/// The rows of aarch64.inc by syscall number.
#pragma once

#include <span>

namespace lyrebird::user {

struct SyscallRow;
std::span<const SyscallRow* const> aarch64_syscalls();

}  // namespace lyrebird::user
