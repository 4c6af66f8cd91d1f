// SPDX-License-Identifier: Apache-2.0
/// Turns a row's text into a Row while compiling; a mistake in the text does not compile.
#pragma once

#include <array>
#include <string_view>

#include "frontend/x86/decode/row.h"

namespace lyrebird::x86::parse {

/// Not constexpr: calling it is how a malformed row stops the compiler, who prints the call.
inline void malformed_row(const char*) {}

constexpr bool starts(std::string_view s, std::string_view with) { return s.substr(0, with.size()) == with; }
constexpr int hex_digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}
/// Takes what comes before the separator off the front.
constexpr std::string_view take(std::string_view& s, char separator) {
  size_t end = 0;
  while (end < s.size() && s[end] != separator) ++end;
  const std::string_view token = s.substr(0, end);
  s = s.substr(end < s.size() ? end + 1 : end);
  return token;
}

constexpr OperandType operand_type(std::string_view s) {
  constexpr std::pair<std::string_view, OperandType> kTypes[] = {
      {"", OperandType::None}, {"b", OperandType::b},   {"w", OperandType::w},   {"d", OperandType::d},
      {"q", OperandType::q},   {"t", OperandType::t},   {"dq", OperandType::dq}, {"v", OperandType::v},
      {"y", OperandType::y},   {"z", OperandType::z},   {"n", OperandType::n},   {"p", OperandType::p},
      {"s", OperandType::s},   {"a", OperandType::a},   {"x", OperandType::x},   {"x2", OperandType::x2},
      {"x4", OperandType::x4}, {"x8", OperandType::x8}, {"ss", OperandType::ss}, {"sd", OperandType::sd},
      {"vw", OperandType::vw}, {"db", OperandType::db}, {"dw", OperandType::dw}, {"bs", OperandType::bs}};
  for (const auto& [name, type] : kTypes)
    if (name == s) return type;
  malformed_row("operand type");
  return OperandType::None;
}

constexpr OperandSpec operand(std::string_view s) {
  constexpr std::pair<std::string_view, OperandSpec> kFixed[] = {
      {"AL", {Method::FixedGpr, OperandType::b, 0}},      {"CL", {Method::FixedGpr, OperandType::b, 1}},
      {"AX", {Method::FixedGpr, OperandType::w, 0}},      {"DX", {Method::FixedGpr, OperandType::w, 2}},
      {"rAX", {Method::FixedGpr, OperandType::v, 0}},     {"eAX", {Method::FixedGpr, OperandType::z, 0}},
      {"ES", {Method::FixedSegment, OperandType::w, 0}},  {"CS", {Method::FixedSegment, OperandType::w, 1}},
      {"SS", {Method::FixedSegment, OperandType::w, 2}},  {"DS", {Method::FixedSegment, OperandType::w, 3}},
      {"FS", {Method::FixedSegment, OperandType::w, 4}},  {"GS", {Method::FixedSegment, OperandType::w, 5}},
      {"ST0", {Method::FixedX87, OperandType::t, 0}},     {"STi", {Method::STi, OperandType::t, 0}},
      {"XMM0", {Method::FixedVector, OperandType::x, 0}}, {"1", {Method::One, OperandType::b, 0}}};
  for (const auto& [name, spec] : kFixed)
    if (name == s) return spec;
  if (starts(s, "VM")) return {Method::VM, operand_type(s.substr(2)), 0};
  constexpr std::string_view kLetters = "ABCDEGHIJLMNOPQRSUVWXYZ";
  for (unsigned i = 0; i < kLetters.size(); ++i)
    if (s[0] == kLetters[i])
      return {static_cast<Method>(static_cast<unsigned>(Method::A) + i), operand_type(s.substr(1)), 0};
  malformed_row("operand");
  return {};
}

/// The parts of Row::match, before they are packed. Zero: takes everything.
struct Parts {
  uint32_t prefix = 0, mode = 0, mod = 0, reg = 0, rm = 0, w = 0, l = 0, b = 0;
  constexpr uint32_t pack() const {
    using namespace match;
    return (prefix ? prefix : 15) << kPrefix | (mode ? mode : 7) << kMode | (mod ? mod : 3) << kMod |
           (reg ? reg : 255) << kReg | (rm ? rm : 255) << kRm | (w ? w : 3) << kW | (l ? l : 3) << kL |
           (b ? b : 3) << kB;
  }
};

constexpr uint32_t mandatory_prefix(std::string_view token) {
  return token == "NP"    ? 1
         : token == "66"  ? 2
         : token == "F3"  ? 4
         : token == "F2"  ? 8
         : token == "NFx" ? 3
                          : 0;
}

