// SPDX-License-Identifier: Apache-2.0
// fork, vfork, posix_spawn and clone: statuses, shared and separate memory, errors of exec that
// the parent learns through memory it shares with the child, signal state across exec.
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "test.h"

extern char** environ;
static volatile int shared;

static void report(const char* what, pid_t pid) {
  int status = -1;
  pid_t r = waitpid(pid, &status, 0);
  printf("%s: %d exited %d code %d signaled %d\n", what, r == pid, WIFEXITED(status), WEXITSTATUS(status),
         WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static int in_child(void* arg) {
  shared += *(int*)arg;
  _exit(21);
}

static void spawn(const char* path, char* const argv[]) {
  pid_t pid;
  int r = posix_spawn(&pid, path, 0, 0, argv, environ);
  printf("spawn %s: %s\n", path, strerror(r));
  if (r == 0) report("spawned", pid);
}

static void make(const char* name, const char* text, int mode) {
  int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0600);
  CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
  close(fd);
  chmod(name, mode);
}

static void* spawner(void* arg) {
  long ok = 0;
  for (int i = 0; i < 10; i++) {
    pid_t pid;
    char* argv[] = {"sh", "-c", "exit 6", 0};
    int status;
    if (posix_spawn(&pid, "/bin/sh", 0, 0, argv, environ) == 0 && waitpid(pid, &status, 0) == pid &&
        WEXITSTATUS(status) == 6)
      ok++;
  }
  (void)arg;
  return (void*)ok;
}

int main(void) {
  setvbuf(stdout, 0, _IONBF, 0);
  pid_t pid = fork();
  if (pid == 0) {
    shared = 100;
    _exit(7);
  }
  report("fork", pid);
  printf("separate: %d\n", shared);
  pid = vfork();
  if (pid == 0) {
    shared = 100;
    _exit(8);
  }
  printf("shared: %d\n", shared);
  report("vfork", pid);

  char* stack = malloc(65536);
  int arg = 11;
  pid = clone(in_child, stack + 65536, CLONE_VM | CLONE_VFORK | SIGCHLD, &arg);
  printf("after the child: %d\n", shared);
  report("clone vm vfork", pid);
  pid = clone(in_child, stack + 65536, CLONE_VM | SIGCHLD, &arg);
  report("clone vm", pid);
  printf("after: %d\n", shared);
  int pidfd = -1;
  pid = clone(in_child, stack + 65536, CLONE_VM | CLONE_PIDFD | SIGCHLD, &arg, &pidfd);
  siginfo_t info;
  int r = waitid((idtype_t)3 /* P_PIDFD */, pidfd, &info, WEXITED);
  printf("pidfd: %d %d %d %d\n", r, info.si_pid == pid, info.si_code == CLD_EXITED, info.si_status);
  close(pidfd);

  char* sh[] = {"sh", "-c", "exit 4", 0};
  spawn("/bin/sh", sh);
  spawn("/nonexistent/program", sh);
  spawn("/tmp", sh);
  make("noexec", "#!/bin/sh\nexit 5\n", 0600);
  spawn("./noexec", sh);
  make("script", "#!/bin/sh -e\nexit $#\n", 0700);
  char* script[] = {"script", "a", "b", "c", 0};
  spawn("./script", script);
  make("script2", "#! ./script  one two \n", 0700);
  spawn("./script2", script);
  make("loop", "#!./loop\n", 0700);
  spawn("./loop", sh);
  make("lost", "#!/no/such/interpreter\n", 0700);
  spawn("./lost", sh);
  make("empty", "", 0700);
  make("garbage", "garbage\n", 0700);
  pid = fork();
  if (pid == 0) {
    errno = 0;
    execv("./garbage", sh);
    printf("garbage: %s\n", strerror(errno));
    execv("./empty", sh);
    printf("empty: %s\n", strerror(errno));
    int fd = open("script", O_WRONLY);
    execv("./script", script);
    printf("being written: %s\n", strerror(errno));
    close(fd);
    size_t big = 200000;
    char* long_one = malloc(big);
    memset(long_one, 'x', big - 1);
    long_one[big - 1] = 0;
    char* too_big[] = {"sh", long_one, 0};
    execv("/bin/sh", too_big);
    printf("too big: %s\n", strerror(errno));
    execve("/bin/sh", (char**)1, environ);
    printf("bad pointer: %s\n", strerror(errno));
    fd = open("script", O_RDONLY);
    fexecve(fd, script, environ);
    printf("fexecve: %s\n", strerror(errno));
    _exit(1);
  }
  report("execs", pid);

  // Ignored signals and the mask survive exec, handlers do not.
  pid = fork();
  if (pid == 0) {
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, abort);
    uint64_t set = bit_of(SIGHUP);
    raw_sigmask(SIG_BLOCK, set, 0);
    execl("/bin/sh", "sh", "-c",
          "while read line; do case $line in SigBlk*|SigIgn*) echo $line;; esac; done </proc/$$/status;"
          "kill -INT $$; kill -HUP $$; kill -TERM $$; exit 9",
          (char*)0);
  }
  report("signals over exec", pid);

  // Descriptors: close-on-exec.
  int keep = dup2(1, 77), drop = dup2(1, 78);
  fcntl(drop, F_SETFD, FD_CLOEXEC);
  (void)keep;
  pid = fork();
  if (pid == 0)
    execl("/bin/sh", "sh", "-c", "(echo kept >&77) 2>/dev/null; (: >&78) 2>/dev/null && echo wrong; exit 0",
          (char*)0);
  report("descriptors", pid);

  pthread_t t[4];
  long ok = 0;
  for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, spawner, 0);
  for (int i = 0; i < 4; i++) {
    void* result;
    pthread_join(t[i], &result);
    ok += (long)result;
  }
  printf("spawned by threads: %ld\n", ok);
  return 0;
}
