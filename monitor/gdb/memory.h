// SPDX-License-Identifier: Apache-2.0
/// Guest memory as a debugger sees it: whatever its protection. Through /proc/self/mem, which
/// ignores page rights and fails where nothing is mapped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "user/process.h"

namespace lyrebird::gdb {

class DebugMemory {
 public:
  explicit DebugMemory(user::Process& process);
  ~DebugMemory();
  DebugMemory(const DebugMemory&) = delete;
  DebugMemory& operator=(const DebugMemory&) = delete;

  /// As much as can be read, from the start.
  std::string read(uint64_t address, uint64_t size) const;
  /// All or (false) nothing that could be relied on. Code translated from there is forgotten.
  bool write(uint64_t address, std::string_view bytes) const;

 private:
  user::Process& process_;
  const int fd_;
};

}  // namespace lyrebird::gdb
