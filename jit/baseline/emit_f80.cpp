// SPDX-License-Identifier: Apache-2.0
// F80 on the host's x87. Its stack holds values as other registers do, and fields of the guest's
// state, too, which are stored only when somebody may look (flush_f80) or after a fault, where the
// handler finds them by FaultPlan::f80. Between blocks and around calls the stack is empty and the
// control word the default. Exceptions stay in the host's status word; the last operation before
// somebody may look stores it to CpuHeader::f80_status, with its C1.
#include <algorithm>
#include <bit>

#include "ir/cpu_header.h"
#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"
#include "jit/baseline/rounding.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::FpMode;
using ir::kNoValue;
using ir::Op;
using ir::Round;
using ir::Type;
using ir::ValueId;

namespace {

constexpr unsigned kStack = kF80Stack;

/// The host's rules are those of the mode, but for the rounding.
bool is_x87_mode(const FpMode& mode, bool reports_denormals) {
  const auto report = reports_denormals ? ir::DenormalReport::WhenUsed : ir::DenormalReport::Never;
  return mode.nan_rule == ir::NanRule::LargerSignificand && mode.default_nan_negative && !mode.default_nan &&
         !mode.flush_inputs && !mode.flush_outputs && !mode.tiny_before_rounding && !mode.no_inexact &&
         !mode.no_flags && mode.denormal_report == report && rounding_control(mode.round);
}

bool is_raw(const ir::Inst& inst) {
  return inst.op == Op::FConvert && inst.type == Type::F80 && (inst.fp_extra() & ir::kFpRaw) != 0;
}

}  // namespace

bool is_native_f80_store(const ir::Inst& inst) {
  if (inst.elem != Type::F80 || !is_x87_mode(inst.fp_mode(), false)) return false;
  if (inst.op == Op::FConvert) return inst.type == Type::F32 || inst.type == Type::F64;
  return inst.op == Op::FToIntS && inst.fp_extra() == ir::kFpIndefinite &&
         (inst.type == Type::I16 || inst.type == Type::I32 || inst.type == Type::I64);
}

bool Emitter::is_native_f80(const ir::Inst& inst) const {
  if (inst.type != Type::F80 && inst.elem != Type::F80) return false;
  const FpMode mode = inst.fp_mode();
  switch (inst.op) {
    case Op::FNeg:
    case Op::FAbs:
      return true;
    case Op::FAdd:
    case Op::FSub:
    case Op::FMul:
    case Op::FDiv:
    case Op::FSqrt:
      return is_x87_mode(mode, true) && (inst.fp_extra() & 3) != 2;
    case Op::FCompare:
    case Op::FFunction:
      return is_x87_mode(mode, true);
    case Op::FRoundInt:
      return is_x87_mode(mode, true) && inst.fp_extra() == 0;
    case Op::FConvert:
      if (inst.type == Type::F80) {
        if (inst.elem != Type::F32 && inst.elem != Type::F64) return false;
        return is_raw(inst) || is_x87_mode(mode, true);
      }
      return is_native_f80_store(inst);
    case Op::FFromIntS: {
      const Type from = type_of(inst.args[0]);
      return is_x87_mode(mode, true) && inst.fp_extra() == 0 &&
             (from == Type::I16 || from == Type::I32 || from == Type::I64);
    }
    case Op::FToIntS:
      return is_native_f80_store(inst);
    default:
      return false;
  }
}

// --- the host's stack

int Emitter::depth_of(ValueId id) const {
  for (size_t k = 0; k < f80_stack_.size(); ++k)
    if (f80_stack_[f80_stack_.size() - 1 - k] == id) return static_cast<int>(k);
  return -1;
}

/// Index of the field of the guest's state, or -1.
int Emitter::f80_field(uint64_t offset) const {
  for (size_t i = 0; i < pins_.f80.size(); ++i)
    if (pins_.f80[i] == offset) return static_cast<int>(i);
  return -1;
}

/// Fields that the rest of the guest instruction replaces before anybody can look.
uint32_t Emitter::f80_replaced() const {
  uint32_t fields = 0;
  for (ValueId i = now_ + 1; i < block_->insts.size(); ++i) {
    const ir::Inst& inst = insts_[i];
    if (inst.op == Op::Insn) break;
    if (inst.op == Op::ForgetState || (inst.op == Op::SetState && inst.type == Type::F80)) {
      if (const int field = f80_field(inst.imm); field >= 0) fields |= 1u << field;
      continue;
    }
    if (ir::effects(inst, helpers_) & (ir::Faults | ir::Exits | ir::Terminal | ir::ReadsState)) {
      if (inst.op != Op::GetState) break;
    }
  }
  return fields;
}

