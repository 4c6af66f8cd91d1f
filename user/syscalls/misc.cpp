// SPDX-License-Identifier: Apache-2.0
#include "user/syscalls/misc.h"

#include <sys/utsname.h>

#include <cerrno>
#include <cstring>

#include "user/host/safe_syscall.h"

namespace lyrebird::user::sys::misc {

Errno<Long> uname(Thread& t, Addr to) {
  struct utsname name;
  if (::uname(&name) != 0) return -errno;
  std::memset(name.machine, 0, sizeof name.machine);
  std::strncpy(name.machine, t.abi().machine, sizeof name.machine - 1);
  const std::string& release = t.process.options.uname_release;
  if (!release.empty()) {
    std::memset(name.release, 0, sizeof name.release);
    std::strncpy(name.release, release.c_str(), sizeof name.release - 1);
  }
  return t.memory().put(to, name) ? 0 : -EFAULT;
}

Errno<Long> getrandom(Thread& t, Addr to, Size size, Flags flags) {
  uint64_t length = size;
  void* const buffer = t.memory().for_kernel(to, length);
  return host::safe_syscall(SYS_getrandom, reinterpret_cast<uint64_t>(buffer), length, flags);
}

}  // namespace lyrebird::user::sys::misc
