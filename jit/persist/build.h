// SPDX-License-Identifier: Apache-2.0
/// The running program itself: which build it is, and where it lies. Code that is kept on disk
/// holds pointers into it as distances, which are right for the same build only.
#pragma once

#include <cstdint>
#include <span>

namespace lyrebird::jit::persist {

/// The linker's build id; empty if the program has none, then nothing can be kept.
std::span<const uint8_t> build_id();
/// Address of the program's first byte, and the bytes from there to its end.
uint64_t image_base();
uint64_t image_size();

}  // namespace lyrebird::jit::persist