/// Whether the value is still needed after the current operation.
bool Emitter::f80_wanted(ValueId id) const {
  if (plan_[id].last_use > now_) return true;
  const uint32_t replaced = f80_replaced();
  for (unsigned f = 0; f < pins_.f80.size(); ++f)
    if (f80_dirty_[f] == id && !(replaced >> f & 1)) return true;
  return false;
}

uint32_t Emitter::f80_map() const {
  uint32_t map = 0;
  if (f80_stack_.empty()) return map;
  for (unsigned f = 0; f < pins_.f80.size(); ++f)
    if (f80_dirty_[f] != kNoValue) map |= static_cast<uint32_t>(depth_of(f80_dirty_[f]) + 1) << 4 * f;
  return map;
}

void Emitter::f80_exchange(unsigned depth) {
  if (depth == 0) return;
  (void)a_.fxch(x86::st(depth));
  std::swap(f80_stack_.back(), f80_stack_[f80_stack_.size() - 1 - depth]);
}

/// Takes the entry away.
void Emitter::f80_discard(unsigned depth) {
  (void)a_.fstp(x86::st(depth));
  f80_stack_[f80_stack_.size() - 1 - depth] = f80_stack_.back();
  f80_stack_.pop_back();
}

/// For so many more. What is lowest was pushed first; what else the current operation has there must be
/// named, or is lost.
void Emitter::f80_room(unsigned entries) {
  while (f80_stack_.size() > kStack - entries) {
    f80_exchange(static_cast<unsigned>(f80_stack_.size() - 1));
    f80_leave_top();
  }
}

/// The top goes where it is needed: to the state, to a slot, or nowhere.
void Emitter::f80_leave_top() {
  const ValueId id = f80_stack_.back();
  uint32_t homes[kStack];
  unsigned count = 0;
  for (unsigned f = 0; f < pins_.f80.size(); ++f) {
    if (id == kNoValue || f80_dirty_[f] != id) continue;
    f80_dirty_[f] = kNoValue;
    homes[count++] = pins_.f80[f];
  }
  const bool live = id != kNoValue && plan_[id].last_use >= now_ && at(id).op != Op::Const;
  for (unsigned k = 0; k < count; ++k) lose_state(homes[k], 10);
  const bool needs_slot = live && count == 0 && loc(id).home == Home::None;
  const unsigned stores = count + needs_slot;
  for (unsigned k = 0; k < stores; ++k) {
    uint32_t slot = 0;
    if (k >= count) slot = take_slot(slot_size(Type::F80));
    const Mem to = k < count ? state_mem(homes[k], 10) : frame_mem(slot, 10);
    if (k + 1 < stores) (void)a_.fld(x86::st(0));
    (void)a_.fstp(to);
    if (k >= count) set_home(id, Home::Slot, slot);
  }
  if (stores == 0) (void)a_.fstp(x86::st(0));
  f80_stack_.pop_back();
  if (live && count != 0 && loc(id).home == Home::None) set_home(id, Home::State, homes[0]);
}

/// Nothing is left on the host's x87; the state has everything.
void Emitter::flush_f80() {
  if (f80_stack_.empty() && f80_control_ == kF80DefaultControl) return;
  while (!f80_stack_.empty()) f80_leave_top();
  set_f80_control(kF80DefaultControl);
}

void Emitter::flush_f80_fields(uint32_t offset, uint32_t size) {
  for (unsigned f = 0; f < pins_.f80.size(); ++f)
    if (f80_dirty_[f] != kNoValue && offset < pins_.f80[f] + 10 && pins_.f80[f] < offset + size)
      return flush_f80();
}

void Emitter::set_f80_control(uint16_t control) {
  if (f80_control_ == control) return;
  Mem from = pool(control, 0);
  from.setSize(2);
  (void)a_.fldcw(from);
  f80_control_ = control;
}

void Emitter::set_f80_rounding(Round round) {
  const auto control = static_cast<uint16_t>((f80_control_ & ~0xc00u) | *rounding_control(round) << 10);
  set_f80_control(control);
}

