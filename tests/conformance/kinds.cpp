// SPDX-License-Identifier: Apache-2.0
#include "tests/conformance/a64_soft.h"
#include "tests/conformance/guest.h"
#include "tests/conformance/x86_kvm.h"

namespace lyrebird::conformance {

std::span<const GuestKind> guest_kinds() {
  static constexpr GuestKind kKinds[] = {
      {"x86_kvm", make_x86_kvm}, {"a64_interp", make_a64_interp}, {"a64_baseline", make_a64_baseline}};
  return kKinds;
}

}  // namespace lyrebird::conformance
