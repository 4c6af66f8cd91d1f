// SPDX-License-Identifier: Apache-2.0
// Products and rounds of ciphers and hashes, CRCs. Comments name what stands in which 32-bit
// lane, highest lane first, as Intel's manual does.
#include <utility>

#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::Op;
using ir::Type;
using ir::ValueId;

bool Emitter::emit_crypto(const ir::Inst& inst) {
  if (inst.type != Type::V128) return false;
  switch (inst.op) {
    case Op::ClMul: {
      if (!host_.pclmul) return false;
      const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
      vop_imm({hi::kIdPclmulqdq, hi::kIdVpclmulqdq}, def_xmm(), a, xmm(b),
              static_cast<uint32_t>((inst.imm & 1) | (inst.imm >> 1 & 1) << 4));
      return true;
    }
    case Op::AesSubShift:
    case Op::AesInvSubShift:
    case Op::AesMixColumns:
    case Op::AesInvMixColumns: {
      if (!host_.aes) return false;
      const uint8_t a = use_xmm(inst.args[0]);
      if (inst.op == Op::AesInvMixColumns) {
        vun({hi::kIdAesimc, hi::kIdVaesimc}, def_xmm(), xmm(a));
        return true;
      }
      const uint8_t zero = take_xmm();
      load_const_xmm(zero, 0, 0);
      const uint8_t d = def_xmm();
      if (inst.op == Op::AesSubShift) {
        vop({hi::kIdAesenclast, hi::kIdVaesenclast}, d, a, xmm(zero));
      } else {
        vop({hi::kIdAesdeclast, hi::kIdVaesdeclast}, d, a, xmm(zero));
        // Undoing what AESDECLAST did leaves the columns mixed.
        if (inst.op == Op::AesMixColumns) vop({hi::kIdAesenc, hi::kIdVaesenc}, d, d, xmm(zero));
      }
      return true;
    }
    case Op::Sha1Choose:
    case Op::Sha1Parity:
    case Op::Sha1Majority:
      return emit_sha1_rounds(inst);
    case Op::Sha1Schedule0:
    case Op::Sha1Schedule1:
      emit_sha1_schedule(inst);
      return true;
    case Op::Sha256Hash:
    case Op::Sha256Hash2:
      return emit_sha256_rounds(inst);
    case Op::Sha256Schedule0:
    case Op::Sha256Schedule1:
      return emit_sha256_schedule(inst);
    case Op::Sha512Hash:
    case Op::Sha512Hash2:
      return emit_sha512_rounds(inst);
    case Op::Sha512Schedule0:
    case Op::Sha512Schedule1:
      emit_sha512_schedule(inst);
      return true;
    default:
      return false;
  }
}

bool Emitter::emit_sha1_rounds(const ir::Inst& inst) {
  if (!host_.sha) return false;
  // The host adds the constant itself.
  const auto [kind, k] = inst.op == Op::Sha1Choose   ? std::pair{0u, 0x5a827999u}
                         : inst.op == Op::Sha1Parity ? std::pair{1u, 0x6ed9eba1u}
                                                     : std::pair{2u, 0x8f1bbcdcu};
  const uint64_t undo = (0u - k) * uint64_t{0x1'0000'0001};
  const uint8_t abcd = use_xmm(inst.args[0]), e = use_xmm(inst.args[1]), words = use_xmm(inst.args[2]);
  const uint8_t t = take_xmm(), w = take_xmm();
  vun_imm(kShuffle, w, xmm(words), 0x1b);
  vshift({hi::kIdPslldq, hi::kIdVpslldq}, t, e, 12);
  vop(kAdd32, w, w, xmm(t));
  vop(kAdd32, w, w, pool(undo, undo));
  const uint8_t d = def_xmm();
  vun_imm(kShuffle, d, xmm(abcd), 0x1b);
  (void)a_.emit(hi::kIdSha1rnds4, xmm(d), xmm(w), Imm(kind));
  vun_imm(kShuffle, d, xmm(d), 0x1b);
  return true;
}

