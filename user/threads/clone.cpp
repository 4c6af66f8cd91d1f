// SPDX-License-Identifier: Apache-2.0
#include "user/threads/clone.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/fault_guard.h"
#include "user/debugger.h"
#include "user/host/raw_signal.h"
#include "user/host/safe_syscall.h"
#include "user/signals/host_handler.h"
#include "user/syscalls/args.h"
#include "user/thread.h"
#include "user/threads/life.h"

namespace lyrebird::user {

namespace {

constexpr size_t kHostStackSize = 1 << 20;
constexpr uint64_t kNewNamespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

uint64_t block_all_signals() { return host::set_signal_mask(SIG_BLOCK, ~kHostFaults); }

void wait_for(sem_t& semaphore) {
  while (sem_wait(&semaphore) != 0 && errno == EINTR) {
  }
}

// A new thread's host mask: its guest's. (The parent's may be "everything": a signal is queued.)
void take_guest_mask(Thread& t) {
  host::set_signal_mask(SIG_SETMASK, t.signals.blocked.load() & ~kHostFaults);
}

// What every child's registers and per-thread data get.
void set_up_child(Thread& child, const CloneRequest& r) {
  const Abi& abi = child.abi();
  if (r.stack_pointer) abi.set_sp(child.cpu(), r.stack_pointer);
  if (r.flags & CLONE_SETTLS) abi.set_tls(child, r.tls);
  abi.set_syscall_result(child.cpu(), 0);
  child.extra.clear_child_tid = r.flags & CLONE_CHILD_CLEARTID ? r.child_tid : 0;
  child.extra.robust_list = 0;
}

std::unique_ptr<Thread> make_child(Thread& parent, const CloneRequest& r) {
  auto child = std::make_unique<Thread>(parent.process, &parent.cpu());
  child->signals.blocked.store(parent.signals.blocked.load());
  child->signals.actions = r.flags & CLONE_SIGHAND ? parent.signals.actions
                                                   : std::make_shared<SignalActions>(*parent.signals.actions);
  child->seccomp.inherit(parent.seccomp);
  set_up_child(*child, r);
  // The alternate stack is kept by fork and vfork only (copy_process()).
  if (r.flags & CLONE_VFORK) child->signals.alt_stack = parent.signals.alt_stack;
  return child;
}

// --- CLONE_THREAD ---

struct ThreadStart {
  std::unique_ptr<Thread> thread;
  const CloneRequest* request;
  pid_t tid = 0;
  sem_t started;
};

void* thread_main(void* argument) {
  ThreadStart& start = *static_cast<ThreadStart*>(argument);
  const host::HandlerStack handler_stack;
  const std::unique_ptr<Thread> owner = std::move(start.thread);
  Thread& t = *owner;
  const CloneRequest& r = *start.request;
  attach_to_host_thread(t);
  // A pthread shares these; a guest that doesn't want to gets its copy now.
  const int alone = (r.flags & CLONE_FS ? 0 : CLONE_FS) | (r.flags & CLONE_FILES ? 0 : CLONE_FILES);
  if (alone) ::unshare(alone);
  if (r.flags & CLONE_PARENT_SETTID) (void)put_u32(t, r.parent_tid, static_cast<uint32_t>(t.tid));
  if (r.flags & CLONE_CHILD_SETTID) (void)put_u32(t, r.child_tid, static_cast<uint32_t>(t.tid));
  t.process.threads.add(t);
  start.tid = t.tid;
  sem_post(&start.started);  // `start` is gone from here on
  if (Debugger* const debugger = t.debugger()) debugger->on_thread_start(t);
  take_guest_mask(t);

  const int status = t.run();

  block_all_signals();
  if (Debugger* const debugger = t.debugger()) debugger->on_thread_end(t);
  const bool last = t.process.threads.remove(t) == 0;
  if (t.extra.host_main && last) end_process(t, status);
  release_guest_thread(t);
  set_handler_target({});
  // The process ends with its last thread, which must not be the emulator's.
  if (last) t.process.accelerator.stop_background(false);
  if (t.extra.host_main) end_host_thread(status);
  // The status of a process whose first thread ended earlier is that thread's: the kernel has it.
  if (last) end_host_thread(status);
  return nullptr;
}

int64_t clone_thread(Thread& t, const CloneRequest& r) {
  ThreadStart start{make_child(t, r), &r, 0, {}};
  sem_init(&start.started, 0, 0);
  const uint64_t mask = block_all_signals();
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kHostStackSize);
  pthread_t id;
  const int error = pthread_create(&id, &attributes, thread_main, &start);
  t.signals.actions->take_back_from_libc();
  pthread_attr_destroy(&attributes);
  if (!error) wait_for(start.started);
  sem_destroy(&start.started);
  host::set_signal_mask(SIG_SETMASK, mask);
  return error ? -EAGAIN : start.tid;
}

// --- CLONE_VM, another process ---

struct VmChildStart {
  std::unique_ptr<Thread> thread;
  CloneRequest request;
  sem_t started;            // for a parent that does not sleep
  int64_t result = 0;       // pid or -errno
  pid_t tid_in_parent = 0;  // as the parent's pid namespace has it
  int pidfd = -1;
};

int vm_child_main(void* argument) {
  VmChildStart& start = *static_cast<VmChildStart*>(argument);
  Thread& t = *start.thread;
  const CloneRequest& r = start.request;
  t.extra.vm_child = true;
  attach_to_host_thread(t);
  if (r.clear_handlers) t.signals.actions->clear_handlers();
  const pid_t seen_by_parent = start.tid_in_parent ? start.tid_in_parent : t.tid;
  if (r.flags & CLONE_PIDFD) (void)put_u32(t, r.pidfd, static_cast<uint32_t>(start.pidfd));
  if (r.flags & CLONE_PARENT_SETTID) (void)put_u32(t, r.parent_tid, static_cast<uint32_t>(seen_by_parent));
  if (r.flags & CLONE_CHILD_SETTID) (void)put_u32(t, r.child_tid, static_cast<uint32_t>(t.tid));
  if (!(r.flags & CLONE_VFORK)) {
    start.result = seen_by_parent;
    sem_post(&start.started);
  }
  take_guest_mask(t);
  const int status = t.run();
  block_all_signals();
  release_guest_thread(t);
  end_process(t, status);
}

// Sleeps until the child has ended or become another program. All signals are blocked.
int64_t run_vm_child(VmChildStart& start) {
  constexpr uint64_t kOurs =
      CLONE_THREAD | CLONE_SETTLS | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID;
  void* const stack = ::mmap(nullptr, kHostStackSize, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED) return -ENOMEM;
  const CloneRequest& r = start.request;
  // clone() has one pointer for both.
  const bool want_pidfd = r.flags & CLONE_PIDFD;
  const uint64_t flags = (r.flags & ~kOurs) | CLONE_VM | CLONE_VFORK | (want_pidfd ? 0 : CLONE_PARENT_SETTID);
  // The child borrows this host thread's TLS: what it leaves there is put back.
  Thread* const current = Thread::current();
  FaultGuard* const guard = FaultGuard::exchange(nullptr);
  const HandlerTarget target = set_handler_target({});
  const int pid =
      ::clone(vm_child_main, static_cast<char*>(stack) + kHostStackSize,
              static_cast<int>(flags | static_cast<unsigned>(r.exit_signal)), &start,
              want_pidfd ? static_cast<void*>(&start.pidfd) : &start.tid_in_parent, nullptr, nullptr);
  const int64_t result = pid < 0 ? -errno : pid;
  set_handler_target(target);
  FaultGuard::exchange(guard);
  Thread::set_current(current);
  ::munmap(stack, kHostStackSize);
  return result;
}

void* vm_helper_main(void* argument) {
  const std::unique_ptr<std::shared_ptr<VmChildStart>> start(
      static_cast<std::shared_ptr<VmChildStart>*>(argument));
  const host::HandlerStack handler_stack;
  const int64_t result = run_vm_child(**start);
  if (result < 0) {  // else the child has posted
    (*start)->result = result;
    sem_post(&(*start)->started);
  }
  return nullptr;
}

int64_t start_vm_helper(const std::shared_ptr<VmChildStart>& start) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t id;
  auto argument = std::make_unique<std::shared_ptr<VmChildStart>>(start);
  const int error = pthread_create(&id, &attributes, vm_helper_main, argument.get());
  start->thread->signals.actions->take_back_from_libc();
  pthread_attr_destroy(&attributes);
  if (error) return -EAGAIN;
  (void)argument.release();
  wait_for(start->started);
  return start->result;
}

