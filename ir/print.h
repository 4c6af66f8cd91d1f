// SPDX-License-Identifier: Apache-2.0
/// The text form of IR (ir/text.h), for people, tests and -d ir. parse() reads
/// it back exactly.
#pragma once

#include <string>

#include "ir/text.h"

namespace lyrebird::ir {

std::string print(const Block& block, const TextContext& context = {});

/// One instruction without indentation or line end.
std::string print(const Block& block, ValueId id, const TextContext& context = {});

}  // namespace lyrebird::ir
