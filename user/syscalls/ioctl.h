// SPDX-License-Identifier: Apache-2.0
/// ioctl: what each request's argument is comes from one table, syscalls/ioctls.inc.
#pragma once

#include "user/syscalls/dispatch.h"

namespace lyrebird::user {

/// A request number; prints its name.
struct IoctlRequest {
  uint32_t value;
  operator uint32_t() const { return value; }
  static IoctlRequest from(Thread&, uint64_t raw) { return {static_cast<uint32_t>(raw)}; }
  void print(Thread&, std::string& out) const;
};

}  // namespace lyrebird::user

namespace lyrebird::user::sys::ioctls {

Errno<Long> ioctl(Thread& t, Fd fd, IoctlRequest request, Hex argument);

}  // namespace lyrebird::user::sys::ioctls
