// SPDX-License-Identifier: Apache-2.0
#include "user/host/safe_syscall.h"

#include "user/thread.h"

namespace lyrebird::user::host {

int64_t safe_syscall(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) {
  const int64_t result = call(number, a, b, c, d, e, f);
  return result == -EINTR ? -kERestartSys : result;
}

}  // namespace lyrebird::user::host
