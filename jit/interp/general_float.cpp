// SPDX-License-Identifier: Apache-2.0
// Floating-point ops. Each handler exists twice: for the mode that nearly all code
// runs in, as a compile-time constant, and for any other.
#include "ir/f80_functions.h"
#include "jit/interp/general.h"

namespace lyrebird::jit::interp {

using ir::FpMode;
using ir::Op;
using ir::Type;
using ir::eval::FpEnv;
using ir::eval::FpLaneOp;

namespace {

/// Starts from the flags that the guest has collected and stores them back; those of operations on
/// F80 are apart.
template <bool kCommonMode, bool kF80 = false>
class Flags {
 public:
  Flags(const Code* op, uint8_t* state)
      : header_(*reinterpret_cast<ir::CpuHeader*>(state)),
        env{kCommonMode ? FpMode{} : FpMode::unpack(op->aux), kF80 ? 0 : header_.fp_flags} {
    if constexpr (kF80) {
      env.extra = op->aux >> ir::kFpModeBits;
      env.notes_rounding = true;
    }
  }
  void keep() {
    if (env.mode.no_flags) return;
    if constexpr (kF80)
      add_f80_flags(header_, env.flags);
    else
      header_.fp_flags = env.flags;
  }

 private:
  ir::CpuHeader& header_;

