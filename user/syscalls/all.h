// SPDX-License-Identifier: Apache-2.0
/// All topics, for the tables of abi/.
#pragma once

#include "user/process/syscalls.h"
#include "user/seccomp/syscalls.h"
#include "user/signals/syscalls.h"
#include "user/syscalls/fs.h"
#include "user/syscalls/io.h"
#include "user/syscalls/ioctl.h"
#include "user/syscalls/ipc.h"
#include "user/syscalls/kernel.h"
#include "user/syscalls/memory.h"
#include "user/syscalls/misc.h"
#include "user/syscalls/net.h"
#include "user/syscalls/old.h"
#include "user/syscalls/poll.h"
#include "user/syscalls/time.h"
#include "user/threads/syscalls.h"
