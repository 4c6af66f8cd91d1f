// SPDX-License-Identifier: Apache-2.0
// Every op on every type: the interpreter's handlers give what ir::evaluate gives.
#include <gtest/gtest.h>

#include "ir/eval_inst.h"
#include "ir/print.h"
#include "tests/unit/ir/random_block.h"
#include "tests/unit/jit/machine.h"

namespace lyrebird::jit::test {
namespace {

using ir::Constant;
using ir::Op;
using ir::Type;
using ir::Value;

constexpr uint32_t kResult = 256;

enum class Operands { FromState, Constants, Computed };

/// An operand with the value: read from the state, a constant, or copied so that it has a slot.
Value operand(ir::Builder& builder, Machine& machine, const Constant& value, unsigned index, Operands how) {
  const uint32_t at = 32 * index;
  std::memcpy(machine.state->bytes + at, value.b, 32);
  const auto from_state = [&] { return builder.GetState(field(at), value.type); };
  switch (how) {
    case Operands::FromState:
      return from_state();
    case Operands::Constants:
      return value.type == Type::V256 ? from_state() : builder.Const(value.type, value.low(), value.high());
    case Operands::Computed:
      return builder.Select(builder.GetState(field(1024), Type::I1), from_state(), from_state());
  }
  return {};
}

Constant random_constant(ir::test::Random& random, Type type) {
  uint64_t words[4];
  for (uint64_t& word : words) word = random.number();
  if (type == Type::I1) words[0] &= 1;
  return Constant::of_bytes(type, words);
}

/// NaNs, infinities, subnormal and ordinary numbers of 32 or 64 bits.
Constant random_floats(ir::test::Random& random, Type type) {
  constexpr uint32_t kTops[] = {0x7fc00001, 0x7f800001, 0x7f800000, 0x00000000, 0x00000001, 0x00400000,
                                0x00800000, 0x3f800000, 0x40490fdb, 0x7f7fffff, 0x1fffffff, 0x4f000000,
                                0x7ff80000, 0x7ff00000, 0x00080000, 0x3ff00000, 0x00100000, 0x41e00000};
  uint32_t words[8];
  for (uint32_t& word : words) {
    word = random.one_in(4) ? static_cast<uint32_t>(random.next()) : kTops[random.below(std::size(kTops))];
    if (random.one_in(2)) word ^= 0x80000000;
  }
  return Constant::of_bytes(type, words);
}

void check(ir::test::Random& random, Op op, Operands how, Machine& machine,
           Constant (*constant)(ir::test::Random&, Type) = random_constant) {
  Type types[4];
  std::optional<ir::Inst> inst = ir::test::random_inst(random, op, types);
  if (!inst) return;
  const unsigned count = op == Op::Const ? 0 : ir::arg_count(*inst);
  Constant args[4];
  for (unsigned i = 0; i < count; ++i) args[i] = constant(random, types[i]);
  Constant expected;
  uint32_t flags = random.one_in(2) ? ir::kFpInexact : 0;
  machine.state->header.fp_flags = flags;
  ir::set_f80_flags(machine.state->header, 0);
  uint32_t f80_flags = 0;
  if (!ir::evaluate(*inst, {args, count}, &expected, ir::has_f80_flags(*inst) ? &f80_flags : &flags)) return;

  ir::Block block;
  block.key = {0x1000, 0};
  ir::Builder builder(block);
  builder.Insn(0x1000, 4);
  for (unsigned i = 0; i < count; ++i) inst->args[i] = operand(builder, machine, args[i], i, how).id;
  block.insts.push_back(*inst);
  const auto id = static_cast<ir::ValueId>(block.insts.size() - 1);
  builder.SetState(field(kResult), {id, inst->type});
  // A second reader, that looks at all the bytes an extension promises.
  if (ir::is_int(inst->type) && inst->type != Type::I64 && inst->type != Type::I128)
    builder.SetState(field(kResult + 64), builder.ZExt({id, inst->type}, Type::I64));
  builder.Jump(0x2000);

  std::memset(machine.state->bytes + kResult, 0xaa, 128);
  machine.state->bytes[1024] = static_cast<uint8_t>(random.below(2));
  ASSERT_EQ(machine.run(block).kind, ir::ExitKind::None);
  const Constant got = Constant::of_bytes(inst->type, machine.state->bytes + kResult);
  ASSERT_EQ(got, expected) << ir::print(block);
  ASSERT_EQ(machine.state->header.fp_flags, flags) << ir::print(block);
  ASSERT_EQ(ir::f80_flags(machine.state->header),
            ir::x87_of_flags(f80_flags) | (f80_flags & ir::kFpRoundedUp ? uint32_t{ir::kF80RoundedUp} : 0))
      << ir::print(block);
  const unsigned size = ir::byte_size(inst->type);
  ASSERT_EQ(machine.state->bytes[kResult + size], 0xaa) << "wrote beyond the field\n" << ir::print(block);
  if (ir::is_int(inst->type) && inst->type != Type::I64 && inst->type != Type::I128) {
    ASSERT_EQ(machine.get<uint64_t>(kResult + 64), expected.low()) << ir::print(block);
  }
}

class Ops : public testing::TestWithParam<Operands> {};

TEST_P(Ops, GiveWhatEvaluateGives) {
  Machine machine;
  ir::test::Random random(1 + static_cast<uint64_t>(GetParam()));
  for (unsigned op = 0; op < ir::kOpCount; ++op)
    for (unsigned i = 0; i < rounds(400); ++i) {
      check(random, static_cast<Op>(op), GetParam(), machine);
      if (testing::Test::HasFatalFailure()) return;
    }
}

TEST(SseOps, OfFloatsAsSseHasThemGiveWhatEvaluateGives) {
  Machine machine({}, true);
  ir::test::Random random(7);
  for (unsigned op = 0; op < ir::kOpCount; ++op) {
    if (!(ir::info(static_cast<Op>(op)).effects & ir::FpFlags)) continue;
    for (unsigned i = 0; i < rounds(3000); ++i) {
      check(random, static_cast<Op>(op), Operands::Computed, machine, random_floats);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

/// Of widened words the host has an instruction for the products: lanes that others are made of are no such.
TEST(WidenedLanes, AreMultipliedWhole) {
  constexpr uint64_t kBytes[] = {0xc4b3a29188f7e6d5, 0x80ffeeddccbbaa99};
  for (unsigned k = 0; k < 4; ++k)
    for (const Type narrow : {Type::I8, Type::I16, Type::I32}) {
      Machine machine;
      ir::Block block;
      block.key = {0x1000, 0};
      ir::Builder b(block);
      b.Insn(0x1000, 4);
      const Value from = operand(b, machine, Constant::of_bytes(Type::V128, kBytes), 0, Operands::FromState);
      const Value wide = k == 0   ? b.WidenLoS(from, narrow)
                         : k == 1 ? b.WidenLoU(from, narrow)
                         : k == 2 ? b.WidenHiS(from, narrow)
                                  : b.WidenHiU(from, narrow);
      b.SetState(field(kResult), wide);
      b.SetState(field(kResult + 16), b.Mul(wide, wide, Type::I64));
      b.Jump(0x2000);
      (void)machine.run(block);
      for (uint32_t at = kResult; at < kResult + 16; at += 8) {
        const auto lane = machine.get<uint64_t>(at);
        EXPECT_EQ(machine.get<uint64_t>(at + 16), lane * lane) << ir::print(block);
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Operands, Ops,
                         testing::Values(Operands::FromState, Operands::Constants, Operands::Computed));

}  // namespace
}  // namespace lyrebird::jit::test
