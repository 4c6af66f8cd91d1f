// SPDX-License-Identifier: Apache-2.0
/// Resource limits that must not hit the emulator itself: it needs more address space than its
/// guest. The guest's values are kept here and enforced by the guest's address space; all other
/// limits are the host's own.
#pragma once

#include <sys/resource.h>

#include <mutex>

namespace lyrebird::user {

class AddressSpace;

class EmulatedLimits {
 public:
  /// RLIMIT_AS and RLIMIT_DATA.
  static bool emulated(int resource) { return resource == RLIMIT_AS || resource == RLIMIT_DATA; }
  rlimit get(int resource) const;
  /// 0, -EINVAL or -EPERM, as the kernel's setrlimit.
  int set(int resource, const rlimit& limit, AddressSpace& memory);

 private:
  mutable std::mutex mutex_;
  rlimit address_space_{RLIM_INFINITY, RLIM_INFINITY};
  rlimit data_{RLIM_INFINITY, RLIM_INFINITY};
};

}  // namespace lyrebird::user