/// The value onto the stack, where it stays as long as it is needed.
void Emitter::f80_load(ValueId id) {
  f80_room();
  const Loc& l = loc(id);
  if (at(id).op == Op::Const) {
    if (at(id).imm == 0 && at(id).high() == 0) {
      (void)a_.fldz();
    } else if (at(id).imm == uint64_t{1} << 63 && at(id).high() == 0x3fff) {
      (void)a_.fld1();
    } else {
      Mem from = pool(at(id).imm, at(id).high());
      from.setSize(10);
      (void)a_.fld(from);
    }
  } else if (l.home == Home::State) {
    (void)a_.fld(state_mem(l.offset, 10));
  } else if (l.home == Home::Slot) {
    (void)a_.fld(frame_mem(l.offset, 10));
  } else {
    failed_ = true;
  }
  f80_stack_.push_back(id);
}

/// The value at the top, to be used up: itself if nobody needs it any more, else a copy.
void Emitter::f80_to_top(ValueId value) {
  const ValueId id = root(value);
  touch(id);
  if (depth_of(id) < 0) {
    f80_load(id);
    if (!f80_wanted(id)) return;
  }
  const auto depth = static_cast<unsigned>(depth_of(id));
  if (!f80_wanted(id)) return f80_exchange(depth);
  if (f80_stack_.size() == kStack) {
    // Room may take this very value away.
    f80_room();
    if (depth_of(id) < 0) {
      f80_load(id);
      f80_stack_.back() = kNoValue;
      return;
    }
  }
  (void)a_.fld(x86::st(static_cast<uint32_t>(depth_of(id))));
  f80_stack_.push_back(kNoValue);
}

/// The top is the current instruction's result (or that of the one that is made with it).
void Emitter::f80_define(ValueId id) {
  touch(id);
  f80_stack_.back() = id;
}

/// After the last operation with flags before somebody may look.
void Emitter::f80_note_status() {
  for (ValueId i = now_ + 1; i < block_->insts.size(); ++i) {
    const ir::Inst& inst = insts_[i];
    if (ir::has_f80_flags(inst) && !inst.fp_mode().no_flags) {
      if (plan_[i].fused != 0 && plan_[i].fused <= now_) continue;
      if (is_native_f80(inst)) {
        if (is_raw(inst)) continue;
        return;
      }
      break;
    }
    if (inst.op == Op::GetFpFlags || inst.op == Op::SetFpFlags || inst.op == Op::CallHelper) break;
    if (ir::effects(inst, helpers_) & (ir::Exits | ir::Terminal)) break;
  }
  (void)a_.fnstsw(state_mem(offsetof(ir::CpuHeader, f80_status), 2));
}

void Emitter::f80_drop(ValueId id) {
  const int depth = depth_of(id);
  if (depth < 0) return;
  for (unsigned f = 0; f < pins_.f80.size(); ++f)
    if (f80_dirty_[f] == id) return;
  f80_discard(static_cast<unsigned>(depth));
}

/// The field has another value from now on, or none that matters.
void Emitter::f80_forget_field(unsigned field) {
  const ValueId old = f80_dirty_[field];
  f80_dirty_[field] = kNoValue;
  if (old != kNoValue && plan_[old].last_use <= now_) f80_drop(old);
}

/// SetState of a field that holds an F80.
void Emitter::f80_set_field(unsigned field, ValueId value) {
  const ValueId id = root(value);
  touch(id);
  if (f80_dirty_[field] == id) return;
  Loc& l = loc(id);
  const bool there = l.home == Home::State && l.offset == pins_.f80[field];
  if (!there && depth_of(id) < 0) f80_load(id);
  const ValueId old = f80_dirty_[field];
  f80_dirty_[field] = there ? kNoValue : id;
  if (old != kNoValue && old != id && plan_[old].last_use <= now_) f80_drop(old);
}

/// An F80 that is only on the stack, in memory.
Emitter::Mem Emitter::f80_to_memory(ValueId id) {
  const uint32_t slot = take_slot(slot_size(Type::F80));
  const int depth = depth_of(id);
  if (depth < 0) {
    failed_ = true;
    return frame_mem(slot);
  }
  if (f80_stack_.size() == kStack) {
    f80_exchange(static_cast<unsigned>(depth));
    (void)a_.fstp(frame_mem(slot, 10));
    (void)a_.fld(frame_mem(slot, 10));
  } else {
    (void)a_.fld(x86::st(static_cast<uint32_t>(depth)));
    (void)a_.fstp(frame_mem(slot, 10));
  }
  touch(id);
  set_home(id, Home::Slot, slot);
  return frame_mem(slot);
}

