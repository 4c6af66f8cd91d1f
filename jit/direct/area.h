// SPDX-License-Identifier: Apache-2.0
/// What directly translated code shares with the engine (docs/decisions.md, "the same ISA"): guest registers
/// are the host's of the same name, all of them, so that the code reaches everything else through GS, whose
/// base is the running thread's Area.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace lyrebird::jit::direct {

/// The table of indirect jumps is indexed by so many low bits of the target.
inline constexpr unsigned kTableBits = 16;

struct Area {
  /// At exits, by the host's numbers. An indirect jump on its way has put rcx here.
  uint64_t gpr[16];
  uint64_t spill;   ///< a register that holds an address for one instruction
  uint64_t target;  ///< of an indirect jump that missed the table
  uint64_t flags;   ///< RFLAGS
  uint32_t mxcsr;
  uint32_t x87_used;  ///< code has used the host's x87 since it was loaded or initial
  uint32_t mxcsr_loaded;
  std::atomic<uint32_t> in_code;  ///< directly translated code is running, or about to
  std::atomic<uint32_t> closed;   ///< `poll` was taken away
  uint64_t host_sp;
  const void* exit;  ///< rax: owner, ecx: exit; their guest values are in gpr
  const void* miss;  ///< target is set, rcx is in gpr, rax still its own
  uint64_t fs_base, gs_base;
  const void* entry;  ///< where the way in goes
  bool live;          ///< the guest's registers are here and not in its state
  alignas(64) uint8_t vectors[16][32];
  alignas(64) uint8_t x87[512];  ///< FXSAVE's image, to load it from or after a fault
  /// Loops and indirect jumps look here, which changes neither flags nor registers: a page that can be taken
  /// away from them.
  alignas(4096) uint8_t poll[4096];
  /// Entries of blocks, which look whether they are meant; others lead to the engine.
  alignas(4096) const void* table[size_t{1} << kTableBits];

  /// Forgets where indirect jumps go.
  void clear();
  /// Lets code that is running come back to the engine. For any thread and signal handler.
  void close() {
    if (in_code.load()) take_poll_away();
  }
  void open();
  bool holds_poll(uint64_t address) const { return address - reinterpret_cast<uint64_t>(poll) < sizeof poll; }

  struct Unmap {
    void operator()(Area* area) const;
  };
  using Ptr = std::unique_ptr<Area, Unmap>;
  /// Zeros. Throws std::bad_alloc.
  static Ptr make();

 private:
  void take_poll_away();
};

}  // namespace lyrebird::jit::direct
