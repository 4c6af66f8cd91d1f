// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "tests/conformance/guest.h"

namespace lyrebird::conformance {

std::unique_ptr<Guest> make_a64_interp();
std::unique_ptr<Guest> make_a64_baseline();

}  // namespace lyrebird::conformance