/// VEX.128.66.0F38.W0
constexpr void vex(std::string_view s, Parts& parts, Row& row) {
  while (!s.empty()) {
    const std::string_view field = take(s, '.');
    if (field == "VEX" || field == "LIG" || field == "WIG") continue;
    if (field == "128" || field == "256")
      parts.l = field == "128" ? 1 : 2;
    else if (field == "W0" || field == "W1")
      parts.w = field == "W0" ? 1 : 2;
    else if (field == "0F")
      row.map = Map::Vex0F;
    else if (field == "0F38")
      row.map = Map::Vex0F38;
    else if (field == "0F3A")
      row.map = Map::Vex0F3A;
    else if (mandatory_prefix(field) != 0)
      parts.prefix = mandatory_prefix(field);
    else
      malformed_row("VEX field");
  }
}

/// Encoding without its opcode bytes: true if the token was something else.
constexpr bool modifier(std::string_view token, Parts& parts, Row& row) {
  if (starts(token, "VEX.")) {
    vex(token, parts, row);
  } else if (token[0] == '/') {
    parts.reg = 1u << (token[1] - '0');
    row.flags |= RowFlag::HasModrm;
  } else if (token == "reg") {
    parts.mod = 2;
  } else if (token == "REX.W0" || token == "REX.W1") {
    parts.w = token == "REX.W0" ? 1 : 2;
  } else if (token == "REX.B0") {
    parts.b = 1;
  } else {
    return false;
  }
  return true;
}

constexpr void encoding(std::string_view s, Parts& parts, Row& row) {
  unsigned bytes = 0;  // opcode bytes so far, escapes not counted
  row.map = Map::OneByte;
  row.opcode_count = 1;
  while (!s.empty()) {
    std::string_view token = take(s, ' ');
    if (bytes == 0 && row.map == Map::OneByte && parts.prefix == 0 && !s.empty() && mandatory_prefix(token)) {
      parts.prefix = mandatory_prefix(token);
      continue;
    }
    if (modifier(token, parts, row)) continue;
    if (token.size() < 2 || hex_digit(token[0]) < 0 || hex_digit(token[1]) < 0) malformed_row("opcode");
    const unsigned byte = static_cast<unsigned>(hex_digit(token[0]) * 16 + hex_digit(token[1]));
    const std::string_view plus = token.substr(2);
    if (bytes == 0 && row.map == Map::OneByte && byte == 0x0f) {
      row.map = Map::M0F;
    } else if (bytes == 0 && row.map == Map::M0F && (byte == 0x38 || byte == 0x3a)) {
      row.map = byte == 0x38 ? Map::M0F38 : Map::M0F3A;
    } else if (bytes++ == 0) {
      row.opcode = static_cast<uint8_t>(byte);
      row.opcode_count = plus == "+r" ? 8 : plus == "+cc" ? 16 : 1;
    } else {
      if (byte < 0xc0) malformed_row("ModRM byte");
      row.flags |= RowFlag::HasModrm;
      parts.mod = 2;
      parts.reg = 1u << (byte >> 3 & 7);
      parts.rm = plus == "+i" ? 0 : 1u << (byte & 7);
    }
  }
  if (bytes == 0) malformed_row("no opcode");
}

constexpr void operands(std::string_view s, Parts& parts, Row& row) {
  while (!s.empty()) {
    const OperandSpec spec = operand(take(s, ','));
    row.operands[row.operand_count++] = spec;
    switch (spec.method) {
      case Method::M:
      case Method::VM:
        parts.mod = 1;
        row.flags |= RowFlag::HasModrm;
        break;
      case Method::N:
      case Method::R:
      case Method::U:
        parts.mod = (row.flags & RowFlag::IgnoresMod) ? 3 : 2;
        row.flags |= RowFlag::HasModrm;
        break;
      case Method::C:
      case Method::D:
      case Method::E:
      case Method::G:
      case Method::P:
      case Method::Q:
      case Method::S:
      case Method::V:
      case Method::W:
        row.flags |= RowFlag::HasModrm;
        break;
      case Method::B:
      case Method::H:
        row.flags |= RowFlag::UsesVvvv;
        break;
      default:
        break;
    }
  }
}

struct Source {
  std::string_view name, encoding, operands;
  Feature feature;
  uint32_t flags;
};

constexpr Row row(const Source& source) {
  Row row{};
  Parts parts;
  row.flags = source.flags;
  row.feature = source.feature;
  encoding(source.encoding, parts, row);
  operands(source.operands, parts, row);
  if ((row.flags & RowFlag::Only64) || (row.flags & RowFlag::No64))
    parts.mode = (row.flags & RowFlag::Only64) ? 4 : 3;
  row.match = parts.pack();
  return row;
}

/// What both take, if there is anything.
constexpr bool overlap(uint32_t a, uint32_t b) {
  for (const auto [shift, count] : match::kParts)
    if (((a & b) >> shift & ((1u << count) - 1)) == 0) return false;
  return true;
}
/// a takes only what b takes, and less of it.
constexpr bool strictly_inside(uint32_t a, uint32_t b) { return a != b && (a & ~b) == 0; }

}  // namespace lyrebird::x86::parse
