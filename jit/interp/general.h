// SPDX-License-Identifier: Apache-2.0
/// Building blocks of the general_*.cpp files: typed access to operands, and the
/// frame of a handler around an eval function.
#pragma once

#include <cstring>
#include <type_traits>

#include "ir/eval.h"
#include "ir/fp_eval.h"
#include "jit/interp/select.h"

namespace lyrebird::jit::interp {

template <typename T>
inline T load(const uint8_t* from) {
  if constexpr (std::is_same_v<T, bool>) {
    return (*from & 1) != 0;
  } else if constexpr (std::is_same_v<T, ir::eval::Float80>) {
    return {load_unaligned<uint64_t>(from), load_unaligned<uint16_t>(from + 8)};
  } else {
    return load_unaligned<T>(from);
  }
}

/// Stores a result as code.h says; `kInt`: small ints get zeros above.
template <bool kInt, typename T>
inline void store(uint8_t* to, const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    *to = value;
  } else if constexpr (std::is_same_v<T, ir::eval::Float80>) {
    store_unaligned(to, value.significand);
    store_unaligned(to + 8, value.sign_exponent);
  } else if constexpr (kInt && (sizeof(T) == 2 || sizeof(T) == 4)) {
    store_unaligned<uint64_t>(to, value);
  } else {
    store_unaligned(to, value);
  }
}

/// The host type of an IR type: raw bits.
template <ir::Type type>
struct HostOf;
#define LYREBIRD_HOST(t, h)    \
  template <>                  \
  struct HostOf<ir::Type::t> { \
    using Type = h;            \
  }
LYREBIRD_HOST(I1, bool);
LYREBIRD_HOST(I8, uint8_t);
LYREBIRD_HOST(I16, uint16_t);
LYREBIRD_HOST(I32, uint32_t);
LYREBIRD_HOST(I64, uint64_t);
LYREBIRD_HOST(I128, u128);
LYREBIRD_HOST(F16, uint16_t);
LYREBIRD_HOST(F32, uint32_t);
LYREBIRD_HOST(F64, uint64_t);
LYREBIRD_HOST(F80, ir::eval::Float80);
LYREBIRD_HOST(V64, ir::eval::Vec<8>);
LYREBIRD_HOST(V128, ir::eval::Vec<16>);
LYREBIRD_HOST(V256, ir::eval::Vec<32>);
#undef LYREBIRD_HOST
template <ir::Type type>
using Host = typename HostOf<type>::Type;

template <ir::Type type>
inline Host<type> load_value(uint16_t operand, uint8_t* frame, uint8_t* state) {
  return load<Host<type>>(Anywhere::at(operand, frame, state));
}
template <ir::Type type>
inline void store_value(uint16_t operand, uint8_t* frame, uint8_t* state, const Host<type>& value) {
  store<ir::is_int(type)>(Anywhere::at(operand, frame, state), value);
}

/// Calls f.template operator()<type>() for the run-time type among kTypes; nullptr if it is none.
template <ir::Type... kTypes, typename F>
Handler pick_type(ir::Type type, F f) {
  Handler handler = nullptr;
  (void)((type == kTypes ? (handler = f.template operator()<kTypes>(), true) : false) || ...);
  return handler;
}

/// The general_*.cpp files; each knows some ops and gives nullptr for the others.
Handler select_scalar(const ir::Inst& inst);
Handler select_lanes(const ir::Inst& inst);
Handler select_whole(const ir::Inst& inst);
Handler select_float(const ir::Inst& inst, ir::Type operand_type);
Handler select_special(const ir::Inst& inst, ir::Type operand_type);

}  // namespace lyrebird::jit::interp
