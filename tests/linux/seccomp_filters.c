// SPDX-License-Identifier: Apache-2.0
// seccomp(2): strict mode, filters and each of their actions, what is inherited, what is refused.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "show.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#define RESULT gregs[REG_RAX]
#define PC gregs[REG_RIP]
#elif defined(__i386__)
#define ARCH AUDIT_ARCH_I386
#define RESULT gregs[REG_EAX]
#define PC gregs[REG_EIP]
#else
#define ARCH AUDIT_ARCH_AARCH64
#define RESULT regs[0]
#define PC pc
#endif

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static long install(const struct sock_filter* code, size_t size, unsigned flags) {
  struct sock_fprog program = {size, (struct sock_filter*)code};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

// `action` for one system call, the rest is allowed.
static long on_call(int number, uint32_t action, unsigned flags) {
  const struct sock_filter code[] = {LOAD(arch),
                                     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
                                     RETURN(SECCOMP_RET_KILL_PROCESS),
                                     LOAD(nr),
                                     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
                                     RETURN(action),
                                     RETURN(SECCOMP_RET_ALLOW)};
  return install(code, COUNT(code), flags);
}

static void print_end(const char* name, int status) {
  if (WIFSIGNALED(status))
    printf("%s: killed by %d\n", name, WTERMSIG(status));
  else
    printf("%s: exit %d\n", name, WEXITSTATUS(status));
}

static void in_child(const char* name, void (*what)(void)) {
  fflush(stdout);
  if (fork() == 0) {
    what();
    fflush(stdout);
    _exit(0);
  }
  int status;
  wait(&status);
  print_end(name, status);
}

static void refused(void) {
  SHOW(prctl(PR_GET_SECCOMP));
  SHOW(syscall(SYS_seccomp, 99, 0, 0));
  SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, 0));
  SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, 8));
  SHOW(prctl(PR_SET_SECCOMP, 3, 0));
  const struct sock_filter allow[] = {RETURN(SECCOMP_RET_ALLOW)};
  SHOW(install(allow, 1, 1 << 12));
  SHOW(install(0, 1, 0));
  SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, 8));
  SHOW(install(allow, 0, 0));
  SHOW(install(allow, 5000, 0));
  const struct sock_filter bad[][3] = {
      {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), RETURN(0), RETURN(0)},
      {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), RETURN(0), RETURN(0)},
      {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), RETURN(0), RETURN(0)},
      {BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RETURN(0), RETURN(0)},
      {BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 3), RETURN(0), RETURN(0)},
      {BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), RETURN(0), RETURN(0)},
      {BPF_JUMP(BPF_JMP | BPF_JA, 2, 0, 0), RETURN(0), RETURN(0)},
      {BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2), RETURN(0), RETURN(0)},
      {BPF_STMT(BPF_LD | BPF_MEM, 3), RETURN(0), RETURN(0)},
      {BPF_STMT(BPF_ST, 16), RETURN(0), RETURN(0)},
      {RETURN(0), RETURN(0), BPF_STMT(BPF_MISC | BPF_TAX, 0)},
      {BPF_STMT(BPF_RET | BPF_X, 0), RETURN(0), RETURN(0)},
  };
  for (size_t i = 0; i < COUNT(bad); i++) {
    errno = 0;
    printf("bad program %zu: %ld", i, install(bad[i], 3, 0));
    printf(" %s\n", strerrorname_np(errno));
  }
  const uint32_t actions[] = {
      SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP,  SECCOMP_RET_ERRNO,
      SECCOMP_RET_TRACE,        SECCOMP_RET_LOG,         SECCOMP_RET_ALLOW, 0x12340000};
  for (size_t i = 0; i < COUNT(actions); i++)
    SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &actions[i]));
  SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, 8));
  SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 1, actions));
}

static void strict(void) {
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
  (void)!write(1, "still here\n", 11);
  syscall(SYS_exit, 3);
}
static void strict_broken(void) {
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
  getppid();
}

