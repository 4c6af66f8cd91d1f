// SPDX-License-Identifier: Apache-2.0
// mlockall and munlockall: the emulator's own memory stays as it is, only guest mappings are locked.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

#include "user/memory/address_space.h"

namespace lyrebird::user {
namespace {

/// The host kernel would let `size` more bytes be locked: its own limits and rights, asked with
/// pages that can't be touched.
bool may_lock(uint64_t size) {
  void* const probe =
      ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_LOCKED, -1, 0);
  if (probe == MAP_FAILED) return false;
  ::munmap(probe, size);
  return true;
}

unsigned mlock2_flags(uint32_t mcl) { return mcl & MCL_ONFAULT ? MLOCK_ONFAULT : 0u; }

}  // namespace

int64_t AddressSpace::lock_all(uint32_t flags) {
  if (flags == 0 || flags == MCL_ONFAULT || (flags & ~uint32_t{MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT}))
    return -EINVAL;
  const std::unique_lock lock(mutex_);
  rlimit limit;
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return -errno;
  if (limit.rlim_cur == 0 && !may_lock(kPage)) return -EPERM;
  if ((flags & MCL_CURRENT) && total_ > limit.rlim_cur && !may_lock(total_)) return -ENOMEM;
  lock_future_ = flags & MCL_FUTURE ? flags & ~uint32_t{MCL_CURRENT} : 0;
  // What can't be made present (no rights, beyond the end of its file) is locked all the same.
  if (flags & MCL_CURRENT)
    for (const auto& [start, region] : regions_)
      (void)::mlock2(host(start), region.end - start, mlock2_flags(flags));
  return 0;
}

void AddressSpace::unlock_all() {
  const std::unique_lock lock(mutex_);
  lock_future_ = 0;
  // Not by the libc: sanitizers make its munlock() do nothing.
  for (const auto& [start, region] : regions_) ::syscall(SYS_munlock, host(start), region.end - start);
}

int64_t AddressSpace::may_lock_new(uint64_t size) const {
  return lock_future_ == 0 || may_lock(size) ? 0 : -EAGAIN;
}

void AddressSpace::lock_new(uint64_t address, uint64_t size) {
  if (lock_future_) (void)::mlock2(host(address), size, mlock2_flags(lock_future_));
}

}  // namespace lyrebird::user
