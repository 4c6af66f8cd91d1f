// SPDX-License-Identifier: Apache-2.0
/// The translation loop: look a block up, else lift, optimise, compile and publish it.
/// One SoftAccelerator per guest process (or machine), shared by its vCPUs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "accel/soft/keeper.h"
#include "accel/soft/tier.h"
#include "accel/vcpu.h"
#include "frontend/frontend.h"
#include "jit/engine.h"
#include "jit/tier/grow.h"

namespace lyrebird {
class Report;
}

namespace lyrebird::accel {

/// Appends the guest code's disassembly, lines with \n, for -d in_asm.
using Disassembler = void (*)(uint64_t pc, uint32_t mode, const uint8_t* code, size_t size, std::string& out);
/// Set by tools/ before any guest runs; without one, in_asm shows the bytes.
void set_disassembler(Disassembler disassembler);

/// The same for host code, for -d out_asm.
void set_host_disassembler(Disassembler disassembler);

/// What runs the blocks.
enum class Executor : uint8_t {
  Interp,    ///< jit/interp
  Baseline,  ///< jit/baseline, or the interpreter where the host cannot
  Tiered,    ///< jit/baseline, and jit/llvm for what is hot
  Llvm,      ///< jit/llvm for every block at once: slow, for tests
  Direct,    ///< accel/direct where guest and host speak the same ISA, or jit/baseline
};

struct SoftOptions {
  Executor executor = Executor::Baseline;
  bool perf_map = false;                    ///< write /tmp/perf-PID.map
  bool gdb_jit = false;                     ///< tell a gdb that looks at this process of the code
  bool measure = false;                     ///< time the translations, for report()
  bool zero_base = false;                   ///< every CpuHeader::memory_base is 0
  bool fp_traps = false;                    ///< jit::BaselineOptions has it
  bool optimise = true;                     ///< run the IR passes
  unsigned max_instructions = 64;           ///< guest instructions per block
  size_t memory_limit = size_t{256} << 20;  ///< bytes of compiled blocks
  KeepOptions keep;                         ///< translations on disk
  size_t code_bytes = 0;                    ///< of host code in them; 0: a bit more than memory_limit
  TierOptions tier;                         ///< (Tiered)
  jit::GrowLimits grow;                     ///< of a region
};

struct SoftStats {
  uint64_t translations = 0;         ///< blocks lifted, published or not
  uint64_t blocks = 0;               ///< compiled blocks held now
  uint64_t bytes = 0;                ///< that they take
  uint64_t instructions = 0;         ///< guest instructions in blocks ever published
  uint64_t invalidated = 0;          ///< blocks forgotten because their code changed
  uint64_t evicted = 0;              ///< blocks forgotten to stay below the limit
  uint64_t refused = 0;              ///< translations thrown away: the code changed meanwhile
  uint64_t regions = 0;              ///< optimised, ever
  uint64_t region_instructions = 0;  ///< guest instructions in them
  uint64_t region_time_us = 0;       ///< that making them took
  uint64_t kept_regions = 0;         ///< that another process made
};

class SoftAccelerator {
 public:
  /// All references must outlive this.
  SoftAccelerator(const frontend::Frontend& frontend, frontend::CodeSource& code, SoftOptions options = {});
  ~SoftAccelerator();

  /// A vCPU that runs on `state`, the start of the frontend's state struct. Thread-safe.
  std::unique_ptr<Vcpu> create_vcpu(ir::CpuHeader& state);

  /// Forgets blocks made from any byte of [start, start + size): guest code changed, was
  /// unmapped or lost its execute right. Other threads stop using them at their next block
  /// boundary at the latest. Thread-safe.
  void invalidate(uint64_t start, uint64_t size);
  /// Replaces the set of breakpoints (sorted).
  void set_breakpoints(std::vector<uint64_t> addresses);

  /// Around fork(), so that the child gets the blocks in one piece. A child that nobody prepared
  /// for starts with none.
  void before_fork();
  void after_fork_in_parent();
  /// After fork() in the child: only the calling thread is left.
  void after_fork_in_child();

  /// Ends the background thread, after the work in hand; it starts again when there is need of it.
  /// `wait`: not before it has ended.
  void stop_background(bool wait);

  /// Writes translations to disk that are not there yet: before the process ends or becomes another.
  void keep();

  SoftStats stats() const;
  /// What -stats prints: the translations, the engine's own rows, the block map.
  void report(Report& report) const;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace lyrebird::accel
