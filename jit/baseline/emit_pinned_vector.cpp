// SPDX-License-Identifier: Apache-2.0
// Guest vectors that live in host registers 16 to 31 (Pins::vectors). Only encodings of AVX-512 reach
// those: most values are copied to and from the lower ones, which the host does by renaming.
#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::Type;
using ir::ValueId;

/// Like use_xmm(), but may be a pinned register, whose lanes above a scalar are the vector's: for what is
/// only read, by an instruction that AVX-512 has, too.
uint8_t Emitter::use_pinned_xmm(ValueId value) {
  const ValueId id = root(value);
  const Loc& l = loc(id);
  const bool whole = ir::byte_size(type_of(value)) <= ir::byte_size(type_of(id));
  const bool there = l.xmm == kNoReg && l.home == Home::State && l.offset % 16 == 0 && whole;
  const uint8_t pin = there ? pins_.vector_at(l.offset) : 0;
  if (!pin) return use_xmm(value);
  touch(id);
  return pin;
}

/// The same for an operand whose upper lanes the result takes over.
uint8_t Emitter::use_first_xmm(ValueId value) {
  return type_of(root(value)) == Type::V128 ? use_pinned_xmm(value) : use_xmm(value);
}

/// A value of the class Xmm, as a load of that size makes it: with zeros above.
void Emitter::load_vector_pin(uint8_t to, uint32_t offset, unsigned size) {
  const uint8_t pin = pins_.vector_at(offset);
  const uint32_t within = offset % 16;
  if (size == 16) return move_xmm(to, pin);
  if (size == 8 && within == 0)
    (void)a_.emit(hi::kIdVmovq, xmm(to), xmm(pin));
  else if (size == 8)
    (void)a_.emit(hi::kIdVpsrldq, xmm(to), xmm(pin), Imm(within));
  else
    (void)a_.emit(hi::kIdVinsertps, xmm(to), xmm(pin), xmm(pin), Imm(within / 4 << 6 | 0x0e));
}

void Emitter::store_vector_pin(uint32_t offset, unsigned size, uint8_t from) {
  const uint8_t pin = pins_.vector_at(offset);
  const uint32_t within = offset % 16;
  if (size == 16) return move_xmm(pin, from);
  if (size == 8)
    (void)a_.emit(within == 0 ? hi::kIdVmovsd : hi::kIdVmovlhps, xmm(pin), xmm(pin), xmm(from));
  else
    (void)a_.emit(hi::kIdVinsertps, xmm(pin), xmm(pin), xmm(from), Imm(within / 4 << 4));
}

void Emitter::get_part_of_vector_pin(const ir::Inst& inst) {
  const auto offset = static_cast<uint32_t>(inst.imm);
  const Xmm pin = xmm(pins_.vector_at(offset));
  const uint8_t to = def_gpr();
  const unsigned size = ir::byte_size(inst.type);
  const Imm lane(offset % 16 / size);
  if (lane.value() == 0 && size >= 4)
    (void)a_.emit(size == 8 ? hi::kIdVmovq : hi::kIdVmovd, size == 8 ? gp64(to) : gp32(to), pin);
  else if (size == 8)
    (void)a_.emit(hi::kIdVpextrq, gp64(to), pin, lane);
  else
    (void)a_.emit(size == 4   ? hi::kIdVpextrd
                  : size == 2 ? hi::kIdVpextrw
                              : hi::kIdVpextrb,
                  gp32(to), pin, lane);
  if (inst.type != Type::I1) return;
  (void)a_.and_(gp32(to), 1);
  no_flags();
}

void Emitter::set_part_of_vector_pin(uint32_t offset, Type type, uint8_t from) {
  const Xmm pin = xmm(pins_.vector_at(offset));
  const unsigned size = ir::byte_size(type);
  const Imm lane(offset % 16 / size);
  if (size == 8)
    (void)a_.emit(hi::kIdVpinsrq, pin, pin, gp64(from), lane);
  else
    (void)a_.emit(size == 4   ? hi::kIdVpinsrd
                  : size == 2 ? hi::kIdVpinsrw
                              : hi::kIdVpinsrb,
                  pin, pin, gp32(from), lane);
}

void Emitter::vector_pins_to_memory(uint32_t offset, uint32_t size) {
  for (uint32_t at = offset & ~15u; at < offset + size; at += 16)
    if (const uint8_t pin = pins_.vector_at(at)) (void)a_.emit(hi::kIdVmovups, state_mem(at, 16), xmm(pin));
}

void Emitter::vector_pins_from_memory(uint32_t offset, uint32_t size) {
  for (uint32_t at = offset & ~15u; at < offset + size; at += 16)
    if (const uint8_t pin = pins_.vector_at(at)) (void)a_.emit(hi::kIdVmovups, xmm(pin), state_mem(at, 16));
}

/// Only values of the class Xmm have their home there: others are read at once.
void Emitter::get_from_vector_pins(const ir::Inst& inst) {
  const auto offset = static_cast<uint32_t>(inst.imm);
  switch (class_of(inst.type)) {
    case ValueClass::Gpr:
      return get_part_of_vector_pin(inst);
    case ValueClass::Xmm:
      touch(now_);
      return set_home(now_, Home::State, offset);
    default:
      vector_pins_to_memory(offset, ir::byte_size(inst.type));
      return define_from_memory(state_mem(offset));
  }
}

void Emitter::set_vector_pins(ValueId value, uint32_t offset) {
  const ValueId id = root(value);
  const Type type = type_of(value);
  const uint32_t size = ir::byte_size(type);
  touch(id);
  if (is_home(id, offset, size)) return;
  switch (class_of(type)) {
    case ValueClass::Gpr: {
      const uint8_t reg = type == Type::I1 ? use_clean(value) : use_gpr(value);
      lose_state(offset, size);
      return set_part_of_vector_pin(offset, type, reg);
    }
    case ValueClass::Xmm: {
      const uint8_t reg = use_xmm(value);
      lose_state(offset, size);
      store_vector_pin(offset, size, reg);
      return make_home(value, offset);
    }
    default:
      vector_pins_to_memory(offset, size);
      store_to_state(value, offset);
      return vector_pins_from_memory(offset, size);
  }
}

}  // namespace lyrebird::jit::baseline
