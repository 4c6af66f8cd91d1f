// SPDX-License-Identifier: Apache-2.0
#include "accel/direct/x86_translator.h"

#include <algorithm>
#include <cstring>

#include "accel/direct/x86_block.h"
#include "frontend/x86/decode/decode.h"
#include "frontend/x86/window.h"
#include "frontend/x86/x86_mode.h"

namespace lyrebird::accel::direct {

using x86::Mode;

namespace {

/// The bits of a mode that code depends on although it runs on the host's registers. Virtual-8086 mode has no
/// other code size than 16 bits, which marks modes as ours.
constexpr uint32_t kKept =
    x86::kModeCodeSizeMask | x86::kModeProtected | x86::kModeStack32 | x86::kModeFlat | x86::kModeCplMask;
constexpr uint32_t kDirect = x86::kModeV86;
constexpr uint32_t kForbidden = x86::kModeV86 | x86::kModeTrap | x86::kModeTrapPending | x86::kModeAlign;

constexpr unsigned kMostItems = 64;
/// As in the lifter: who comes to what follows a branch from elsewhere has it translated again.
constexpr unsigned kSideExits = 3;

bool has_memory_operand(const x86::Insn& insn) {
  for (unsigned i = 0; i < insn.operand_count; ++i) {
    const auto kind = insn.operands[i].kind;
    if (kind != x86::OperandKind::Gpr && kind != x86::OperandKind::GprHigh &&
        kind != x86::OperandKind::Immediate)
      return true;
  }
  return false;
}

/// Whether they are overwritten before anything can look at them, faults included.
bool flags_are_dead(const Item* items, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    const FlagUse use = flag_use(items[i].insn.row);
    if (use == FlagUse::Other) return false;
    const bool looks = has_memory_operand(items[i].insn) && items[i].kind != Kind::Lea;
    if (looks) return false;
    if (use == FlagUse::Defines) return true;
  }
  return false;
}

bool at_breakpoint(const frontend::TranslateRequest& request, uint64_t pc) {
  return std::binary_search(request.breakpoints, request.breakpoints + request.breakpoint_count, pc);
}

bool ends_block(Kind kind) {
  return kind == Kind::Jump || kind == Kind::Call || kind == Kind::Return || kind == Kind::Syscall;
}

}  // namespace

std::optional<uint32_t> X86Translator::mode(uint32_t cpu_mode) const {
  if ((cpu_mode & kForbidden) != 0 || x86::cpl_of_mode(cpu_mode) != 3 || !(cpu_mode & x86::kModeProtected))
    return std::nullopt;
  const auto size = static_cast<Mode>(cpu_mode & x86::kModeCodeSizeMask);
  const bool flat = size == Mode::k32 && (cpu_mode & x86::kModeStack32) && (cpu_mode & x86::kModeFlat);
  if (size != Mode::k64 && !flat) return std::nullopt;
  return (cpu_mode & kKept) | kDirect;
}

bool X86Translator::translate(const frontend::TranslateRequest& request, jit::direct::Code& out) const {
  static thread_local Item items[kMostItems];
  const uint64_t start = request.key.pc;
  const auto size_mode = static_cast<Mode>(request.key.mode & x86::kModeCodeSizeMask);
  const bool is64 = size_mode == Mode::k64;
  const uint64_t page_end = (start & ~(x86::kPageSize - 1)) + x86::kPageSize;
  x86::Window window(*request.code, !is64);
  const unsigned limit = std::min(request.max_instructions, kMostItems);
  unsigned count = 0, branches = 0;
  uint64_t pc = start;
  bool ended = false;
  while (count < limit && !ended) {
    if (at_breakpoint(request, pc)) break;
    Item& item = items[count];
    unsigned available = window.read(pc, item.bytes);
    if (available < x86::kLongest) available = x86::available_bytes(*request.code, pc, item.bytes);
    if (x86::decode(item.bytes, available, size_mode, cpu_.features, item.insn) != x86::DecodeStatus::Ok)
      break;
    if (count != 0 && pc + item.insn.length > page_end) break;
    item.pc = pc;
    item.kind = kind_of(item.insn.row);
    if (!BlockCopier::can_copy(item)) break;
    ++count;
    pc += item.insn.length;
    if (!is64) pc = static_cast<uint32_t>(pc);
    ended = ends_block(item.kind);
    if (item.kind == Kind::Loop) break;
    if (item.kind == Kind::Branch &&
        (item.insn.relative_target(item.pc) <= item.pc || ++branches > kSideExits))
      break;
    if (pc >= page_end || pc < start) break;
  }
  if (count == 0) return false;
  out.key = request.key;
  out.guest_size = static_cast<uint32_t>(pc - start);
  out.guest_count = count;
  BlockCopier copier(out, is64);
  copier.begin(flags_are_dead(items, count));
  for (unsigned i = 0; i < count; ++i) copier.copy(items[i]);
  copier.jump(pc);
  copier.finish();
  return true;
}

std::unique_ptr<Translator> make_translator(const frontend::Frontend& frontend) {
  const auto* const x86 = dynamic_cast<const x86::X86Frontend*>(&frontend);
  if (!x86 || !X86Translator::host_has(x86->cpu())) return nullptr;
  return std::make_unique<X86Translator>(x86->cpu());
}

}  // namespace lyrebird::accel::direct
