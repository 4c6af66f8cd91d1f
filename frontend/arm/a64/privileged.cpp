// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/privileged.h"

#include "base/bits.h"
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/system/control_bits.h"
#include "frontend/arm/system/decode_traps.h"
#include "frontend/arm/system/exceptions.h"
#include "frontend/arm/system/helpers.h"
#include "frontend/arm/system/system_registers.h"
#include "ir/const_address.h"

namespace lyrebird::arm::a64 {
namespace {

struct Privileged : Lifter {
  using Lifter::Lifter;

  bool MRS_any() { return system_access(); }
  bool MSR_any() { return system_access(); }
  bool SYS_any() { return system_access(); }
  bool SYSL_any() { return unallocated(); }

  bool MSR_imm(Imm<3> op1, Imm<4> value, Imm<3> op2) {
    if (!ctx.system) return unallocated();
    const unsigned field = op1 << 3 | op2;
    constexpr unsigned kUao = 3, kPan = 4, kSpSel = 5, kDaifSet = 036, kDaifClear = 037;
    if (field == kDaifSet || field == kDaifClear) return daif_immediate(field == kDaifSet, value);
    if (el() == 0) return unallocated();
    switch (field) {
      case kPan:
        return has(Feature::PAN) ? pan_immediate(value & 1) : unallocated();
      case kUao:
        return has(Feature::UAO) ? write_by_helper(SysReg::UAO, imm(I64, (value & 1) ? spsr::kUao : 0))
                                 : unallocated();
      case kSpSel:
        return write_by_helper(SysReg::SPSel, imm(I64, value & 1));
      default:
        return unallocated();
    }
  }

  bool HVC(Imm<16> immediate) { return call(kHelperHvc, immediate); }
  bool SMC(Imm<16> immediate) { return call(kHelperSmc, immediate); }

  bool ERET() { return ctx.system && el() > 0 ? exception_return(link()) : unallocated(); }
  bool ERETA(bool b_key) {
    if (!ctx.system || el() == 0) return unallocated();
    return exception_return(authenticate(link(), x_or_sp(Reg{31}), b_key));
  }

  // --- for the functions of privileged.h

  bool system_access() {
    if (!ctx.system) return unallocated();
    auto key = static_cast<SysRegKey>(ctx.word >> 5);
    if (key >> 14 == 1) return operation(key);
    if (mmu_index_of_mode(ctx.mode) >= kMmuEl2Host && mmu_index_of_mode(ctx.mode) <= kMmuEl2HostPan)
      key = redirect_e2h(key);
    const bool read = bit(ctx.word, 21);
    if (is_gic_register(key)) return gic_access(key, read);
    const auto r = find_sys_reg(key);
    if (!r || el() < (read ? info(*r).read_el : info(*r).write_el)) return unallocated();
    if (!check(*r, !read)) return false;
    return read ? this->read(*r, key) : write(*r);
  }

  bool event_hint(unsigned number) {
    constexpr unsigned kWfe = 2, kSev = 4;
    if (number == kSev) {
      ir.CallHelper(kHelperSendEvent, None, {});
      return true;
    }
    if (number > kSev) {  // SEVL
      ir.SetState(state_offset::kEvent, imm(I8, 1));
      return true;
    }
    if (el() < 2 && (el() == 0 || ctx.system->el2 || ctx.system->el3)) {
      const Value trap = ir.CallHelper(kHelperWaitTrap, I64, {imm(I64, number == kWfe)});
      raise_if(trap);
    }
    if (number == kWfe) {
      const Value event = ir.GetState(state_offset::kEvent, I8);
      ir.SetState(state_offset::kEvent, imm(I8, 0));
      ir.RaiseIf(ir.CmpEq(event, imm(I8, 0)), ExitKind::Yield, frontend::kYieldWaitForEvent);
      return true;
    }
    ir.Raise(ExitKind::Yield, frontend::kYieldWaitForInterrupt);
    return false;
  }

  /// TLBI needs EL1, and who has left it has been through a DSB.
  void flushes_done() {
    if (el() > 0) ir.CallHelper(kHelperFlushesDone, None, {});
  }

