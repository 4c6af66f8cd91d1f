// SPDX-License-Identifier: Apache-2.0
// Floating point exceptions that nobody traps: invalid operations and tiny results, often and at all times,
// and SIGFPE as a signal like any other meanwhile.
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "test.h"

#define ROUNDS 300

static volatile double zero = 0, one = 1, inf = INFINITY, nan_value = NAN, least = 0x1p-1022,
                       small = 0x1p-600, thin = 0x1.0000000000001p-1022, large = 1e300;
static volatile float zero_f = 0, inf_f = INFINITY, small_f = 0x1p-100f;
static volatile int result;

static void show(const char* what, double value, int rounds) {
  static const char* const kinds[] = {[FP_NAN] = "nan",
                                      [FP_INFINITE] = "infinite",
                                      [FP_ZERO] = "zero",
                                      [FP_SUBNORMAL] = "subnormal",
                                      [FP_NORMAL] = "normal"};
  const int raised = fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW | FE_INEXACT);
  printf("%s: %s, %d rounds%s%s%s%s%s\n", what, kinds[fpclassify(value)], rounds,
         raised & FE_INVALID ? " invalid" : "", raised & FE_DIVBYZERO ? " divbyzero" : "",
         raised & FE_OVERFLOW ? " overflow" : "", raised & FE_UNDERFLOW ? " underflow" : "",
         raised & FE_INEXACT ? " inexact" : "");
}

// The first and the last round: what is made of the block in between must not be seen.
#define REPEAT(what, expression)          \
  do {                                    \
    feclearexcept(FE_ALL_EXCEPT);         \
    volatile double value = (expression); \
    show(what, value, 1);                 \
    feclearexcept(FE_ALL_EXCEPT);         \
    double sum = 0;                       \
    for (int i = 0; i < ROUNDS; i++) {    \
      value = (expression);               \
      sum += value == value ? 1 : 0;      \
    }                                     \
    show(what, value, ROUNDS);            \
    printf("  %g ordered\n", sum);        \
  } while (0)

static void arithmetic(void) {
  REPEAT("0 / 0", zero / zero);
  REPEAT("1 / 0", one / zero);
  REPEAT("inf - inf", inf - inf);
  REPEAT("0 * inf", zero * inf);
  REPEAT("nan + 1", nan_value + one);
  REPEAT("sqrt -1", sqrt(-one));
  REPEAT("fma of nothing and everything", fma(zero, inf, one));
  REPEAT("fma of a nan", fma(one, large, nan_value));
  REPEAT("tiny", small * small);
  REPEAT("tiny and exact", least * 0.5);
  REPEAT("tiny and not exact", thin * 0.5);
  REPEAT("smallest and exact", least * one);
  REPEAT("fma, tiny", fma(small, small, zero));
  REPEAT("overflow", large * large);
  REPEAT("float 0 / 0", (double)(zero_f / zero_f));
  REPEAT("float inf - inf", (double)(inf_f - inf_f));
  REPEAT("float, tiny", (double)(small_f * small_f));
  REPEAT("to float, tiny", (double)(float)(small));
}

static void comparisons(void) {
  REPEAT("nan < 1", nan_value < one ? 1.0 : 2.0);
  REPEAT("nan == 1", nan_value == one ? 1.0 : 2.0);
  REPEAT("nan >= nan", nan_value >= nan_value ? 1.0 : 2.0);
  REPEAT("isless", isless(nan_value, one) ? 1.0 : 2.0);
  REPEAT("fmin", fmin(nan_value, one));
  REPEAT("rint", rint(nan_value));
}

static void vectors(void) {
  // Every other lane.
  static volatile double source[64];
  for (int i = 0; i < 64; i++) source[i] = i % 2 ? (double)i : i % 4 ? INFINITY : 0x1p-1000;
  for (int round = 0; round < 40; round++) {
    double in[64], out[64];
    for (int i = 0; i < 64; i++) in[i] = source[i];
    feclearexcept(FE_ALL_EXCEPT);
    for (int i = 0; i < 64; i++) out[i] = in[i] * 0x1p-60 - in[i] * 0x1p-61;
    int nans = 0, tiny = 0;
    for (int i = 0; i < 64; i++) {
      volatile double value = out[i];
      nans += isnan(value) != 0;
      tiny += fpclassify(value) == FP_SUBNORMAL;
    }
    if (round % 39 == 0) {
      show("lanes", out[0], round);
      printf("  %d nan, %d subnormal\n", nans, tiny);
    }
  }
}

static void* thread(void* arg) {
  double* const sum = arg;
  for (int i = 0; i < 20000; i++) {
    volatile double value = i % 3 ? zero / zero : small * small;
    *sum += isnan(value) ? 1 : 2;
  }
  return 0;
}

static volatile sig_atomic_t alarms, sent;
static void on_alarm(int signal) {
  (void)signal;
  volatile double value = inf * zero;
  alarms += isnan(value) != 0;
}
static void on_fpe(int signal, siginfo_t* info, void* context) {
  (void)context;
  CHECK(signal == SIGFPE && info->si_code <= 0);
  sent++;
}

static void as_signal(void) {
  uint64_t old, pending = 0;
  // Ignored and blocked: the guest's affair, not the exceptions'.
  raw_sigmask(SIG_BLOCK, bit_of(SIGFPE), &old);
  REPEAT("0 / 0, blocked", zero / zero);
  raw_sigaction(SIGFPE, (void*)on_fpe, SA_SIGINFO, 0);
  tgkill_self(SIGFPE);
  kill(getpid(), SIGFPE);
  REPEAT("tiny, pending", small * small);
  syscall(SYS_rt_sigpending, &pending, 8);
  printf("pending: %d, handled: %d\n", (pending & bit_of(SIGFPE)) != 0, (int)sent);
  raw_sigmask(SIG_SETMASK, old, &old);
  printf("handled: %d of at most 2\n", sent >= 1 && sent <= 2);
  raw_sigaction(SIGFPE, (void*)SIG_IGN, 0, 0);
  tgkill_self(SIGFPE);
  REPEAT("0 / 0, ignored", zero / zero);
  raw_sigaction(SIGFPE, (void*)SIG_DFL, 0, 0);
  const pid_t pid = fork();
  if (pid == 0) {
    result = (int)(zero / zero > one);
    kill(getpid(), SIGFPE);
    _exit(3);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  printf("child: signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

int main(void) {
  arithmetic();
  comparisons();
  vectors();
  as_signal();
  pthread_t threads[4];
  double sums[4] = {0};
  raw_sigaction(SIGALRM, (void*)on_alarm, SA_RESTART, 0);
  const struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &often, 0);
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, thread, &sums[i]);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
  setitimer(ITIMER_REAL, &never, 0);
  for (int i = 0; i < 4; i++) printf("thread: %g\n", sums[i]);
  return 0;
}
