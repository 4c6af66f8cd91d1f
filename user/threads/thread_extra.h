// SPDX-License-Identifier: Apache-2.0
/// Per-thread data of the thread system calls: clear_child_tid, robust list, ...
#pragma once

namespace lyrebird::user {

struct ThreadExtra {};

}  // namespace lyrebird::user