  bool call(unsigned helper, unsigned immediate) {
    if (!ctx.system || (el() == 0 && helper != kHelperSvc)) return unallocated();
    const Value pc = ir.CallHelper(helper, I64, {imm(I64, immediate), ir::const_address(ir, next())});
    if (helper != kHelperSvc) {
      ir.Insn(ctx.pc, 4);  // what has been done stays
      const Value wait = ir.GetState(state_offset::kWaitForInterrupt, I8);
      ir.RaiseIf(ir.CmpNe(wait, imm(I8, 0)), ExitKind::Yield, frontend::kYieldWaitForInterrupt);
    }
    ir.JumpIndirect(pc);
    return false;
  }

  bool block_start() {
    if (ctx.mode & kModeIllegal) {
      ir.Raise(ExitKind::Undefined, kIllegalDetail);
      return false;
    }
    if (!(ctx.mode & kModeStep)) return true;
    if (ctx.mode & kModeStepDone) {
      ir.Raise(ExitKind::Undefined, kStepDetail);
      return false;
    }
    // If the instruction faults, raise() knows that it was not done.
    ctx.mode |= kModeStepDone;
    ir.SetState(state_offset::kSingleStep, imm(I8, 0));
    ir.SetState(mode_offset(), imm(I32, ctx.mode));
    return true;
  }

 private:
  unsigned el() const { return el_of_mode(ctx.mode); }
  uint64_t next() const { return ctx.pc + 4; }
  Reg rt() const { return Reg{ctx.word & 31}; }
  /// What an access becomes that is refused when it runs.
  void raise_if(Value refused) { ir.RaiseIf(ir.CmpNe(refused, imm(I64, 0)), ExitKind::Undefined, ctx.word); }

  Value link() {
    return ir.GetState(sys_reg_offset(by_el(el(), SysReg::ELR_EL1, SysReg::ELR_EL2, SysReg::ELR_EL3)), I64);
  }

  bool exception_return(Value to) {
    ir.JumpIndirect(ir.CallHelper(kHelperEret, I64, {to}));
    return false;
  }

  // --- registers

  bool check(SysReg r, bool write) {
    if (r == SysReg::SP_EL0) return !(ctx.mode & kModeSpEl0) || unallocated();
    if (may_trap(*ctx.system, r, el(), write))
      raise_if(ir.CallHelper(kHelperCheckAccess, I64, {imm(I64, static_cast<unsigned>(r)), imm(I64, write)}));
    return true;
  }

  bool read(SysReg r, SysRegKey key) {
    const SysRegInfo& register_info = info(r);
    switch (register_info.kind) {
      case SysRegKind::Fixed:
        set_x(rt(), imm(I64, register_info.reset));
        return true;
      case SysRegKind::Id:
        set_x(rt(), imm(I64, id_value(*ctx.system, key)));
        return true;
      case SysRegKind::Field:
      case SysRegKind::Write:
        set_x(rt(), ir.GetState(sys_reg_offset(r), I64));
        return true;
      default:
        break;
    }
    if (r == SysReg::CurrentEL) {
      set_x(rt(), imm(I64, el() << 2));
    } else if (r == SysReg::DAIF) {
      set_x(rt(), ir.Shl(ir.ZExt(ir.GetState(state_offset::kDaif, I8), I64), imm(I64, 6)));
    } else {
      set_x(rt(), ir.CallHelper(kHelperReadRegister, I64, {imm(I64, static_cast<unsigned>(r))}));
    }
    return true;
  }

  bool write(SysReg r) {
    const SysRegKind kind = info(r).kind;
    if (kind == SysRegKind::Fixed || kind == SysRegKind::Id) return true;
    if (kind == SysRegKind::Field || kind == SysRegKind::Read) {
      ir.SetState(sys_reg_offset(r), x(rt()));
      return true;
    }
    return write_by_helper(r, x(rt()));
  }

  /// The mode may have changed, or an interrupt may be due: the block ends.
  bool write_by_helper(SysReg r, Value value) {
    ir.CallHelper(kHelperWriteRegister, None, {imm(I64, static_cast<unsigned>(r)), value});
    ir.Jump(next());
    return false;
  }