void Emitter::emit_sha1_schedule(const ir::Inst& inst) {
  const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
  const uint8_t t = take_xmm();
  if (inst.op == Op::Sha1Schedule0) {
    const uint8_t c = use_xmm(inst.args[2]);
    vop_imm({hi::kIdShufpd, hi::kIdVshufpd}, t, a, xmm(b), 1);
    vop(kXor, t, t, xmm(c));
    vop(kXor, def_xmm(), t, xmm(a));
    return;
  }
  const uint8_t last = take_xmm(), u = take_xmm(), d = def_xmm();
  vshift({hi::kIdPsrldq, hi::kIdVpsrldq}, t, b, 4);
  vop(kXor, t, t, xmm(a));
  vshift({hi::kIdPslldq, hi::kIdVpslldq}, last, t, 12);
  rotate_left_32(t, 1, u);
  rotate_left_32(last, 2, u);
  vop(kXor, d, t, xmm(last));
}

/// x = rol(x, by) in every 32-bit lane; changes t.
void Emitter::rotate_left_32(uint8_t x, uint32_t by, uint8_t t) {
  if (host_.avx512) {
    (void)a_.emit(hi::kIdVprold, xmm(x), xmm(x), Imm(by));
    return;
  }
  vshift({hi::kIdPsrld, hi::kIdVpsrld}, t, x, 32 - by);
  vshift({hi::kIdPslld, hi::kIdVpslld}, x, x, by);
  vop(kOr, x, x, xmm(t));
}

/// The op that makes the other half of the state in the same four rounds, if it comes soon.
ValueId Emitter::sha256_partner(const ir::Inst& inst) const {
  constexpr ValueId kNear = 32;
  const Op wanted = inst.op == Op::Sha256Hash ? Op::Sha256Hash2 : Op::Sha256Hash;
  for (ValueId i = now_ + 1; i < block_->insts.size() && i < now_ + kNear; ++i) {
    const ir::Inst& other = at(i);
    if (other.op == wanted && plan_[i].needed && plan_[i].root == i &&
        root(other.args[0]) == root(inst.args[1]) && root(other.args[1]) == root(inst.args[0]) &&
        root(other.args[2]) == root(inst.args[2]))
      return i;
  }
  return ir::kNoValue;
}

bool Emitter::emit_sha256_rounds(const ir::Inst& inst) {
  if (!host_.sha) return false;
  const bool second = inst.op == Op::Sha256Hash2;
  if (loc(now_).xmm != kNoReg || loc(now_).home != Home::None) {
    // Made together with its partner.
    touch(now_);
    for (unsigned k = 0; k < 3; ++k) touch(root(inst.args[k]));
    return true;
  }
  constexpr uint8_t kWords = 0;  // where the host wants them
  take_this_xmm(kWords);
  const uint8_t abcd = use_xmm(inst.args[second ? 1 : 0]), efgh = use_xmm(inst.args[second ? 0 : 1]);
  const uint8_t words = use_xmm(inst.args[2]);
  const uint8_t cdgh = take_xmm(), abef = take_xmm();
  vop_imm(kShuffle2, cdgh, efgh, xmm(abcd), 0xbb);
  vop_imm(kShuffle2, abef, efgh, xmm(abcd), 0x11);
  move_xmm(kWords, words);
  (void)a_.emit(hi::kIdSha256rnds2, xmm(cdgh), xmm(abef), x86::xmm0);
  vun_imm(kShuffle, kWords, xmm(words), 0x0e);
  // What was abef is the cdgh of two rounds later.
  (void)a_.emit(hi::kIdSha256rnds2, xmm(abef), xmm(cdgh), x86::xmm0);
  const ValueId partner = sha256_partner(inst);
  if (partner != ir::kNoValue) {
    const uint8_t other = take_xmm();
    vop_imm(kShuffle2, other, abef, xmm(cdgh), second ? 0xbb : 0x11);
    bind_xmm(partner, other);
  }
  vop_imm(kShuffle2, def_xmm(), abef, xmm(cdgh), second ? 0x11 : 0xbb);
  return true;
}

