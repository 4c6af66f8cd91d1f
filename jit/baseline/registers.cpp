// SPDX-License-Identifier: Apache-2.0
// Where values live: host registers, pinned registers, the guest's state, slots of the frame.
#include <algorithm>
#include <bit>

#include "ir/const_address.h"
#include "ir/cpu_header.h"
#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::kNoValue;
using ir::Op;
using ir::Type;
using ir::ValueId;

namespace {
/// Takes out the only occurrence; the order stays.
void take_out(std::vector<ValueId>& list, ValueId id) {
  for (size_t i = list.size(); i-- > 0;) {
    if (list[i] != id) continue;
    for (; i + 1 < list.size(); ++i) list[i] = list[i + 1];
    return list.pop_back();
  }
}
unsigned slot_index(unsigned size) { return size <= 8 ? 0 : size <= 16 ? 1 : 2; }
// rax, rdx and rcx last: some instructions want them.
constexpr uint8_t kOrder[] = {10, 3, 5, 6, 8, 9, 11, 12, 13, 14, 15, 0, 2, 1};
}  // namespace

unsigned Emitter::slot_size(Type type) {
  switch (class_of(type)) {
    case ValueClass::Gpr:
      return 8;
    case ValueClass::Xmm:
      return 16;
    default:
      return std::max(8u, ir::byte_size(type));
  }
}

// --- operands of host instructions

Emitter::Gp Emitter::gp(uint8_t reg, Type type) const {
  switch (type) {
    case Type::I1:
    case Type::I8:
      return x86::gpb_lo(reg);
    case Type::I16:
      return x86::gpw(reg);
    case Type::I32:
      return x86::gpd(reg);
    default:
      return x86::gpq(reg);
  }
}

Emitter::Mem Emitter::state_mem(uint32_t offset, unsigned size) const {
  return x86::ptr(gp64(abi::kState), static_cast<int32_t>(offset) - abi::kStateBias, size);
}
Emitter::Mem Emitter::frame_mem(uint32_t offset, unsigned size) const {
  return x86::ptr(x86::rsp, static_cast<int32_t>(abi::kFrame + offset), size);
}

void Emitter::load_int(uint8_t reg, const Mem& from, Type type) {
  Mem m = from;
  switch (type) {
    case Type::I1:
    case Type::I8:
      m.setSize(1);
      (void)a_.movzx(gp32(reg), m);
      return;
    case Type::I16:
      m.setSize(2);
      (void)a_.movzx(gp32(reg), m);
      return;
    case Type::I32:
      m.setSize(4);
      (void)a_.mov(gp32(reg), m);
      return;
    default:
      m.setSize(8);
      (void)a_.mov(gp64(reg), m);
  }
}

void Emitter::load_float(uint8_t reg, const Mem& from, Type type) {
  Mem m = from;
  const unsigned size = ir::byte_size(type);
  m.setSize(size);
  const auto id = size == 4   ? (host_.avx ? hi::kIdVmovss : hi::kIdMovss)
                  : size == 8 ? (host_.avx ? hi::kIdVmovsd : hi::kIdMovsd)
                              : (host_.avx ? hi::kIdVmovups : hi::kIdMovups);
  (void)a_.emit(id, xmm(reg), m);
}

void Emitter::load_from_state(uint8_t reg, uint32_t offset, Type type) {
  if (pins_.vector_at(offset)) return load_vector_pin(reg, offset, ir::byte_size(type));
  load_float(reg, state_mem(offset), type);
}

void Emitter::load_const(uint8_t reg, uint64_t value) {
  // Never xor: host flags may be in use.
  if (value <= 0xffffffff)
    (void)a_.mov(gp32(reg), static_cast<uint32_t>(value));
  else
    (void)a_.mov(gp64(reg), static_cast<int64_t>(value));
}

void Emitter::load_address(uint8_t reg, uint64_t address) {
  if (!options_.system) return load_const(reg, address);
  const uint8_t opcode[2] = {static_cast<uint8_t>(reg < 8 ? 0x48 : 0x49),
                             static_cast<uint8_t>(0xb8 | (reg & 7))};
  (void)a_.embed(opcode, sizeof opcode);
  moves_.push_back(static_cast<uint32_t>(a_.offset()));
  (void)a_.embed(&address, sizeof address);
}

