// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/simd_lifter.h"

namespace lyrebird::arm::a64 {
namespace {

using B = ir::Builder;

struct Crypto : SimdLifter {
  using SimdLifter::SimdLifter;

  /// SHA-1 rounds: the hash e is a scalar in n.
  bool sha1(Vreg m, Vreg n, Vreg d, Vec3 op) {
    set_v(d, (ir.*op)(v(d), v(n), v(m), I32, 0));
    return true;
  }
  /// d = op(d, n, m)
  bool three(Vreg m, Vreg n, Vreg d, Type lane, Vec3 op) {
    set_v(d, (ir.*op)(v(d), v(n), v(m), lane, 0));
    return true;
  }
  /// d = op(d, n)
  bool two(Vreg n, Vreg d, Type lane, Vec2 op) {
    set_v(d, (ir.*op)(v(d), v(n), lane, 0));
    return true;
  }
  bool one(Value a, Vreg d, Vec1 op) {
    set_v(d, (ir.*op)(a, I8, 0));
    return true;
  }

  bool AESE(Vreg n, Vreg d) { return one(ir.Xor(v(d), v(n), I64), d, &B::AesSubShift); }
  bool AESD(Vreg n, Vreg d) { return one(ir.Xor(v(d), v(n), I64), d, &B::AesInvSubShift); }
  bool AESMC(Vreg n, Vreg d) { return one(v(n), d, &B::AesMixColumns); }
  bool AESIMC(Vreg n, Vreg d) { return one(v(n), d, &B::AesInvMixColumns); }

  bool SHA1C(Vreg m, Vreg n, Vreg d) { return sha1(m, n, d, &B::Sha1Choose); }
  bool SHA1P(Vreg m, Vreg n, Vreg d) { return sha1(m, n, d, &B::Sha1Parity); }
  bool SHA1M(Vreg m, Vreg n, Vreg d) { return sha1(m, n, d, &B::Sha1Majority); }
  bool SHA1H(Vreg n, Vreg d) {
    set_v(d, ir.RotR(v_scalar(n, I32), imm(I32, 2)));
    return true;
  }
  bool SHA1SU0(Vreg m, Vreg n, Vreg d) { return three(m, n, d, I32, &B::Sha1Schedule0); }
  bool SHA1SU1(Vreg n, Vreg d) { return two(n, d, I32, &B::Sha1Schedule1); }
  bool SHA256H(Vreg m, Vreg n, Vreg d) { return three(m, n, d, I32, &B::Sha256Hash); }
  bool SHA256H2(Vreg m, Vreg n, Vreg d) { return three(m, n, d, I32, &B::Sha256Hash2); }
  bool SHA256SU0(Vreg n, Vreg d) { return two(n, d, I32, &B::Sha256Schedule0); }
  bool SHA256SU1(Vreg m, Vreg n, Vreg d) { return three(m, n, d, I32, &B::Sha256Schedule1); }
  bool SHA512H(Vreg m, Vreg n, Vreg d) { return three(m, n, d, I64, &B::Sha512Hash); }
  bool SHA512H2(Vreg m, Vreg n, Vreg d) { return three(m, n, d, I64, &B::Sha512Hash2); }
  bool SHA512SU0(Vreg n, Vreg d) { return two(n, d, I64, &B::Sha512Schedule0); }
  bool SHA512SU1(Vreg m, Vreg n, Vreg d) { return three(m, n, d, I64, &B::Sha512Schedule1); }

  bool EOR3(Vreg m, Vreg a, Vreg n, Vreg d) {
    set_v(d, ir.Xor(v(n), ir.Xor(v(m), v(a), I64), I64));
    return true;
  }
  bool BCAX(Vreg m, Vreg a, Vreg n, Vreg d) {
    set_v(d, ir.Xor(v(n), ir.AndNot(v(m), v(a), I64), I64));
    return true;
  }
  bool RAX1(Vreg m, Vreg n, Vreg d) {
    set_v(d, ir.Xor(v(n), ir.RotR(v(m), ir.ConstSplat(V128, I64, 63), I64), I64));
    return true;
  }
  bool XAR(Vreg m, Imm<6> amount, Vreg n, Vreg d) {
    set_v(d, ir.RotR(ir.Xor(v(n), v(m), I64), ir.ConstSplat(V128, I64, amount), I64));
    return true;
  }
};

#define A64_CHAPTER Crypto
constexpr Row kRows[] = {
#include "frontend/arm/a64/crypto.inc"
};

}  // namespace

std::span<const Row> crypto_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
