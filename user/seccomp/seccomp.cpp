// SPDX-License-Identifier: Apache-2.0
#include "user/seccomp/seccomp.h"

#include <elf.h>
#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/log.h"
#include "user/seccomp/bpf.h"
#include "user/signals/deliver.h"
#include "user/thread.h"

namespace lyrebird::user {

SeccompChain Seccomp::chain() const {
  const std::lock_guard lock(mutex_);
  return chain_;
}

void Seccomp::set(int mode, SeccompChain chain) {
  const std::lock_guard lock(mutex_);
  chain_ = std::move(chain);
  mode_.store(mode, std::memory_order_release);
}

// --- over execve: the mode, then each filter, oldest first

namespace {

struct SavedFilter {
  uint32_t log, size;
};

bool write_all(int fd, const void* from, size_t size) {
  return ::write(fd, from, size) == static_cast<ssize_t>(size);
}
bool read_all(int fd, void* to, size_t size) { return ::read(fd, to, size) == static_cast<ssize_t>(size); }

}  // namespace

int Seccomp::save() const {
  std::vector<const SeccompFilter*> filters;
  const SeccompChain newest = chain();
  for (const SeccompFilter* filter = newest.get(); filter; filter = filter->previous.get())
    filters.push_back(filter);
  const int fd = ::memfd_create("seccomp", 0);
  if (fd < 0) return -errno;
  const int mode = this->mode();
  bool good = write_all(fd, &mode, sizeof mode);
  for (auto it = filters.rbegin(); it != filters.rend(); ++it) {
    const SavedFilter head{(*it)->log, static_cast<uint32_t>((*it)->program.size())};
    good = good && write_all(fd, &head, sizeof head) &&
           write_all(fd, (*it)->program.data(), (*it)->program.size() * sizeof(sock_filter));
  }
  if (good && ::lseek(fd, 0, SEEK_SET) == 0) return fd;
  ::close(fd);
  return -ENOMEM;
}

bool Seccomp::load(int fd) {
  int mode = 0;
  SeccompChain newest;
  bool good = read_all(fd, &mode, sizeof mode);
  SavedFilter head;
  while (good && read_all(fd, &head, sizeof head)) {
    auto filter = std::make_shared<SeccompFilter>();
    filter->previous = newest;
    filter->log = head.log;
    if (head.size > BPF_MAXINSNS) return false;
    filter->program.resize(head.size);
    good = read_all(fd, filter->program.data(), head.size * sizeof(sock_filter)) &&
           bpf_is_valid(filter->program);
    newest = std::move(filter);
  }
  ::close(fd);
  if (good) set(mode, std::move(newest));
  return good;
}

// --- judging a call

namespace {

uint32_t audit_arch(const Abi& abi) {
  return abi.elf_machine | (abi.model.word == 8 ? uint32_t{__AUDIT_ARCH_64BIT} : 0) |
         (abi.model.big_endian ? 0 : uint32_t{__AUDIT_ARCH_LE});
}

/// struct seccomp_data in the guest's byte order, word by word.
std::array<uint32_t, kBpfDataSize / 4> data_of(Thread& t, const SyscallFrame& frame) {
  std::array<uint32_t, kBpfDataSize / 4> data;
  const unsigned high = t.abi().model.big_endian ? 0 : 1;
  const auto put = [&](unsigned word, uint64_t value) {
    data[word + high] = static_cast<uint32_t>(value >> 32);
    data[word + 1 - high] = static_cast<uint32_t>(value);
  };
  data[0] = static_cast<uint32_t>(frame.number);
  data[1] = audit_arch(t.abi());
  put(2, t.cpu().pc);
  for (unsigned i = 0; i < 6; ++i) put(4 + 2 * i, frame.args[i]);
  return data;
}

struct Verdict {
  uint32_t action = SECCOMP_RET_ALLOW;  ///< SECCOMP_RET_* with its data
  bool log = false;
};

/// All filters run; the action that weighs most counts, of equal ones the newest filter's.
Verdict judge(Thread& t, const SyscallFrame& frame) {
  const auto weight = [](uint32_t action) { return static_cast<int32_t>(action & SECCOMP_RET_ACTION_FULL); };
  const auto data = data_of(t, frame);
  Verdict verdict;
  const SeccompChain newest = t.seccomp.chain();
  for (const SeccompFilter* filter = newest.get(); filter; filter = filter->previous.get()) {
    const uint32_t action = bpf_run(filter->program, data);
    if (weight(action) < weight(verdict.action)) verdict = {action, filter->log};
  }
  return verdict;
}

siginfo_t info_of(Thread& t, const SyscallFrame& frame, uint32_t data) {
  constexpr int kSysSeccomp = 1;  // SYS_SECCOMP
  siginfo_t info{};
  info.si_signo = SIGSYS;
  info.si_code = kSysSeccomp;
  info.si_errno = static_cast<int>(data);
  info.si_call_addr = reinterpret_cast<void*>(t.cpu().pc);
  info.si_syscall = static_cast<int>(frame.number);
  info.si_arch = audit_arch(t.abi());
  return info;
}

/// The thread ends as if by the signal, and the process with it if there is no other.
void end_thread(Thread& t, int signal) {
  if (t.extra.vm_child || t.process.threads.size() == 1) die_of_signal(t, signal);
  t.finish(signal);
}

bool in_strict_mode(std::string_view name) {
  return name == "read" || name == "write" || name == "exit" || name == "rt_sigreturn";
}

void log_action(Thread& t, const SyscallFrame& frame, const char* what) {
  log(LogTopic::Signal, "{} seccomp: system call {} at {:x}: {}\n", t.tid, frame.number, t.cpu().pc, what);
}

}  // namespace

bool seccomp_permits(Thread& t, const SyscallFrame& frame, const char* name, int64_t& result) {
  if (t.seccomp.take_no_new_privs.exchange(false)) ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  result = kKeepRegisters;
  if (t.seccomp.mode() == SECCOMP_MODE_STRICT) {
    if (name && in_strict_mode(name)) return true;
    end_thread(t, SIGKILL);
    return false;
  }
  const Verdict verdict = judge(t, frame);
  const uint32_t data = verdict.action & SECCOMP_RET_DATA;
  constexpr uint32_t kMaxErrno = 4095;
  if (verdict.log) log_action(t, frame, "a filter asks for a log");
  switch (verdict.action & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
      return true;
    case SECCOMP_RET_LOG:
      log_action(t, frame, "allowed");
      return true;
    case SECCOMP_RET_ERRNO:
      result = -static_cast<int64_t>(std::min(data, kMaxErrno));
      return false;
    case SECCOMP_RET_TRAP:
      force_signal(t, info_of(t, frame, data));
      return false;
    case SECCOMP_RET_TRACE:       // there is no tracer,
    case SECCOMP_RET_USER_NOTIF:  // and no listener
      result = -ENOSYS;
      return false;
    case SECCOMP_RET_KILL_THREAD:
      end_thread(t, SIGSYS);
      return false;
    default:  // KILL_PROCESS, and what this kernel does not know
      die_of_signal(t, SIGSYS);
  }
}

}  // namespace lyrebird::user
