// SPDX-License-Identifier: Apache-2.0
#include "ir/verify.h"

#include <algorithm>
#include <cstddef>

#include "ir/cpu_header.h"
#include "ir/print.h"
#include "ir/typing.h"

namespace lyrebird::ir {
namespace {

/// The state before the instruction must be in place when the op leaves the block.
bool needs_precise_state(const Inst& inst, uint16_t effects) {
  if (effects & Faults) return true;
  if (inst.op != Op::RaiseIf && inst.op != Op::Raise) return false;
  switch (static_cast<ExitKind>(inst.aux)) {
    case ExitKind::Undefined:
    case ExitKind::Breakpoint:
    case ExitKind::MemoryFault:
    case ExitKind::Unaligned:
    case ExitKind::ArithmeticTrap:
    case ExitKind::AuthFailure:
    case ExitKind::ProtectionFault:
    case ExitKind::StackFault:
    case ExitKind::SegmentAbsent:
    case ExitKind::SystemTrap:
      return true;
    default:
      return false;
  }
}

class Verifier {
 public:
  Verifier(const Block& block, const TextContext& context) : block_(block), context_(context) {}

  Result<void> run() {
    if (block_.insts.empty()) return Error{where() + "the block is empty"};
    for (ValueId id = 0; id < block_.insts.size(); ++id) {
      if (const char* error = check(id)) return Error{where() + print_safely(id) + ": " + error};
    }
    return {};
  }

 private:
  std::string where() const {
    std::string text = "block ";
    Block header;
    header.key = block_.key;
    const std::string line = print(header);
    return text + line.substr(6, line.find(' ', 6) - 6) + ": ";
  }
  /// An instruction that is broken enough may not be printable.
  std::string print_safely(ValueId id) const {
    if (static_cast<unsigned>(block_.insts[id].op) >= kOpCount) return "instruction " + std::to_string(id);
    return "'" + print(block_, id, context_) + "'";
  }

  const char* check(ValueId id) {
    const Inst& inst = block_.insts[id];
    if (static_cast<unsigned>(inst.op) >= kOpCount) return "no such op";
    if (static_cast<unsigned>(inst.type) >= kTypeCount || static_cast<unsigned>(inst.elem) >= kTypeCount)
      return "no such type";
    const bool last = id + 1 == block_.insts.size();
    const bool terminal = (info(inst.op).effects & Terminal) != 0;
    if (terminal && !last) return "a terminal must be the last instruction";
    if (last && !terminal) return "the last instruction must be a terminal";

    Type types[4] = {};
    if (const char* error = operands(id, types)) return error;
    if (const char* error = type_error(inst, types, context_.helpers)) return error;
    if (inst.op == Op::GetState || inst.op == Op::SetState)
      if (const char* error = state(inst)) return error;
    return order(inst);
  }

  const char* operands(ValueId id, Type* types) const {
    const Inst& inst = block_.insts[id];
    const unsigned count = arg_count(inst);
    for (unsigned i = 0; i < 4; ++i) {
      if (inst.has_high() && i >= 2) break;
      const ValueId arg = inst.args[i];
      if (i >= count) {
        if (arg != kNoValue) return "has an operand too many";
        continue;
      }
      if (arg >= id) return arg == kNoValue ? "lacks an operand" : "an operand comes later";
      if (!text::has_result(block_.insts[arg])) return "an operand has no result";
      types[i] = block_.insts[arg].type;
    }
    return nullptr;
  }

  /// A part of one field at a multiple of its own size, or whole fields.
  const char* state(const Inst& inst) const {
    if (!context_.layout) return nullptr;
    const auto fields = context_.layout->fields;
    const uint64_t size = byte_size(inst.type), start = inst.imm, end = start + size;
    if (start >= context_.layout->size || end > context_.layout->size) return "lies outside the state";
    const auto first = std::find_if(fields.begin(), fields.end(), [&](const StateField& f) {
      return start < f.offset + uint64_t{byte_size(f.type)};
    });
    if (first == fields.end() || start < first->offset) return "the layout has no such field";
    const uint64_t first_end = first->offset + uint64_t{byte_size(first->type)};
    if (end <= first_end)
      return (start - first->offset) % size == 0 ? nullptr : "is not at a multiple of its size in the field";
    if (start != first->offset) return "covers fields in part";
    uint64_t covered = start;
    for (auto f = first; f != fields.end() && covered < end; ++f) {
      if (f->offset != covered) return "covers a gap in the layout";
      covered += byte_size(f->type);
    }
    return covered == end ? nullptr : "covers fields in part";
  }

  const char* order(const Inst& inst) {
    const uint16_t effect = effects(inst, context_.helpers);
    if (inst.op == Op::Insn) {
      in_insn_ = true;
      state_changed_ = false;
      return nullptr;
    }
    const bool needs_pc = (effect & Faults) || inst.op == Op::Raise || inst.op == Op::RaiseIf;
    if (needs_pc && !in_insn_) return "may fault, but no insn comes before it";
    if (state_changed_ && needs_precise_state(inst, effect))
      return "may fault after its guest instruction has changed the state";
    if (writes_state(inst, effect)) state_changed_ = true;
    return nullptr;
  }

  /// Exclusive-monitor ops do too, but a guest cannot see that.
  static bool writes_state(const Inst& inst, uint16_t effect) {
    if (inst.op == Op::SetState) return !describes_fault(inst);
    return inst.op == Op::SetFpFlags || (inst.op == Op::CallHelper && (effect & WritesState));
  }
  /// CpuHeader::fault_* is no state of the guest: the instruction says there why it raises.
  static bool describes_fault(const Inst& set_state) {
    return set_state.imm >= offsetof(CpuHeader, fault_address) &&
           set_state.imm < offsetof(CpuHeader, exclusive_size);
  }

  const Block& block_;
  const TextContext& context_;
  bool in_insn_ = false, state_changed_ = false;
};

}  // namespace

Result<void> verify(const Block& block, const TextContext& context) { return Verifier(block, context).run(); }

}  // namespace lyrebird::ir