int64_t clone_vm(Thread& t, const CloneRequest& r) {
  const auto start = std::make_shared<VmChildStart>();
  start->thread = make_child(t, r);
  start->request = r;
  sem_init(&start->started, 0, 0);
  const uint64_t mask = block_all_signals();
  const int64_t result = r.flags & CLONE_VFORK ? run_vm_child(*start) : start_vm_helper(start);
  host::set_signal_mask(SIG_SETMASK, mask);
  return result;
}

// --- fork ---

int64_t fork_process(const CloneRequest& r) {
  constexpr uint64_t kOurs =
      CLONE_SETTLS | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID | CLONE_PIDFD;
  const uint64_t rest = r.flags & ~kOurs;
  if (rest == 0 && r.exit_signal == SIGCHLD) {
    const pid_t pid = ::fork();
    return pid < 0 ? -errno : pid;
  }
  return host::call(SYS_clone, rest | static_cast<unsigned>(r.exit_signal), 0, 0, 0, 0);
}

int64_t clone_process(Thread& t, const CloneRequest& r) {
  const uint64_t mask = block_all_signals();
  // A signal that was queued meanwhile must be handled once, in the parent.
  if (t.signals.pending.load()) return -kERestartNoIntr;
  Process& process = t.process;
  process.before_fork();
  t.signals.actions->before_fork();
  process.threads.before_fork();
  const int64_t pid = fork_process(r);
  const bool child = pid == 0;
  process.threads.after_fork(child ? &t : nullptr);
  t.signals.actions->after_fork();
  process.after_fork(child);
  if (child) {
    if (process.debugger) {
      process.debugger->on_fork_child();
      t.signals.actions->set_intercept(false);
      process.debugger = nullptr;
    }
    set_up_child(t, r);
    if (r.clear_handlers) t.signals.actions->clear_handlers();
    t.tid = static_cast<pid_t>(host::call(SYS_gettid));
    t.extra.host_main = true;
    t.signals.slots.clear();
    t.signals.pending.store(false);
    if (r.flags & CLONE_CHILD_SETTID) (void)put_u32(t, r.child_tid, static_cast<uint32_t>(t.tid));
  } else if (pid > 0) {
    if (r.flags & CLONE_PARENT_SETTID) (void)put_u32(t, r.parent_tid, static_cast<uint32_t>(pid));
    if (r.flags & CLONE_PIDFD) {
      const int64_t fd = host::call(SYS_pidfd_open, pid, 0);
      if (fd >= 0) (void)put_u32(t, r.pidfd, static_cast<uint32_t>(fd));
    }
  }
  host::set_signal_mask(SIG_SETMASK, mask);
  return pid;
}

}  // namespace

