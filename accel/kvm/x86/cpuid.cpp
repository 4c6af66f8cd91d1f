// SPDX-License-Identifier: Apache-2.0
#include "accel/kvm/x86/cpuid.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "frontend/x86/cpu_model.h"

namespace lyrebird::accel::kvm {
namespace {

using Entry = kvm_cpuid_entry2;

enum Register : unsigned { kEax, kEbx, kEcx, kEdx };
__u32& reg_of(Entry& entry, unsigned reg) {
  __u32* const all[] = {&entry.eax, &entry.ebx, &entry.ecx, &entry.edx};
  return *all[reg];
}
uint32_t reg_of(const Entry& entry, unsigned reg) { return reg_of(const_cast<Entry&>(entry), reg); }

/// A register of CPUID whose bits are features, with their names as /proc/cpuinfo has them.
struct Word {
  uint32_t function, index;
  unsigned reg;
  std::string_view names;  ///< from bit 0 on, separated by blanks; - has none
};
constexpr Word kWords[] = {
    {1, 0, kEcx,
     "sse3 pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca "
     "sse4_1 "
     "sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave osxsave avx f16c rdrand hypervisor"},
    {1, 0, kEdx,
     "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx "
     "fxsr "
     "sse sse2 ss ht tm ia64 pbe"},
    {7, 0, kEbx,
     "fsgsbase tsc_adjust sgx bmi1 hle avx2 fdp_excptn_only smep bmi2 erms invpcid rtm cqm zero_fcs_fds mpx "
     "rdt_a avx512f avx512dq rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er "
     "avx512cd "
     "sha_ni avx512bw avx512vl"},
    {7, 0, kEcx,
     "prefetchwt1 avx512vbmi umip pku ospke waitpkg avx512_vbmi2 shstk gfni vaes vpclmulqdq avx512_vnni "
     "avx512_bitalg tme avx512_vpopcntdq - la57 - - - - - rdpid - bus_lock_detect cldemote - movdiri "
     "movdir64b "
     "enqcmd sgx_lc pks"},
    {7, 0, kEdx,
     "- - avx512_4vnniw avx512_4fmaps fsrm uintr - - avx512_vp2intersect srbds_ctrl md_clear - - - serialize "
     "- "
     "tsxldtrk - pconfig arch_lbr ibt - amx_bf16 avx512_fp16 amx_tile amx_int8 spec_ctrl intel_stibp "
     "flush_l1d "
     "arch_capabilities core_capabilities ssbd"},
    {7, 1, kEax, "- - - - avx_vnni avx512_bf16 - cmpccxadd - - fzrm fsrs fsrc"},
    {0xd, 1, kEax, "xsaveopt xsavec xgetbv1 xsaves xfd"},
    {0x80000001, 0, kEcx,
     "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt "
     "- "
     "lwp fma4 tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc perfctr_llc mwaitx"},
    {0x80000001, 0, kEdx,
     "- - - - - - - - - - - syscall - - - - - - - - nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext "
     "3dnow"},
    {0x80000008, 0, kEbx, "clzero - xsaveerptr - - - - - - wbnoinvd - - ibpb - ibrs stibp"},
    {0x8000000a, 0, kEdx, "npt lbrv svm_lock nrip_save tsc_scale vmcb_clean flushbyasid decodeassists"},
    {0x40000001, 0, kEax,
     "kvmclock kvm_nopiodelay kvm_mmu kvmclock2 kvm_asyncpf kvm_steal_time kvm_pv_eoi kvm_pv_unhalt - "
     "kvm_pv_tlb_flush kvm_asyncpf_vmexit kvm_pv_ipi kvm_poll_control kvm_pv_sched_yield kvm_asyncpf_int "
     "kvm_msi_ext_dest_id"},
};

std::string_view name_in(const Word& word, unsigned bit) {
  std::string_view rest = word.names;
  for (; bit != 0 && !rest.empty(); --bit) {
    const size_t space = rest.find(' ');
    rest = space == rest.npos ? std::string_view() : rest.substr(space + 1);
  }
  rest = rest.substr(0, rest.find(' '));
  return rest == "-" ? std::string_view() : rest;
}

const Word* word_of(uint32_t function, uint32_t index, unsigned reg) {
  for (const Word& word : kWords)
    if (word.function == function && word.index == index && word.reg == reg) return &word;
  return nullptr;
}

const Entry* find_in(const std::vector<Entry>& entries, uint32_t function, uint32_t index) {
  for (const Entry& entry : entries)
    if (entry.function == function &&
        (!(entry.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || entry.index == index))
      return &entry;
  return nullptr;
}

/// Bits that the kernel or the APIC adds by itself, whatever the model has.
constexpr uint32_t kLeaf1EcxAlways = 1u << 31 | 1u << 21 | 1u << 24;  // hypervisor, x2APIC, TSC deadline

Result<std::vector<Entry>> supported_by(const Device& device) {
  for (unsigned count = 128;; count *= 2) {
    std::vector<uint8_t> memory(sizeof(kvm_cpuid2) + count * sizeof(Entry));
    auto* const list = reinterpret_cast<kvm_cpuid2*>(memory.data());
    list->nent = count;
    const int result = device.fd().control(KVM_GET_SUPPORTED_CPUID, list);
    if (result == -E2BIG && count < 65536) continue;
    if (result < 0) return Error{failure("KVM_GET_SUPPORTED_CPUID", result)};
    return std::vector<Entry>(list->entries, list->entries + list->nent);
  }
}

}  // namespace

std::string_view cpuid_feature_name(uint32_t function, uint32_t index, unsigned reg, unsigned bit) {
  const Word* const word = word_of(function, index, reg);
  return word ? name_in(*word, bit) : std::string_view();
}

kvm_cpuid_entry2* Cpuid::find(uint32_t function, uint32_t index) {
  return const_cast<Entry*>(find_in(entries_, function, index));
}

void Cpuid::remove(uint32_t first, uint32_t last) {
  std::erase_if(entries_, [&](const Entry& e) { return e.function >= first && e.function <= last; });
}

/// The model's leaves, cut down to what the host supports; what it cannot is named.
void Cpuid::take_model(std::string_view name) {
  const x86::CpuModel& model = *x86::find_cpu_model(name);
  const uint64_t xcr0 = x86::xcr0_of(model);
  const uint32_t last = x86::cpuid(model, 0, 0, xcr0).eax;
  const uint32_t last_extended = x86::cpuid(model, 0x80000000, 0, xcr0).eax;
  std::erase_if(entries_, [&](const Entry& e) {
    const bool basic = e.function < 0x40000000, extended = e.function >= 0x80000000;
    return (basic && e.function > last) || (extended && e.function > last_extended) ||
           (basic && (e.function == 2 || e.function == 4));
  });
  for (unsigned i = 0; last >= 4 && i < 4; ++i) {
    const x86::CpuidResult cache = x86::cpuid(model, 4, i, xcr0);
    entries_.push_back(
        {4, i, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, cache.eax, cache.ebx, cache.ecx, cache.edx, {}});
  }
  for (Entry& entry : entries_) {
    if (entry.function >= 0x40000000 && entry.function < 0x80000000) continue;
    const x86::CpuidResult r = x86::cpuid(model, entry.function, entry.index, xcr0);
    const uint32_t wanted[] = {r.eax, r.ebx, r.ecx, r.edx};
    for (unsigned reg = 0; reg < 4; ++reg) {
      const Word* const word = word_of(entry.function, entry.index, reg);
      if (!word) {
        // Sizes and offsets of the extended state, and widths of addresses, are the host's.
        if (entry.function != 0xd && entry.function != 0x80000008) reg_of(entry, reg) = wanted[reg];
        continue;
      }
      const uint32_t have = reg_of(entry, reg);
      uint32_t want = wanted[reg];
      if (entry.function == 1 && reg == kEcx) want = (want & ~(1u << 27)) | (have & kLeaf1EcxAlways);
      // NX came with long mode; this emulator's user mode has no use for it.
      if (entry.function == 0x80000001 && reg == kEdx && (want >> 29 & 1)) want |= 1u << 20;
      for (uint32_t lacks = want & ~have; lacks != 0; lacks &= lacks - 1)
        if (const auto feature = name_in(*word, static_cast<unsigned>(std::countr_zero(lacks)));
            !feature.empty())
          missing_.emplace_back(feature);
      reg_of(entry, reg) = want & have;
    }
    if (entry.function == 0xd && entry.index == 0) {
      entry.eax &= static_cast<uint32_t>(xcr0);
      entry.edx = 0;
    }
  }
  std::erase_if(entries_, [&](const Entry& e) {
    return e.function == 0xd && e.index > 1 && (e.index > 63 || !(xcr0 >> e.index & 1));
  });
}

Result<void> Cpuid::change(std::string_view feature, bool on, const std::vector<Entry>& supported) {
  for (const Word& word : kWords)
    for (unsigned bit = 0; bit < 32; ++bit) {
      if (name_in(word, bit) != feature) continue;
      Entry* const entry = find(word.function, word.index);
      const Entry* const host = find_in(supported, word.function, word.index);
      const bool can = entry && host && (reg_of(*host, word.reg) >> bit & 1);
      if (on && !can)
        missing_.emplace_back(feature);
      else if (entry)
        reg_of(*entry, word.reg) = (reg_of(*entry, word.reg) & ~(1u << bit)) | (on ? 1u << bit : 0);
      return {};
    }
  return Error{fmt::format("-cpu: {}: no such feature; they are named as /proc/cpuinfo does", feature)};
}

Result<Cpuid> Cpuid::create(const Device& device, std::string_view spec) {
  auto supported = supported_by(device);
  if (!supported) return supported.error();
  // That there is a hypervisor, and what the APIC in the kernel does on its own: older kernels list neither.
  for (Entry& entry : *supported)
    if (entry.function == 1)
      entry.ecx |= 1u << 31 | (device.check(KVM_CAP_TSC_DEADLINE_TIMER) > 0 ? 1u << 24 : 0);
  return create(std::move(*supported), spec);
}

Result<Cpuid> Cpuid::create(std::vector<Entry> supported, std::string_view spec) {
  Cpuid cpuid;
  cpuid.entries_ = supported;
  const std::string_view name = spec.substr(0, spec.find(','));
  if (name != "host" && name != "max") {
    if (!x86::find_cpu_model(name)) {
      std::string names = "host, max";
      for (const x86::CpuModel& model : x86::cpu_models())
        if (model.name != "max") names += fmt::format(", {}", model.name);
      return Error{fmt::format("-cpu {}: no such processor; there are {}", name, names)};
    }
    cpuid.take_model(name);
  }
  bool enforce = false;
  for (size_t at = name.size(); at < spec.size();) {
    const size_t end = std::min(spec.find(',', at + 1), spec.size());
    const std::string_view part = spec.substr(at + 1, end - at - 1);
    at = end;
    if (part == "enforce") {
      enforce = true;
    } else if (part == "kvm=off") {
      cpuid.remove(0x40000000, 0x4fffffff);
      if (Entry* const leaf = cpuid.find(1, 0)) leaf->ecx &= ~(1u << 31);
    } else if (part.starts_with('+') || part.ends_with("=on")) {
      const auto feature = part.starts_with('+') ? part.substr(1) : part.substr(0, part.size() - 3);
      if (const auto done = cpuid.change(feature, true, supported); !done) return done.error();
    } else if (part.starts_with('-') || part.ends_with("=off")) {
      const auto feature = part.starts_with('-') ? part.substr(1) : part.substr(0, part.size() - 4);
      if (const auto done = cpuid.change(feature, false, supported); !done) return done.error();
    } else {
      return Error{fmt::format(
          "-cpu: {}: write +FEATURE, -FEATURE, FEATURE=on, FEATURE=off, enforce or kvm=off", part)};
    }
  }
  if (enforce && !cpuid.missing_.empty())
    return Error{fmt::format("-cpu {}: this host has no {}", name, fmt::join(cpuid.missing_, ", "))};
  return cpuid;
}

std::vector<Entry> Cpuid::for_vcpu(unsigned index, unsigned count) const {
  std::vector<Entry> result = entries_;
  const unsigned shift = static_cast<unsigned>(std::bit_width(count - 1));
  for (Entry& entry : result) {
    switch (entry.function) {
      case 1:
        entry.ebx = (entry.ebx & 0xffff) | std::min(count, 255u) << 16 | index << 24;
        entry.edx = (entry.edx & ~(1u << 28)) | (count > 1 ? 1u << 28 : 0);
        break;
      case 4:  // one core per vCPU, the last level shared by all
        if ((entry.eax & 31) == 0) break;
        entry.eax = (entry.eax & 0x3fff) | ((1u << shift) - 1) << 26 |
                    ((entry.eax >> 5 & 7) >= 3 ? ((1u << shift) - 1) << 14 : 0);
        break;
      case 0xb:
      case 0x1f:
        entry.eax = entry.index == 0 ? 0 : entry.index == 1 ? shift : 0;
        entry.ebx = entry.index == 0 ? 1 : entry.index == 1 ? count : 0;
        entry.ecx = (entry.index & 0xff) | (entry.index == 0 ? 1u << 8 : entry.index == 1 ? 2u << 8 : 0);
        entry.edx = index;
        break;
      case 0x80000008:
        entry.ecx = (entry.ecx & ~0xf0ffu) | (count - 1) | shift << 12;
        break;
      case 0x8000001e:
        entry.eax = index;
        entry.ebx = index;
        entry.ecx = 0;
        break;
      default:
        break;
    }
  }
  return result;
}

uint64_t Cpuid::digest() const {
  constexpr uint32_t kOsXsave = 1u << 27;  // follows CR4
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](uint64_t word) { hash = (hash ^ word) * 0x9e3779b97f4a7c15 ^ hash >> 29; };
  for (const kvm_cpuid_entry2& e : entries_) {
    const bool features = e.function == 7 || (e.function == 0xd && e.index <= 1) ||
                          e.function == 0x80000001 || e.function == 0x40000001;
    if (e.function != 1 && !features) continue;
    add(uint64_t{e.function} << 32 | e.index);
    add(e.eax);
    if (e.function == 7) add(e.ebx);
    if (e.function == 1 || e.function == 7 || e.function == 0x80000001) {
      add(e.function == 1 ? e.ecx & ~kOsXsave : e.ecx);
      add(e.edx);
    }
  }
  return hash;
}

unsigned Cpuid::address_bits() const {
  const Entry* const leaf = find_in(entries_, 0x80000008, 0);
  return leaf ? leaf->eax & 0xff : 36;
}

}  // namespace lyrebird::accel::kvm