static void with_errno(void) {
  SHOW(on_call(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV, 0));
  SHOW(prctl(PR_GET_SECCOMP));
  SHOW(getppid());
  SHOW(on_call(SYS_getppid, SECCOMP_RET_ERRNO | EDOM, 0));  // of equals the newest
  SHOW(getppid());
  SHOW(on_call(SYS_getppid, SECCOMP_RET_TRACE, 0));  // weighs less
  SHOW(getppid());
  SHOW(on_call(SYS_getpgid, SECCOMP_RET_TRACE, 0));
  SHOW(getpgid(0));
  SHOW(on_call(SYS_getpriority, SECCOMP_RET_ERRNO | 0, 0));
  SHOW(syscall(SYS_getpriority, 77, 0));
  SHOW(on_call(SYS_getsid, SECCOMP_RET_ERRNO | 0xffff, 0));
  printf("%d\n", (int)syscall(SYS_getsid, 0) == -1 ? errno : 0);
  SHOW(on_call(SYS_getuid, SECCOMP_RET_LOG, 0));
  SHOW(getuid() == geteuid());
  SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
}

static void arguments(void) {
  // dup2-like: refuse dup(fd) by the words of its argument, with arithmetic.
  const struct sock_filter code[] = {
      LOAD(nr),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup, 1, 0),
      RETURN(SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
      BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 7),
      BPF_STMT(BPF_ST, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]) + 4),
      BPF_STMT(BPF_LDX | BPF_MEM, 5),
      BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 8),
      BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xffff),
      BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO),
      BPF_STMT(BPF_RET | BPF_A, 0)};
  SHOW(install(code, COUNT(code), 0));
  syscall(SYS_dup, 20);
  printf("%d\n", errno);
  syscall(SYS_dup, 0x200000014);
  printf("%d\n", errno);
  // Division by zero ends a program with 0, which kills.
  const struct sock_filter divides[] = {LOAD(nr),
                                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup, 1, 0),
                                        RETURN(SECCOMP_RET_ALLOW),
                                        BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 0),
                                        BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0),
                                        RETURN(SECCOMP_RET_ALLOW)};
  SHOW(install(divides, COUNT(divides), 0));
  fflush(stdout);
  syscall(SYS_dup, 0);
}

static volatile int handled, code_seen, number_seen, error_seen, arch_seen, pc_seen;
static void on_sigsys(int signal, siginfo_t* info, void* context) {
  ucontext_t* u = context;
  handled = signal;
  code_seen = info->si_code;
  error_seen = info->si_errno;
  number_seen = info->si_syscall;
  arch_seen = info->si_arch == ARCH;
  pc_seen = (uintptr_t)info->si_call_addr == (uintptr_t)u->uc_mcontext.PC;
  u->uc_mcontext.RESULT = 4321;
}
static void trap(void) {
  struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
  sigaction(SIGSYS, &action, 0);
  SHOW(on_call(SYS_getppid, SECCOMP_RET_TRAP | 99, 0));
  SHOW(syscall(SYS_getppid));
  printf("signal %d code %d errno %d, %s, %s, %s\n", handled, code_seen, error_seen,
         number_seen == SYS_getppid ? "number" : "other number", arch_seen ? "arch" : "other arch",
         pc_seen ? "behind the call" : "elsewhere");
}
static void trap_blocked(void) {
  struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
  sigaction(SIGSYS, &action, 0);
  raw_sigmask(SIG_BLOCK, bit_of(SIGSYS), 0);
  on_call(SYS_getppid, SECCOMP_RET_TRAP, 0);
  getppid();
}
static void kill_process(void) {
  signal(SIGSYS, SIG_IGN);
  on_call(SYS_getppid, SECCOMP_RET_KILL_PROCESS, 0);
  getppid();
}
static void kill_last_thread(void) {
  on_call(SYS_getppid, SECCOMP_RET_KILL_THREAD, 0);
  getppid();
}
static void* calls(void* arg) {
  (void)arg;
  getppid();
  return (void*)1;
}
static void kill_one_thread(void) {
  on_call(SYS_getppid, SECCOMP_RET_KILL_THREAD, 0);
  pthread_t thread;
  pthread_create(&thread, 0, calls, 0);
  void* result = (void*)2;
  pthread_join(thread, &result);
  printf("the other thread: %s\n", result == (void*)1 ? "came back" : "gone");
}