  bool gic_access(SysRegKey key, bool read) {
    if (!ctx.system->gicv3 || el() == 0) return unallocated();
    Value value;
    if (read) {
      value = ir.CallHelper(kHelperReadGic, I64, {imm(I64, key)});
    } else {
      ir.CallHelper(kHelperWriteGic, None, {imm(I64, key), x(rt())});
    }
    ir.Insn(ctx.pc, 4);  // the helper changed nothing that the exception would have to undo
    const Value failed = ir.GetState(state_offset::kAccessFailed, I8);
    ir.RaiseIf(ir.CmpNe(failed, imm(I8, 0)), ExitKind::Undefined, ctx.word);
    if (read) set_x(rt(), value);
    ir.Jump(next());  // a line may have gone up or down
    return false;
  }

  // --- PSTATE

  bool daif_immediate(bool set, unsigned value) {
    if (el() == 0) {
      const Value r = imm(I64, static_cast<unsigned>(SysReg::DAIF));
      raise_if(ir.CallHelper(kHelperCheckAccess, I64, {r, imm(I64, 1)}));
    }
    const Value old = ir.GetState(state_offset::kDaif, I8);
    // D decides whether single step is on.
    if (value & kDaifD) {
      const Value changed = set ? ir.Or(old, imm(I8, value)) : ir.AndNot(old, imm(I8, value));
      return write_by_helper(SysReg::DAIF, ir.Shl(ir.ZExt(changed, I64), imm(I64, 6)));
    }
    if (set) {
      ir.SetState(state_offset::kDaif, ir.Or(old, imm(I8, value)));
      return true;
    }
    ir.SetState(state_offset::kDaif, ir.And(old, imm(I8, ~value & 0xf)));
    ir.CallHelper(kHelperRecheck, None, {});
    ir.Jump(next());
    return false;
  }

  /// As update_mode() would have it.
  bool pan_immediate(bool set) {
    const unsigned index = mmu_index_of_mode(ctx.mode);
    unsigned changed = index;
    if (index == kMmuEl1 || index == kMmuEl1Pan) changed = set ? kMmuEl1Pan : kMmuEl1;
    if (index == kMmuEl2Host || index == kMmuEl2HostPan) changed = set ? kMmuEl2HostPan : kMmuEl2Host;
    ir.SetState(state_offset::kPan, imm(I8, set));
    if (changed == index) return true;
    ir.SetState(mode_offset(), imm(I32, (ctx.mode & ~kModeMmuMask) | changed << kModeMmuShift));
    ir.Jump(next());
    return false;
  }

  // --- SYS

  bool operation(SysRegKey key) {
    if (!has_system_op(*ctx.system, key, el())) return unallocated();
    if (system_op_may_trap(*ctx.system, key, el()))
      raise_if(ir.CallHelper(kHelperCheckOperation, I64, {imm(I64, key)}));
    const unsigned crn = bits(key, 7, 4), crm = bits(key, 3, 4);
    const bool has_effect = crn == 8 || crm == 1 || crm == 5 || crm == 8 || crm == 9;  // others: data caches
    if (has_effect) ir.CallHelper(kHelperOperation, None, {imm(I64, key), x(rt())});
    return true;
  }
};

#define A64_CHAPTER Privileged
constexpr Row kRows[] = {
#include "frontend/arm/a64/privileged.inc"
};

}  // namespace

std::span<const Row> privileged_rows() { return kRows; }

bool lift_system_access(LiftContext& context) { return Privileged(context).system_access(); }
bool lift_event_hint(LiftContext& context, unsigned number) { return Privileged(context).event_hint(number); }
void lift_flushes_done(LiftContext& context) { Privileged(context).flushes_done(); }
bool lift_supervisor_call(LiftContext& context, unsigned immediate) {
  return Privileged(context).call(kHelperSvc, immediate);
}
bool lift_block_start(LiftContext& context) { return Privileged(context).block_start(); }

}  // namespace lyrebird::arm::a64
