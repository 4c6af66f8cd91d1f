// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <linux/prctl.h>
#include <sys/prctl.h>

#include <cstring>

#include "base/log.h"
#include "user/abi/structs.h"
#include "user/host/safe_syscall.h"
#include "user/process/syscalls.h"
#include "user/seccomp/syscalls.h"
#include "user/thread.h"

namespace lyrebird::user::sys::proc {

namespace {

int64_t set_name(Thread& t, uint64_t address) {
  std::string name;
  char text[16] = {};
  // strncpy_from_user(): up to 15 bytes, the rest does not matter.
  for (unsigned i = 0; i < sizeof text - 1; i++) {
    if (!t.memory().get(address + i, text[i])) return -EFAULT;
    if (!text[i]) break;
  }
  if (t.tid == ::getpid()) t.process.program.comm = text;
  return host::call(SYS_prctl, PR_SET_NAME, text, 0, 0, 0);
}

int64_t get_name(Thread& t, uint64_t address) {
  char text[16] = {};
  host::call(SYS_prctl, PR_GET_NAME, text, 0, 0, 0);
  return t.memory().put(address, text) ? 0 : -EFAULT;
}

// Options that store an int at the second argument.
int64_t get_int(Thread& t, int option, uint64_t address) {
  int value = 0;
  if (const int64_t error = host::call(SYS_prctl, option, &value, 0, 0, 0)) return error;
  return put_u32(t, address, static_cast<uint32_t>(value)) ? 0 : -EFAULT;
}

}  // namespace

Errno<Int> prctl(Thread& t, Int option, Hex a, Hex b, Hex c, Hex d) {
  switch (option) {
    case PR_SET_NAME:
      return set_name(t, untag(t, a));
    case PR_GET_NAME:
      return get_name(t, untag(t, a));
    case PR_GET_PDEATHSIG:
    case PR_GET_CHILD_SUBREAPER:
      return get_int(t, option, untag(t, a));
    case PR_GET_TID_ADDRESS:
      return put_word(t, untag(t, a), t.extra.clear_child_tid) ? 0 : -EFAULT;
    case PR_GET_SECCOMP:
      return t.seccomp.mode();
    case PR_SET_SECCOMP:
      return prctl_set_seccomp(t, a, untag(t, b));
    case PR_SET_PDEATHSIG:
    case PR_GET_DUMPABLE:
    case PR_SET_DUMPABLE:
    case PR_GET_KEEPCAPS:
    case PR_SET_KEEPCAPS:
    case PR_GET_TIMING:
    case PR_SET_TIMING:
    case PR_CAPBSET_READ:
    case PR_CAPBSET_DROP:
    case PR_GET_SECUREBITS:
    case PR_SET_SECUREBITS:
    case PR_SET_TIMERSLACK:
    case PR_GET_TIMERSLACK:
    case PR_MCE_KILL:
    case PR_MCE_KILL_GET:
    case PR_SET_PTRACER:
    case PR_SET_CHILD_SUBREAPER:
    case PR_SET_NO_NEW_PRIVS:
    case PR_GET_NO_NEW_PRIVS:
    case PR_SET_THP_DISABLE:
    case PR_GET_THP_DISABLE:
    case PR_CAP_AMBIENT:
    case PR_SET_IO_FLUSHER:
    case PR_GET_IO_FLUSHER:
    case PR_TASK_PERF_EVENTS_DISABLE:
    case PR_TASK_PERF_EVENTS_ENABLE:
      return host::call(SYS_prctl, option.value, a.value, b.value, c.value, d.value);
    default: {
      const int64_t result = t.abi().prctl(t, option, {a, b, c, d});
      if (result == -EINVAL) log_unimplemented(fmt::format("prctl {}", option.value));
      return result;
    }
  }
}

Errno<Int> ptrace(Thread&, Int request, Int, Hex, Hex) {
  log_unimplemented(fmt::format("ptrace request {}", request.value));
  return -ENOSYS;
}

}  // namespace lyrebird::user::sys::proc
