// SPDX-License-Identifier: Apache-2.0
// Forks while hot loops are being compiled in the background: parent and children go on alike.
#include <sys/mman.h>
#include <sys/wait.h>

#include "test.h"

// Four loops that become hot at different times.
static uint32_t mix(uint32_t x, unsigned kind, unsigned rounds) {
  for (unsigned i = 0; i < rounds; ++i) switch (kind % 4) {
      case 0:
        x = x * 1664525 + 1013904223;
        break;
      case 1:
        x ^= x << 13, x ^= x >> 17, x ^= x << 5;
        break;
      case 2:
        x = (x >> 1) ^ (-(x & 1) & 0xedb88320);
        break;
      default:
        x = x % 65521 * 16807 + i;
    }
  return x;
}

int main(void) {
  uint32_t *sums = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  uint32_t own = 1, failed = 0;
  for (unsigned i = 0; i < 120; ++i) {
    own = mix(own, i / 3, 20000);
    pid_t pid = fork();
    if (pid == 0) {
      uint32_t x = own;
      for (unsigned k = 0; k < 8; ++k) x = mix(x, i + k, 10000);
      sums[i] = x;
      // Every fourth has a child itself.
      if (i % 4 == 0) {
        pid = fork();
        if (pid == 0) {
          sums[i + 200] = mix(x, i, 50000);
          _exit(0);
        }
        int status;
        _exit(waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 1);
      }
      _exit(0);
    }
    int status = -1;
    failed += waitpid(pid, &status, 0) != pid || status != 0;
  }
  uint32_t all = own;
  for (unsigned i = 0; i < 400; ++i) all = all * 31 + sums[i];
  printf("failed %u, sum %08x\n", failed, all);
  return 0;
}
