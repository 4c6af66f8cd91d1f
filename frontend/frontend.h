// SPDX-License-Identifier: Apache-2.0
/// What a guest ISA offers to accel/: blocks of IR for its code, and its state as data.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ir/block.h"
#include "ir/cpu_header.h"

namespace lyrebird::frontend {

/// Executable memory that shows a file's bytes.
struct CodeOrigin {
  uint64_t start = 0, end = 0;              ///< guest addresses
  uint64_t file_start = 0;                  ///< guest address where the file's first byte would be
  const uint8_t* host = nullptr;            ///< where to read what is at `start`; under a FaultGuard
  uint64_t identity = 0;                    ///< of the file; the same in every process
  bool guarded = false;                     ///< CodeSource::guarded() of all of it
  std::shared_ptr<const std::string> name;  ///< the file's path
};

/// Where guest code is read from. Thread-safe.
class CodeSource {
 public:
  virtual ~CodeSource() = default;
  /// Copies `size` bytes at guest address pc if all of them are executable memory, else false.
  virtual bool fetch(uint64_t pc, void* to, unsigned size) = 0;
  /// The page holding pc asks for branch-target checks (Arm PROT_BTI).
  virtual bool guarded(uint64_t pc) const = 0;
  /// Changes whenever an answer of origin() may.
  virtual uint64_t origin_generation() const { return 0; }
  /// False if the code at pc comes from no file, or may be written to.
  virtual bool origin(uint64_t /*pc*/, CodeOrigin&) const { return false; }
};

struct TranslateRequest {
  ir::BlockKey key;
  CodeSource* code = nullptr;
  unsigned max_instructions = 64;         ///< 1 for single step
  const uint64_t* breakpoints = nullptr;  ///< sorted guest addresses; a block ends before one,
  unsigned breakpoint_count = 0;          ///< or raises ExitKind::Debug if it starts there
  bool ignore_first_breakpoint = false;   ///< the debugger steps off a breakpoint
};

class Frontend {
 public:
  virtual ~Frontend() = default;
  virtual const ir::StateLayout& layout() const = 0;
  virtual ir::HelperTable helpers() const = 0;
  /// Lifts the code at request.key. Never fails: what can't be fetched or decoded becomes a Raise.
  /// Thread-safe.
  virtual void translate(const TranslateRequest& request, ir::Block& out) const = 0;
};

}  // namespace lyrebird::frontend