// --- operands and results in memory

/// Where the value of a load that is done by its user lies, or a slot with the value.
Emitter::Mem Emitter::f80_memory_operand(ValueId value, bool* guest) {
  const ir::Inst& inst = at(value);
  const Type type = inst.type;
  const unsigned size = ir::byte_size(type);
  *guest = inst.op == Op::Load && plan_[value].fused != 0;
  if (*guest) return guest_memory(inst.args[0], ir::MemInfo::unpack(inst.aux));
  Mem m = use_mem(value);
  m.setSize(size);
  return m;
}

void Emitter::f80_memory(InstId id, const Mem& m, bool guest) {
  if (guest)
    faulting(id, m);
  else
    (void)a_.emit(id, m);
}

// --- operations

bool Emitter::emit_f80(const ir::Inst& inst) {
  if (inst.op == Op::GetFpFlags && inst.aux == 1) return emit_f80_flags();
  if (!is_native_f80(inst)) return false;
  switch (inst.op) {
    case Op::FNeg:
      f80_to_top(inst.args[0]);
      (void)a_.fchs();
      f80_define(now_);
      return true;
    case Op::FAbs:
      f80_to_top(inst.args[0]);
      (void)a_.fabs();
      f80_define(now_);
      return true;
    case Op::FSqrt:
      set_f80_precision(inst);
      f80_to_top(inst.args[0]);
      (void)a_.fsqrt();
      f80_define(now_);
      break;
    case Op::FRoundInt:
      set_f80_rounding(inst.fp_mode().round);
      f80_to_top(inst.args[0]);
      (void)a_.frndint();
      f80_define(now_);
      break;
    case Op::FAdd:
    case Op::FSub:
    case Op::FMul:
    case Op::FDiv:
      emit_f80_arithmetic(inst);
      break;
    case Op::FCompare:
      emit_f80_compare(inst);
      break;
    case Op::FFunction:
      emit_f80_function(inst);
      return true;
    case Op::FConvert:
      if (is_raw(inst)) return plan_[now_].fused != 0;
      if (inst.type == Type::F80)
        emit_f80_load(inst, hi::kIdFld);
      else
        emit_f80_store(inst, kNoValue);
      break;
    case Op::FFromIntS:
      emit_f80_load(inst, hi::kIdFild);
      break;
    default:
      emit_f80_store(inst, kNoValue);
      break;
  }
  f80_note_status();
  return true;
}

/// f80_flags(): f80_note_status() has seen to it that f80_status has them.
bool Emitter::emit_f80_flags() {
  const uint8_t d = def_gpr();
  (void)a_.movzx(gp32(d), state_mem(offsetof(ir::CpuHeader, f80_collected), 2));
  (void)a_.emit(hi::kIdOr, x86::gpw(d), state_mem(offsetof(ir::CpuHeader, f80_status), 2));
  (void)a_.and_(gp32(d), ir::kF80Exceptions | ir::kF80RoundedUp);
  no_flags();
  return true;
}

void Emitter::set_f80_precision(const ir::Inst& inst) {
  const unsigned precision = ~inst.fp_extra() & 3;
  set_f80_control(
      static_cast<uint16_t>(0x7f | precision << 8 | *rounding_control(inst.fp_mode().round) << 10));
}

/// fld, fild of a float or an int.
void Emitter::emit_f80_load(const ir::Inst& inst, InstId id) {
  f80_room();
  bool guest;
  const Mem from = f80_memory_operand(inst.args[0], &guest);
  f80_memory(id, from, guest);
  f80_stack_.push_back(kNoValue);
  f80_define(now_);
}

/// FConvert and FToIntS from F80; to guest memory if `address` is one.
void Emitter::emit_f80_store(const ir::Inst& inst, ValueId address, const ir::MemInfo& info) {
  const bool to_int = inst.op == Op::FToIntS;
  const bool truncates = to_int && inst.fp_mode().round == Round::TowardZero;
  if (!truncates) set_f80_rounding(inst.fp_mode().round);
  const InstId id = truncates ? hi::kIdFisttp : to_int ? hi::kIdFistp : hi::kIdFstp;
  const unsigned size = ir::byte_size(inst.type);
  f80_to_top(inst.args[0]);
  if (address != kNoValue) {
    const Mem to = guest_memory(address, info);
    f80_memory(id, to, true);
    f80_stack_.pop_back();
    return;
  }
  const uint32_t slot = take_slot(8);
  instruction_slots_.emplace_back(slot, 8);
  (void)a_.emit(id, frame_mem(slot, size));
  f80_stack_.pop_back();
  define_from_memory(frame_mem(slot));
}

