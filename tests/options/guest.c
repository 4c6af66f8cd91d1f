// SPDX-License-Identifier: Apache-2.0
// What run.py looks at: a hot loop ("hot"), the same for a moment ("short"), 16,384 functions, each
// called twice ("many"), or itself from another directory, by its place in the root, twice ("moved").
#include <stdio.h>
#include <string.h>
#include <unistd.h>

__attribute__((noinline)) static unsigned loop(unsigned rounds) {
  unsigned x = 1;
  for (unsigned i = 0; i < rounds; ++i) x ^= x << 13, x ^= x >> 17, x ^= x << 5;
  return x;
}

// Eight instructions each.
extern const char first[];
__asm__(".text\n.balign 32\nfirst:\n.rept 16384\n"
        "  add w1, w0, #7\n  eor w0, w0, w1, lsl #3\n  tbz w0, #4, 1f\n  add w0, w0, #99\n"
        "1: ror w1, w0, #11\n  sub w0, w1, w0\n  add w0, w0, #1\n  ret\n"
        ".endr\n");

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  if (strcmp(argv[1], "moved") == 0) return chdir("/") || execl("/only-in-the-root", argv[0], "again", NULL);
  if (strcmp(argv[1], "again") == 0) return execl("/only-in-the-root", argv[0], "short", NULL);
  if (strcmp(argv[1], "many") != 0) {
    printf("%u\n", loop(strcmp(argv[1], "hot") == 0 ? 300000000 : 1000));
    return 0;
  }
  unsigned x = 1;
  for (unsigned i = 0; i < 2 * 16384; ++i) x = ((unsigned (*)(unsigned))(first + i % 16384 * 32))(x);
  printf("%u\n", x);
  return 0;
}
