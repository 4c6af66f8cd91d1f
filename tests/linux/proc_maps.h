// SPDX-License-Identifier: Apache-2.0
// Files of /proc as text, and what /proc/self/maps says of an address.
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char text[1 << 20];

static ssize_t slurp(const char* path) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) return -1;
  ssize_t total = 0, n;
  while ((n = read(fd, text + total, sizeof text - 1 - total)) > 0) total += n;
  text[total] = 0;
  close(fd);
  return total;
}

/// The line of /proc/self/maps that holds an address: its rights.
static void rights_of(const char* what, const void* address) {
  char rights[5] = "none";
  slurp("/proc/self/maps");
  for (char* line = strtok(text, "\n"); line; line = strtok(0, "\n")) {
    unsigned long low, high;
    char r[5];
    if (sscanf(line, "%lx-%lx %4s", &low, &high, r) == 3 && (unsigned long)address >= low &&
        (unsigned long)address < high)
      strcpy(rights, r);
  }
  printf("%s %s\n", what, rights);
}
