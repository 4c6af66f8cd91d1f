// SPDX-License-Identifier: Apache-2.0
#if defined(__x86_64__)
#include "jit/baseline/assembler.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "jit/baseline/ids.h"

namespace lyrebird::jit::baseline {
namespace {

using namespace asmjit;

using Bytes = std::vector<uint8_t>;

/// What AsmJit itself makes of the instruction.
Bytes theirs(InstId id, const Operand& a, const Operand& b) {
  CodeHolder holder;
  (void)holder.init(Environment(Arch::kX64));
  x86::Assembler assembler(&holder);
  EXPECT_EQ(assembler.emit(id, a, b), kErrorOk);
  return {assembler.bufferData(), assembler.bufferData() + assembler.offset()};
}

Bytes ours(InstId id, const Operand& a, const Operand& b) {
  CodeHolder holder;
  BlockAssembler assembler;
  assembler.start_block(holder);
  EXPECT_EQ(assembler.emit(id, a, b), kErrorOk);
  return {assembler.block_data(), assembler.block_data() + assembler.offset()};
}

constexpr int64_t kImmediates[] = {0,  1,          -1,         127,        128,          -128,        -129,
                                   40, 0x7fffffff, 0x80000000, 0xffffffff, -0x80000000L, 0x100000000L};

std::vector<Operand> memories(uint32_t size) {
  std::vector<Operand> all;
  for (const unsigned base : {0, 3, 4, 5, 7, 12, 13, 15})
    for (const int32_t displacement : {0, 8, -128, 127, 128, -4096}) {
      all.push_back(x86::ptr(x86::gpq(base), displacement, size));
      for (const unsigned index : {1, 5, 10, 13})
        for (const unsigned shift : {0, 3})
          all.push_back(x86::ptr(x86::gpq(base), x86::gpq(index), shift, displacement, size));
    }
  return all;
}

struct Case {
  InstId id;
  Operand a, b;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  constexpr InstId kBinary[] = {hi::kIdMov, hi::kIdAdd, hi::kIdOr,  hi::kIdAnd,
                                hi::kIdSub, hi::kIdXor, hi::kIdCmp, hi::kIdTest};
  for (const uint32_t size : {4u, 8u}) {
    const auto reg = [&](unsigned n) { return size == 4 ? Operand(x86::gpd(n)) : Operand(x86::gpq(n)); };
    for (const InstId id : kBinary) {
      for (const unsigned a : {0, 3, 4, 8, 15})
        for (const unsigned b : {0, 1, 6, 9, 12}) all.push_back({id, reg(a), reg(b)});
      if (id == hi::kIdTest) continue;
      for (const Operand& memory : memories(size)) {
        all.push_back({id, reg(2), memory});
        all.push_back({id, memory, reg(11)});
        all.push_back({id, memory, Imm(5)});
        all.push_back({id, memory, Imm(-1000)});
      }
      for (const int64_t value : kImmediates) {
        const bool fits = size == 4 || id == hi::kIdMov || value == static_cast<int32_t>(value);
        if (!fits) continue;
        // AsmJit takes -1 and 0xffffffff alike for 32 bits, but nothing larger.
        if (size == 4 && value > 0xffffffff) continue;
        // AsmJit would move them with all 64 bits.
        if (size == 8 && id == hi::kIdMov && value >= 0 && value <= 0xffffffff) continue;
        all.push_back({id, reg(0), Imm(value)});
        all.push_back({id, reg(9), Imm(value)});
      }
    }
    for (const Operand& memory : memories(0)) all.push_back({hi::kIdLea, reg(10), memory});
    for (const InstId id : {hi::kIdShl, hi::kIdShr, hi::kIdSar})
      for (const int amount : {1, 2, 31}) all.push_back({id, reg(9), Imm(amount)});
  }
  for (const uint32_t size : {1u, 2u})
    for (const Operand& memory : memories(size)) all.push_back({hi::kIdMovzx, x86::gpd(9), memory});
  for (const unsigned n : {0, 3, 4, 6, 7, 8, 15}) all.push_back({hi::kIdMovzx, x86::gpd(3), x86::gpb_lo(n)});
  return all;
}

TEST(BlockAssembler, EncodesAsAsmJitDoes) {
  unsigned same = 0;
  for (const Case& c : cases()) {
    const Bytes expected = theirs(c.id, c.a, c.b), got = ours(c.id, c.a, c.b);
    String text;
    Operand_ operands[] = {c.a, c.b};
    (void)Formatter::formatInstruction(text, FormatFlags::kNone, nullptr, Arch::kX64, BaseInst(c.id),
                                       operands, 2);
    EXPECT_EQ(got, expected) << text.data();
    same += got == expected;
  }
  EXPECT_GT(same, 3000u);
}

TEST(BlockAssembler, ShortConstantsAreMovedAs32Bits) {
  for (const int64_t value : {0L, 1L, 0x7fffffffL, 0xffffffffL})
    EXPECT_EQ(ours(hi::kIdMov, x86::r9, Imm(value)), ours(hi::kIdMov, x86::r9d, Imm(value)));
}

TEST(BlockAssembler, JumpsLeadWhereTheyShould) {
  CodeHolder holder;
  BlockAssembler assembler;
  assembler.start_block(holder);
  const uint32_t always = assembler.jump_long();
  const uint32_t sometimes = assembler.jump_long_if(x86::CondCode::kNE);
  assembler.set_target(always, 0x100);
  assembler.set_target(sometimes, 0);
  assembler.load_rax_from_start();
  assembler.jump_to(always);
  const Bytes got(assembler.block_data(), assembler.block_data() + assembler.offset());
  const Bytes expected = {0xe9, 0xfb, 0x00, 0x00, 0x00,              // jmp 0x100
                          0x0f, 0x85, 0xf5, 0xff, 0xff, 0xff,        // jne 0
                          0x48, 0x8b, 0x05, 0xee, 0xff, 0xff, 0xff,  // mov rax, [0]
                          0xeb, 0xf1};                               // jmp 5
  EXPECT_EQ(got, expected);
  EXPECT_EQ(assembler.count(), 4u);
}

TEST(BlockAssembler, ManyBlocksInOneBuffer) {
  CodeHolder holder;
  BlockAssembler assembler;
  for (unsigned block = 0; block < 5000; ++block) {
    assembler.start_block(holder);
    ASSERT_EQ(assembler.offset(), 0u);
    ASSERT_EQ(reinterpret_cast<uintptr_t>(assembler.block_data()) % 8, 0u);
    for (unsigned i = 0; i < 10; ++i) (void)assembler.mov(x86::rax, x86::ptr(x86::rcx, 1000));
    ASSERT_EQ(assembler.offset(), 70u);
  }
}

TEST(BlockAssembler, ABlockLargerThanTheBufferGrowsIt) {
  CodeHolder holder;
  BlockAssembler assembler;
  assembler.start_block(holder);
  for (unsigned i = 0; i < 100'000; ++i) {
    (void)assembler.mov(x86::rax, x86::ptr(x86::rcx, 1000));
    if (i % 100 == 0) assembler.set_target(assembler.jump_long(), 0);
  }
  EXPECT_EQ(assembler.offset(), 705'000u);
  EXPECT_EQ(assembler.block_data()[704'999], 0x00);
}

}  // namespace
}  // namespace lyrebird::jit::baseline
#endif
