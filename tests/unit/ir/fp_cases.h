// SPDX-License-Identifier: Apache-2.0
/// Operands for tests of the floating-point ops: every corner of a format, and
/// random ones that lie near corners far more often than uniform bits would.
#pragma once

#include <cstdint>
#include <vector>

namespace lyrebird::test {

/// xorshift64*: the same sequence everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1d;
  }
  uint64_t below(uint64_t bound) { return (next() >> 11) % bound; }

 private:
  uint64_t state_;
};

struct FpShape {
  unsigned exp_bits;
  unsigned frac_bits;
  int bias() const { return (1 << (exp_bits - 1)) - 1; }
  int max_biased() const { return (1 << exp_bits) - 1; }
  uint64_t frac_mask() const { return (uint64_t{1} << frac_bits) - 1; }
  uint64_t make(bool sign, int biased, uint64_t frac) const {
    return uint64_t{sign} << (exp_bits + frac_bits) | static_cast<uint64_t>(biased) << frac_bits |
           (frac & frac_mask());
  }
};
constexpr FpShape fp_shape(unsigned width) {
  return width == 16 ? FpShape{5, 10} : width == 32 ? FpShape{8, 23} : FpShape{11, 52};
}

/// Zeros, subnormals, powers of two around every limit, halves, infinities, NaNs.
inline std::vector<uint64_t> fp_corners(unsigned width) {
  const FpShape f = fp_shape(width);
  const uint64_t ones = f.frac_mask(), top = uint64_t{1} << (f.frac_bits - 1);
  std::vector<uint64_t> positive;
  const auto add = [&](int biased, uint64_t frac) {
    if (biased >= 0 && biased <= f.max_biased()) positive.push_back(f.make(false, biased, frac));
  };
  for (uint64_t frac : {uint64_t{0}, uint64_t{1}, uint64_t{2}, top >> 1, top, top | 1, ones - 1, ones})
    add(0, frac);
  for (uint64_t frac : {uint64_t{0}, uint64_t{1}, ones}) {
    add(1, frac);
    add(2, frac);
    add(f.max_biased() - 1, frac);
    add(f.bias() - 2, frac);
    add(f.bias() - 1, frac);
    add(f.bias(), frac);
  }
  for (uint64_t frac : {uint64_t{0}, top, top >> 1, top | top >> 1}) add(f.bias() + 1, frac);
  add(f.bias(), top);
  add(f.bias() + 3, ones);
  for (int power : {15, 16, 31, 32, 63, 64}) {
    add(f.bias() + power, 0);
    add(f.bias() + power - 1, ones);
    add(f.bias() + power, 1);
  }
  add(f.bias() + static_cast<int>(f.frac_bits), 1);
  add(f.bias() - static_cast<int>(f.frac_bits), 0);
  add(f.bias() / 2, 3);
  add(f.max_biased() - 3, 5);
  add(f.max_biased(), 0);
  add(f.max_biased(), 1);
  add(f.max_biased(), top - 2);
  add(f.max_biased(), top);
  add(f.max_biased(), top | 5);
  std::vector<uint64_t> all;
  for (uint64_t v : positive) {
    all.push_back(v);
    all.push_back(v | uint64_t{1} << (width - 1));
  }
  return all;
}

/// A fraction of all zeros, all ones, a run of ones, few bits, or any bits.
inline uint64_t fp_random_fraction(Random& random, unsigned bits) {
  const uint64_t mask = bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  const auto place = [&] { return uint64_t{1} << random.below(bits); };
  switch (random.below(6)) {
    case 0:
      return (0 - place()) & mask;
    case 1:
      return (place() - 1) & mask;
    case 2:
      return place() | place();
    case 3:
      return (place() - place()) & mask;
    default:
      return random.next() & mask;
  }
}

/// One operand. Half of them have exponents near the middle, so that sums and
/// products meet; the others are spread, with the ends preferred.
inline uint64_t fp_random(Random& random, unsigned width) {
  const FpShape f = fp_shape(width);
  const bool sign = random.next() >> 63;
  const uint64_t frac = fp_random_fraction(random, f.frac_bits);
  const int span = static_cast<int>(f.frac_bits) + 4;
  int biased;
  switch (random.below(8)) {
    case 0:
      biased = static_cast<int>(random.below(4));
      break;
    case 1:
      biased = f.max_biased() - static_cast<int>(random.below(4));
      break;
    case 2:
      biased = static_cast<int>(random.below(static_cast<uint64_t>(f.max_biased())));
      break;
    case 3:
      biased = f.bias() / 2 + static_cast<int>(random.below(8)) - 4;
      break;
    default:
      biased = f.bias() + static_cast<int>(random.below(static_cast<uint64_t>(2 * span))) - span;
      break;
  }
  if (biased < 0) biased = 0;
  if (biased > f.max_biased()) biased = f.max_biased();
  if (biased == f.max_biased() && random.below(4) != 0) biased -= 1;
  return f.make(sign, biased, frac);
}

}  // namespace lyrebird::test
