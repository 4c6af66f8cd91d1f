// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "user/abi/abi.h"

namespace lyrebird::user {

/// Linux on 32-bit x86, as a 64-bit kernel runs it.
const Abi& i386_abi();

}  // namespace lyrebird::user
