// SPDX-License-Identifier: Apache-2.0
/// The x86 register state as the IR sees it (SDM volume 1, 3.4, 8.1, 10.2 and 14.1; volume 3, 2.1),
/// for 16-, 32- and 64-bit guests and for system mode.
///
/// header.pc is the linear address of the next instruction: CS.base + rIP. Fields that code reads
/// and writes one by one are fields of their own, so that what nobody reads costs nothing: each
/// flag of EFLAGS that is no result, each condition code and each tag of the x87. The functions below put the
/// architectural words together.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "frontend/x86/x86_mode.h"
#include "ir/block.h"
#include "ir/cpu_header.h"

namespace lyrebird::x86 {

enum GprIndex : unsigned { kRax, kRcx, kRdx, kRbx, kRsp, kRbp, kRsi, kRdi };

/// A segment register with its hidden part (SDM volume 3, 3.4.3).
struct SegmentState {
  uint64_t base = 0;
  uint32_t limit = 0;       ///< in bytes, granularity applied
  uint32_t attributes = 0;  ///< bits 23:8 of the descriptor's second word, in place
  uint16_t selector = 0;
};

/// GDTR and IDTR.
struct TableState {
  uint64_t base = 0;
  uint32_t limit = 0;
};

struct X86State {
  ir::CpuHeader header;  ///< pc, mode (x86_mode.h), collected SSE flags (MXCSR bits 5:0)

  /// CF, PF, AF, ZF, SF and OF as the IR's status word has them (ir/ops.inc): bits 7:0 of EFLAGS in
  /// bits 15:8, OF in bit 0. Nearly every block writes it: it is in reach of a short displacement.
  uint16_t status = 0;

  uint64_t gpr[16] = {};  ///< rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 .. r15

  /// The rest of EFLAGS, 0 or 1 each.
  uint8_t df = 0;
  uint8_t tf = 0, if_ = 0, iopl = 0, nt = 0, rf = 0, vm = 0, ac = 0, vif = 0, vip = 0, id = 0;

  SegmentState es, cs, ss, ds, fs, gs, ldtr, tr;
  TableState gdtr, idtr;

  /// x87: R0 to R7, an F80 each; MMn is the low 64 bits of Rn. TOP and the tags (empty or not) are in
  /// header.mode.
  alignas(16) uint8_t x87[8][16] = {};
  uint8_t c0 = 0, c1 = 0, c2 = 0, c3 = 0;  ///< condition codes of the status word; c1 may be kC1Rounded
  uint16_t x87_exceptions = 0;             ///< bits 6:0 of the status word (IE .. PE, SF), but see x87_status
  uint16_t x87_control = 0x37f;            ///< change it through set_x87_control
  uint16_t x87_opcode = 0;                 ///< of the last instruction, 11 bits
  uint16_t x87_cs = 0, x87_ds = 0;
  uint64_t x87_ip = 0, x87_dp = 0;
  alignas(16) uint8_t x87_result[16] = {};  ///< what a helper wants stored

  /// Without bits 5:0, which are header.fp_flags; change it through set_mxcsr.
  uint32_t mxcsr = 0x1f80;
  uint64_t xcr0 = 1;

  /// YMM0 to YMM15; XMMn is the low half.
  alignas(32) uint8_t ymm[16][32] = {};

  /// Of the last ProtectionFault, StackFault or SegmentAbsent whose detail is kErrorCodeInState.
  uint32_t error_code = 0;

  /// User mode: the descriptors that selectors name, kept by the user ABI (GDT, LDT); 8 bytes each.
  /// The memory outlives the state; entries may change under a running thread.
  const std::atomic<uint64_t>* user_gdt = nullptr;
  const std::atomic<uint64_t>* user_ldt = nullptr;
  uint32_t user_gdt_count = 0, user_ldt_count = 0;

