// SPDX-License-Identifier: Apache-2.0
/// The rows of NAME.inc by syscall number.
#pragma once

#include <span>

namespace lyrebird::user {

struct SyscallRow;
std::span<const SyscallRow* const> aarch64_syscalls();
std::span<const SyscallRow* const> x86_64_syscalls();
std::span<const SyscallRow* const> i386_syscalls();

}  // namespace lyrebird::user
