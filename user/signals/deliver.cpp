// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include "base/log.h"
#include "user/thread.h"

namespace lyrebird::user {

void Thread::deliver_pending_signals() { signals.pending.store(false, std::memory_order_relaxed); }

void Thread::raise_fault(const accel::Exit& exit) {
  log_detail::write(fmt::format("{}: guest stopped: {} at {:#x} (address {:#x})\n",
                                process.options.invoked_as, ir::name(exit.kind), cpu().pc,
                                cpu().fault_address));
  ::_exit(139);
}

}  // namespace lyrebird::user
