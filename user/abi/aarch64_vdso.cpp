// SPDX-License-Identifier: Apache-2.0
#include "user/abi/aarch64_vdso.h"

#include <elf.h>

#include "user/abi/abi.h"

namespace lyrebird::user {
namespace {

constexpr uint32_t kNop = 0xd503201f, kRet = 0xd65f03c0;
constexpr uint32_t movz_x8(uint32_t value) { return 0xd2800008 | value << 5; }
constexpr uint32_t svc(uint32_t value) { return 0xd4000001 | value << 5; }

std::vector<uint8_t> call(uint32_t number) {
  const uint32_t words[] = {movz_x8(number), svc(kVdsoCall), kRet};
  return code_of_words(words);
}

}  // namespace

const VdsoImage& aarch64_vdso() {
  static const VdsoImage image = [] {
    const uint32_t sigreturn[] = {movz_x8(139), svc(0)};  // unwinders know these two words
    const VdsoFunction functions[] = {
        {"__kernel_rt_sigreturn", code_of_words(sigreturn)},
        {"__kernel_gettimeofday", call(169)},
        {"__kernel_clock_gettime", call(113)},
        {"__kernel_clock_getres", call(114)},
    };
    const uint32_t padding[] = {kNop};
    return make_vdso(EM_AARCH64, 8, "linux-vdso.so.1", "LINUX_2.6.39", code_of_words(padding), functions);
  }();
  return image;
}

uint64_t aarch64_vdso_sigreturn() { return aarch64_vdso().offsets[0]; }

}  // namespace lyrebird::user
