// SPDX-License-Identifier: Apache-2.0
/// All topics, for the tables of abi/.
#pragma once

#include "user/syscalls/memory.h"
#include "user/syscalls/misc.h"
