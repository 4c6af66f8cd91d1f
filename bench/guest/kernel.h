// SPDX-License-Identifier: Apache-2.0
// What every kernel shares: argv[1] is how many times the unit of work is done (some 0.02 s
// under an emulator each), the checksum on stdout depends on all of it.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline long rounds(int argc, char** argv) { return argc > 1 ? atol(argv[1]) : 1; }
static inline uint64_t next_random(uint64_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}
static inline uint64_t mix(uint64_t sum, uint64_t value) { return (sum ^ value) * 0x9e3779b97f4a7c15u; }
static inline int report(const char* name, uint64_t sum) {
  printf("%s %016llx\n", name, (unsigned long long)sum);
  return 0;
}
