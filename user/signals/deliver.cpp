// SPDX-License-Identifier: Apache-2.0
#include "user/signals/deliver.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "base/bits.h"
#include "base/log.h"
#include "user/debugger.h"
#include "user/host/raw_signal.h"
#include "user/host/safe_syscall.h"
#include "user/signals/signal_abi.h"
#include "user/syscalls/args.h"
#include "user/thread.h"

namespace lyrebird::user {

namespace {

constexpr SigSet kAllButFaults = ~kHostFaults;
constexpr unsigned kMostRetries = 1000;

void apply_host_mask(const ThreadSignals& s) {
  host::set_signal_mask(SIG_SETMASK, s.blocked.load() & ~kHostFaults);
}

void trace(Thread& t, const siginfo_t& info) {
  if (!t.process.options.strace && !log_enabled(LogTopic::Signal)) return;
  std::string text = fmt::format("{} --- {} {{si_code={}", t.tid, signal_name(info.si_signo), info.si_code);
  if (contains(kSynchronous, info.si_signo) && info.si_code > 0)
    text += fmt::format(", si_addr={:#x}, pc={:#x}", reinterpret_cast<uint64_t>(info.si_addr), t.cpu().pc);
  else
    text += fmt::format(", si_pid={}, si_uid={}", info.si_pid, info.si_uid);
  log_detail::write(text + "} ---\n");
}

// The kernel stops the process itself where the guest has no handler; this is for a signal that a
// debugger saw first.
void stop_process(int signal) {
  host::KernelAction old;
  const host::KernelAction default_handling{};
  if (signal != SIGSTOP) host::sigaction(signal, &default_handling, &old);
  host::call(SYS_kill, ::getpid(), signal);
  const SigSet mask = host::set_signal_mask(SIG_UNBLOCK, sig_bit(signal));
  host::set_signal_mask(SIG_SETMASK, mask);
  if (signal != SIGSTOP) host::sigaction(signal, &old, nullptr);
}

void do_default(Thread& t, int signal) {
  switch (default_action(signal)) {
    case DefaultAction::Ignore:
    case DefaultAction::Continue:
      return;
    case DefaultAction::Stop:
      return stop_process(signal);
    case DefaultAction::Terminate:
    case DefaultAction::Core:
      die_of_signal(t, signal);
  }
}

// The syscall that this signal interrupted: EINTR (already in the registers) or once more.
void settle_interrupted(Thread& t, const GuestAction& action) {
  switch (t.interrupted.code) {
    case 0:
      return;
    case kERestartNoIntr:
      return t.rewind_interrupted();
    case kERestartSys:
      if (action.flags & kSaRestart) return t.rewind_interrupted();
  }
  t.interrupted.code = 0;
}

void start_handler(Thread& t, DeliveredSignal& d) {
  ThreadSignals& s = t.signals;
  settle_interrupted(t, d.action);
  d.saved_mask = s.restore_saved ? s.saved : s.blocked.load();
  if (!t.abi().signals().push_frame(t, d)) {
    if (d.signal == SIGSEGV) s.actions->reset_handler(SIGSEGV);
    return force_segv(t, SI_KERNEL, 0);
  }
  s.restore_saved = false;
  if (d.action.flags & kSaResetHand) s.actions->reset_handler(d.signal);
  if (s.alt_stack.flags & AltStack::kAutoDisarm) s.alt_stack = {};
  SigSet blocked = s.blocked.load() | d.action.mask;
  if (!(d.action.flags & kSaNoDefer)) blocked |= sig_bit(d.signal);
  s.blocked.store(blocked & ~kUnblockable);
}

// The host has all signals but faults blocked.
void deliver_one(Thread& t, DeliveredSignal& d) {
  trace(t, d.info);
  if (Debugger* const debugger = t.debugger()) {
    const int instead = debugger->on_signal(t, d.info);
    if (instead == 0) return;
    if (instead != d.signal) {
      d.signal = instead;
      d.info = {};
      d.info.si_signo = instead;
    }
  }
  d.action = t.signals.actions->get(d.signal);
  if (d.action.handler == GuestAction::kIgnore) return;
  if (d.action.handler == GuestAction::kDefault) return do_default(t, d.signal);
  start_handler(t, d);
}

struct FaultCause {
  int signal, code;
  bool gone = false;  ///< by now the guest's map allows the access
};

uint32_t needed_rights(uint32_t access) {
  switch (static_cast<ir::Access>(access)) {
    case ir::Access::Write:
      return PROT_WRITE;
    case ir::Access::Fetch:
      return PROT_EXEC;
    default:
      return PROT_READ | PROT_WRITE | PROT_EXEC;  // any of them lets x86 hosts and Arm kernels read
  }
}

// Moves an access that starts on a good page and ends on a bad one to the bad one, as the guest's
// CPU reports it; says what the guest's own map, not the host's, has against it.
FaultCause find_cause(Thread& t) {
  ir::CpuHeader& cpu = t.cpu();
  const uint32_t need = needed_rights(cpu.fault_access);
  const uint64_t start = untag(t, cpu.fault_address);
  const uint64_t last = start + std::max<uint32_t>(cpu.fault_size, 1) - 1;
  for (uint64_t at = start; at <= last; at = align_down(at, kPage) + kPage) {
    Region region;
    const bool mapped = t.memory().find(at, region);
    if (mapped && region.prot & need) continue;
    if (at != start) cpu.fault_address = at;
    return {SIGSEGV, mapped ? SEGV_ACCERR : SEGV_MAPERR};
  }
  if (cpu.fault_signal == SIGBUS) return {SIGBUS, cpu.fault_code > 0 ? cpu.fault_code : BUS_ADRERR};
  return {SIGSEGV, SEGV_MAPERR, true};
}

}  // namespace

[[noreturn]] void die_of_signal(Thread& t, int signal) {
  log(LogTopic::Signal, "{} killed by {}\n{}", t.tid, signal_name(signal), t.abi().dump(t.cpu()));
  if (Debugger* const debugger = t.debugger()) debugger->on_killed(t, signal);
  if (!t.extra.vm_child) t.process.accelerator.keep();
  host::die_by_signal(signal);
}

int64_t set_blocked(Thread& t, SigSet mask) {
  ThreadSignals& s = t.signals;
  mask &= ~kUnblockable;
  const SigSet old = s.blocked.load();
  // A signal that we hold must come before the kernel sends another of its number.
  const bool holds = s.slots.set() & ~mask;
  const SigSet host_mask = holds ? kAllButFaults : mask & ~kHostFaults;
  if (!holds && !s.pending.load() && ((old ^ mask) & ~kHostFaults) == 0) {
    s.blocked.store(mask);
    return 0;
  }
  s.blocked.store(mask);
  const int64_t error = host::safe_syscall(SYS_rt_sigprocmask, SIG_SETMASK,
                                           reinterpret_cast<uint64_t>(&host_mask), 0, sizeof host_mask);
  if (error) {
    s.blocked.store(old);
    return error;
  }
  if (s.slots.set() & ~mask) s.pending.store(true);
  return 0;
}

void Thread::deliver_pending_signals() {
  ThreadSignals& s = signals;
  while (s.pending.load()) {
    if (!s.host_blocks_all.load(std::memory_order_relaxed)) host::set_signal_mask(SIG_SETMASK, kAllButFaults);
    s.host_blocks_all.store(false, std::memory_order_relaxed);
    s.pending.store(false);
    DeliveredSignal d;
    while (!finished() && (d.signal = s.slots.take(~s.blocked.load(), d.info))) deliver_one(*this, d);
    if (s.restore_saved) {
      s.blocked.store(s.saved);
      s.restore_saved = false;
    }
    // One that the temporary mask or a handler's mask held back.
    if (s.slots.set() & ~s.blocked.load()) s.pending.store(true);
    if (finished()) return;
    if (!s.pending.load()) apply_host_mask(s);
  }
}

// The host has all signals but faults blocked.
static void deliver_forced(Thread& t, const siginfo_t& info) {
  ThreadSignals& s = t.signals;
  DeliveredSignal d;
  d.signal = info.si_signo;
  d.info = info;
  const bool refused =
      contains(s.blocked.load(), d.signal) || s.actions->get(d.signal).handler == GuestAction::kIgnore;
  if (refused) {
    s.actions->reset_handler(d.signal);
    s.blocked.fetch_and(~sig_bit(d.signal));
  }
  deliver_one(t, d);
}

void force_signal(Thread& t, const FaultSignal& fault) {
  if (fault.recorded) {
    t.signals.fault_address = fault.fault_address;
    t.signals.fault_syndrome = fault.fault_syndrome;
  }
  siginfo_t info{};
  info.si_signo = fault.signal;
  info.si_code = fault.code;
  info.si_addr = reinterpret_cast<void*>(fault.address);
  deliver_forced(t, info);
}

void force_signal(Thread& t, const siginfo_t& info) {
  host::set_signal_mask(SIG_SETMASK, kAllButFaults);
  deliver_forced(t, info);
  if (!t.signals.pending.load()) apply_host_mask(t.signals);
}

void force_segv(Thread& t, int code, uint64_t address) {
  FaultSignal fault;
  fault.signal = SIGSEGV;
  fault.code = code;
  fault.address = address;
  force_signal(t, fault);
}

void Thread::raise_fault(const accel::Exit& exit) {
  host::set_signal_mask(SIG_SETMASK, kAllButFaults);
  // What came before the instruction is handled before it; then it runs, and faults, again.
  if (signals.pending.load()) return;
  FaultCause cause{};
  if (exit.kind == ir::ExitKind::FetchFault || exit.kind == ir::ExitKind::MemoryFault)
    cause = find_cause(*this);
  // Another thread has mapped the page since: the access is tried again. Not for ever, as the host
  // may know better than the map.
  if (cause.gone && signals.retried_faults++ < kMostRetries) return apply_host_mask(signals);
  signals.retried_faults = 0;
  force_signal(*this, abi().signals().fault_signal(cpu(), exit, cause.signal, cause.code));
  if (!signals.pending.load()) apply_host_mask(signals);
}

TemporaryMask::TemporaryMask(Thread& t, SigSet mask)
    : t_(t), old_(t.signals.blocked.load()), mask_(mask & ~kUnblockable), host_mask_(mask_ & ~kHostFaults) {
  t_.signals.blocked.store(mask_);
}

bool TemporaryMask::ready() const { return t_.signals.slots.set() & ~mask_; }

int64_t TemporaryMask::finish(int64_t result) {
  ThreadSignals& s = t_.signals;
  if (result == -kERestartNoHand && ready()) {
    s.saved = old_;
    s.restore_saved = true;
    s.pending.store(true);
  } else {
    s.blocked.store(old_);
  }
  return result;
}

}  // namespace lyrebird::user
