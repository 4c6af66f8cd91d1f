// SPDX-License-Identifier: Apache-2.0
#include "machines/kernel_image.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>

namespace lyrebird::machines {
namespace {

constexpr uint64_t kRam = 0x4000'0000;

template <typename T>
void put(Bytes& to, size_t at, const T& value) {
  if (to.size() < at + sizeof value) to.resize(at + sizeof value);
  std::memcpy(to.data() + at, &value, sizeof value);
}

Bytes image(uint64_t text_offset, uint64_t image_size, size_t bytes = 4096) {
  Bytes file(bytes);
  put(file, 8, text_offset);
  put(file, 16, image_size);
  std::memcpy(file.data() + 56, "ARMd", 4);
  return file;
}

Bytes gzip(const Bytes& data) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  Bytes out(data.size() + 1024);
  stream.next_in = const_cast<uint8_t*>(data.data());
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

std::string error_of(Bytes file) {
  const auto kernel = load_arm64_kernel(std::move(file), "kernel", kRam);
  return kernel.ok() ? "" : kernel.error().message;
}

TEST(KernelImage, AnImageLiesTwoMegabytesAboveTheMemorysStart) {
  const auto kernel = load_arm64_kernel(image(0, 0x10000), "kernel", kRam);
  ASSERT_TRUE(kernel.ok());
  EXPECT_EQ(kernel->entry, kRam + 0x20'0000);
  EXPECT_EQ(kernel->end, kRam + 0x21'0000);
  EXPECT_EQ(kernel->segments.at(0).memory_size, 0x10000u);
}

TEST(KernelImage, AnOldImageHasAFixedOffset) {
  const auto kernel = load_arm64_kernel(image(0, 0), "kernel", kRam);
  ASSERT_TRUE(kernel.ok());
  EXPECT_EQ(kernel->entry, kRam + 0x28'0000);
}

TEST(KernelImage, GzipAndZbootAreUnpacked) {
  const Bytes packed = gzip(image(0x1000, 0x10000));
  const auto kernel = load_arm64_kernel(packed, "kernel", kRam);
  ASSERT_TRUE(kernel.ok()) << kernel.error().message;
  EXPECT_EQ(kernel->entry, kRam + 0x20'1000);
  Bytes zboot(64);
  std::memcpy(zboot.data(), "MZ\0\0zimg", 8);
  put<uint32_t>(zboot, 8, 64);
  put<uint32_t>(zboot, 12, static_cast<uint32_t>(packed.size()));
  std::memcpy(zboot.data() + 24, "gzip", 5);
  zboot.insert(zboot.end(), packed.begin(), packed.end());
  const auto inner = load_arm64_kernel(zboot, "kernel", kRam);
  ASSERT_TRUE(inner.ok()) << inner.error().message;
  EXPECT_EQ(inner->entry, kRam + 0x20'1000);
  std::memcpy(zboot.data() + 24, "zstd", 5);
  EXPECT_NE(error_of(zboot).find("compressed with zstd"), std::string::npos);
  put<uint32_t>(zboot, 12, 0x7fff'ffff);
  EXPECT_NE(error_of(zboot).find("cut short"), std::string::npos);
}

TEST(KernelImage, ElfSegmentsLieAtTheirPhysicalAddresses) {
  Bytes file;
  Elf64_Ehdr head{};
  std::memcpy(head.e_ident, ELFMAG, SELFMAG);
  head.e_ident[EI_CLASS] = ELFCLASS64;
  head.e_ident[EI_DATA] = ELFDATA2LSB;
  head.e_machine = EM_AARCH64;
  head.e_entry = 0xffff'0000'0000'0010;
  head.e_phoff = sizeof head;
  head.e_phentsize = sizeof(Elf64_Phdr);
  head.e_phnum = 1;
  put(file, 0, head);
  Elf64_Phdr part{};
  part.p_type = PT_LOAD;
  part.p_offset = 0x100;
  part.p_vaddr = 0xffff'0000'0000'0000;
  part.p_paddr = kRam + 0x8'0000;
  part.p_filesz = 0x20;
  part.p_memsz = 0x1000;
  put(file, sizeof head, part);
  file.resize(0x120);
  const auto kernel = load_arm64_kernel(file, "kernel", kRam);
  ASSERT_TRUE(kernel.ok()) << kernel.error().message;
  EXPECT_EQ(kernel->entry, kRam + 0x8'0010);
  EXPECT_EQ(kernel->segments.at(0).bytes.size(), 0x20u);
  EXPECT_EQ(kernel->end, kRam + 0x8'1000);
  file.resize(0x110);
  EXPECT_NE(error_of(file).find("broken ELF"), std::string::npos);
}

TEST(KernelImage, WhatIsNoKernelIsSaidSo) {
  EXPECT_NE(error_of(Bytes(100)).find("no kernel for arm64"), std::string::npos);
  EXPECT_NE(error_of({}).find("no kernel for arm64"), std::string::npos);
  Bytes packed = gzip(image(0, 0x10000));
  packed.resize(packed.size() / 2);
  EXPECT_NE(error_of(packed).find("gzip data is damaged"), std::string::npos);
  EXPECT_NE(error_of(image(uint64_t{1} << 60, 1)).find("makes no sense"), std::string::npos);
}

TEST(KernelImage, AFileThatIsNotThereIsNamed) {
  const auto file = read_file("/nowhere/Image");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().message, "/nowhere/Image: No such file or directory");
}

}  // namespace
}  // namespace lyrebird::machines
