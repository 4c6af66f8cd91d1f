// SPDX-License-Identifier: Apache-2.0
#include "user/signals/siginfo.h"

#include <cstring>

#include "base/bits.h"
#include "user/signals/sigset.h"

namespace lyrebird::user {

SigInfoLayout siginfo_layout(int signal, int code) {
  if (code > SI_USER && code < SI_KERNEL) {
    switch (signal) {
      case SIGILL:
      case SIGFPE:
      case SIGSEGV:
      case SIGBUS:
      case SIGTRAP:
        return SigInfoLayout::Fault;
      case SIGCHLD:
        return SigInfoLayout::Child;
      case SIGPOLL:
        return SigInfoLayout::Poll;
      case SIGSYS:
        return SigInfoLayout::Sys;
      default:
        return SigInfoLayout::Kill;
    }
  }
  if (code == SI_TIMER) return SigInfoLayout::Timer;
  if (code == SI_SIGIO) return SigInfoLayout::Poll;
  return code < 0 && code != SI_TKILL ? SigInfoLayout::RealTime : SigInfoLayout::Kill;
}

namespace {

// Reads and writes the guest's union member by member.
class Cursor {
 public:
  Cursor(const DataModel& model, void* guest) : model_(model), at_(static_cast<uint8_t*>(guest)) {}

  void put(uint64_t value, unsigned size) {
    align(size);
    for (unsigned i = 0; i < size; i++) at_[offset_ + byte(i, size)] = static_cast<uint8_t>(value >> 8 * i);
    offset_ += size;
  }
  void put_int(int64_t value) { put(static_cast<uint64_t>(value), 4); }
  void put_word(uint64_t value) { put(value, model_.word); }
  void put_pointer(const void* value) { put_word(reinterpret_cast<uint64_t>(value)); }

  uint64_t get(unsigned size) {
    align(size);
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) value |= uint64_t{at_[offset_ + byte(i, size)]} << 8 * i;
    offset_ += size;
    return value;
  }
  int get_int() { return static_cast<int>(get(4)); }
  uint64_t get_word() { return get(model_.word); }
  void* get_pointer() { return reinterpret_cast<void*>(get_word()); }
  void align(unsigned size) { offset_ = static_cast<unsigned>(align_up(offset_, size)); }

 private:
  unsigned byte(unsigned i, unsigned size) const { return model_.big_endian ? size - 1 - i : i; }
  const DataModel& model_;
  uint8_t* const at_;
  unsigned offset_ = 0;
};

}  // namespace

void siginfo_to_guest(const DataModel& model, const siginfo_t& host, void* guest) {
  if (model.like_host()) {
    std::memcpy(guest, &host, kSigInfoSize);
    return;
  }
  std::memset(guest, 0, kSigInfoSize);
  Cursor to(model, guest);
  to.put_int(host.si_signo);
  to.put_int(host.si_errno);
  to.put_int(host.si_code);
  to.align(model.word);
  switch (siginfo_layout(host.si_signo, host.si_code)) {
    case SigInfoLayout::Kill:
      to.put_int(host.si_pid);
      to.put_int(static_cast<int64_t>(host.si_uid));
      break;
    case SigInfoLayout::Timer:
      to.put_int(host.si_timerid);
      to.put_int(host.si_overrun);
      to.put_pointer(host.si_value.sival_ptr);
      break;
    case SigInfoLayout::RealTime:
      to.put_int(host.si_pid);
      to.put_int(static_cast<int64_t>(host.si_uid));
      to.put_pointer(host.si_value.sival_ptr);
      break;
    case SigInfoLayout::Child:
      to.put_int(host.si_pid);
      to.put_int(static_cast<int64_t>(host.si_uid));
      to.put_int(host.si_status);
      to.put_word(static_cast<uint64_t>(host.si_utime));
      to.put_word(static_cast<uint64_t>(host.si_stime));
      break;
    case SigInfoLayout::Fault:
      to.put_pointer(host.si_addr);
      to.put(static_cast<uint64_t>(host.si_addr_lsb), 2);
      break;
    case SigInfoLayout::Poll:
      to.put_word(static_cast<uint64_t>(host.si_band));
      to.put_int(host.si_fd);
      break;
    case SigInfoLayout::Sys:
      to.put_pointer(host.si_call_addr);
      to.put_int(host.si_syscall);
      to.put_int(static_cast<int64_t>(host.si_arch));
      break;
  }
}

void siginfo_to_host(const DataModel& model, const void* guest, siginfo_t& host) {
  if (model.like_host()) {
    std::memcpy(&host, guest, kSigInfoSize);
    return;
  }
  uint8_t copy[kSigInfoSize];
  std::memcpy(copy, guest, sizeof copy);
  std::memset(&host, 0, sizeof host);
  Cursor from(model, copy);
  host.si_signo = from.get_int();
  host.si_errno = from.get_int();
  host.si_code = from.get_int();
  from.align(model.word);
  switch (siginfo_layout(host.si_signo, host.si_code)) {
    case SigInfoLayout::Timer:
      host.si_timerid = from.get_int();
      host.si_overrun = from.get_int();
      host.si_value.sival_ptr = from.get_pointer();
      break;
    case SigInfoLayout::Fault:
      host.si_addr = from.get_pointer();
      break;
    case SigInfoLayout::Poll:
      host.si_band = static_cast<long>(from.get_word());
      host.si_fd = from.get_int();
      break;
    case SigInfoLayout::Child:
      host.si_pid = from.get_int();
      host.si_uid = static_cast<uid_t>(from.get_int());
      host.si_status = from.get_int();
      break;
    default:
      host.si_pid = from.get_int();
      host.si_uid = static_cast<uid_t>(from.get_int());
      host.si_value.sival_ptr = from.get_pointer();
      break;
  }
}

}  // namespace lyrebird::user
