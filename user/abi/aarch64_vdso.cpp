// SPDX-License-Identifier: Apache-2.0
#include "user/abi/aarch64_vdso.h"

namespace lyrebird::user {

std::span<const uint8_t> aarch64_vdso() { return {}; }

}  // namespace lyrebird::user