void Emitter::load_const_value(uint8_t reg, ValueId id) {
  const ir::Inst& inst = at(root(id));
  if (ir::moves(inst))
    load_address(reg, inst.imm);
  else
    load_const(reg, constant(id));
}

void Emitter::load_const_xmm(uint8_t reg, uint64_t low, uint64_t high) {
  if (low == 0 && high == 0)
    (void)a_.emit(host_.avx ? hi::kIdVpxor : hi::kIdPxor, xmm(reg), xmm(reg),
                  host_.avx ? Operand(xmm(reg)) : Operand());
  else
    (void)a_.emit(host_.avx ? hi::kIdVmovaps : hi::kIdMovaps, xmm(reg), pool(low, high));
}

void Emitter::move_xmm(uint8_t to, uint8_t from) {
  if (to != from) (void)a_.emit(host_.avx ? hi::kIdVmovaps : hi::kIdMovaps, xmm(to), xmm(from));
}

// --- slots

uint32_t Emitter::take_slot(unsigned size) {
  auto& free = free_slots_[slot_index(size)];
  if (!free.empty()) {
    const uint32_t slot = free.back();
    free.pop_back();
    return slot;
  }
  const uint32_t bytes = 8u << slot_index(size);
  const uint32_t start = (slot_end_ + bytes - 1) & ~(bytes - 1);
  if (start + bytes > kFrameEnd - 64) {
    failed_ = true;
    return kFrameScratch;
  }
  slot_end_ = start + bytes;
  return start;
}

void Emitter::give_slot(uint32_t offset, unsigned size) {
  if (offset >= kFrameSlots) free_slots_[slot_index(size)].push_back(offset);
}

// --- who owns which register

void Emitter::bind_gpr(ValueId id, uint8_t reg) {
  loc(id).gpr = reg;
  if (pins_.mask >> reg & 1)
    aliases_[reg].push_back(id);
  else
    gpr_owner_[reg] = id;
}
void Emitter::bind_xmm(ValueId id, uint8_t reg) {
  loc(id).xmm = reg;
  xmm_owner_[reg] = id;
  above_[reg] = kNoValue;
}

void Emitter::release_gpr(uint8_t reg) {
  if (pins_.mask >> reg & 1) return;
  gpr_owner_[reg] = kNoValue;
}

void Emitter::drop(ValueId id) {
  if (!f80_stack_.empty() && type_of(id) == Type::F80) f80_drop(id);
  Loc& l = loc(id);
  if (l.gpr != kNoReg) {
    if (pins_.mask >> l.gpr & 1)
      take_out(aliases_[l.gpr], id);
    else
      gpr_owner_[l.gpr] = kNoValue;
  }
  if (l.xmm != kNoReg) xmm_owner_[l.xmm] = kNoValue;
  if (l.home == Home::Slot) give_slot(l.offset, slot_size(type_of(id)));
  if (l.home == Home::State) take_out(state_homes_, id);
  l = {};
}

void Emitter::drop_dead() {
  const ValuePlan* const plan = &plan_[0];
  for (size_t i = 0; i < touched_.size(); ++i)
    if (plan[touched_[i]].last_use <= now_) drop(touched_[i]);
  touched_.clear();
}

void Emitter::give_instruction_slots() {
  for (const auto& [offset, size] : instruction_slots_) give_slot(offset, size);
  instruction_slots_.clear();
}

void Emitter::spill_gpr(uint8_t reg) {
  const ValueId id = gpr_owner_[reg];
  Loc& l = loc(id);
  if (plan_[id].last_use < now_) return drop(id);
  if (l.home == Home::None && at(id).op != Op::Const) {
    const uint32_t slot = take_slot(8);
    (void)a_.mov(frame_mem(slot, 8), gp64(reg));
    set_home(id, Home::Slot, slot);
  }
  l.gpr = kNoReg;
  gpr_owner_[reg] = kNoValue;
}

