// SPDX-License-Identifier: Apache-2.0
/// From a row of abi/NAME.inc to a function call: SYSCALL(number, name, function, Types...).
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

#include "user/syscalls/args.h"

namespace lyrebird::user {

struct SyscallRow {
  uint32_t number;
  const char* name;
  /// nullptr: the ABI has the number, we answer ENOSYS and say so once.
  int64_t (*call)(Thread&, const SyscallFrame&);
  void (*print)(Thread&, const SyscallFrame&, std::string&);
  void (*print_result)(Thread&, int64_t, std::string&);
};

/// Runs the call; the result as the guest gets it, or one of thread.h's internal codes.
int64_t dispatch_syscall(Thread& t, const SyscallFrame& frame);
/// The same for the vDSO: no trace.
int64_t answer_vdso(Thread& t, const SyscallFrame& frame);

namespace detail {

template <typename T>
void print_value(Thread& t, int64_t value, std::string& out) {
  T::from(t, static_cast<uint64_t>(value)).print(t, out);
}

/// Where argument `Index` of Types... sits in the register list: 64-bit arguments of 32-bit
/// guests (kPair types) take two registers. `aligned_pairs`: an even register first.
template <typename T>
concept PairArgument = requires { requires T::kPair; };

template <typename... Types>
struct Row {
  static constexpr bool kPairs[] = {PairArgument<Types>..., false};

  static uint64_t raw(Thread& t, const SyscallFrame& frame, unsigned index) {
    if (t.abi().model.word == 8) return frame.args[index];
    unsigned slot = 0;
    for (unsigned i = 0; i < index; ++i) slot = after(t, slot, kPairs[i]);
    if (!kPairs[index]) return frame.args[slot];
    if (t.abi().aligned_pairs) slot += slot & 1;
    const uint64_t first = static_cast<uint32_t>(frame.args[slot]);
    const uint64_t second = static_cast<uint32_t>(frame.args[slot + 1]);
    return t.abi().model.big_endian ? first << 32 | second : second << 32 | first;
  }
  static unsigned after(Thread& t, unsigned slot, bool pair) {
    if (!pair) return slot + 1;
    return slot + (t.abi().aligned_pairs ? slot & 1 : 0) + 2;
  }

  template <auto Function>
  static int64_t call(Thread& t, const SyscallFrame& frame) {
    return [&]<size_t... I>(std::index_sequence<I...>) {
      return Function(t, Types::from(t, raw(t, frame, I))...).raw;
    }(std::index_sequence_for<Types...>());
  }

  static void print([[maybe_unused]] Thread& t, [[maybe_unused]] const SyscallFrame& frame,
                    [[maybe_unused]] std::string& out) {
    [&]<size_t... I>(std::index_sequence<I...>) {
      ((I ? void(out += ", ") : void(), Types::from(t, raw(t, frame, I)).print(t, out)), ...);
    }(std::index_sequence_for<Types...>());
  }
};

template <typename R, typename... Args>
R result_type(Errno<R> (*)(Thread&, Args...));

}  // namespace detail

/// A 64-bit number even on 32-bit guests (file offsets).
struct Offset {
  static constexpr bool kPair = true;
  int64_t value;
  operator int64_t() const { return value; }
  static Offset from(Thread&, uint64_t raw) { return {static_cast<int64_t>(raw)}; }
  void print(Thread&, std::string& out) const { print_signed(out, value); }
};

struct WideHex : Hex {
  static constexpr bool kPair = true;
  static WideHex from(Thread&, uint64_t raw) { return {{raw}}; }
};
/// One that the call passes as the guest's long.
struct LongOffset : Offset {
  static constexpr bool kPair = false;
  static LongOffset from(Thread& t, uint64_t raw) { return {{Long::from(t, raw).value}}; }
};

template <auto Function, typename... Types>
constexpr SyscallRow make_row(uint32_t number, const char* name) {
  using R = decltype(detail::result_type(Function));
  return {number, name, &detail::Row<Types...>::template call<Function>, &detail::Row<Types...>::print,
          &detail::print_value<R>};
}

}  // namespace lyrebird::user
