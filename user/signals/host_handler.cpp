// SPDX-License-Identifier: Apache-2.0
#include "user/signals/host_handler.h"

#include <sys/ucontext.h>
#include <unistd.h>

#include <cstring>

#include "base/fault_guard.h"
#include "user/host/safe_syscall.h"

namespace lyrebird::user {

namespace {

constinit thread_local HandlerTarget target __attribute__((tls_model("initial-exec")));

// sival_ptr of interrupt_host_thread(): an address no guest program can have by chance.
const char kInterruptToken = 0;

bool is_interrupt(int signal, const siginfo_t& info) {
  return signal == SIGBUS && info.si_code == SI_QUEUE && info.si_pid == getpid() &&
         info.si_value.sival_ptr == &kInterruptToken;
}

// snprintf is not async-signal-safe.
struct Line {
  char text[200];
  size_t size = 0;
  void add(const char* s) {
    while (*s && size < sizeof text) text[size++] = *s++;
  }
  void add_hex(uint64_t value) {
    add("0x");
    for (int shift = 60; shift >= 0; shift -= 4) {
      const char digit[2] = {"0123456789abcdef"[value >> shift & 15], 0};
      add(digit);
    }
  }
};

[[noreturn]] void emulator_fault(int signal, const siginfo_t& info, const ucontext_t& context) {
  Line line;
  line.add("lyrebird: internal error: ");
  line.add(signal_name(signal));
  line.add(" at host pc ");
  line.add_hex(static_cast<uint64_t>(context.uc_mcontext.gregs[REG_RIP]));
  line.add(", address ");
  line.add_hex(reinterpret_cast<uint64_t>(info.si_addr));
  line.add("; please report it\n");
  [[maybe_unused]] const ssize_t n = ::write(2, line.text, line.size);
  host::die_by_signal(signal);
}

// Makes an interrupted safe_syscall() that has not entered the kernel (or is about to be
// restarted by it) come back.
void abandon_safe_syscall(ucontext_t& context) {
  greg_t& pc = context.uc_mcontext.gregs[REG_RIP];
  if (pc >= reinterpret_cast<greg_t>(host::lyrebird_safe_syscall_start) &&
      pc < reinterpret_cast<greg_t>(host::lyrebird_safe_syscall_end))
    pc = reinterpret_cast<greg_t>(host::lyrebird_safe_syscall_interrupted);
}

void block_all(ucontext_t& context) {
  const SigSet all = ~kHostFaults;
  std::memcpy(&context.uc_sigmask, &all, sizeof all);
}

// For the guest, but the kernel chose a thread that is not the guest's.
void pass_on(int signal, siginfo_t& info, ucontext_t& context) {
  const SigSet bit = sig_bit(signal);
  host::set_signal_mask(SIG_BLOCK, bit);
  SigSet mask;
  std::memcpy(&mask, &context.uc_sigmask, sizeof mask);
  mask |= bit;
  std::memcpy(&context.uc_sigmask, &mask, sizeof mask);
  host::call(SYS_rt_sigqueueinfo, getpid(), signal, &info);
}

void handle_signal(int signal, siginfo_t* info, void* raw_context) {
  const int saved_errno = errno;
  ucontext_t& context = *static_cast<ucontext_t*>(raw_context);
  if (contains(kHostFaults, signal) && info->si_code > 0) {
    if (FaultGuard::deliver(signal, *info, raw_context)) {
      errno = saved_errno;
      return;
    }
    emulator_fault(signal, *info, context);
  }
  if (!target.signals) {
    // A service thread, which blocks all others.
    if (!is_interrupt(signal, *info)) pass_on(signal, *info, context);
    errno = saved_errno;
    return;
  }
  if (is_interrupt(signal, *info)) {
    target.vcpu->kick();
    host::note_internal_interrupt();
    abandon_safe_syscall(context);
    errno = saved_errno;
    return;
  }
  ThreadSignals& signals = *target.signals;
  signals.slots.put(signal, *info);
  if (!(contains(kHostFaults, signal) && contains(signals.blocked.load(std::memory_order_relaxed), signal))) {
    std::atomic_signal_fence(std::memory_order_release);
    signals.pending.store(true, std::memory_order_relaxed);
    if (!contains(kHostFaults, signal)) signals.host_blocks_all.store(true, std::memory_order_relaxed);
    target.vcpu->kick();
    block_all(context);
    abandon_safe_syscall(context);
  }
  errno = saved_errno;
}

}  // namespace

uint64_t host_handler_address() { return reinterpret_cast<uint64_t>(&handle_signal); }

HandlerTarget set_handler_target(HandlerTarget next) {
  // Between the two stores a handler would see half of it.
  const uint64_t mask = host::set_signal_mask(SIG_BLOCK, ~kHostFaults);
  const HandlerTarget old = target;
  target = next;
  host::set_signal_pending_flag(next.signals ? &next.signals->pending : nullptr);
  host::set_signal_mask(SIG_SETMASK, mask);
  return old;
}

void interrupt_host_thread(pid_t tid) {
  siginfo_t info{};
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value.sival_ptr = const_cast<char*>(&kInterruptToken);
  host::call(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGBUS, &info);
}

}  // namespace lyrebird::user
