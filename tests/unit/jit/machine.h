// SPDX-License-Identifier: Apache-2.0
/// A block map, an executor and a state of 4 KiB to run single blocks on. The tests of this
/// folder are built once for each executor.
#pragma once

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/fault_guard.h"
#include "ir/builder.h"
#include "jit/block_map.h"
#if defined(LYREBIRD_TEST_BASELINE)
#include "jit/baseline/baseline.h"
#else
#include "jit/interp/interp.h"
#endif

namespace lyrebird::jit::test {

struct TestState {
  ir::CpuHeader header;
  uint8_t bytes[4096] = {};
};
/// Offset in the state of byte i of TestState::bytes.
constexpr uint32_t field(uint32_t i) { return static_cast<uint32_t>(sizeof(ir::CpuHeader)) + i; }

/// As user/ does it: host faults go to the guard that is armed.
inline void install_fault_handler() {
  struct sigaction action{};
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  action.sa_sigaction = [](int signal, siginfo_t* info, void* context) {
    if (FaultGuard::deliver(signal, *info, context)) return;
    std::signal(signal, SIG_DFL);
  };
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
  sigaction(SIGFPE, &action, nullptr);
}

#if defined(LYREBIRD_TEST_BASELINE)
/// Some of the places that tests use are pinned.
inline const ir::StateLayout& hot_layout(bool sse_floats = false) {
  using ir::Type;
  static constexpr ir::StateField kFields[] = {
      {"a", field(0), Type::I64, 1},   {"b", field(8), Type::I64, 2},   {"c", field(16), Type::I64, 7},
      {"d", field(32), Type::I64, 3},  {"e", field(40), Type::I64, 8},  {"f", field(56), Type::I64, 4},
      {"g", field(256), Type::I64, 6}, {"h", field(320), Type::I64, 5}, {"n", field(400), Type::I8},
      {"z", field(401), Type::I8},     {"i", field(402), Type::I8},     {"o", field(403), Type::I8},
      {"y", field(408), Type::I64},    {"q", field(416), Type::V128},
  };
  static constexpr ir::StateLayout kLayout{kFields, sizeof(TestState)};
  static constexpr ir::StateLayout kSseLayout{kFields, sizeof(TestState), true};
  return sse_floats ? kSseLayout : kLayout;
}
#endif

/// How often a random test goes round: less for LLVM, which takes a millisecond for a block, unless
/// LYREBIRD_TEST_ROUNDS in the environment says how often.
inline unsigned rounds(unsigned count) {
  if (const char* const wanted = std::getenv("LYREBIRD_TEST_ROUNDS"))
    return static_cast<unsigned>(std::atoi(wanted));
#if defined(LYREBIRD_TEST_LLVM)
  return count / 80 + 1;
#else
  return count;
#endif
}

class Machine {
 public:
#if defined(LYREBIRD_TEST_BASELINE)
  explicit Machine(ir::HelperTable helpers = {}, bool sse_floats = false)
      : engine(hot_layout(sse_floats), helpers, {.code_bytes = size_t{1} << 20}), interpreter(helpers) {
    install_fault_handler();
#if defined(LYREBIRD_TEST_LLVM)
    if (const auto regions = engine.use_regions_for_every_block(); !regions) {
      std::fprintf(stderr, "%s\n", regions.error().message.c_str());
      std::abort();
    }
#endif
  }
#else
  explicit Machine(ir::HelperTable helpers = {}, bool /*sse_floats*/ = false) : engine(helpers) {
    install_fault_handler();
  }
#endif

  /// Runs this one block; jumps come back with ExitKind::None.
  Stop run(const ir::Block& block) {
    const auto compiled = engine.compile(block);
    const ThreadContext::Running running(*thread);
    const Stop stop = engine.run(*compiled, state->header, *thread);
#if defined(LYREBIRD_TEST_BASELINE)
    if (thread->interpret_next) {
      // Again from the start: blocks that fault here can be.
      thread->interpret_next = false;
      return interpreter.run(*interpreter.compile(block), state->header, *thread);
    }
#endif
    return stop;
  }

  template <typename T>
  T get(uint32_t i) const {
    T v;
    std::memcpy(&v, state->bytes + i, sizeof v);
    return v;
  }
  template <typename T>
  void put(uint32_t i, T v) {
    std::memcpy(state->bytes + i, &v, sizeof v);
  }

  BlockMap map;
#if defined(LYREBIRD_TEST_BASELINE)
  Baseline engine;
  Interpreter interpreter;
#else
  Interpreter engine;
#endif
  std::unique_ptr<TestState> state = std::make_unique<TestState>();
  std::unique_ptr<ThreadContext> thread = std::make_unique<ThreadContext>(map);
};

}  // namespace lyrebird::jit::test
