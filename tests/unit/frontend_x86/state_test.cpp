// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <set>
#include <string>

#include "frontend/x86/x86_mode.h"
#include "frontend/x86/x86_state.h"
#include "ir/fp_mode.h"

namespace lyrebird::x86 {
namespace {

const ir::StateField& field(std::string_view name) {
  for (const ir::StateField& f : x86_layout().fields)
    if (f.name == name) return f;
  ADD_FAILURE() << "no field " << name;
  return x86_layout().fields[0];
}

TEST(X86State, FieldsAreSortedAlignedAndApart) {
  uint32_t end = 0;
  std::set<std::string> names;
  for (const ir::StateField& f : x86_layout().fields) {
    EXPECT_GE(f.offset, end) << f.name;
    const uint32_t alignment = f.type == ir::Type::F80 ? 16 : ir::byte_size(f.type);
    EXPECT_EQ(f.offset % alignment, 0u) << f.name;
    EXPECT_TRUE(names.insert(std::string(f.name)).second) << f.name;
    end = f.offset + ir::byte_size(f.type);
  }
  EXPECT_LE(end, x86_layout().size);
  EXPECT_EQ(x86_layout().size, sizeof(X86State));
}

TEST(X86State, NamesAreWhereTheStructHasThem) {
  EXPECT_EQ(offsetof(X86State, header), 0u);
  EXPECT_EQ(field("rax").offset, offsetof(X86State, gpr));
  EXPECT_EQ(field("rdi").offset, offsetof(X86State, gpr) + 8 * kRdi);
  EXPECT_EQ(field("r15").offset, offsetof(X86State, gpr) + 120);
  EXPECT_EQ(field("status").offset, offsetof(X86State, status));
  EXPECT_EQ(field("df").offset, offsetof(X86State, df));
  EXPECT_EQ(field("fs.base").offset, offsetof(X86State, fs));
  EXPECT_EQ(field("gs.selector").offset, offsetof(X86State, gs) + offsetof(SegmentState, selector));
  EXPECT_EQ(field("st_r7").offset, offsetof(X86State, x87) + 112);
  EXPECT_EQ(field("ymm15").offset, offsetof(X86State, ymm) + 480);
  EXPECT_EQ(field("dr7").offset, offsetof(X86State, dr) + 56);
  EXPECT_EQ(field("xss").offset, offsetof(X86State, xss));
}

TEST(X86State, HotRanksAreDistinctAndCoverA32BitGuest) {
  std::set<unsigned> words, vectors;
  for (const ir::StateField& f : x86_layout().fields)
    if (f.hot) {
      EXPECT_TRUE(f.type == ir::Type::I64 || f.type == ir::Type::V256) << f.name;
      EXPECT_TRUE((f.type == ir::Type::I64 ? words : vectors).insert(f.hot).second) << f.name;
    }
  EXPECT_EQ(*words.rbegin(), words.size());
  EXPECT_EQ(*vectors.rbegin(), vectors.size());
  EXPECT_EQ(vectors.size(), 16u);
  for (const char* name : {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"})
    EXPECT_TRUE(field(name).hot >= 1 && field(name).hot <= 8) << name;
}

TEST(X86State, ModeTagsAreOfOneModeEach) {
  constexpr uint32_t kUser64 = 0xc6, kUser32 = 0xf5;
  EXPECT_EQ(x86_layout().mode_tag(kUser64), 0u);
  std::set<uint32_t> tags;
  for (const uint32_t user : {kUser64, kUser32})
    for (uint32_t top = 0; top < 8; ++top)
      for (uint32_t used = 0; used < 256; ++used) {
        const uint32_t mode = user | top << kModeX87TopShift | used << kModeX87UsedShift;
        const uint32_t tag = x86_layout().mode_tag(mode);
        if (tag == ir::kOtherMode) continue;
        EXPECT_LT(tag, ir::kModeTags);
        EXPECT_TRUE(tags.insert(tag).second) << std::hex << mode;
      }
  EXPECT_EQ(tags.size(), 2u * 8 * 9);
  for (const uint32_t bit : {0u, 3u, 4u, 6u, 11u, 13u, 15u, 16u, 18u, 20u, 21u, 22u, 23u})
    EXPECT_EQ(x86_layout().mode_tag(kUser64 ^ 1u << bit), ir::kOtherMode) << bit;
}

// SDM volume 1, figure 3-8.
TEST(X86State, EflagsBits) {
  X86State s;
  EXPECT_EQ(eflags(s), 2u);
  for (unsigned bit : {0, 2, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21}) {
    set_eflags(s, 1u << bit);
    EXPECT_EQ(eflags(s), 1u << bit | 2u) << bit;
  }
  set_eflags(s, 0xffffffff);
  EXPECT_EQ(eflags(s), 0x003f7fd7u);
  EXPECT_EQ(s.status, 0xd701);
  EXPECT_EQ(s.df, 1);
  EXPECT_EQ(s.iopl, 3);
}

// SDM volume 1, figure 10-3.
TEST(X86State, MxcsrFlagsAreTheCollectedOnes) {
  X86State s;
  EXPECT_EQ(mxcsr(s), 0x1f80u);
  set_mxcsr(s, 0xffffu);
  EXPECT_EQ(mxcsr(s), 0xffffu);
  EXPECT_EQ(s.mxcsr, 0xffc0u);
  set_mxcsr(s, 0x1f82u);
  EXPECT_EQ(s.header.fp_flags, static_cast<uint32_t>(ir::kFpDenormal));
  s.header.fp_flags |= ir::kFpInexact;
  EXPECT_EQ(mxcsr(s), 0x1fa2u);
}

// SDM volume 1, figures 8-4 and 8-7.
TEST(X86State, X87StatusAndTags) {
  X86State s;
  set_x87_status(s, 0x7fff & ~0x80);
  EXPECT_EQ(x87_status(s), 0x7f7f);
  EXPECT_EQ((s.header.mode & kModeX87TopMask) >> kModeX87TopShift, 7u);
  set_x87_control(s, 0x37e);
  EXPECT_EQ(x87_status(s), 0xffff);
  s.x87_exceptions = 0;
  ir::add_f80_flags(s.header, ir::kFpInexact | ir::kFpRoundedUp);
  s.c1 = kC1Rounded;
  EXPECT_EQ(x87_status(s), 0x7f20);
  settle_x87_flags(s);
  EXPECT_EQ(s.c1, 1);
  EXPECT_EQ(s.x87_exceptions, 0x20);
  set_x87_status(s, 3 << 11);
  EXPECT_EQ(x87_status(s), 0x1800);

  EXPECT_EQ(x87_tags(s), 0xffff);
  set_x87_tags(s, 0);
  EXPECT_EQ(x87_tags(s), 0x5555);  // all zero
  const uint8_t kOne[10] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f};
  const uint8_t kInfinity[10] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x7f};
  const uint8_t kUnnormal[10] = {1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0x3f};
  std::memcpy(s.x87[0], kOne, 10);
  std::memcpy(s.x87[1], kInfinity, 10);
  std::memcpy(s.x87[2], kUnnormal, 10);
  set_x87_used(s, 0x7f);
  EXPECT_EQ(x87_tags(s), 0xd568);
  set_x87_tags(s, 0xfffc);
  EXPECT_EQ(x87_used(s), 1);
}

}  // namespace
}  // namespace lyrebird::x86
