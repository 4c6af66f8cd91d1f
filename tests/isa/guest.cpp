// SPDX-License-Identifier: Apache-2.0
#include "tests/isa/guest.h"

#include <sys/mman.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/fault_guard.h"

namespace lyrebird::isa {

namespace {

constexpr size_t kReservation = 0x40000;
constexpr size_t kDataOffset = 0x10000;

void on_fault(int signal, siginfo_t* info, void* context) {
  if (FaultGuard::deliver(signal, *info, context)) return;
  std::signal(signal, SIG_DFL);
}

}  // namespace

bool WordSource::fetch(uint64_t pc, void* to, unsigned size) {
  const uint64_t offset = pc - kCode;
  if (offset > words.size_bytes() || words.size_bytes() - offset < size) return false;
  std::memcpy(to, reinterpret_cast<const uint8_t*>(words.data()) + offset, size);
  return true;
}

DataMemory::DataMemory() {
  // Where the guest has it, so that executors can do without a base.
  void* const wanted = reinterpret_cast<void*>(kData - kDataOffset);
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* at = mmap(wanted, kReservation, PROT_NONE, kFlags | MAP_FIXED_NOREPLACE, -1, 0);
  if (at == MAP_FAILED) at = mmap(nullptr, kReservation, PROT_NONE, kFlags, -1, 0);
  if (at == MAP_FAILED) {
    std::perror("mmap");
    std::abort();
  }
  reservation_ = static_cast<uint8_t*>(at);
  data_ = reservation_ + kDataOffset;
  mprotect(data_, kPage, PROT_READ | PROT_WRITE);
  mprotect(data_ + (kRom - kData), kPage, PROT_READ);
  base_ = reinterpret_cast<uint64_t>(data_) - kData;

  struct sigaction action{};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
  sigaction(SIGFPE, &action, nullptr);
}

DataMemory::~DataMemory() { munmap(reservation_, kReservation); }

Guest::Guest(const Executor& executor, const arm::CpuModel& cpu, DataMemory& memory)
    : executor_(executor),
      frontend_(cpu),
      accelerator_(frontend_, source_,
                   {.executor = executor.executor,
                    .zero_base = memory.base() == 0,
                    .fp_traps = true,
                    .optimise = executor.optimise}),
      vcpu_(accelerator_.create_vcpu(state.header)) {
  state.header.memory_base = memory.base();
}

accel::Exit Guest::run(std::span<const uint32_t> words, bool guarded) {
  source_.words = words;
  source_.guarded_page = guarded;
  accelerator_.invalidate(kCode - kPage, 3 * kPage);
  state.header.pc = kCode;
  accel::Exit exit;
  if (executor_.single_step) {
    constexpr unsigned kMaxSteps = 100000;
    for (unsigned i = 0; i < kMaxSteps; ++i) {
      exit = vcpu_->step();
      if (exit.kind != ir::ExitKind::Debug) break;
    }
  } else {
    exit = vcpu_->run();
  }
  const uint64_t offset = state.header.pc - kCode;
  if (exit.kind == ir::ExitKind::FetchFault && offset >= words.size_bytes()) exit = {};
  return exit;
}

}  // namespace lyrebird::isa
