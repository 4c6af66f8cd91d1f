// SPDX-License-Identifier: Apache-2.0
/// The start of every guest's state struct: what executors need without knowing
/// the guest.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ir/fp_mode.h"

namespace lyrebird::ir {

/// (System mode) where generated code finds the vCPU's translations of one mmu index; jit/tlb.h's.
struct TlbTable {
  void* entries = nullptr;
  uint64_t mask = 0;  ///< of an entry's place, in bytes
};
inline constexpr unsigned kTlbSpaces = 16;

struct alignas(64) CpuHeader {
  TlbTable tlb_tables[kTlbSpaces];  ///< (system mode) the current ones by mmu index

  /// host address = memory_base + guest address (user mode).
  uint64_t memory_base = 0;

  /// Of the last fault: guest data address (with its tag), bytes of the access, ir::Access, and
  /// in user mode the host's signal (SIGSEGV, SIGBUS) and si_code.
  uint64_t fault_address = 0;
  uint32_t fault_size = 0;
  uint32_t fault_access = 0;
  int32_t fault_code = 0;
  int32_t fault_signal = 0;

  /// What LoadExclusive watches; size 0 is nothing.
  alignas(16) uint64_t exclusive_value[2] = {0, 0};
  uint64_t exclusive_address = 0;
  uint32_t exclusive_size = 0;

  /// Of operations that have F80 operands or results, in the layout of an x87 status word: exceptions
  /// (bits 5:0) in either field; kF80RoundedUp, of the last operation, in the second. Code that runs on
  /// the host's x87 leaves its status word there. See f80_flags().
  uint16_t f80_collected = 0;
  uint16_t f80_status = 0;

  /// The engine's own: jit/direct's Area of the thread that runs this CPU; nullptr: there is none.
  std::atomic<void*> direct_area{nullptr};

  // --- system mode

  /// Interrupt lines into this CPU that are up; bits are the frontend's. Who raises one sets exit_request,
  /// too.
  std::atomic<uint32_t> interrupt_lines{0};
  /// Why somebody wants this CPU to leave its blocks; the accelerator's own.
  std::atomic<uint32_t> system_request{0};
  /// The accelerator's own: the TLB, and what the jump cache's entries are marked with.
  void* tlb = nullptr;
  uint64_t jump_tag = 0;

  // --- of every block. The last lie where generated code has short ways to them (jit/abi.h).

  uint64_t pc = 0;        ///< guest address of the next instruction, valid outside of blocks
  uint32_t mode = 0;      ///< the frontend's mode bits; with pc they are the block key
  uint32_t fp_flags = 0;  ///< collected FpFlag bits, but for operations on F80
  /// The engine's own: where indirect jumps look for their target (jit/jump_cache.h).
  alignas(16) std::atomic<const void*> jump_cache{nullptr};
  /// Non-zero: leave at the next block boundary. Set by jit::request_exit().
  std::atomic<uint32_t> exit_request{0};
  /// Non-zero: the engine looks at the map again at the next block boundary. Lies behind
  /// exit_request, so that generated code tests both at once.
  std::atomic<uint32_t> refresh_request{0};
};
static_assert(sizeof(CpuHeader) == offsetof(CpuHeader, refresh_request) + sizeof(uint32_t));

/// FpFlag bits of x87 exception bits 5:0, and back.
constexpr uint32_t flags_of_x87(uint32_t status) {
  return (status & 1) | (status >> 1 & 0x1e) | (status << 4 & 0x20);
}
constexpr uint32_t x87_of_flags(uint32_t flags) {
  return (flags & 1) | (flags << 1 & 0x3c) | (flags >> 4 & 2);
}
inline constexpr uint16_t kF80Exceptions = 0x3f;
inline constexpr uint16_t kF80RoundedUp = 1 << 9;  ///< C1
/// Somebody replaced the flags: exceptions still in the host's x87 are old ones.
inline constexpr uint16_t kF80Stale = 1 << 15;

/// What GetFpFlags of F80 gives: exceptions and kF80RoundedUp.
inline uint32_t f80_flags(const CpuHeader& cpu) {
  return (cpu.f80_collected | cpu.f80_status) & (kF80Exceptions | kF80RoundedUp);
}
inline void set_f80_flags(CpuHeader& cpu, uint32_t flags) {
  cpu.f80_collected = static_cast<uint16_t>(flags & kF80Exceptions);
  cpu.f80_status = static_cast<uint16_t>(kF80Stale | (flags & kF80RoundedUp));
#if defined(__x86_64__)
  asm volatile("fnclex");
#endif
}
/// After an operation in software whose FpFlag bits are `flags`.
inline void add_f80_flags(CpuHeader& cpu, uint32_t flags) {
  cpu.f80_collected |= static_cast<uint16_t>(x87_of_flags(flags));
  cpu.f80_status =
      static_cast<uint16_t>((cpu.f80_status & ~kF80RoundedUp) | (flags & kFpRoundedUp ? kF80RoundedUp : 0));
}

enum class Access : uint32_t { Read, Write, Fetch };

}  // namespace lyrebird::ir