void Emitter::spill_xmm(uint8_t reg) {
  const ValueId id = xmm_owner_[reg];
  Loc& l = loc(id);
  if (plan_[id].last_use < now_) return drop(id);
  if (l.home == Home::None && at(id).op != Op::Const) {
    const uint32_t slot = take_slot(16);
    (void)a_.emit(host_.avx ? hi::kIdVmovaps : hi::kIdMovaps, frame_mem(slot, 16), xmm(reg));
    set_home(id, Home::Slot, slot);
  }
  l.xmm = kNoReg;
  xmm_owner_[reg] = kNoValue;
}

uint8_t Emitter::take_gpr() {
  uint8_t victim = kNoReg;
  uint64_t best = 0;
  for (const uint8_t reg : kOrder) {
    if (!(temps_ >> reg & 1) || ((locked_gpr_ | held_) >> reg & 1)) continue;
    const ValueId owner = gpr_owner_[reg];
    if (owner == kNoValue) {
      lock_gpr(reg);
      return reg;
    }
    // The one that is cheapest to lose, then the one that is needed last.
    const bool cheap =
        loc(owner).home != Home::None || at(owner).op == Op::Const || plan_[owner].last_use < now_;
    const uint64_t score = (cheap ? uint64_t{1} << 32 : 0) + plan_[owner].last_use + 1;
    if (score > best) {
      best = score;
      victim = reg;
    }
  }
  if (best < uint64_t{1} << 32 && held_ != 0)
    if (const uint8_t reg = take_from_page(); reg != kNoReg) {
      lock_gpr(reg);
      return reg;
    }
  if (victim == kNoReg) {
    failed_ = true;
    return 0;
  }
  spill_gpr(victim);
  lock_gpr(victim);
  return victim;
}

void Emitter::take_this_gpr(uint8_t reg) {
  const bool operand = locked_gpr_ >> reg & 1;
  if (held_ >> reg & 1) page_to_memory(*held_page(reg));
  lock_gpr(reg);
  const ValueId owner = gpr_owner_[reg];
  if (owner == kNoValue) return;
  if (plan_[owner].last_use < now_) return drop(owner);
  // To another register rather than to memory; a lock must not stop that: the value may be an operand.
  const uint8_t other = take_gpr();
  (void)a_.mov(gp64(other), gp64(reg));
  gpr_owner_[reg] = kNoValue;
  bind_gpr(owner, other);
  if (!operand) locked_gpr_ &= static_cast<uint16_t>(~(1u << other));
}

uint8_t Emitter::take_xmm() {
  uint8_t victim = kNoReg;
  uint64_t best = 0;
  for (uint8_t reg = 0; reg < 16; ++reg) {
    if (locked_xmm_ >> reg & 1) continue;
    const ValueId owner = xmm_owner_[reg];
    if (owner == kNoValue) {
      lock_xmm(reg);
      return reg;
    }
    const bool cheap =
        loc(owner).home != Home::None || at(owner).op == Op::Const || plan_[owner].last_use < now_;
    const uint64_t score = (cheap ? uint64_t{1} << 32 : 0) + plan_[owner].last_use + 1;
    if (score > best) {
      best = score;
      victim = reg;
    }
  }
  if (victim == kNoReg) {
    failed_ = true;
    return 0;
  }
  spill_xmm(victim);
  lock_xmm(victim);
  return victim;
}

void Emitter::take_this_xmm(uint8_t reg) {
  lock_xmm(reg);
  const ValueId owner = xmm_owner_[reg];
  if (owner == kNoValue) return;
  if (plan_[owner].last_use < now_) return drop(owner);
  const uint8_t other = take_xmm();
  move_xmm(other, reg);
  xmm_owner_[reg] = kNoValue;
  bind_xmm(owner, other);
}

// --- homes

void Emitter::set_home(ValueId id, Home home, uint32_t offset) {
  Loc& l = loc(id);
  if (l.home == Home::State) std::erase(state_homes_, id);
  if (l.home == Home::Slot) give_slot(l.offset, slot_size(type_of(id)));
  l.home = home;
  l.offset = offset;
  if (home == Home::State) state_homes_.push_back(id);
}

