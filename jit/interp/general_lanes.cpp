// SPDX-License-Identifier: Apache-2.0
// Lane1..3 ops on vectors.
#include "ir/typing.h"
#include "jit/interp/general.h"

namespace lyrebird::jit::interp {

using ir::Op;
using ir::Type;
using ir::eval::LaneOp;

namespace {

template <Op kOp, typename U, Type kVector>
LYREBIRD_HANDLER_ABI void lanes(LYREBIRD_HANDLER_ARGS) {
  constexpr unsigned kArgs = LaneOp<kOp>::kArgs;
  constexpr unsigned kBytes = ir::byte_size(kVector);
  const auto operand = [&](uint16_t at) { return load_value<kVector>(at, frame, state); };
  const auto f = [](auto... x) { return LaneOp<kOp>::template apply<U>(x...); };
  const auto result = [&] {
    if constexpr (kArgs == 1)
      return ir::eval::map_lanes<U, kBytes>(f, operand(op->a));
    else if constexpr (kArgs == 2)
      return ir::eval::map_lanes<U, kBytes>(f, operand(op->a), operand(op->b));
    else
      return ir::eval::map_lanes<U, kBytes>(f, operand(op->a), operand(op->b), operand(op->c));
  }();
  store_value<kVector>(op->d, frame, state, result);
  LYREBIRD_NEXT(1);
}

template <Op kOp, typename U, Type kVector>
constexpr Handler lanes_if_there() {
  if constexpr (ir::has_lanes_of(kOp, 8 * sizeof(U)))
    return lanes<kOp, U, kVector>;
  else
    return nullptr;
}

template <Op kOp>
Handler select(Type vector, Type elem) {
  if constexpr (LaneOp<kOp>::kArgs != 0) {
    return pick_type<Type::V64, Type::V128, Type::V256>(vector, [&]<Type kVector>() -> Handler {
      // Lanes are bags of bits here, whatever their type.
      switch (ir::bit_width(elem)) {
        case 8:
          return lanes_if_there<kOp, uint8_t, kVector>();
        case 16:
          return lanes_if_there<kOp, uint16_t, kVector>();
        case 32:
          return lanes_if_there<kOp, uint32_t, kVector>();
        case 64:
          return lanes_if_there<kOp, uint64_t, kVector>();
        default:
          return nullptr;
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

Handler select_lanes(const ir::Inst& inst) {
  if (!ir::is_vector(inst.type)) return nullptr;
  return kSelect[static_cast<unsigned>(inst.op)](inst.type, ir::lane_type(inst));
}

}  // namespace lyrebird::jit::interp
