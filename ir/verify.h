// SPDX-License-Identifier: Apache-2.0
/// Checks that a block keeps the rules of the IR. Run on every block after
/// lifting and after the passes where kVerify is set.
#pragma once

#include "base/result.h"
#include "ir/text.h"

namespace lyrebird::ir {

/// True in builds that are meant to find mistakes: all presets but release.
#ifdef LYREBIRD_VERIFY_IR
inline constexpr bool kVerify = true;
#else
inline constexpr bool kVerify = false;
#endif

/// The rules: a terminal comes last and only there; operands are values made by
/// earlier instructions; types, lanes and immediates fit the op (ir/typing.h);
/// state is a part of one field at a multiple of its own size, or whole fields;
/// an Insn comes before everything that may fault or raise; and inside one guest
/// instruction nothing that writes state precedes an op that may fault, so that
/// state is precise there.
///
/// Without a layout places in the state are not checked. The message names the
/// block, the instruction and what is wrong with it.
Result<void> verify(const Block& block, const TextContext& context);

}  // namespace lyrebird::ir
