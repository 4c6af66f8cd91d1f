// SPDX-License-Identifier: Apache-2.0
/// An instruction's bytes in parts, and put together again with another memory operand (SDM volume 2, 2.1
/// to 2.3).
#pragma once

#include <cstdint>
#include <optional>

#include "accel/direct/x86_writer.h"
#include "frontend/x86/decode/insn.h"

namespace lyrebird::accel::direct {

/// Where a copied instruction finds its memory operand.
struct Place {
  enum class Form : uint8_t {
    Same,      ///< the bytes as they are
    Absolute,  ///< [displacement], sign-extended
    Near,      ///< [RIP + rel32]
    /// [base + its own index + displacement]; base is not rSP or rBP. R8 needs REX or a long VEX.
    Based
  } form = Form::Same;
  uint8_t base = 0;
  int32_t displacement = 0;
};

class Encoding {
 public:
  Encoding(const x86::Insn& insn, const uint8_t* bytes);

  /// Whether Place::base may be R8.
  bool takes_r8() const;
  /// Writes the instruction for 64-bit mode. `reg`: what ModRM.reg becomes, with opcode 8B and operand size
  /// `wide` (8 bytes or 4): a load of the operand. The offset of its rel32 if the place is Near, else 0.
  struct Load {
    uint8_t reg;
    bool wide;
  };
  uint32_t write(Writer& out, const Place& place, std::optional<Load> load = {}) const;
  /// ModRM with register 0 for REX.R, and what belongs to it.
  void write_operand_only(Writer& out, const Place& place) const {
    (void)write_operand(out, place, Load{.reg = 0, .wide = false});
  }

 private:
  void write_prefixes(Writer& out, bool load) const;
  void write_opcode(Writer& out, const Place& place, const std::optional<Load>& load) const;
  uint32_t write_operand(Writer& out, const Place& place, const std::optional<Load>& load) const;

  const x86::Insn& insn_;
  const uint8_t* const bytes_;
  bool vex_ = false;
  uint8_t rex_ = 0;       ///< that counts
  uint8_t prefixes_ = 0;  ///< bytes in front of REX and VEX
  uint8_t opcode_ = 0;    ///< where it starts, escapes and VEX included
  uint8_t modrm_ = 0;     ///< 0: none
  uint8_t after_ = 0;     ///< behind opcode, ModRM, SIB and displacement
};

}  // namespace lyrebird::accel::direct
