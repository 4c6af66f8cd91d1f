// SPDX-License-Identifier: Apache-2.0
/// Copies of bytes of guest memory. CPUs and devices of a guest race on it as its programs say, so that
/// a plain copy would be a data race: here nothing is assumed of what is there, and the thread
/// sanitizer, which is for our own data, does not look.
#pragma once

#include <cstddef>

namespace lyrebird {

/// Either side, or both, may be guest memory, at any alignment; the two do not overlap. 1, 2, 4 and 8
/// bytes are read and written in one piece each, where the host can at that alignment.
void copy_guest_bytes(void* to, const void* from, size_t size);

}  // namespace lyrebird
