// SPDX-License-Identifier: Apache-2.0
#include "user/seccomp/syscalls.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "user/host/safe_syscall.h"
#include "user/seccomp/bpf.h"
#include "user/seccomp/seccomp.h"
#include "user/thread.h"

namespace lyrebird::user::sys::proc {

namespace {

constexpr uint32_t kKnownFlags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG |
                                 SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
constexpr size_t kMostInPath = (1 << 18) / sizeof(sock_filter);  // MAX_INSNS_PER_PATH
constexpr size_t kPenalty = 4;                                   // instructions that a filter costs besides

bool may_filter() {
  if (host::call(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) return true;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  return host::call(SYS_capget, &header, data) == 0 && data[0].effective >> CAP_SYS_ADMIN & 1;
}

template <typename U>
U in_host_order(Thread& t, U value) {
  if (!t.abi().model.big_endian) return value;
  return sizeof(U) == 2 ? static_cast<U>(__builtin_bswap16(static_cast<uint16_t>(value)))
                        : static_cast<U>(__builtin_bswap32(static_cast<uint32_t>(value)));
}

/// struct sock_fprog at `address`, and what it points to.
int64_t read_program(Thread& t, uint64_t address, std::vector<sock_filter>& program) {
  uint16_t length = 0;
  uint64_t at = 0;
  if (!t.memory().get(address, length) || !get_word(t, address + word_size(t), at)) return -EFAULT;
  length = in_host_order(t, length);
  if (length == 0 || length > BPF_MAXINSNS) return -EINVAL;
  if (!may_filter()) return -EACCES;
  if (at == 0) return -EINVAL;
  program.resize(length);
  if (!t.memory().read(untag(t, at), program.data(), length * sizeof(sock_filter))) return -EFAULT;
  for (sock_filter& insn : program) {
    insn.code = in_host_order(t, insn.code);
    insn.k = in_host_order(t, insn.k);
  }
  return bpf_is_valid(program) ? 0 : -EINVAL;
}

/// About as long as what the kernel makes of it: three instructions ahead, two for `return k`.
size_t length_of(const SeccompFilter& filter) {
  return 3 + filter.program.size() +
         static_cast<size_t>(std::ranges::count(filter.program, BPF_RET | BPF_K, &sock_filter::code));
}

size_t length_of(const SeccompChain& newest) {
  size_t total = 0;
  for (const SeccompFilter* filter = newest.get(); filter; filter = filter->previous.get())
    total += length_of(*filter) + kPenalty;
  return total;
}

bool is_ancestor(const SeccompChain& older, const SeccompChain& newer) {
  if (!older) return true;
  for (const SeccompFilter* filter = newer.get(); filter; filter = filter->previous.get())
    if (filter == older.get()) return true;
  return false;
}

/// The first thread that does not follow: its tid, or 0.
pid_t first_apart(Thread& t, const SeccompChain& chain) {
  pid_t apart = 0;
  t.process.threads.for_each([&](Thread& other) {
    if (&other == &t || apart) return;
    const int mode = other.seccomp.mode();
    const bool follows = mode == SECCOMP_MODE_DISABLED ||
                         (mode == SECCOMP_MODE_FILTER && is_ancestor(other.seccomp.chain(), chain));
    if (!follows) apart = other.tid;
  });
  return apart;
}

int64_t add_filter(Thread& t, uint32_t flags, uint64_t address) {
  if (flags & ~kKnownFlags) {
    if (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) log_unimplemented("seccomp: filters with a listener");
    return -EINVAL;
  }
  auto filter = std::make_shared<SeccompFilter>();
  filter->log = flags & SECCOMP_FILTER_FLAG_LOG;
  if (const int64_t error = read_program(t, address, filter->program)) return error;
  if (t.seccomp.mode() == SECCOMP_MODE_STRICT) return -EINVAL;
  filter->previous = t.seccomp.chain();
  if (length_of(*filter) + length_of(filter->previous) > kMostInPath) return -ENOMEM;
  const bool sync = flags & SECCOMP_FILTER_FLAG_TSYNC && !t.extra.vm_child;
  if (sync)
    if (const pid_t apart = first_apart(t, filter->previous))
      return flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH ? -ESRCH : apart;
  t.seccomp.set(SECCOMP_MODE_FILTER, filter);
  if (!sync) return 0;
  const bool no_new_privs = host::call(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
  t.process.threads.for_each([&](Thread& other) {
    if (&other == &t) return;
    if (no_new_privs) other.seccomp.take_no_new_privs.store(true);
    other.seccomp.set(SECCOMP_MODE_FILTER, filter);
  });
  return 0;
}

int64_t set_strict(Thread& t) {
  if (t.seccomp.mode() == SECCOMP_MODE_FILTER) return -EINVAL;
  t.seccomp.set(SECCOMP_MODE_STRICT, nullptr);
  return 0;
}

int64_t is_action_known(Thread& t, uint64_t address) {
  uint32_t action = 0;
  if (!get_u32(t, address, action)) return -EFAULT;
  switch (action) {
    case SECCOMP_RET_KILL_PROCESS:
    case SECCOMP_RET_KILL_THREAD:
    case SECCOMP_RET_TRAP:
    case SECCOMP_RET_ERRNO:
    case SECCOMP_RET_TRACE:
    case SECCOMP_RET_LOG:
    case SECCOMP_RET_ALLOW:
      return 0;
    default:
      return -EOPNOTSUPP;
  }
}

}  // namespace

Errno<Int> seccomp(Thread& t, Uint operation, Flags flags, Addr argument) {
  switch (operation) {
    case SECCOMP_SET_MODE_STRICT:
      return flags || argument ? -EINVAL : set_strict(t);
    case SECCOMP_SET_MODE_FILTER:
      return add_filter(t, flags, argument);
    case SECCOMP_GET_ACTION_AVAIL:
      return flags ? -EINVAL : is_action_known(t, argument);
    default:
      if (operation == SECCOMP_GET_NOTIF_SIZES) log_unimplemented("seccomp: listeners");
      return -EINVAL;
  }
}

int64_t prctl_set_seccomp(Thread& t, uint64_t mode, uint64_t filter) {
  if (mode == SECCOMP_MODE_STRICT) return set_strict(t);
  return mode == SECCOMP_MODE_FILTER ? add_filter(t, 0, filter) : -EINVAL;
}

}  // namespace lyrebird::user::sys::proc
