// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/helpers.h"
#include "frontend/arm/a64/lifter.h"
#include "frontend/arm/a64/privileged.h"

namespace lyrebird::arm::a64 {
namespace {

constexpr unsigned kCacheLine = 64;

struct System : Lifter {
  using Lifter::Lifter;

  bool HINT(Imm<7> number) {
    if (ctx.system && number >= 2 && number <= 5) return lift_event_hint(ctx, number);
    switch (number) {
      case 1:  // YIELD
      case 2:  // WFE: may wake up for no reason
      case 3:  // WFI
        ir.Raise(ExitKind::Yield);
        return false;
      default:  // NOP, SEV, CSDB, BTI (checked where the block starts) and all that is unallocated
        if (has(Feature::PAuth)) pointer_authentication(number);
        return true;
    }
  }

  // --- barriers

  bool CLREX() {
    ir.ClearExclusive();
    return true;
  }

  bool DSB(Imm<4> option) {
    const unsigned kinds = option & 3;
    // Only one for loads and stores waits for TLBI (DDI 0487, D8.16).
    if (ctx.system && (kinds == 3 || kinds == 0)) lift_flushes_done(ctx);
    return DMB(option);
  }

  bool DMB(Imm<4> option) {
    const unsigned kinds = option & 3;  // of accesses: 1 loads, 2 stores, 3 and 0 all
    ir.Fence(kinds == 0 ? 3 : kinds);
    return true;
  }

  bool ISB() {
    // The next instruction is fetched anew: another thread may have changed it.
    ir.Jump(ctx.pc + 4);
    return false;
  }

  bool SB() { return true; }

  // --- PSTATE

  bool CFINV() {
    set_nzcv(ir.Xor(status(), imm(I16, ir::eval::kStatusCarry)));
    return true;
  }

  bool XAFLAG() {
    const Value z = holds({0}), c = carry(), either = ir.Or(c, z);
    set_nzcv(status_of(ir.Not(either), ir.And(z, c), either, ir.AndNot(z, c)));
    return true;
  }

  bool AXFLAG() {
    const Value z = holds({0}), c = carry(), v = holds({6}), clear = ir.False();
    set_nzcv(status_of(clear, ir.Or(z, v), ir.AndNot(c, v), clear));
    return true;
  }

  bool MSR_imm_SSBS(bool set) {
    ir.SetState(offsetof(A64State, ssbs), imm(I8, set));
    return true;
  }

  // --- system registers

  bool MRS_NZCV(Reg t) {
    set_x(t, bits_of_status());
    return true;
  }

  bool MSR_NZCV(Reg t) {
    set_nzcv(status_of_bits(x(t, I32)));
    return true;
  }

  bool MRS_SSBS(Reg t) {
    const Value ssbs = ir.GetState(offsetof(A64State, ssbs), I8);
    set_x(t, ir.Shl(ir.ZExt(ssbs, I64), imm(I64, 12)));
    return true;
  }

  bool MSR_SSBS(Reg t) {
    const Value set = ir.CmpTest(x(t), imm(I64, 1u << 12));
    ir.SetState(offsetof(A64State, ssbs), ir.ZExt(set, I8));
    return true;
  }

  bool MRS_FPCR(Reg t) {
    set_x(t, imm(I64, fpcr_of_mode(ctx.mode)));
    return true;
  }

  /// As arm::set_fpcr does it. What follows is lifted for the new mode, so the block ends.
  bool MSR_FPCR(Reg t) {
    const Value fpcr = ir.And(x(t, I32), imm(I32, kFpcrWritable));
    const Value high = ir.And(ir.ShrU(fpcr, imm(I32, 22)), imm(I32, 0x1f));
    const Value fz16 = ir.And(ir.ShrU(fpcr, imm(I32, 14)), imm(I32, 0x20));
    const Value mode = ir.Or(ir.Or(high, fz16), imm(I32, ctx.mode & ~kModeFpcrMask));
    ir.SetState(offsetof(A64State, fpcr), fpcr);
    ir.SetState(mode_offset(), mode);
    ir.Jump(ctx.pc + 4);
    return false;
  }

  // FPSR: ir::FpFlag bits 0 to 4 are where the IR has them, input denormal is bit 7, QC bit 27.

  bool MRS_FPSR(Reg t) {
    const Value flags = ir.GetFpFlags(), qc = ir.GetState(offsetof(A64State, qc), I8);
    const Value low = ir.And(flags, imm(I32, 0x1f));
    const Value denormal = ir.Shl(ir.And(flags, imm(I32, ir::kFpDenormal)), imm(I32, 2));
    const Value saturated = ir.Shl(ir.ZExt(qc, I32), imm(I32, 27));
    set_x(t, ir.Or(ir.Or(low, denormal), saturated));
    return true;
  }

