#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b) { return *(const int *)b - *(const int *)a; }

int main(int argc, char **argv) {
  int limit = argc > 1 ? atoi(argv[1]) : 1000, found = 0;
  char *composite = calloc(limit + 1, 1);
  int *primes = malloc(sizeof(int) * limit);
  for (int i = 2; i <= limit; i++) {
    if (composite[i]) continue;
    primes[found++] = i;
    for (int j = i * i; j <= limit && i < 46340; j += i) composite[j] = 1;
  }
  qsort(primes, found, sizeof(int), compare);
  double sum = 0;
  for (int i = 0; i < found; i++) sum += sqrt(primes[i]) / log(primes[i]);
  printf("%d primes, largest %d, %.12f\n", found, primes[0], sum);
  return 0;
}
