// SPDX-License-Identifier: Apache-2.0
// Whatever has no code of its own: the interpreter's handler for the op is called on a
// record that lies behind the block's code.
#include "ir/cpu_header.h"
#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"
#include "jit/baseline/runtime.h"
#include "jit/interp/select.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::kNoValue;
using ir::Op;
using ir::Type;
using ir::ValueId;

Label Emitter::add_record(const interp::Code* codes, unsigned count, bool helper, int pc_at) {
  Record record{.label = a_.newLabel(), .codes = {}, .count = count + 1, .helper = helper, .pc_at = pc_at};
  for (unsigned i = 0; i < count; ++i) record.codes[i] = codes[i];
  record.codes[count].handler = return_handler();
  records_.push_back(record);
  return record.label;
}

void Emitter::call_record(Label record, Thunk thunk) {
  // rax belongs to the thunk's caller: it is saved in the frame, not by the thunk.
  (void)a_.mov(frame_mem(kFrameSaveGpr, 8), x86::rax);
  (void)a_.lea(x86::rax, x86::ptr(record));
  (void)a_.call(frame_mem(kFrameThunks + 8 * static_cast<uint32_t>(thunk), 8));
}

void Emitter::emit_record(const ir::Inst& inst) {
  const unsigned count = ir::arg_count(inst);
  const Type operand_type = count ? type_of(inst.args[0]) : Type::None;
  // Views of large values, which the interpreter never copies.
  const unsigned size = ir::byte_size(inst.type);
  if (inst.op == Op::Resize && size <= ir::byte_size(operand_type))
    return define_from_memory(use_mem(inst.args[0]));
  if (inst.op == Op::HalfHi) return define_from_memory(use_mem(inst.args[0]).cloneAdjusted(size));
  if (inst.op == Op::ExtractLane)
    return define_from_memory(use_mem(inst.args[0]).cloneAdjusted(static_cast<int64_t>(inst.imm * size)));
  const interp::Handler handler = interp::select_general(inst, operand_type);
  if (!handler) {
    failed_ = true;
    return;
  }
  // The handler computes it on the host's x87, too.
  if (inst.op == Op::FFunction) flush_f80();
  uint16_t operands[3] = {};
  for (unsigned k = 0; k < count; ++k) operands[k] = use_operand(inst.args[k]);
  const bool has_result = inst.type != Type::None;
  const uint32_t slot = has_result ? take_slot(slot_size(inst.type)) : kFrameScratch;
  interp::Code code;
  code.handler = handler;
  code.d = static_cast<uint16_t>(slot);
  code.a = operands[0];
  code.b = operands[1];
  code.c = operands[2];
  code.imm = inst.imm;
  code.aux = inst.aux;
  const bool all = inst.op == Op::GetFpFlags || inst.op == Op::SetFpFlags;
  const bool floats = (ir::info(inst.op).effects & ir::FpFlags) != 0;
  call_record(add_record(&code, 1), all ? Thunk::Full : floats ? Thunk::Float : Thunk::Int);
  no_flags();
  if (!has_result) return;
  if (class_of(inst.type) == ValueClass::Memory) {
    touch(now_);
    set_home(now_, Home::Slot, slot);
    return;
  }
  instruction_slots_.emplace_back(slot, slot_size(inst.type));
  define_from_memory(frame_mem(slot));
}

void Emitter::emit_helper(const ir::Inst& inst) {
  const ir::HelperInfo& helper = helpers_[inst.aux];
  const uint16_t effects = ir::effects(inst, helpers_);
  flush_f80();
  uint16_t operands[4] = {};
  for (unsigned k = 0; k < ir::arg_count(inst); ++k) {
    const ValueId arg = inst.args[k];
    if (at(root(arg)).op == Op::Const) {
      operands[k] = use_operand(arg);
      continue;
    }
    // Arguments are whole words.
    const uint8_t reg = use_clean(arg);
    const uint32_t slot = take_slot(8);
    instruction_slots_.emplace_back(slot, 8);
    (void)a_.mov(frame_mem(slot, 8), gp64(reg));
    operands[k] = static_cast<uint16_t>(slot);
  }
  if (effects & ir::WritesState) {
    for (const Pin& pin : pins_.pins) move_aliases_away(pin.reg);
    lose_state(0, ~uint32_t{0} / 2);
    mode_known_ = false;
  }
  const uint32_t slot = take_slot(8);
  instruction_slots_.emplace_back(slot, 8);
  interp::Code codes[2];
  codes[0].handler = interp::call_helper();
  codes[0].imm = reinterpret_cast<uint64_t>(helper.fn);
  codes[0].d = static_cast<uint16_t>(slot);
  codes[0].a = operands[0];
  codes[0].b = operands[1];
  codes[0].c = operands[2];
  codes[0].aux = operands[3];
  codes[1].handler = interp::call_helper();  // never run
  codes[1].imm = pc_;
  codes[1].aux = interp::kMemHelper | interp::kMemWrites;
  codes[1].d = static_cast<uint16_t>(ir::bit_width(inst.type));
  call_record(add_record(codes, 2, true, 1), Thunk::Full);
  no_flags();
  if (inst.type != Type::None) define_from_memory(frame_mem(slot));
}

void Emitter::emit_cold(const Cold& cold) {
  if (cold.kind == Cold::Kind::System)
    emit_cold_system(cold);
  else if (cold.kind == Cold::Kind::Memory)
    emit_cold_memory(cold);
  else if (cold.kind == Cold::Kind::Divide)
    emit_cold_divide(cold);
  else if (cold.kind == Cold::Kind::Flags)
    emit_cold_flags(cold);
  else if (cold.kind == Cold::Kind::Masked)
    emit_cold_masked(cold);
  else
    emit_cold_float(cold);
}

}  // namespace lyrebird::jit::baseline
