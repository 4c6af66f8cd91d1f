// SPDX-License-Identifier: Apache-2.0
/// The chapters of the A64 instruction set: each .cpp offers its rows here.
#pragma once

#include <span>

#include "frontend/arm/a64/decode.h"

namespace lyrebird::arm::a64 {

std::span<const Row> data_processing_imm_rows();
std::span<const Row> branches_rows();

}  // namespace lyrebird::arm::a64
