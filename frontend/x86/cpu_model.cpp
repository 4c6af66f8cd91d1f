// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/cpu_model.h"

#include <cstring>

namespace lyrebird::x86 {
namespace {

using enum Feature;

constexpr Features with(Features f, std::initializer_list<Feature> list) {
  for (const Feature feature : list) f.add(feature);
  return f;
}
constexpr Features without(Features f, std::initializer_list<Feature> list) {
  for (const Feature feature : list) f.remove(feature);
  return f;
}

// The levels of the x86-64 psABI, with what every processor of that time has as well.
constexpr Features kLevel1 =
    with({}, {FPU, TSC, MSR, CX8, SEP, CMOV, MMX, MMXEXT, FXSR, SSE, SSE2, CPUID, CLFLUSH, Long});
constexpr Features kLevel2 = with(kLevel1, {SSE3, SSSE3, SSE4_1, SSE4_2, POPCNT, CX16, LAHF64, RDTSCP});
constexpr Features kLevel3 =
    with(kLevel2, {LZCNT, BMI1, BMI2, MOVBE, F16C, FMA, AVX, AVX2, XSAVE, XSAVEOPT, FSGSBASE});
constexpr Features kHaswell = with(kLevel3, {AES, PCLMUL, RDRAND, INVPCID});
constexpr Features kSkylake = with(kHaswell, {ADX, RDSEED, SMAP, CLFLUSHOPT, PREFETCHW, XSAVEC, XSAVES});
// What there is but for virtualisation and monitors.
constexpr Features kMax = without(Features::all(), {MONITOR, VMX, SVM, WBNOINVD});

constexpr std::string_view kIntel = "GenuineIntel", kAmd = "AuthenticAMD";

/// CPUID.1:EAX of family 6 (SDM volume 2, CPUID, figure 3-6).
constexpr uint32_t family6(unsigned model, unsigned stepping) {
  return (model >> 4) << 16 | 6u << 8 | (model & 15) << 4 | stepping;
}
/// Families above 15 put what is more into the extended field.
constexpr uint32_t family15(unsigned model, unsigned stepping) {
  return (model >> 4) << 16 | 15u << 8 | (model & 15) << 4 | stepping;
}

constexpr CpuModel kModels[] = {
    {"x86-64-v3", "level 3 of the psABI: AVX2, BMI, FMA; with AES and SHA (default)", kIntel,
     "Lyrebird x86-64-v3", family6(60, 4), with(kLevel3, {AES, PCLMUL, SHA})},
    {"x86-64-v2", "level 2 of the psABI: SSE4.2, POPCNT", kIntel, "Lyrebird x86-64-v2", family6(26, 3),
     kLevel2},
    {"qemu64", "the peer's default: SSE3", kAmd, "Lyrebird x86-64", family15(107, 1),
     with(kLevel1, {SSE3, CX16, LAHF64})},
    {"Nehalem", "Intel Core i7 9xx (2008)", kIntel, "Intel Core i7 9xx (Nehalem Class Core i7)",
     family6(26, 3), kLevel2},
    {"Haswell", "Intel Core (Haswell, 2013), no TSX", kIntel, "Intel Core Processor (Haswell, no TSX)",
     family6(60, 1), kHaswell},
    {"Skylake-Client", "Intel Core (Skylake, 2015), no TSX", kIntel, "Intel Core Processor (Skylake)",
     family6(94, 3), kSkylake},
    {"max", "every feature there is", kIntel, "Lyrebird max", family6(106, 6), kMax},
};

struct Bit {
  uint8_t bit;
  Feature feature;
};

uint32_t bits_of(const Features& features, std::span<const Bit> list) {
  uint32_t value = 0;
  for (const Bit& b : list)
    if (features.has(b.feature)) value |= 1u << b.bit;
  return value;
}

// SDM volume 2, CPUID, tables 3-10 and 3-11. Base: all of them have it (VME, DE, PSE, PAE, MCE, APIC,
// MTRR, PGE, MCA, PAT, PSE36).
constexpr Bit kLeaf1Edx[] = {{0, FPU},   {1, Base},  {2, Base},  {3, Base},  {4, TSC},   {5, MSR},
                             {6, Base},  {7, Base},  {8, CX8},   {9, Base},  {11, SEP},  {12, Base},
                             {13, Base}, {14, Base}, {15, CMOV}, {16, Base}, {17, Base}, {19, CLFLUSH},
                             {23, MMX},  {24, FXSR}, {25, SSE},  {26, SSE2}};
constexpr Bit kLeaf1Ecx[] = {{0, SSE3},   {1, PCLMUL},  {3, MONITOR}, {5, VMX},    {9, SSSE3},   {12, FMA},
                             {13, CX16},  {19, SSE4_1}, {20, SSE4_2}, {22, MOVBE}, {23, POPCNT}, {25, AES},
                             {26, XSAVE}, {27, XSAVE},  {28, AVX},    {29, F16C},  {30, RDRAND}};
constexpr Bit kLeaf7Ebx[] = {{0, FSGSBASE}, {3, BMI1},        {5, AVX2},    {8, BMI2},
                             {9, Base},     {10, INVPCID},    {18, RDSEED}, {19, ADX},
                             {20, SMAP},    {23, CLFLUSHOPT}, {24, CLWB},   {29, SHA}};
constexpr Bit kLeaf7Ecx[] = {{8, GFNI}, {9, VAES}, {10, VPCLMUL}, {22, RDPID}};
constexpr Bit kLeafDEax1[] = {{0, XSAVEOPT}, {1, XSAVEC}, {2, XSAVEC}, {3, XSAVES}};
constexpr Bit kExtended1Ecx[] = {{0, LAHF64}, {2, SVM}, {5, LZCNT}, {8, PREFETCHW}};
constexpr Bit kExtended1Edx[] = {{11, Long}, {20, Long}, {27, RDTSCP}, {29, Long}};

constexpr uint64_t kX87Part = 1, kSsePart = 2, kAvxPart = 4;
constexpr uint32_t kLegacyArea = 576, kAvxArea = 256;

uint32_t word_of(std::string_view text, size_t at) {
  char letters[4] = {};
  if (at < text.size()) text.substr(at, 4).copy(letters, 4);
  uint32_t word;
  std::memcpy(&word, letters, 4);
  return word;
}

/// Deterministic cache parameters (leaf 4): 32 KiB L1 each, 256 KiB L2, 8 MiB L3, lines of 64 bytes.
CpuidResult cache(uint32_t index) {
  struct Cache {
    uint32_t type, level, ways, sets;
  };
  constexpr Cache kCaches[] = {{1, 1, 8, 64}, {2, 1, 8, 64}, {3, 2, 8, 512}, {3, 3, 16, 8192}};
  if (index >= std::size(kCaches)) return {};
  const Cache& c = kCaches[index];
  return {c.type | c.level << 5 | 1u << 8, (c.ways - 1) << 22 | 63, c.sets - 1, 0};
}

CpuidResult xsave_leaf(const CpuModel& model, uint32_t subleaf, uint64_t xcr0) {
  if (!model.features.has(XSAVE)) return {};
  const uint64_t all = xcr0_of(model);
  switch (subleaf) {
    case 0:
      return {static_cast<uint32_t>(all), xsave_size(xcr0), xsave_size(all), 0};
    case 1:
      return {bits_of(model.features, kLeafDEax1), model.features.has(XSAVEC) ? xsave_size(xcr0) : 0, 0, 0};
    case 2:
      if (all & kAvxPart) return {kAvxArea, kLegacyArea, 0, 0};
      [[fallthrough]];
    default:
      return {};
  }
}

CpuidResult extended(const CpuModel& model, uint32_t leaf) {
  constexpr uint32_t kLast = 0x80000008;
  switch (leaf) {
    case 0x80000000: {
      CpuidResult r{.eax = kLast};
      if (model.vendor == kAmd) {
        r.ebx = word_of(model.vendor, 0);
        r.edx = word_of(model.vendor, 4);
        r.ecx = word_of(model.vendor, 8);
      }
      return r;
    }
    case 0x80000001:
      return {0, 0, bits_of(model.features, kExtended1Ecx), bits_of(model.features, kExtended1Edx)};
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: {
      const size_t at = 16 * (leaf - 0x80000002);
      return {word_of(model.brand, at), word_of(model.brand, at + 4), word_of(model.brand, at + 8),
              word_of(model.brand, at + 12)};
    }
    case 0x80000006:
      return {.ecx = 256u << 16 | 6u << 12 | 64};  // L2: 256 KiB, 8 ways, lines of 64 bytes
    case 0x80000007:
      return {.edx = 1u << 8};  // the TSC's frequency does not change
    case 0x80000008:
      return {.eax = 48u << 8 | 40};  // bits of linear and physical addresses
    default:
      return {};
  }
}

}  // namespace

const CpuModel* find_cpu_model(std::string_view name) {
  for (const CpuModel& model : kModels)
    if (model.name == name) return &model;
  return nullptr;
}

std::span<const CpuModel> cpu_models() { return kModels; }

unsigned cpu_number(const CpuModel& model) { return static_cast<unsigned>(&model - kModels); }

CpuidResult cpuid(const CpuModel& model, uint32_t leaf, uint32_t subleaf, uint64_t xcr0) {
  const uint32_t last = model.features.has(XSAVE) ? 0xd : model.features.has(SSE4_2) ? 0xb : 4;
  if (leaf >= 0x80000000) return extended(model, leaf);
  // Beyond the last basic leaf Intel's processors answer with that one, AMD's with zeros.
  if (leaf > last && model.vendor == kAmd) return {};
  if (leaf > last) leaf = last;
  switch (leaf) {
    case 0:
      return {last, word_of(model.vendor, 0), word_of(model.vendor, 8), word_of(model.vendor, 4)};
    case 1:
      return {model.signature, 8u << 8 | 1u << 16, bits_of(model.features, kLeaf1Ecx),
              bits_of(model.features, kLeaf1Edx)};
    case 2:
      return {0x00feff01, 0xf0, 0, 0};  // caches: see leaf 4
    case 4:
      return cache(subleaf);
    case 7:
      if (subleaf != 0) return {};
      return {0, bits_of(model.features, kLeaf7Ebx), bits_of(model.features, kLeaf7Ecx), 0};
    case 0xb:
      return {0, 0, subleaf & 0xff, 0};  // no topology
    case 0xd:
      return xsave_leaf(model, subleaf, xcr0);
    default:
      return {};
  }
}

uint64_t xcr0_of(const CpuModel& model) {
  uint64_t parts = kX87Part;
  if (!model.features.has(XSAVE)) return parts;
  if (model.features.has(SSE)) parts |= kSsePart;
  if (model.features.has(AVX)) parts |= kAvxPart;
  return parts;
}

uint32_t xsave_size(uint64_t parts) { return kLegacyArea + (parts & kAvxPart ? kAvxArea : 0); }

uint64_t hwcap(const CpuModel& model) { return bits_of(model.features, kLeaf1Edx); }

uint64_t hwcap2(const CpuModel& model) {
  constexpr uint64_t kFsgsbase = 1 << 1;
  return model.features.has(FSGSBASE) ? kFsgsbase : 0;
}

}  // namespace lyrebird::x86
