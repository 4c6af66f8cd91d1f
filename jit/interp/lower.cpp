// SPDX-License-Identifier: Apache-2.0
#include "jit/interp/lower.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "jit/interp/analysis.h"
#include "jit/interp/select.h"

namespace lyrebird::jit::interp {

using ir::Inst;
using ir::Op;
using ir::Type;
using ir::ValueId;

namespace {

[[noreturn]] void no_handler(const Inst& inst, const char* why) {
  std::fprintf(stderr, "lyrebird: the interpreter has no handler for %s.%s/%s (%s)\n",
               ir::info(inst.op).name.data(), ir::name(inst.type).data(), ir::name(inst.elem).data(), why);
  std::abort();
}

/// Frame slots of 8, 16 and 32 bytes, used again after the last use of their value.
class Slots {
 public:
  uint16_t take(unsigned size) {
    std::vector<uint16_t>& free = free_[index(size)];
    if (!free.empty()) {
      const uint16_t slot = free.back();
      free.pop_back();
      return slot;
    }
    const unsigned bytes = 8u << index(size);
    const unsigned start = (end_ + bytes - 1) & ~(bytes - 1);
    if (start + bytes > kFrameSize) {
      std::fprintf(stderr, "lyrebird: a block has more live values than the interpreter's frame holds\n");
      std::abort();
    }
    end_ = start + bytes;
    return static_cast<uint16_t>(start);
  }
  void give_back(uint16_t slot, unsigned size) { free_[index(size)].push_back(slot); }

 private:
  static unsigned index(unsigned size) { return size <= 8 ? 0 : size <= 16 ? 1 : 2; }
  std::vector<uint16_t> free_[3];
  unsigned end_ = kFirstSlot;
};

Place place_of(uint16_t operand) { return operand & kInState ? Place::State : Place::Frame; }

bool is_commutative(Op op) {
  return op == Op::Add || op == Op::Mul || op == Op::And || op == Op::Or || op == Op::Xor ||
         op == Op::CmpEq || op == Op::CmpNe || op == Op::CmpTest;
}

class Lowering {
 public:
  Lowering(const ir::Block& block, ir::HelperTable helpers, bool system)
      : block_(block),
        helpers_(helpers),
        system_(system),
        values_(block, helpers),
        slots_of_(block.insts.size(), kNone) {}

  std::vector<Code> run() {
    pc_ = after_ = block_.key.pc;
    code_.reserve(block_.insts.size());
    for (ValueId i = 0; i < block_.insts.size(); ++i) {
      id_ = i;
      lower(block_.insts[i]);
    }
    return std::move(code_);
  }

 private:
  static constexpr uint16_t kNone = 0xffff;

  void lower(const Inst& inst);
  void lower_get_state(const Inst& inst);
  void lower_set_state(const Inst& inst);
  void lower_fast(const Inst& inst);
  void lower_general(const Inst& inst);
  void lower_memory(const Inst& inst);
  void lower_helper(const Inst& inst);
  void lower_exit_if(uint64_t target);
  void lower_jump(uint64_t target);
  void lower_raise(const Inst& inst, bool conditional);

  const Inst& inst_of(ValueId id) const { return block_.insts[id]; }
  bool is_const(ValueId id) const { return inst_of(id).op == Op::Const; }

  /// The operand that reads the value, making a constant real if it must.
  uint16_t operand(ValueId id);
  uint16_t constant(ValueId id);
  /// Where the current instruction puts its result; call after all operand().
  uint16_t result();
  /// Frees the slots of values whose last use this was.
  void release();

  Code& emit(const Inst& inst, Handler handler) {
    if (!handler) no_handler(inst, "no such combination");
    code_.push_back({});
    code_.back().handler = handler;
    return code_.back();
  }

