// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64_frontend.h"

#include <algorithm>

#include "frontend/arm/a64/lifter.h"

namespace lyrebird::arm {
namespace {

using a64::LiftContext;

constexpr uint64_t kPageSize = 4096;

/// The row for the word if the CPU has its feature.
const a64::Row* row_for(const CpuModel& cpu, uint32_t word) {
  const a64::Row* row = a64::find_row(word);
  return row && cpu.features.has(row->feature) ? row : nullptr;
}

bool at_breakpoint(const frontend::TranslateRequest& request, uint64_t pc) {
  const uint64_t* end = request.breakpoints + request.breakpoint_count;
  return std::binary_search(request.breakpoints, end, pc);
}

/// Lifts the instruction at context.pc; false when the block has ended.
bool lift_one(const frontend::TranslateRequest& request, LiftContext& context) {
  if ((context.pc & 3) != 0 || !request.code->fetch(context.pc, &context.word, 4)) {
    context.ir.Raise(ir::ExitKind::FetchFault, context.pc);
    return false;
  }
  if (const a64::Row* row = row_for(context.cpu, context.word)) return row->lift(context, context.word);
  context.ir.Raise(ir::ExitKind::Undefined, context.word);
  return false;
}

}  // namespace

const ir::StateLayout& A64Frontend::layout() const { return a64_layout(); }

ir::HelperTable A64Frontend::helpers() const { return {}; }

void A64Frontend::translate(const frontend::TranslateRequest& request, ir::Block& out) const {
  out = ir::Block{};
  out.key = request.key;
  ir::Builder builder(out);
  LiftContext context{.ir = builder, .cpu = cpu_, .pc = request.key.pc, .mode = request.key.mode};
  context.guarded_page = request.code->guarded(request.key.pc);
  // A block stays in its page, so that it has one guard property and one page to be dropped with.
  const uint64_t page_end = (request.key.pc & ~(kPageSize - 1)) + kPageSize;
  bool go_on = true;
  while (go_on) {
    builder.Insn(context.pc, 4);
    const bool first = out.guest_count == 0;
    if (at_breakpoint(request, context.pc) && !(first && request.ignore_first_breakpoint)) {
      builder.Raise(ir::ExitKind::Debug);
      break;
    }
    go_on = lift_one(request, context);
    context.pc += 4;
    ++out.guest_count;
    if (go_on && (out.guest_count >= request.max_instructions || context.pc == page_end)) {
      builder.Jump(context.pc);
      go_on = false;
    }
  }
  out.guest_size = static_cast<uint32_t>(context.pc - request.key.pc);
}

}  // namespace lyrebird::arm
