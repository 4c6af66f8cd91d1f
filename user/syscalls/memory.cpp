// SPDX-License-Identifier: Apache-2.0
#include "user/syscalls/memory.h"

#include <sys/mman.h>

#include <cerrno>

#include "base/bits.h"
#include "user/host/safe_syscall.h"

namespace lyrebird::user::sys::mem {
namespace {

constexpr uint32_t kProtMask = PROT_READ | PROT_WRITE | PROT_EXEC;

/// False: a bit that this guest's kernel does not know.
bool split_prot(Thread& t, uint32_t raw, uint32_t& prot, bool& guarded) {
  guarded = (raw & t.abi().prot_guarded) != 0;
  prot = raw & kProtMask;
  constexpr uint32_t kProtSem = 8;
  return (raw & ~(kProtMask | kProtSem | static_cast<uint32_t>(t.abi().prot_guarded))) == 0;
}

/// A call about a range that the host kernel can answer for mapped guest memory.
template <typename... Args>
int64_t on_range(Thread& t, long number, uint64_t address, uint64_t size, Args... args) {
  if (address & (kPage - 1)) return -EINVAL;
  if (!t.memory().is_mapped(address, align_up(size, kPage))) return -ENOMEM;
  return host::call(number, t.memory().host(address), size, args...);
}

}  // namespace

Errno<Hex> brk(Thread& t, Hex end) { return static_cast<int64_t>(t.memory().set_brk(end)); }

Errno<Hex> mmap(Thread& t, Hex address, Size size, Flags prot, Flags flags, Fd fd, Long offset) {
  MapRequest request;
  request.address = address;
  request.size = size;
  // mmap ignores unknown bits of prot, mprotect does not.
  split_prot(t, prot, request.prot, request.guarded);
  request.flags = static_cast<int>(flags.value);
  request.low = t.abi().has_low_mappings && flags & MAP_32BIT;
  request.fd = flags & MAP_ANONYMOUS ? -1 : fd.value;
  request.offset = static_cast<uint64_t>(offset.value);
  return t.memory().map(request);
}

Errno<Long> munmap(Thread& t, Addr address, Size size) { return t.memory().unmap(address, size); }

Errno<Long> mprotect(Thread& t, Addr address, Size size, Flags raw) {
  uint32_t prot;
  bool guarded;
  constexpr uint32_t kGrows = PROT_GROWSDOWN | PROT_GROWSUP;
  if ((raw & kGrows) == kGrows || !split_prot(t, raw & ~kGrows, prot, guarded)) return -EINVAL;
  if (raw & PROT_GROWSDOWN) {
    Region region;
    if (!t.memory().find(address, region) || !region.grows_down) return -EINVAL;
    return t.memory().protect(region.start, address + size - region.start, prot, guarded);
  }
  return t.memory().protect(address, size, prot, guarded);
}

Errno<Hex> mremap(Thread& t, Addr old_address, Size old_size, Size new_size, Flags flags, Hex new_address) {
  return t.memory().remap(old_address, old_size, new_size, static_cast<int>(flags.value), new_address);
}

Errno<Long> madvise(Thread& t, Addr address, Size size, Int advice) {
  return t.memory().advise(address, size, advice);
}

Errno<Long> mincore(Thread& t, Addr address, Size size, Addr vector) {
  if (address & (kPage - 1)) return -EINVAL;
  if (!t.memory().is_mapped(address, align_up(size, kPage))) return -ENOMEM;
  uint64_t pages = align_up(size, kPage) / kPage;
  const uint64_t wanted = pages;
  void* const to = t.memory().for_kernel(vector, pages);
  if (pages != wanted) return -EFAULT;
  return host::call(SYS_mincore, t.memory().host(address), size.value, to);
}

Errno<Long> msync(Thread& t, Addr address, Size size, Flags flags) {
  if (address & (kPage - 1)) return -EINVAL;
  if (!t.memory().is_mapped(address, align_up(size, kPage))) return -ENOMEM;
  return host::safe_syscall(SYS_msync, reinterpret_cast<uint64_t>(t.memory().host(address)), size, flags);
}

Errno<Long> mlock(Thread& t, Addr address, Size size) {
  const uint64_t start = align_down(address, kPage);
  return on_range(t, SYS_mlock, start, size + (address - start));
}
Errno<Long> mlock2(Thread& t, Addr address, Size size, Flags flags) {
  const uint64_t start = align_down(address, kPage);
  return on_range(t, SYS_mlock2, start, size + (address - start), flags.value);
}
Errno<Long> munlock(Thread& t, Addr address, Size size) {
  const uint64_t start = align_down(address, kPage);
  return on_range(t, SYS_munlock, start, size + (address - start));
}

Errno<Long> mlockall(Thread& t, Flags flags) { return t.memory().lock_all(flags.value); }
Errno<Long> munlockall(Thread& t) {
  t.memory().unlock_all();
  return 0;
}

}  // namespace lyrebird::user::sys::mem
