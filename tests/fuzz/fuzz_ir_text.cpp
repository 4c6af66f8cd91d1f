// SPDX-License-Identifier: Apache-2.0
// Any text: the parser refuses it, or prints and reads it back the same. What the
// verifier accepts must mean the same after the passes.
#include <cstdio>
#include <cstdlib>

#include "ir/parse.h"
#include "ir/passes.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "tests/unit/ir/ir_runner.h"
#include "tests/unit/ir/random_block.h"

namespace {

using namespace lyrebird::ir;

[[noreturn]] void die(const char* what, const std::string& a, const std::string& b) {
  std::fprintf(stderr, "%s\n%s\nbecame\n%s\n", what, a.c_str(), b.c_str());
  std::abort();
}

void check_passes(const Block& block, const TextContext& context) {
  Block optimised = block;
  optimise(optimised, *context.layout, context.helpers);
  const std::string before = print(block, context), after = print(optimised, context);
  if (const auto valid = verify(optimised, context); !valid)
    die(valid.error().message.c_str(), before, after);
  std::vector<uint8_t> state(context.layout->size);
  for (size_t i = 0; i < state.size(); ++i) state[i] = static_cast<uint8_t>(i * 37 + 11);
  // A truth is stored as 0 or 1: all bytes that are read as one must be.
  for (const Inst& inst : block.insts)
    if (inst.op == Op::GetState && inst.type == Type::I1) state[inst.imm] &= 1;
  const auto x = test::run(block, state, 1, context.helpers);
  const auto y = test::run(optimised, state, 1, context.helpers);
  if (x.exit != y.exit || x.events != y.events || x.state != y.state || x.fp_flags != y.fp_flags)
    die("the passes changed what it does", before, after);
}

/// A byte that is written as a number may be read as a truth later: not a fair question.
bool mixes_truths(const Block& block) {
  for (const Inst& a : block.insts) {
    if (a.op != Op::GetState || a.type != Type::I1) continue;
    for (const Inst& b : block.insts) {
      const bool overlaps = b.imm <= a.imm && a.imm < b.imm + byte_size(b.type);
      if (b.op == Op::SetState && b.type != Type::I1 && overlaps) return true;
      if (b.op == Op::CallHelper) return true;
    }
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const TextContext context{&test::test_layout(), test::test_helpers()};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto block = parse(text, context);
  if (!block) return 0;
  const std::string once = print(*block, context);
  const auto again = parse(once, context);
  if (!again) die(again.error().message.c_str(), std::string(text), once);
  if (const std::string twice = print(*again, context); twice != once) die("not the same again", once, twice);
  if (!verify(*block, context) || block->insts.size() > 300 || mixes_truths(*block)) return 0;
  check_passes(*block, context);
  return 0;
}
