// SPDX-License-Identifier: Apache-2.0
// strstr, strchr, strcmp, tolower and a hash table of words.
#include <ctype.h>

#include "kernel.h"

int main(int argc, char** argv) {
  enum { kText = 20000, kBuckets = 1024 };
  static char text[kText + 1], word[64];
  static struct {
    char key[16];
    unsigned count;
  } table[kBuckets];
  uint64_t seed = 5, sum = 0;
  for (int i = 0; i < kText; ++i) text[i] = "etaoinETAOIN hr dlu "[next_random(&seed) % 20];
  for (long n = rounds(argc, argv) * 20; n-- > 0;) {
    memset(table, 0, sizeof table);
    for (const char* p = text; *p;) {
      unsigned length = 0, hash = 5381;
      for (; *p && *p != ' '; ++p)
        if (length < 15) {
          word[length] = (char)tolower(*p);
          hash = hash * 33 + (unsigned char)word[length++];
        }
      word[length] = 0;
      while (*p == ' ') ++p;
      for (unsigned k = hash % kBuckets, tries = 0; tries < 8; k = (k + 1) % kBuckets, ++tries) {
        if (!table[k].count) strcpy(table[k].key, word);
        if (strcmp(table[k].key, word) == 0) {
          ++table[k].count;
          break;
        }
      }
    }
    for (int i = 0; i < kBuckets; ++i) sum = mix(sum, table[i].count);
    sum += strstr(text, "etaoinx") != NULL;
    for (const char* p = text; (p = strchr(p, 'e')); ++p) ++sum;
  }
  return report("strings", sum);
}
