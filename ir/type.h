// SPDX-License-Identifier: Apache-2.0
/// The types of IR values. `I1` is a truth value (0 or 1). The V types are bags
/// of bytes: a lanewise op says with its `elem` how it divides them.
#pragma once

#include <cstdint>
#include <string_view>

namespace lyrebird::ir {

enum class Type : uint8_t { None, I1, I8, I16, I32, I64, I128, F16, F32, F64, F80, V64, V128, V256 };
inline constexpr unsigned kTypeCount = 14;

/// Width in bits; I1 is 1, F80 is 80, None is 0.
constexpr unsigned bit_width(Type t) {
  constexpr uint16_t kWidths[kTypeCount] = {0, 1, 8, 16, 32, 64, 128, 16, 32, 64, 80, 64, 128, 256};
  return kWidths[static_cast<unsigned>(t)];
}

/// Bytes that a value of the type takes in guest state and in memory
/// (I1: 1, F80: 10).
constexpr unsigned byte_size(Type t) { return (bit_width(t) + 7) / 8; }

constexpr bool is_int(Type t) { return t >= Type::I1 && t <= Type::I128; }
constexpr bool is_float(Type t) { return t >= Type::F16 && t <= Type::F80; }
constexpr bool is_vector(Type t) { return t >= Type::V64; }

constexpr std::string_view name(Type t) {
  constexpr std::string_view kNames[kTypeCount] = {"none", "i1",  "i8",  "i16", "i32", "i64",  "i128",
                                                   "f16",  "f32", "f64", "f80", "v64", "v128", "v256"};
  return kNames[static_cast<unsigned>(t)];
}

/// The unsigned integer type of that many bits (1, 8, .., 128); None if there is none.
constexpr Type int_type(unsigned width) {
  switch (width) {
    case 1:
      return Type::I1;
    case 8:
      return Type::I8;
    case 16:
      return Type::I16;
    case 32:
      return Type::I32;
    case 64:
      return Type::I64;
    case 128:
      return Type::I128;
    default:
      return Type::None;
  }
}

constexpr Type float_type(unsigned width) {
  switch (width) {
    case 16:
      return Type::F16;
    case 32:
      return Type::F32;
    case 64:
      return Type::F64;
    case 80:
      return Type::F80;
    default:
      return Type::None;
  }
}

constexpr Type vector_type(unsigned width) {
  switch (width) {
    case 64:
      return Type::V64;
    case 128:
      return Type::V128;
    case 256:
      return Type::V256;
    default:
      return Type::None;
  }
}

}  // namespace lyrebird::ir
