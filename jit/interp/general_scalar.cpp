// SPDX-License-Identifier: Apache-2.0
// Lane1..3 ops on scalars.
#include "jit/interp/general.h"

namespace lyrebird::jit::interp {

using ir::Op;
using ir::Type;
using ir::eval::LaneOp;

namespace {

template <Op kOp, Type kElem>
LYREBIRD_HANDLER_ABI void scalar(LYREBIRD_HANDLER_ARGS) {
  constexpr unsigned kArgs = LaneOp<kOp>::kArgs;
  const auto operand = [&](uint16_t at) { return load_value<kElem>(at, frame, state); };
  const auto result = [&] {
    if constexpr (kArgs == 1)
      return LaneOp<kOp>::template apply<Host<kElem>>(operand(op->a));
    else if constexpr (kArgs == 2)
      return LaneOp<kOp>::template apply<Host<kElem>>(operand(op->a), operand(op->b));
    else
      return LaneOp<kOp>::template apply<Host<kElem>>(operand(op->a), operand(op->b), operand(op->c));
  }();
  store<ir::is_int(kElem)>(Anywhere::at(op->d, frame, state), result);
  LYREBIRD_NEXT(1);
}

template <Op kOp>
Handler select(Type elem) {
  if constexpr (kOp == Op::FAbs || kOp == Op::FNeg) {
    return pick_type<Type::F16, Type::F32, Type::F64, Type::F80>(
        elem, []<Type kElem>() -> Handler { return scalar<kOp, kElem>; });
  } else if constexpr (LaneOp<kOp>::kArgs != 0) {
    return pick_type<Type::I1, Type::I8, Type::I16, Type::I32, Type::I64, Type::I128>(
        elem, []<Type kElem>() -> Handler {
          if constexpr (ir::has_lanes_of(kOp, ir::bit_width(kElem)))
            return scalar<kOp, kElem>;
          else
            return nullptr;
        });
  } else {
    return nullptr;
  }
}

constexpr Handler (*kSelect[])(Type) = {
#define OP(name, kind, signature, effects, meaning) select<Op::name>,
#include "ir/ops.inc"
};

}  // namespace

Handler select_scalar(const ir::Inst& inst) {
  if (ir::is_vector(inst.type)) return nullptr;
  return kSelect[static_cast<unsigned>(inst.op)](inst.elem);
}

}  // namespace lyrebird::jit::interp
