// SPDX-License-Identifier: Apache-2.0
// Guest state: fields in memory, fields in pinned registers.
#include <algorithm>

#include "ir/cpu_header.h"
#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::kNoValue;
using ir::Op;
using ir::Type;
using ir::ValueId;

void Emitter::emit_get_state(const ir::Inst& inst) {
  const ValuePlan& plan = plan_[now_];
  if (!plan.needed || plan.root != now_) return;
  const auto offset = static_cast<uint32_t>(inst.imm);
  if (inst.type == Type::F80 && depth_of(now_) >= 0) return touch(now_);  // start_f80_loop()
  flush_f80_at(offset, ir::byte_size(inst.type));
  if (const Pin* pin = pins_.at(offset)) {
    if (offset == pin->offset && class_of(inst.type) == ValueClass::Gpr && inst.type != Type::I1) {
      touch(now_);
      bind_gpr(now_, pin->reg);
      return;
    }
    if (inst.type == Type::I8 && host_.bmi2) {
      (void)a_.rorx(gp64(def_gpr()), gp64(pin->reg), 8 * (offset - pin->offset));
      return;
    }
    (void)a_.mov(state_mem(pin->offset, 8), gp64(pin->reg));
    define_from_memory(state_mem(offset));
    if (inst.type == Type::I1) (void)a_.and_(gp32(loc(now_).gpr), 1);
    return no_flags();
  }
  if (pins_.has_vectors(offset, ir::byte_size(inst.type))) return get_from_vector_pins(inst);
  if (inst.type == Type::I1) {
    // Whatever the byte holds, the value is its lowest bit.
    define_from_memory(state_mem(offset));
    (void)a_.and_(gp32(loc(now_).gpr), 1);
    return no_flags();
  }
  // The engine writes the header, too.
  if (offset < sizeof(ir::CpuHeader)) return define_from_memory(state_mem(offset));
  touch(now_);
  set_home(now_, Home::State, offset);
}

void Emitter::emit_set_state(const ir::Inst& inst) {
  if (plan_[now_].skipped) return;
  const auto offset = static_cast<uint32_t>(inst.imm);
  if (pins_.is_status(offset, 1) && delays()) return;
  const uint32_t size = ir::byte_size(inst.type);
  const ValueId value = inst.args[0], id = root(value);
  constexpr uint32_t kMode = offsetof(ir::CpuHeader, mode);
  if (offset < kMode + 4 && offset + size > kMode) {
    mode_known_ = at(id).op == Op::Const && offset == kMode && size == 4;
    if (mode_known_) mode_ = static_cast<uint32_t>(constant(value));
  }
  if (inst.type == Type::F80)
    if (const int field = f80_field(offset); field >= 0)
      return f80_set_field(static_cast<unsigned>(field), value);
  flush_f80_at(offset, size);
  const Pin* const pin = pins_.at(offset);
  if (!pin && pins_.has_vectors(offset, size)) return set_vector_pins(value, offset);
  if (!pin) return store_to_state(value, offset);
  if (offset == pin->offset && size <= 2 && inst.type != Type::I1 && class_of(inst.type) == ValueClass::Gpr) {
    // The host has instructions that write the low part of a register, too.
    if (const auto imm = imm32(value, inst.type)) {
      move_aliases_away(pin->reg);
      (void)a_.mov(gp(pin->reg, inst.type), *imm);
      return;
    }
    const uint8_t from = use_gpr(value);
    if (from == pin->reg) return;
    move_aliases_away(pin->reg);
    (void)a_.mov(gp(pin->reg, inst.type), gp(from, inst.type));
    return;
  }
  if (offset != pin->offset && inst.type == Type::I8 && host_.bmi2) {
    // By way of its lowest byte: what memory has been given in two parts it is slow to give back as one.
    const auto imm = imm32(value, inst.type);
    const uint8_t from = imm ? kNoReg : use_gpr(value);
    const uint32_t turn = 8 * (offset - pin->offset);
    const uint8_t source = from == pin->reg ? copy_gpr(value) : from;
    move_aliases_away(pin->reg);
    (void)a_.rorx(gp64(pin->reg), gp64(pin->reg), turn);
    if (imm)
      (void)a_.mov(gp(pin->reg, inst.type), *imm);
    else
      (void)a_.mov(gp(pin->reg, inst.type), gp(source, inst.type));
    (void)a_.rorx(gp64(pin->reg), gp64(pin->reg), 64 - turn);
    return;
  }
  if (offset != pin->offset || size != 8 || class_of(inst.type) != ValueClass::Gpr) {
    (void)a_.mov(state_mem(pin->offset, 8), gp64(pin->reg));
    store_to_state(value, offset);
    if (loc(id).home == Home::State && loc(id).offset == offset) set_home(id, Home::None, 0);
    move_aliases_away(pin->reg);
    (void)a_.mov(gp64(pin->reg), state_mem(pin->offset, 8));
    return;
  }
  if (at(id).op == Op::Const) {
    move_aliases_away(pin->reg);
    load_const_value(pin->reg, value);
    return;
  }
  touch(id);
  if (in_memory(value) && plan_[value].clean && plan_[id].last_use <= now_) {
    move_aliases_away(pin->reg);
    return move_to(pin->reg, value);
  }
  const uint8_t from = use_clean(value);
  if (from == pin->reg) return;
  move_aliases_away(pin->reg);
  (void)a_.mov(gp64(pin->reg), gp64(from));
}

