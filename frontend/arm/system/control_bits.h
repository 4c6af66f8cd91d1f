// SPDX-License-Identifier: Apache-2.0
/// Bits of control registers that more than one file looks at (DDI 0487, D19.2).
#pragma once

#include <cstdint>

namespace lyrebird::arm {

constexpr uint64_t mask_of_bit(unsigned n) { return uint64_t{1} << n; }

namespace sctlr {
inline constexpr uint64_t kM = mask_of_bit(0), kA = mask_of_bit(1), kSa = mask_of_bit(3),
                          kSa0 = mask_of_bit(4), kUma = mask_of_bit(9), kEnDb = mask_of_bit(13),
                          kDze = mask_of_bit(14), kUct = mask_of_bit(15), kNtwi = mask_of_bit(16),
                          kNtwe = mask_of_bit(18), kWxn = mask_of_bit(19), kSpan = mask_of_bit(23),
                          kE0e = mask_of_bit(24), kEe = mask_of_bit(25), kUci = mask_of_bit(26),
                          kEnDa = mask_of_bit(27), kEnIb = mask_of_bit(30), kEnIa = mask_of_bit(31),
                          kDssbs = mask_of_bit(44);
}
namespace hcr {
inline constexpr uint64_t kVm = mask_of_bit(0), kFmo = mask_of_bit(3), kImo = mask_of_bit(4),
                          kAmo = mask_of_bit(5), kVf = mask_of_bit(6), kVi = mask_of_bit(7),
                          kVse = mask_of_bit(8), kDc = mask_of_bit(12), kTwi = mask_of_bit(13),
                          kTwe = mask_of_bit(14), kTid1 = mask_of_bit(16), kTid2 = mask_of_bit(17),
                          kTid3 = mask_of_bit(18), kTsc = mask_of_bit(19), kTidcp = mask_of_bit(20),
                          kTacr = mask_of_bit(21), kTsw = mask_of_bit(22), kTpc = mask_of_bit(23),
                          kTpu = mask_of_bit(24), kTtlb = mask_of_bit(25), kTvm = mask_of_bit(26),
                          kTge = mask_of_bit(27), kTdz = mask_of_bit(28), kHcd = mask_of_bit(29),
                          kTrvm = mask_of_bit(30), kE2h = mask_of_bit(34), kTlor = mask_of_bit(35),
                          kTea = mask_of_bit(37), kApk = mask_of_bit(40), kTid4 = mask_of_bit(49);
}
namespace scr {
inline constexpr uint64_t kNs = mask_of_bit(0), kIrq = mask_of_bit(1), kFiq = mask_of_bit(2),
                          kEa = mask_of_bit(3), kSmd = mask_of_bit(7), kHce = mask_of_bit(8),
                          kRw = mask_of_bit(10), kSt = mask_of_bit(11), kTwi = mask_of_bit(12),
                          kTwe = mask_of_bit(13), kTlor = mask_of_bit(14), kApk = mask_of_bit(16);
}
namespace mdcr {  // EL2 and, where the bit is the same, EL3
inline constexpr uint64_t kTpm = mask_of_bit(6), kTde = mask_of_bit(8), kTda = mask_of_bit(9),
                          kTdosa = mask_of_bit(10), kTdra = mask_of_bit(11);
}
namespace mdscr {
inline constexpr uint64_t kSs = mask_of_bit(0), kTdcc = mask_of_bit(12), kKde = mask_of_bit(13),
                          kMde = mask_of_bit(15);
}
/// OSLSR_EL1.OSLK
inline constexpr uint64_t kOsLocked = mask_of_bit(1);

/// SPSR_ELx (C5.2.19).
namespace spsr {
inline constexpr uint64_t kIl = mask_of_bit(20), kSs = mask_of_bit(21), kPan = mask_of_bit(22),
                          kUao = mask_of_bit(23), kDit = mask_of_bit(24), kSsbs = mask_of_bit(12),
                          kAarch32 = mask_of_bit(4);
}

}  // namespace lyrebird::arm
