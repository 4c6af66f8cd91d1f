// SPDX-License-Identifier: Apache-2.0
// Sockets: names, messages with descriptors and credentials, options, many messages at once.
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "show.h"

static void tcp(void) {
  int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  SHOW(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
  struct sockaddr_in address = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {0}};
  SHOW(bind(server, (struct sockaddr*)&address, sizeof address));
  SHOW(listen(server, 5));
  socklen_t size = sizeof address;
  SHOW(getsockname(server, (struct sockaddr*)&address, &size));
  printf("%u %x\n", size, ntohl(address.sin_addr.s_addr));
  int client = socket(AF_INET, SOCK_STREAM, 0);
  SHOW(connect(client, (struct sockaddr*)&address, sizeof address));
  struct sockaddr_storage peer;
  size = 4;
  int end = accept4(server, (struct sockaddr*)&peer, &size, SOCK_NONBLOCK);
  printf("%d %u %d\n", end >= 0, size, fcntl(end, F_GETFL) & O_NONBLOCK ? 1 : 0);
  SHOW(recv(end, &one, 1, 0));
  SHOW(send(client, "hello", 5, 0));
  char text[16] = "";
  SHOW(recv(end, text, 3, MSG_PEEK | MSG_WAITALL));
  SHOW(recvfrom(end, text, sizeof text, 0, 0, 0));
  printf("%s\n", text);
  int value = 0;
  size = sizeof value;
  SHOW(getsockopt(client, IPPROTO_TCP, TCP_NODELAY, &value, &size));
  SHOW(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
  SHOW(getsockopt(client, SOL_SOCKET, SO_TYPE, &value, &size));
  printf("%d %u\n", value, size);
  struct timeval limit = {0, 20000}, got;
  SHOW(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
  size = sizeof got;
  SHOW(getsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &got, &size));
  printf("%d %u\n", got.tv_usec >= 20000, size);
  SHOW(recv(client, text, 1, 0));
  SHOW(shutdown(client, SHUT_WR));
  SHOW(recv(end, text, 1, 0));
  SHOW(shutdown(server + 50, SHUT_WR));
  SHOW(setsockopt(client, 12345, 1, &one, sizeof one));
  close(end);
  struct linger linger = {1, 0};
  SHOW(setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
  close(client);
  client = socket(AF_INET, SOCK_STREAM, 0);
  close(server);
  SHOW(connect(client, (struct sockaddr*)&address, sizeof address));
}

static void local(void) {
  int pair[2];
  SHOW(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
  SHOW(fcntl(pair[0], F_GETFL) & O_NONBLOCK ? 1 : 0);
  int pass[2];
  CHECK(pipe(pass) == 0);
  int one = 1;
  SHOW(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
  char control[CMSG_SPACE(2 * sizeof(int))] __attribute__((aligned(8))) = {0};
  struct iovec part = {"fds", 3};
  struct msghdr message = {0, 0, &part, 1, control, sizeof control, 0};
  struct cmsghdr* c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(2 * sizeof(int));
  memcpy(CMSG_DATA(c), pass, sizeof pass);
  SHOW(sendmsg(pair[0], &message, 0));
  char text[16] = "", in[256] __attribute__((aligned(8)));
  struct iovec to = {text, sizeof text};
  struct msghdr got = {0, 0, &to, 1, in, sizeof in, 0};
  SHOW(recvmsg(pair[1], &got, MSG_CMSG_CLOEXEC));
  printf("%s flags %x\n", text, got.msg_flags & ~MSG_CMSG_CLOEXEC);
  for (c = CMSG_FIRSTHDR(&got); c; c = CMSG_NXTHDR(&got, c)) {
    printf("level %d type %d length %lu\n", c->cmsg_level, c->cmsg_type, (unsigned long)c->cmsg_len);
    if (c->cmsg_type == SCM_CREDENTIALS) {
      struct ucred who;
      memcpy(&who, CMSG_DATA(c), sizeof who);
      printf("own pid: %d\n", who.pid == getpid());
    } else {
      int fds[2];
      memcpy(fds, CMSG_DATA(c), sizeof fds);
      CHECK(write(fds[1], "y", 1) == 1 && read(pass[0], text, 1) == 1);
      printf("%c %d\n", text[0], fcntl(fds[0], F_GETFD));
    }
  }
  SHOW(sendmsg(pair[0], &message, 0));
  got.msg_controllen = 20;
  SHOW(recvmsg(pair[1], &got, 0));
  printf("truncated: %d\n", got.msg_flags & MSG_CTRUNC ? 1 : 0);
  struct ucred who;
  socklen_t size = sizeof who;
  SHOW(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &who, &size));
  printf("%d %u\n", who.pid == getpid(), size);
}

static void datagrams(void) {
  int a = socket(AF_UNIX, SOCK_DGRAM, 0), b = socket(AF_UNIX, SOCK_DGRAM, 0);
  struct sockaddr_un name = {AF_UNIX, "\0lyrebird-test"};
  snprintf(name.sun_path + 1, 90, "lyrebird-%d", getpid());
  SHOW(bind(a, (struct sockaddr*)&name, 2 + 1 + strlen(name.sun_path + 1)));
  SHOW(connect(b, (struct sockaddr*)&name, 2 + 1 + strlen(name.sun_path + 1)));
  struct iovec parts[3] = {{"one", 3}, {"three", 5}, {"fiver", 5}};
  struct mmsghdr out[3] = {{{0, 0, &parts[0], 1, 0, 0, 0}, 0},
                           {{0, 0, &parts[1], 1, 0, 0, 0}, 0},
                           {{0, 0, &parts[2], 1, 0, 0, 0}, 0}};
  SHOW(sendmmsg(b, out, 3, 0));
  printf("%u %u %u\n", out[0].msg_len, out[1].msg_len, out[2].msg_len);
  char text[3][8] = {{0}};
  struct iovec to[3] = {{text[0], 8}, {text[1], 4}, {text[2], 8}};
  struct mmsghdr in[3] = {
      {{0, 0, &to[0], 1, 0, 0, 0}, 0}, {{0, 0, &to[1], 1, 0, 0, 0}, 0}, {{0, 0, &to[2], 1, 0, 0, 0}, 0}};
  SHOW(recvmmsg(a, in, 3, MSG_WAITFORONE, 0));
  for (int i = 0; i < 3; ++i) printf("%u %.8s %x\n", in[i].msg_len, text[i], in[i].msg_hdr.msg_flags);
  SHOW(recvfrom(a, text, 8, MSG_DONTWAIT, 0, 0));
  struct ifreq request = {0};
  strcpy(request.ifr_name, "lo");
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  SHOW(ioctl(s, SIOCGIFINDEX, &request));
  SHOW(request.ifr_ifindex);
  strcpy(request.ifr_name, "none0");
  SHOW(ioctl(s, SIOCGIFFLAGS, &request));
  SHOW(socket(12345, SOCK_STREAM, 0));
}

int main(void) {
  tcp();
  local();
  datagrams();
  return 0;
}