// Threads: a filter is the thread's and its children's, or everybody's.
static pthread_barrier_t before, after;
static void* other(void* arg) {
  pthread_barrier_wait(&before);
  pthread_barrier_wait(&after);
  errno = 0;
  long result = syscall(SYS_getppid);
  printf("other thread: %s mode %d nnp %d\n", result == -1 ? strerrorname_np(errno) : "ok",
         prctl(PR_GET_SECCOMP), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  (void)arg;
  return 0;
}
static void threads(unsigned flags) {
  pthread_barrier_init(&before, 0, 2);
  pthread_barrier_init(&after, 0, 2);
  pthread_t thread;
  pthread_create(&thread, 0, other, 0);
  pthread_barrier_wait(&before);
  SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  SHOW(on_call(SYS_getppid, SECCOMP_RET_ERRNO | ENODEV, flags));
  pthread_barrier_wait(&after);
  pthread_join(thread, 0);
}
static void alone(void) { threads(0); }
static void together(void) { threads(SECCOMP_FILTER_FLAG_TSYNC); }
static void* apart(void* arg) {
  *(pid_t*)arg = syscall(SYS_gettid);
  on_call(SYS_getsid, SECCOMP_RET_ERRNO, 0);
  pthread_barrier_wait(&before);
  pthread_barrier_wait(&after);
  return 0;
}
static void not_together(void) {
  pthread_barrier_init(&before, 0, 2);
  pthread_barrier_init(&after, 0, 2);
  pid_t tid;
  pthread_t thread;
  pthread_create(&thread, 0, apart, &tid);
  pthread_barrier_wait(&before);
  long result = on_call(SYS_getppid, SECCOMP_RET_ERRNO, SECCOMP_FILTER_FLAG_TSYNC);
  printf("%s\n", result == tid ? "the other's tid" : "something else");
  SHOW(on_call(SYS_getppid, SECCOMP_RET_ERRNO, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH));
  pthread_barrier_wait(&after);
  pthread_join(thread, 0);
}

static void inherited(void) {
  on_call(SYS_getppid, SECCOMP_RET_ERRNO | ENOTTY, 0);
  on_call(SYS_getsid, SECCOMP_RET_ERRNO | ENOSPC, 0);
  if (fork() == 0) {
    SHOW(getppid());
    SHOW(getsid(0));
    fflush(stdout);
    execl("/proc/self/exe", "seccomp_filters", "again", (char*)0);
    _exit(1);
  }
  int status;
  wait(&status);
  print_end("after exec", status);
  if (vfork() == 0) _exit(getppid() == -1 && errno == ENOTTY ? 5 : 6);
  wait(&status);
  print_end("vfork", status);
}
static void no_exec(void) {
  on_call(SYS_execve, SECCOMP_RET_ERRNO | EOWNERDEAD, 0);
  SHOW(execl("/proc/self/exe", "seccomp_filters", "again", (char*)0));
}
static void too_many(void) {
  struct sock_filter code[4096];
  for (size_t i = 0; i < COUNT(code); i++) code[i] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
  int installed = 0;
  while (installed < 20 && install(code, COUNT(code), 0) == 0) installed++;
  printf("%d long filters, then %s\n", installed, strerrorname_np(errno));
}

static void unprivileged(void) {
  struct {
    uint32_t version, pid;
  } header = {0x20080522, 0};
  uint32_t none[6] = {0};
  SHOW(syscall(SYS_capset, &header, none));
  SHOW(on_call(SYS_getppid, SECCOMP_RET_ERRNO, 0));
  SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  SHOW(on_call(SYS_getppid, SECCOMP_RET_ERRNO, 0));
}

int main(int argc, char** argv) {
  if (argc > 1) {
    printf("%s: mode %d\n", argv[1], prctl(PR_GET_SECCOMP));
    SHOW(getppid());
    SHOW(getsid(0));
    return 0;
  }
  in_child("without privilege", unprivileged);
  in_child("threads, alone", alone);
  in_child("threads, together", together);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  refused();
  in_child("strict", strict);
  in_child("strict, broken", strict_broken);
  in_child("errno", with_errno);
  in_child("arguments", arguments);
  in_child("trap", trap);
  in_child("trap, blocked", trap_blocked);
  in_child("kill process", kill_process);
  in_child("kill the last thread", kill_last_thread);
  in_child("kill one thread", kill_one_thread);
  in_child("threads, not together", not_together);
  in_child("inherited", inherited);
  in_child("no exec", no_exec);
  in_child("too many", too_many);
  return 0;
}
