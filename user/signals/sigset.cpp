// SPDX-License-Identifier: Apache-2.0
#include "user/signals/sigset.h"

#include <bit>

namespace lyrebird::user {

DefaultAction default_action(int signal) {
  switch (signal) {
    case SIGCHLD:
    case SIGURG:
    case SIGWINCH:
      return DefaultAction::Ignore;
    case SIGCONT:
      return DefaultAction::Continue;
    case SIGSTOP:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
      return DefaultAction::Stop;
    case SIGQUIT:
    case SIGILL:
    case SIGTRAP:
    case SIGABRT:
    case SIGFPE:
    case SIGSEGV:
    case SIGBUS:
    case SIGSYS:
    case SIGXCPU:
    case SIGXFSZ:
      return DefaultAction::Core;
    default:
      return DefaultAction::Terminate;
  }
}

const char* signal_name(int signal) {
  static const char* const kNames[kSignals + 1] = {
      "0",         "SIGHUP",   "SIGINT",    "SIGQUIT",  "SIGILL",   "SIGTRAP",  "SIGABRT",  "SIGBUS",
      "SIGFPE",    "SIGKILL",  "SIGUSR1",   "SIGSEGV",  "SIGUSR2",  "SIGPIPE",  "SIGALRM",  "SIGTERM",
      "SIGSTKFLT", "SIGCHLD",  "SIGCONT",   "SIGSTOP",  "SIGTSTP",  "SIGTTIN",  "SIGTTOU",  "SIGURG",
      "SIGXCPU",   "SIGXFSZ",  "SIGVTALRM", "SIGPROF",  "SIGWINCH", "SIGIO",    "SIGPWR",   "SIGSYS",
      "SIGRTMIN",  "SIGRT_1",  "SIGRT_2",   "SIGRT_3",  "SIGRT_4",  "SIGRT_5",  "SIGRT_6",  "SIGRT_7",
      "SIGRT_8",   "SIGRT_9",  "SIGRT_10",  "SIGRT_11", "SIGRT_12", "SIGRT_13", "SIGRT_14", "SIGRT_15",
      "SIGRT_16",  "SIGRT_17", "SIGRT_18",  "SIGRT_19", "SIGRT_20", "SIGRT_21", "SIGRT_22", "SIGRT_23",
      "SIGRT_24",  "SIGRT_25", "SIGRT_26",  "SIGRT_27", "SIGRT_28", "SIGRT_29", "SIGRT_30", "SIGRT_31",
      "SIGRT_32"};
  return signal >= 0 && signal <= kSignals ? kNames[signal] : "SIG?";
}

int first_signal(SigSet set) {
  const SigSet urgent = set & kSynchronous;
  const SigSet from = urgent ? urgent : set;
  return from ? std::countr_zero(from) + 1 : 0;
}

}  // namespace lyrebird::user
