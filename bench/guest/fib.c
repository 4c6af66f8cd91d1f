// SPDX-License-Identifier: Apache-2.0
// Recursive calls and returns.
#include "kernel.h"

#pragma GCC optimize("no-optimize-sibling-calls", "no-inline", "no-ipa-cp")
static __attribute__((noinline, noclone)) unsigned fib(unsigned n) {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

int main(int argc, char** argv) {
  uint64_t sum = 0;
  for (long n = rounds(argc, argv); n-- > 0;) sum = mix(sum, fib(29 + (unsigned)(n & 1)));
  return report("fib", sum);
}
