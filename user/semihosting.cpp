// SPDX-License-Identifier: Apache-2.0
#include "user/semihosting.h"

#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <string>

#include "base/log.h"
#include "user/thread.h"
#include "user/threads/life.h"

namespace lyrebird::user {
namespace {

enum Operation : uint64_t {
  kWriteC = 0x03,
  kWrite0 = 0x04,
  kClock = 0x10,
  kTime = 0x11,
  kHeapInfo = 0x16,
  kExit = 0x18,
  kExitExtended = 0x20,
};
constexpr uint64_t kApplicationExit = 0x20026;  // ADP_Stopped_ApplicationExit
constexpr int64_t kFailed = -1;

bool say(const char* text, size_t size) { return ::write(STDERR_FILENO, text, size) >= 0; }

int64_t write_string(Thread& t, uint64_t address) {
  constexpr size_t kMax = 65536;
  std::string text;
  return t.memory().read_string(address, text, kMax) == 0 && say(text.data(), text.size()) ? 0 : kFailed;
}

int64_t write_char(Thread& t, uint64_t address) {
  char c;
  return t.memory().get(address, c) && say(&c, 1) ? 0 : kFailed;
}

/// The heap is what brk() can give, the stack what the kernel made.
int64_t heap_info(Thread& t, uint64_t pointer) {
  constexpr uint64_t kHeapSize = 128 << 20;
  struct {
    uint64_t heap_base, heap_limit, stack_base, stack_limit;
  } info{};
  info.heap_base = t.memory().set_brk(0);
  info.heap_limit = t.memory().set_brk(info.heap_base + kHeapSize);
  info.stack_base = t.process.program.stack_pointer;
  uint64_t block = 0;
  return t.memory().get(pointer, block) && t.memory().put(block, info) ? 0 : kFailed;
}

[[noreturn]] void end(Thread& t, uint64_t block) {
  uint64_t reason[2] = {};
  const bool good = t.memory().get(block, reason) && reason[0] == kApplicationExit;
  end_process(t, good ? static_cast<int>(reason[1]) : 1);
}

int64_t centiseconds() {
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return used.tv_sec * 100 + used.tv_nsec / 10'000'000;
}

int64_t answer(Thread& t, const SemihostingCall& call) {
  switch (call.operation) {
    case kWriteC:
      return write_char(t, call.argument);
    case kWrite0:
      return write_string(t, call.argument);
    case kClock:
      return centiseconds();
    case kTime:
      return ::time(nullptr);
    case kHeapInfo:
      return heap_info(t, call.argument);
    case kExit:
    case kExitExtended:
      end(t, call.argument);
    default:
      log_unimplemented(fmt::format("semihosting operation {:#x}", call.operation));
      return kFailed;
  }
}

}  // namespace

bool answer_semihosting(Thread& t, uint64_t insn) {
  const auto call = t.abi().semihosting_call(t.cpu(), insn);
  if (!call) return false;
  const int64_t result = answer(t, *call);
  t.abi().set_syscall_result(t.cpu(), result);
  t.cpu().pc += t.abi().syscall_insn_size;
  return true;
}

}  // namespace lyrebird::user