  const ir::Block& block_;
  ir::HelperTable helpers_;
  const bool system_;
  Analysis values_;
  std::vector<uint16_t> slots_of_;                     // of roots
  std::vector<std::pair<ValueId, uint16_t>> touched_;  // roots read by the current instruction
  Slots slots_;
  std::vector<Code> code_;
  ValueId id_ = 0;
  uint64_t pc_ = 0, after_ = 0;
};

uint16_t Lowering::constant(ValueId id) {
  const Inst& inst = inst_of(id);
  const unsigned width = ir::bit_width(inst.type);
  const uint64_t high = width > 64 ? inst.high() : 0;
  const uint64_t ones = low_mask(width < 64 ? width : 64);
  if (inst.imm == 0 && high == 0) return kZeroSlot;
  if (inst.imm == 1 && high == 0) return kOneSlot;
  // Only where nobody counts on zeros above the value.
  if (width >= 64 && inst.imm == ones && (width == 64 || high == ones)) return kOnesSlot;
  if (slots_of_[id] == kNone) {
    slots_of_[id] = slots_.take(ir::byte_size(inst.type));
    Code& code = emit(inst, select_set(width > 64 ? 16 : 8));
    code.d = slots_of_[id];
    code.imm = inst.imm;
    if (width > 64) code.high = high;
  }
  return slots_of_[id];
}

uint16_t Lowering::operand(ValueId id) {
  const ValueInfo& value = values_[id];
  const ValueInfo& root = values_[value.root];
  touched_.emplace_back(value.root, 0);
  uint32_t base;
  if (is_const(value.root))
    base = constant(value.root);
  else if (root.in_state)
    base = kInState + root.state_offset;
  else
    base = slots_of_[value.root];
  return static_cast<uint16_t>(base + value.delta);
}

void Lowering::release() {
  for (const auto& [root, unused] : touched_) {
    if (values_[root].last_use != id_ || slots_of_[root] == kNone) continue;
    slots_.give_back(slots_of_[root], ir::byte_size(inst_of(root).type));
    slots_of_[root] = kNone;
  }
  touched_.clear();
}

uint16_t Lowering::result() {
  release();
  const ValueInfo& value = values_[id_];
  if (value.in_state) return static_cast<uint16_t>(kInState + value.state_offset);
  const unsigned size = ir::byte_size(inst_of(id_).type);
  const uint16_t slot = slots_.take(size);
  if (value.last_use > id_)
    slots_of_[id_] = slot;
  else
    slots_.give_back(slot, size);
  return slot;
}

void Lowering::lower(const Inst& inst) {
  const ValueInfo& value = values_[id_];
  switch (inst.op) {
    case Op::Insn:
      pc_ = inst.imm;
      after_ = pc_ + inst.aux;
      return;
    case Op::Const:
      return;
    case Op::SetState:
      return lower_set_state(inst);
    case Op::Load:
    case Op::Store:
    case Op::AtomicAdd:
    case Op::AtomicAndNot:
    case Op::AtomicOr:
    case Op::AtomicXor:
    case Op::AtomicMinS:
    case Op::AtomicMaxS:
    case Op::AtomicMinU:
    case Op::AtomicMaxU:
    case Op::AtomicSwap:
    case Op::CompareSwap:
    case Op::LoadExclusive:
    case Op::StoreExclusive:
      return lower_memory(inst);
    case Op::ClearExclusive:
      emit(inst, clear_exclusive());
      return;
    case Op::Fence:
      emit(inst, select_fence(inst.aux));
      return;
    case Op::ExitIf:
      return lower_exit_if(inst.imm);
    case Op::RaiseIf:
      return lower_raise(inst, true);
    case Op::Jump:
      return lower_jump(inst.imm);
    case Op::Branch:
      lower_exit_if(inst.imm);
      return lower_jump(inst.high());
    case Op::JumpIndirect: {
      const uint16_t a = operand(inst.args[0]);
      release();
      emit(inst, jump_indirect()).a = a;
      return;
    }
    case Op::Raise:
      return lower_raise(inst, false);
    default:
      break;
  }
  if (!value.needed || value.root != id_) return;
  if (inst.op == Op::GetState) return lower_get_state(inst);
  if (inst.op == Op::CallHelper) return lower_helper(inst);
  if (!ir::is_vector(inst.type) && has_fast(inst.op, inst.elem)) return lower_fast(inst);
  lower_general(inst);
}

void Lowering::lower_get_state(const Inst& inst) {
  if (values_[id_].in_state) return;
  const unsigned size = ir::byte_size(inst.type);
  Code& code = emit(inst, select_copy(inst.type, stored_bytes(inst.type) > size));
  code.a = static_cast<uint16_t>(kInState + inst.imm);
  code.d = result();
}

void Lowering::lower_set_state(const Inst& inst) {
  if (values_.hoisted(id_)) return;
  const ValueId value = inst.args[0];
  const unsigned size = ir::byte_size(inst.type);
  const uint16_t d = static_cast<uint16_t>(kInState + inst.imm);
  if (inst.imm + size > kInState) no_handler(inst, "the state is too large");
  if (is_const(value) && size <= 16 && size != 10) {
    touched_.emplace_back(value, 0);
    Code& code = emit(inst, select_set(size));
    code.d = d;
    code.imm = inst_of(value).imm;
    if (size == 16) code.high = inst_of(value).high();
    return release();
  }
  const uint16_t a = operand(value);
  release();
  if (a == d) return;
  Code& code = emit(inst, select_copy(inst.type, false));
  code.a = a;
  code.d = d;
}

void Lowering::lower_fast(const Inst& inst) {
  ValueId a = inst.args[0], b = inst.args[1];
  if (is_const(a) && is_commutative(inst.op)) std::swap(a, b);
  const uint16_t first = operand(a);
  Place b_place = Place::Imm;
  uint16_t second = 0;
  // Shift handlers with an immediate may assume that it is smaller than the lane.
  const bool big_shift =
      inst.op >= Op::Shl && inst.op <= Op::ShrS && is_const(b) && inst_of(b).imm >= ir::bit_width(inst.elem);
  if (!is_const(b) || big_shift) {
    second = operand(b);
    b_place = place_of(second);
  } else {
    touched_.emplace_back(b, 0);
  }
  const uint16_t d = result();
  Code& code = emit(inst, select_fast(inst.op, inst.elem, place_of(d), place_of(first), b_place));
  code.d = d;
  code.a = first;
  code.b = second;
  code.imm = b_place == Place::Imm ? inst_of(b).imm : 0;
}

void Lowering::lower_general(const Inst& inst) {
  const unsigned count = ir::arg_count(inst);
  uint16_t operands[3] = {};
  for (unsigned k = 0; k < count; ++k) operands[k] = operand(inst.args[k]);
  const Type operand_type = count ? inst_of(inst.args[0]).type : Type::None;
  const uint16_t d = inst.type == Type::None ? uint16_t{0} : result();
  if (inst.type == Type::None) release();
  Code& code = emit(inst, select_general(inst, operand_type));
  code.d = d;
  code.a = operands[0];
  code.b = operands[1];
  code.c = operands[2];
  code.imm = inst.imm;
  code.aux = inst.aux;
}

void Lowering::lower_memory(const Inst& inst) {
  const Address address = values_.address(inst.args[0]);
  uint16_t operands[3] = {};
  operands[0] = operand(address.base);
  for (unsigned k = 1; k < ir::arg_count(inst); ++k) operands[k] = operand(inst.args[k]);
  const bool has_result = inst.op != Op::Store;
  const uint16_t d = has_result ? result() : uint16_t{0};
  if (!has_result) release();
  const Place value = place_of(has_result ? d : operands[1]);
  Code& code =
      emit(inst, system_ ? select_system_memory(inst) : select_memory(inst, place_of(operands[0]), value));
  code.d = d;
  code.a = operands[0];
  code.b = operands[1];
  code.c = operands[2];
  code.imm = pc_;
  code.extra = address.displacement;
  code.aux = (inst.aux & 0xffffff) | ((ir::info(inst.op).effects & ir::Writes) ? kMemWrites : 0) |
             (inst.type == Type::I8 ? kMemByteResult : 0);
}

void Lowering::lower_helper(const Inst& inst) {
  const ir::HelperInfo& helper = helpers_[inst.aux];
  uint16_t operands[4] = {};
  std::vector<uint16_t> widened;
  for (unsigned k = 0; k < ir::arg_count(inst); ++k) {
    const ValueId arg = inst.args[k];
    operands[k] = operand(arg);
    if (values_[arg].clean >= 8) continue;
    // Arguments are whole words.
    const Type type = inst_of(arg).type;
    const Inst widen{.op = Op::ZExt, .type = Type::I64, .elem = type};
    Code& code = emit(widen, select_general(widen, type));
    code.a = operands[k];
    code.d = operands[k] = slots_.take(8);
    widened.push_back(operands[k]);
  }
  const uint16_t d = inst.type == Type::None ? slots_.take(8) : result();
  if (inst.type == Type::None) {
    release();
    slots_.give_back(d, 8);
  }
  for (const uint16_t slot : widened) slots_.give_back(slot, 8);
  Code& code = emit(inst, call_helper());
  code.imm = reinterpret_cast<uint64_t>(helper.fn);
  code.d = d;
  code.a = operands[0];
  code.b = operands[1];
  code.c = operands[2];
  code.aux = operands[3];
  Code& more = emit(inst, call_helper());  // never run
  more.imm = pc_;
  more.aux = kMemHelper | kMemWrites;
  // I1 and I8 results are one byte; the mask also makes an I1 of any odd number.
  more.d = static_cast<uint16_t>(ir::bit_width(inst.type));
}

void Lowering::lower_exit_if(uint64_t target) {
  const Inst& inst = inst_of(id_);
  const Condition condition = values_.condition(id_);
  Handler handler;
  uint16_t a, b = 0;
  int32_t extra = 0;
  if (condition.fused) {
    const Inst& compare = inst_of(condition.value);
    const ValueId x = compare.args[0], y = compare.args[1];
    a = operand(x);
    const uint64_t imm = inst_of(y).imm;
    const bool fits =
        is_const(y) && sign_extend(imm, ir::bit_width(compare.elem)) == static_cast<int32_t>(imm);
    if (fits) {
      touched_.emplace_back(y, 0);
      extra = static_cast<int32_t>(imm);
    } else {
      b = operand(y);
    }
    handler = select_compare_exit(compare.op, compare.elem, place_of(a), fits ? Place::Imm : place_of(b),
                                  condition.sense);
  } else {
    a = operand(condition.value);
    handler = select_exit_if(place_of(a), condition.sense);
  }
  release();
  Code& code = emit(inst, handler);
  code.a = a;
  code.b = b;
  code.d = static_cast<uint16_t>(jump_cache_index(target));
  code.imm = target;
  code.extra = extra;
}

void Lowering::lower_jump(uint64_t target) {
  Code& code = emit(inst_of(id_), jump());
  code.imm = target;
  code.d = static_cast<uint16_t>(jump_cache_index(target));
}

void Lowering::lower_raise(const Inst& inst, bool conditional) {
  const auto kind = static_cast<ir::ExitKind>(inst.aux);
  const bool after = ir::pc_is_after(kind);
  uint16_t a = 0;
  bool sense = true;
  if (conditional) {
    const Condition condition = values_.condition(id_);
    a = operand(condition.value);
    sense = condition.sense;
  }
  release();
  Code& code = emit(inst, conditional ? raise_if() : raise());
  code.a = a;
  code.b = sense;
  code.d = static_cast<uint16_t>(kind);
  code.imm = inst.imm;
  code.high = after ? after_ : pc_;
}

}  // namespace

std::vector<Code> lower(const ir::Block& block, ir::HelperTable helpers, bool system) {
  return Lowering(block, helpers, system).run();
}

}  // namespace lyrebird::jit::interp
