// SPDX-License-Identifier: Apache-2.0
/// What is done with each row of the opcode maps.
#pragma once

#include <cstdint>

namespace lyrebird::accel::direct {

enum class Kind : uint8_t {
  Copy,    ///< as it is, but for its memory operand
  Refuse,  ///< by way of the IR
  X87,     ///< copied; uses the x87
  Jump,
  Branch,  ///< Jcc
  Loop,    ///< LOOPcc, JrCXZ
  Call,
  Return,
  Syscall,
  Lea,
  Push,
  Pop,
  Leave,
  Step,    ///< INC, DEC
  BitScan  ///< BSF, BSR: with F3 another instruction on hosts that have it
};
Kind kind_of(uint16_t row);

/// The instruction writes CF, PF, AF, ZF, SF and OF and reads none, or it neither reads nor writes any.
enum class FlagUse : uint8_t { Other, Defines, None };
FlagUse flag_use(uint16_t row);

}  // namespace lyrebird::accel::direct
