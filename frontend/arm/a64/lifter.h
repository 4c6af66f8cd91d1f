// SPDX-License-Identifier: Apache-2.0
/// What every A64 instruction handler stands on. A chapter of the manual is a struct
/// derived from Lifter whose member functions are the handlers; they return true to go on
/// with the next instruction and false when the block has ended.
///
/// Order inside a handler: everything that may fault first, register writes last.
#pragma once

#include "frontend/arm/a64/decode.h"
#include "frontend/arm/a64_mode.h"
#include "frontend/arm/a64_state.h"
#include "frontend/arm/cpu_model.h"
#include "ir/builder.h"

namespace lyrebird::arm {
struct SystemConfig;
}

namespace lyrebird::arm::a64 {

using ir::ExitKind;
using ir::FpMode;
using ir::JumpHint;
using ir::MemInfo;
using ir::Op;
using ir::Round;
using ir::Type;
using ir::Value;
using enum ir::Type;

/// PSTATE.N, Z, C and V as a status word (A64State::status), and what they come from if that is known:
/// conditions are made of it, and of the word only where they must.
struct Nzcv {
  enum class Origin : uint8_t {
    None,
    Add,    ///< result = a + b
    Sub,    ///< a - b, which is the result if that is there
    Logic,  ///< N and Z are those of the result, C and V are clear
    Order,  ///< a is an FCompare
  };
  Value word;
  Origin origin = Origin::None;
  Value a = {}, b = {}, result = {};
  /// If there is one, that is so if it holds, and else they are the bits of `otherwise` (CCMP).
  Value go = {};
  unsigned otherwise = 0;
};

/// One block being lifted.
/// What an instruction has made of a register: constants come in parts (MOVZ and MOVK, ADRP and ADD).
struct KnownRegister {
  uint64_t pc = 0;  ///< of that instruction
  unsigned number = 31;
  uint64_t value = 0;
  bool address = false;  ///< by ir::const_address()
};

/// RBIT before CLZ counts zeros from below, which hosts have an instruction for.
struct ReversedRegister {
  uint64_t pc = 0;  ///< of the RBIT
  unsigned number = 31;
  Value value;  ///< as it was before
};

struct LiftContext {
  ir::Builder& ir;
  const CpuModel& cpu;
  uint64_t pc = 0;    ///< of the current instruction
  uint32_t word = 0;  ///< the current instruction
  uint32_t mode = 0;  ///< mode bits the block is lifted for (a64_mode.h)
  bool guarded_page = false;
  const SystemConfig* system =
      nullptr;           ///< of a machine's CPU, whose mode has the bits of system_mode.h; else user mode
  bool goes_on = false;  ///< the block has what follows a conditional branch that is not taken
  bool unprivileged = false;       ///< LDTR, STTR: memory() names EL0's mmu index
  Nzcv flags = {};                 ///< as last written in this block; no values: not yet
  KnownRegister known = {};        ///< the last one in this block
  ReversedRegister reversed = {};  ///< the last one in this block
};

class Lifter {
 public:
  explicit Lifter(LiftContext& context) : ctx(context), ir(context.ir) {}

 protected:
  // General registers. Register 31 reads as zero and ignores writes, unless it says sp.
  Value x(Reg n, Type type = I64);
  Value x_or_sp(Reg n, Type type = I64);
  /// Narrower values are zero-extended to 64 bits.
  void set_x(Reg d, Value value);
  void set_x_or_sp(Reg d, Value value);

  // Vector registers. Writes clear the rest of the register.
  Value v(Vreg n) { return ir.GetState(v_offset(n), V128); }
  Value v64(Vreg n) { return ir.GetState(v_offset(n), V64); }
  /// The low bits as a scalar of an int or float type.
  Value v_scalar(Vreg n, Type type) { return ir.GetState(v_offset(n), type); }
  void set_v(Vreg d, Value value);
  /// V128 if q, else V64 of the register.
  Value v_sized(Vreg n, bool q) { return q ? v(n) : v64(n); }

  // Flags.
  void set_nzcv(const Nzcv& flags);
  void set_nzcv(Value word) { set_nzcv(Nzcv{.word = word}); }
  /// The status word.
  Value status();
  /// C, and its inverse.
  Value carry();
  Value borrow();
  /// Of result = a + b, and a - b, whose result may be missing.
  Nzcv flags_of_add(Value a, Value b, Value result);
  Nzcv flags_of_sub(Value a, Value b, Value result);
  /// Those of FCMP: `order` is the result of an FCompare.
  Nzcv flags_of_order(Value order);
  /// N and Z of the result, C and V clear.
  Nzcv flags_of_logic(Value result);
  /// The flags if the condition holds, else the given ones.
  Nzcv flags_if(Cond condition, Value holds, Nzcv flags, unsigned otherwise);
  /// The word of flags that are I1 values; of flags in bits 31:28 of an I32, and back.
  Value status_of(Value n, Value z, Value c, Value v);
  Value status_of_bits(Value bits);
  Value bits_of_status();
  Value holds(Cond condition);

  Value imm(Type type, uint64_t value) { return ir.Const(type, value); }
  /// The int type of a data-processing instruction's sf bit.
  static Type sized(bool sf) { return sf ? I64 : I32; }

  /// `a` shifted by a constant: type 0 LSL, 1 LSR, 2 ASR, 3 ROR (DDI 0487, ShiftReg). No op for 0.
  Value shifted(Value a, unsigned type, unsigned amount);
  /// Xm or Wm extended to `type` and shifted left (DDI 0487, ExtendReg): option as encoded.
  Value extended(Reg m, unsigned option, unsigned amount, Type type);

  /// The address in Xn or SP, and that plus a constant.
  Value base(Reg n) { return x_or_sp(n); }
  Value plus(Value address, int64_t offset) {
    return offset == 0 ? address : ir.Add(address, imm(I64, static_cast<uint64_t>(offset)));
  }

  // Pointer authentication with key 0 IA, 1 IB, 2 DA, 3 DB.
  Value add_pac(Value pointer, Value modifier, unsigned key);
  Value authenticate(Value pointer, Value modifier, unsigned key);
  Value strip_pac(Value pointer);

  /// Memory rule of ordinary accesses: `size` bytes. In user mode little endian, any alignment, tagged
  /// address.
  MemInfo memory(unsigned size, bool sign = false) const;

  /// The FP rules that FPCR asks of operations on that type now; FPCR.AHP is for conversions
  /// alone (SimdLifter::convert_mode).
  FpMode fp_mode(Type type) const;

  /// UNDEFINED: the guest gets SIGILL. Returns false for the handler to pass on.
  bool unallocated();

  bool has(Feature feature) const { return ctx.cpu.features.has(feature); }

  static constexpr uint32_t mode_offset() {
    return offsetof(A64State, header) + offsetof(ir::CpuHeader, mode);
  }
  static constexpr uint32_t x_offset(unsigned n) { return offsetof(A64State, x) + 8 * n; }
  static constexpr uint32_t v_offset(unsigned n) { return offsetof(A64State, v) + 16 * n; }

  LiftContext& ctx;
  ir::Builder& ir;

 private:
  Value holds_by_origin(Cond condition);
  Value compare_holds(Cond condition, Value a, Value b);
  Value sum_holds(unsigned pair);
  Value logic_holds(Cond condition, Value result);
  Value order_holds(Cond condition, Value order);
  Value word_holds(unsigned pair);
  Value tests(uint16_t mask) { return ir.CmpTest(status(), imm(I16, mask)); }
};

}  // namespace lyrebird::arm::a64
