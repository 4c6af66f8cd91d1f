// SPDX-License-Identifier: Apache-2.0
#include "user/syscalls/dispatch.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/log.h"

namespace lyrebird::user {
namespace {

void print_any_six(const SyscallFrame& frame, std::string& out) {
  for (unsigned i = 0; i < 6; ++i) {
    if (i) out += ", ";
    print_hex(out, frame.args[i]);
  }
}

void print_result(Thread& t, const SyscallRow* row, int64_t result, std::string& out) {
  if (result == kKeepRegisters) {
    out += "?";
  } else if (result >= -4095 && result < 0) {
    const int code = static_cast<int>(-result);
    const char* const name = ::strerrorname_np(code);
    if (name)
      out += fmt::format("-1 {} ({})", name, ::strerrordesc_np(code));
    else
      out += fmt::format("? (to be restarted: {})", code);
  } else if (row && row->print_result) {
    row->print_result(t, result, out);
  } else {
    print_signed(out, result);
  }
}

const SyscallRow* find_row(Thread& t, uint64_t number) {
  const auto rows = t.abi().syscalls;
  return number < rows.size() ? rows[number] : nullptr;
}

int64_t answer(Thread& t, const SyscallRow* row, const SyscallFrame& frame) {
  int64_t refusal;
  if (t.seccomp.active() && !seccomp_permits(t, frame, row ? row->name : nullptr, refusal)) return refusal;
  if (row && row->call) return row->call(t, frame);
  log_unimplemented(fmt::format("{}: system call {} ({})", t.abi().name, frame.number,
                                row ? row->name : "not in the table"));
  return -ENOSYS;
}

}  // namespace

int64_t answer_vdso(Thread& t, const SyscallFrame& frame) {
  const SyscallRow* const row = find_row(t, frame.number);
  return row && row->call ? row->call(t, frame) : -ENOSYS;
}

int64_t dispatch_syscall(Thread& t, const SyscallFrame& frame) {
  const SyscallRow* const row = find_row(t, frame.number);
  const bool trace = t.process.options.strace;
  std::string text;
  if (trace) {
    text =
        fmt::format("{} {}(", t.tid, row ? std::string(row->name) : fmt::format("syscall_{}", frame.number));
    if (row && row->print)
      row->print(t, frame, text);
    else
      print_any_six(frame, text);
    text += ')';
  }
  if (trace && row && std::string_view(row->name).starts_with("exit")) {
    // It does not come back.
    log_detail::write(text + " = ?\n");
    text.clear();
  }
  const int64_t result = answer(t, row, frame);
  if (trace && !text.empty()) {
    text += " = ";
    print_result(t, row, result, text);
    text += '\n';
    log_detail::write(text);
  }
  return result;
}

}  // namespace lyrebird::user
