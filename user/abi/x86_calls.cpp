// SPDX-License-Identifier: Apache-2.0
#include "user/abi/x86_calls.h"

#include <asm/prctl.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/bits.h"
#include "frontend/x86/segments.h"
#include "user/abi/x86_state.h"

namespace lyrebird::user {
namespace {

// Bits of UserDescriptor::flags.
constexpr uint32_t kSeg32 = 1u << 0, kContents = 3u << 1, kReadOnly = 1u << 3, kPages = 1u << 4,
                   kAbsent = 1u << 5, kUseable = 1u << 6, kLong = 1u << 7;
constexpr unsigned kContentsShift = 1;
constexpr unsigned kDescriptorSize = 16;

unsigned contents_of(uint32_t flags) { return (flags & kContents) >> kContentsShift; }

}  // namespace

bool UserDescriptor::get(Thread& t, uint64_t address) {
  return get_u32(t, address, entry) && get_u32(t, address + 4, base) && get_u32(t, address + 8, limit) &&
         get_u32(t, address + 12, flags);
}

// LDT_empty() and LDT_zero() of asm/desc.h.
bool UserDescriptor::empty() const {
  if (base || limit) return false;
  const uint32_t known = flags & ~kLong;
  return known == (kReadOnly | kAbsent) || known == 0;
}

// tls_desc_okay(): 16-bit and absent segments break assumptions of the kernel.
bool UserDescriptor::valid_for_tls() const {
  if (empty()) return true;
  return (flags & kSeg32) && contents_of(flags) <= 1 && !(flags & kAbsent);
}

// fill_ldt() of asm/desc.h.
uint64_t UserDescriptor::descriptor() const {
  using namespace x86::segment_attributes;
  uint32_t attributes = kNotSystem | 3u << kDplShift | kAccessed;
  if (!(flags & kReadOnly)) attributes |= kWritable;
  attributes |= contents_of(flags) << 10;
  if (!(flags & kAbsent)) attributes |= kPresent;
  if (flags & kUseable) attributes |= 1u << 20;
  if (flags & kSeg32) attributes |= kBig;
  if (flags & kPages) attributes |= kGranular;
  // make_descriptor takes bytes where pages are counted.
  const uint32_t bytes = flags & kPages ? limit << 12 | 0xfff : limit & 0xfffff;
  return x86::make_descriptor(base, bytes, attributes) | (flags & kUseable ? uint64_t{1} << 52 : 0);
}

void set_tls_entry(ir::CpuHeader& cpu, unsigned index, uint64_t descriptor) {
  x86_user_state(cpu).gdt[index].store(descriptor);
  reload_segments(x86_state(cpu), static_cast<uint16_t>(index << 3 | 3));
}

namespace sys::x86 {

using namespace lyrebird::x86;

namespace {

/// Any address that a program can have; Linux refuses others.
bool is_user_address(Thread& t, uint64_t address) { return address < t.memory().layout().task_size; }

Errno<Hex> unknown_code(int code) {
  constexpr int kGetXcompSupport = 0x1021, kGetXcompPermission = 0x1022;
  // Dynamic features: there are none.
  (void)kGetXcompSupport, (void)kGetXcompPermission, (void)code;
  return -EINVAL;
}

int64_t cpuid_faulting(int code, uint64_t value) {
  if (code == ARCH_GET_CPUID) return 1;
  return value == 1 ? 0 : -ENODEV;
}

}  // namespace

Errno<Hex> arch_prctl(Thread& t, Int code, Hex address) {
  X86State& s = x86_state(t.cpu());
  switch (code) {
    case ARCH_SET_FS:
    case ARCH_SET_GS:
      if (!is_user_address(t, address)) return -EPERM;
      if (code == ARCH_SET_FS)
        s.fs = {.base = address};
      else
        s.gs = {.base = address};
      return 0;
    case ARCH_GET_FS:
      return put_u64(t, address, s.fs.base) ? 0 : -EFAULT;
    case ARCH_GET_GS:
      return put_u64(t, address, s.gs.base) ? 0 : -EFAULT;
    default:
      return arch_prctl_of_32bit(t, code, address);
  }
}

Errno<Hex> arch_prctl_of_32bit(Thread&, Int code, Hex value) {
  if (code == ARCH_GET_CPUID || code == ARCH_SET_CPUID) return cpuid_faulting(code, value);
  return unknown_code(code);
}

Errno<Long> set_thread_area(Thread& t, Addr address) {
  UserDescriptor d;
  if (!d.get(t, address)) return -EFAULT;
  if (!d.valid_for_tls()) return -EINVAL;
  X86UserState& state = x86_user_state(t.cpu());
  unsigned index = d.entry;
  if (d.entry == ~0u) {
    index = kGdtTls;
    while (index < kGdtTls + kGdtTlsEntries && state.gdt[index].load()) ++index;
    if (index == kGdtTls + kGdtTlsEntries) return -ESRCH;
    if (!put_u32(t, address, index)) return -EFAULT;
  }
  if (index < kGdtTls || index >= kGdtTls + kGdtTlsEntries) return -EINVAL;
  set_tls_entry(t.cpu(), index, d.empty() ? 0 : d.descriptor());
  return 0;
}

Errno<Long> get_thread_area(Thread& t, Addr address) {
  uint32_t index;
  if (!get_u32(t, address, index)) return -EFAULT;
  if (index < kGdtTls || index >= kGdtTls + kGdtTlsEntries) return -EINVAL;
  const uint64_t descriptor = x86_user_state(t.cpu()).gdt[index].load();
  const uint32_t high = static_cast<uint32_t>(descriptor >> 32);
  const uint32_t base =
      static_cast<uint32_t>(descriptor >> 16 & 0xffff) | (high & 0xff) << 16 | (high & 0xff000000);
  const uint32_t limit = static_cast<uint32_t>(descriptor & 0xffff) | (high & 0xf0000);
  uint32_t flags = 0;
  if (high & 1u << 22) flags |= kSeg32;
  flags |= (high >> 10 & 3) << kContentsShift;
  if (!(high & 1u << 9)) flags |= kReadOnly;
  if (high & 1u << 23) flags |= kPages;
  if (!(high & 1u << 15)) flags |= kAbsent;
  if (high & 1u << 20) flags |= kUseable;
  return put_u32(t, address + 4, base) && put_u32(t, address + 8, limit) && put_u32(t, address + 12, flags)
             ? 0
             : -EFAULT;
}

// arch/x86/kernel/ldt.c
namespace {
int64_t change_ldt(Thread& t, int function, uint64_t data, uint64_t size) {
  enum { kRead = 0, kWriteOld = 1, kReadDefault = 2, kWrite = 0x11 };
  std::atomic<uint64_t>* const table = x86_user_state(t.cpu()).ldt.get();
  switch (function) {
    case kRead: {
      uint64_t used = kLdtEntries;
      while (used && !table[used - 1].load()) --used;
      if (used == 0) return 0;
      const uint64_t bytes = std::min<uint64_t>(size, uint64_t{kLdtEntries} * 8);
      std::vector<uint64_t> copy((bytes + 7) / 8);
      for (size_t i = 0; i < copy.size(); ++i) copy[i] = table[i].load();
      return t.memory().write(data, copy.data(), bytes) ? static_cast<int64_t>(bytes) : -EFAULT;
    }
    case kReadDefault: {
      const std::vector<uint8_t> zeros(std::min<uint64_t>(size, 128));
      return t.memory().write(data, zeros.data(), zeros.size()) ? static_cast<int64_t>(zeros.size())
                                                                : -EFAULT;
    }
    case kWrite:
    case kWriteOld:
      break;
    default:
      return -ENOSYS;
  }
  UserDescriptor d;
  if (size != kDescriptorSize) return -EINVAL;
  if (!d.get(t, data)) return -EFAULT;
  if (d.entry >= kLdtEntries) return -EINVAL;
  if (contents_of(d.flags) == 3 && (function == kWriteOld || !(d.flags & kAbsent))) return -EINVAL;
  const bool clears = (function == kWriteOld && !d.base && !d.limit) || d.empty();
  if (function == kWriteOld) d.flags &= ~kUseable;
  table[d.entry].store(clears ? 0 : d.descriptor());
  reload_segments(x86_state(t.cpu()), static_cast<uint16_t>(d.entry << 3 | 7));
  return 0;
}
}  // namespace

// The kernel's result is an unsigned int: the errors of a 64-bit program, too.
Errno<Long> modify_ldt(Thread& t, Int function, Addr data, Size size) {
  return static_cast<uint32_t>(change_ldt(t, function, data, size));
}

// Ports are the host's: nobody gets them.
Errno<Long> iopl(Thread&, Uint level) {
  if (level > 3) return -EINVAL;
  return level ? -EPERM : 0;
}
Errno<Long> ioperm(Thread&, Hex from, Hex count, Int on) {
  constexpr uint64_t kPorts = 65536;
  if (from + count <= from || from + count > kPorts) return -EINVAL;
  return on ? -EPERM : 0;
}

}  // namespace sys::x86
}  // namespace lyrebird::user
