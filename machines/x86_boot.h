// SPDX-License-Identifier: Apache-2.0
/// Starting a kernel on an x86 machine that has no firmware: what lies where in memory, and how the first
/// processor begins.
///
/// Known: bzImage with its 64-bit or 32-bit entry (Documentation/arch/x86/boot.rst, 2.06 and later), ELF with
/// a PVH note (Xen's docs/misc/pvh.pandoc) or, without, 64-bit ELF entered as a bzImage's 64-bit entry is.
/// Files are checked, never trusted.
///
///     0x0500 descriptors  0x7000 boot_params / start_info  0x9000 page tables (64-bit entry)
///     0x20000 command line  0xe0000 ACPI  kernel where it wants to be  initrd as high as it may be
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "frontend/x86/system/x86_system_state.h"
#include "machines/kernel_image.h"

namespace lyrebird::machines {

/// RAM as the guest is told of it.
struct X86Memory {
  uint64_t low = 0;   ///< bytes from 0 on, below the devices
  uint64_t high = 0;  ///< bytes from 4 GiB on
};

struct X86BootFiles {
  std::string kernel, initrd, append;
};

struct X86Boot {
  enum class Entry : uint8_t { Long, Protected };
  std::vector<Segment> segments;
  Entry entry_mode = Entry::Protected;
  uint64_t entry = 0;
  uint64_t parameters = 0;  ///< in rsi (Linux) or ebx (PVH)
  bool pvh = false;
};

inline constexpr uint64_t kX86AcpiTables = 0xe0000, kX86AcpiRoom = 0x20000;

/// Reads the files and lays everything out. `rsdp` is 0 without ACPI.
Result<X86Boot> load_x86_kernel(const X86BootFiles& files, const X86Memory& memory, uint64_t rsdp);

/// The first processor's registers at the entry; the state was reset before.
void enter_x86_kernel(const X86Boot& boot, x86::X86State& state);

}  // namespace lyrebird::machines
