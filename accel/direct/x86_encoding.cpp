// SPDX-License-Identifier: Apache-2.0
#include "accel/direct/x86_encoding.h"

#include "frontend/x86/decode/row.h"

namespace lyrebird::accel::direct {

using x86::Map;
using x86::Mode;

namespace {

bool is_legacy_prefix(uint8_t byte) {
  switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3:
      return true;
    default:
      return false;
  }
}

/// Whether memory is accessed, or an address made, in a way that the address size says.
bool has_address(const x86::Insn& insn) {
  for (unsigned i = 0; i < insn.operand_count; ++i) {
    using enum x86::OperandKind;
    const auto kind = insn.operands[i].kind;
    if (kind == Memory || kind == Vsib || kind == StringSource || kind == StringDest) return true;
  }
  return false;
}

constexpr uint8_t kRexR = 4, kRexX = 2, kRexB = 1;

}  // namespace

Encoding::Encoding(const x86::Insn& insn, const uint8_t* bytes) : insn_(insn), bytes_(bytes) {
  const x86::Row& row = x86::row(insn.row);
  unsigned at = 0;
  for (;; ++at) {
    const uint8_t byte = bytes[at];
    if (is_legacy_prefix(byte))
      rex_ = 0, prefixes_ = static_cast<uint8_t>(at + 1);
    else if (insn.mode == Mode::k64 && (byte & 0xf0) == 0x40)
      rex_ = byte;
    else
      break;
  }
  opcode_ = static_cast<uint8_t>(at);
  vex_ = x86::is_vex(row.map);
  if (vex_)
    at += bytes[at] == 0xc5 ? 3 : 4;
  else
    at += row.map == Map::OneByte ? 1 : row.map == Map::M0F ? 2 : 3;
  if (row.has(x86::row_flags::HasModrm)) {
    modrm_ = static_cast<uint8_t>(at);
    const uint8_t modrm = bytes[at++];
    const unsigned mod = modrm >> 6, rm = modrm & 7;
    if (mod != 3 && !row.has(x86::row_flags::IgnoresMod)) {
      unsigned base = rm;
      if (rm == 4) base = bytes[at++] & 7;
      at += mod == 1 ? 1 : mod == 2 || base == 5 ? 4 : 0;
    }
  }
  after_ = static_cast<uint8_t>(at);
}

bool Encoding::takes_r8() const {
  for (unsigned i = 0; i < insn_.operand_count; ++i)
    if (insn_.operands[i].kind == x86::OperandKind::GprHigh) return false;
  return !vex_ || bytes_[opcode_] == 0xc4;
}

void Encoding::write_prefixes(Writer& out, bool load) const {
  const bool is64 = insn_.mode == Mode::k64;
  for (unsigned i = 0; i < prefixes_; ++i) {
    const uint8_t byte = bytes_[i];
    if (byte == 0x67 ? is64 : (byte == 0x66 || byte >= 0xf0) && !load) out.byte(byte);
  }
  if (!is64 && has_address(insn_)) out.byte(0x67);
}

void Encoding::write_opcode(Writer& out, const Place& place, const std::optional<Load>& load) const {
  const bool drops_base = place.form != Place::Form::Same;
  const bool drops_index = place.form == Place::Form::Absolute;
  const bool r8 = place.form == Place::Form::Based && place.base == 8;
  if (load) {
    uint8_t rex = static_cast<uint8_t>((rex_ & (kRexX | kRexB)) | (load->wide ? 0x48 : 0) |
                                       (load->reg >= 8 ? kRexR : 0));
    if (drops_base) rex = static_cast<uint8_t>(rex & ~(kRexB | (drops_index ? kRexX : 0)));
    if (r8) rex |= kRexB;
    if (rex) out.byte(rex | 0x40);
    return out.byte(0x8b);
  }
  if (vex_) {
    const uint8_t* const from = bytes_ + opcode_;
    out.byte(from[0]);
    // VEX.B is inverted; outside of 64-bit mode it is ignored.
    const bool is32 = insn_.mode != Mode::k64;
    // So is there the highest bit of VEX.vvvv.
    const uint8_t more = is32 ? 0x40 : 0;
    if (from[0] == 0xc5) {
      out.bytes({static_cast<uint8_t>(from[1] | more), from[2]});
    } else {
      const int base = is32 || drops_base ? 0x20 : 0, index = drops_index ? 0x40 : 0;
      out.bytes({static_cast<uint8_t>((from[1] | base | index) & ~(r8 ? 0x20 : 0)),
                 static_cast<uint8_t>(from[2] | more), from[3]});
    }
    return;
  }
  const int dropped = (drops_base ? kRexB : 0) | (drops_index ? kRexX : 0);
  if (rex_ || r8) out.byte(static_cast<uint8_t>((rex_ & ~dropped) | (r8 ? 0x40 | kRexB : 0)));
  out.copy(bytes_ + opcode_, (modrm_ ? modrm_ : after_) - static_cast<unsigned>(opcode_));
}

uint32_t Encoding::write_operand(Writer& out, const Place& place, const std::optional<Load>& load) const {
  const uint8_t modrm = bytes_[modrm_];
  const auto reg = static_cast<uint8_t>(load ? (load->reg & 7) << 3 : modrm & 0x38);
  using Form = Place::Form;
  switch (place.form) {
    case Form::Same:
      out.byte(static_cast<uint8_t>((modrm & 0xc7) | reg));
      out.copy(bytes_ + modrm_ + 1, after_ - modrm_ - 1u);
      return 0;
    case Form::Absolute:
      out.bytes({static_cast<uint8_t>(0x04 | reg), 0x25});
      out.number(place.displacement);
      return 0;
    case Form::Near:
      out.byte(static_cast<uint8_t>(0x05 | reg));
      out.number(uint32_t{0});
      return out.at() - 4;
    case Form::Based: {
      const x86::MemoryOperand& m = insn_.memory;
      if (m.index == x86::kNoRegister) {
        out.byte(static_cast<uint8_t>(0x80 | reg | (place.base & 7)));
      } else {
        out.bytes({static_cast<uint8_t>(0x84 | reg),
                   static_cast<uint8_t>(m.shift << 6 | (m.index & 7) << 3 | (place.base & 7))});
      }
      out.number(place.displacement);
      return 0;
    }
  }
  return 0;
}

uint32_t Encoding::write(Writer& out, const Place& place, std::optional<Load> load) const {
  write_prefixes(out, load.has_value());
  write_opcode(out, place, load);
  uint32_t near = 0;
  if (modrm_) near = write_operand(out, place, load);
  if (!load) out.copy(bytes_ + after_, insn_.length - static_cast<unsigned>(after_));
  return near;
}

}  // namespace lyrebird::accel::direct
