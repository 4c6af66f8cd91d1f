// SPDX-License-Identifier: Apache-2.0
// Whole-vector ops that x86 hosts have an instruction for. What lies above a V64 does not matter.
#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"
#include "jit/baseline/lane_index.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::Op;
using ir::Type;

bool Emitter::emit_whole(const ir::Inst& inst) {
  const auto imm = static_cast<uint32_t>(inst.imm);
  const bool half = inst.type == Type::V64;
  const auto two = [&](VecOp op) {
    const uint8_t a = use_xmm(inst.args[0]);
    const Operand b = use_xm(inst.args[1]);
    vop(op, def_xmm(inst.args[0]), a, b);
    return true;
  };
  const auto two_imm = [&](VecOp op, uint32_t with) {
    const uint8_t a = use_xmm(inst.args[0]);
    const Operand b = use_xm(inst.args[1]);
    vop_imm(op, def_xmm(inst.args[0]), a, b, with);
    return true;
  };
  switch (inst.op) {
    case Op::SignSelect:
      return emit_sign_select(inst);
    case Op::MulHiS:
    case Op::MulHiU:
      if (lane_index(inst.elem) != 1) return false;
      return two(inst.op == Op::MulHiS ? VecOp{hi::kIdPmulhw, hi::kIdVpmulhw}
                                       : VecOp{hi::kIdPmulhuw, hi::kIdVpmulhuw});
    case Op::RoundMulDoubleAddHi: {
      const ir::Inst& addend = at(root(inst.args[0]));
      const bool zero = addend.op == Op::Const && addend.imm == 0 && addend.high() == 0;
      if (lane_index(inst.elem) != 1) return false;
      const uint8_t b = use_xmm(inst.args[1]), c = use_xmm(inst.args[2]);
      const uint8_t a = zero ? kNoReg : use_xmm(inst.args[0]);
      const uint8_t d = def_xmm();
      vop({hi::kIdPmulhrsw, hi::kIdVpmulhrsw}, d, b, xmm(c));
      if (!zero) vop({hi::kIdPaddw, hi::kIdVpaddw}, d, d, xmm(a));
      return true;
    }
    case Op::MulEvenS:
    case Op::MulEvenU:
      if (lane_index(inst.elem) != 2) return false;
      return two(inst.op == Op::MulEvenS ? VecOp{hi::kIdPmuldq, hi::kIdVpmuldq}
                                         : VecOp{hi::kIdPmuludq, hi::kIdVpmuludq});
    case Op::NarrowPairSatS:
    case Op::NarrowPairSatSU: {
      const unsigned lane = lane_index(inst.elem);
      if (lane != 1 && lane != 2) return false;
      const bool s = inst.op == Op::NarrowPairSatS;
      const VecOp op =
          lane == 1
              ? (s ? VecOp{hi::kIdPacksswb, hi::kIdVpacksswb} : VecOp{hi::kIdPackuswb, hi::kIdVpackuswb})
              : (s ? VecOp{hi::kIdPackssdw, hi::kIdVpackssdw} : VecOp{hi::kIdPackusdw, hi::kIdVpackusdw});
      if (!half) return two(op);
      const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
      const uint8_t t = take_xmm();
      vop({hi::kIdPunpcklqdq, hi::kIdVpunpcklqdq}, t, a, xmm(b));
      vop(op, def_xmm(), t, xmm(t));
      return true;
    }
    case Op::PermuteBytes: {
      if (!half) return two({hi::kIdPshufb, hi::kIdVpshufb});
      const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
      const uint8_t t = take_xmm();
      vop(kAnd, t, b, pool(0x8787878787878787, 0x8787878787878787));
      vop({hi::kIdPshufb, hi::kIdVpshufb}, def_xmm(), a, xmm(t));
      return true;
    }
    case Op::Shuffle32:
      if (root(inst.args[0]) == root(inst.args[1])) {
        const Operand a = use_xm(inst.args[0]);
        vun_imm(kShuffle, def_xmm(), a, imm & 255);
        return true;
      }
      return two_imm(kShuffle2, imm & 255);
    case Op::SumAbsDiff:
      return two({hi::kIdPsadbw, hi::kIdVpsadbw});
    case Op::SlidingAbsDiff:
      return two_imm({hi::kIdMpsadbw, hi::kIdVmpsadbw}, imm & 7);
    case Op::LeastLane: {
      const Operand a = use_xm(inst.args[0]);
      vun({hi::kIdPhminposuw, hi::kIdVphminposuw}, def_xmm(), a);
      return true;
    }
    case Op::MulAddPairs:
      return two({hi::kIdPmaddwd, hi::kIdVpmaddwd});
    case Op::MulAddPairsSat:
      return two({hi::kIdPmaddubsw, hi::kIdVpmaddubsw});
    case Op::RecipApprox:
    case Op::RsqrtApprox: {
      const Operand a = use_xm(inst.args[0]);
      vun(inst.op == Op::RecipApprox ? VecOp{hi::kIdRcpps, hi::kIdVrcpps}
                                     : VecOp{hi::kIdRsqrtps, hi::kIdVrsqrtps},
          def_xmm(), a);
      return true;
    }
    case Op::AesRound:
      return host_.aes && !half && two({hi::kIdAesenc, hi::kIdVaesenc});
    case Op::AesLastRound:
      return host_.aes && !half && two({hi::kIdAesenclast, hi::kIdVaesenclast});
    case Op::AesInvRound:
      return host_.aes && !half && two({hi::kIdAesdec, hi::kIdVaesdec});
    case Op::AesInvLastRound:
      return host_.aes && !half && two({hi::kIdAesdeclast, hi::kIdVaesdeclast});
    case Op::GfMul:
      return host_.gfni && two({hi::kIdGf2p8mulb, hi::kIdVgf2p8mulb});
    case Op::GfAffine:
      return host_.gfni && two_imm({hi::kIdGf2p8affineqb, hi::kIdVgf2p8affineqb}, imm & 255);
    case Op::GfAffineInv:
      return host_.gfni && two_imm({hi::kIdGf2p8affineinvqb, hi::kIdVgf2p8affineinvqb}, imm & 255);
    case Op::Sha1FourRounds:
    case Op::Sha256Schedule2: {
      if (!host_.sha) return false;
      const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
      const uint8_t d = take_xmm();
      move_xmm(d, a);
      if (inst.op == Op::Sha256Schedule2)
        (void)a_.emit(hi::kIdSha256msg2, xmm(d), xmm(b));
      else
        (void)a_.emit(hi::kIdSha1rnds4, xmm(d), xmm(b), Imm(imm & 3));
      move_xmm(def_xmm(), d);
      return true;
    }
    case Op::Sha256TwoRounds: {
      if (!host_.sha) return false;
      constexpr uint8_t kWords = 0;  // where the host wants them
      take_this_xmm(kWords);
      const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]), c = use_xmm(inst.args[2]);
      const uint8_t d = take_xmm();
      move_xmm(kWords, c);
      move_xmm(d, a);
      (void)a_.emit(hi::kIdSha256rnds2, xmm(d), xmm(b), x86::xmm0);
      move_xmm(def_xmm(), d);
      return true;
    }
    default:
      return false;
  }
}

