// SPDX-License-Identifier: Apache-2.0
#include "tests/diff/x86/undefined.h"

#include <string_view>

#include "frontend/x86/decode/row.h"

namespace lyrebird::x86diff {

uint64_t undefined_flags(const x86::Insn&, const Case&) { return 0; }

}  // namespace lyrebird::x86diff
