// SPDX-License-Identifier: Apache-2.0
/// The prctl() options that only one ISA has.
#pragma once

#include <array>
#include <cstdint>

namespace lyrebird::user {

class Thread;

/// Pointer authentication keys, tagged addresses, and the refusal of SVE, SME and MTE.
int64_t aarch64_prctl(Thread& t, int option, const std::array<uint64_t, 4>& args);

}  // namespace lyrebird::user
