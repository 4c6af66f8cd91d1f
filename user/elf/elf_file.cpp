// SPDX-License-Identifier: Apache-2.0
#include "user/elf/elf_file.h"

#include <elf.h>
#include <fmt/format.h>

#include <cstring>

#include "base/bits.h"

namespace lyrebird::user {
namespace {

constexpr uint64_t kPageSize = 4096;
constexpr uint64_t kHighestAddress = uint64_t{1} << 48;
constexpr unsigned kMostHeaders = 65536 / sizeof(Elf64_Phdr);  // as Linux
constexpr uint64_t kLongestPath = 4096;

Error error(std::string text) { return Error{std::move(text)}; }

/// Numbers of the file's class and byte order.
struct Reader {
  const uint8_t* at;
  bool wide, swap;

  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, at, sizeof value);
    at += sizeof value;
    if (!swap) return value;
    if constexpr (sizeof value == 2) return __builtin_bswap16(value);
    if constexpr (sizeof value == 4) return __builtin_bswap32(value);
    if constexpr (sizeof value == 8) return __builtin_bswap64(value);
  }
  uint16_t half() { return number<uint16_t>(); }
  uint32_t word() { return number<uint32_t>(); }
  uint64_t address() { return wide ? number<uint64_t>() : number<uint32_t>(); }
};

struct Header {
  uint16_t type, machine;
  uint32_t version;
  uint64_t entry, program_headers;
  uint32_t flags;
  uint16_t header_size, header_count;
};

struct ProgramHeader {
  uint32_t type = 0, flags = 0;
  uint64_t offset = 0, address = 0, file_size = 0, memory_size = 0;
};

Header read_header(Reader r) {
  Header h{};
  h.type = r.half();
  h.machine = r.half();
  h.version = r.word();
  h.entry = r.address();
  h.program_headers = r.address();
  r.address();  // e_shoff
  h.flags = r.word();
  r.half();  // e_ehsize
  h.header_size = r.half();
  h.header_count = r.half();
  return h;
}

ProgramHeader read_program_header(Reader r) {
  ProgramHeader p;
  p.type = r.word();
  if (r.wide) p.flags = r.word();
  p.offset = r.address();
  p.address = r.address();
  r.address();  // p_paddr
  p.file_size = r.address();
  p.memory_size = r.address();
  if (!r.wide) p.flags = r.word();
  return p;
}

Result<void> add_segment(const ElfSource& source, const ProgramHeader& p, ElfFile& file) {
  const unsigned index = static_cast<unsigned>(file.segments.size());
  if (p.memory_size == 0 && p.file_size == 0) return {};
  if (p.file_size > p.memory_size)
    return error(fmt::format("segment {} has more bytes in the file than in memory", index));
  if (p.offset > source.size() || p.file_size > source.size() - p.offset)
    return error(fmt::format("truncated: segment {} ends at byte {}, the file has {}", index,
                             p.offset + p.file_size, source.size()));
  if (p.address >= kHighestAddress || p.memory_size > kHighestAddress - p.address)
    return error(fmt::format("segment {} at {:#x} does not fit the address space", index, p.address));
  if (((p.address ^ p.offset) & (kPageSize - 1)) && p.file_size != 0)
    return error(fmt::format("segment {}: address {:#x} and file offset {:#x} differ within the page", index,
                             p.address, p.offset));
  if (!file.segments.empty()) {
    const Segment& last = file.segments.back();
    if (p.address < last.address)
      return error(fmt::format("segment {} at {:#x} is out of order", index, p.address));
    if (p.address < last.address + last.memory_size)
      return error(
          fmt::format("segment {} at {:#x} overlaps the one at {:#x}", index, p.address, last.address));
  }
  Segment segment;
  segment.offset = p.offset;
  segment.file_size = p.file_size;
  segment.address = p.address;
  segment.memory_size = p.memory_size;
  segment.readable = p.flags & PF_R;
  segment.writable = p.flags & PF_W;
  segment.executable = p.flags & PF_X;
  file.segments.push_back(segment);
  return {};
}

Result<void> read_interpreter(const ElfSource& source, const ProgramHeader& p, ElfFile& file) {
  if (!file.interpreter.empty()) return error("names two interpreters");
  if (p.file_size < 2 || p.file_size > kLongestPath)
    return error(fmt::format("the interpreter's name has {} bytes", p.file_size));
  std::string text(p.file_size, '\0');
  if (!source.read(p.offset, text.data(), text.size())) return error("truncated: no interpreter name");
  if (text.back() != '\0') return error("the interpreter's name does not end");
  text.resize(std::strlen(text.c_str()));
  if (text.empty()) return error("the interpreter's name is empty");
  file.interpreter = std::move(text);
  return {};
}

