// SPDX-License-Identifier: Apache-2.0
/// Host system calls on behalf of the guest.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace lyrebird::user::host {

/// A host system call that does not block: result or -errno.
template <typename... Args>
int64_t call(long number, Args... args) {
  const long result = ::syscall(number, args...);
  return result < 0 ? -errno : result;
}

/// A host system call that may block. When a guest signal arrives before it starts or
/// interrupts it, -kERestartSys comes back and nothing is lost; otherwise result or -errno.
int64_t safe_syscall(long number, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0,
                     uint64_t e = 0, uint64_t f = 0);

}  // namespace lyrebird::user::host
