// SPDX-License-Identifier: Apache-2.0
/// Short names for AsmJit's instruction numbers in the emit_*.cpp files.
#pragma once

#include <asmjit/x86.h>

namespace lyrebird::jit::baseline {
namespace hi = asmjit::x86::Inst;
}
