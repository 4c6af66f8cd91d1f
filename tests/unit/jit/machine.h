// SPDX-License-Identifier: Apache-2.0
/// A block map, an interpreter and a state of 4 KiB to run single blocks on.
#pragma once

#include <csignal>
#include <cstring>
#include <memory>

#include "base/fault_guard.h"
#include "ir/builder.h"
#include "jit/block_map.h"
#include "jit/interp/interp.h"

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
  action.sa_sigaction = [](int signal, siginfo_t* info, void*) {
    FaultGuard::deliver(signal, *info);
    std::signal(signal, SIG_DFL);
  };
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

class Machine {
 public:
  explicit Machine(ir::HelperTable helpers = {}) : engine(helpers) { install_fault_handler(); }

  /// Runs this one block; jumps come back with ExitKind::None.
  Stop run(const ir::Block& block) {
    const auto compiled = engine.compile(block);
    const ThreadContext::Running running(*thread);
    return engine.run(*compiled, state->header, *thread);
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
  Interpreter engine;
  std::unique_ptr<TestState> state = std::make_unique<TestState>();
  std::unique_ptr<ThreadContext> thread = std::make_unique<ThreadContext>(map);
};

}  // namespace lyrebird::jit::test
