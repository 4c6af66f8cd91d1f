// SPDX-License-Identifier: Apache-2.0
/// One IR instruction, and the small packed records that ride in its aux word.
#pragma once

#include <cstdint>
#include <string_view>

#include "ir/fp_mode.h"
#include "ir/type.h"

namespace lyrebird::ir {

enum class Op : uint16_t {
#define OP(name, kind, signature, effects, meaning) name,
#include "ir/ops.inc"
};
inline constexpr unsigned kOpCount = 0
#define OP(name, kind, signature, effects, meaning) +1
#include "ir/ops.inc"
    ;

enum Effect : uint16_t {
  Pure = 0,
  Reads = 1,   ///< guest memory
  Writes = 2,  ///< guest memory
  Faults = 4,  ///< may leave with a guest fault: all state before it must be in place
  ReadsState = 8,
  WritesState = 16,
  FpFlags = 32,    ///< or-s into CpuHeader::fp_flags (F80: f80_collected), unless FpMode::no_flags
  Exits = 64,      ///< may leave the block
  Terminal = 128,  ///< ends the block
};

enum class OpKind : uint8_t { Lane1, Lane2, Lane3, Fp1, Fp2, Fp3, Vec1, Vec2, Vec3, Special };

struct OpInfo {
  std::string_view name;
  OpKind kind;
  std::string_view signature;  ///< as in ops.inc
  uint16_t effects;
  std::string_view meaning;
  uint8_t args = 0;  ///< value operands; for CallHelper the most there can be
};
extern const OpInfo kOps[kOpCount];
// What every walk over a block asks, close together.
inline constexpr uint16_t kOpEffects[kOpCount] = {
#define OP(name, kind, signature, effects, meaning) effects,
#include "ir/ops.inc"
};
inline constexpr uint8_t kOpArgs[kOpCount] = {
#define OP(name, kind, signature, effects, meaning) \
  static_cast<uint8_t>(std::string_view(signature).find('>')),
#include "ir/ops.inc"
};
inline const OpInfo& info(Op op) { return kOps[static_cast<unsigned>(op)]; }

/// A value is the index of the instruction that makes it.
using ValueId = uint32_t;
inline constexpr ValueId kNoValue = ~ValueId{0};

struct Inst {
  Op op{};
  Type type = Type::None;
  Type elem = Type::None;
  uint32_t aux = 0;
  ValueId args[4] = {kNoValue, kNoValue, kNoValue, kNoValue};
  uint64_t imm = 0;

