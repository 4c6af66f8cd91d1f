// SPDX-License-Identifier: Apache-2.0
/// The operands of an instruction, from our decoder's answer and from Zydis's, one line each, to be
/// compared: registers by number and size, memory, immediates.
#pragma once

#include <Zydis/Zydis.h>

#include <string>
#include <vector>

#include "frontend/x86/decode/insn.h"

namespace lyrebird::x86 {

struct OperandText {
  std::string text;
  bool visible = true;  ///< false: implied by the instruction, not written
  bool is_immediate = false;
  int64_t immediate = 0;  ///< compared as far as it counts
  unsigned size = 0;
};

std::vector<OperandText> operand_texts(const Insn& insn);
std::vector<OperandText> operand_texts(const ZydisDecodedInstruction& insn,
                                       const ZydisDecodedOperand* operands);

/// What theirs writes is in ours, in that order; what else is in ours they imply. A memory size of 0 in
/// ours is any.
bool same_operands(const std::vector<OperandText>& ours, const std::vector<OperandText>& theirs);
/// The reason for a known difference, or nullptr.
const char* operands_explanation(const Insn& insn, std::string_view name);

std::string joined(const std::vector<OperandText>& operands);

}  // namespace lyrebird::x86
