// SPDX-License-Identifier: Apache-2.0
#include "user/abi/aarch64_rows.h"

#include <array>

#include "user/syscalls/all.h"
#include "user/syscalls/dispatch.h"

namespace lyrebird::user {
namespace {

constexpr SyscallRow kRows[] = {
#define SYSCALL(number, name, function, ...) \
  make_row<&sys::function __VA_OPT__(, ) __VA_ARGS__>(number, #name),
#define MISSING(number, name) SyscallRow{number, #name, nullptr, nullptr, nullptr},
#include "user/abi/aarch64.inc"
};

constexpr unsigned kNumbers = 480;

constexpr auto make_index() {
  std::array<const SyscallRow*, kNumbers> index{};
  for (const SyscallRow& row : kRows) {
    if (index[row.number]) throw "two rows for one number";
    index[row.number] = &row;
  }
  return index;
}
constexpr auto kIndex = make_index();

}  // namespace

std::span<const SyscallRow* const> aarch64_syscalls() { return kIndex; }

}  // namespace lyrebird::user
