// SPDX-License-Identifier: Apache-2.0
// Regions grown from blocks that are written down as jumps between numbers.
#include "jit/tier/grow.h"

#include <gtest/gtest.h>

#include <map>

#include "ir/cpu_header.h"
#include "jit/tier/sampler.h"

namespace lyrebird::jit {
namespace {

using ir::BlockKey;

/// Blocks of four instructions, 16 bytes each, at multiples of 16.
struct Code {
  std::map<uint64_t, ir::Block> blocks;
  int asked = 0;

  ir::Block& begin(uint64_t pc) {
    ir::Block& block = blocks[pc];
    block.key = {pc, 0};
    block.guest_size = 16;
    block.guest_count = 4;
    ir::Inst insn{};
    insn.op = ir::Op::Insn;
    insn.imm = pc + 12;
    insn.aux = 4;
    block.insts.push_back(insn);
    return block;
  }
  void end(uint64_t pc, ir::Op op, uint64_t to, uint64_t other = 0, ir::JumpHint hint = ir::JumpHint::None) {
    ir::Block& block = begin(pc);
    ir::Inst cond{};
    cond.op = ir::Op::Const;
    cond.type = op == ir::Op::JumpIndirect ? ir::Type::I64 : ir::Type::I1;
    block.insts.push_back(cond);
    ir::Inst jump{};
    jump.op = op;
    jump.imm = to;
    jump.aux = static_cast<uint32_t>(hint);
    if (op == ir::Op::Branch) jump.set_high(other);
    jump.args[0] = 1;
    block.insts.push_back(jump);
  }
  void jump(uint64_t pc, uint64_t to) { end(pc, ir::Op::Jump, to); }
  void branch(uint64_t pc, uint64_t to, uint64_t other) { end(pc, ir::Op::Branch, to, other); }
  void call(uint64_t pc, uint64_t to) { end(pc, ir::Op::Jump, to, 0, ir::JumpHint::Call); }
  void ret(uint64_t pc) { end(pc, ir::Op::JumpIndirect, 0, 0, ir::JumpHint::Return); }

