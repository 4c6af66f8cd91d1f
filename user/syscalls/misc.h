// SPDX-License-Identifier: Apache-2.0
/// The machine and its identity: uname, sysinfo, getrandom, resource limits, ids.
#pragma once

#include "user/syscalls/dispatch.h"

namespace lyrebird::user::sys::misc {

Errno<Long> uname(Thread& t, Addr to);
Errno<Long> getrandom(Thread& t, Addr to, Size size, Flags flags);

}  // namespace lyrebird::user::sys::misc