  // System registers.
  uint64_t cr0 = 0, cr2 = 0, cr3 = 0, cr4 = 0, cr8 = 0;
  uint64_t dr[8] = {0, 0, 0, 0, 0, 0, 0xffff0ff0, 0x400};
  uint64_t efer = 0;
  uint64_t star = 0, lstar = 0, cstar = 0, fmask = 0, kernel_gs_base = 0;
  uint64_t sysenter_cs = 0, sysenter_esp = 0, sysenter_eip = 0;
  uint64_t tsc_offset = 0, tsc_aux = 0;
  uint64_t apic_base = 0, pat = 0x0007040600070406, misc_enable = 0, xss = 0;
};

/// Every field above as data, (rax .. r15, cf .., es.base .., st_r0 .. st_r7,
/// ymm0 .. ymm15, cr0 ..); the most used general registers are hot.
const ir::StateLayout& x86_layout();

/// A field of EFLAGS that is no result of an instruction.
struct FlagField {
  const char* name;
  size_t offset;  ///< in X86State, a byte
  unsigned bit;
  uint32_t mask;  ///< of its width
};
std::span<const FlagField> flag_fields();
inline constexpr uint32_t kLowFlags =
    0xd5;  ///< SF, ZF, AF, PF, CF: in EFLAGS as in the status word's upper half

/// EFLAGS as PUSHF and signal frames have it; bit 1 reads as one. Writing takes every bit (and sets the
/// mode bits of TF and AC).
uint32_t eflags(const X86State& state);
void set_eflags(X86State& state, uint32_t value);

/// Details of exits, see ir::ExitKind.
inline constexpr uint64_t kErrorCodeInState = 1;  ///< ProtectionFault, StackFault, SegmentAbsent; else 0
/// ArithmeticTrap.
enum TrapCode : uint64_t {
  kTrapDivide,      ///< #DE
  kTrapBound,       ///< #BR
  kTrapX87,         ///< #MF: an x87 exception is unmasked and set
  kTrapSimd,        ///< #XM
  kTrapSingleStep,  ///< #DB after an instruction that ran with EFLAGS.TF
  kTrapAlignment,   ///< #AC
};
/// Breakpoint: 3 for INT3, 1 for INT1; pc is at the instruction, which has one byte.
/// SoftwareInterrupt: the vector, and the length of the instruction from bit 8 on. INTO has vector 4.
constexpr uint64_t interrupt_detail(unsigned vector, unsigned length) { return vector | length << 8; }
/// Syscall: which instruction it was.
enum SyscallCode : uint64_t { kSyscallInsn, kSysenterInsn };

/// MXCSR with its flags, and back (bits that it does not have are dropped).
uint32_t mxcsr(const X86State& state);
void set_mxcsr(X86State& state, uint32_t value);

void set_x87_control(X86State& state, uint16_t value);
/// X86State::c1: what header's kF80RoundedUp says.
inline constexpr uint8_t kC1Rounded = 2;
/// Bits 5:0 of the status word: the field and what executors collected.
uint16_t x87_exceptions(const X86State& state);
/// Puts that and C1 into their fields.
void settle_x87_flags(X86State& state);
/// The x87 status word: TOP, C0 to C3, exceptions; ES and B say that one is not masked. They are never
/// stored: writing ignores them.
uint16_t x87_status(const X86State& state);
void set_x87_status(X86State& state, uint16_t value);
/// The x87 tag word of FSAVE: 0 valid, 1 zero, 2 special, 3 empty, for R0 in bits 1:0 and so on.
/// Writing takes only empty or not, as FLDENV does.
uint16_t x87_tags(const X86State& state);
void set_x87_tags(X86State& state, uint16_t value);
/// FXSAVE's tags: bit n is set if Rn is not empty.
inline uint8_t x87_used(const X86State& state) {
  return static_cast<uint8_t>(state.header.mode >> kModeX87UsedShift);
}
inline void set_x87_used(X86State& state, uint8_t used) {
  state.header.mode = (state.header.mode & ~kModeX87UsedMask) | uint32_t{used} << kModeX87UsedShift;
}
/// FNINIT.
void reset_x87(X86State& state);

}  // namespace lyrebird::x86
