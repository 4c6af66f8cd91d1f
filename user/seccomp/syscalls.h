// SPDX-License-Identifier: Apache-2.0
/// seccomp and what prctl has of it.
#pragma once

#include "user/syscalls/dispatch.h"

namespace lyrebird::user::sys::proc {

Errno<Int> seccomp(Thread& t, Uint operation, Flags flags, Addr argument);
/// PR_SET_SECCOMP.
int64_t prctl_set_seccomp(Thread& t, uint64_t mode, uint64_t filter);

}  // namespace lyrebird::user::sys::proc