/// A Store whose value is made with it, or of an F80.
bool Emitter::emit_f80_guest_store(const ir::Inst& inst, const ir::MemInfo& info) {
  const ValueId value = inst.args[1];
  if (inst.type == Type::F80) {
    if (at(root(value)).op == Op::Const) return false;
    f80_to_top(value);
    const Mem to = guest_memory(inst.args[0], info);
    f80_memory(hi::kIdFstp, to, true);
    f80_stack_.pop_back();
    return true;
  }
  if (plan_[value].fused != now_) return false;
  emit_f80_store(at(now_ + 1), inst.args[0], info);
  f80_note_status();
  return true;
}

void Emitter::emit_f80_guest_load(const ir::Inst& inst, const ir::MemInfo& info) {
  f80_room();
  const Mem from = guest_memory(inst.args[0], info);
  f80_memory(hi::kIdFld, from, true);
  f80_stack_.push_back(kNoValue);
  f80_define(now_);
}

namespace {

/// Of st(0) and an operand in memory.
InstId memory_form(Op op, bool reversed) {
  switch (op) {
    case Op::FAdd:
      return hi::kIdFadd;
    case Op::FMul:
      return hi::kIdFmul;
    case Op::FSub:
      return reversed ? hi::kIdFsubr : hi::kIdFsub;
    default:
      return reversed ? hi::kIdFdivr : hi::kIdFdiv;
  }
}
/// st(i) op= st(0) and pop; reversed: st(i) = st(0) op st(i).
InstId popping_form(Op op, bool reversed) {
  switch (op) {
    case Op::FAdd:
      return hi::kIdFaddp;
    case Op::FMul:
      return hi::kIdFmulp;
    case Op::FSub:
      return reversed ? hi::kIdFsubrp : hi::kIdFsubp;
    default:
      return reversed ? hi::kIdFdivrp : hi::kIdFdivp;
  }
}

}  // namespace

void Emitter::emit_f80_arithmetic(const ir::Inst& inst) {
  set_f80_precision(inst);
  const ValueId a = root(inst.args[0]), b = root(inst.args[1]);
  for (const bool reversed : {false, true}) {
    const ValueId memory = reversed ? a : b, other = reversed ? b : a;
    if (!is_raw(at(memory)) || plan_[memory].fused == 0) continue;
    f80_to_top(other);
    bool guest;
    const Mem from = f80_memory_operand(at(memory).args[0], &guest);
    f80_memory(memory_form(inst.op, reversed), from, guest);
    return f80_define(now_);
  }
  touch(a);
  touch(b);
  if (a == b) {
    f80_to_top(a);
    (void)a_.emit(memory_form(inst.op, false), x86::st(0), x86::st(0));
    return f80_define(now_);
  }
  if (depth_of(a) < 0) f80_load(a);
  if (depth_of(b) < 0) f80_load(b);
  if (depth_of(a) < 0) f80_load(a);  // b may have taken its place
  const bool a_dies = !f80_wanted(a), b_dies = !f80_wanted(b);
  const auto depth = [&](ValueId id) { return static_cast<uint32_t>(depth_of(id)); };
  if (a_dies && b_dies) {
    // One of them at the top, the result where the other was.
    if (depth(a) != 0 && depth(b) != 0) f80_exchange(depth(b));
    const bool reversed = depth(a) == 0;
    const ValueId below = reversed ? b : a;
    (void)a_.emit(popping_form(inst.op, reversed), x86::st(depth(below)));
    const size_t at_index = f80_stack_.size() - 1 - depth(below);
    f80_stack_[at_index] = now_;
    f80_stack_.pop_back();
    return touch(now_);
  }
  if (a_dies || b_dies) {
    const ValueId dying = a_dies ? a : b, other = a_dies ? b : a;
    if (depth(other) == 0) {
      // st(i) = st(i) op st(0), without the pop.
      const bool reversed = dying == b;
      const uint32_t i = depth(dying);
      (void)a_.emit(memory_form(inst.op, reversed), x86::st(i), x86::st(0));
      f80_stack_[f80_stack_.size() - 1 - i] = now_;
      return touch(now_);
    }
    f80_exchange(depth(dying));
    (void)a_.emit(memory_form(inst.op, dying == b), x86::st(0), x86::st(depth(other)));
    return f80_define(now_);
  }
  f80_to_top(a);
  if (depth_of(b) < 0) f80_load(b), f80_exchange(1);
  (void)a_.emit(memory_form(inst.op, false), x86::st(0), x86::st(depth(b)));
  f80_define(now_);
}