/// NT_GNU_PROPERTY_TYPE_0 (Linux extensions to the gABI): only the Arm feature word.
void read_properties(const ElfSource& source, const ProgramHeader& p, bool swap, ElfFile& file) {
  constexpr uint32_t kArmFeature1And = 0xc0000000;
  uint8_t note[512];
  if (p.file_size < 16 || p.file_size > sizeof note || !source.read(p.offset, note, p.file_size)) return;
  Reader r{note, true, swap};
  const uint32_t name_size = r.word(), desc_size = r.word(), type = r.word();
  if (name_size != 4 || type != NT_GNU_PROPERTY_TYPE_0 || std::memcmp(r.at, "GNU", 4) != 0) return;
  r.at += 4;
  const uint8_t* const end = note + p.file_size;
  if (desc_size > static_cast<uint64_t>(end - r.at)) return;
  while (end - r.at >= 12) {
    const uint32_t property = r.word(), size = r.word();
    if (size > static_cast<uint64_t>(end - r.at)) return;
    if (property == kArmFeature1And && size == 4 && file.machine == EM_AARCH64)
      file.branch_targets = Reader{r.at, true, swap}.word() & 1;
    const uint64_t padded = align_up(size, file.word);
    if (padded > static_cast<uint64_t>(end - r.at)) return;
    r.at += padded;
  }
}

Result<void> finish(const Header& header, ElfFile& file) {
  if (file.segments.empty()) return error("has nothing to load");
  file.low = align_down(file.segments.front().address, kPageSize);
  const Segment& last = file.segments.back();
  file.high = align_up(last.address + last.memory_size, kPageSize);
  for (const Segment& segment : file.segments) {
    const uint64_t table_end = header.program_headers + uint64_t{header.header_count} * header.header_size;
    if (header.program_headers >= segment.offset && table_end <= segment.offset + segment.file_size)
      file.program_headers = segment.address + (header.program_headers - segment.offset);
  }
  return {};
}

}  // namespace

uint16_t elf_machine(const ElfSource& source) {
  uint8_t ident[20];
  if (!source.read(0, ident, sizeof ident) || std::memcmp(ident, ELFMAG, SELFMAG) != 0) return 0;
  const uint16_t machine = load_unaligned<uint16_t>(ident + 18);
  return ident[EI_DATA] == ELFDATA2MSB ? __builtin_bswap16(machine) : machine;
}

Result<ElfFile> parse_elf(const ElfSource& source) {
  uint8_t bytes[sizeof(Elf64_Ehdr)] = {};
  if (source.size() < 4 || !source.read(0, bytes, 4) || std::memcmp(bytes, ELFMAG, SELFMAG) != 0) {
    if (source.size() >= 2 && bytes[0] == '#' && bytes[1] == '!')
      return error("is a script; name its interpreter's program file instead");
    return error("is not an ELF program");
  }
  if (source.size() < EI_NIDENT || !source.read(0, bytes, EI_NIDENT))
    return error("truncated: no ELF header");
  const uint8_t file_class = bytes[EI_CLASS], data = bytes[EI_DATA];
  if (file_class != ELFCLASS32 && file_class != ELFCLASS64)
    return error(fmt::format("has the unknown ELF class {}", file_class));
  if (data != ELFDATA2LSB && data != ELFDATA2MSB)
    return error(fmt::format("has the unknown byte order {}", data));
  ElfFile file;
  file.word = file_class == ELFCLASS64 ? 8 : 4;
  file.big_endian = data == ELFDATA2MSB;
  const bool wide = file.word == 8;
  const unsigned header_bytes = wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
  if (!source.read(0, bytes, header_bytes)) return error("truncated: no ELF header");
  const Header header = read_header({bytes + EI_NIDENT, wide, file.big_endian});
  file.machine = header.machine;
  file.flags = header.flags;
  file.entry = header.entry;
  file.position_independent = header.type == ET_DYN;
  file.header_count = header.header_count;
  file.header_size = header.header_size;
  if (header.version != EV_CURRENT)
    return error(fmt::format("has the unknown ELF version {}", header.version));
  if (header.type == ET_REL) return error("is an object file; link it first");
  if (header.type == ET_CORE) return error("is a core dump, not a program");
  if (header.type != ET_EXEC && header.type != ET_DYN)
    return error(fmt::format("has the ELF type {}, which is not a program", header.type));
  const unsigned entry_bytes = wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
  if (header.header_size != entry_bytes || header.header_count == 0 || header.header_count > kMostHeaders)
    return error(
        fmt::format("has absurd program headers ({} of {} bytes)", header.header_count, header.header_size));
  const uint64_t table_size = uint64_t{header.header_count} * entry_bytes;
  if (header.program_headers > source.size() || table_size > source.size() - header.program_headers)
    return error("truncated: the program headers are not there");
  std::vector<uint8_t> table(table_size);
  if (!source.read(header.program_headers, table.data(), table_size))
    return error("truncated: the program headers are not there");

  for (unsigned i = 0; i < header.header_count; ++i) {
    const ProgramHeader p =
        read_program_header({table.data() + uint64_t{i} * entry_bytes, wide, file.big_endian});
    Result<void> done;
    if (p.type == PT_LOAD) done = add_segment(source, p, file);
    if (p.type == PT_INTERP) done = read_interpreter(source, p, file);
    if (p.type == PT_GNU_STACK) {
      file.says_of_stack = true;
      file.executable_stack = p.flags & PF_X;
    }
    if (p.type == PT_GNU_PROPERTY) read_properties(source, p, file.big_endian, file);
    if (!done) return done.error();
  }
  if (const Result<void> done = finish(header, file); !done) return done.error();
  return file;
}

}  // namespace lyrebird::user