 public:
  FpEnv env;
};

uint32_t extra_of(const Code* op) { return op->aux >> ir::kFpModeBits; }

/// A handler whose result is f(op, env, operand) where operand.template get<type>(op->a) loads.
#define LYREBIRD_FLOAT_HANDLER(type, expression)                 \
  Flags<kCommonMode, kF80> flags(op, state);                     \
  FpEnv& env = flags.env;                                        \
  const Host<type> result = static_cast<Host<type>>(expression); \
  flags.keep();                                                  \
  store_value<type>(op->d, frame, state, result);                \
  LYREBIRD_NEXT(1)

template <Op kOp, typename U>
[[gnu::always_inline]] inline auto apply_lane(FpEnv& env, uint32_t extra, auto... x) {
  if constexpr (kOp == Op::FRoundInt)
    return ir::eval::FRoundInt(x..., env, extra);
  else
    return FpLaneOp<kOp>::apply(x..., env);
}

template <Op kOp, Type kElem, bool kCommonMode>
LYREBIRD_HANDLER_ABI void scalar(LYREBIRD_HANDLER_ARGS) {
  constexpr unsigned kArgs = FpLaneOp<kOp>::kArgs;
  using U = Host<kElem>;
  constexpr bool kCompare = kOp >= Op::FCmpEq && kOp <= Op::FCmpUnord;
  constexpr bool kF80 = kElem == Type::F80;
  const U a = load_value<kElem>(op->a, frame, state);
  if constexpr (kArgs == 1) {
    LYREBIRD_FLOAT_HANDLER(kElem, (apply_lane<kOp, U>(env, extra_of(op), a)));
  } else if constexpr (kArgs == 2) {
    const U b = load_value<kElem>(op->b, frame, state);
    LYREBIRD_FLOAT_HANDLER((kCompare ? Type::I1 : kElem), (apply_lane<kOp, U>(env, 0, a, b)));
  } else {
    const U b = load_value<kElem>(op->b, frame, state), c = load_value<kElem>(op->c, frame, state);
    LYREBIRD_FLOAT_HANDLER(kElem, (apply_lane<kOp, U>(env, 0, a, b, c)));
  }
}

template <Op kOp, typename U, Type kVector, bool kCommonMode>
LYREBIRD_HANDLER_ABI void lanes(LYREBIRD_HANDLER_ARGS) {
  constexpr bool kF80 = false;
  constexpr unsigned kArgs = FpLaneOp<kOp>::kArgs;
  constexpr unsigned kBytes = ir::byte_size(kVector);
  const auto operand = [&](uint16_t at) { return load_value<kVector>(at, frame, state); };
  const auto vector = [&](FpEnv& env) {
    const uint32_t extra = extra_of(op);
    const auto f = [&](auto... x) { return apply_lane<kOp, U>(env, extra, x...); };
    if constexpr (kOp == Op::FWidenLo)
      return ir::eval::FWidenLo<U, kBytes>(operand(op->a), env);
    else if constexpr (kOp == Op::FWidenHi)
      return ir::eval::FWidenHi<U, kBytes>(operand(op->a), env);
    else if constexpr (kArgs == 1)
      return ir::eval::map_lanes<U, kBytes>(f, operand(op->a));
    else if constexpr (kArgs == 2)
      return ir::eval::map_lanes<U, kBytes>(f, operand(op->a), operand(op->b));
    else
      return ir::eval::map_lanes<U, kBytes>(f, operand(op->a), operand(op->b), operand(op->c));
  };
  LYREBIRD_FLOAT_HANDLER(kVector, vector(env));
}

constexpr bool is_widening(Op op) { return op == Op::FWidenLo || op == Op::FWidenHi; }

template <Op kOp, Type kElem>
constexpr bool has_lane() {
  using U = Host<kElem>;
  using F = FpLaneOp<kOp>;
  if constexpr (is_widening(kOp)) return kElem == Type::F16 || kElem == Type::F32;
  if constexpr (kOp == Op::FRoundInt) return true;
  if constexpr (F::kArgs == 1) return requires(U x, FpEnv& env) { F::apply(x, env); };
  if constexpr (F::kArgs == 2) return requires(U x, FpEnv& env) { F::apply(x, x, env); };
  if constexpr (F::kArgs == 3) return requires(U x, FpEnv& env) { F::apply(x, x, x, env); };
  return false;
}

template <Op kOp, bool kCommonMode>
Handler select_mode(Type type, Type elem) {
  if constexpr (FpLaneOp<kOp>::kArgs == 0) {
    return nullptr;
  } else if (ir::is_vector(type)) {
    return pick_type<Type::V64, Type::V128, Type::V256>(type, [&]<Type kVector>() -> Handler {
      return pick_type<Type::F16, Type::F32, Type::F64>(elem, []<Type kElem>() -> Handler {
        if constexpr (has_lane<kOp, kElem>())
          return lanes<kOp, Host<kElem>, kVector, kCommonMode>;
        else
          return nullptr;
      });
    });
  } else {
    return pick_type<Type::F16, Type::F32, Type::F64, Type::F80>(elem, []<Type kElem>() -> Handler {
      if constexpr (has_lane<kOp, kElem>() && !is_widening(kOp))
        return scalar<kOp, kElem, kCommonMode>;
      else
        return nullptr;
    });
  }
}

template <Op kOp>
Handler select(bool common, Type type, Type elem) {
  return common ? select_mode<kOp, true>(type, elem) : select_mode<kOp, false>(type, elem);
}

constexpr Handler (*kSelect[])(bool, Type, Type) = {
#define OP(name, kind, signature, effects, meaning) select<Op::name>,
#include "ir/ops.inc"
};

// --- Special ops

template <Type kElem, bool kCommonMode>
LYREBIRD_HANDLER_ABI void compare(LYREBIRD_HANDLER_ARGS) {
  constexpr bool kF80 = kElem == Type::F80;
  const auto a = load_value<kElem>(op->a, frame, state), b = load_value<kElem>(op->b, frame, state);
  const auto order = [&](FpEnv& env) {
    const uint8_t r = ir::eval::FCompare(a, b, env, (extra_of(op) & 1) != 0);
    return (extra_of(op) & 2) && r == ir::kFpUnordered ? uint8_t{ir::kFpEqual} : r;
  };
  LYREBIRD_FLOAT_HANDLER(Type::I8, order(env));
}

template <Op kOp, Type kFrom, Type kTo, bool kCommonMode>
LYREBIRD_HANDLER_ABI void to_int(LYREBIRD_HANDLER_ARGS) {
  constexpr bool kF80 = kFrom == Type::F80;
  const auto a = load_value<kFrom>(op->a, frame, state);
  if constexpr (kOp == Op::FToIntS) {
    LYREBIRD_FLOAT_HANDLER(kTo, ir::eval::FToIntS(a, ir::bit_width(kTo), extra_of(op), env));
  } else {
    LYREBIRD_FLOAT_HANDLER(kTo, ir::eval::FToIntU(a, ir::bit_width(kTo), extra_of(op), env));
  }
}

template <Op kOp, Type kFrom, Type kTo, bool kCommonMode>
LYREBIRD_HANDLER_ABI void from_int(LYREBIRD_HANDLER_ARGS) {
  constexpr bool kF80 = kTo == Type::F80;
  const auto a = load_value<kFrom>(op->a, frame, state);
  if constexpr (kOp == Op::FFromIntS) {
    const int64_t wide = static_cast<int64_t>(ir::eval::as_signed(a));
    LYREBIRD_FLOAT_HANDLER(kTo, (env.extra = 0, ir::eval::FFromIntS<Host<kTo>>(wide, extra_of(op), env)));
  } else {
    LYREBIRD_FLOAT_HANDLER(kTo,
                           (env.extra = 0, ir::eval::FFromIntU<Host<kTo>>(uint64_t{a}, extra_of(op), env)));
  }
}

template <Op kOp, typename U, Type kVector, bool kCommonMode>
LYREBIRD_HANDLER_ABI void convert_lanes(LYREBIRD_HANDLER_ARGS) {
  constexpr bool kF80 = false;
  constexpr unsigned kBytes = ir::byte_size(kVector);
  const auto a = load_value<kVector>(op->a, frame, state);
  const unsigned bits = extra_of(op);
  if constexpr (kOp == Op::FToIntS) {
    LYREBIRD_FLOAT_HANDLER(kVector, (ir::eval::FToIntS<U, kBytes>(a, bits, env)));
  } else if constexpr (kOp == Op::FToIntU) {
    LYREBIRD_FLOAT_HANDLER(kVector, (ir::eval::FToIntU<U, kBytes>(a, bits, env)));
  } else if constexpr (kOp == Op::FFromIntS) {
    LYREBIRD_FLOAT_HANDLER(kVector, (ir::eval::FFromIntS<U, kBytes>(a, bits, env)));
  } else {
    LYREBIRD_FLOAT_HANDLER(kVector, (ir::eval::FFromIntU<U, kBytes>(a, bits, env)));
  }
}

template <Type kFrom, Type kTo, bool kCommonMode>
LYREBIRD_HANDLER_ABI void convert(LYREBIRD_HANDLER_ARGS) {
  constexpr bool kF80 = kFrom == Type::F80 || kTo == Type::F80;
  const auto a = load_value<kFrom>(op->a, frame, state);
  LYREBIRD_FLOAT_HANDLER(kTo, ir::eval::FConvert<Host<kTo>>(a, env));
}

template <bool kCommonMode>
LYREBIRD_HANDLER_ABI void to_int_modular(LYREBIRD_HANDLER_ARGS) {
  constexpr bool kF80 = false;
  const auto a = load_value<Type::F64>(op->a, frame, state);
  LYREBIRD_FLOAT_HANDLER(Type::I32, ir::eval::FToIntModular(a, env));
}

template <bool kCommonMode>
LYREBIRD_HANDLER_ABI void function(LYREBIRD_HANDLER_ARGS) {
  constexpr bool kF80 = true;
  const auto a = load_value<Type::F80>(op->a, frame, state), b = load_value<Type::F80>(op->b, frame, state);
  const auto f = static_cast<ir::F80Function>(extra_of(op));
  LYREBIRD_FLOAT_HANDLER(Type::F80, ir::eval::FFunction(f, a, b, env));
}

template <bool kCommonMode>
LYREBIRD_HANDLER_ABI void to_bf16(LYREBIRD_HANDLER_ARGS) {
  constexpr bool kF80 = false;
  const auto a = load_value<Type::F32>(op->a, frame, state);
  LYREBIRD_FLOAT_HANDLER(Type::I16, ir::eval::FToBf16(a, env));
}

/// kTo: the narrow vector; U: the wide lane.
template <typename U, Type kFrom, Type kTo, bool kCommonMode>
LYREBIRD_HANDLER_ABI void narrow(LYREBIRD_HANDLER_ARGS) {
  constexpr bool kF80 = false;
  const auto a = load_value<kFrom>(op->a, frame, state);
  LYREBIRD_FLOAT_HANDLER(kTo, (ir::eval::FNarrow<U, ir::byte_size(kFrom)>(a, env)));
}

template <Type kFrom, Type kTo, bool kCommonMode>
LYREBIRD_HANDLER_ABI void narrow_bf16(LYREBIRD_HANDLER_ARGS) {
  constexpr bool kF80 = false;
  const auto a = load_value<kFrom>(op->a, frame, state);
  LYREBIRD_FLOAT_HANDLER(kTo, ir::eval::FNarrowBf16<ir::byte_size(kFrom)>(a, env));
}

template <Op kOp, bool kCommonMode>
Handler select_convert_lanes(Type vector, Type elem) {
  return pick_type<Type::V64, Type::V128, Type::V256>(vector, [&]<Type kVector>() -> Handler {
    return pick_type<Type::F16, Type::F32, Type::F64>(
        elem, []<Type kElem>() -> Handler { return convert_lanes<kOp, Host<kElem>, kVector, kCommonMode>; });
  });
}

template <Op kOp, bool kCommonMode>
Handler select_to_int(Type type, Type elem) {
  if (ir::is_vector(type)) return select_convert_lanes<kOp, kCommonMode>(type, elem);
  return pick_type<Type::F16, Type::F32, Type::F64, Type::F80>(elem, [&]<Type kFrom>() -> Handler {
    return pick_type<Type::I8, Type::I16, Type::I32, Type::I64>(
        type, []<Type kTo>() -> Handler { return to_int<kOp, kFrom, kTo, kCommonMode>; });
  });
}

template <Op kOp, bool kCommonMode>
Handler select_from_int(Type type, Type elem, Type operand) {
  if (ir::is_vector(type)) return select_convert_lanes<kOp, kCommonMode>(type, elem);
  return pick_type<Type::F16, Type::F32, Type::F64, Type::F80>(type, [&]<Type kTo>() -> Handler {
    return pick_type<Type::I8, Type::I16, Type::I32, Type::I64>(
        operand, []<Type kFrom>() -> Handler { return from_int<kOp, kFrom, kTo, kCommonMode>; });
  });
}

template <bool kCommonMode>
Handler select_special_float(const ir::Inst& inst, Type operand) {
  const Type type = inst.type, elem = inst.elem;
  switch (inst.op) {
    case Op::FCompare:
      return pick_type<Type::F16, Type::F32, Type::F64, Type::F80>(
          elem, []<Type kElem>() -> Handler { return compare<kElem, kCommonMode>; });
    case Op::FToIntS:
      return select_to_int<Op::FToIntS, kCommonMode>(type, elem);
    case Op::FToIntU:
      return select_to_int<Op::FToIntU, kCommonMode>(type, elem);
    case Op::FFromIntS:
      return select_from_int<Op::FFromIntS, kCommonMode>(type, elem, operand);
    case Op::FFromIntU:
      return select_from_int<Op::FFromIntU, kCommonMode>(type, elem, operand);
    case Op::FToIntModular:
      return to_int_modular<kCommonMode>;
    case Op::FConvert:
      return pick_type<Type::F16, Type::F32, Type::F64, Type::F80>(operand, [&]<Type kFrom>() -> Handler {
        return pick_type<Type::F16, Type::F32, Type::F64, Type::F80>(
            type, []<Type kTo>() -> Handler { return convert<kFrom, kTo, kCommonMode>; });
      });
    case Op::FFunction:
      return function<kCommonMode>;
    case Op::FToBf16:
      return to_bf16<kCommonMode>;
    case Op::FNarrow:
      if (type == Type::V64)
        return elem == Type::F32 ? narrow<uint32_t, Type::V128, Type::V64, kCommonMode>
                                 : narrow<uint64_t, Type::V128, Type::V64, kCommonMode>;
      return elem == Type::F32 ? narrow<uint32_t, Type::V256, Type::V128, kCommonMode>
                               : narrow<uint64_t, Type::V256, Type::V128, kCommonMode>;
    case Op::FNarrowBf16:
      return type == Type::V64 ? narrow_bf16<Type::V128, Type::V64, kCommonMode>
                               : narrow_bf16<Type::V256, Type::V128, kCommonMode>;
    default:
      return nullptr;
  }
}

LYREBIRD_HANDLER_ABI void get_fp_flags(LYREBIRD_HANDLER_ARGS) {
  const auto& cpu = *reinterpret_cast<ir::CpuHeader*>(state);
  store_value<Type::I32>(op->d, frame, state, op->aux ? f80_flags(cpu) : cpu.fp_flags);
  LYREBIRD_NEXT(1);
}

LYREBIRD_HANDLER_ABI void set_fp_flags(LYREBIRD_HANDLER_ARGS) {
  auto& cpu = *reinterpret_cast<ir::CpuHeader*>(state);
  const uint32_t flags = load_value<Type::I32>(op->a, frame, state);
  if (op->aux)
    set_f80_flags(cpu, flags);
  else
    cpu.fp_flags = flags;
  LYREBIRD_NEXT(1);
}

}  // namespace

Handler select_float(const ir::Inst& inst, ir::Type operand_type) {
  if (inst.op == Op::GetFpFlags) return get_fp_flags;
  if (inst.op == Op::SetFpFlags) return set_fp_flags;
  const bool common = (inst.aux & ((1u << ir::kFpModeBits) - 1)) == FpMode{}.pack();
  if (const Handler handler = kSelect[static_cast<unsigned>(inst.op)](common, inst.type, inst.elem))
    return handler;
  return common ? select_special_float<true>(inst, operand_type)
                : select_special_float<false>(inst, operand_type);
}

}  // namespace lyrebird::jit::interp