bool Emitter::emit_sign_select(const ir::Inst& inst) {
  const unsigned lane = lane_index(inst.elem);
  if (lane > 3 || (lane == 1 && !host_.avx)) return false;
  const uint8_t mask = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]), c = use_xmm(inst.args[2]);
  if (host_.avx) {
    uint8_t by = mask;
    if (lane == 1) {
      by = take_xmm();
      vshift({hi::kIdPsraw, hi::kIdVpsraw}, by, mask, 15);
    }
    (void)a_.emit(lane == 3   ? hi::kIdVblendvpd
                  : lane == 2 ? hi::kIdVblendvps
                              : hi::kIdVpblendvb,
                  xmm(def_xmm()), xmm(c), xmm(b), xmm(by));
    return true;
  }
  const uint8_t t = take_xmm(), u = take_xmm();
  if (lane == 0) {
    load_const_xmm(t, 0, 0);
    (void)a_.pcmpgtb(xmm(t), xmm(mask));
  } else {
    vun_imm(kShuffle, t, xmm(mask), lane == 3 ? 0xf5 : 0xe4);
    (void)a_.psrad(xmm(t), 31);
  }
  move_xmm(u, t);
  (void)a_.pandn(xmm(u), xmm(c));
  (void)a_.pand(xmm(t), xmm(b));
  (void)a_.por(xmm(u), xmm(t));
  move_xmm(def_xmm(), u);
  return true;
}

}  // namespace lyrebird::jit::baseline
