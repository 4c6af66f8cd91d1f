// SPDX-License-Identifier: Apache-2.0
// Division of integers: the host's instructions, and out of line what they would trap for.
#include "jit/baseline/emitter.h"
#include "jit/interp/select.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::kNoValue;
using ir::Op;
using ir::Type;
using ir::ValueId;
using Cc = x86::CondCode;

void Emitter::emit_divide(const ir::Inst& inst) {
  const Type type = inst.type;
  take_this_gpr(0);
  take_this_gpr(2);
  const uint8_t b = use_gpr(inst.args[1]), a = use_gpr(inst.args[0]);
  const Label zero = a_.newLabel(), minus_one = a_.newLabel(), done = a_.newLabel();
  (void)a_.mov(gp(0, type), gp(a, type));
  (void)a_.test(gp(b, type), gp(b, type));
  (void)a_.jz(zero);
  if (inst.op == Op::DivS) {
    (void)a_.cmp(gp(b, type), -1);
    (void)a_.je(minus_one);
    if (type == Type::I32)
      (void)a_.cdq();
    else
      (void)a_.cqo();
    (void)a_.idiv(gp(2, type), gp(0, type), gp(b, type));
  } else {
    (void)a_.xor_(x86::edx, x86::edx);
    (void)a_.div(gp(2, type), gp(0, type), gp(b, type));
  }
  (void)a_.jmp(done);
  if (inst.op == Op::DivS) {
    (void)a_.bind(minus_one);
    (void)a_.neg(gp(0, type));
    (void)a_.jmp(done);
  }
  (void)a_.bind(zero);
  (void)a_.xor_(x86::eax, x86::eax);
  (void)a_.bind(done);
  locked_gpr_ = 1u << 0;
  (void)a_.mov(gp(def_gpr(), type), gp(0, type));
}

/// Quotient and remainder are one host instruction: a RemWide that follows its DivWide is made with it.
/// What the host would trap at is found before, or left to the interpreter.
void Emitter::emit_divide_wide(const ir::Inst& inst) {
  const Type type = inst.type;
  const unsigned width = ir::bit_width(type);
  const bool is_signed = inst.op == Op::DivWideS || inst.op == Op::RemWideS;
  const bool is_quotient = inst.op == Op::DivWideU || inst.op == Op::DivWideS;
  const ValueId low = inst.args[0], high = inst.args[1], divisor = inst.args[2];
  bool both = false;
  if (is_quotient && now_ + 1 < block_->insts.size()) {
    const ir::Inst& next = at(now_ + 1);
    both = next.op == (is_signed ? Op::RemWideS : Op::RemWideU) && next.type == type &&
           plan_[now_ + 1].needed && root(next.args[0]) == root(low) && root(next.args[1]) == root(high) &&
           root(next.args[2]) == root(divisor);
  }
  take_this_gpr(0);
  take_this_gpr(2);
  const uint8_t by = use_gpr(divisor);
  move_to(0, low);
  move_to(2, high);
  const Label cold = a_.newLabel(), back = a_.newLabel();
  const Gp eax = gp(0, type), edx = gp(2, type), d = gp(by, type);
  if (is_signed) {
    const ir::Inst& upper = at(root(high));
    const bool extended = upper.op == Op::ShrS && root(upper.args[0]) == root(low) && upper.type == type &&
                          is_const(upper.args[1]) && constant(upper.args[1]) == width - 1;
    const uint8_t t = take_gpr();
    if (!extended) {
      (void)a_.mov(gp(t, type), eax);
      (void)a_.sar(gp(t, type), width - 1);
      (void)a_.cmp(gp(t, type), edx);
      (void)a_.jne(cold);
    }
    // 0 and -1
    (void)a_.lea(gp(t, type), x86::ptr(gp64(by), 1));
    (void)a_.cmp(gp(t, type), 1);
    (void)a_.jbe(cold);
    (void)a_.idiv(edx, eax, d);
  } else {
    (void)a_.cmp(edx, d);
    (void)a_.jae(cold);
    (void)a_.div(edx, eax, d);
  }
  (void)a_.bind(back);
  no_flags();
  cold_.push_back({.kind = Cold::Kind::Divide,
                   .from = cold,
                   .back = back,
                   .record = is_signed ? divide_record(type) : Label(),
                   .op = inst.op,
                   .type = type,
                   .elem = type,
                   .arg_count = 1,
                   .args = {by}});
  const auto define = [&](uint8_t from) {
    if (plan_[now_].pinned != kNoReg) {
      const uint8_t reg = def_gpr();
      (void)a_.mov(gp64(reg), gp64(from));
      return;
    }
    touch(now_);
    bind_gpr(now_, from);
  };
  define(is_quotient ? 0 : 2);
  if (!both) return;
  early_ = ++now_;
  locs_[now_] = {};
  define(2);
  --now_;
}

/// The interpreter's: operands and results as emit_cold_divide has them.
Label Emitter::divide_record(Type type) {
  interp::Code codes[2];
  for (unsigned k = 0; k < 2; ++k) {
    const ir::Inst inst{.op = k == 0 ? Op::DivWideS : Op::RemWideS, .type = type, .elem = type};
    codes[k].handler = interp::select_general(inst, type);
    codes[k].d = static_cast<uint16_t>(kFrameScratch + 96 + 8 * k);
    codes[k].a = static_cast<uint16_t>(kFrameScratch);
    codes[k].b = static_cast<uint16_t>(kFrameScratch + 32);
    codes[k].c = static_cast<uint16_t>(kFrameScratch + 64);
  }
  return add_record(codes, 2);
}

void Emitter::emit_cold_divide(const Cold& cold) {
  (void)a_.bind(cold.from);
  if (cold.op == Op::DivWideU || cold.op == Op::RemWideU) {
    load_const(0, 0);
    (void)a_.mov(gp(2, cold.type), gp(cold.args[0], cold.type));
  } else {
    (void)a_.mov(frame_mem(kFrameScratch, 8), x86::rax);
    (void)a_.mov(frame_mem(kFrameScratch + 32, 8), x86::rdx);
    (void)a_.mov(frame_mem(kFrameScratch + 64, 8), gp64(cold.args[0]));
    call_record(cold.record, Thunk::Int);
    load_int(0, frame_mem(kFrameScratch + 96), cold.type);
    load_int(2, frame_mem(kFrameScratch + 104), cold.type);
  }
  (void)a_.jmp(cold.back);
}

}  // namespace lyrebird::jit::baseline
