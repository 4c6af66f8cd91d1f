// SPDX-License-Identifier: Apache-2.0
#include "user/start.h"

#include <csignal>

#include "base/fault_guard.h"

namespace lyrebird::user {

void start_host(Process&) {
  struct sigaction action = {};
  action.sa_sigaction = [](int signal, siginfo_t* info, void*) {
    FaultGuard::deliver(signal, *info);
    ::signal(signal, SIG_DFL);
  };
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  ::sigaction(SIGSEGV, &action, nullptr);
  ::sigaction(SIGBUS, &action, nullptr);
}

void start_first_thread(Thread&) {}

}  // namespace lyrebird::user
