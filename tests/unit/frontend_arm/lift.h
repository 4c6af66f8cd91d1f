// SPDX-License-Identifier: Apache-2.0
// Lifts words of A64 for tests.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "frontend/arm/a64_frontend.h"
#include "frontend/arm/a64_state.h"
#include "ir/print.h"
#include "ir/verify.h"

namespace lyrebird::arm::test {

inline constexpr uint64_t kStart = 0x10000;

/// Words from kStart on.
struct Code final : frontend::CodeSource {
  std::vector<uint32_t> words;
  bool is_guarded = false;

  bool fetch(uint64_t pc, void* to, unsigned size) override {
    if (pc < kStart || pc + size > kStart + 4 * words.size()) return false;
    std::memcpy(to, reinterpret_cast<const char*>(words.data()) + (pc - kStart), size);
    return true;
  }
  bool guarded(uint64_t) const override { return is_guarded; }
};

struct Lift {
  const char* cpu = "max";
  uint32_t mode = 0;
  uint64_t pc = kStart;
  bool guarded = false;

  ir::Block operator()(std::vector<uint32_t> words) const {
    Code code;
    code.words = std::move(words);
    code.is_guarded = guarded;
    const A64Frontend frontend(*find_cpu_model(cpu));
    ir::Block block;
    frontend.translate({.key = {.pc = pc, .mode = mode},
                        .code = &code,
                        .max_instructions = static_cast<unsigned>(code.words.size())},
                       block);
    return block;
  }
};

inline ir::TextContext text_context() {
  static const A64Frontend frontend(*find_cpu_model("max"));
  return {.layout = &frontend.layout(), .helpers = frontend.helpers()};
}

inline const ir::Inst& last(const ir::Block& block) { return block.insts.back(); }

/// The block stops with that exit.
inline bool raises(const ir::Block& block, ir::ExitKind kind) {
  return last(block).op == ir::Op::Raise && static_cast<ir::ExitKind>(last(block).aux) == kind;
}

/// Ops between the first Insn and the terminal, one a line, printed without their values' numbers.
inline std::string body(const ir::Block& block) {
  std::string all;
  for (ir::ValueId i = 1; i + 1 < block.insts.size(); ++i) {
    if (block.insts[i].op == ir::Op::Insn) continue;
    std::string line = ir::print(block, i, text_context());
    if (const size_t equals = line.find("= "); equals != std::string::npos) line.erase(0, equals + 2);
    all += line + "\n";
  }
  return all;
}

}  // namespace lyrebird::arm::test
