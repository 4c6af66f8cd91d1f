// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>

#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "tests/unit/ir/random_block.h"

namespace lyrebird::ir {
namespace {

using test::Random;

const TextContext kContext{&test::test_layout(), test::test_helpers()};

bool same(const Block& a, const Block& b) {
  if (!(a.key == b.key) || a.guest_size != b.guest_size || a.guest_count != b.guest_count) return false;
  if (a.insts.size() != b.insts.size()) return false;
  for (size_t i = 0; i < a.insts.size(); ++i) {
    const Inst &x = a.insts[i], &y = b.insts[i];
    if (x.op != y.op || x.type != y.type || x.elem != y.elem || x.aux != y.aux || x.imm != y.imm ||
        std::memcmp(x.args, y.args, sizeof x.args) != 0)
      return false;
  }
  return true;
}

TEST(Text, RandomBlocksComeBackExactly) {
  Random random(1);
  for (unsigned i = 0; i < 2000; ++i) {
    const Block block = test::random_block(random);
    const auto valid = verify(block, kContext);
    ASSERT_TRUE(valid.ok()) << valid.error().message << '\n' << print(block, kContext);
    for (const TextContext& context : {kContext, TextContext{}}) {
      const std::string text = print(block, context);
      const auto back = parse(text, context);
      ASSERT_TRUE(back.ok()) << back.error().message << '\n' << text;
      ASSERT_TRUE(same(block, *back)) << text << "--- became\n" << print(*back, context);
    }
  }
}

TEST(Text, EveryPureOpComesBackExactly) {
  Random random(2);
  for (unsigned op = 0; op < kOpCount; ++op) {
    for (unsigned i = 0; i < 20; ++i) {
      Block block;
      Builder ir(block);
      Type operands[4];
      auto inst = test::random_inst(random, static_cast<Op>(op), operands);
      if (!inst) break;
      for (unsigned k = 0; k < arg_count(*inst); ++k) {
        const Type t = operands[k];
        inst->args[k] = t == Type::V256 ? ir.Concat(ir.Const(Type::V128, 1), ir.Const(Type::V128, 2)).id
                                        : ir.Const(t, 1).id;
      }
      block.insts.push_back(*inst);
      const std::string text = print(block);
      const auto back = parse(text);
      ASSERT_TRUE(back.ok()) << back.error().message << '\n' << text;
      ASSERT_TRUE(same(block, *back)) << text;
    }
  }
}

TEST(Text, ReadsLikeThis) {
  Block block;
  block.key = {.pc = 0x1000, .mode = 1};
  block.guest_size = 8;
  block.guest_count = 2;
  Builder ir(block);
  ir.Insn(0x1000, 4);
  const uint32_t r1 = test::test_layout().fields[1].offset, v1 = test::test_layout().fields[9].offset;
  const Value a = ir.GetState(r1, Type::I64);
  const Value b = ir.Load(Type::I64, a, {.size = 4, .sign = true, .align = Align::Natural});
  const Value less = ir.CmpLtS(a, b);
  const Value v = ir.GetState(v1, Type::V128);
  ir.SetState(v1, ir.Add(v, v, Type::I8));
  ir.SetState(v1 + 8, ir.FAdd(ir.Const(Type::F64, 0), ir.Const(Type::F64, 1), {.round = Round::TowardZero}));
  ir.Insn(0x1004, 4);
  ir.Branch(less, 0x2000, 0x1008);
  EXPECT_EQ(print(block, kContext),
            "block 0x1000 mode=0x1 size=8 count=2\n"
            "  insn 0x1000, 4\n"
            "  %1 = get_state.i64 r1\n"
            "  %2 = load.i64 %1 {4 signed natural}\n"
            "  %3 = cmp_lt_s.i64 %1, %2\n"
            "  %4 = get_state.v128 v1\n"
            "  %5 = add.v128.i8 %4, %4\n"
            "  set_state.v128 v1, %5\n"
            "  %7 = const.f64 0x0\n"
            "  %8 = const.f64 0x1\n"
            "  %9 = fadd.f64 %7, %8 {rz}\n"
            "  set_state.f64 v1+8, %9\n"
            "  insn 0x1004, 4\n"
            "  branch %3, 0x2000, 0x1008\n");
}

struct Mistake {
  const char* text;
  const char* message;
};

TEST(Text, MistakesAreNamedWithLineAndColumn) {
  constexpr Mistake kMistakes[] = {
      {"insn 0x1000, 4\n  %1 = ad.i64 %0, %0", "line 2, column 8: unknown op 'ad'"},
      {"%1 = add.i64 %0, %0", "line 1, column 14: no such value before this"},
      {"%1 = const.i65 0", "line 1, column 12: unknown type"},
      {"%1 = const.i64 0\n%1 = const.i64 0", "line 2, column 1: the value is defined twice"},
      {"%1 = const.i64 0\n%2 = neg.i64 %1, %1", "line 2, column 18: too many operands"},
      {"%1 = const.i64 0\n%2 = add.i64 %1", "line 2, column 16: expected 2 operands"},
      {"%1 = const.i64 0x1ffffffffffffffffffffffffffffffff", "line 1, column 16: the number is too large"},
      {"%1 = get_state.i64 nothing", "line 1, column 20: unknown name"},
      {"%1 = load.i64", "line 1, column 14: expected 1 operands"},
      {"%1 = const.i64 0\n%2 = load.i64 %1 {8 often}", "line 2, column 21: unknown word"},
      {"%1 = insn 0, 4", "line 1, column 1: this op has no result"},
      {"jump 0x10 maybe", "line 1, column 11: unexpected text"},
  };
  for (const Mistake& mistake : kMistakes) {
    const auto result = parse(mistake.text, kContext);
    ASSERT_FALSE(result.ok()) << mistake.text;
    EXPECT_EQ(result.error().message, mistake.message) << mistake.text;
  }
}

TEST(Text, LabelsNeedNotBeIndexes) {
  const auto block = parse("%7 = const.i64 1 ; a comment\n\n  %3 = add.i64 %7, %7\n jump 0x10");
  ASSERT_TRUE(block.ok()) << block.error().message;
  EXPECT_EQ(block->insts[1].args[0], 0u);
  EXPECT_EQ(block->insts[2].imm, 0x10u);
}

TEST(Verify, MistakesAreNamed) {
  constexpr Mistake kMistakes[] = {
      {"insn 0, 4", "block 0x0: 'insn 0x0, 4': the last instruction must be a terminal"},
      {"jump 0\njump 0", "block 0x0: 'jump 0x0': a terminal must be the last instruction"},
      {"%0 = const.i64 0\n%1 = const.i32 0\n%2 = add.i64 %0, %1\njump 0",
       "block 0x0: '%2 = add.i64 %0, %1': an operand has the wrong type"},
      {"%0 = get_state.i64 @0x10000\njump 0",
       "block 0x0: '%0 = get_state.i64 @0x10000': lies outside the state"},
      {"%0 = get_state.i64 r1+4\njump 0", "block 0x0: '%0 = get_state.i64 r1+4': covers fields in part"},
      {"%0 = const.i64 0\n%1 = load.i64 %0 {8}\njump 0",
       "block 0x0: '%1 = load.i64 %0 {8}': may fault, but no insn comes before it"},
      {"insn 0, 4\n%0 = const.i64 0\nset_state.i64 r1, %0\n%1 = load.i64 %0 {8}\njump 0",
       "block 0x0: '%3 = load.i64 %1 {8}': may fault after its guest instruction has changed the state"},
      {"insn 0, 4\n%0 = const.i64 0\n%1 = load.i64 %0 {16}\njump 0",
       "block 0x0: '%2 = load.i64 %1 {16}': the access is wider than its type"},
      {"%0 = const.v128 0\n%1 = add.v128 %0, %0\njump 0",
       "block 0x0: '%1 = add.v128 %0, %0': elem is no lane type"},
      {"%0 = const.v128 0\n%1 = extract_lane.i32 %0, #4\njump 0",
       "block 0x0: '%1 = extract_lane.i32 %0, #4': no such lane"},
      {"%0 = const.i8 0x100\njump 0", "block 0x0: '%0 = const.i8 0x100': imm is wider than its type"},
      {"call_helper do_anything\njump 0",
       "block 0x0: 'call_helper do_anything': wrong number of arguments for the helper"},
  };
  for (const Mistake& mistake : kMistakes) {
    const auto block = parse(mistake.text, kContext);
    ASSERT_TRUE(block.ok()) << block.error().message;
    const auto result = verify(*block, kContext);
    ASSERT_FALSE(result.ok()) << mistake.text;
    EXPECT_EQ(result.error().message, mistake.message);
  }
}

}  // namespace
}  // namespace lyrebird::ir
