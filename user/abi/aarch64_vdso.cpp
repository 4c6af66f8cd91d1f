// SPDX-License-Identifier: Apache-2.0
#include "user/abi/aarch64_vdso.h"

#include <elf.h>

#include "user/abi/abi.h"

namespace lyrebird::user {
namespace {

constexpr uint32_t kNop = 0xd503201f, kRet = 0xd65f03c0;
constexpr uint32_t movz_x8(uint32_t value) { return 0xd2800008 | value << 5; }
constexpr uint32_t svc(uint32_t value) { return 0xd4000001 | value << 5; }

std::vector<uint32_t> call(uint32_t number) { return {movz_x8(number), svc(kVdsoCall), kRet}; }

}  // namespace

const VdsoImage& aarch64_vdso() {
  static const VdsoImage image = [] {
    const VdsoFunction functions[] = {
        // Unwinders know these two words.
        {"__kernel_rt_sigreturn", {movz_x8(139), svc(0)}},
        {"__kernel_gettimeofday", call(169)},
        {"__kernel_clock_gettime", call(113)},
        {"__kernel_clock_getres", call(114)},
    };
    return make_vdso(EM_AARCH64, "LINUX_2.6.39", kNop, functions);
  }();
  return image;
}

uint64_t aarch64_vdso_sigreturn() { return aarch64_vdso().offsets[0]; }

}  // namespace lyrebird::user
