// SPDX-License-Identifier: Apache-2.0
/// All topics, for the tables of abi/.
#pragma once

#include "user/process/syscalls.h"
#include "user/signals/syscalls.h"
#include "user/syscalls/memory.h"
#include "user/syscalls/misc.h"
#include "user/threads/syscalls.h"
