// SPDX-License-Identifier: Apache-2.0
/// What the fuzzer and the guest program that runs under the peer exchange: plain
/// little-endian structs, C and C++.
#pragma once

#include <stdint.h>

enum {
  kDiffMaxWords = 6,
  kDiffBatch = 48, /* batches of inputs and of outputs fit into a pipe: nobody can block */
  kDiffPage = 4096,
  kDiffUdf = 0xdead, /* a permanently undefined word: what the code page is full of */
};
/* no power of two and no run of ones, which random registers often hold */
#define DIFF_CODE 0x1250000000ull
#define DIFF_DATA 0x2340000000ull

struct DiffState {
  uint64_t x[31];
  uint64_t sp;
  uint64_t v[32][2];
  uint32_t nzcv; /* in bits 31:28 */
  uint32_t fpcr, fpsr;
  uint32_t pad;
};

struct DiffInput {
  struct DiffState state;
  uint64_t memory_seed;
  uint32_t words[kDiffMaxWords];
  uint32_t word_count;
  uint32_t want_memory; /* the whole data page follows the outputs */
};

struct DiffOutput {
  struct DiffState state;
  uint64_t pc;
  uint64_t memory_hash;
  uint32_t signal; /* how it ended: SIGILL at the end of the words is the normal way */
  uint32_t pad;
};

static inline uint64_t diff_random(uint64_t* state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

static inline void diff_fill_memory(uint64_t seed, uint64_t* page) {
  for (int i = 0; i < kDiffPage / 8; ++i) page[i] = diff_random(&seed);
}

static inline uint64_t diff_hash_memory(const uint64_t* page) {
  uint64_t hash = 0;
  for (int i = 0; i < kDiffPage / 8; ++i) hash = (hash ^ page[i]) * 0x100000001b3ull + (hash >> 29);
  return hash;
}
