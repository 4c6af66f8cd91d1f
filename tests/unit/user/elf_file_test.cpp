// SPDX-License-Identifier: Apache-2.0
#include "user/elf/elf_file.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace lyrebird::user {
namespace {

using ::testing::HasSubstr;

/// An ELF64 file of AArch64 in memory, right until a test bends it.
class Image final : public ElfSource {
 public:
  Image() {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_EXEC;
    header.e_machine = EM_AARCH64;
    header.e_version = EV_CURRENT;
    header.e_entry = 0x400100;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    add(PT_LOAD, PF_R | PF_X, 0, 0x400000, 0x800, 0x800);
  }
  Elf64_Phdr& add(uint32_t type, uint32_t flags, uint64_t offset, uint64_t address, uint64_t file,
                  uint64_t memory) {
    headers.push_back({type, flags, offset, address, address, file, memory, 4096});
    return headers.back();
  }
  void build(size_t size = 0x1000) {
    header.e_phnum = static_cast<uint16_t>(headers.size());
    bytes.assign(size, 0);
    std::memcpy(bytes.data(), &header, std::min(size, sizeof header));
    if (size > sizeof header)
      std::memcpy(bytes.data() + sizeof header, headers.data(),
                  std::min(size - sizeof header, headers.size() * sizeof(Elf64_Phdr)));
  }
  uint64_t size() const override { return bytes.size(); }
  bool read(uint64_t offset, void* to, uint64_t size) const override {
    if (offset > bytes.size() || size > bytes.size() - offset) return false;
    if (size) std::memcpy(to, bytes.data() + offset, size);
    return true;
  }

  Elf64_Ehdr header{};
  std::vector<Elf64_Phdr> headers;
  std::vector<uint8_t> bytes;
};

std::string message(const Image& image) {
  const auto file = parse_elf(image);
  return file ? "" : file.error().message;
}

TEST(ElfFile, StaticProgram) {
  Image image;
  image.add(PT_LOAD, PF_R | PF_W, 0x800, 0x410800, 0x100, 0x5000);
  image.build();
  const auto file = parse_elf(image);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->machine, EM_AARCH64);
  EXPECT_EQ(file->entry, 0x400100u);
  EXPECT_FALSE(file->position_independent);
  ASSERT_EQ(file->segments.size(), 2u);
  EXPECT_TRUE(file->segments[0].executable);
  EXPECT_TRUE(file->segments[1].writable);
  EXPECT_EQ(file->low, 0x400000u);
  EXPECT_EQ(file->high, 0x416000u);
  EXPECT_EQ(file->program_headers, 0x400040u);
  EXPECT_TRUE(file->interpreter.empty());
}

TEST(ElfFile, InterpreterIsRead) {
  Image image;
  image.add(PT_INTERP, PF_R, 0x200, 0x400200, 8, 8);
  image.build();
  std::memcpy(image.bytes.data() + 0x200, "/lib/ld", 8);
  const auto file = parse_elf(image);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->interpreter, "/lib/ld");
}

TEST(ElfFile, InterpreterWithoutEndIsRefused) {
  Image image;
  image.add(PT_INTERP, PF_R, 0x200, 0x400200, 4, 4);
  image.build();
  std::memcpy(image.bytes.data() + 0x200, "/lib/ld", 8);
  EXPECT_THAT(message(image), HasSubstr("does not end"));
}

TEST(ElfFile, BranchTargetPropertyIsRead) {
  Image image;
  image.add(PT_GNU_PROPERTY, PF_R, 0x200, 0x400200, 32, 32);
  image.build();
  const uint32_t note[] = {4, 16, NT_GNU_PROPERTY_TYPE_0, 0x554e47, 0xc0000000, 4, 3, 0};
  std::memcpy(image.bytes.data() + 0x200, note, sizeof note);
  const auto file = parse_elf(image);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE(file->branch_targets);
}

TEST(ElfFile, NotElf) {
  Image image;
  image.build();
  image.bytes[1] = 'X';
  EXPECT_THAT(message(image), HasSubstr("not an ELF program"));
}

TEST(ElfFile, ScriptIsNamedAsSuch) {
  Image image;
  image.bytes = {'#', '!', '/', 'b', 'i', 'n', '/', 's', 'h', '\n'};
  EXPECT_THAT(message(image), HasSubstr("script"));
}

TEST(ElfFile, EmptyFile) {
  Image image;
  EXPECT_THAT(message(image), HasSubstr("not an ELF program"));
}

TEST(ElfFile, EveryTruncationIsRefusedOrSound) {
  Image image;
  image.add(PT_LOAD, PF_R | PF_W, 0x800, 0x410800, 0x100, 0x5000);
  image.build();
  const std::vector<uint8_t> whole = image.bytes;
  for (size_t size = 0; size < 0x900; ++size) {
    image.bytes.assign(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_NE(message(image), "") << size;
  }
}

TEST(ElfFile, SegmentPastTheEndOfTheFile) {
  Image image;
  image.headers[0].p_filesz = image.headers[0].p_memsz = 0x100000;
  image.build();
  EXPECT_THAT(message(image), HasSubstr("truncated"));
}

TEST(ElfFile, OverlappingSegments) {
  Image image;
  image.add(PT_LOAD, PF_R, 0x400, 0x400400, 0x100, 0x100);
  image.build();
  EXPECT_THAT(message(image), HasSubstr("overlaps"));
}

TEST(ElfFile, SegmentsOutOfOrder) {
  Image image;
  image.add(PT_LOAD, PF_R, 0x400, 0x300400, 0x100, 0x100);
  image.build();
  EXPECT_THAT(message(image), HasSubstr("out of order"));
}

TEST(ElfFile, AddressThatWraps) {
  Image image;
  image.headers[0].p_vaddr = ~uint64_t{0xfff};
  image.build();
  EXPECT_THAT(message(image), HasSubstr("does not fit"));
}

TEST(ElfFile, MoreInTheFileThanInMemory) {
  Image image;
  image.headers[0].p_memsz = 1;
  image.build();
  EXPECT_THAT(message(image), HasSubstr("more bytes in the file"));
}

TEST(ElfFile, AbsurdHeaderCount) {
  Image image;
  image.build();
  image.bytes[56] = image.bytes[57] = 0xff;
  EXPECT_THAT(message(image), HasSubstr("absurd"));
}

TEST(ElfFile, ObjectFile) {
  Image image;
  image.header.e_type = ET_REL;
  image.build();
  EXPECT_THAT(message(image), HasSubstr("object file"));
}

TEST(ElfFile, NothingToLoad) {
  Image image;
  image.headers[0].p_type = PT_NOTE;
  image.build();
  EXPECT_THAT(message(image), HasSubstr("nothing to load"));
}

}  // namespace
}  // namespace lyrebird::user
