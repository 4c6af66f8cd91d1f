// SPDX-License-Identifier: Apache-2.0
/// Waiting for children, and pidfds. Guest children are host children, their statuses the host's.
#include <sys/resource.h>
#include <sys/wait.h>

#include "user/abi/structs.h"
#include "user/host/safe_syscall.h"
#include "user/process/syscalls.h"
#include "user/signals/siginfo.h"

namespace lyrebird::user::sys::proc {

namespace {
uint64_t host_pointer(const void* p) { return reinterpret_cast<uint64_t>(p); }
uint64_t sign_extended(int value) { return static_cast<uint64_t>(static_cast<int64_t>(value)); }
}  // namespace

Errno<Int> wait4(Thread& t, Int pid, Addr status, Flags options, Ptr<struct rusage> usage) {
  int host_status = 0;
  rusage host_usage{};
  const int64_t result = host::safe_syscall(SYS_wait4, sign_extended(pid), host_pointer(&host_status),
                                            options, usage ? host_pointer(&host_usage) : 0);
  if (result <= 0) return result;
  if (status && !put_u32(t, status, static_cast<uint32_t>(host_status))) return -EFAULT;
  if (usage && !usage.put(t, host_usage)) return -EFAULT;
  return result;
}

Errno<Int> waitid(Thread& t, Int type, Int id, Addr info, Flags options, Ptr<struct rusage> usage) {
  siginfo_t host_info{};
  rusage host_usage{};
  const int64_t result =
      host::safe_syscall(SYS_waitid, sign_extended(type), sign_extended(id), host_pointer(&host_info),
                         options, usage ? host_pointer(&host_usage) : 0);
  if (result < 0) return result;
  if (usage && host_info.si_pid && !usage.put(t, host_usage)) return -EFAULT;
  if (!info) return result;
  // The kernel writes the members of SIGCHLD only and leaves the others.
  uint8_t guest[kSigInfoSize];
  if (!t.memory().get(info, guest)) return -EFAULT;
  uint8_t fresh[kSigInfoSize];
  siginfo_to_guest(t.abi().model, host_info, fresh);
  constexpr unsigned kWritten = 28;  // up to si_status with 64-bit longs
  std::copy(fresh, fresh + (word_size(t) == 8 ? kWritten : kWritten - 4), guest);
  return t.memory().put(info, guest) ? result : -EFAULT;
}

Errno<Fd> pidfd_open(Thread&, Int pid, Flags flags) {
  return host::call(SYS_pidfd_open, pid.value, flags.value);
}
Errno<Fd> pidfd_getfd(Thread&, Fd pidfd, Fd fd, Flags flags) {
  return host::call(SYS_pidfd_getfd, pidfd.value, fd.value, flags.value);
}
Errno<Int> process_mrelease(Thread&, Fd pidfd, Flags flags) {
  return host::call(448 /* process_mrelease, newer than some headers */, pidfd.value, flags.value);
}

}  // namespace lyrebird::user::sys::proc
