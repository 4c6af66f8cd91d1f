// SPDX-License-Identifier: Apache-2.0
// Leaving the block. Exits to a known pc jump to their stub until the engine links them
// to the target: it overwrites their rel32, which therefore never crosses 8 bytes.
#include "ir/cpu_header.h"
#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"
#include "jit/thread_context.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::ExitKind;
using Cc = x86::CondCode;

namespace {

// CS prefixes, which mean nothing to a jump.
constexpr uint8_t kPadding[3] = {0x2e, 0x2e, 0x2e};

/// Bytes before an instruction whose rel32 comes after `opcode` bytes.
unsigned padding(size_t offset, unsigned opcode) {
  const size_t in_word = (offset + opcode) & 7;
  return in_word > 4 ? static_cast<unsigned>(8 - in_word) : 0;
}

}  // namespace

unsigned Emitter::add_exit(ExitPlan exit) {
  exits_.push_back(exit);
  return static_cast<unsigned>(exits_.size() - 1);
}

ExitPlan Emitter::jump_to(uint64_t pc) const {
  return {.kind = ExitPlan::Kind::Jump,
          .mode_known = mode_known_,
          .mode = mode_,
          .pc = pc,
          .flags = delayed_,
          .asks = asks_};
}

uint32_t Emitter::to_stub(unsigned exit) {
  const uint32_t end = a_.jump_long();
  exit_jumps_.push_back({end, exit});
  return end;
}

uint32_t Emitter::to_stub_if(Cc cc, unsigned exit) {
  const uint32_t end = a_.jump_long_if(cc);
  exit_jumps_.push_back({end, exit});
  return end;
}

void Emitter::jump_exit(unsigned exit) {
  if (const unsigned pad = padding(a_.offset(), 1)) (void)a_.embed(kPadding, pad);
  const uint32_t end = to_stub(exit);
  if (exits_[exit].mode_known && !leaves_page(exits_[exit])) exits_[exit].patch = end - 4;
}

void Emitter::jump_exit_if(Cc cc, unsigned exit) {
  if (const unsigned pad = padding(a_.offset(), 2)) (void)a_.embed(kPadding, pad);
  const uint32_t end = to_stub_if(cc, exit);
  const bool linked = exits_[exit].mode_known && exits_[exit].kind == ExitPlan::Kind::Jump;
  if (linked && !leaves_page(exits_[exit])) exits_[exit].patch = end - 4;
}

/// exit_request and the engine's own request behind it, at once.
void Emitter::compare_requests() {
  constexpr int kRequest = static_cast<int>(offsetof(ir::CpuHeader, exit_request)) - abi::kStateBias;
  static_assert(kRequest == static_cast<int8_t>(kRequest));
  a_.compare_with_zero(abi::kState, kRequest);
}

void Emitter::emit_exit_if(const ir::Inst& inst) {
  const Cc cc = evaluate(inst.args[0]);
  unmask_traps();
  leave_if(cc, jump_to(inst.imm));
}

void Emitter::emit_jump(const ir::Inst& inst) {
  const bool loops = is_f80_loop(inst.imm);
  if (!loops) flush_f80();
  unmask_traps();
  if (loops) return emit_f80_round();
  jump_exit(add_exit(jump_to(inst.imm)));
}

void Emitter::emit_branch(const ir::Inst& inst) {
  if (is_f80_loop(inst.imm) || is_f80_loop(inst.high())) {
    const Cc cc = evaluate(inst.args[0]);
    unmask_traps();
    const bool taken = is_f80_loop(inst.imm);
    leave_if(taken ? x86::negateCond(cc) : cc, jump_to(taken ? inst.high() : inst.imm));
    return emit_f80_round();
  }
  flush_f80();
  const Cc cc = evaluate(inst.args[0]);
  unmask_traps();
  jump_exit_if(cc, add_exit(jump_to(inst.imm)));
  jump_exit(add_exit(jump_to(inst.high())));
}

void Emitter::emit_raise(const ir::Inst& inst, bool conditional) {
  flush_f80();
  const auto kind = static_cast<ExitKind>(inst.aux);
  const bool after = ir::pc_is_after(kind);
  const ExitPlan plan{
      .kind = ExitPlan::Kind::Raise, .pc = after ? after_ : pc_, .raise = kind, .detail = inst.imm};
  if (conditional) {
    const Cc cc = evaluate(inst.args[0]);
    unmask_traps();
    to_stub_if(cc, add_exit(plan));
  } else {
    unmask_traps();
    to_stub(add_exit(plan));
  }
}

/// JumpCacheEntry::key of a jump to `pc`, in a register.
uint8_t Emitter::jump_key(uint8_t pc, uint32_t mode_tag) {
  if (!options_.system && mode_tag == 0) return pc;
  const uint8_t key = take_gpr();
  if (options_.system) {
    (void)a_.mov(gp64(key), state_mem(offsetof(ir::CpuHeader, jump_tag), 8));
    (void)a_.xor_(gp64(key), gp64(pc));
  } else {
    (void)a_.lea(gp64(key), x86::ptr(gp64(pc), static_cast<int32_t>(mode_tag << 2)));
  }
  return key;
}

/// The thread's jump cache, inline (jump_cache_index()).
void Emitter::emit_jump_indirect(const ir::Inst& inst) {
  flush_f80();
  const uint8_t pc = use_gpr(inst.args[0]);
  const unsigned exit = add_exit({.kind = ExitPlan::Kind::Indirect});
  const uint8_t index = take_gpr(), cache = take_gpr();
  unmask_traps();
  jump_target_ = pc;  // the stub notes it in the state
  const uint32_t tag = options_.mode_tag ? options_.mode_tag(mode_) : 0;
  if (options_.mode_tag && !mode_known_) {  // most likely what it was
    (void)a_.cmp(state_mem(offsetof(ir::CpuHeader, mode), 4), mode_);
    to_stub_if(Cc::kNE, exit);
  }
  const uint8_t key = jump_key(pc, tag);
  (void)a_.mov(gp32(index), gp32(pc));
  (void)a_.mov(gp64(cache), state_mem(offsetof(ir::CpuHeader, jump_cache), 8));
  (void)a_.and_(gp32(index), ((1u << kJumpCacheBits) - 1) << 2);
  const auto entry = [&](size_t field) {
    return x86::ptr(gp64(cache), gp64(index), 2, static_cast<int32_t>(field), 8);
  };
  static_assert(sizeof(JumpCacheEntry) == 16);
  (void)a_.cmp(entry(offsetof(JumpCacheEntry, key)), gp64(key));
  to_stub_if(Cc::kNE, exit);
  if (!options_.mode_tag || tag == ir::kOtherMode) {
    const x86::Mem its_mode = x86::ptr(gp64(cache), gp64(index), 0, JumpCache::kModes, 4);
    if (mode_known_ || options_.mode_tag) {
      (void)a_.cmp(its_mode, mode_);
    } else {
      const uint8_t mode = take_gpr();
      (void)a_.mov(gp32(mode), state_mem(offsetof(ir::CpuHeader, mode), 4));
      (void)a_.cmp(its_mode, gp32(mode));
    }
    to_stub_if(Cc::kNE, exit);
  }
  (void)a_.jmp(entry(offsetof(JumpCacheEntry, entry)));
}

}  // namespace lyrebird::jit::baseline
