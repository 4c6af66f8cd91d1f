// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/x86_frontend.h"

#include <algorithm>

#include "base/log.h"
#include "frontend/x86/decode/decode.h"
#include "frontend/x86/lift/handlers.h"
#include "frontend/x86/lift/helpers.h"
#include "frontend/x86/window.h"

namespace lyrebird::x86 {
namespace {

constexpr size_t kUsualInsts = 256;  ///< of IR in a block; longer ones grow

bool at_breakpoint(const frontend::TranslateRequest& request, uint64_t pc) {
  const uint64_t* end = request.breakpoints + request.breakpoint_count;
  return std::binary_search(request.breakpoints, end, pc);
}

struct Refusal {
  ExitKind kind;
  bool happens = false;
};

/// What the row says of privilege and mode (SDM volume 3, 5.9; volume 1, 19.5).
Refusal refusal(const Row& row, uint32_t mode) {
  const bool real = (mode & kModeProtected) == 0, v86 = (mode & kModeV86) != 0;
  if (real || v86) {
    if (is_vex(row.map)) return {ExitKind::Undefined, true};
    // SYSENTER and SYSEXIT are #GP there.
    if (row.has(row_flags::Protected))
      return {row.feature == Feature::SEP ? ExitKind::ProtectionFault : ExitKind::Undefined, true};
  }
  if (row.has(row_flags::Cpl0) && cpl_of_mode(mode) != 0) return {ExitKind::ProtectionFault, true};
  return {ExitKind::None, false};
}

constexpr auto kModeOffset =
    static_cast<uint32_t>(offsetof(X86State, header) + offsetof(ir::CpuHeader, mode));

/// MOV SS and POP SS hold debug exceptions back until after the next instruction.
bool holds_traps(const Insn& insn) {
  const std::string_view name = name_of(insn.row);
  const Operand& to = insn.operands[0];
  return (name == "MOV" || name == "POP") && to.kind == OperandKind::Segment &&
         to.reg == static_cast<unsigned>(Segment::SS);
}

/// EFLAGS.TF: notes that a debug exception is due, before the block's last IR instruction leads on. Side
/// exits have noted it themselves (Lifter::finish_if).
void note_trap(ir::Block& block) {
  const ir::Inst last = block.insts.back();
  if (last.op == Op::Raise) return;
  block.insts.pop_back();
  ir::Builder builder(block);
  const Value mode = builder.GetState(kModeOffset, I32);
  builder.SetState(kModeOffset, builder.Or(mode, builder.Const(I32, kModeTrapPending)));
  block.insts.push_back(last);
}

/// The debug exception that note_trap() noted.
void raise_trap(ir::Builder& builder, const ir::BlockKey& key) {
  builder.SetState(kModeOffset, builder.Const(I32, key.mode & ~kModeTrapPending));
  builder.Insn(key.pc, 1);
  builder.Raise(ExitKind::ArithmeticTrap, kTrapSingleStep);
}

void log_missing(uint16_t row) {
  if (!log_enabled(LogTopic::Unimp)) return;
  const RowText text = text_of(x86::row(row));
  log_unimplemented("x86: nothing lifts " + std::string(text.name) + " " + std::string(text.encoding) + "\n");
}

bool uses_mmx(const Insn& insn) {
  return std::any_of(insn.operands, insn.operands + insn.operand_count,
                     [](const Operand& o) { return o.kind == OperandKind::Mmx; });
}

/// Lifts the decoded instruction; false when the block has ended.
bool lift(LiftContext& context) {
  const Insn& insn = context.insn;
  const Row& row = x86::row(insn.row);
  if (const Refusal refused = refusal(row, context.mode); refused.happens) {
    context.ir.Raise(refused.kind);
    return false;
  }
  if (row.has(row_flags::Iopl) && (context.mode & kModeProtected) != 0) {
    const Value iopl = context.ir.GetState(offsetof(X86State, iopl), I8);
    const Value needed = context.ir.Const(I8, cpl_of_mode(context.mode));
    context.ir.RaiseIf(context.ir.CmpLtU(iopl, needed), ExitKind::ProtectionFault);
  }
  // An exception of the x87 that waits comes before an MMX instruction (SDM volume 1, 9.6.2).
  if ((context.mode & kModeX87Unmasked) != 0 && uses_mmx(insn)) {
    const Value pending = context.ir.CallHelper(kHelperX87Pending, I8, {});
    context.ir.RaiseIf(context.ir.CmpNe(pending, context.ir.Const(I8, 0)), ExitKind::ArithmeticTrap,
                       kTrapX87);
  }
  if (const Handler handler = handler_of(insn.row)) return handler(context);
  log_missing(insn.row);
  context.ir.Raise(ExitKind::Undefined);
  return false;
}

}  // namespace

const ir::StateLayout& X86Frontend::layout() const { return x86_layout(); }

ir::HelperTable X86Frontend::helpers() const { return helper_table(); }

void X86Frontend::translate(const frontend::TranslateRequest& request, ir::Block& out) const {
  out.key = request.key;
  out.guest_size = out.guest_count = 0;
  out.insts.clear();
  out.insts.reserve(kUsualInsts);
  ir::Builder builder(out);
  LiftContext context{
      .ir = builder, .cpu = cpu_, .first_step = first_step_, .pc = request.key.pc, .mode = request.key.mode};
  const auto size_mode = static_cast<Mode>(context.mode & kModeCodeSizeMask);
  const bool wraps = size_mode != Mode::k64;
  // A block stays in its page, so that it has one page to be dropped with; only its first instruction
  // may reach into the next.
  const uint64_t page_end = (request.key.pc & ~(kPageSize - 1)) + kPageSize;
  const unsigned limit = (context.mode & kModeTrap) != 0 ? 1 : request.max_instructions;
  Window window(*request.code, wraps);
  if ((context.mode & kModeTrapPending) != 0) {
    raise_trap(builder, request.key);
    out.guest_size = 1;
    return;
  }
  for (bool go_on = true; go_on;) {
    const uint64_t pc = context.pc;
    const bool first = out.guest_count == 0;
    uint8_t bytes[kLongest];
    unsigned available = window.read(pc, bytes);
    if (available < kLongest) available = available_bytes(*request.code, pc, bytes);
    const DecodeStatus status = decode(bytes, available, size_mode, cpu_.features, context.insn);
    const unsigned length = status == DecodeStatus::Ok ? context.insn.length : 1;
    if (!first && (pc + length > page_end || status == DecodeStatus::TooShort)) {
      builder.Jump(pc);
      break;
    }
    builder.Insn(pc, length);
    if (at_breakpoint(request, pc) && !(first && request.ignore_first_breakpoint)) {
      builder.Raise(ExitKind::Debug);
      break;
    }
    ++out.guest_count;
    switch (status) {
      case DecodeStatus::Ok:
        go_on = lift(context);
        break;
      case DecodeStatus::TooShort:
        builder.Raise(ExitKind::FetchFault, wraps ? static_cast<uint32_t>(pc + available) : pc + available);
        go_on = false;
        break;
      case DecodeStatus::TooLong:
        builder.Raise(ExitKind::ProtectionFault);
        go_on = false;
        break;
      default:
        builder.Raise(ExitKind::Undefined);
        go_on = false;
    }
    // What was looked at to find out that it is nothing counts, too: it may become something.
    context.pc += status == DecodeStatus::Ok ? length : std::max(available, 1u);
    if (go_on && wraps) context.pc = static_cast<uint32_t>(context.pc);
    if (go_on && (out.guest_count >= limit || context.pc >= page_end || context.pc < pc)) {
      builder.Jump(context.pc);
      go_on = false;
    }
  }
  out.guest_size = static_cast<uint32_t>(context.pc - request.key.pc);
  if ((context.mode & kModeTrap) != 0 && !holds_traps(context.insn)) note_trap(out);
}

}  // namespace lyrebird::x86
