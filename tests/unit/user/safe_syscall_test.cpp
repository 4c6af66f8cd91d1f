// SPDX-License-Identifier: Apache-2.0
#include "user/host/safe_syscall.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include "user/host/raw_signal.h"
#include "user/signals/host_handler.h"
#include "user/thread.h"

namespace lyrebird::user {
namespace {

class CountingVcpu final : public accel::Vcpu {
 public:
  accel::Exit run() override { return {}; }
  accel::Exit step() override { return {}; }
  void kick() override { kicks = kicks + 1; }
  ir::CpuHeader& state() override { return state_; }
  volatile int kicks = 0;

 private:
  ir::CpuHeader state_;
};

// The test's own thread as a guest thread whose guest handles `signal`.
class GuestLike {
 public:
  GuestLike(int signal, uint64_t flags) : signal_(signal) {
    host::sigaction(signal, nullptr, &old_);
    GuestAction action;
    action.handler = 0x1000;
    action.flags = flags;
    const host::KernelAction host = host_action(signal, action, false);
    host::sigaction(signal, &host, nullptr);
    before_ = set_handler_target({&signals, &vcpu});
    mask_ = host::signal_mask();
  }
  ~GuestLike() {
    set_handler_target(before_);
    host::set_signal_mask(SIG_SETMASK, mask_);
    host::sigaction(signal_, &old_, nullptr);
  }
  ThreadSignals signals;
  CountingVcpu vcpu;

 private:
  const int signal_;
  host::KernelAction old_;
  HandlerTarget before_;
  uint64_t mask_;
};

TEST(SafeSyscall, ReturnsTheKernelsResult) {
  EXPECT_EQ(host::safe_syscall(SYS_getpid), ::getpid());
  EXPECT_EQ(host::safe_syscall(SYS_close, ~uint64_t{0}), -EBADF);
}

TEST(SafeSyscall, DoesNotStartWhenASignalIsQueued) {
  GuestLike guest(SIGUSR1, 0);
  ::raise(SIGUSR1);
  EXPECT_TRUE(guest.signals.pending.load());
  EXPECT_EQ(guest.signals.slots.set(), sig_bit(SIGUSR1));
  EXPECT_EQ(guest.vcpu.kicks, 1);
  EXPECT_EQ(host::safe_syscall(SYS_getpid), -kERestartNoIntr);
}

TEST(SafeSyscall, AfterTheHandlerEverythingButFaultsIsBlocked) {
  GuestLike guest(SIGUSR1, 0);
  ::raise(SIGUSR1);
  EXPECT_EQ(host::signal_mask() & ~kUnblockable, ~kHostFaults & ~kUnblockable);
}

struct Alarm {
  explicit Alarm(long microseconds) {
    itimerval timer{};
    timer.it_value.tv_usec = microseconds;
    ::setitimer(ITIMER_REAL, &timer, nullptr);
  }
};

uint64_t pointer(void* p) { return reinterpret_cast<uint64_t>(p); }

TEST(SafeSyscall, ABlockingReadOfAGuestWithRestartComesBackToBeRestarted) {
  GuestLike guest(SIGALRM, kSaRestart);
  const int fd = ::eventfd(0, 0);
  uint64_t value;
  const Alarm alarm(20000);
  EXPECT_EQ(host::safe_syscall(SYS_read, static_cast<uint64_t>(fd), pointer(&value), 8), -kERestartNoIntr);
  ::close(fd);
}

TEST(SafeSyscall, ABlockingReadOfAGuestWithoutRestartIsInterrupted) {
  GuestLike guest(SIGALRM, 0);
  const int fd = ::eventfd(0, 0);
  uint64_t value;
  const Alarm alarm(20000);
  EXPECT_EQ(host::safe_syscall(SYS_read, static_cast<uint64_t>(fd), pointer(&value), 8), -kERestartNoHand);
  ::close(fd);
}

TEST(SafeSyscall, ASleepIsInterruptedEvenWithRestart) {
  GuestLike guest(SIGALRM, kSaRestart);
  timespec time{5, 0};
  const Alarm alarm(20000);
  EXPECT_EQ(host::safe_syscall(SYS_nanosleep, pointer(&time)), -kERestartNoHand);
}

TEST(SafeSyscall, NoSignalIsSleptThroughWhereverItArrives) {
  // Were one lost between check and syscall instruction, the ten-second sleep would show.
  GuestLike guest(SIGALRM, 0);
  for (int i = 0; i < 2000; i++) {
    timespec time{10, 0};
    const Alarm alarm(1 + i % 60);
    const int64_t result = host::safe_syscall(SYS_nanosleep, pointer(&time));
    ASSERT_TRUE(result == -kERestartNoHand || result == -kERestartNoIntr) << result;
    siginfo_t info;
    ASSERT_EQ(guest.signals.slots.take(~SigSet{0}, info), SIGALRM);
    guest.signals.pending.store(false);
    host::set_signal_mask(SIG_SETMASK, 0);
  }
}

TEST(SafeSyscall, AnInternalInterruptLeavesNothingQueued) {
  GuestLike guest(SIGBUS, 0);
  interrupt_host_thread(::gettid());
  EXPECT_EQ(guest.vcpu.kicks, 1);
  EXPECT_FALSE(guest.signals.pending.load());
  EXPECT_EQ(guest.signals.slots.set(), 0u);
}

TEST(HostHandler, TakesSignalsThatTheLibcKeepsForItself) {
  for (const int signal : {32, 33, 34, 64}) {
    GuestLike guest(signal, 0);
    host::call(SYS_tgkill, ::getpid(), ::gettid(), signal);
    EXPECT_EQ(guest.signals.slots.set(), sig_bit(signal));
  }
}

TEST(HostHandler, ABlockedFaultSignalFromSomebodyWaitsUnnoticed) {
  GuestLike guest(SIGSEGV, 0);
  guest.signals.blocked.store(sig_bit(SIGSEGV));
  host::call(SYS_tgkill, ::getpid(), ::gettid(), SIGSEGV);
  EXPECT_EQ(guest.signals.slots.set(), sig_bit(SIGSEGV));
  EXPECT_FALSE(guest.signals.pending.load());
}

}  // namespace
}  // namespace lyrebird::user
