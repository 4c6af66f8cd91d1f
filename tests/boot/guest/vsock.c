// SPDX-License-Identifier: Apache-2.0
/* AF_VSOCK in the guest: a megabyte to the host's port 5000, which sends each byte back inverted; a port
   where nobody listens; then port 1234 gives back what it gets, once. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Behind <sys/socket.h>, which it needs. */
#include <linux/vm_sockets.h>

enum { kSize = 1 << 20, kHostPort = 5000, kNobody = 4999, kPort = 1234 };

static int connect_to(unsigned port) {
  const int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
  const struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
  if (connect(fd, (const struct sockaddr*)&address, sizeof address) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static void die(const char* what) {
  printf("vsock: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void send_all(int fd, const unsigned char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = write(fd, data, size);
    if (n <= 0) die("write");
    data += n, size -= (size_t)n;
  }
}

int main(void) {
  static unsigned char data[kSize], back[kSize + 1];
  setvbuf(stdout, NULL, _IOLBF, 0);
  const int listener = socket(AF_VSOCK, SOCK_STREAM, 0);
  const struct sockaddr_vm here = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = kPort};
  if (bind(listener, (const struct sockaddr*)&here, sizeof here) != 0 || listen(listener, 4) != 0)
    die("listen");
  unsigned cid = 0;
  if (ioctl(open("/dev/vsock", O_RDONLY), IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) != 0) die("/dev/vsock");
  printf("vsock: cid %u\n", cid);

  for (size_t i = 0; i < kSize; ++i) data[i] = (unsigned char)(i * 7 + i / 1000);
  const int fd = connect_to(kHostPort);
  if (fd < 0) die("connect");
  send_all(fd, data, kSize);
  shutdown(fd, SHUT_WR);
  size_t got = 0;
  for (ssize_t n; (n = read(fd, back + got, sizeof back - got)) > 0;) got += (size_t)n;
  size_t wrong = got != kSize;
  for (size_t i = 0; i < got && i < kSize; ++i) wrong += back[i] != (unsigned char)~data[i];
  close(fd);
  printf("vsock: %zu bytes there and back, %zu wrong\n", got, wrong);
  printf("vsock: nobody: %s\n", connect_to(kNobody) < 0 ? strerror(errno) : "connected");

  printf("vsock: listening\n");
  const int client = accept(listener, NULL, NULL);
  if (client < 0) die("accept");
  size_t served = 0;
  for (ssize_t n; (n = read(client, back, 4096)) > 0; served += (size_t)n) send_all(client, back, (size_t)n);
  close(client);
  printf("vsock: served %zu\n", served);
  return 0;
}
