// SPDX-License-Identifier: Apache-2.0
#include "user/syscalls/kernel.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "user/abi/structs.h"
#include "user/host/safe_syscall.h"
#include "user/syscalls/fs.h"
#include "user/syscalls/io.h"
#include "user/syscalls/memory.h"

namespace lyrebird::user::sys::kernel {
namespace {

int64_t set_name(Thread& t, long number, uint64_t from, uint64_t size) {
  char name[65];
  if (size >= sizeof name) return -EINVAL;
  if (!t.memory().read(from, name, size)) return -EFAULT;
  return host::call(number, name, size);
}

int64_t on_path(Thread& t, long number, const Path& path, uint64_t more = 0) {
  if (path.null()) return host::call(number, nullptr, more);
  const HostPath host = host_path(t, path);
  if (host.error) return host.error;
  return host::call(number, host.c_str(), more);
}

/// Remote addresses mean the other process's guest; its base is ours.
int64_t copy_across(Thread& t, long number, int pid, Ptr<struct iovec> local, uint64_t local_count,
                    Ptr<struct iovec> remote, uint64_t remote_count, uint64_t flags) {
  if (flags) return -EINVAL;
  HostVector here = host_vector(t, local, local_count);
  if (here.error) return here.error;
  if (remote_count > 1024) return -EINVAL;
  std::vector<struct iovec> there(remote_count);
  for (uint64_t i = 0; i < remote_count; ++i) {
    if (!remote.at(t, i).get(t, there[i])) return -EFAULT;
    there[i].iov_base = t.memory().host(untag(t, reinterpret_cast<uint64_t>(there[i].iov_base)));
  }
  return host::call(number, pid, here.parts.data(), here.parts.size(), there.data(), there.size(), 0);
}

/// A node mask: guest longs to the host's.
bool get_nodes(Thread& t, uint64_t from, uint64_t count, std::vector<uint64_t>& nodes) {
  if (!from) return true;
  if (count > 4096) return false;
  const unsigned size = word_size(t), per = size * 8;
  nodes.assign((count + 63) / 64 + 1, 0);
  for (uint64_t i = 0; i * per < count; ++i) {
    uint64_t value;
    if (!get_word(t, from + i * size, value)) return false;
    nodes[i * per / 64] |= value << (i * per % 64);
  }
  return true;
}

}  // namespace

namespace {
/// More memory than a guest's long can count is told in larger units (kernel/sys.c).
void use_larger_units(struct sysinfo& info) {
  unsigned shift = 0;
  while ((std::max(info.totalram, info.totalswap) >> shift) > UINT32_MAX) ++shift;
  if (shift == 0) return;
  shift = std::max(shift, 12u);
  info.mem_unit <<= shift;
  for (unsigned long* const bytes : {&info.totalram, &info.freeram, &info.sharedram, &info.bufferram,
                                     &info.totalswap, &info.freeswap, &info.totalhigh, &info.freehigh})
    *bytes >>= shift;
}
}  // namespace

Errno<Long> sysinfo(Thread& t, Ptr<struct sysinfo> to) {
  struct sysinfo info;
  const int64_t result = host::call(SYS_sysinfo, &info);
  if (result < 0) return result;
  if (word_size(t) == 4) use_larger_units(info);
  return to.put(t, info) ? 0 : -EFAULT;
}
Errno<Long> sethostname(Thread& t, Buffer name, Size size) {
  return set_name(t, SYS_sethostname, name, size);
}
Errno<Long> setdomainname(Thread& t, Buffer name, Size size) {
  return set_name(t, SYS_setdomainname, name, size);
}
Errno<Long> syslog(Thread& t, Int action, Buffer to, Int size) {
  uint64_t length = size > 0 ? static_cast<uint64_t>(size.value) : 0;
  void* const buffer = t.memory().for_kernel(to, length);
  return host::safe_syscall(SYS_syslog, static_cast<uint64_t>(action.value),
                            to ? reinterpret_cast<uint64_t>(buffer) : 0,
                            size > 0 ? length : static_cast<uint64_t>(size.value));
}
Errno<Long> acct(Thread& t, Path path) { return on_path(t, SYS_acct, path); }
Errno<Long> swapon(Thread& t, Path path, Flags flags) { return on_path(t, SYS_swapon, path, flags); }
Errno<Long> swapoff(Thread& t, Path path) { return on_path(t, SYS_swapoff, path); }

Errno<Long> process_vm_readv(Thread& t, Int pid, Ptr<struct iovec> local, Size local_count,
                             Ptr<struct iovec> remote, Size remote_count, Flags flags) {
  return copy_across(t, SYS_process_vm_readv, pid, local, local_count, remote, remote_count, flags);
}
Errno<Long> process_vm_writev(Thread& t, Int pid, Ptr<struct iovec> local, Size local_count,
                              Ptr<struct iovec> remote, Size remote_count, Flags flags) {
  return copy_across(t, SYS_process_vm_writev, pid, local, local_count, remote, remote_count, flags);
}

Errno<Fd> open_by_handle_at(Thread& t, Fd mount, Addr handle, OpenFlags flags) {
  struct {
    uint32_t bytes, type;
    uint8_t data[128];
  } host_handle{};
  if (!get_u32(t, handle, host_handle.bytes) || !get_u32(t, handle + 4, host_handle.type)) return -EFAULT;
  if (host_handle.bytes > sizeof host_handle.data) return -EINVAL;
  if (!t.memory().read(handle + 8, host_handle.data, host_handle.bytes)) return -EFAULT;
  return host::call(SYS_open_by_handle_at, mount.value, &host_handle, flags.value);
}

Errno<Long> mbind(Thread& t, Addr address, Size size, Int mode, Addr nodes, Size node_count, Flags flags) {
  std::vector<uint64_t> mask;
  if (!get_nodes(t, nodes, node_count, mask)) return -EFAULT;
  if (!t.memory().is_mapped(address, size)) return -EFAULT;
  return host::call(SYS_mbind, t.memory().host(address), size.value, mode.value,
                    nodes ? mask.data() : nullptr, node_count.value, flags.value);
}
Errno<Long> set_mempolicy(Thread& t, Int mode, Addr nodes, Size node_count) {
  std::vector<uint64_t> mask;
  if (!get_nodes(t, nodes, node_count, mask)) return -EFAULT;
  return host::call(SYS_set_mempolicy, mode.value, nodes ? mask.data() : nullptr, node_count.value);
}
Errno<Long> get_mempolicy(Thread& t, Addr mode, Addr nodes, Size node_count, Addr address, Flags flags) {
  if (node_count > 65536) return -EINVAL;
  std::vector<uint64_t> mask((node_count + 63) / 64 + 1);
  int host_mode = 0;
  const int64_t result =
      host::call(SYS_get_mempolicy, &host_mode, nodes ? mask.data() : nullptr, node_count.value,
                 address ? t.memory().host(address) : nullptr, flags.value);
  if (result < 0) return result;
  if (mode && !put_u32(t, mode, static_cast<uint32_t>(host_mode))) return -EFAULT;
  const unsigned size = word_size(t), per = size * 8;
  for (uint64_t i = 0; nodes && i * per < node_count; ++i)
    if (!put_word(t, nodes + i * size, mask[i * per / 64] >> (i * per % 64))) return -EFAULT;
  return 0;
}

// Memory protection keys: a CPU without them, as Linux answers there.
Errno<Long> pkey_mprotect(Thread& t, Addr address, Size size, Flags prot, Int key) {
  if (key != -1) return -EINVAL;
  return mem::mprotect(t, address, size, prot);
}
Errno<Long> pkey_alloc(Thread&, Flags flags, Hex) { return flags ? -EINVAL : -ENOSPC; }
Errno<Long> pkey_free(Thread&, Int) { return -EINVAL; }

}  // namespace lyrebird::user::sys::kernel
