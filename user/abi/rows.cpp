// SPDX-License-Identifier: Apache-2.0
#include "user/abi/rows.h"

#include <array>

#include "user/abi/x86_calls.h"
#include "user/syscalls/all.h"
#include "user/syscalls/dispatch.h"

namespace lyrebird::user {
namespace {

constexpr unsigned kNumbers = 480;

template <size_t count>
constexpr auto make_index(const SyscallRow (&rows)[count]) {
  std::array<const SyscallRow*, kNumbers> index{};
  for (const SyscallRow& row : rows) {
    if (index[row.number]) throw "two rows for one number";
    index[row.number] = &row;
  }
  return index;
}

#define SYSCALL(number, name, function, ...) \
  make_row<&sys::function __VA_OPT__(, ) __VA_ARGS__>(number, #name),
#define MISSING(number, name) SyscallRow{number, #name, nullptr, nullptr, nullptr},
constexpr SyscallRow kAarch64[] = {
#include "user/abi/aarch64.inc"
};
constexpr SyscallRow kX86_64[] = {
#include "user/abi/x86_64.inc"
};
constexpr SyscallRow kI386[] = {
#include "user/abi/i386.inc"
};

constexpr auto kAarch64Index = make_index(kAarch64);
constexpr auto kX86_64Index = make_index(kX86_64);
constexpr auto kI386Index = make_index(kI386);

}  // namespace

std::span<const SyscallRow* const> aarch64_syscalls() { return kAarch64Index; }
std::span<const SyscallRow* const> x86_64_syscalls() { return kX86_64Index; }
std::span<const SyscallRow* const> i386_syscalls() { return kI386Index; }

}  // namespace lyrebird::user
