// SPDX-License-Identifier: Apache-2.0
// Calls through function pointers, and a switch: an interpreter of a small byte code.
#include "kernel.h"

typedef uint64_t (*Function)(uint64_t);
#define F(n, e) \
  static __attribute__((noinline)) uint64_t f##n(uint64_t x) { return e; }
F(0, x + 1)
F(1, x ^ x >> 3)
F(2, x * 5)
F(3, x - 7)
F(4, x << 1 | x >> 63)
F(5, ~x)
F(6, x + (x >> 2))
F(7, x ^ 0x55)
static Function volatile functions[8] = {f0, f1, f2, f3, f4, f5, f6, f7};

static __attribute__((noinline)) uint64_t interpret(const uint8_t* code, uint64_t x) {
  for (;;) switch (*code++) {
      case 0:
        return x;
      case 1:
        x += 3;
        break;
      case 2:
        x ^= x << 7;
        break;
      case 3:
        x ^= x >> 9;
        break;
      case 4:
        x *= 3;
        break;
      case 5:
        x -= *code++;
        break;
      case 6:
        x += *code++;
        break;
      case 7:
        x = x << 3 | x >> 61;
        break;
      case 8:
        if (x & 1) ++code;
        break;
      case 9:
        x = ~x;
        break;
      default:
        x += 1;
    }
}

int main(int argc, char** argv) {
  uint8_t code[1024];
  uint64_t x = 1, seed = 3;
  for (unsigned i = 0; i < sizeof code; ++i) code[i] = (uint8_t)(1 + next_random(&seed) % 11);
  code[1020] = 1;
  memset(code + 1021, 0, 3);
  for (long n = rounds(argc, argv); n-- > 0;) {
    for (unsigned i = 0; i < 800000; ++i) x = functions[(x ^ i) & 7](x);
    for (unsigned i = 0; i < 1500; ++i) x = interpret(code, x);
  }
  return report("indirect", x);
}