/// That part of the state is about to be written: values that live only there move out. `wanted_now`:
/// operands of the current instruction, too.
void Emitter::lose_state(uint32_t offset, uint32_t size, bool wanted_now) {
  for (size_t i = 0; i < state_homes_.size();) {
    const ValueId id = state_homes_[i];
    Loc& l = loc(id);
    const uint32_t bytes = ir::byte_size(type_of(id));
    if (l.offset >= offset + size || offset >= l.offset + bytes) {
      ++i;
      continue;
    }
    if (plan_[id].last_use >= now_ + !wanted_now && l.gpr == kNoReg && l.xmm == kNoReg && depth_of(id) < 0) {
      const Mem from = state_mem(l.offset);
      switch (class_of(type_of(id))) {
        case ValueClass::Gpr: {
          const uint8_t reg = take_gpr();
          load_int(reg, from, type_of(id));
          bind_gpr(id, reg);
          break;
        }
        case ValueClass::Xmm: {
          const uint8_t reg = take_xmm();
          load_from_state(reg, l.offset, type_of(id));
          bind_xmm(id, reg);
          break;
        }
        default: {
          const uint32_t slot = take_slot(slot_size(type_of(id)));
          const uint8_t reg = take_xmm();
          for (uint32_t done = 0; done < bytes;) {
            const uint32_t left = bytes - done;
            const Type part = left >= 16 ? Type::V128 : left >= 8 ? Type::F64 : Type::I16;
            Mem source = from, target = frame_mem(slot + done);
            source.addOffset(done);
            if (part == Type::I16) {
              const uint8_t word = take_gpr();
              load_int(word, source, part);
              target.setSize(2);
              (void)a_.mov(target, gp(word, part));
              done += 2;
              continue;
            }
            load_float(reg, source, part);
            target.setSize(part == Type::V128 ? 16 : 8);
            (void)a_.emit(part == Type::V128 ? (host_.avx ? hi::kIdVmovups : hi::kIdMovups)
                                             : (host_.avx ? hi::kIdVmovsd : hi::kIdMovsd),
                          target, xmm(reg));
            done += part == Type::V128 ? 16 : 8;
          }
          set_home(id, Home::Slot, slot);
          continue;  // state_homes_ has shrunk
        }
      }
    }
    state_homes_[i] = state_homes_.back();
    state_homes_.pop_back();
    l.home = Home::None;
  }
}

/// The pinned register is about to be written: values that live there move out.
void Emitter::move_aliases_away(uint8_t pinned) {
  auto& list = aliases_[pinned];
  while (!list.empty()) {
    const ValueId id = list.back();
    list.pop_back();
    loc(id).gpr = kNoReg;
    if (plan_[id].last_use <= now_ || loc(id).home != Home::None) continue;
    const uint8_t reg = take_gpr();
    (void)a_.mov(gp64(reg), gp64(pinned));
    bind_gpr(id, reg);
  }
}

// --- operands

uint8_t Emitter::use_gpr(ValueId value) {
  const ValueId id = root(value);
  touch(id);
  Loc& l = loc(id);
  if (l.gpr != kNoReg) {
    lock_gpr(l.gpr);
    return l.gpr;
  }
  if (plan_[id].lazy && l.home == Home::None) {
    materialise(id);
    return loc(id).gpr;
  }
  if (plan_[id].only_flags && l.home == Home::None) {
    remake(id);
    return loc(id).gpr;
  }
  const uint8_t reg = take_gpr();
  if (at(id).op == Op::Const)
    load_const_value(reg, id);
  else if (l.home == Home::State)
    load_int(reg, state_mem(l.offset), type_of(id));
  else
    load_int(reg, frame_mem(l.offset), Type::I64);
  bind_gpr(id, reg);
  return reg;
}

uint8_t Emitter::use_clean(ValueId value) {
  const uint8_t reg = use_gpr(value);
  if (plan_[value].clean || at(root(value)).op == Op::Const) return reg;
  const uint8_t copy = take_gpr();
  switch (type_of(value)) {
    case Type::I1:
    case Type::I8:
      (void)a_.movzx(gp32(copy), x86::gpb_lo(reg));
      break;
    case Type::I16:
      (void)a_.movzx(gp32(copy), x86::gpw(reg));
      break;
    default:
      (void)a_.mov(gp32(copy), gp32(reg));
  }
  return copy;
}

