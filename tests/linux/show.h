// SPDX-License-Identifier: Apache-2.0
// SHOW(call): prints the call's text, its result if small, and the error.
#pragma once

#include "test.h"

static inline void show_result(const char* text, long result) {
  if (result == -1)
    printf("%s = -1 %s\n", text, strerrorname_np(errno));
  else if (result >= -4096 && result < 65536)
    printf("%s = %ld\n", text, result);
  else
    printf("%s = ok\n", text);
}
#define SHOW(call) (errno = 0, show_result(#call, (long)(call)))
