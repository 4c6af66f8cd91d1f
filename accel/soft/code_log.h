// SPDX-License-Identifier: Apache-2.0
/// Tells of the generated code: -d out_asm, the map file of perf (/tmp/perf-PID.map), and the
/// interface by which gdb learns of code made at run time.
#pragma once

#include <sys/types.h>

#include <mutex>
#include <unordered_map>

#include "jit/code_observer.h"

namespace lyrebird::accel {

class CodeLog final : public jit::CodeObserver {
 public:
  struct Options {
    bool out_asm = false;
    bool perf_map = false;
    bool gdb = false;
  };
  explicit CodeLog(Options options) : options_(options) {}
  ~CodeLog() override;

  void made(const jit::HostCode& code) override;
  void gone(const uint8_t* code) override;

 private:
  void write_map(const jit::HostCode& code);
  void open_map();

  const Options options_;
  std::mutex mutex_;
  int map_ = -1;
  pid_t map_of_ = 0;                                      ///< after fork() the child needs a file of its own
  std::unordered_map<const uint8_t*, void*> registered_;  ///< with gdb
};

}  // namespace lyrebird::accel
