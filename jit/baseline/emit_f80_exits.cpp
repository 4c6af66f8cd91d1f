// SPDX-License-Identifier: Apache-2.0
// Leaving a block while fields of the state are on the host's x87: side exits store them out of line, and
// a block that jumps to itself leaves what the next round wants where it is.
#include <algorithm>
#include <bit>
#include <utility>

#include "ir/cpu_header.h"
#include "jit/baseline/emitter.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::kNoValue;
using ir::Op;
using ir::Type;
using ir::ValueId;
using Cc = x86::CondCode;

// --- side exits

Emitter::F80Exit Emitter::f80_exit(unsigned exit) {
  F80Exit f{.from = a_.newLabel(), .exit = exit, .control = f80_control_};
  for (size_t k = 0; k < f80_stack_.size(); ++k)
    for (unsigned field = 0; field < pins_.f80.size(); ++field)
      if (f80_stack_[k] != kNoValue && f80_dirty_[field] == f80_stack_[k])
        f.fields[k] |= static_cast<uint8_t>(1u << field);
  f.count = static_cast<uint8_t>(f80_stack_.size());
  return f;
}

/// Stores what is on the host's stack; the host's flags stay.
void Emitter::leave_f80(const F80Exit& f) {
  for (unsigned k = f.count; k-- > 0;) {
    unsigned fields = f.fields[k];
    if (fields == 0) (void)a_.fstp(x86::st(0));
    for (; fields != 0; fields &= fields - 1) {
      const Mem home = state_mem(pins_.f80[static_cast<unsigned>(std::countr_zero(fields))], 10);
      (void)a_.fstp(home);
      if (fields & (fields - 1)) (void)a_.fld(home);
    }
  }
  const uint16_t control = std::exchange(f80_control_, f.control);
  set_f80_control(kF80DefaultControl);
  f80_control_ = control;
}

/// A side exit, with nothing to do for who does not take it.
void Emitter::leave_if(Cc cc, const ExitPlan& plan) {
  const unsigned exit = add_exit(plan);
  if (f80_stack_.empty() && f80_control_ == kF80DefaultControl) return jump_exit_if(cc, exit);
  f80_exits_.push_back(f80_exit(exit));
  (void)a_.j(cc, f80_exits_.back().from);
}

void Emitter::emit_f80_exits() {
  for (const F80Exit& f : f80_exits_) {
    (void)a_.bind(f.from);
    leave_f80(f);
    jump_exit(f.exit);
  }
}

// --- loops

bool Emitter::is_f80_loop(uint64_t pc) const {
  return f80_loop_.start != 0 && pc == block_->key.pc && mode_known_ && mode_ == block_->key.mode;
}

/// The first access to the field, if that reads all of it and the block writes it afterwards, too.
ValueId Emitter::carried_f80(uint32_t offset) const {
  ValueId read = kNoValue;
  for (ValueId i = 0; i < block_->insts.size(); ++i) {
    const ir::Inst& inst = insts_[i];
    if (inst.op != Op::GetState && inst.op != Op::SetState && inst.op != Op::ForgetState) continue;
    const uint64_t size = inst.op == Op::ForgetState ? 10 : ir::byte_size(inst.type);
    if (inst.imm >= offset + 10 || inst.imm + size <= offset) continue;
    const bool whole = inst.imm == offset && inst.type == Type::F80;
    if (read == kNoValue) {
      if (inst.op != Op::GetState || !whole || !plan_[i].needed || plan_[i].root != i) return kNoValue;
      read = i;
    } else if (inst.op == Op::SetState) {
      return whole ? read : kNoValue;
    }
  }
  return kNoValue;
}

