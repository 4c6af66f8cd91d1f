// SPDX-License-Identifier: Apache-2.0
/// The one executable meaning of every pure op of ops.inc, as templates that the
/// interpreter instantiates, the folder and the tests call (ir/eval_inst.h), and
/// both JITs are tested against.
///
///   Lane1..3   U Foo(U a[, U b[, U c]]) on raw lane bits; compares give bool.
///              U = bool is I1. Vectors: map_lanes<U, N>(Foo<U>, a, b).
///   Fp1..3     U Foo(U a[, U b[, U c]], FpEnv&[, extra]) likewise (ir/fp_eval.h)
///   Vec1..3    Vec<N> Foo<U, N>(a[, b[, c]], imm)
///   Special    as its row says, see the function
///
/// eval_scalar.h, eval_vector.h, eval_crypto.h, eval_fp_vector.h and fp_eval.h
/// hold them.
#pragma once

#include "ir/eval_crypto.h"
#include "ir/eval_fp_vector.h"
#include "ir/eval_scalar.h"
#include "ir/eval_vector.h"
#include "ir/typing.h"

namespace lyrebird::ir::eval {

template <typename U>
inline constexpr unsigned kLaneBits = std::is_same_v<U, Float80> ? 80 : kBits<U>;

/// The lane function of an op as a type: LaneOp<Op::Add>::apply<uint32_t>(a, b),
/// for code that is generic over the op. kArgs is the number of operands, 0 for
/// ops of other kinds.
template <Op op>
struct LaneOp {
  static constexpr unsigned kArgs = 0;
};
/// The same for Vec1..3: WholeOp<Op::ZipLo>::apply<uint8_t, 16>(a, b, imm).
template <Op op>
struct WholeOp {
  static constexpr unsigned kArgs = 0;
};

/// The same for Fp1..3: FpLaneOp<Op::FAdd>::apply(a, b, env). FRoundInt has its
/// `extra` after env; FWidenLo and FWidenHi are not lane by lane: see there.
template <Op op>
struct FpLaneOp {
  static constexpr unsigned kArgs = 0;
};

#define LYREBIRD_EVAL_FP(name, count)                            \
  template <>                                                    \
  struct FpLaneOp<Op::name> {                                    \
    static constexpr unsigned kArgs = count;                     \
    template <typename... Args>                                  \
      requires requires(Args&&... args) { eval::name(args...); } \
    [[gnu::always_inline]] static auto apply(Args&&... args) {   \
      return eval::name(args...);                                \
    }                                                            \
  };
#define LYREBIRD_EVAL_LANE(name, count)                                     \
  template <>                                                               \
  struct LaneOp<Op::name> {                                                 \
    static constexpr unsigned kArgs = count;                                \
    template <typename U, typename... Rest>                                 \
      requires(has_lanes_of(Op::name, kLaneBits<U>))                        \
    [[gnu::always_inline]] static constexpr auto apply(U a, Rest... rest) { \
      return eval::name(a, rest...);                                        \
    }                                                                       \
  };
#define LYREBIRD_EVAL_WHOLE(name, count)                                                        \
  template <>                                                                                   \
  struct WholeOp<Op::name> {                                                                    \
    static constexpr unsigned kArgs = count;                                                    \
    template <typename U, unsigned N, typename... Rest>                                         \
      requires requires(const Vec<N>& a, const Rest&... rest) { eval::name<U, N>(a, rest...); } \
    [[gnu::always_inline]] static Vec<N> apply(const Vec<N>& a, const Rest&... rest) {          \
      return eval::name<U, N>(a, rest...);                                                      \
    }                                                                                           \
  };
#define LYREBIRD_EVAL_Lane1(name) LYREBIRD_EVAL_LANE(name, 1)
#define LYREBIRD_EVAL_Lane2(name) LYREBIRD_EVAL_LANE(name, 2)
#define LYREBIRD_EVAL_Lane3(name) LYREBIRD_EVAL_LANE(name, 3)
#define LYREBIRD_EVAL_Fp1(name) LYREBIRD_EVAL_FP(name, 1)
#define LYREBIRD_EVAL_Fp2(name) LYREBIRD_EVAL_FP(name, 2)
#define LYREBIRD_EVAL_Fp3(name) LYREBIRD_EVAL_FP(name, 3)
#define LYREBIRD_EVAL_Vec1(name) LYREBIRD_EVAL_WHOLE(name, 1)
#define LYREBIRD_EVAL_Vec2(name) LYREBIRD_EVAL_WHOLE(name, 2)
#define LYREBIRD_EVAL_Vec3(name) LYREBIRD_EVAL_WHOLE(name, 3)
#define LYREBIRD_EVAL_Special(name)
#define OP(name, kind, signature, effects, meaning) LYREBIRD_EVAL_##kind(name)
#include "ir/ops.inc"
#undef LYREBIRD_EVAL_LANE
#undef LYREBIRD_EVAL_FP
#undef LYREBIRD_EVAL_WHOLE
#undef LYREBIRD_EVAL_Lane1
#undef LYREBIRD_EVAL_Lane2
#undef LYREBIRD_EVAL_Lane3
#undef LYREBIRD_EVAL_Fp1
#undef LYREBIRD_EVAL_Fp2
#undef LYREBIRD_EVAL_Fp3
#undef LYREBIRD_EVAL_Vec1
#undef LYREBIRD_EVAL_Vec2
#undef LYREBIRD_EVAL_Vec3
#undef LYREBIRD_EVAL_Special

}  // namespace lyrebird::ir::eval
