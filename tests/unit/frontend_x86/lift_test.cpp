// SPDX-License-Identifier: Apache-2.0
// What the lifter makes of every decode row is IR that the verifier accepts; blocks end where they must.
#include <gtest/gtest.h>

#include <cstring>

#include "frontend/x86/lift/handlers.h"
#include "frontend/x86/lift/helpers.h"
#include "frontend/x86/segments.h"
#include "frontend/x86/x86_frontend.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "tests/decode/x86_generate.h"

namespace lyrebird::x86 {
namespace {

constexpr uint64_t kPc = 0x401ff0;

/// Executable memory is [start, start + bytes).
struct Source final : frontend::CodeSource {
  uint64_t start = kPc;
  std::vector<uint8_t> bytes;
  bool fetch(uint64_t pc, void* to, unsigned size) override {
    if (pc < start || pc + size > start + bytes.size()) return false;
    std::memcpy(to, bytes.data() + (pc - start), size);
    return true;
  }
  bool guarded(uint64_t) const override { return false; }
};

uint32_t user_mode(Mode mode) {
  X86State state;
  enter_user_mode(state, mode);
  return state.header.mode;
}

ir::Block translate(std::vector<uint8_t> bytes, uint32_t mode, uint64_t pc = kPc, unsigned limit = 64) {
  Source source;
  source.start = pc;
  source.bytes = std::move(bytes);
  const X86Frontend frontend(*find_cpu_model("max"));
  ir::Block block;
  frontend.translate({.key = {pc, mode}, .code = &source, .max_instructions = limit}, block);
  return block;
}

std::string complaint(const ir::Block& block) {
  const auto result = ir::verify(block, {.layout = &x86_layout(), .helpers = helper_table()});
  return result ? "" : result.error().message;
}

const ir::Inst& last(const ir::Block& block) { return block.insts.back(); }
ExitKind raised(const ir::Block& block) {
  return last(block).op == Op::Raise ? static_cast<ExitKind>(last(block).aux) : ExitKind::None;
}

TEST(X86Lift, every_row_gives_good_ir) {
  Random random(1);
  // 16-bit protected code with segments that are not flat, too.
  const uint32_t modes[] = {static_cast<uint32_t>(Mode::k16) | kModeProtected | kModeCplMask,
                            user_mode(Mode::k32), user_mode(Mode::k64)};
  unsigned lifted = 0;
  for (uint16_t i = 0; i < all_rows().size(); ++i) {
    if (!handler_of(i)) continue;
    for (const uint32_t mode : modes) {
      const auto size = static_cast<Mode>(mode & kModeCodeSizeMask);
      if (!exists_in(row(i), size)) continue;
      for (unsigned n = 0; n < 40; ++n) {
        const Bytes made = bytes_for(row(i), size, random);
        const ir::Block block = translate({made.begin(), made.end()}, mode, kPc, 1);
        ASSERT_EQ(complaint(block), "") << name_of(i) << "\n" << ir::print(block);
        ++lifted;
      }
    }
  }
  EXPECT_GT(lifted, 10000u);
}

TEST(X86Lift, a_block_ends_before_an_instruction_that_crosses_a_page) {
  // 15 bytes of nop, then mov eax, 1 over the page's end
  std::vector<uint8_t> bytes(15, 0x90);
  bytes.insert(bytes.end(), {0xb8, 1, 0, 0, 0, 0xf4});
  bytes.resize(40, 0x90);
  const ir::Block block = translate(bytes, user_mode(Mode::k64));
  EXPECT_EQ(block.guest_count, 15u);
  EXPECT_EQ(block.guest_size, 15u);
  EXPECT_EQ(last(block).op, Op::Jump);
  EXPECT_EQ(last(block).imm, kPc + 15);
  // As the first one it is lifted, alone.
  const ir::Block crossing = translate({bytes.begin() + 15, bytes.end()}, user_mode(Mode::k64), kPc + 15);
  EXPECT_EQ(crossing.guest_count, 1u);
  EXPECT_EQ(crossing.guest_size, 5u);
}

TEST(X86Lift, a_block_goes_on_behind_branches_ahead) {
  const auto jumps = [](std::vector<uint8_t> bytes, uint32_t mode = user_mode(Mode::k64)) {
    std::vector<Op> ops;
    for (const ir::Inst& inst : translate(bytes, mode).insts)
      if (inst.op == Op::ExitIf || inst.op == Op::Branch || inst.op == Op::JumpIndirect)
        ops.push_back(inst.op);
    return ops;
  };
  using Ops = std::vector<Op>;
  // cmp eax, ebx; je .+4; ja .+3; nop; ret
  EXPECT_EQ(jumps({0x39, 0xd8, 0x74, 0x02, 0x77, 0x01, 0x90, 0xc3}),
            (Ops{Op::ExitIf, Op::ExitIf, Op::JumpIndirect}));
  EXPECT_EQ(jumps({0x39, 0xd8, 0x74, 0xfc, 0xc3}), Ops{Op::Branch}) << "back";
  EXPECT_EQ(jumps({0x74, 0x02, 0xc3}, user_mode(Mode::k64) | kModeTrap), Ops{Op::Branch})
      << "its debug exception";
  // One more than a block goes on behind.
  EXPECT_EQ(jumps({0x74, 0x02, 0x74, 0x02, 0x74, 0x02, 0x74, 0x02, 0xc3}),
            (Ops{Op::ExitIf, Op::ExitIf, Op::ExitIf, Op::Branch}));
}

TEST(X86Lift, a_fetch_fault_names_the_byte_that_is_not_there) {
  std::vector<uint8_t> bytes(15, 0x90);
  bytes.push_back(0xb8);
  const ir::Block whole = translate(bytes, user_mode(Mode::k64));
  EXPECT_EQ(whole.guest_count, 15u);
  const ir::Block cut = translate({0xb8}, user_mode(Mode::k64), kPc + 15);
  EXPECT_EQ(raised(cut), ExitKind::FetchFault);
  EXPECT_EQ(last(cut).imm, kPc + 16);
}

TEST(X86Lift, privilege_and_mode) {
  const uint32_t user = user_mode(Mode::k64);
  EXPECT_EQ(raised(translate({0xf4, 0x90}, user)), ExitKind::ProtectionFault);  // hlt
  EXPECT_EQ(raised(translate({0x0f, 0x0b, 0x90}, user)), ExitKind::Undefined);  // ud2
  EXPECT_EQ(raised(translate({0xcd, 0x80, 0x90}, user)), ExitKind::SoftwareInterrupt);
  EXPECT_EQ(last(translate({0xcd, 0x80, 0x90}, user)).imm, interrupt_detail(0x80, 2));
  std::vector<uint8_t> long_one(15, 0x66);
  long_one.push_back(0x90);
  EXPECT_EQ(raised(translate(long_one, user)), ExitKind::ProtectionFault);
  // vaddps xmm0, xmm0, xmm0 in real mode
  EXPECT_EQ(raised(translate({0xc5, 0xf8, 0x58, 0xc0}, 0)), ExitKind::Undefined);
}

}  // namespace
}  // namespace lyrebird::x86
