// SPDX-License-Identifier: Apache-2.0
#include "machines/kernel_image.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/bits.h"

namespace lyrebird::machines {

namespace {

constexpr size_t kMaxKernel = size_t{1} << 30;
constexpr uint64_t kMegabyte = 1 << 20;

/// Head of an Image, all little-endian.
struct ImageHeader {
  uint32_t code[2];
  uint64_t text_offset, image_size, flags, reserved[3];
  char magic[4];
  uint32_t pe_offset;
};
static_assert(sizeof(ImageHeader) == 64);

/// Head of an EFI zboot image.
struct ZbootHeader {
  char mz[4], magic[4];
  uint32_t payload_offset, payload_size, reserved[2];
  char compression[32];
};

bool starts_with(std::span<const uint8_t> bytes, std::string_view magic, size_t at = 0) {
  return bytes.size() >= at + magic.size() && std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
}

Result<Arm64Kernel> load_image(Bytes file, const std::string& name, uint64_t ram_base) {
  const auto header = load_unaligned<ImageHeader>(file.data());
  if (header.flags & 1)
    return Error{fmt::format("{}: a big-endian kernel; little-endian ones are supported", name)};
  // Before Linux 3.17 image_size was 0 and text_offset always this.
  const uint64_t offset = header.image_size ? header.text_offset : 0x80000;
  const uint64_t size = std::max<uint64_t>(header.image_size, file.size());
  if (offset > kMaxKernel || size > kMaxKernel)
    return Error{fmt::format("{}: its header makes no sense", name)};
  Arm64Kernel kernel;
  kernel.entry = ram_base + 2 * kMegabyte + offset;
  kernel.end = kernel.entry + size;
  kernel.segments.push_back({kernel.entry, std::move(file), size});
  return kernel;
}

Result<Arm64Kernel> load_elf(const Bytes& file, const std::string& name) {
  const auto broken = [&](const char* what) {
    return Error{fmt::format("{}: a broken ELF file: {}", name, what)};
  };
  if (file.size() < sizeof(Elf64_Ehdr)) return broken("too short");
  const auto head = load_unaligned<Elf64_Ehdr>(file.data());
  if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_ident[EI_DATA] != ELFDATA2LSB ||
      head.e_machine != EM_AARCH64)
    return Error{fmt::format("{}: an ELF file for another machine than aarch64", name)};
  if (head.e_phentsize != sizeof(Elf64_Phdr) || head.e_phoff > file.size() ||
      head.e_phnum > (file.size() - head.e_phoff) / sizeof(Elf64_Phdr))
    return broken("its program headers are not in it");
  Arm64Kernel kernel;
  kernel.elf = true;
  kernel.entry = head.e_entry;
  for (unsigned i = 0; i < head.e_phnum; ++i) {
    const auto part = load_unaligned<Elf64_Phdr>(file.data() + head.e_phoff + i * sizeof(Elf64_Phdr));
    if (part.p_type != PT_LOAD || part.p_memsz == 0) continue;
    if (part.p_offset > file.size() || part.p_filesz > file.size() - part.p_offset ||
        part.p_filesz > part.p_memsz || part.p_memsz > kMaxKernel || part.p_paddr > (uint64_t{1} << 52))
      return broken("a segment is not in it");
    const auto from = file.begin() + static_cast<ptrdiff_t>(part.p_offset);
    kernel.segments.push_back(
        {part.p_paddr, Bytes(from, from + static_cast<ptrdiff_t>(part.p_filesz)), part.p_memsz});
    kernel.end = std::max(kernel.end, part.p_paddr + part.p_memsz);
    // The entry is a virtual address, and the CPU starts without translation.
    if (head.e_entry >= part.p_vaddr && head.e_entry - part.p_vaddr < part.p_memsz)
      kernel.entry = part.p_paddr + (head.e_entry - part.p_vaddr);
  }
  if (kernel.segments.empty()) return broken("nothing to load");
  return kernel;
}

Result<Bytes> unpack_zboot(const Bytes& file, const std::string& name) {
  const auto header = load_unaligned<ZbootHeader>(file.data());
  const std::string compression(header.compression, strnlen(header.compression, sizeof header.compression));
  if (header.payload_offset > file.size() || header.payload_size > file.size() - header.payload_offset)
    return Error{fmt::format("{}: the kernel inside of this EFI image is cut short", name)};
  if (compression != "gzip")
    return Error{fmt::format("{}: an EFI image compressed with {}; only gzip is supported: unpack it first",
                             name, compression)};
  return gunzip(std::span(file).subspan(header.payload_offset, header.payload_size), kMaxKernel);
}

}  // namespace

Result<Bytes> read_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Error{fmt::format("{}: {}", path, std::strerror(errno))};
  Bytes bytes;
  struct stat about{};
  if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode)) bytes.reserve(static_cast<size_t>(about.st_size) + 1);
  for (;;) {
    const size_t had = bytes.size();
    bytes.resize(std::max(bytes.capacity(), had + 65536));
    const ssize_t got = read(fd, bytes.data() + had, bytes.size() - had);
    bytes.resize(had + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got > 0) continue;
    const int error = errno;
    close(fd);
    if (got < 0) return Error{fmt::format("{}: {}", path, std::strerror(error))};
    return bytes;
  }
}

Result<Bytes> gunzip(std::span<const uint8_t> packed, size_t limit) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) return Error{"no memory to unpack it"};
  stream.next_in = const_cast<uint8_t*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  Bytes out;
  int state = Z_OK;
  while (state == Z_OK && out.size() < limit) {
    const size_t had = out.size();
    out.resize(std::min(limit, std::max<size_t>(2 * had, packed.size() * 4 + 65536)));
    stream.next_out = out.data() + had;
    stream.avail_out = static_cast<uInt>(out.size() - had);
    state = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
    if (state == Z_STREAM_END && starts_with({stream.next_in, stream.avail_in}, "\x1f\x8b"))
      state = inflateReset(&stream);
  }
  inflateEnd(&stream);
  if (state != Z_STREAM_END) return Error{"its gzip data is damaged or too large"};
  return out;
}

Result<Arm64Kernel> load_arm64_kernel(Bytes file, const std::string& name, uint64_t ram_base) {
  for (unsigned depth = 0; depth < 3; ++depth) {
    if (starts_with(file,
                    "\x7f"
                    "ELF"))
      return load_elf(file, name);
    if (file.size() >= sizeof(ImageHeader) && starts_with(file, "ARMd", offsetof(ImageHeader, magic)))
      return load_image(std::move(file), name, ram_base);
    Result<Bytes> inner = Error{""};
    if (starts_with(file, "\x1f\x8b"))
      inner = gunzip(file, kMaxKernel);
    else if (file.size() >= sizeof(ZbootHeader) && starts_with(file, "MZ") && starts_with(file, "zimg", 4))
      inner = unpack_zboot(file, name);
    else
      break;
    if (!inner.ok()) return Error{fmt::format("{}: {}", name, inner.error().message)};
    file = std::move(*inner);
  }
  return Error{
      fmt::format("{}: no kernel for arm64: neither Image (also with gzip or as EFI zboot) nor ELF", name)};
}

}  // namespace lyrebird::machines