/// At the start: loads the fields that a round hands on to the next, if the block is such a loop.
void Emitter::start_f80_loop() {
  f80_loop_.fields.clear();
  f80_loop_.ids.clear();
  f80_loop_.start = 0;
  f80_loop_.control = kF80DefaultControl;
  const ir::Inst& last = block_->insts.back();
  const uint64_t self = block_->key.pc;
  const bool loops = (last.op == Op::Jump && last.imm == self) ||
                     (last.op == Op::Branch && (last.imm == self || last.high() == self));
  if (!loops || !options_.loops || options_.system) return;
  for (const ir::Inst& inst : block_->insts)
    if (inst.op == Op::CallHelper) return;
  for (unsigned field = 0; field < pins_.f80.size() && f80_loop_.fields.size() < kMostCarried; ++field) {
    const ValueId id = carried_f80(pins_.f80[field]);
    if (id == kNoValue) continue;
    (void)a_.fld(state_mem(pins_.f80[field], 10));
    locs_[id] = {};
    f80_stack_.push_back(id);
    f80_dirty_[field] = id;  // what the state has is old from the second round on
    f80_loop_.fields.push_back(static_cast<uint8_t>(field));
    f80_loop_.ids.push_back(id);
  }
  if (f80_loop_.fields.empty()) return;
  for (const ir::Inst& inst : block_->insts)
    if (inst.op >= Op::FAdd && inst.op <= Op::FSqrt && inst.type == Type::F80 && is_native_f80(inst)) {
      set_f80_precision(inst);
      break;
    }
  f80_loop_.control = f80_control_;
  f80_loop_.start = static_cast<uint32_t>(a_.offset());
}

/// The next round, with the stack as the first one found it. Flags are in the state.
void Emitter::emit_f80_round() {
  if (delays()) store_status();
  order_f80_for_round();
  set_f80_control(f80_loop_.control);
  const F80Exit stop = f80_exit(add_exit(jump_to(block_->key.pc)));
  if (notes_flags_) (void)a_.mov(x86::ecx, 1);
  compare_requests();
  a_.set_target(a_.jump_long_if(Cc::kE), f80_loop_.start);
  leave_f80(stop);
  to_stub(stop.exit);
}

/// The host's stack has the fields of f80_loop_, in its order, and nothing else.
void Emitter::order_f80_for_round() {
  const auto& wanted = f80_loop_.fields;
  std::vector<uint8_t> has;  // field of each entry of the stack
  for (unsigned f = 0; f < pins_.f80.size(); ++f) {
    if (f80_dirty_[f] == kNoValue || std::find(wanted.begin(), wanted.end(), f) != wanted.end()) continue;
    f80_exchange(static_cast<unsigned>(depth_of(f80_dirty_[f])));
    (void)a_.fstp(state_mem(pins_.f80[f], 10));
    (void)a_.fld(state_mem(pins_.f80[f], 10));
    f80_dirty_[f] = kNoValue;
  }
  const auto field_of = [&](ValueId id) {
    const auto at =
        std::find_if(wanted.begin(), wanted.end(), [&](uint8_t f) { return f80_dirty_[f] == id; });
    return id == kNoValue || at == wanted.end() ? -1 : static_cast<int>(*at);
  };
  for (size_t k = f80_stack_.size(); k-- > 0;)
    if (field_of(f80_stack_[k]) < 0) f80_discard(static_cast<unsigned>(f80_stack_.size() - 1 - k));
  for (const ValueId id : f80_stack_) has.push_back(static_cast<uint8_t>(field_of(id)));
  for (const uint8_t f : wanted) {
    if (std::find(has.begin(), has.end(), f) != has.end()) continue;
    if (f80_dirty_[f] != kNoValue)
      (void)a_.fld(x86::st(static_cast<uint32_t>(depth_of(f80_dirty_[f]))));
    else
      (void)a_.fld(state_mem(pins_.f80[f], 10));
    has.push_back(f);
    f80_stack_.push_back(kNoValue);
  }
  // Each exchange brings the top to its place; if it is in its place, another entry that is not.
  const size_t top = has.size() - 1;
  for (;;) {
    size_t place = static_cast<size_t>(std::find(wanted.begin(), wanted.end(), has[top]) - wanted.begin());
    if (place == top) {
      place = 0;
      while (place < top && has[place] == wanted[place]) ++place;
      if (place == top) break;
    }
    (void)a_.fxch(x86::st(static_cast<uint32_t>(top - place)));
    std::swap(has[top], has[place]);
  }
  for (size_t k = 0; k < has.size(); ++k) f80_dirty_[wanted[k]] = f80_stack_[k] = f80_loop_.ids[k];
}

}  // namespace lyrebird::jit::baseline
