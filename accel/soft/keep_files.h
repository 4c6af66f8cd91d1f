// SPDX-License-Identifier: Apache-2.0
/// What all keepers of translations do with their directory.
#pragma once

#include <string>

#include "accel/soft/keeper.h"

namespace lyrebird::accel {

/// What files are called: for people, and safe in any file system.
std::string plain_file_name(const std::string& path);
/// Keeps the directory below its limit. Reading all of it every time would cost more than it gives.
void prune_now_and_then(const KeepOptions& options);

}  // namespace lyrebird::accel
