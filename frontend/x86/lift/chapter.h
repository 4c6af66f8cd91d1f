// SPDX-License-Identifier: Apache-2.0
/// How a chapter offers its handlers: NAME.inc has a HANDLER(MNEMONIC) for each, NAME.cpp defines the
/// struct and then says
///
///     #define X86_CHAPTER DataTransfer
///     #define HANDLER(name) X86_DEFINE_HANDLER(name)
///     #include "frontend/x86/lift/data_transfer.inc"
///     #undef HANDLER
///
/// and handlers.inc lists it.
#pragma once

#include "frontend/x86/lift/lifter.h"

namespace lyrebird::x86 {

/// Lifts context.insn; false when the block has ended.
using Handler = bool (*)(LiftContext& context);

#define X86_DEFINE_HANDLER(name) \
  bool lift_##name(LiftContext& context) { return X86_CHAPTER(context).name(); }

}  // namespace lyrebird::x86
