// SPDX-License-Identifier: Apache-2.0
/// One guest process: what all its threads share.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "accel/soft/soft.h"
#include "base/result.h"
#include "user/abi/abi.h"
#include "user/memory/address_space.h"
#include "user/options.h"
#include "user/path/root.h"
#include "user/process/limits.h"
#include "user/signals/process_signals.h"
#include "user/threads/thread_list.h"

namespace lyrebird::user {

class Debugger;
class Thread;

/// What is running, for /proc/self and execve.
struct Program {
  std::string exe;  ///< absolute host path: what /proc/self/exe points to
  std::string comm;
  std::vector<std::string> arguments, environment;
  std::vector<uint64_t> auxv;  ///< pairs as on the guest's stack
  uint64_t entry = 0;          ///< first pc
  uint64_t stack_pointer = 0;  ///< first sp
  uint64_t arg_start = 0, arg_end = 0, env_start = 0, env_end = 0;
  uint64_t code_start = 0, code_end = 0, data_start = 0, data_end = 0;
  uint64_t sigreturn_trampoline = 0;  ///< __kernel_rt_sigreturn in the vDSO
  uint64_t vdso = 0;                  ///< its address, 0: none
};

class Process {
 public:
  Process(const Abi& abi, Options options, CpuChoice cpu);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const Abi& abi;
  Options options;
  CpuChoice cpu;
  AddressSpace memory;
  Root root;
  accel::SoftAccelerator accelerator;
  ProcessSignals signals;  ///< dispositions, the queue shared by all threads (user/signals)
  ThreadList threads;      ///< (user/threads)
  Program program;
  EmulatedLimits limits;
  Debugger* debugger = nullptr;  ///< set before the first thread runs; null in fork()'s child

  /// Loads the program named by options into the empty address space and fills `program`.
  Result<void> load(int fd = -1);
  int load_exit_status = 1;  ///< for the shell, when load() failed

  /// fork(): before in the parent; after in the parent and in the child. Take every lock whose
  /// data a child needs consistent.
  void before_fork();
  void after_fork(bool in_child);
};

}  // namespace lyrebird::user