uint8_t Emitter::copy_gpr(ValueId value) {
  if (in_memory(value)) {
    const uint8_t reg = take_gpr();
    move_to(reg, value);
    return reg;
  }
  const uint8_t from = use_gpr(value);
  const uint8_t reg = take_gpr();
  (void)a_.mov(gp64(reg), gp64(from));
  return reg;
}

void Emitter::move_to(uint8_t reg, ValueId value) {
  if (!in_memory(value)) {
    const uint8_t from = use_gpr(value);
    if (from != reg) (void)a_.mov(gp64(reg), gp64(from));
    return;
  }
  const ValueId id = root(value);
  touch(id);
  const Loc& l = loc(id);
  if (l.home == Home::State)
    load_int(reg, state_mem(l.offset), type_of(id));
  else
    load_int(reg, frame_mem(l.offset), Type::I64);
}

uint8_t Emitter::use_xmm(ValueId value) {
  const ValueId id = root(value);
  touch(id);
  Loc& l = loc(id);
  if (l.xmm != kNoReg) {
    lock_xmm(l.xmm);
    return l.xmm;
  }
  const uint8_t reg = take_xmm();
  if (at(id).op == Op::Const)
    load_const_xmm(reg, constant(id), type_of(id) == Type::V128 ? at(id).high() : 0);
  else if (l.home == Home::State)
    load_from_state(reg, l.offset, type_of(id));
  else
    load_float(reg, frame_mem(l.offset), Type::V128);
  bind_xmm(id, reg);
  return reg;
}

uint8_t Emitter::copy_xmm(ValueId value) {
  const uint8_t from = use_xmm(value);
  const uint8_t reg = take_xmm();
  move_xmm(reg, from);
  return reg;
}

Operand Emitter::use_rm(ValueId value, Type type) {
  const ValueId id = root(value);
  Loc& l = loc(id);
  if (l.gpr == kNoReg && l.home != Home::None && plan_[id].last_use <= now_ &&
      (l.home == Home::Slot || ir::byte_size(type) <= ir::byte_size(type_of(id)))) {
    touch(id);
    const unsigned size = ir::byte_size(type);
    return l.home == Home::State ? state_mem(l.offset, size) : frame_mem(l.offset, size);
  }
  return gp(use_gpr(value), type);
}

Operand Emitter::use_rmi(ValueId value, Type type) {
  if (const auto imm = imm32(value, type)) return Imm(*imm);
  return use_rm(value, type);
}

Operand Emitter::use_xm(ValueId value) {
  const ValueId id = root(value);
  const Loc& l = loc(id);
  if (l.xmm == kNoReg && host_.avx && plan_[id].last_use <= now_ &&
      (l.home == Home::Slot ||
       (l.home == Home::State && ir::byte_size(type_of(id)) == 16 && !pins_.vector_at(l.offset)))) {
    touch(id);
    return l.home == Home::State ? state_mem(l.offset, 16) : frame_mem(l.offset, 16);
  }
  return xmm(use_xmm(value));
}

Emitter::Mem Emitter::use_mem(ValueId value) {
  const ValueId id = root(value);
  touch(id);
  const Type type = type_of(value);
  if (at(id).op == Op::Const) {
    const unsigned width = ir::bit_width(type_of(id));
    return pool(constant(id), width > 64 ? at(id).high() : 0);
  }
  if (plan_[id].lazy && loc(id).gpr == kNoReg && loc(id).home == Home::None) materialise(id);
  Loc& l = loc(id);
  if (l.home == Home::Slot) return frame_mem(l.offset);
  if (l.home == Home::State && ir::byte_size(type) <= ir::byte_size(type_of(id))) {
    vector_pins_to_memory(l.offset, ir::byte_size(type));
    return state_mem(l.offset);
  }
  if (type_of(id) == Type::F80) return f80_to_memory(id);
  // From its register to a slot that is the value's from now on, if that says nothing wrong.
  const unsigned size = slot_size(type_of(id));
  const uint32_t slot = take_slot(size);
  if (class_of(type_of(id)) == ValueClass::Gpr) {
    const uint8_t reg = use_gpr(value);
    (void)a_.mov(frame_mem(slot, 8), gp64(reg));
  } else if (class_of(type_of(id)) == ValueClass::Xmm) {
    const uint8_t reg = use_xmm(value);
    (void)a_.emit(host_.avx ? hi::kIdVmovaps : hi::kIdMovaps, frame_mem(slot, 16), xmm(reg));
  } else {
    failed_ = true;
  }
  instruction_slots_.emplace_back(slot, size);
  return frame_mem(slot);
}

