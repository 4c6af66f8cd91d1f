// SPDX-License-Identifier: Apache-2.0
#include "tests/diff/generate.h"

#include <algorithm>
#include <iterator>

namespace lyrebird::diff {

using arm::a64::Row;

namespace {

/// Handlers (or their beginnings, with *) that are left out, and why.
constexpr std::string_view kLeftOut[] = {
    // A syscall of the guest program.
    "SVC",
    // The peer has other keys and another algorithm.
    "PAC*",
    "AUT*",
    "BRA",
    "BRAZ",
    "BLRA",
    "BLRAZ",
    "RETA",
    "LDRA*",
    // The guest program's own thread pointer.
    "MRS_TPIDR*",
    "MSR_TPIDR*",
    // What a machine has; programs are refused it, or the kernel has an answer for them.
    "MRS_any",
    "MSR_any",
    "SYS*",
    "MSR_imm",
    // Another processor: clock, identification, cache geometry (DC ZVA clears 512 bytes there).
    "DC_CVAP",  // undefined in the peer's user mode, Linux allows them
    "DC_CVADP",
    "MRS_CNT*",
    "MRS_id",
    "MRS_CTR*",
    "MRS_DCZID*",
    "DC_ZVA",
    "MRS_SSBS",
    "MSR_SSBS",
    "MSR_imm_SSBS",
};

bool matches(std::string_view name, std::string_view pattern) {
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return name == pattern;
}

/// Hints that sign or authenticate pointers.
bool is_pac_hint(uint32_t word) {
  if ((word & 0xfffff01f) != 0xd503201f) return false;
  const uint32_t number = word >> 5 & 0x7f;
  return number == 8 || number == 10 || number == 12 || number == 14 || (number >= 24 && number <= 31);
}

uint64_t random_int(Random& random) {
  const uint64_t raw = random.next();
  switch (random.below(8)) {
    case 0:
      return raw & 0xff;
    case 1:
      return 0 - (raw & 0xff);
    case 2:
      return uint64_t{1} << (raw & 63);
    case 3:
      return (uint64_t{1} << (raw & 63)) - 1;
    case 4:
      return (raw & 1) ? 0x7fffffffffffffff : 0x7fffffff;
    case 5:
      return static_cast<uint32_t>(raw);
    default:
      return raw;
  }
}

uint64_t random_register(Random& random) {
  switch (random.below(5)) {
    case 0:
    case 1: {  // inside the data page, mostly aligned
      const uint64_t offset = random.below(kDiffPage);
      const uint64_t align = uint64_t{1} << random.below(5);
      return DIFF_DATA + (random.one_in(6) ? offset : offset & ~(align - 1));
    }
    case 2:
      return random.below(256);
    default:
      return random_int(random);
  }
}

/// A lane that is often a special number of the float format of that many bits.
uint64_t random_float(Random& random, unsigned bits) {
  const unsigned fraction = bits == 16 ? 10 : bits == 32 ? 23 : 52;
  const uint64_t one = uint64_t{1} << fraction;
  const uint64_t exponent_mask = ((uint64_t{1} << (bits - 1)) - 1) & ~(one - 1);
  const uint64_t bias = (exponent_mask >> fraction) >> 1;
  const uint64_t raw = random.next();
  const uint64_t sign = (raw & 1) << (bits - 1);
  const uint64_t few = raw >> 8 & (one - 1) & ~(one - (one >> (raw >> 4 & 15)));  // short fraction
  switch (random.below(12)) {
    case 0:
      return sign;
    case 1:
      return sign | exponent_mask;
    case 2:
      return sign | exponent_mask | one >> 1 | few;  // quiet NaN
    case 3:
      return sign | exponent_mask | 1 | (raw >> 8 & (one >> 2) - 1);  // signalling NaN
    case 4:
      return sign | (raw >> 8 & (one - 1));  // subnormal
    case 5:
      return sign | one | (random.one_in(2) ? 0 : few);  // smallest normal
    case 6:
      return sign | (exponent_mask - 1);  // largest
    case 7:
      return sign | (bias + random.below(70) - 3) << fraction | few;  // about an integer
    case 8:
    case 9:
      return sign | ((bias - 2 + random.below(5)) << fraction) | (raw >> 8 & (one - 1));
    default:
      return raw >> 3;
  }
}

void random_vector(Random& random, uint64_t* v) {
  switch (random.below(8)) {
    case 0:
      v[0] = random_int(random);
      v[1] = random_int(random);
      return;
    case 1:
      v[0] = v[1] = 0;
      return;
    case 2: {  // small bytes: shift amounts, table indexes
      for (int i = 0; i < 2; ++i) v[i] = random.next() & 0x3f3f3f3f3f3f3f3f;
      return;
    }
    case 3:
      v[0] = random.next();
      v[1] = random.next();
      return;
    default: {
      const unsigned bits = 16u << random.below(3);
      for (unsigned i = 0; i < 2; ++i) {
        v[i] = 0;
        for (unsigned at = 0; at < 64; at += bits) {
          const uint64_t mask = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
          v[i] |= (random_float(random, bits) & mask) << at;
        }
      }
    }
  }
}

}  // namespace

bool is_comparable(const Row& row) {
  return std::none_of(std::begin(kLeftOut), std::end(kLeftOut),
                      [&](std::string_view pattern) { return matches(row.handler, pattern); });
}

std::vector<const Row*> rows_to_test(std::string_view only) {
  std::vector<const Row*> rows;
  for (const Row* row : arm::a64::all_rows())
    if (is_comparable(*row) && row->handler.find(only) != std::string_view::npos) rows.push_back(row);
  return rows;
}

uint32_t random_word(Random& random, const Row& row) {
  for (unsigned i = 0; i < 10000; ++i) {
    const uint32_t word = row.value | (static_cast<uint32_t>(random.next()) & ~row.mask);
    if (arm::a64::find_row(word) == &row && !is_pac_hint(word)) return word;
  }
  return 0xd503201f;  // a row that is wholly covered by others: nop
}

void random_state(Random& random, DiffState& state) {
  for (uint64_t& x : state.x) x = random_register(random);
  state.sp = random.one_in(4) ? random_register(random) : DIFF_DATA + (random.below(kDiffPage) & ~15u);
  for (auto& v : state.v) random_vector(random, v);
  state.nzcv = random.below(16) << 28;
  state.fpcr = 0;
  if (random.one_in(2)) {
    constexpr uint32_t kBits[] = {1u << 26, 1u << 25, 1u << 24, 1u << 23, 1u << 22, 1u << 19};
    for (const uint32_t bit : kBits)
      if (random.one_in(3)) state.fpcr |= bit;
  }
  state.fpsr = random.one_in(2) ? 0 : static_cast<uint32_t>(random.next()) & 0x0800009f;
  state.pad = 0;
}

}  // namespace lyrebird::diff