void Emitter::store_to_state(ValueId value, uint32_t offset) {
  const ValueId id = root(value);
  const Type type = type_of(value);
  const uint32_t size = ir::byte_size(type);
  const Mem to = state_mem(offset, size);
  touch(id);
  if (is_home(id, offset, size)) return;
  switch (class_of(type)) {
    case ValueClass::Gpr: {
      if (const auto imm = imm32(value, type)) {
        lose_state(offset, size);
        (void)a_.mov(to, *imm);
        return;
      }
      if (plan_[id].lazy && loc(id).gpr == kNoReg && loc(id).home == Home::None) {
        const auto cc = evaluate(value);
        lose_state(offset, size);
        (void)a_.emit(hi::setccFromCond(cc), to);
        return;
      }
      const uint8_t reg = use_gpr(value);
      lose_state(offset, size);
      (void)a_.mov(to, gp(reg, type));
      break;
    }
    case ValueClass::Xmm: {
      const uint8_t reg = use_xmm(value);
      lose_state(offset, size);
      const auto move = size == 4   ? (host_.avx ? hi::kIdVmovss : hi::kIdMovss)
                        : size == 8 ? (host_.avx ? hi::kIdVmovsd : hi::kIdMovsd)
                                    : (host_.avx ? hi::kIdVmovups : hi::kIdMovups);
      (void)a_.emit(move, to, xmm(reg));
      break;
    }
    default: {
      // All of it is read before the state changes: it may come from there.
      const Mem from = use_mem(value);
      const uint32_t slot = take_slot(slot_size(type));
      copy_memory(from, frame_mem(slot), size);
      lose_state(offset, size);
      copy_memory(frame_mem(slot), to, size);
      instruction_slots_.emplace_back(slot, slot_size(type));
      return;
    }
  }
  make_home(value, offset);
}

bool Emitter::is_home(ValueId id, uint32_t offset, uint32_t size) {
  const Loc& l = loc(id);
  return l.home == Home::State && l.offset == offset && ir::byte_size(type_of(id)) == size;
}

/// The value has just been written there. If its register is wanted for something else, nothing need be
/// saved.
void Emitter::make_home(ValueId value, uint32_t offset) {
  const ValueId id = root(value);
  const Type type = type_of(value);
  const uint32_t size = ir::byte_size(type);
  const uint32_t own = ir::byte_size(type_of(id));
  const bool whole = own == size || (own < size && class_of(type) == ValueClass::Xmm);
  if (loc(id).home == Home::None && at(id).op != Op::Const && whole && offset >= sizeof(ir::CpuHeader) &&
      class_of(type) == class_of(type_of(id)))
    set_home(id, Home::State, offset);
}

void Emitter::copy_memory(const Mem& from, const Mem& to, uint32_t size) {
  const uint8_t wide = take_xmm();
  for (uint32_t done = 0; done < size;) {
    const uint32_t left = size - done;
    const uint32_t part = left >= 16 ? 16 : left >= 8 ? 8 : 2;
    Mem source = from.cloneAdjusted(done), target = to.cloneAdjusted(done);
    source.setSize(part);
    target.setSize(part);
    if (part == 2) {
      const uint8_t word = take_gpr();
      (void)a_.movzx(gp32(word), source);
      (void)a_.mov(target, x86::gpw(word));
    } else {
      const InstId move = part == 16 ? (host_.avx ? hi::kIdVmovups : hi::kIdMovups)
                                     : (host_.avx ? hi::kIdVmovsd : hi::kIdMovsd);
      (void)a_.emit(move, xmm(wide), source);
      (void)a_.emit(move, target, xmm(wide));
    }
    done += part;
  }
}

void Emitter::define_from_memory(Mem from) {
  const Type type = type_of(now_);
  switch (class_of(type)) {
    case ValueClass::Gpr:
      return load_int(def_gpr(), from, type);
    case ValueClass::Xmm:
      return load_float(def_xmm(), from, type);
    default:
      return copy_memory(from, def_slot(), ir::byte_size(type));
  }
}

}  // namespace lyrebird::jit::baseline