uint16_t Emitter::use_operand(ValueId value) {
  const ValueId id = root(value);
  if (at(id).op == Op::Const) {
    touch(id);
    const unsigned width = ir::bit_width(type_of(id));
    const uint32_t slot = take_slot(16);
    instruction_slots_.emplace_back(slot, 16);
    const auto put = [&](uint32_t offset, uint64_t word) {
      const bool moving = ir::moves(at(id));
      if (static_cast<int64_t>(word) == static_cast<int32_t>(word) && !moving) {
        (void)a_.mov(frame_mem(offset, 8), static_cast<int32_t>(word));
      } else {
        const uint8_t reg = take_gpr();
        if (moving && offset == slot)
          load_address(reg, word);
        else
          load_const(reg, word);
        (void)a_.mov(frame_mem(offset, 8), gp64(reg));
        locked_gpr_ &= static_cast<uint16_t>(~(1u << reg));
      }
    };
    put(slot, ir::moves(at(id)) ? at(id).imm : constant(id));
    put(slot + 8, width > 64 ? at(id).high() : 0);
    return static_cast<uint16_t>(slot);
  }
  const Mem m = use_mem(value);
  const bool in_state = m.baseId() == abi::kState;
  return static_cast<uint16_t>(in_state ? m.offset() + abi::kStateBias + interp::kInState
                                        : m.offset() - abi::kFrame);
}

// --- results

uint8_t Emitter::def_gpr(ValueId reuse) {
  const ValuePlan& plan = plan_[now_];
  touch(now_);
  if (plan.pinned != kNoReg) {
    move_aliases_away(plan.pinned);
    bind_gpr(now_, plan.pinned);
    lock_gpr(plan.pinned);
    return plan.pinned;
  }
  if (reuse != kNoValue && dies(reuse)) {
    const ValueId old = root(reuse);
    const uint8_t reg = loc(old).gpr;
    if (reg != kNoReg && !(pins_.mask >> reg & 1)) {
      loc(old).gpr = kNoReg;
      bind_gpr(now_, reg);
      return reg;
    }
  }
  const uint8_t reg = take_gpr();
  bind_gpr(now_, reg);
  return reg;
}

/// The current instruction's register with a value in it, to be changed. `keep`: an operand that must
/// survive.
uint8_t Emitter::def_copy(ValueId value, const Operand& keep) {
  const uint8_t pinned = plan_[now_].pinned;
  if (in_memory(value) && !(pinned != kNoReg && keep.isReg() && keep.id() == pinned)) {
    const uint8_t d = def_gpr();
    move_to(d, value);
    return d;
  }
  const uint8_t from = use_gpr(value);
  const uint8_t d = def_gpr(value);
  if (d != from && !(keep.isReg() && keep.id() == d)) (void)a_.mov(gp64(d), gp64(from));
  return d;
}

uint8_t Emitter::def_xmm(ValueId reuse) {
  touch(now_);
  if (reuse != kNoValue && dies(reuse)) {
    const ValueId old = root(reuse);
    const uint8_t reg = loc(old).xmm;
    if (reg != kNoReg) {
      loc(old).xmm = kNoReg;
      bind_xmm(now_, reg);
      return reg;
    }
  }
  const uint8_t reg = take_xmm();
  bind_xmm(now_, reg);
  return reg;
}

Emitter::Mem Emitter::def_slot() {
  touch(now_);
  const uint32_t slot = take_slot(slot_size(type_of(now_)));
  set_home(now_, Home::Slot, slot);
  return frame_mem(slot);
}

}  // namespace lyrebird::jit::baseline
