// SPDX-License-Identifier: Apache-2.0
/// Reads the text form of IR (ir/text.h).
#pragma once

#include <string_view>

#include "base/result.h"
#include "ir/text.h"

namespace lyrebird::ir {

/// Instructions that a text may have.
inline constexpr size_t kMaxParsedInsts = size_t{1} << 20;

/// The block that print() wrote, or that somebody did by hand: labels need not be
/// indexes, the header may be missing. Every operand exists and comes earlier,
/// but nothing else is checked: that is the verifier's part (ir/verify.h). The
/// error names line and column.
Result<Block> parse(std::string_view text, const TextContext& context = {});

}  // namespace lyrebird::ir
