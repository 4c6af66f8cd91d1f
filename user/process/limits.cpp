// SPDX-License-Identifier: Apache-2.0
#include "user/process/limits.h"

#include <unistd.h>

#include <cerrno>

#include "user/memory/address_space.h"

namespace lyrebird::user {

rlimit EmulatedLimits::get(int resource) const {
  const std::lock_guard lock(mutex_);
  return resource == RLIMIT_AS ? address_space_ : data_;
}

int EmulatedLimits::set(int resource, const rlimit& limit, AddressSpace& memory) {
  const std::lock_guard lock(mutex_);
  rlimit& kept = resource == RLIMIT_AS ? address_space_ : data_;
  if (limit.rlim_cur > limit.rlim_max) return -EINVAL;
  if (limit.rlim_max > kept.rlim_max && ::geteuid() != 0) return -EPERM;
  kept = limit;
  memory.set_limits(address_space_.rlim_cur, data_.rlim_cur);
  return 0;
}

}  // namespace lyrebird::user
