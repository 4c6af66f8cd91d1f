// SPDX-License-Identifier: Apache-2.0
/// The vDSOs of x86 guests. Their clock functions are plain system calls, which the ABI knows by where
/// they stand: answered from the host's vDSO, without a trace and without signals.
#pragma once

#include <cstdint>

#include "user/elf/vdso_image.h"

namespace lyrebird::user {

struct X86Vdso {
  VdsoImage image;
  uint64_t calls_start = 0, calls_end = 0;                               ///< offsets of the clock functions
  uint64_t vsyscall = 0, sysenter = 0, sigreturn = 0, rt_sigreturn = 0;  ///< i386: offsets of __kernel_*
};
const X86Vdso& x86_64_vdso();
const X86Vdso& i386_vdso();

}  // namespace lyrebird::user
