// SPDX-License-Identifier: Apache-2.0
/* rates BASE DISK: 4000 port reads, reads of a virtio-mmio register and notifications of its queue 0, 400 random reads of
   4 KiB, between lines that say so: the time is taken outside, by what the machine outside needed for it. BASE is where the
   disk's registers are. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int count, char** arguments) {
  enum { kTimes = 4000, kReads = 400, kMagic = 0, kNotify = 0x50, kBlock = 4096, kBlocks = 1024 };
  if (count < 3 || iopl(3) != 0) return perror("iopl"), 1;
  setvbuf(stdout, NULL, _IOLBF, 0);
  const unsigned long base = strtoul(arguments[1], NULL, 16);
  const int memory = open("/dev/mem", O_RDWR | O_SYNC);
  char* const page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, (off_t)(base & ~4095ul));
  if (page == MAP_FAILED) return perror("/dev/mem"), 1;
  char* const registers = page + (base & 4095);
  puts("INNER port_begin");
  for (int i = 0; i < kTimes; ++i) (void)inb(0x3fd);
  puts("INNER port_end");
  puts("INNER mmio_begin");
  for (int i = 0; i < kTimes; ++i)
    if (*(volatile uint32_t*)(registers + kMagic) != 0x74726976) return puts("INNER no virtio here"), 1;
  puts("INNER mmio_end");
  puts("INNER notify_begin");
  for (int i = 0; i < kTimes; ++i) *(volatile uint32_t*)(registers + kNotify) = 0;
  puts("INNER notify_end");
  const int disk = open(arguments[2], O_RDONLY | O_DIRECT);
  char* const block = aligned_alloc(kBlock, kBlock);
  unsigned at = 1;
  puts("INNER disk_begin");
  for (int i = 0; i < kReads; ++i) {
    at = at * 1664525 + 1013904223;
    if (pread(disk, block, kBlock, (off_t)(at >> 8) % kBlocks * kBlock) != kBlock) return perror(arguments[2]), 1;
  }
  puts("INNER disk_end");
  return 0;
}