  /// Upper half of a 128-bit constant, or the not-taken pc of Branch: lives in args[2..3].
  uint64_t high() const { return args[2] | uint64_t{args[3]} << 32; }
  void set_high(uint64_t v) {
    args[2] = static_cast<ValueId>(v);
    args[3] = static_cast<ValueId>(v >> 32);
  }
  /// True where args[2..3] hold high() and not values.
  bool has_high() const { return op == Op::Const || op == Op::Branch; }
  FpMode fp_mode() const { return FpMode::unpack(aux); }
  uint32_t fp_extra() const { return aux >> kFpModeBits; }
};
static_assert(sizeof(Inst) == 32);

/// Inst::aux of SetState: the write may come late, after faults but before the block is left.
inline constexpr uint32_t kStateLate = 1;

/// Its flags are those of operations on F80, which are collected apart.
inline bool has_f80_flags(const Inst& inst) {
  return (kOpEffects[static_cast<unsigned>(inst.op)] & FpFlags) &&
         (inst.type == Type::F80 || inst.elem == Type::F80);
}

enum class Align : uint8_t {
  None,      ///< any address
  Natural,   ///< a multiple of the size, else ExitKind::Unaligned
  Within16,  ///< may be unaligned inside an aligned 16-byte granule (Arm LSE2), else Unaligned
};
enum class Order : uint8_t { Plain, Acquire, Release, SeqCst };
enum class AddressRule : uint8_t {
  Full,       ///< all 64 bits count
  IgnoreTop,  ///< bits 63:56 are a tag: replaced by copies of bit 55 (Arm TBI)
  Low32,      ///< wraps at 4 GiB
  Low16,      ///< wraps at 64 KiB
};

/// What a memory op does beyond its address and value.
struct MemInfo {
  uint8_t size = 0;   ///< bytes: 1, 2, 4, 8, 10, 16, 32
  bool sign = false;  ///< Load: sign-extend to the type
  bool big_endian = false;
  Align align = Align::None;
  Order order = Order::Plain;
  AddressRule address = AddressRule::Full;
  uint8_t space = 0;  ///< address space or privilege index, meaning is the frontend's
  constexpr uint32_t pack() const {
    return size | uint32_t{sign} << 6 | uint32_t{big_endian} << 7 | static_cast<uint32_t>(align) << 8 |
           static_cast<uint32_t>(order) << 10 | static_cast<uint32_t>(address) << 12 | uint32_t{space} << 16;
  }
  static constexpr MemInfo unpack(uint32_t v) {
    return {static_cast<uint8_t>(v & 63),
            (v >> 6 & 1) != 0,
            (v >> 7 & 1) != 0,
            static_cast<Align>(v >> 8 & 3),
            static_cast<Order>(v >> 10 & 3),
            static_cast<AddressRule>(v >> 12 & 3),
            static_cast<uint8_t>(v >> 16)};
  }
  constexpr bool operator==(const MemInfo&) const = default;
};

enum class JumpHint : uint32_t { None, Call, Return };

/// Why guest code stopped. The frontend and the executor name the cause; user/
/// and machines/ give it its meaning.
enum class ExitKind : uint32_t {
  None,               ///< (never seen outside the engine)
  Syscall,            ///< imm: the immediate of the instruction; pc is after it
  Undefined,          ///< unallocated or disabled instruction; pc at it
  Breakpoint,         ///< guest breakpoint instruction; imm: its immediate; pc at it
  MemoryFault,        ///< detail: CpuHeader::fault_*; pc at the instruction
  Unaligned,          ///< alignment rule broken; CpuHeader::fault_address
  FetchFault,         ///< no executable memory; imm: where; CpuHeader::fault_*
  BranchTarget,       ///< branch protection: not a landing pad (Arm BTI)
  ArithmeticTrap,     ///< imm: frontend's own code (x86 #DE, trapped FP)
  AuthFailure,        ///< pointer authentication failed (Arm FPAC)
  InvalidateCode,     ///< the guest changed code: range in CpuHeader::fault_address, fault_size; pc after it
  Debug,              ///< breakpoint or single step of the debugger; pc is the next instruction
  Interrupted,        ///< somebody set CpuHeader::exit_request; pc is the next instruction
  Yield,              ///< hint that somebody else should run (WFE, YIELD, pause); pc after it
  Error,              ///< the emulator itself failed (logged)
  SoftwareInterrupt,  ///< imm: frontend's own code (x86 INT n: number, length); pc after it
  ProtectionFault,    ///< not allowed here; imm: frontend's own code (x86 #GP); pc at it
  StackFault,         ///< stack outside of its bounds; imm: frontend's own code (x86 #SS); pc at it
  SegmentAbsent,      ///< imm: frontend's own code (x86 #NP); pc at it
  SystemTrap,         ///< privileged instruction that goes elsewhere; imm: frontend's own code; pc at it
  Reset,              ///< (machines) this CPU asks for a reset: it cannot go on
  Shutdown,           ///< (machines) this CPU asks for power-off
};
inline constexpr unsigned kExitKindCount = static_cast<unsigned>(ExitKind::Shutdown) + 1;
/// The instruction is done: pc is that of the next one.
constexpr bool pc_is_after(ExitKind kind) {
  return kind == ExitKind::Syscall || kind == ExitKind::InvalidateCode || kind == ExitKind::Yield ||
         kind == ExitKind::SoftwareInterrupt;
}
std::string_view name(ExitKind kind);

}  // namespace lyrebird::ir
