// SPDX-License-Identifier: Apache-2.0
/// System calls that only x86 has: segment bases and descriptors, I/O ports.
#pragma once

#include "user/syscalls/dispatch.h"

namespace lyrebird::user {

/// struct user_desc (uapi/asm/ldt.h).
struct UserDescriptor {
  uint32_t entry = 0, base = 0, limit = 0;
  uint32_t flags = 0;

  bool get(Thread& t, uint64_t address);
  /// What means "no descriptor" to set_thread_area and modify_ldt.
  bool empty() const;
  /// One that the kernel lets into a TLS entry.
  bool valid_for_tls() const;
  uint64_t descriptor() const;
};

/// Entry `index` of the thread's GDT, one of its TLS entries, and the registers that hold it.
void set_tls_entry(ir::CpuHeader& cpu, unsigned index, uint64_t descriptor);

namespace sys::x86 {

Errno<Hex> arch_prctl(Thread& t, Int code, Hex address);
/// Of a 32-bit program: FS and GS bases are no business of this call there.
Errno<Hex> arch_prctl_of_32bit(Thread& t, Int code, Hex address);
Errno<Long> set_thread_area(Thread& t, Addr descriptor);
Errno<Long> get_thread_area(Thread& t, Addr descriptor);
Errno<Long> modify_ldt(Thread& t, Int function, Addr data, Size size);
Errno<Long> iopl(Thread& t, Uint level);
Errno<Long> ioperm(Thread& t, Hex from, Hex count, Int on);

}  // namespace sys::x86
}  // namespace lyrebird::user
