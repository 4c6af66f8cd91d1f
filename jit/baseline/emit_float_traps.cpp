// SPDX-License-Identifier: Apache-2.0
// Floating point whose exceptions trap (BaselineOptions::fp_traps). What the host may get wrong is what it
// would have to look at after each instruction: with an unmasked MXCSR it says so by SIGFPE, and the handler
// goes on with the cold path. No branch, and the host's flags are left alone.
//
// Every NaN that an operation makes of none comes with an invalid operation (Intel SDM vol. 1, 4.8.3.5 to
// 4.8.3.7); of quiet NaNs a sum, product or quotient is the first with both ISAs. Of a fused multiplication
// the guest's rules may prefer the addend where the host's do not: a minimum raises invalid for every NaN, so
// the addend is given to one. A result that rounding may have lifted to the smallest normal number is tiny
// when it is halved, and unmasked that traps although it is exact (4.9.1.5).
//
// A block that traps again and again is made once more, careful: with its traps masked, and branches.
#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::Op;
using ir::Type;

namespace {

/// Whether a NaN that comes of one may be another one than the host's.
bool chooses_nan(const ir::Inst& inst) {
  const ir::FpMode mode = inst.fp_mode();
  return mode.default_nan || mode.nan_rule != ir::NanRule::SignalingFirst;
}

Type result_lane(const ir::Inst& inst) {
  if (inst.op == Op::FConvert) return inst.type;
  if (inst.op == Op::FNarrow) return Type::F32;
  return inst.op == Op::FWidenLo || inst.op == Op::FWidenHi ? Type::F64 : inst.elem;
}

}  // namespace

/// Whether its code, if there is any, leaves the host's flags alone.
bool Emitter::keeps_flags_by_traps(const ir::Inst& inst) const {
  if (!by_traps()) return false;
  switch (inst.op) {
    case Op::FAdd:
    case Op::FSub:
    case Op::FMul:
    case Op::FDiv:
    case Op::FSqrt:
    case Op::FMulAdd:
    case Op::FConvert:
    case Op::FNarrow:
    case Op::FWidenLo:
    case Op::FWidenHi:
      return class_of(inst.type) == ValueClass::Xmm;
    default:
      return false;
  }
}

/// Before arithmetic that trap_on_result() ends. Between the two nothing may be spilled: an instruction that
/// traps leaves out what comes behind it.
uint32_t Emitter::start_traps(const ir::Inst& inst) {
  if (by_traps() && (may_be_tiny(inst) || inst.op == Op::FMulAdd || chooses_nan(inst)))
    trap_temp_ = take_xmm();
  return here();
}

/// Host instructions from `start` on are left for `cold` when they trap.
void Emitter::end_traps(Cold& cold, uint32_t start) {
  cold.trap_start = start;
  cold.trap_size = here() - start;
  (void)a_.bind(cold.back);
}

/// Behind the arithmetic that begins at `start`. The cold path does all of it again.
void Emitter::trap_on_result(const ir::Inst& inst, uint8_t d, const uint8_t* args, uint32_t start) {
  const bool wide = result_lane(inst) == Type::F64, vector = ir::is_vector(inst.type);
  const auto with = [&](InstId ss, InstId sd, InstId ps, InstId pd, uint8_t a, const Operand& b) {
    (void)a_.emit(vector ? (wide ? pd : ps) : (wide ? sd : ss), xmm(trap_temp_), xmm(a), b);
  };
  if (may_be_tiny(inst)) {
    const uint64_t half = wide ? 0x3fe0000000000000 : 0x3f0000003f000000;
    Mem m = pool(half, half);
    if (!vector) m.setSize(wide ? 8 : 4);
    with(hi::kIdVmulss, hi::kIdVmulsd, hi::kIdVmulps, hi::kIdVmulpd, d, m);
  }
  if (chooses_nan(inst) || inst.op == Op::FMulAdd) {
    const uint8_t x = chooses_nan(inst) ? d : args[2];
    with(hi::kIdVminss, hi::kIdVminsd, hi::kIdVminps, hi::kIdVminpd, x, xmm(x));
  }
  Cold& cold = add_cold_float(inst, d, args, ir::arg_count(inst));
  cold.keeps_flags = kept_flags_ = keeps_flags_by_traps(inst);
  if (!kept_flags_) no_flags();
  end_traps(cold, start);
}

/// UCOMISD and the like.
void Emitter::compare_floats(InstId id, uint8_t a, uint8_t b) {
  if (options_.careful) mask_traps();
  const uint32_t start = here();
  (void)a_.emit(id, xmm(a), xmm(b));
  if (by_traps()) again_without_traps(id, kNoReg, a, b, start);
}

/// d: all ones if the scalars are equal.
void Emitter::equal_floats(bool wide, uint8_t d, uint8_t a, uint8_t b) {
  if (options_.careful) mask_traps();
  const uint32_t start = here();
  vop_imm(wide ? VecOp{hi::kIdCmpsd, hi::kIdVcmpsd} : VecOp{hi::kIdCmpss, hi::kIdVcmpss}, d, a, xmm(b), 0);
  if (by_traps()) again_without_traps(wide ? hi::kIdVcmpsd : hi::kIdVcmpss, d, a, b, start);
}

/// The cold path of a comparison is the same one, masked.
void Emitter::again_without_traps(InstId id, uint8_t d, uint8_t a, uint8_t b, uint32_t start) {
  Cold cold{.kind = Cold::Kind::Masked, .from = a_.newLabel(), .back = a_.newLabel()};
  cold.id = id;
  cold.d = d;
  cold.args[0] = a;
  cold.args[1] = b;
  end_traps(cold, start);
  cold_.push_back(cold);
}

void Emitter::emit_cold_masked(const Cold& cold) {
  traps_.push_back({cold.trap_start, cold.trap_size, here()});
  switch_traps(false);
  if (cold.d == kNoReg)
    (void)a_.emit(cold.id, xmm(cold.args[0]), xmm(cold.args[1]));
  else
    (void)a_.emit(cold.id, xmm(cold.d), xmm(cold.args[0]), xmm(cold.args[1]), Imm(0));
  switch_traps(true);
  (void)a_.jmp(cold.back);
}

/// Changes no register and none of the host's flags. What was raised stays in MXCSR.
void Emitter::switch_traps(bool on) {
  constexpr auto kMasks = static_cast<int32_t>(kMaskedMxcsr - kTrapMxcsr);
  const uint32_t now = on ? kFrameUnmasked : kFrameMxcsr;
  (void)a_.stmxcsr(frame_mem(now, 4));
  (void)a_.mov(frame_mem(kFrameSaveGpr, 8), x86::rax);
  (void)a_.mov(x86::eax, frame_mem(now, 4));
  (void)a_.lea(x86::eax, x86::ptr(x86::rax, on ? -kMasks : kMasks));
  (void)a_.mov(frame_mem(kFrameMxcsr, 4), x86::eax);
  (void)a_.ldmxcsr(frame_mem(kFrameMxcsr, 4));
  (void)a_.mov(x86::rax, frame_mem(kFrameSaveGpr, 8));
  (void)a_.mov(frame_mem(kFrameDefault, 4), on ? kTrapMxcsr : kMaskedMxcsr);
}

void Emitter::mask_traps() {
  if (!masked_) switch_traps(false);
  masked_ = true;
}

/// Before the block is left.
void Emitter::unmask_traps() {
  if (masked_) switch_traps(true);
  masked_ = false;
}

}  // namespace lyrebird::jit::baseline
