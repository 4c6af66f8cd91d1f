// SPDX-License-Identifier: Apache-2.0
// Pure ops with operand types of their own, and select_general().
#include "jit/interp/general.h"

namespace lyrebird::jit::interp {

using ir::Op;
using ir::Type;

namespace {

#define LYREBIRD_LOAD(type, which) load_value<type>(op->which, frame, state)
#define LYREBIRD_RESULT(type, expression)         \
  const Host<type> result = expression;           \
  store_value<type>(op->d, frame, state, result); \
  LYREBIRD_NEXT(1)

template <Type kType>
LYREBIRD_HANDLER_ABI void select_value(LYREBIRD_HANDLER_ARGS) {
  const bool condition = LYREBIRD_LOAD(Type::I1, a);
  LYREBIRD_RESULT(kType, ir::eval::Select(condition, LYREBIRD_LOAD(kType, b), LYREBIRD_LOAD(kType, c)));
}

template <Op kOp, Type kElem>
LYREBIRD_HANDLER_ABI void carries(LYREBIRD_HANDLER_ARGS) {
  const auto a = LYREBIRD_LOAD(kElem, a), b = LYREBIRD_LOAD(kElem, b);
  if constexpr (kOp == Op::AddWithCarry) {
    LYREBIRD_RESULT(kElem, ir::eval::AddWithCarry(a, b, LYREBIRD_LOAD(Type::I1, c)));
  } else if constexpr (kOp == Op::SubWithBorrow) {
    LYREBIRD_RESULT(kElem, ir::eval::SubWithBorrow(a, b, LYREBIRD_LOAD(Type::I1, c)));
  } else if constexpr (kOp == Op::CarryOfAdd) {
    LYREBIRD_RESULT(Type::I1, ir::eval::CarryOfAdd(a, b, LYREBIRD_LOAD(Type::I1, c)));
  } else if constexpr (kOp == Op::OverflowOfAdd) {
    LYREBIRD_RESULT(Type::I1, ir::eval::OverflowOfAdd(a, b, LYREBIRD_LOAD(Type::I1, c)));
  } else {
    LYREBIRD_RESULT(Type::I1, ir::eval::OverflowOfSub(a, b));
  }
}

template <Op kOp, Type kElem>
LYREBIRD_HANDLER_ABI void status(LYREBIRD_HANDLER_ARGS) {
  const auto a = LYREBIRD_LOAD(kElem, a);
  if constexpr (kOp == Op::StatusOfValue) {
    LYREBIRD_RESULT(Type::I16, ir::eval::StatusOfValue(a, op->aux));
  } else if constexpr (kOp == Op::StatusOfOrder) {
    LYREBIRD_RESULT(Type::I16, ir::eval::StatusOfOrder(a, LYREBIRD_LOAD(kElem, b), op->aux));
  } else if constexpr (kOp == Op::StatusOfShift) {
    LYREBIRD_RESULT(
        Type::I16, ir::eval::StatusOfShift(a, LYREBIRD_LOAD(kElem, b), LYREBIRD_LOAD(Type::I16, c), op->aux));
  } else if constexpr (kOp == Op::StatusOfStep) {
    LYREBIRD_RESULT(Type::I16, ir::eval::StatusOfStep(a, LYREBIRD_LOAD(Type::I16, b), op->aux));
  } else if constexpr (kOp == Op::StatusOfAdd) {
    LYREBIRD_RESULT(Type::I16,
                    ir::eval::StatusOfAdd(a, LYREBIRD_LOAD(kElem, b), LYREBIRD_LOAD(Type::I1, c), op->aux));
  } else {
    LYREBIRD_RESULT(Type::I16,
                    ir::eval::StatusOfSub(a, LYREBIRD_LOAD(kElem, b), LYREBIRD_LOAD(Type::I1, c), op->aux));
  }
}

template <Op kOp, Type kType>
LYREBIRD_HANDLER_ABI void divide_wide(LYREBIRD_HANDLER_ARGS) {
  const auto low = LYREBIRD_LOAD(kType, a), high = LYREBIRD_LOAD(kType, b), by = LYREBIRD_LOAD(kType, c);
  if constexpr (kOp == Op::DivWideU) {
    LYREBIRD_RESULT(kType, ir::eval::DivWideU(low, high, by));
  } else if constexpr (kOp == Op::RemWideU) {
    LYREBIRD_RESULT(kType, ir::eval::RemWideU(low, high, by));
  } else if constexpr (kOp == Op::DivWideS) {
    LYREBIRD_RESULT(kType, ir::eval::DivWideS(low, high, by));
  } else {
    LYREBIRD_RESULT(kType, ir::eval::RemWideS(low, high, by));
  }
}

template <Op kOp, Type kFrom, Type kTo>
LYREBIRD_HANDLER_ABI void convert(LYREBIRD_HANDLER_ARGS) {
  const auto a = LYREBIRD_LOAD(kFrom, a);
  if constexpr (kOp == Op::ZExt) {
    LYREBIRD_RESULT(kTo, ir::eval::ZExt<Host<kTo>>(a));
  } else if constexpr (kOp == Op::SExt) {
    LYREBIRD_RESULT(kTo, ir::eval::SExt<Host<kTo>>(a));
  } else {
    LYREBIRD_RESULT(kTo, ir::eval::Trunc<Host<kTo>>(a));
  }
}

template <Op kOp>
Handler select_convert(Type from, Type to) {
  return pick_type<Type::I1, Type::I8, Type::I16, Type::I32, Type::I64, Type::I128>(
      from, [&]<Type kFrom>() -> Handler {
        return pick_type<Type::I1, Type::I8, Type::I16, Type::I32, Type::I64, Type::I128>(
            to, []<Type kTo>() -> Handler {
              constexpr bool kFits = kOp == Op::Trunc ? kTo < kFrom : kFrom < kTo;
              if constexpr (kFits)
                return convert<kOp, kFrom, kTo>;
              else
                return nullptr;
            });
      });
}

LYREBIRD_HANDLER_ABI void pair64(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_RESULT(Type::I128, ir::eval::Pair64(LYREBIRD_LOAD(Type::I64, a), LYREBIRD_LOAD(Type::I64, b)));
}

LYREBIRD_HANDLER_ABI void crc32_64(LYREBIRD_HANDLER_ARGS) {
  const uint32_t accumulator = LYREBIRD_LOAD(Type::I32, a);
  LYREBIRD_RESULT(Type::I32, ir::eval::Crc32(accumulator, LYREBIRD_LOAD(Type::I64, b), op->aux));
}

template <Type kElem, Type kVector, bool kSplat>
LYREBIRD_HANDLER_ABI void from_scalar(LYREBIRD_HANDLER_ARGS) {
  constexpr unsigned kBytes = ir::byte_size(kVector);
  const auto a = LYREBIRD_LOAD(kElem, a);
  if constexpr (kSplat) {
    LYREBIRD_RESULT(kVector, (ir::eval::Splat<Host<kElem>, kBytes>(a)));
  } else {
    LYREBIRD_RESULT(kVector, (ir::eval::VecFromScalar<Host<kElem>, kBytes>(a)));
  }
}

template <typename U, Type kVector>
LYREBIRD_HANDLER_ABI void insert_lane(LYREBIRD_HANDLER_ARGS) {
  const auto a = LYREBIRD_LOAD(kVector, a);
  const U lane = load<U>(Anywhere::at(op->b, frame, state));
  LYREBIRD_RESULT(kVector, (ir::eval::InsertLane<U, ir::byte_size(kVector)>(a, lane, op->imm)));
}

template <Type kFrom, Type kTo>
LYREBIRD_HANDLER_ABI void resize(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_RESULT(kTo, (ir::eval::Resize<ir::byte_size(kTo)>(LYREBIRD_LOAD(kFrom, a))));
}

template <Type kHalf, Type kWhole>
LYREBIRD_HANDLER_ABI void concat(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_RESULT(kWhole, ir::eval::Concat(LYREBIRD_LOAD(kHalf, a), LYREBIRD_LOAD(kHalf, b)));
}

template <Type kVector>
LYREBIRD_HANDLER_ABI void any_bit(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_RESULT(Type::I1, ir::eval::AnyBit(LYREBIRD_LOAD(kVector, a)));
}

template <typename U, Type kVector>
LYREBIRD_HANDLER_ABI void sign_bits(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_RESULT(Type::I32, ir::eval::SignBits<U>(LYREBIRD_LOAD(kVector, a)));
}

template <Op kOp, typename U, Type kFrom, Type kTo>
LYREBIRD_HANDLER_ABI void narrow(LYREBIRD_HANDLER_ARGS) {
  const auto a = LYREBIRD_LOAD(kFrom, a);
  if constexpr (kOp == Op::Narrow) {
    LYREBIRD_RESULT(kTo, ir::eval::Narrow<U>(a));
  } else if constexpr (kOp == Op::NarrowSatS) {
    LYREBIRD_RESULT(kTo, ir::eval::NarrowSatS<U>(a));
  } else if constexpr (kOp == Op::NarrowSatU) {
    LYREBIRD_RESULT(kTo, ir::eval::NarrowSatU<U>(a));
  } else {
    LYREBIRD_RESULT(kTo, ir::eval::NarrowSatSU<U>(a));
  }
}

template <Op kOp, Type kElem, Type kVector>
LYREBIRD_HANDLER_ABI void reduce(LYREBIRD_HANDLER_ARGS) {
  using U = Host<kElem>;
  const auto a = LYREBIRD_LOAD(kVector, a);
  if constexpr (kOp == Op::ReduceAdd) {
    LYREBIRD_RESULT(kElem, ir::eval::ReduceAdd<U>(a));
  } else if constexpr (kOp == Op::ReduceMinS) {
    LYREBIRD_RESULT(kElem, ir::eval::ReduceMinS<U>(a));
  } else if constexpr (kOp == Op::ReduceMaxS) {
    LYREBIRD_RESULT(kElem, ir::eval::ReduceMaxS<U>(a));
  } else if constexpr (kOp == Op::ReduceMinU) {
    LYREBIRD_RESULT(kElem, ir::eval::ReduceMinU<U>(a));
  } else {
    LYREBIRD_RESULT(kElem, ir::eval::ReduceMaxU<U>(a));
  }
}

Handler select_from_scalar(Type elem, Type vector, bool splat) {
  return pick_type<Type::I8, Type::I16, Type::I32, Type::I64, Type::I128, Type::F16, Type::F32, Type::F64>(
      elem, [&]<Type kElem>() -> Handler {
        return pick_type<Type::V64, Type::V128, Type::V256>(vector, [&]<Type kVector>() -> Handler {
          if constexpr (ir::byte_size(kElem) <= ir::byte_size(kVector))
            return splat ? from_scalar<kElem, kVector, true> : from_scalar<kElem, kVector, false>;
          else
            return nullptr;
        });
      });
}

Handler select_insert_lane(Type elem, Type vector) {
  return pick_type<Type::V64, Type::V128, Type::V256>(vector, [&]<Type kVector>() -> Handler {
    switch (ir::bit_width(elem)) {
      case 8:
        return insert_lane<uint8_t, kVector>;
      case 16:
        return insert_lane<uint16_t, kVector>;
      case 32:
        return insert_lane<uint32_t, kVector>;
      case 64:
        return insert_lane<uint64_t, kVector>;
      case 128:
        if constexpr (ir::byte_size(kVector) >= 16) return insert_lane<u128, kVector>;
        return nullptr;
      default:
        return nullptr;
    }
  });
}

Handler select_sign_bits(Type elem, Type vector) {
  return pick_type<Type::V64, Type::V128, Type::V256>(vector, [&]<Type kVector>() -> Handler {
    switch (ir::bit_width(elem)) {
      case 8:
        return sign_bits<uint8_t, kVector>;
      case 16:
        return sign_bits<uint16_t, kVector>;
      case 32:
        return sign_bits<uint32_t, kVector>;
      case 64:
        return sign_bits<uint64_t, kVector>;
      default:
        return nullptr;
    }
  });
}

template <Op kOp>
Handler select_narrow(Type to, Type elem) {
  const auto sized = [&]<Type kFrom, Type kTo>() -> Handler {
    const unsigned bits = ir::bit_width(elem);
    return bits == 16   ? narrow<kOp, uint16_t, kFrom, kTo>
           : bits == 32 ? narrow<kOp, uint32_t, kFrom, kTo>
           : bits == 64 ? narrow<kOp, uint64_t, kFrom, kTo>
                        : nullptr;
  };
  if (to == Type::V64) return sized.template operator()<Type::V128, Type::V64>();
  if (to == Type::V128) return sized.template operator()<Type::V256, Type::V128>();
  return nullptr;
}

template <Op kOp>
Handler select_reduce(Type elem, Type vector) {
  return pick_type<Type::I8, Type::I16, Type::I32, Type::I64>(elem, [&]<Type kElem>() -> Handler {
    return pick_type<Type::V64, Type::V128, Type::V256>(
        vector, []<Type kVector>() -> Handler { return reduce<kOp, kElem, kVector>; });
  });
}

template <Op kOp>
Handler select_carries(Type elem) {
  return pick_type<Type::I8, Type::I16, Type::I32, Type::I64, Type::I128>(
      elem, []<Type kElem>() -> Handler { return carries<kOp, kElem>; });
}

template <Op kOp>
Handler select_status(Type elem) {
  return pick_type<Type::I8, Type::I16, Type::I32, Type::I64>(
      elem, []<Type kElem>() -> Handler { return status<kOp, kElem>; });
}

template <Op kOp>
Handler select_divide_wide(Type type) {
  return pick_type<Type::I8, Type::I16, Type::I32, Type::I64>(
      type, []<Type kType>() -> Handler { return divide_wide<kOp, kType>; });
}

}  // namespace

Handler select_special(const ir::Inst& inst, Type operand) {
  const Type type = inst.type, elem = inst.elem;
  switch (inst.op) {
    case Op::Select:
      return pick_type<Type::I1, Type::I8, Type::I16, Type::I32, Type::I64, Type::I128, Type::F16, Type::F32,
                       Type::F64, Type::F80, Type::V64, Type::V128, Type::V256>(
          type, []<Type kType>() -> Handler { return select_value<kType>; });
    case Op::AddWithCarry:
      return select_carries<Op::AddWithCarry>(elem);
    case Op::SubWithBorrow:
      return select_carries<Op::SubWithBorrow>(elem);
    case Op::CarryOfAdd:
      return select_carries<Op::CarryOfAdd>(elem);
    case Op::OverflowOfAdd:
      return select_carries<Op::OverflowOfAdd>(elem);
    case Op::OverflowOfSub:
      return select_carries<Op::OverflowOfSub>(elem);
    case Op::StatusOfAdd:
      return select_status<Op::StatusOfAdd>(elem);
    case Op::StatusOfSub:
      return select_status<Op::StatusOfSub>(elem);
    case Op::StatusOfValue:
      return select_status<Op::StatusOfValue>(elem);
    case Op::StatusOfShift:
      return select_status<Op::StatusOfShift>(elem);
    case Op::StatusOfStep:
      return select_status<Op::StatusOfStep>(elem);
    case Op::StatusOfOrder:
      return status<Op::StatusOfOrder, Type::I8>;
    case Op::DivWideU:
      return select_divide_wide<Op::DivWideU>(type);
    case Op::RemWideU:
      return select_divide_wide<Op::RemWideU>(type);
    case Op::DivWideS:
      return select_divide_wide<Op::DivWideS>(type);
    case Op::RemWideS:
      return select_divide_wide<Op::RemWideS>(type);
    case Op::ZExt:
      return select_convert<Op::ZExt>(operand, type);
    case Op::SExt:
      return select_convert<Op::SExt>(operand, type);
    case Op::Trunc:
      return select_convert<Op::Trunc>(operand, type);
    case Op::Pair64:
      return pair64;
    case Op::Crc32:
      return crc32_64;
    case Op::Splat:
      return select_from_scalar(elem, type, true);
    case Op::VecFromScalar:
      return select_from_scalar(elem, type, false);
    case Op::InsertLane:
      return select_insert_lane(elem, type);
    case Op::Resize:
      if (operand == Type::V64)
        return type == Type::V128 ? resize<Type::V64, Type::V128> : resize<Type::V64, Type::V256>;
      return resize<Type::V128, Type::V256>;
    case Op::Concat:
      return type == Type::V128 ? concat<Type::V64, Type::V128> : concat<Type::V128, Type::V256>;
    case Op::AnyBit:
      return pick_type<Type::V64, Type::V128, Type::V256>(
          operand, []<Type kVector>() -> Handler { return any_bit<kVector>; });
    case Op::SignBits:
      return select_sign_bits(elem, operand);
    case Op::Narrow:
      return select_narrow<Op::Narrow>(type, elem);
    case Op::NarrowSatS:
      return select_narrow<Op::NarrowSatS>(type, elem);
    case Op::NarrowSatU:
      return select_narrow<Op::NarrowSatU>(type, elem);
    case Op::NarrowSatSU:
      return select_narrow<Op::NarrowSatSU>(type, elem);
    case Op::ReduceAdd:
      return select_reduce<Op::ReduceAdd>(elem, operand);
    case Op::ReduceMinS:
      return select_reduce<Op::ReduceMinS>(elem, operand);
    case Op::ReduceMaxS:
      return select_reduce<Op::ReduceMaxS>(elem, operand);
    case Op::ReduceMinU:
      return select_reduce<Op::ReduceMinU>(elem, operand);
    case Op::ReduceMaxU:
      return select_reduce<Op::ReduceMaxU>(elem, operand);
    default:
      return nullptr;
  }
}

Handler select_general(const ir::Inst& inst, Type operand_type) {
  if (const Handler handler = select_special(inst, operand_type)) return handler;
  if (const Handler handler = select_scalar(inst)) return handler;
  if (const Handler handler = select_lanes(inst)) return handler;
  if (const Handler handler = select_whole(inst)) return handler;
  return select_float(inst, operand_type);
}

}  // namespace lyrebird::jit::interp