bool Emitter::emit_sha256_schedule(const ir::Inst& inst) {
  if (!host_.sha) return false;
  const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
  if (inst.op == Op::Sha256Schedule0) {
    const uint8_t d = def_xmm();
    move_xmm(d, a);
    (void)a_.emit(hi::kIdSha256msg1, xmm(d), xmm(b));
    return true;
  }
  const uint8_t c = use_xmm(inst.args[2]);
  const uint8_t d = def_xmm();
  vop_imm({hi::kIdPalignr, hi::kIdVpalignr}, d, c, xmm(b), 4);
  vop(kAdd32, d, d, xmm(a));
  (void)a_.emit(hi::kIdSha256msg2, xmm(d), xmm(c));
  return true;
}

/// Names as in ir/eval_crypto.h: w, x, y are the operands, 0 and 1 their halves.
bool Emitter::emit_sha512_rounds(const ir::Inst& inst) {
  if (!host_.bmi2 || !host_.avx) return false;
  const uint8_t w = use_xmm(inst.args[0]), x = use_xmm(inst.args[1]), y = use_xmm(inst.args[2]);
  const auto take = [&] { return gp64(take_gpr()); };
  const Gp y1 = take(), x0 = take(), s = take(), t = take(), u = take();
  const auto half = [&](const Gp& to, uint8_t from, unsigned index) {
    if (index)
      (void)a_.vpextrq(to, xmm(from), 1);
    else
      (void)a_.vmovq(to, xmm(from));
  };
  /// sum += sigma(of) + half of w; changes t and u.
  const auto add = [&](const Gp& sum, const Gp& of, unsigned r0, unsigned r1, unsigned r2, unsigned index) {
    (void)a_.rorx(t, of, r0);
    (void)a_.rorx(u, of, r1);
    (void)a_.xor_(t, u);
    (void)a_.rorx(u, of, r2);
    (void)a_.xor_(t, u);
    (void)a_.add(sum, t);
    half(u, w, index);
    (void)a_.add(sum, u);
  };
  half(y1, y, 1);
  if (inst.op == Op::Sha512Hash) {
    half(x0, x, 0);
    half(t, x, 1);
    (void)a_.mov(s, x0);  // choose(y1, x0, x1)
    (void)a_.xor_(s, t);
    (void)a_.and_(s, y1);
    (void)a_.xor_(s, t);
    add(s, y1, 14, 18, 41, 1);
    const Gp sum = take();
    half(sum, y, 0);
    (void)a_.add(sum, s);
    (void)a_.xor_(y1, x0);  // choose(sum, y1, x0)
    (void)a_.and_(y1, sum);
    (void)a_.xor_(y1, x0);
    add(y1, sum, 14, 18, 41, 0);
  } else {
    const Gp y0 = x0, both = take();
    half(y0, y, 0);
    half(s, x, 0);
    (void)a_.mov(both, y0);
    (void)a_.xor_(both, y1);
    (void)a_.xor_(s, y1);  // majority(x0, y1, y0)
    (void)a_.and_(s, both);
    (void)a_.xor_(s, y1);
    add(s, y0, 28, 34, 39, 1);
    (void)a_.mov(y1, s);  // majority(high, y0, y1)
    (void)a_.xor_(y1, y0);
    (void)a_.and_(y1, both);
    (void)a_.xor_(y1, y0);
    add(y1, s, 28, 34, 39, 0);
  }
  const uint8_t d = def_xmm();
  (void)a_.vmovq(xmm(d), y1);
  (void)a_.vpinsrq(xmm(d), xmm(d), s, 1);
  no_flags();
  return true;
}

