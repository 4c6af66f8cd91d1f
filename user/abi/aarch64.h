// SPDX-License-Identifier: Apache-2.0
/// Linux on AArch64 (arch/arm64/include/uapi/asm, AAPCS64).
#pragma once

#include "user/abi/abi.h"

namespace lyrebird::user {

const Abi& aarch64_abi();

}  // namespace lyrebird::user
