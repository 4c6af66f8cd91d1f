// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "user/abi/abi.h"

namespace lyrebird::user {

/// Linux on x86-64.
const Abi& x86_64_abi();

}  // namespace lyrebird::user
