// SPDX-License-Identifier: Apache-2.0
/// A block of the baseline engine, and what is known about its code: exits, faults, pointers. There
/// are many of them, so this is packed, in one piece without pointers: the same bytes describe a
/// block in memory and on disk.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <span>
#include <vector>

#include "jit/baseline/block_pool.h"
#include "jit/code_plan.h"
#include "jit/engine.h"

namespace lyrebird::jit {
class Baseline;
}

namespace lyrebird::jit::baseline {

/// Read-only view of packed bytes, which outlive it. Offsets are from the start of the code.
class BlockInfo {
 public:
  static constexpr uint32_t kNoteSize = 5;
  /// What is to be packed.
  struct Source {
    ir::BlockKey key;
    uint32_t code_size = 0;
    uint32_t entry = kCodeHeader;
    uint32_t after_check = 0;  ///< where jumps from lower addresses go
    uint32_t prefix = 0;       ///< bytes of code for who comes with the guest's flags in the host's, 0: none
    bool sums = false;         ///< it begins with the one byte that FlagsAt::HostSum wants besides
    bool drops_flags =
        false;  ///< nobody sees them: such a jump from a lower address goes to after_check, too
    bool notes_flags = false;  ///< after_check begins with kNoteSize bytes that such a jump goes around
    bool region = false;
    const std::vector<ExitPlan>* exits = nullptr;
    const std::vector<FaultPlan>* faults = nullptr;
    const std::vector<TrapPlan>* traps = nullptr;
    const std::vector<uint32_t>* pointers = nullptr;  ///< offsets of pointers into this program
    std::span<const uint8_t> recovery;                ///< (region) what pack_recovery() made
    const std::vector<uint32_t>* moves = nullptr;     ///< nullptr: the code belongs to its pc
  };
  /// False if there is too much of something.
  static bool pack(const Source& source, std::vector<uint8_t>& out);
  /// The info at the start of bytes that nobody vouches for; nullopt if it does not fit.
  static std::optional<BlockInfo> check(std::span<const uint8_t> bytes);

  BlockInfo() = default;
  explicit BlockInfo(const uint8_t* at) : at_(at) {}
  const uint8_t* bytes() const { return at_; }
  size_t size() const;

  uint32_t code_size() const { return head().code_size; }
  bool region() const { return head().region; }
  uint32_t entry() const { return region() ? head().after_check : kCodeHeader + head().prefix; }
  uint32_t after_check() const { return head().after_check; }
  /// Where a linked jump goes: `forward` if it needs no check for requests, `flags` as ExitPlan has it. 0: it
  /// cannot be linked.
  uint32_t entry_for(bool forward, FlagsAt flags) const;
  /// Bytes to leave free, a multiple of `step`, in front of code that would begin `at` bytes behind the start
  /// of a line of the host's instruction cache, so that a loop which is all of the block lies in as few lines
  /// as it can. nullopt: that is the same everywhere.
  std::optional<uint32_t> room_for_loop(uint32_t at, uint32_t step, ir::BlockKey key) const;
  unsigned exits() const { return head().exits; }
  /// `key`: the block's.
  ExitPlan exit(unsigned number, ir::BlockKey key) const;
  unsigned pointers() const { return head().pointers; }
  uint32_t pointer(unsigned number) const;
  /// (region) for recover()
  std::span<const uint8_t> recovery() const;
  /// Nothing but what moves() says, and exits, depends on the pc of the block other than in the offset in its
  /// page.
  bool movable() const { return head().movable; }
  /// Offsets of guest addresses, 8 bytes, to which the pc is added (kMoveIndex besides).
  unsigned moves() const { return head().moves; }
  uint32_t move(unsigned number) const;
  /// The guest instruction of the host instruction at `offset`, which may fault.
  std::optional<FaultPlan> fault(uint32_t offset) const;
  /// Where the host instruction at `offset`, which raised a floating point exception, goes on.
  std::optional<uint32_t> trap(uint32_t offset) const;

 private:
  static constexpr unsigned kOffsetBits = 19, kMoveBits = 12;
  struct Head {
    uint32_t code_size : 21;
    uint32_t notes_flags : 1;
    uint32_t sums : 1;
    uint32_t region : 1;
    uint32_t drops_flags : 1;
    uint32_t prefix : 6;                 ///< in front of the entry, (region) at the end of the code
    uint32_t after_check : kOffsetBits;  ///< (region) the entry as well
    uint32_t movable : 1, moves : kMoveBits;
    uint16_t exits, wide;
    uint16_t pointers, fault_bytes;  ///< (fault_bytes) of both lists, that of traps first
  };
  static_assert(sizeof(Head) == 16);
  struct Exit {
    int32_t pc;  ///< from the block's; (wide) number of the WideExit
    uint32_t patch : kOffsetBits, kind : 4, mode_known : 1, wide : 1, flags : 2, asks : 1, spare : 4;
    uint32_t stub : kOffsetBits, raise : 8, spare2 : 5;
  };
  static_assert(sizeof(Exit) == 12);
  struct WideExit {
    uint32_t pc[2], detail[2], mode;
  };
  static_assert(sizeof(WideExit) == 20);

  template <typename T>
  T read(size_t offset) const {
    T value;
    std::memcpy(&value, at_ + offset, sizeof value);
    return value;
  }
  Head head() const { return read<Head>(0); }
  static size_t wide_at(const Head& h) { return sizeof(Head) + h.exits * sizeof(Exit); }
  static size_t pointers_at(const Head& h) { return wide_at(h) + h.wide * sizeof(WideExit); }
  static size_t faults_at(const Head& h) {
    return pointers_at(h) + (size_t{h.pointers} + h.moves) * sizeof(uint32_t);
  }
  static size_t recovery_at(const Head& h) { return faults_at(h) + h.fault_bytes; }  // size, bytes

  const uint8_t* at_ = nullptr;
};

struct BaselineBlock final : CompiledBlock {
  explicit BaselineBlock(Baseline& e) : engine(e) {}
  ~BaselineBlock() override;
  void removed() override;

  /// With room behind it for `info_size` bytes of info, which is to be stored below.
  static void* operator new(size_t size, BlockPool& pool, size_t info_size) {
    return pool.take(size + info_size);
  }
  static void operator delete(void* block, BlockPool& pool, size_t info_size) {
    pool.give(block, sizeof(BaselineBlock) + info_size);
  }
  static void operator delete(BaselineBlock* block, std::destroying_delete_t);
  uint8_t* room() { return reinterpret_cast<uint8_t*>(this + 1); }

  Baseline& engine;
  const uint8_t* code = nullptr;  ///< nullptr: the interpreter runs it
  BlockInfo info;
  CompiledBlock* interpreted = nullptr;  ///< owned
  bool direct = false;                   ///< code, if any, is jit/direct's

  // Under Baseline::link_mutex_.
  uint32_t incoming = 0, outgoing = 0;  ///< Links: lists of those here, and of those from here
  bool gone = false;

  /// Everything above is in place. Generated code finds its way to blocks of other threads without C++:
  /// who comes out of it reads this first.
  std::atomic<bool> complete{false};
  uint32_t info_size = 0;  ///< of the room behind it
};

}  // namespace lyrebird::jit::baseline
