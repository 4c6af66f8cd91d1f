// SPDX-License-Identifier: Apache-2.0
// Records, string copies and short calls, in the proportions of Dhrystone.
#include "kernel.h"

typedef struct Record {
  struct Record* next;
  int kind, enumeration, number;
  char text[31];
} Record;
static Record one, two;
static int global_int, array1[50], array2[50][50];
static char char1, char2;

static __attribute__((noinline)) int same(char a, char b) {
  const char c = a;
  if (c != b) return 0;
  char1 = c;
  return 1;
}
static __attribute__((noinline)) int greater(const char* a, const char* b) {
  int i = 2;
  char c = 0;
  while (i <= 2)
    if (same(a[i], b[i + 1]) == 0) {
      c = 'A';
      ++i;
    }
  if (c >= 'W' && c < 'Z') i = 7;
  if (c == 'R') return 1;
  if (strcmp(a, b) > 0) {
    global_int = i + 7;
    return 1;
  }
  return 0;
}
static __attribute__((noinline)) void arrays(int* a, int b[50][50], int x, int y) {
  const int at = x + 5;
  a[at] = y;
  a[at + 1] = a[at];
  a[at + 30] = at;
  for (int i = at; i <= at + 1; ++i) b[at][i] = at;
  b[at][at - 1] += 1;
  b[at + 20][at] = a[at];
  global_int = 5;
}
static __attribute__((noinline)) void records(Record* r) {
  Record* const next = r->next;
  *next = *r;
  r->number = 5;
  next->number = r->number;
  next->next = r->next;
  if (next->kind == 0) {
    next->number = 6 + (char2 == 'B');
    next->enumeration = r->enumeration;
  } else {
    *r = *next;
  }
}

int main(int argc, char** argv) {
  uint64_t sum = 0;
  char a[31], b[31];
  one.next = &two;
  strcpy(one.text, "DHRYSTONE PROGRAM, SOME STRING");
  strcpy(a, "DHRYSTONE PROGRAM, 1'ST STRING");
  for (long n = 0, end = rounds(argc, argv) * 100000; n < end; ++n) {
    char1 = 'A';
    char2 = 'B';
    int x = 2, y = 3, z = 0;
    strcpy(b, "DHRYSTONE PROGRAM, 2'ND STRING");
    const int e = !greater(a, b);
    while (x < y) {
      z = 5 * x - y;
      ++x;
    }
    arrays(array1, array2, x, z);
    records(&one);
    for (char c = 'A'; c <= char2; ++c)
      if (same(c, 'C')) z += e;
    y = y * x;
    x = y / (z ? z : 1);
    sum += (uint64_t)(x + y + z + global_int + two.number);
  }
  return report("dhry", mix(sum, (uint64_t)array2[8][7]));
}
