// SPDX-License-Identifier: Apache-2.0
/// Steps of start-up that signals/ and threads/ take.
#pragma once

#include "user/thread.h"

namespace lyrebird::user {

/// Installs the host's signal handlers (base/fault_guard.h, guest signals). Once, before any
/// guest memory is touched.
void start_host(Process& process);
/// The calling host thread becomes the guest's first thread.
void start_first_thread(Thread& thread);

}  // namespace lyrebird::user
