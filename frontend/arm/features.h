// SPDX-License-Identifier: Apache-2.0
/// Architecture features that decode rows, ID registers and HWCAPs depend on
/// (DDI 0487, A2: the FEAT_ names).
#pragma once

#include <cstdint>

namespace lyrebird::arm {

enum class Feature : uint8_t {
  Base,  ///< Armv8.0 integer, FP and Advanced SIMD: always there
  AES,
  PMULL,
  SHA1,
  SHA256,
  SHA512,
  SHA3,
  CRC32,
  LSE,
  LSE2,
  RDM,
  FP16,
  FHM,
  DotProd,
  I8MM,
  BF16,
  JSCVT,
  FCMA,
  LOR,
  LRCPC,
  LRCPC2,
  FlagM,
  FlagM2,
  FRINTTS,
  BTI,
  PAuth,
  SB,
  SSBS,
  DPB,
  DPB2,
  // Of machines only: no instruction of user mode depends on them.
  PAN,
  UAO,
  HPDS,
  HAFDBS,
  VHE,
  VMID16,
  CSV3,
  LVA,
  Count
};

/// A set of features.
class Features {
 public:
  constexpr Features() = default;
  constexpr bool has(Feature f) const {
    return f == Feature::Base || (bits_ >> static_cast<unsigned>(f) & 1);
  }
  constexpr Features& add(Feature f) {
    bits_ |= uint64_t{1} << static_cast<unsigned>(f);
    return *this;
  }

 private:
  uint64_t bits_ = 0;
};

}  // namespace lyrebird::arm
