// SPDX-License-Identifier: Apache-2.0
#include "ir/eval_inst.h"

#include <utility>

#include "ir/eval.h"
#include "ir/f80_functions.h"

namespace lyrebird::ir {
namespace {

using eval::Float80;
using eval::FpEnv;
using eval::Vec;

// --- bits in and out of Constant::b

template <typename U>
U get(const uint8_t* from) {
  if constexpr (std::is_same_v<U, bool>)
    return (*from & 1) != 0;
  else if constexpr (std::is_same_v<U, Float80>)
    return {load_unaligned<uint64_t>(from), load_unaligned<uint16_t>(from + 8)};
  else
    return load_unaligned<U>(from);
}
/// R is U, or bool for a compare: a mask as wide as U.
template <typename U, typename R>
void put(uint8_t* to, R value) {
  if constexpr (std::is_same_v<R, Float80>) {
    store_unaligned(to, value.significand);
    store_unaligned(to + 8, value.sign_exponent);
  } else if constexpr (std::is_same_v<R, bool>) {
    std::memset(to, value ? 0xff : 0, sizeof(U));
  } else {
    store_unaligned(to, value);
  }
}

// --- tables of functions on raw bytes, made from ops.inc

struct Operands {
  const uint8_t* arg[3];
};
using LaneFn = void (*)(const Operands&, uint8_t* out);
using FpFn = void (*)(const Operands&, uint8_t* out, FpEnv& env, uint32_t extra);
using WholeFn = void (*)(const Operands&, uint8_t* out, uint64_t imm);

template <Op op, typename U>
constexpr LaneFn lane_fn() {
  using Entry = eval::LaneOp<op>;
  constexpr unsigned kArgs = Entry::kArgs;
  if constexpr (kArgs != 0 && has_lanes_of(op, eval::kLaneBits<U>)) {
    return +[](const Operands& in, uint8_t* out) {
      const auto a = get<U>(in.arg[0]);
      if constexpr (kArgs == 1)
        put<U>(out, Entry::apply(a));
      else if constexpr (kArgs == 2)
        put<U>(out, Entry::apply(a, get<U>(in.arg[1])));
      else
        put<U>(out, Entry::apply(a, get<U>(in.arg[1]), get<U>(in.arg[2])));
    };
  }
  return nullptr;
}

template <Op op, typename U>
constexpr FpFn fp_fn() {
  using Entry = eval::FpLaneOp<op>;
  constexpr unsigned kArgs = Entry::kArgs;
  if constexpr (op == Op::FRoundInt) {
    return +[](const Operands& in, uint8_t* out, FpEnv& env, uint32_t extra) {
      put<U>(out, eval::FRoundInt(get<U>(in.arg[0]), env, extra));
    };
  } else if constexpr (kArgs == 1) {
    if constexpr (requires(U u, FpEnv& env) { Entry::apply(u, env); })
      return +[](const Operands& in, uint8_t* out, FpEnv& env, uint32_t) {
        put<U>(out, Entry::apply(get<U>(in.arg[0]), env));
      };
  } else if constexpr (kArgs == 2) {
    if constexpr (requires(U u, FpEnv& env) { Entry::apply(u, u, env); })
      return +[](const Operands& in, uint8_t* out, FpEnv& env, uint32_t) {
        put<U>(out, Entry::apply(get<U>(in.arg[0]), get<U>(in.arg[1]), env));
      };
  } else if constexpr (kArgs == 3) {
    if constexpr (requires(U u, FpEnv& env) { Entry::apply(u, u, u, env); })
      return +[](const Operands& in, uint8_t* out, FpEnv& env, uint32_t) {
        put<U>(out, Entry::apply(get<U>(in.arg[0]), get<U>(in.arg[1]), get<U>(in.arg[2]), env));
      };
  }
  return nullptr;
}

template <unsigned N>
Vec<N> vec(const uint8_t* from) {
  Vec<N> v;
  std::memcpy(v.b, from, N);
  return v;
}

template <Op op, typename U, unsigned N>
constexpr WholeFn whole_fn() {
  using Entry = eval::WholeOp<op>;
  constexpr unsigned kArgs = Entry::kArgs;
  if constexpr (kArgs == 1) {
    if constexpr (requires(Vec<N> v, uint64_t imm) { Entry::template apply<U, N>(v, imm); })
      return +[](const Operands& in, uint8_t* out, uint64_t imm) {
        const Vec<N> r = Entry::template apply<U, N>(vec<N>(in.arg[0]), imm);
        std::memcpy(out, r.b, N);
      };
  } else if constexpr (kArgs == 2) {
    if constexpr (requires(Vec<N> v, uint64_t imm) { Entry::template apply<U, N>(v, v, imm); })
      return +[](const Operands& in, uint8_t* out, uint64_t imm) {
        const Vec<N> r = Entry::template apply<U, N>(vec<N>(in.arg[0]), vec<N>(in.arg[1]), imm);
        std::memcpy(out, r.b, N);
      };
  } else if constexpr (kArgs == 3) {
    if constexpr (requires(Vec<N> v, uint64_t imm) { Entry::template apply<U, N>(v, v, v, imm); })
      return +[](const Operands& in, uint8_t* out, uint64_t imm) {
        const Vec<N> r =
            Entry::template apply<U, N>(vec<N>(in.arg[0]), vec<N>(in.arg[1]), vec<N>(in.arg[2]), imm);
        std::memcpy(out, r.b, N);
      };
  }
  return nullptr;
}

struct Row {
  LaneFn lane[7];       ///< by lane_index
  FpFn fp[4];           ///< F16, F32, F64, F80
  WholeFn whole[4][3];  ///< by lane of 8..64 bits, vector of 8..32 bytes
};

template <Op op>
constexpr Row row() {
  return {{lane_fn<op, bool>(), lane_fn<op, uint8_t>(), lane_fn<op, uint16_t>(), lane_fn<op, uint32_t>(),
           lane_fn<op, uint64_t>(), lane_fn<op, u128>(), lane_fn<op, Float80>()},
          {fp_fn<op, uint16_t>(), fp_fn<op, uint32_t>(), fp_fn<op, uint64_t>(), fp_fn<op, Float80>()},
          {{whole_fn<op, uint8_t, 8>(), whole_fn<op, uint8_t, 16>(), whole_fn<op, uint8_t, 32>()},
           {whole_fn<op, uint16_t, 8>(), whole_fn<op, uint16_t, 16>(), whole_fn<op, uint16_t, 32>()},
           {whole_fn<op, uint32_t, 8>(), whole_fn<op, uint32_t, 16>(), whole_fn<op, uint32_t, 32>()},
           {whole_fn<op, uint64_t, 8>(), whole_fn<op, uint64_t, 16>(), whole_fn<op, uint64_t, 32>()}}};
}

template <unsigned... i>
constexpr std::array<Row, kOpCount> rows(std::integer_sequence<unsigned, i...>) {
  return {row<static_cast<Op>(i)>()...};
}
constexpr std::array<Row, kOpCount> kRows = rows(std::make_integer_sequence<unsigned, kOpCount>{});

constexpr unsigned log2_of(unsigned v) { return static_cast<unsigned>(std::countr_zero(v)); }
constexpr unsigned lane_index(Type t) {
  const unsigned width = bit_width(t);
  return width == 1 ? 0 : width == 80 ? 6 : log2_of(width) - 2;
}
constexpr unsigned fp_index(Type t) { return static_cast<unsigned>(t) - static_cast<unsigned>(Type::F16); }

/// f(operand lanes, result lane) for each lane of a vector, or once for a scalar.
template <typename F>
void each_lane(Type type, Type lane, std::span<const Constant> args, uint8_t* out, F f) {
  const unsigned step = byte_size(lane), size = is_vector(type) ? byte_size(type) : step;
  for (unsigned at = 0; at + step <= size; at += step) {
    Operands in{};
    for (unsigned i = 0; i < args.size() && i < 3; ++i) in.arg[i] = args[i].b + at;
    f(in, out + at);
  }
}

// --- the ops of kind Special

template <typename F>
void with_int(Type t, F f) {
  switch (bit_width(t)) {
    case 1:
      return f(bool{});
    case 8:
      return f(uint8_t{});
    case 16:
      return f(uint16_t{});
    case 32:
      return f(uint32_t{});
    case 64:
      return f(uint64_t{});
    default:
      return f(u128{});
  }
}
template <typename F>
void with_float(Type t, F f) {
  switch (t) {
    case Type::F16:
      return f(uint16_t{});
    case Type::F32:
      return f(uint32_t{});
    case Type::F64:
      return f(uint64_t{});
    default:
      return f(Float80{});
  }
}
template <typename F>
void with_size(Type t, F f) {
  switch (byte_size(t)) {
    case 8:
      return f(std::integral_constant<unsigned, 8>{});
    case 16:
      return f(std::integral_constant<unsigned, 16>{});
    default:
      return f(std::integral_constant<unsigned, 32>{});
  }
}
/// As with_size for a vector of twice a narrower one.
template <typename F>
void with_wide_size(Type t, F f) {
  if (t == Type::V128) return f(std::integral_constant<unsigned, 16>{});
  return f(std::integral_constant<unsigned, 32>{});
}
template <typename U>
inline constexpr bool kIsNumber = !std::is_same_v<U, bool>;
template <typename U>
inline constexpr bool kIsLane = kIsNumber<U> && !std::is_same_v<U, u128>;

void carry(const Inst& inst, std::span<const Constant> args, uint8_t* out) {
  with_int(inst.elem, [&]<typename U>(U) {
    if constexpr (kIsNumber<U>) {
      const U a = get<U>(args[0].b);
      if (inst.op == Op::StatusOfValue) return put<uint16_t>(out, eval::StatusOfValue(a, inst.aux));
      if constexpr (kIsLane<U>)
        if (inst.op == Op::StatusOfStep)
          return put<uint16_t>(out, eval::StatusOfStep(a, get<uint16_t>(args[1].b), inst.aux));
      const U b = get<U>(args[1].b);
      if constexpr (kIsLane<U>)
        if (inst.op == Op::StatusOfShift)
          return put<uint16_t>(out, eval::StatusOfShift(a, b, get<uint16_t>(args[2].b), inst.aux));
      if (inst.op == Op::OverflowOfSub) {
        *out = eval::OverflowOfSub(a, b);
        return;
      }
      if constexpr (std::is_same_v<U, uint8_t>)
        if (inst.op == Op::StatusOfOrder) return put<uint16_t>(out, eval::StatusOfOrder(a, b, inst.aux));
      const bool c = get<bool>(args[2].b);
      if (inst.op == Op::StatusOfAdd) return put<uint16_t>(out, eval::StatusOfAdd(a, b, c, inst.aux));
      if (inst.op == Op::StatusOfSub) return put<uint16_t>(out, eval::StatusOfSub(a, b, c, inst.aux));
      if (inst.op == Op::AddWithCarry)
        put<U>(out, eval::AddWithCarry(a, b, c));
      else if (inst.op == Op::SubWithBorrow)
        put<U>(out, eval::SubWithBorrow(a, b, c));
      else
        *out = inst.op == Op::CarryOfAdd ? eval::CarryOfAdd(a, b, c) : eval::OverflowOfAdd(a, b, c);
    }
  });
}

void divide_wide(const Inst& inst, std::span<const Constant> args, uint8_t* out) {
  with_int(inst.type, [&]<typename U>(U) {
    if constexpr (kIsLane<U>) {
      const U low = get<U>(args[0].b), high = get<U>(args[1].b), divisor = get<U>(args[2].b);
      const bool is_signed = inst.op == Op::DivWideS || inst.op == Op::RemWideS;
      const auto both =
          is_signed ? eval::divide_wide_s(low, high, divisor) : eval::divide_wide_u(low, high, divisor);
      put<U>(out, inst.op == Op::DivWideU || inst.op == Op::DivWideS ? both.quotient : both.remainder);
    }
  });
}

void extend(const Inst& inst, const Constant& a, uint8_t* out) {
  with_int(a.type, [&]<typename From>(From) {
    with_int(inst.type, [&]<typename To>(To) {
      const From from = get<From>(a.b);
      if constexpr (eval::kBits<To> > eval::kBits<From>)
        put<To>(out, inst.op == Op::SExt ? eval::SExt<To>(from) : eval::ZExt<To>(from));
      else if constexpr (std::is_same_v<To, bool>)
        *out = eval::Trunc<To>(from);
      else
        put<To>(out, eval::Trunc<To>(from));
    });
  });
}

template <unsigned N>
void put_vec(uint8_t* out, const Vec<N>& v) {
  std::memcpy(out, v.b, N);
}

void splat(const Inst& inst, const Constant& a, uint8_t* out) {
  with_size(inst.type, [&](auto n) {
    with_int(int_type(bit_width(inst.elem)), [&]<typename U>(U) {
      if constexpr (kIsNumber<U> && sizeof(U) <= n)
        put_vec(out, inst.op == Op::Splat ? eval::Splat<U, n>(get<U>(a.b))
                                          : eval::VecFromScalar<U, n>(get<U>(a.b)));
    });
  });
}

void one_lane(const Inst& inst, std::span<const Constant> args, uint8_t* out) {
  with_size(args[0].type, [&](auto n) {
    with_int(int_type(bit_width(inst.elem)), [&]<typename U>(U) {
      if constexpr (kIsNumber<U> && sizeof(U) <= n) {
        const Vec<n> v = vec<n>(args[0].b);
        if (inst.op == Op::ExtractLane)
          put<U>(out, eval::ExtractLane<U>(v, inst.imm));
        else
          put_vec(out, eval::InsertLane(v, get<U>(args[1].b), inst.imm));
      }
    });
  });
}

void parts(const Inst& inst, std::span<const Constant> args, uint8_t* out) {
  with_size(args[0].type, [&](auto n) {
    const Vec<n> a = vec<n>(args[0].b);
    if (inst.op == Op::AnyBit) {
      *out = eval::AnyBit(a);
    } else if (inst.op == Op::Resize) {
      with_size(inst.type, [&](auto m) { put_vec(out, eval::Resize<m>(a)); });
    } else if (inst.op == Op::HalfHi) {
      if constexpr (n > 8) put_vec(out, eval::HalfHi(a));
    } else {
      if constexpr (n < 32) put_vec(out, eval::Concat(a, vec<n>(args[1].b)));
    }
  });
}

void narrow(const Inst& inst, const Constant& a, uint8_t* out) {
  with_wide_size(a.type, [&](auto n) {
    with_int(int_type(bit_width(inst.elem)), [&]<typename U>(U) {
      if constexpr (kIsLane<U> && sizeof(U) >= 2) {
        const Vec<n> v = vec<n>(a.b);
        if (inst.op == Op::Narrow) put_vec(out, eval::Narrow<U>(v));
        if (inst.op == Op::NarrowSatS) put_vec(out, eval::NarrowSatS<U>(v));
        if (inst.op == Op::NarrowSatU) put_vec(out, eval::NarrowSatU<U>(v));
        if (inst.op == Op::NarrowSatSU) put_vec(out, eval::NarrowSatSU<U>(v));
      }
    });
  });
}

void sign_bits(const Inst& inst, const Constant& a, uint8_t* out) {
  with_size(a.type, [&](auto n) {
    with_int(int_type(bit_width(inst.elem)), [&]<typename U>(U) {
      if constexpr (kIsLane<U>) put<uint32_t>(out, eval::SignBits<U>(vec<n>(a.b)));
    });
  });
}

void reduce(const Inst& inst, const Constant& a, uint8_t* out) {
  with_size(a.type, [&](auto n) {
    with_int(inst.elem, [&]<typename U>(U) {
      if constexpr (kIsLane<U>) {
        const Vec<n> v = vec<n>(a.b);
        if (inst.op == Op::ReduceAdd) put<U>(out, eval::ReduceAdd<U>(v));
        if (inst.op == Op::ReduceMinS) put<U>(out, eval::ReduceMinS<U>(v));
        if (inst.op == Op::ReduceMaxS) put<U>(out, eval::ReduceMaxS<U>(v));
        if (inst.op == Op::ReduceMinU) put<U>(out, eval::ReduceMinU<U>(v));
        if (inst.op == Op::ReduceMaxU) put<U>(out, eval::ReduceMaxU<U>(v));
      }
    });
  });
}

void float_to_int(const Inst& inst, const Constant& a, uint8_t* out, FpEnv& env) {
  const bool is_signed = inst.op == Op::FToIntS;
  if (is_vector(inst.type)) {
    with_size(inst.type, [&](auto n) {
      with_float(inst.elem, [&]<typename U>(U) {
        if constexpr (!std::is_same_v<U, Float80>)
          put_vec(out, is_signed ? eval::FToIntS<U>(vec<n>(a.b), inst.fp_extra(), env)
                                 : eval::FToIntU<U>(vec<n>(a.b), inst.fp_extra(), env));
      });
    });
    return;
  }
  with_float(inst.elem, [&]<typename U>(U) {
    const unsigned width = bit_width(inst.type);
    const uint64_t r = is_signed ? eval::FToIntS(get<U>(a.b), width, inst.fp_extra(), env)
                                 : eval::FToIntU(get<U>(a.b), width, inst.fp_extra(), env);
    std::memcpy(out, &r, byte_size(inst.type));
  });
}

void int_to_float(const Inst& inst, const Constant& a, uint8_t* out, FpEnv& env) {
  const bool is_signed = inst.op == Op::FFromIntS;
  if (is_vector(inst.type)) {
    with_size(inst.type, [&](auto n) {
      with_float(inst.elem, [&]<typename U>(U) {
        if constexpr (!std::is_same_v<U, Float80>)
          put_vec(out, is_signed ? eval::FFromIntS<U>(vec<n>(a.b), inst.fp_extra(), env)
                                 : eval::FFromIntU<U>(vec<n>(a.b), inst.fp_extra(), env));
      });
    });
    return;
  }
  with_float(inst.type, [&]<typename U>(U) {
    const uint64_t bits = a.low();
    const unsigned width = bit_width(a.type);
    put<U>(out, is_signed ? eval::FFromIntS<U>(sign_extend(bits, width), inst.fp_extra(), env)
                          : eval::FFromIntU<U>(bits, inst.fp_extra(), env));
  });
}

void convert_float(const Inst& inst, const Constant& a, uint8_t* out, FpEnv& env) {
  with_float(a.type, [&]<typename From>(From) {
    with_float(inst.type, [&]<typename To>(To) {
      if constexpr (!std::is_same_v<From, To>) put<To>(out, eval::FConvert<To>(get<From>(a.b), env));
    });
  });
}

void resize_floats(const Inst& inst, const Constant& a, uint8_t* out, FpEnv& env) {
  with_size(a.type, [&](auto n) {
    const Vec<n> v = vec<n>(a.b);
    with_int(int_type(bit_width(inst.elem)), [&]<typename U>(U) {
      if constexpr (std::is_same_v<U, uint16_t> || std::is_same_v<U, uint32_t>) {
        if (inst.op == Op::FWidenLo) put_vec(out, eval::FWidenLo<U>(v, env));
        if (inst.op == Op::FWidenHi) put_vec(out, eval::FWidenHi<U>(v, env));
      }
      if constexpr (n > 8 && (std::is_same_v<U, uint32_t> || std::is_same_v<U, uint64_t>)) {
        if (inst.op == Op::FNarrow) put_vec(out, eval::FNarrow<U>(v, env));
      }
      if constexpr (n > 8)
        if (inst.op == Op::FNarrowBf16) put_vec(out, eval::FNarrowBf16(v, env));
    });
  });
}

bool special(const Inst& inst, std::span<const Constant> args, uint8_t* out, FpEnv& env) {
  switch (inst.op) {
    case Op::Const:
      store_unaligned(out, inst.imm);
      store_unaligned(out + 8, inst.high());
      return true;
    case Op::Select: {
      const Constant& chosen = eval::Select((args[0].b[0] & 1) != 0, args[1], args[2]);
      std::memcpy(out, chosen.b, sizeof chosen.b);
      return true;
    }
    case Op::AddWithCarry:
    case Op::SubWithBorrow:
    case Op::CarryOfAdd:
    case Op::OverflowOfAdd:
    case Op::OverflowOfSub:
    case Op::StatusOfAdd:
    case Op::StatusOfSub:
    case Op::StatusOfValue:
    case Op::StatusOfOrder:
    case Op::StatusOfShift:
    case Op::StatusOfStep:
      return carry(inst, args, out), true;
    case Op::DivWideU:
    case Op::RemWideU:
    case Op::DivWideS:
    case Op::RemWideS:
      return divide_wide(inst, args, out), true;
    case Op::ZExt:
    case Op::SExt:
    case Op::Trunc:
      return extend(inst, args[0], out), true;
    case Op::Bitcast:
      std::memcpy(out, args[0].b, sizeof args[0].b);
      return true;
    case Op::Pair64:
      put<u128>(out, eval::Pair64(args[0].low(), args[1].low()));
      return true;
    case Op::Lo64:
      put<uint64_t>(out, eval::Lo64(get<u128>(args[0].b)));
      return true;
    case Op::Hi64:
      put<uint64_t>(out, eval::Hi64(get<u128>(args[0].b)));
      return true;
    case Op::Crc32:
      put<uint32_t>(out, eval::Crc32(get<uint32_t>(args[0].b), args[1].low(), inst.aux));
      return true;
    case Op::Splat:
    case Op::VecFromScalar:
      return splat(inst, args[0], out), true;
    case Op::ExtractLane:
    case Op::InsertLane:
      return one_lane(inst, args, out), true;
    case Op::Resize:
    case Op::Concat:
    case Op::HalfHi:
    case Op::AnyBit:
      return parts(inst, args, out), true;
    case Op::SignBits:
      return sign_bits(inst, args[0], out), true;
    case Op::Narrow:
    case Op::NarrowSatS:
    case Op::NarrowSatU:
    case Op::NarrowSatSU:
      return narrow(inst, args[0], out), true;
    case Op::ReduceAdd:
    case Op::ReduceMinS:
    case Op::ReduceMaxS:
    case Op::ReduceMinU:
    case Op::ReduceMaxU:
      return reduce(inst, args[0], out), true;
    case Op::FCompare:
      with_float(inst.elem, [&]<typename U>(U) {
        *out = eval::FCompare(get<U>(args[0].b), get<U>(args[1].b), env, (inst.fp_extra() & 1) != 0);
        if ((inst.fp_extra() & 2) && *out == kFpUnordered) *out = kFpEqual;
      });
      return true;
    case Op::FToIntS:
    case Op::FToIntU:
      return float_to_int(inst, args[0], out, env), true;
    case Op::FToIntModular:
      put<uint32_t>(out, eval::FToIntModular(args[0].low(), env));
      return true;
    case Op::FFromIntS:
    case Op::FFromIntU:
      return int_to_float(inst, args[0], out, env), true;
    case Op::FConvert:
      return convert_float(inst, args[0], out, env), true;
    case Op::FFunction:
      put<Float80>(out, eval::FFunction(static_cast<F80Function>(inst.fp_extra()), get<Float80>(args[0].b),
                                        get<Float80>(args[1].b), env));
      return true;
    case Op::FToBf16:
      put<uint16_t>(out, eval::FToBf16(get<uint32_t>(args[0].b), env));
      return true;
    case Op::FWidenLo:
    case Op::FWidenHi:
    case Op::FNarrow:
    case Op::FNarrowBf16:
      return resize_floats(inst, args[0], out, env), true;
    default:
      return false;
  }
}

bool lanewise(const Inst& inst, std::span<const Constant> args, uint8_t* out) {
  const LaneFn fn = kRows[static_cast<unsigned>(inst.op)].lane[lane_index(lane_type(inst))];
  if (!fn) return false;
  each_lane(inst.type, lane_type(inst), args, out, fn);
  return true;
}

bool fp_lanewise(const Inst& inst, std::span<const Constant> args, uint8_t* out, FpEnv& env) {
  if (inst.op == Op::FWidenLo || inst.op == Op::FWidenHi) return special(inst, args, out, env);
  const FpFn fn = kRows[static_cast<unsigned>(inst.op)].fp[fp_index(inst.elem)];
  if (!fn) return false;
  each_lane(inst.type, inst.elem, args, out,
            [&](const Operands& in, uint8_t* to) { fn(in, to, env, inst.fp_extra()); });
  return true;
}

bool whole(const Inst& inst, std::span<const Constant> args, uint8_t* out) {
  // Where elem is without meaning any lane will do.
  const unsigned width = bit_width(inst.elem);
  const unsigned lane = width >= 8 && width <= 64 ? log2_of(width) - 3 : 0;
  const WholeFn fn = kRows[static_cast<unsigned>(inst.op)].whole[lane][log2_of(byte_size(inst.type)) - 3];
  if (!fn) return false;
  Operands in{};
  for (unsigned i = 0; i < args.size() && i < 3; ++i) in.arg[i] = args[i].b;
  fn(in, out, inst.imm);
  return true;
}

}  // namespace

Constant Constant::of(Type type, uint64_t low, uint64_t high) {
  Constant c;
  c.type = type;
  const unsigned width = bit_width(type);
  store_unaligned(c.b, low & low_mask(width));
  if (width > 64) store_unaligned(c.b + 8, high & low_mask(width - 64));
  return c;
}

Constant Constant::of_bytes(Type type, const void* from) {
  Constant c;
  c.type = type;
  std::memcpy(c.b, from, byte_size(type));
  if (type == Type::I1) c.b[0] &= 1;
  return c;
}

bool evaluate(const Inst& inst, std::span<const Constant> args, Constant* out, uint32_t* fp_flags) {
  const unsigned count = arg_count(inst);
  if (inst.op == Op::CallHelper || args.size() < count || count > 3) return false;
  Type types[4];
  for (unsigned i = 0; i < count; ++i) types[i] = args[i].type;
  if (type_error(inst, types, {}) != nullptr) return false;

  alignas(32) uint8_t result[32] = {};
  FpEnv env{inst.fp_mode(), *fp_flags};
  if (has_f80_flags(inst)) {
    if (inst.op != Op::FFromIntS && inst.op != Op::FFromIntU) env.extra = inst.fp_extra();
    env.notes_rounding = true;
  }
  bool known = false;
  switch (info(inst.op).kind) {
    case OpKind::Lane1:
    case OpKind::Lane2:
    case OpKind::Lane3:
      known = lanewise(inst, args, result);
      break;
    case OpKind::Fp1:
    case OpKind::Fp2:
    case OpKind::Fp3:
      known = fp_lanewise(inst, args, result, env);
      break;
    case OpKind::Vec1:
    case OpKind::Vec2:
    case OpKind::Vec3:
      known = whole(inst, args, result);
      break;
    case OpKind::Special:
      known = special(inst, args, result, env);
      break;
  }
  if (!known) return false;
  *out = Constant::of_bytes(inst.type, result);
  *fp_flags = env.flags;
  return true;
}

}  // namespace lyrebird::ir
