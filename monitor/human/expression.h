// SPDX-License-Identifier: Apache-2.0
/// Numbers as people write them: 0x40000000, $pc, $x0 + 8, ($sp - 16) & ~0xf.
///
/// 64-bit, wrapping; operators and their order are C's: ~ - (unary), * / %, + -, &, ^, |, and parentheses.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace lyrebird::monitor {

/// A register's value by its name, without the $; nullopt: there is none of that name.
using FindRegister = std::function<std::optional<uint64_t>(std::string_view name)>;

/// Errors name what could not be read.
Result<uint64_t> evaluate(std::string_view text, const FindRegister& find);

}  // namespace lyrebird::monitor
