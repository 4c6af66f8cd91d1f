// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "tests/conformance/guest.h"

namespace lyrebird::conformance {

std::unique_ptr<Guest> make_x86_kvm();

}  // namespace lyrebird::conformance
