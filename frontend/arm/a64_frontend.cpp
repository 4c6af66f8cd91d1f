// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64_frontend.h"

#include <algorithm>

#include "base/bits.h"
#include "frontend/arm/a64/helpers.h"
#include "frontend/arm/a64/lifter.h"
#include "frontend/arm/a64/privileged.h"
#include "frontend/arm/a64/translate.h"
#include "frontend/arm/system/decode_traps.h"
#include "frontend/arm/system/system_mode.h"

namespace lyrebird::arm {
namespace {

using a64::LiftContext;

constexpr uint64_t kPageSize = 4096;
constexpr unsigned kSideExits = 6;   ///< branches that a block goes on behind
constexpr unsigned kShortRun = 10;   ///< guest instructions up to the next branch, where it does
constexpr size_t kUsualInsts = 256;  ///< of IR in a block; longer ones grow

/// The row for the word if the CPU has its feature.
const a64::Row* row_for(const CpuModel& cpu, uint32_t word) {
  const a64::Row* row = a64::find_row(word);
  return row && cpu.features.has(row->feature) ? row : nullptr;
}

bool at_breakpoint(const frontend::TranslateRequest& request, uint64_t pc) {
  const uint64_t* end = request.breakpoints + request.breakpoint_count;
  return std::binary_search(request.breakpoints, end, pc);
}

void set_header(LiftContext& context, size_t field, ir::Type type, uint64_t value) {
  const auto offset = static_cast<uint32_t>(offsetof(A64State, header) + field);
  context.ir.SetState(offset, context.ir.Const(type, value));
}

/// The guest's words from `start` on, read some at a time: a word for itself costs more than its lifting.
class Window {
 public:
  Window(const frontend::TranslateRequest& request, uint64_t page_end)
      : code_(*request.code),
        end_(std::min(page_end, request.key.pc + 4 * uint64_t{request.max_instructions})) {}

  /// The word at pc, which grows from call to call; false if there is no executable memory.
  bool read(uint64_t pc, uint32_t& word) {
    if (pc - start_ >= size_ && !fill(pc)) return false;
    word = words_[(pc - start_) / 4];
    return true;
  }

 private:
  bool fill(uint64_t pc) {
    start_ = pc;
    size_ = std::max<uint64_t>(4, std::min<uint64_t>(sizeof words_, end_ - pc));
    if (code_.fetch(pc, words_, static_cast<unsigned>(size_))) return true;
    size_ = code_.fetch(pc, words_, 4) ? 4 : 0;
    return size_ != 0;
  }

