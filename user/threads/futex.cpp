// SPDX-License-Identifier: Apache-2.0
/// futex(2): the host kernel's, on the host address of the guest's word. Private and shared ones
/// both work, and so do PI futexes, as guest thread ids are host thread ids.
#include <linux/futex.h>

#include <bit>

#include "base/log.h"
#include "user/abi/structs.h"
#include "user/host/safe_syscall.h"
#include "user/threads/syscalls.h"

namespace lyrebird::user::sys::thread {

namespace {

constexpr int kLockPi2 = 13;  // FUTEX_LOCK_PI2, newer than some headers

bool takes_timeout(int command) {
  switch (command) {
    case FUTEX_WAIT:
    case FUTEX_LOCK_PI:
    case kLockPi2:
    case FUTEX_WAIT_BITSET:
    case FUTEX_WAIT_REQUEUE_PI:
      return true;
    default:
      return false;
  }
}

bool takes_second_word(int command) {
  switch (command) {
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
    case FUTEX_CMP_REQUEUE_PI:
    case FUTEX_WAKE_OP:
    case FUTEX_WAIT_REQUEUE_PI:
      return true;
    default:
      return false;
  }
}

// The kernel compares and stores words in the host's byte order.
bool kernel_understands(Thread& t, int command) {
  if (!t.abi().model.big_endian) return true;
  return command == FUTEX_WAIT || command == FUTEX_WAKE || command == FUTEX_WAIT_BITSET ||
         command == FUTEX_WAKE_BITSET || command == FUTEX_REQUEUE || command == FUTEX_CMP_REQUEUE;
}

uint64_t host_word(Thread& t, uint64_t address) {
  uint64_t size = 4;
  return reinterpret_cast<uint64_t>(t.memory().for_kernel(address, size));
}

uint32_t swapped(Thread& t, uint32_t value) {
  return t.abi().model.big_endian ? __builtin_bswap32(value) : value;
}

}  // namespace

Errno<Int> futex(Thread& t, Addr word, Flags op, Uint value, Ptr<struct timespec> timeout, Addr word2, Uint value3) {
  const int command = static_cast<int>(op) & FUTEX_CMD_MASK;
  if (!kernel_understands(t, command)) {
    log_unimplemented("futex: PI and WAKE_OP futexes of a big-endian guest");
    return -ENOSYS;
  }
  timespec time{};
  uint64_t fourth = timeout;  // a count for the commands that wake
  if (takes_timeout(command) && timeout) {
    if (!timeout.get(t, time)) return -EFAULT;
    fourth = reinterpret_cast<uint64_t>(&time);
  }
  const bool compares = command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET;
  return host::safe_syscall(SYS_futex, host_word(t, word), op, compares ? swapped(t, value) : value.value,
                            fourth, takes_second_word(command) ? host_word(t, word2) : 0,
                            command == FUTEX_CMP_REQUEUE ? swapped(t, value3) : value3.value);
}

Errno<Int> futex_waitv(Thread& t, Addr waiters, Uint count, Flags flags, Addr timeout, Int clock) {
  constexpr unsigned kMost = 128;  // FUTEX_WAITV_MAX
  struct Waiter {
    uint64_t value, address;
    uint32_t flags, reserved;
  };
  if (flags) return -EINVAL;
  if (count == 0 || count > kMost || !waiters) return -EINVAL;
  Waiter list[kMost];
  if (!t.memory().read(waiters, list, count * sizeof(Waiter))) return -EFAULT;
  if (t.abi().model.big_endian) return -ENOSYS;
  for (unsigned i = 0; i < count; i++) list[i].address = host_word(t, untag(t, list[i].address));
  timespec time{};
  if (timeout && !Ptr<timespec>{timeout, &kTimespec64}.get(t, time)) return -EFAULT;
  return host::safe_syscall(449 /* futex_waitv, newer than some headers */, reinterpret_cast<uint64_t>(list),
                            count, 0, timeout ? reinterpret_cast<uint64_t>(&time) : 0,
                            static_cast<uint64_t>(clock.value));
}

}  // namespace lyrebird::user::sys::thread
