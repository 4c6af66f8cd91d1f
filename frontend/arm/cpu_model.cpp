// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/cpu_model.h"

namespace lyrebird::arm {
namespace {

using enum Feature;

template <typename... F>
constexpr Features features(F... list) {
  Features f;
  (f.add(list), ...);
  return f;
}

constexpr Features kCryptoV8 = features(AES, PMULL, SHA1, SHA256, CRC32);

// Technical reference manuals: DDI 0500, DDI 0488, 100095, 100616. All with the cryptographic
// extension.
// max has no LSE2: it would make every LDP one 16-byte atomic access.
constexpr CpuModel kModels[] = {
    {.name = "max",
     .text = "every feature there is (default)",
     .features = features(AES, PMULL, SHA1, SHA256, SHA512, SHA3, CRC32, LSE, RDM, FP16, FHM, DotProd, I8MM,
                          BF16, JSCVT, FCMA, LOR, LRCPC, LRCPC2, FlagM, FlagM2, FRINTTS, BTI, PAuth, SB, SSBS,
                          DPB, DPB2, PAN, UAO, HPDS, HAFDBS, VHE, VMID16, CSV3),
     .midr = kMaxMidr},
    {.name = "cortex-a53", .text = "Arm Cortex-A53 r0p4, Armv8.0", .features = kCryptoV8, .midr = 0x410fd034},
    {.name = "cortex-a57", .text = "Arm Cortex-A57 r1p0, Armv8.0", .features = kCryptoV8, .midr = 0x411fd070},
    {.name = "cortex-a72", .text = "Arm Cortex-A72 r0p3, Armv8.0", .features = kCryptoV8, .midr = 0x410fd083},
    {.name = "neoverse-n1",
     .text = "Arm Neoverse N1 r4p1, Armv8.2",
     .features = features(AES, PMULL, SHA1, SHA256, CRC32, LSE, RDM, FP16, DotProd, LOR, LRCPC, SSBS, DPB,
                          PAN, UAO, HPDS, HAFDBS, VHE, VMID16, CSV3),
     .midr = 0x414fd0c1},
};

/// A feature's value in a field that Linux shows to programs (cpufeature.c, FTR_VISIBLE).
struct IdField {
  uint8_t m, op2, shift, value;
  Feature feature;
};

// A field with several rows has the largest value whose feature is there: rows in rising order.
constexpr IdField kIdFields[] = {
    // ID_AA64PFR0_EL1: FP, AdvSIMD
    {4, 0, 16, 1, FP16},
    {4, 0, 20, 1, FP16},
    // ID_AA64PFR1_EL1
    {4, 1, 0, 1, BTI},
    {4, 1, 4, 2, SSBS},
    // ID_AA64ISAR0_EL1
    {6, 0, 4, 1, AES},
    {6, 0, 4, 2, PMULL},
    {6, 0, 8, 1, SHA1},
    {6, 0, 12, 1, SHA256},
    {6, 0, 12, 2, SHA512},
    {6, 0, 16, 1, CRC32},
    {6, 0, 20, 2, LSE},
    {6, 0, 28, 1, RDM},
    {6, 0, 32, 1, SHA3},
    {6, 0, 44, 1, DotProd},
    {6, 0, 48, 1, FHM},
    {6, 0, 52, 1, FlagM},
    {6, 0, 52, 2, FlagM2},
    // ID_AA64ISAR1_EL1; PAuth: API and GPI
    {6, 1, 0, 1, DPB},
    {6, 1, 0, 2, DPB2},
    {6, 1, 8, 1, PAuth},
    {6, 1, 12, 1, JSCVT},
    {6, 1, 16, 1, FCMA},
    {6, 1, 20, 1, LRCPC},
    {6, 1, 20, 2, LRCPC2},
    {6, 1, 28, 1, PAuth},
    {6, 1, 32, 1, FRINTTS},
    {6, 1, 36, 1, SB},
    {6, 1, 44, 1, BF16},
    {6, 1, 52, 1, I8MM},
    // ID_AA64MMFR2_EL1
    {7, 2, 32, 1, LSE2},
};

/// What Linux puts into fields that it hides, where that is not zero: the "safe" value.
uint64_t hidden_fields(unsigned m, unsigned op2) {
  if (m == 4 && op2 == 0) return 0x11;        // ID_AA64PFR0_EL1: EL0 and EL1 are 64-bit only
  if (m == 5 && op2 == 0) return 0x6;         // ID_AA64DFR0_EL1: Armv8.0 debug
  if (m == 7 && op2 == 0) return 0xff000000;  // ID_AA64MMFR0_EL1: no 4K, no 64K granule
  return 0;
}

}  // namespace

uint64_t feature_fields(const CpuModel& model, unsigned m, unsigned op2) {
  uint64_t value = 0;
  for (const IdField& f : kIdFields)
    if (f.m == m && f.op2 == op2 && model.features.has(f.feature))
      value = (value & ~(uint64_t{0xf} << f.shift)) | uint64_t{f.value} << f.shift;
  return value;
}

namespace {

struct HwcapBit {
  uint8_t bit;
  Feature feature;
};

// uapi/asm/hwcap.h. EVTSTRM (2) holds because WFE never blocks, CPUID (11) because of id_register().
constexpr HwcapBit kHwcap[] = {
    {0, Base},  {1, Base},    {2, Base},   {3, AES},   {4, PMULL},    {5, SHA1},    {6, SHA256},
    {7, CRC32}, {8, LSE},     {9, FP16},   {10, FP16}, {11, Base},    {12, RDM},    {13, JSCVT},
    {14, FCMA}, {15, LRCPC},  {16, DPB},   {17, SHA3}, {20, DotProd}, {21, SHA512}, {23, FHM},
    {25, LSE2}, {26, LRCPC2}, {27, FlagM}, {28, SSBS}, {29, SB},      {30, PAuth},  {31, PAuth},
};
constexpr HwcapBit kHwcap2[] = {{0, DPB2}, {7, FlagM2}, {8, FRINTTS}, {13, I8MM}, {14, BF16}, {17, BTI}};

uint64_t collect(std::span<const HwcapBit> bits, const CpuModel& model) {
  uint64_t value = 0;
  for (const HwcapBit& b : bits)
    if (model.features.has(b.feature)) value |= uint64_t{1} << b.bit;
  return value;
}

}  // namespace

std::span<const CpuModel> cpu_models() { return kModels; }

const CpuModel* find_cpu_model(std::string_view name) {
  for (const CpuModel& model : kModels)
    if (model.name == name) return &model;
  return nullptr;
}

uint64_t hwcap(const CpuModel& model) { return collect(kHwcap, model); }
uint64_t hwcap2(const CpuModel& model) { return collect(kHwcap2, model); }

// Linux, arch/arm64/kernel/cpufeature.c: emulate_mrs.
std::optional<uint64_t> id_register(const CpuModel& model, unsigned m, unsigned op2) {
  constexpr uint64_t kMpidr = 0x80000000;
  if (m == 0) {
    if (op2 == 0) return model.midr;
    if (op2 == 5) return kMpidr;
    if (op2 == 6) return 0;  // REVIDR_EL1
    return std::nullopt;
  }
  if (m < 4 || m > 7) return std::nullopt;
  return hidden_fields(m, op2) | feature_fields(model, m, op2);
}

}  // namespace lyrebird::arm
