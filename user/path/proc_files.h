// SPDX-License-Identifier: Apache-2.0
/// The files of /proc that would show the emulator instead of the guest: those of the guest's own
/// process (as self, thread-self, its pid, its threads), and /proc/cpuinfo.
#pragma once

#include <cstdint>
#include <string>

#include "user/thread.h"

namespace lyrebird::user {

inline constexpr int64_t kNotOurs = INT64_MIN + 1;

/// A new descriptor with the file's content, -errno, or kNotOurs: open the host's file.
int64_t open_proc_file(Thread& t, int dir, const std::string& path, int flags);
/// What readlink tells of a link in there, as the guest names files.
bool proc_link_text(Thread& t, const std::string& path, std::string& text);
/// The host path behind a link that we know better than the host (exe).
bool proc_link_target(Thread& t, const std::string& path, std::string& target);

}  // namespace lyrebird::user