  BlockSource source() {
    return [this](BlockKey key) -> std::optional<ir::Block> {
      ++asked;
      const auto it = blocks.find(key.pc);
      if (it == blocks.end() || key.mode != 0) return std::nullopt;
      return it->second;
    };
  }
  std::vector<uint64_t> grown(uint64_t pc, const GrowLimits& limits = {}) {
    const auto region = grow({pc, 0}, source(), limits);
    std::vector<uint64_t> pcs;
    if (region)
      for (const auto& part : region->parts) pcs.push_back(part.block.key.pc);
    return pcs;
  }
};

TEST(Grow, LoopOfOneBlock) {
  Code code;
  code.branch(0x10, 0x10, 0x20);
  code.jump(0x20, 0x30);
  EXPECT_EQ(code.grown(0x10), (std::vector<uint64_t>{0x10}));
}

TEST(Grow, LeavesOutWhatDoesNotComeBack) {
  Code code;
  code.branch(0x10, 0x20, 0x90);
  code.branch(0x20, 0x10, 0x80);
  code.ret(0x80);
  code.jump(0x90, 0xa0);
  EXPECT_EQ(code.grown(0x10), (std::vector<uint64_t>{0x10, 0x20}));
}

TEST(Grow, NestedLoopsFromTheInner) {
  Code code;
  code.jump(0x10, 0x20);          // outer head
  code.branch(0x20, 0x20, 0x30);  // inner
  code.branch(0x30, 0x10, 0x40);
  EXPECT_EQ(code.grown(0x20), (std::vector<uint64_t>{0x20, 0x30, 0x10}));
}

TEST(Grow, FollowsACallAndComesBack) {
  Code code;
  code.call(0x10, 0x80);
  code.branch(0x20, 0x10, 0x30);
  code.ret(0x80);
  const auto region = grow({0x10, 0}, code.source());
  ASSERT_TRUE(region);
  ASSERT_EQ(region->parts.size(), 3u);
  EXPECT_EQ(region->parts[1].block.key.pc, 0x80u);
  EXPECT_EQ(region->parts[1].guesses, (std::vector<uint64_t>{0x20}));
}

TEST(Grow, OneCalleeCalledFromTwoPlaces) {
  Code code;
  code.call(0x10, 0x80);
  code.call(0x20, 0x80);
  code.jump(0x30, 0x10);
  code.ret(0x80);
  const auto region = grow({0x10, 0}, code.source());
  ASSERT_TRUE(region);
  EXPECT_EQ(region->parts.size(), 4u);
  EXPECT_EQ(region->parts[1].guesses, (std::vector<uint64_t>{0x20, 0x30}));
  EXPECT_EQ(code.asked, 4);
}

TEST(Grow, BlocksThatNeverRanAreExits) {
  Code code;
  code.branch(0x10, 0x20, 0x30);
  code.jump(0x20, 0x10);
  EXPECT_EQ(code.grown(0x10), (std::vector<uint64_t>{0x10, 0x20}));
  EXPECT_EQ(code.grown(0x50), (std::vector<uint64_t>{}));
}

TEST(Grow, WithoutALoopTheNearest) {
  Code code;
  for (uint64_t pc = 0x10; pc < 0x400; pc += 0x10) code.jump(pc, pc + 0x10);
  const auto pcs = code.grown(0x10);
  EXPECT_EQ(pcs.size(), 12u);
  EXPECT_EQ(pcs.front(), 0x10u);
}

TEST(Grow, KeepsToTheLimits) {
  Code code;
  for (uint64_t pc = 0x10; pc < 0x400; pc += 0x10) code.branch(pc, pc + 0x10, 0x10);
  EXPECT_EQ(code.grown(0x10, {.guest_instructions = 40, .blocks = 48, .call_depth = 4}).size(), 10u);
  EXPECT_EQ(code.grown(0x10, {.guest_instructions = 400, .blocks = 7, .call_depth = 4}).size(), 7u);
}

TEST(Grow, StaysNearTheEntry) {
  Code code;
  const uint64_t far = uint64_t{1} << 32;
  code.branch(0x10, far, 0x20);
  code.jump(far, 0x10);
  code.jump(0x20, 0x10);
  EXPECT_EQ(code.grown(0x10), (std::vector<uint64_t>{0x10, 0x20}));
  EXPECT_EQ(code.grown(far), (std::vector<uint64_t>{far}));
}

TEST(Grow, EndlessRecursionEnds) {
  Code code;
  code.call(0x10, 0x10);
  EXPECT_EQ(code.grown(0x10), (std::vector<uint64_t>{0x10}));
}

TEST(Grow, AnUnknownModeLeaves) {
  Code code;
  code.branch(0x10, 0x20, 0x10);
  code.jump(0x20, 0x10);
  ir::Block& block = code.blocks[0x20];
  ir::Inst get{}, set{};
  get.op = ir::Op::GetState;
  get.type = ir::Type::I32;
  get.imm = 64;
  set.op = ir::Op::SetState;
  set.imm = offsetof(ir::CpuHeader, mode);
  set.type = ir::Type::I32;
  set.args[0] = 1;
  block.insts.insert(block.insts.begin() + 1, {get, set});
  EXPECT_EQ(code.grown(0x10), (std::vector<uint64_t>{0x10}));
}

TEST(Sampler, DrainsWhatWasNotedOnce) {
  Sampler sampler;
  sampler.note({0x10, 1});
  sampler.note({0x20, 2});
  std::vector<uint64_t> pcs;
  const auto collect = [&](BlockKey key) { pcs.push_back(key.pc * 16 + key.mode); };
  sampler.drain(collect);
  sampler.drain(collect);
  EXPECT_EQ(pcs, (std::vector<uint64_t>{0x101, 0x202}));
  for (unsigned i = 0; i < 1000; ++i) sampler.note({i, 0});
  pcs.clear();
  sampler.drain(collect);
  EXPECT_EQ(pcs.size(), 256u);
  EXPECT_EQ(pcs.back(), 999u * 16);
}

}  // namespace
}  // namespace lyrebird::jit