int64_t check_clone(const CloneRequest& r) {
  const auto both = [&](uint64_t a, uint64_t b) { return r.flags & a && r.flags & b; };
  const auto without = [&](uint64_t a, uint64_t b) { return r.flags & a && !(r.flags & b); };
  if (both(CLONE_FS, CLONE_NEWNS | CLONE_NEWUSER) || without(CLONE_THREAD, CLONE_SIGHAND) ||
      without(CLONE_SIGHAND, CLONE_VM) || both(CLONE_THREAD, CLONE_NEWUSER | CLONE_NEWPID) ||
      (r.clear_handlers && r.flags & CLONE_SIGHAND) || both(CLONE_PIDFD, CLONE_DETACHED) ||
      both(CLONE_PIDFD, CLONE_THREAD))
    return -EINVAL;
  return 0;
}

int64_t do_clone(Thread& t, const CloneRequest& r) {
  if (const int64_t error = check_clone(r)) return error;
  if (r.flags & CLONE_SETTLS)
    if (const int64_t error = t.abi().check_tls(t, r.tls)) return error;
  if (r.flags & CLONE_THREAD) {
    if (r.flags & kNewNamespaces) return -EINVAL;
    return clone_thread(t, r);
  }
  return r.flags & CLONE_VM ? clone_vm(t, r) : clone_process(t, r);
}

}  // namespace lyrebird::user