/// Both to be used up, a at the top and b below it.
void Emitter::f80_pair_to_top(ValueId a, ValueId b) {
  f80_room(4);  // for either and a copy of it
  f80_to_top(b);
  const size_t size = f80_stack_.size();
  if (root(a) == root(b)) {
    (void)a_.fld(x86::st(0));
    return f80_stack_.push_back(kNoValue);
  }
  const int old_depth = depth_of(root(a));
  f80_to_top(a);
  // What a changed places with, or what was pushed above b.
  const size_t depth = f80_stack_.size() == size ? static_cast<size_t>(old_depth) : f80_stack_.size() - size;
  if (depth == 1) return;
  f80_exchange(1);
  f80_exchange(static_cast<unsigned>(depth));
  f80_exchange(1);
}

void Emitter::emit_f80_function(const ir::Inst& inst) {
  set_f80_rounding(inst.fp_mode().round);
  const auto f = static_cast<ir::F80Function>(inst.fp_extra());
  if (!ir::has_two_operands(f)) {
    f80_to_top(inst.args[0]);
    (void)a_.f2xm1();
    f80_define(now_);
    return f80_note_status();
  }
  f80_pair_to_top(inst.args[0], inst.args[1]);
  if (f == ir::F80Function::Scale) {
    (void)a_.fscale();
    f80_define(now_);
    f80_note_status();  // C1 does not outlive the pop
    return f80_discard(1);
  }
  if (f == ir::F80Function::Log2)
    (void)a_.fyl2x();
  else if (f == ir::F80Function::Log2Plus1)
    (void)a_.fyl2xp1();
  else
    (void)a_.fpatan();
  f80_stack_.pop_back();
  f80_define(now_);
  f80_note_status();
}

/// The order as a value, from the flags as COMISS leaves them.
void Emitter::emit_f80_compare(const ir::Inst& inst) {
  const bool signal = (inst.fp_extra() & ir::f80::kSignalQuiet) != 0;
  const ValueId a = root(inst.args[0]), b = root(inst.args[1]);
  no_flags();
  if (is_raw(at(b)) && plan_[b].fused != 0) {
    // The forms with an operand in memory don't set EFLAGS.
    f80_to_top(a);
    bool guest;
    const Mem with = f80_memory_operand(at(b).args[0], &guest);
    take_this_gpr(0);
    f80_memory(hi::kIdFcomp, with, guest);
    f80_stack_.pop_back();
    (void)a_.fnstsw(x86::ax);
    (void)a_.sahf();
  } else {
    touch(a);
    touch(b);
    if (depth_of(b) < 0) f80_load(b);
    f80_to_top(a);
    if (depth_of(b) < 0 && a != b) f80_load(b), f80_exchange(1);
    const auto with = a == b ? 0u : static_cast<uint32_t>(depth_of(b));
    (void)a_.emit(signal ? hi::kIdFcomip : hi::kIdFucomip, x86::st(with));
    f80_stack_.pop_back();
  }
  // Bit 0: less or unordered; bit 1: greater or unordered.
  const uint8_t d = def_gpr(), greater = take_gpr(), unordered = take_gpr();
  (void)a_.setc(x86::gpb_lo(d));
  (void)a_.seta(x86::gpb_lo(greater));
  (void)a_.setp(x86::gpb_lo(unordered));
  (void)a_.or_(x86::gpb_lo(greater), x86::gpb_lo(unordered));
  (void)a_.movzx(gp32(d), x86::gpb_lo(d));
  (void)a_.movzx(gp32(greater), x86::gpb_lo(greater));
  (void)a_.lea(gp32(d), x86::ptr(gp64(d), gp64(greater), 1));
}

}  // namespace lyrebird::jit::baseline