  bool MSR_FPSR(Reg t) {
    const Value value = x(t, I32);
    const Value low = ir.And(value, imm(I32, 0x1f));
    const Value denormal = ir.And(ir.ShrU(value, imm(I32, 2)), imm(I32, ir::kFpDenormal));
    ir.SetFpFlags(ir.Or(low, denormal));
    ir.SetState(offsetof(A64State, qc), ir.ZExt(ir.CmpTest(value, imm(I32, 1u << 27)), I8));
    return true;
  }

  bool MRS_TPIDR_EL0(Reg t) {
    set_x(t, ir.GetState(offsetof(A64State, tpidr_el0), I64));
    return true;
  }

  bool MSR_TPIDR_EL0(Reg t) {
    ir.SetState(offsetof(A64State, tpidr_el0), x(t));
    return true;
  }

  bool MRS_TPIDRRO_EL0(Reg t) {
    set_x(t, ir.GetState(offsetof(A64State, tpidrro_el0), I64));
    return true;
  }

  bool MRS_CTR_EL0(Reg t) {
    if (ctx.system) return lift_system_access(ctx);
    set_x(t, imm(I64, kCtrEl0));
    return true;
  }

  bool MRS_DCZID_EL0(Reg t) {
    if (ctx.system) return lift_system_access(ctx);
    set_x(t, imm(I64, kDczidEl0));
    return true;
  }

  bool MRS_CNTFRQ_EL0(Reg t) {
    if (ctx.system) return lift_system_access(ctx);
    set_x(t, imm(I64, kCounterFrequency));
    return true;
  }

  bool MRS_CNTVCT_EL0(Reg t) {
    if (ctx.system) return lift_system_access(ctx);
    set_x(t, ir.CallHelper(kHelperCounter, I64, {}));
    return true;
  }

  /// EL1's registers, which trap; Linux reads them for the program (emulate_mrs).
  bool MRS_id(Imm<4> m, Imm<3> op2, Reg t) {
    if (ctx.system) return lift_system_access(ctx);
    const auto value = id_register(ctx.cpu, m, op2);
    if (!value) return unallocated();
    set_x(t, imm(I64, *value));
    return true;
  }

  // --- cache maintenance

  bool DC_ZVA(Reg t) {
    if (ctx.system && !lift_system_access(ctx)) return false;
    const Value line = ir.And(x(t), imm(I64, ~uint64_t{kCacheLine - 1})), zero = ir.ConstVec(V128, 0, 0);
    for (unsigned i = 0; i < kCacheLine; i += 16) ir.Store(plus(line, i), zero, memory(16));
    return true;
  }

  bool DC_CVAC(Reg t) { return clean(t); }
  bool DC_CVAU(Reg t) { return clean(t); }
  bool DC_CIVAC(Reg t) { return clean(t); }
  bool DC_CVAP(Reg t) { return clean(t); }
  bool DC_CVADP(Reg t) { return clean(t); }

  bool IC_IVAU(Reg t) {
    if (ctx.system) return lift_system_access(ctx);
    const Value line = ir.And(x(t), imm(I64, ~uint64_t{kCacheLine - 1}));
    constexpr size_t kHeader = offsetof(A64State, header);
    ir.SetState(kHeader + offsetof(ir::CpuHeader, fault_address), line);
    ir.SetState(kHeader + offsetof(ir::CpuHeader, fault_size), imm(I32, kCacheLine));
    ir.Raise(ExitKind::InvalidateCode);
    return false;
  }

 private:
  /// The forms in hint space: PACIA1716, AUTIBSP and so on.
  void pointer_authentication(unsigned number) {
    const Reg x16{16}, x17{17}, lr{30};
    const unsigned key = number >> 1 & 1;
    switch (number) {
      case 7:  // XPACLRI
        return set_x(lr, strip_pac(x(lr)));
      case 8:
      case 10:
        return set_x(x17, add_pac(x(x17), x(x16), key));
      case 12:
      case 14:
        return set_x(x17, authenticate(x(x17), x(x16), key));
      case 24:
      case 26:
        return set_x(lr, add_pac(x(lr), imm(I64, 0), key));
      case 25:
      case 27:
        return set_x(lr, add_pac(x(lr), x_or_sp(Reg{31}), key));
      case 28:
      case 30:
        return set_x(lr, authenticate(x(lr), imm(I64, 0), key));
      case 29:
      case 31:
        return set_x(lr, authenticate(x(lr), x_or_sp(Reg{31}), key));
      default:
        return;
    }
  }

  /// Memory is always coherent here; what remains is that the address must be readable.
  bool clean(Reg t) {
    if (ctx.system) return lift_system_access(ctx);
    ir.Load(I8, x(t), memory(1));
    return true;
  }
};

#define A64_CHAPTER System
constexpr Row kRows[] = {
#include "frontend/arm/a64/system.inc"
};

}  // namespace

std::span<const Row> system_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
