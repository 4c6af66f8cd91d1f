// SPDX-License-Identifier: Apache-2.0
/// What a 32-bit guest reads of directories.
///
/// Its C library's readdir() without large file support refuses entries whose inode or position do
/// not fit 32 bits, and its kernel would never give it such positions: a file system knows that the
/// process that asks has 32 bits. Ours has 64. So inodes are folded to 32 bits, the same way
/// everywhere the guest sees them, and large positions become small numbers that seeking takes back.
#pragma once

#include <cstdint>

namespace lyrebird::user {

/// An inode for a guest with 32-bit longs.
constexpr uint64_t fold_inode(uint64_t inode) {
  const uint32_t folded = static_cast<uint32_t>(inode ^ inode >> 32);
  return inode >> 32 == 0 || folded != 0 ? folded : 1;
}

/// A directory's position as the guest gets it; other files' and errors as they are.
int64_t narrow_cookie(int fd, int64_t position);
/// Back; what narrow_cookie never gave out stays.
int64_t wide_cookie(int64_t position);

}  // namespace lyrebird::user
