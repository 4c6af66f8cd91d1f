// SPDX-License-Identifier: Apache-2.0
/// Pointer authentication (FEAT_PAuth, DDI 0487 D8.8) for user addresses as Linux lays them out:
/// 48-bit, top byte ignored, so that the code lives in bits 54:48. Where bit 55 is set (the kernel's
/// half, TBI1 = 0) it takes bits 63:56, too. The code itself is implementation defined (ID_AA64ISAR1_EL1.API
/// and GPI): a keyed multiply-and-fold mix, three multiplications. Pure functions.
#pragma once

#include <cstdint>

namespace lyrebird::arm {

/// One 128-bit key: low half, high half.
using PacKey = uint64_t[2];

/// ComputePAC: all 64 bits depend on all of data, modifier and key.
uint64_t compute_pac(uint64_t data, uint64_t modifier, const PacKey& key);

/// AddPAC: the pointer with its code in bits 54:48. A pointer that was not canonical gets a
/// code that will not authenticate.
uint64_t add_pac(uint64_t pointer, uint64_t modifier, const PacKey& key);

/// Auth without FEAT_FPAC: the pointer without its code, or, where the code is wrong, with an
/// error code in bits 54:53 (62:61) that makes it fault: 01 from an A key, 10 from a B key.
uint64_t authenticate(uint64_t pointer, uint64_t modifier, const PacKey& key, bool b_key);

/// Strip: the code becomes copies of bit 55.
uint64_t strip_pac(uint64_t pointer);

/// Bits that hold the code, where bit 55 is clear and where it is set.
inline constexpr uint64_t kPacMask = uint64_t{0x7f} << 48;
inline constexpr uint64_t kUpperPacMask = uint64_t{0xff7f} << 48;

}  // namespace lyrebird::arm