void Emitter::emit_sha512_schedule(const ir::Inst& inst) {
  const bool second = inst.op == Op::Sha512Schedule1;
  const uint8_t w = use_xmm(inst.args[0]), x = use_xmm(inst.args[1]);
  const uint8_t of = second ? x : take_xmm(), sum = take_xmm(), t = take_xmm();
  if (!second) vop_imm({hi::kIdPalignr, hi::kIdVpalignr}, of, x, xmm(w), 8);
  vshift({hi::kIdPsrlq, hi::kIdVpsrlq}, sum, of, second ? 6 : 7);
  for (const uint32_t by : {second ? 19u : 1u, second ? 61u : 8u}) {
    if (host_.avx512) {
      (void)a_.emit(hi::kIdVprorq, xmm(t), xmm(of), Imm(by));
      vop(kXor, sum, sum, xmm(t));
      continue;
    }
    vshift({hi::kIdPsrlq, hi::kIdVpsrlq}, t, of, by);
    vop(kXor, sum, sum, xmm(t));
    vshift({hi::kIdPsllq, hi::kIdVpsllq}, t, of, 64 - by);
    vop(kXor, sum, sum, xmm(t));
  }
  constexpr VecOp kAdd64{hi::kIdPaddq, hi::kIdVpaddq};
  vop(kAdd64, sum, sum, xmm(w));
  if (second) vop(kAdd64, sum, sum, xmm(use_xmm(inst.args[2])));
  move_xmm(def_xmm(), sum);
}

bool Emitter::emit_crc(const ir::Inst& inst) {
  const unsigned bytes = inst.aux & 255;
  if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) return false;
  if (!(inst.aux & 256)) return host_.pclmul && emit_crc_ieee(inst, bytes);
  const uint8_t data = use_gpr(inst.args[1]);
  const uint8_t t = copy_gpr(inst.args[0]);
  const Type type = bytes == 1 ? Type::I8 : bytes == 2 ? Type::I16 : bytes == 4 ? Type::I32 : Type::I64;
  (void)a_.crc32(bytes == 8 ? gp64(t) : gp32(t), gp(data, type));
  (void)a_.mov(gp32(def_gpr()), gp32(t));
  return true;
}

namespace {
constexpr uint64_t kIeee = 0xedb88320;  // bit-reflected, without x^32

/// floor(x^96 / P) bit-reflected, without x^64.
constexpr uint64_t ieee_quotient() {
  uint64_t quotient = 0;
  uint32_t rest = static_cast<uint32_t>(kIeee);  // x^32 mod P
  for (unsigned bit = 0; bit < 64; ++bit) {
    const bool one = rest & 1;  // coefficient of x^31
    if (one) quotient |= uint64_t{1} << bit;
    rest = rest >> 1 ^ (one ? static_cast<uint32_t>(kIeee) : 0);
  }
  return quotient;
}
}  // namespace

/// Barrett reduction of (data ^ crc) * x^32 by two carry-less products, bit-reflected.
bool Emitter::emit_crc_ieee(const ir::Inst& inst, unsigned bytes) {
  const uint8_t crc = use_clean(inst.args[0]), data = use_gpr(inst.args[1]);
  const uint8_t t = take_gpr(), u = take_gpr();
  const uint8_t x = take_xmm(), q = take_xmm();
  (void)a_.mov(gp64(t), gp64(data));
  (void)a_.xor_(gp64(t), gp64(crc));
  if (bytes < 8) (void)a_.shl(gp64(t), 64 - 8 * bytes);
  (void)a_.emit(host_.avx ? hi::kIdVmovq : hi::kIdMovq, xmm(x), gp64(t));
  constexpr VecOp kProduct{hi::kIdPclmulqdq, hi::kIdVpclmulqdq};
  const Mem constants = pool(ieee_quotient(), kIeee << 1);
  vop_imm(kProduct, q, x, constants, 0x00);
  vop({hi::kIdPaddq, hi::kIdVpaddq}, q, q, xmm(q));
  vop(kXor, q, q, xmm(x));
  vop_imm(kProduct, q, q, constants, 0x10);
  (void)a_.emit(host_.avx ? hi::kIdVpextrd : hi::kIdPextrd, gp32(t), xmm(q), Imm(2));
  if (bytes < 4) {
    (void)a_.mov(gp32(u), gp32(crc));
    (void)a_.shr(gp32(u), 8 * bytes);
    (void)a_.xor_(gp32(t), gp32(u));
  }
  (void)a_.mov(gp32(def_gpr()), gp32(t));
  no_flags();
  return true;
}

}  // namespace lyrebird::jit::baseline
