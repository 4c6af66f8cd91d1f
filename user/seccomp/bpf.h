// SPDX-License-Identifier: Apache-2.0
/// Classic BPF as seccomp(2) takes it: the subset of kernel/seccomp.c that looks at a
/// `struct seccomp_data` and returns an action.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <span>

namespace lyrebird::user {

inline constexpr unsigned kBpfDataSize = 64;  ///< sizeof(struct seccomp_data)

/// The kernel would load it: known instructions, jumps ahead and inside, no scratch word read that
/// may be unwritten, no shift by 32 or more, no division by the constant 0, a return at the end.
bool bpf_is_valid(std::span<const sock_filter> program);

/// Runs a valid program; `data` are the words of struct seccomp_data as 32-bit loads see them.
uint32_t bpf_run(std::span<const sock_filter> program, std::span<const uint32_t, kBpfDataSize / 4> data);

}  // namespace lyrebird::user
