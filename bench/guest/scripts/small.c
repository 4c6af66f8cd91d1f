/* 60 lines without a header, so that every compiler reads the same. */
typedef unsigned long size; typedef unsigned char byte;
extern void* malloc(size);
extern int printf(const char*, ...);

struct list { struct list* next; int key; double weight; };

static struct list* insert(struct list* head, int key, double weight) {
  struct list* fresh = malloc(sizeof *fresh);
  fresh->key = key;
  fresh->weight = weight;
  if (!head || head->key >= key) {
    fresh->next = head;
    return fresh;
  }
  struct list* at = head;
  while (at->next && at->next->key < key) at = at->next;
  fresh->next = at->next;
  at->next = fresh;
  return head;
}

static double total(const struct list* l) {
  double t = 0;
  for (; l; l = l->next) t += l->weight * l->key;
  return t;
}

static unsigned crc(const byte* data, size n) {
  unsigned c = ~0u;
  for (size i = 0; i < n; ++i) {
    c ^= data[i];
    for (int k = 0; k < 8; ++k) c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
  }
  return ~c;
}

static void sort(int* a, int n) {
  if (n < 2) return;
  int p = a[n / 2], i = 0, j = n - 1;
  while (i <= j) {
    while (a[i] < p) ++i;
    while (a[j] > p) --j;
    if (i <= j) { int t = a[i]; a[i++] = a[j]; a[j--] = t; }
  }
  sort(a, j + 1);
  sort(a + i, n - i);
}

int main(int argc, char** argv) {
  int a[100];
  struct list* l = 0;
  for (int i = 0; i < 100; ++i) {
    a[i] = (i * 7919 + argc) % 101;
    l = insert(l, a[i], i / 3.0);
  }
  sort(a, 100);
  switch (a[3]) { case 1: argc = 7; break; case 2: argc <<= 2; break; case 9: argc = -argc; break; default: break; }
  return printf("%d %f %u\n", a[50], total(l), crc((const byte*)argv[0], 3)) + argc;
}
