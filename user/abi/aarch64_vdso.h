// SPDX-License-Identifier: Apache-2.0
/// The vDSO that AArch64 guests find at AT_SYSINFO_EHDR (arch/arm64/kernel/vdso/vdso.lds.S).
///
/// Its clock functions enter the emulator with SVC #kVdsoCall, which is answered from the host's
/// own vDSO: no host system call happens, and -strace does not show it.
#pragma once

#include <cstdint>

#include "user/elf/vdso_image.h"

namespace lyrebird::user {

const VdsoImage& aarch64_vdso();
/// Offset of __kernel_rt_sigreturn.
uint64_t aarch64_vdso_sigreturn();

}  // namespace lyrebird::user
