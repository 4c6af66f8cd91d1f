// SPDX-License-Identifier: Apache-2.0
#include <linux/prctl.h>
#include <sys/random.h>

#include <cerrno>

#include "frontend/arm/a64_state.h"
#include "user/process/prctl.h"
#include "user/thread.h"

namespace lyrebird::user {

namespace {

constexpr uint64_t kAddressKeys = PR_PAC_APIAKEY | PR_PAC_APIBKEY | PR_PAC_APDAKEY | PR_PAC_APDBKEY;
constexpr uint64_t kAllKeys = kAddressKeys | PR_PAC_APGAKEY;
constexpr uint64_t kHwcapPaca = 1u << 30, kHwcapPacg = 1u << 31;

// The kernel's bits are in the order of A64State::pac_keys.
int64_t reset_keys(Thread& t, arm::A64State& s, uint64_t keys) {
  const bool address = t.process.cpu.hwcap & kHwcapPaca, generic = t.process.cpu.hwcap & kHwcapPacg;
  if (!address && !generic) return -EINVAL;
  if (keys & ~kAllKeys) return -EINVAL;
  if ((keys & kAddressKeys && !address) || (keys & PR_PAC_APGAKEY && !generic)) return -EINVAL;
  if (!keys) keys = kAllKeys;
  for (unsigned key = 0; key < 5; key++) {
    if (keys >> key & 1 && ::getrandom(s.pac_keys[key], sizeof s.pac_keys[key], 0) < 0) return -errno;
  }
  return 0;
}

}  // namespace

int64_t aarch64_prctl(Thread& t, int option, const std::array<uint64_t, 4>& args) {
  arm::A64State& s = reinterpret_cast<arm::A64State&>(t.cpu());
  const bool has_keys = t.process.cpu.hwcap & kHwcapPaca;
  switch (option) {
    case PR_PAC_RESET_KEYS:
      if (args[1] || args[2] || args[3]) return -EINVAL;
      return reset_keys(t, s, args[0]);
    case PR_PAC_SET_ENABLED_KEYS:
      if (!has_keys || args[2] || args[3] || args[0] & ~kAddressKeys || args[1] & ~args[0]) return -EINVAL;
      s.pac_enabled = static_cast<uint32_t>((s.pac_enabled & ~args[0]) | args[1]);
      return 0;
    case PR_PAC_GET_ENABLED_KEYS:
      if (!has_keys || args[0] || args[1] || args[2] || args[3]) return -EINVAL;
      return s.pac_enabled;
    case PR_SET_TAGGED_ADDR_CTRL:
      // Tagged pointers are always taken; there is no MTE to set up.
      if (args[0] & ~uint64_t{PR_TAGGED_ADDR_ENABLE} || args[1] || args[2] || args[3]) return -EINVAL;
      t.extra.tagged_addresses = args[0] & PR_TAGGED_ADDR_ENABLE;
      return 0;
    case PR_GET_TAGGED_ADDR_CTRL:
      if (args[0] || args[1] || args[2] || args[3]) return -EINVAL;
      return t.extra.tagged_addresses ? PR_TAGGED_ADDR_ENABLE : 0;
    default:
      return -EINVAL;
  }
}

}  // namespace lyrebird::user
