// SPDX-License-Identifier: Apache-2.0
// Vec1..3 ops.
#include "jit/interp/general.h"

namespace lyrebird::jit::interp {

using ir::Op;
using ir::Type;
using ir::eval::Vec;
using ir::eval::WholeOp;

namespace {

template <Op kOp, typename U, Type kVector>
LYREBIRD_HANDLER_ABI void whole(LYREBIRD_HANDLER_ARGS) {
  constexpr unsigned kArgs = WholeOp<kOp>::kArgs;
  constexpr unsigned kBytes = ir::byte_size(kVector);
  const auto operand = [&](uint16_t at) { return load_value<kVector>(at, frame, state); };
  const auto result = [&] {
    using W = WholeOp<kOp>;
    if constexpr (kArgs == 1)
      return W::template apply<U, kBytes>(operand(op->a), op->imm);
    else if constexpr (kArgs == 2)
      return W::template apply<U, kBytes>(operand(op->a), operand(op->b), op->imm);
    else
      return W::template apply<U, kBytes>(operand(op->a), operand(op->b), operand(op->c), op->imm);
  }();
  store_value<kVector>(op->d, frame, state, result);
  LYREBIRD_NEXT(1);
}

template <Op kOp, typename U, Type kVector>
constexpr Handler whole_if_there() {
  using W = WholeOp<kOp>;
  using V = Vec<ir::byte_size(kVector)>;
  constexpr unsigned kBytes = ir::byte_size(kVector);
  if constexpr (W::kArgs == 1) {
    if constexpr (requires(V v, uint64_t imm) { W::template apply<U, kBytes>(v, imm); })
      return whole<kOp, U, kVector>;
  } else if constexpr (W::kArgs == 2) {
    if constexpr (requires(V v, uint64_t imm) { W::template apply<U, kBytes>(v, v, imm); })
      return whole<kOp, U, kVector>;
  } else {
    if constexpr (requires(V v, uint64_t imm) { W::template apply<U, kBytes>(v, v, v, imm); })
      return whole<kOp, U, kVector>;
  }
  return nullptr;
}

/// Ops whose lanes are fixed: elem says nothing.
constexpr bool has_own_lanes(Op op) {
  return op == Op::ByteExtract || op == Op::TableLookup || (op >= Op::ClMul && op <= Op::Sha512Schedule1);
}

template <Op kOp>
Handler select(Type vector, Type elem) {
  if constexpr (WholeOp<kOp>::kArgs != 0) {
    return pick_type<Type::V64, Type::V128, Type::V256>(vector, [&]<Type kVector>() -> Handler {
      if constexpr (has_own_lanes(kOp)) {
        return whole_if_there<kOp, uint8_t, kVector>();
      } else {
        switch (ir::bit_width(elem)) {
          case 8:
            return whole_if_there<kOp, uint8_t, kVector>();
          case 16:
            return whole_if_there<kOp, uint16_t, kVector>();
          case 32:
            return whole_if_there<kOp, uint32_t, kVector>();
          case 64:
            return whole_if_there<kOp, uint64_t, kVector>();
          default:
            return nullptr;
        }
      }
    });
  } else {
    return nullptr;
  }
}

constexpr Handler (*kSelect[])(Type, Type) = {
#define OP(name, kind, signature, effects, meaning) select<Op::name>,
#include "ir/ops.inc"
};

}  // namespace

Handler select_whole(const ir::Inst& inst) {
  return kSelect[static_cast<unsigned>(inst.op)](inst.type, inst.elem);
}

}  // namespace lyrebird::jit::interp
