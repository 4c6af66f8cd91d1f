// SPDX-License-Identifier: Apache-2.0
/// Keeps two programs from writing one disk image: open-file-description locks on the bytes that the peer's
/// tools use as well, so that they see ours and we see theirs.
///
/// Byte 100 + n is read-locked by who uses permission n, byte 200 + n by who does not want others to use it
/// (n: 0 read consistently, 1 write, 2 write what was there, 3 resize).
#pragma once

#include <string>

#include "base/result.h"

namespace lyrebird::block {

/// Holds as long as the file description of `fd` lives. `must`: an error if the file system has no such
/// locks.
Result<void> lock_image(int fd, const std::string& path, bool write, bool share_write, bool must);

}  // namespace lyrebird::block
