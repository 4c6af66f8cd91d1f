// SPDX-License-Identifier: Apache-2.0
#include "user/threads/life.h"

#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/report.h"
#include "user/debugger.h"
#include "user/host/raw_signal.h"
#include "user/host/safe_syscall.h"
#include "user/signals/host_handler.h"
#include "user/signals/signal_abi.h"
#include "user/start.h"
#include "user/syscalls/args.h"
#include "user/thread.h"

namespace lyrebird::user {

namespace {

void wake_futex(Thread& t, uint64_t address, int waiters) {
  host::call(SYS_futex, t.memory().host(address), FUTEX_WAKE, waiters, nullptr, nullptr, 0);
}

// One futex of a dead owner (futex_core.c, handle_futex_death()). A PI futex is the kernel's: it
// sees the host thread of the same number die.
void mark_owner_died(Thread& t, uint64_t address, bool pi, bool pending) {
  uint32_t word = 0;
  if (!is_aligned(address, 4) || !get_u32(t, address, word)) return;
  if (pending && !pi && word == 0) return wake_futex(t, address, 1);
  if ((word & FUTEX_TID_MASK) != static_cast<uint32_t>(t.tid)) return;
  std::atomic_ref<uint32_t> futex(*static_cast<uint32_t*>(t.memory().host(address)));
  uint32_t seen = word;
  while (!futex.compare_exchange_weak(seen, (seen & FUTEX_WAITERS) | FUTEX_OWNER_DIED)) {
    if ((seen & FUTEX_TID_MASK) != static_cast<uint32_t>(t.tid)) return;
  }
  if (!pi && seen & FUTEX_WAITERS) wake_futex(t, address, 1);
}

constexpr unsigned kRobustLimit = 2048;  // ROBUST_LIST_LIMIT

}  // namespace

void release_robust_list(Thread& t) {
  const uint64_t head = t.extra.robust_list;
  if (!head) return;
  t.extra.robust_list = 0;
  const unsigned word = word_size(t);
  uint64_t entry = 0, offset = 0, pending = 0;
  if (!get_word(t, head, entry) || !get_word(t, head + word, offset) ||
      !get_word(t, head + 2 * word, pending))
    return;
  // Bit 0 of a pointer says that the futex is a PI one.
  for (unsigned n = 0; (entry & ~uint64_t{1}) != head && n < kRobustLimit; n++) {
    uint64_t next = 0;
    const bool readable = get_word(t, entry & ~uint64_t{1}, next);
    if ((entry & ~uint64_t{1}) != (pending & ~uint64_t{1}))
      mark_owner_died(t, untag(t, (entry & ~uint64_t{1}) + offset), entry & 1, false);
    if (!readable) return;
    entry = next;
  }
  if (pending) mark_owner_died(t, untag(t, (pending & ~uint64_t{1}) + offset), pending & 1, true);
}

void attach_to_host_thread(Thread& t) {
  t.tid = static_cast<pid_t>(host::call(SYS_gettid));
  set_handler_target({&t.signals, t.vcpu.get()});
}

void release_guest_thread(Thread& t) {
  release_robust_list(t);
  // The kernel must not walk the list again when the host thread ends: the guest may have freed it.
  host::call(SYS_set_robust_list, nullptr, 3 * sizeof(long));
  if (const uint64_t address = t.extra.clear_child_tid) {
    if (put_u32(t, address, 0)) wake_futex(t, address, 1);
  }
}

static void write_stats(const Process& process) {
  Report report;
  process.accelerator.report(report);
  log_always(fmt::format("--- {} (pid {})\n{}", process.program.comm, ::getpid(), report.table()));
}

void end_process(Thread& t, int status) {
  if (Debugger* const debugger = t.debugger()) debugger->on_exit(t, status);
  if (!t.extra.vm_child) t.process.accelerator.keep();
  if (t.process.options.stats && !t.extra.vm_child) write_stats(t.process);
  for (;;) host::call(SYS_exit_group, status);
}

void end_host_thread(int status) {
  for (;;) host::call(SYS_exit, status);
}

void start_host(Process& process) {
  // For good: the first host thread's.
  [[maybe_unused]] static const host::HandlerStack handler_stack;
  process.signals.actions->take_over_from_host();
}

namespace {
void map_trampoline(Process& process) {
  const std::span<const uint8_t> code = process.abi.signals().trampoline();
  MapRequest request;
  request.size = kPage;
  request.prot = PROT_READ | PROT_WRITE;
  request.flags = MAP_PRIVATE | MAP_ANONYMOUS;
  request.name = "[sigpage]";
  const int64_t at = process.memory.map(request);
  if (at < 0) return;
  process.program.sigreturn_trampoline = static_cast<uint64_t>(at);
  process.memory.write(static_cast<uint64_t>(at), code.data(), code.size());
  process.memory.protect(static_cast<uint64_t>(at), kPage, PROT_READ | PROT_EXEC, false);
}
}  // namespace

void start_first_thread(Thread& t) {
  if (!t.process.program.sigreturn_trampoline) map_trampoline(t.process);
  t.extra.host_main = true;
  t.signals.actions = t.process.signals.actions;
  t.signals.blocked.store(host::signal_mask() & ~kUnblockable);
  attach_to_host_thread(t);
  host::set_signal_mask(SIG_UNBLOCK, kHostFaults);
  t.process.threads.add(t);
}

void run_first_thread(Thread& t) {
  if (Debugger* const debugger = t.debugger()) debugger->on_thread_start(t);
  const int status = t.run();
  host::set_signal_mask(SIG_BLOCK, ~kHostFaults);
  if (Debugger* const debugger = t.debugger()) debugger->on_thread_end(t);
  if (t.process.threads.remove(t) == 0) end_process(t, status);
  release_guest_thread(t);
  end_host_thread(status);
}

}  // namespace lyrebird::user