  frontend::CodeSource& code_;
  const uint64_t end_;
  uint64_t start_ = 0, size_ = 0;
  uint32_t words_[8];
};

/// B.cond, CBZ, CBNZ, TBZ or TBNZ (DDI 0487, C4.1.93) to a higher address.
bool is_branch_ahead(uint32_t word) {
  const bool conditional = (word & 0xff000010) == 0x54000000, compare = (word & 0x7e000000) == 0x34000000,
             test = (word & 0x7e000000) == 0x36000000;
  return (conditional || compare || test) && !bit(word, test ? 18 : 23);
}

/// Of the encodings with branches and exceptions (DDI 0487, C4.1).
bool is_branch(uint32_t word) { return bits(word, 26, 3) == 5; }

/// Whether what follows the branch at context.pc, if it is not taken, becomes part of the block: only where
/// it soon comes to a branch, since who comes from elsewhere has it translated again.
bool goes_on(Window& code, const LiftContext& context, unsigned exits) {
  if (context.system || exits == kSideExits || !is_branch_ahead(context.word)) return false;
  uint32_t word = 0;
  for (uint64_t pc = context.pc + 4; pc <= context.pc + 4 * kShortRun; pc += 4) {
    if (pc % kPageSize == 0 || !code.read(pc, word)) return false;
    if (is_branch(word)) return true;
  }
  return false;
}

/// Lifts the instruction at context.pc; false when the block has ended.
bool lift_one(Window& code, LiftContext& context, unsigned& exits) {
  if ((context.pc & 3) != 0) {
    set_header(context, offsetof(ir::CpuHeader, fault_address), ir::Type::I64, context.pc);
    context.ir.Insn(context.pc, 4);
    context.ir.Raise(ir::ExitKind::Unaligned);
    return false;
  }
  if (!code.read(context.pc, context.word)) {
    context.ir.Raise(ir::ExitKind::FetchFault, context.pc);
    return false;
  }
  if (context.system && (context.mode & kModeFpTrap) &&
      (uses_fp(context.word) || uses_fp_control(context.word))) {
    context.ir.Raise(ir::ExitKind::Undefined, context.word);
    return false;
  }
  context.goes_on = goes_on(code, context, exits);
  exits += context.goes_on;
  if (const a64::Row* row = row_for(context.cpu, context.word)) return row->lift(context, context.word);
  context.ir.Raise(ir::ExitKind::Undefined, context.word);
  return false;
}

/// Whether the instruction may follow an indirect branch that set PSTATE.BTYPE so, in a guarded
/// page (DDI 0487, BTypeCompatible_BTI and _PACIXSP with SCTLR_EL1.BT0 = 1 as Linux sets it).
bool is_landing_pad(uint32_t word, unsigned btype) {
  switch (word) {
    case 0xd503233f:  // paciasp
    case 0xd503237f:  // pacibsp
    case 0xd503245f:  // bti c
      return btype != 3;
    case 0xd503249f:  // bti j
      return btype != 2;
    case 0xd50324df:  // bti jc
      return true;
    default: {
      const uint32_t exception = word & 0xffe0001f;
      return exception == 0xd4200000 || exception == 0xd4400000;  // brk, hlt
    }
  }
}

/// Checks the entry of a block that an indirect branch led to; false when the block has ended.
bool check_branch_target(const frontend::TranslateRequest& request, LiftContext& context) {
  const unsigned btype = (context.mode & kModeBtypeMask) >> kModeBtypeShift;
  if (btype == 0) return true;
  uint32_t word = 0;
  if (context.guarded_page && request.code->fetch(context.pc, &word, 4) && !is_landing_pad(word, btype)) {
    context.ir.Raise(ir::ExitKind::BranchTarget);
    return false;
  }
  context.mode &= ~kModeBtypeMask;
  set_header(context, offsetof(ir::CpuHeader, mode), ir::Type::I32, context.mode);
  context.ir.Insn(context.pc, 4);  // the state is precise again with the new mode
  return true;
}

/// Takes the block's instructions from the budget. Returns the constant that is to be their number.
ir::ValueId count_instructions(ir::Builder& ir) {
  const ir::Value budget = ir.GetState(state_offset::kInstructionBudget, ir::Type::I64);
  ir.RaiseIf(ir.CmpLeS(budget, ir.Const(ir::Type::I64, 0)), ir::ExitKind::Interrupted);
  const ir::Value count = ir.Const(ir::Type::I64, 0);
  ir.SetState(state_offset::kInstructionBudget, ir.Sub(budget, count));
  return count.id;
}

/// What a branch makes of a tagged address (DDI 0487, AArch64.BranchAddr; user mode: TBI0 = 1, TBI1 = 0).
uint64_t without_tag(const LiftContext& context) {
  const uint64_t pc = context.pc;
  if (!context.system) return bit(pc, 55) ? pc : pc & low_mask(56);
  if (bit(pc, 55) && mmu_index_of_mode(context.mode) <= kMmuEl2HostPan)
    return context.mode & kModeTbi1 ? pc | ~low_mask(56) : pc;
  return context.mode & kModeTbi0 ? pc & low_mask(56) : pc;
}

}  // namespace

const ir::StateLayout& A64Frontend::layout() const { return a64_layout(); }

ir::HelperTable A64Frontend::helpers() const { return a64::helper_table(); }

void A64Frontend::translate(const frontend::TranslateRequest& request, ir::Block& out) const {
  a64::translate(cpu_, nullptr, request, out);
}

void a64::translate(const CpuModel& cpu, const SystemConfig* system,
                    const frontend::TranslateRequest& request, ir::Block& out) {
  out.key = request.key;
  out.guest_size = out.guest_count = 0;
  out.insts.clear();
  out.insts.reserve(kUsualInsts);
  ir::Builder builder(out);
  LiftContext context{.ir = builder, .cpu = cpu, .pc = request.key.pc, .mode = request.key.mode};
  context.system = system;
  context.guarded_page = request.code->guarded(request.key.pc);
  // A block stays in its page, so that it has one guard property and one page to be dropped with.
  const uint64_t page_end = (request.key.pc & ~(kPageSize - 1)) + kPageSize;
  // Branches leave the tag in pc, which costs them nothing, and this takes it off.
  if (const uint64_t pc = without_tag(context); pc != context.pc) {
    builder.Insn(context.pc, 4);
    builder.Jump(pc);
    out.guest_size = 4;
    return;
  }
  ir::ValueId counted = ir::kNoValue;
  if (system) {
    builder.Insn(context.pc, 4);
    if (system->count_instructions) counted = count_instructions(builder);
    if (!lift_block_start(context)) {
      out.guest_size = 4;
      return;
    }
  }
  const unsigned limit = system && (context.mode & kModeStep) ? 1 : request.max_instructions;
  Window code(request, page_end);
  bool go_on = true;
  unsigned exits = 0;
  while (go_on) {
    builder.Insn(context.pc, 4);
    const bool first = out.guest_count == 0;
    if (at_breakpoint(request, context.pc) && !(first && request.ignore_first_breakpoint)) {
      builder.Raise(ir::ExitKind::Debug);
      break;
    }
    go_on = (!first || check_branch_target(request, context)) && lift_one(code, context, exits);
    context.pc += 4;
    ++out.guest_count;
    if (go_on && (out.guest_count >= limit || context.pc == page_end)) {
      builder.Jump(context.pc);
      go_on = false;
    }
  }
  out.guest_size = static_cast<uint32_t>(context.pc - request.key.pc);
  if (counted != ir::kNoValue) out.insts[counted].imm = out.guest_count;
}

}  // namespace lyrebird::arm
