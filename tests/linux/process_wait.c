// SPDX-License-Identifier: Apache-2.0
// wait4 and waitid: stops, continues, deaths by signal, usage, SIGCHLD's siginfo, orphans of
// ignored SIGCHLD, pidfds, setuid per thread, prctl.
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "test.h"

static volatile int child_code, child_status, child_pid;
static void on_child(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  child_code = info->si_code;
  child_status = info->si_status;
  child_pid = info->si_pid;
}

static void print_info(const char* what, int r, siginfo_t* info, pid_t pid) {
  printf("%s: %d signo %d code %d status %d pid %d\n", what, r, info->si_signo, info->si_code,
         info->si_status, info->si_pid == pid);
}

static void* change_id(void* arg) {
  (void)arg;
  // The raw call changes this thread alone.
  long r = syscall(SYS_setresgid, 1234, 1234, -1);
  return (void*)(r == 0 ? (long)syscall(SYS_getegid) : -1);
}

int main(void) {
  setvbuf(stdout, 0, _IONBF, 0);
  raw_sigaction(SIGCHLD, (void*)on_child, SA_SIGINFO | SA_RESTART, 0);
  pid_t pid = fork();
  if (pid == 0) {
    for (;;) pause();
  }
  siginfo_t info;
  memset(&info, 0, sizeof info);
  kill(pid, SIGSTOP);
  // A stopped child can be waited for before its signal is made, which then has no status any more.
  for (int i = 0; i < 5000 && !child_pid; i++) usleep(1000);
  int r = waitid(P_PID, pid, &info, WSTOPPED);
  print_info("stopped", r, &info, pid);
  printf("sigchld: %d %d %d\n", child_code, child_status, child_pid == pid);
  kill(pid, SIGCONT);
  r = waitid(P_PID, pid, &info, WCONTINUED);
  print_info("continued", r, &info, pid);
  memset(&info, 0, sizeof info);
  r = waitid(P_PID, pid, &info, WEXITED | WNOHANG);
  print_info("running", r, &info, 0);
  kill(pid, SIGTERM);
  r = waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
  print_info("killed, left", r, &info, pid);
  int status;
  struct rusage usage;
  r = wait4(pid, &status, 0, &usage);
  printf("wait4: %d %x\n", r == pid, status);
  errno = 0;
  r = wait4(pid, &status, 0, 0);
  printf("again: %d %s\n", r, strerror(errno));
  for (int s = 1; s <= 64; s++) {
    if (s == SIGCHLD || s == SIGCONT || s == SIGURG || s == SIGWINCH || s == SIGSTOP || s == SIGTSTP ||
        s == SIGTTIN || s == SIGTTOU)
      continue;
    pid = fork();
    if (pid == 0) {
      struct rlimit none = {0, 0};
      setrlimit(RLIMIT_CORE, &none);
      kill(getpid(), s);
      _exit(1);
    }
    waitpid(pid, &status, 0);
    printf("%d:%x ", s, status);
  }
  printf("\n");

  raw_sigaction(SIGCHLD, (void*)SIG_IGN, 0, 0);
  pid = fork();
  if (pid == 0) _exit(0);
  errno = 0;
  r = waitpid(pid, &status, 0);
  printf("ignored: %d %s\n", r, strerror(errno));
  raw_sigaction(SIGCHLD, (void*)SIG_DFL, 0, 0);

  pid = fork();
  if (pid == 0) {
    usleep(20000);
    _exit(3);
  }
  int fd = syscall(SYS_pidfd_open, pid, 0);
  struct pollfd p = {fd, POLLIN, 0};
  printf("pidfd: %d\n", poll(&p, 1, 5000));
  syscall(SYS_pidfd_send_signal, fd, SIGKILL, 0, 0);
  waitpid(pid, &status, 0);
  printf("status %x\n", status);

  char name[16] = "";
  prctl(PR_SET_NAME, "a name that is too long");
  prctl(PR_GET_NAME, name);
  printf("name %s\n", name);
  int death = 0;
  prctl(PR_SET_PDEATHSIG, SIGUSR1);
  prctl(PR_GET_PDEATHSIG, &death);
  printf("pdeathsig %d\n", death);
  if (geteuid() == 0) {
    pthread_t t;
    void* result;
    pthread_create(&t, 0, change_id, 0);
    pthread_join(t, &result);
    printf("thread %ld, process %d\n", (long)result, getegid());
    CHECK(setgid(4321) == 0);
    pthread_create(&t, 0, change_id, 0);
    pthread_join(t, &result);
    printf("thread %ld, process %d\n", (long)result, getegid());
  }
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = 123;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  printf("nofile %lu\n", (unsigned long)limit.rlim_cur);
  return 0;
}
