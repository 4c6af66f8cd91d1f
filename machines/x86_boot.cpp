// SPDX-License-Identifier: Apache-2.0
#include "machines/x86_boot.h"

#include <elf.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/bits.h"
#include "frontend/x86/segments.h"

namespace lyrebird::machines {
namespace {

constexpr uint64_t kGdt = 0x500, kParameters = 0x7000, kPageTables = 0x9000, kCommandLine = 0x20000;
constexpr uint64_t kModules = kParameters + 0x100, kMemoryMap = kParameters + 0x200;
constexpr uint64_t kLowEnd = 0x9fc00, kHighMemory = 0x100000, kFourGiB = uint64_t{1} << 32;
constexpr size_t kMostCommandLine = 0x10000;
constexpr uint16_t kCodeSelector = 0x10, kDataSelector = 0x18, kTaskSelector = 0x20;

// Offsets in boot_params, whose middle is the header of a bzImage (boot.rst).
constexpr size_t kRsdpAt = 0x070, kMapCountAt = 0x1e8, kSetupSectorsAt = 0x1f1, kBootFlagAt = 0x1fe,
                 kJumpAt = 0x201, kMagicAt = 0x202, kVersionAt = 0x206, kLoaderAt = 0x210,
                 kLoadFlagsAt = 0x211, kCode32At = 0x214, kInitrdAt = 0x218, kInitrdSizeAt = 0x21c,
                 kHeapEndAt = 0x224, kCommandLineAt = 0x228, kInitrdMostAt = 0x22c, kAlignmentAt = 0x230,
                 kRelocatableAt = 0x234, kExtraFlagsAt = 0x236, kCommandLineSizeAt = 0x238,
                 kPreferredAt = 0x258, kInitSizeAt = 0x260, kMapAt = 0x2d0;
constexpr uint32_t kHeaderMagic = 0x53726448;  // HdrS
constexpr uint8_t kLoadedHigh = 1, kCanUseHeap = 0x80;
constexpr uint16_t kExtraHas64Bit = 1;
constexpr uint32_t kUsable = 1, kReserved = 2;
constexpr uint32_t kPvhMagic = 0x336ec578, kPvhNote = 18;

template <typename T>
T get(const Bytes& from, size_t at) {
  return load_unaligned<T>(from.data() + at);
}
template <typename T>
void put(Bytes& to, size_t at, T value) {
  store_unaligned(to.data() + at, value);
}

struct Range {
  uint64_t start, size;
  uint32_t type;
};

std::vector<Range> memory_map(const X86Memory& memory) {
  std::vector<Range> map = {{0, kLowEnd, kUsable},
                            {kLowEnd, 0xa0000 - kLowEnd, kReserved},
                            {kX86AcpiTables, kX86AcpiRoom, kReserved},
                            {kHighMemory, memory.low - kHighMemory, kUsable}};
  if (memory.high) map.push_back({kFourGiB, memory.high, kUsable});
  return map;
}

void add(X86Boot& boot, uint64_t address, Bytes bytes, uint64_t memory_size = 0) {
  const uint64_t size = std::max<uint64_t>(bytes.size(), memory_size);
  boot.segments.push_back({address, std::move(bytes), size});
}

/// Null, (unused), code, data, task, as all the entries want them.
void add_descriptors(X86Boot& boot) {
  using namespace x86::segment_attributes;
  const bool is_long = boot.entry_mode == X86Boot::Entry::Long;
  constexpr uint32_t kCommon = kPresent | kNotSystem | kWritable | kAccessed | kGranular;
  const uint64_t entries[] = {
      0, 0, x86::make_descriptor(0, 0xfffff, kCommon | kCode | (is_long ? kLong : kBig)),
      x86::make_descriptor(0, 0xfffff, kCommon | kBig), x86::make_descriptor(0, 0x67, kPresent | 11u << 8)};
  Bytes bytes(sizeof entries);
  std::memcpy(bytes.data(), entries, sizeof entries);
  add(boot, kGdt, std::move(bytes));
}

/// 4 GiB as they are, in pages of 2 MiB.
void add_page_tables(X86Boot& boot) {
  constexpr uint64_t kPresentWritable = 3, kLarge = 0x80;
  Bytes tables(6 * 4096);
  put<uint64_t>(tables, 0, (kPageTables + 4096) | kPresentWritable);
  for (uint64_t i = 0; i < 4; ++i)
    put<uint64_t>(tables, 4096 + 8 * i, (kPageTables + (2 + i) * 4096) | kPresentWritable);
  for (uint64_t i = 0; i < 2048; ++i)
    put<uint64_t>(tables, 2 * 4096 + 8 * i, i << 21 | kLarge | kPresentWritable);
  add(boot, kPageTables, std::move(tables));
}

struct Placed {
  uint64_t start = 0, size = 0;
};

/// The initrd, as high as it may be and below the kernel's limit.
Result<Placed> add_initrd(X86Boot& boot, const std::string& path, const X86Memory& memory, uint64_t limit,
                          uint64_t kernel_end) {
  if (path.empty()) return Placed{};
  auto file = read_file(path);
  if (!file) return Error{"-initrd " + file.error().message};
  const uint64_t size = file->size(), top = std::min(memory.low, limit);
  if (size > top || align_down(top - size, 4096) < kernel_end)
    return Error{fmt::format("-initrd {}: {} bytes do not fit behind the kernel; give more memory with -m",
                             path, size)};
  const uint64_t start = align_down(top - size, 4096);
  add(boot, start, std::move(*file));
  return Placed{start, size};
}

Result<void> add_command_line(X86Boot& boot, const std::string& text, size_t most) {
  if (text.size() > std::min(most, kMostCommandLine))
    return Error{fmt::format("-append: {} characters, and this kernel takes {}", text.size(),
                             std::min(most, kMostCommandLine))};
  Bytes bytes(text.begin(), text.end());
  bytes.push_back(0);
  add(boot, kCommandLine, std::move(bytes));
  return {};
}

/// boot_params, for a header that is there or made up.
Result<void> add_parameters(X86Boot& boot, Bytes page, const X86BootFiles& files, const X86Memory& memory,
                            uint64_t rsdp, uint64_t initrd_limit, size_t most_command_line,
                            uint64_t kernel_end) {
  const auto initrd = add_initrd(boot, files.initrd, memory, initrd_limit, kernel_end);
  if (!initrd) return initrd.error();
  if (auto done = add_command_line(boot, files.append, most_command_line); !done) return done;
  put<uint8_t>(page, kLoaderAt, 0xff);  // a loader without a number
  put<uint8_t>(page, kLoadFlagsAt, get<uint8_t>(page, kLoadFlagsAt) | kLoadedHigh | kCanUseHeap);
  put<uint16_t>(page, kHeapEndAt, 0xfe00);
  put<uint32_t>(page, kCommandLineAt, kCommandLine);
  put<uint32_t>(page, kInitrdAt, static_cast<uint32_t>(initrd->start));
  put<uint32_t>(page, kInitrdSizeAt, static_cast<uint32_t>(initrd->size));
  put<uint64_t>(page, kRsdpAt, rsdp);
  const std::vector<Range> map = memory_map(memory);
  put<uint8_t>(page, kMapCountAt, static_cast<uint8_t>(map.size()));
  for (size_t i = 0; i < map.size(); ++i) {
    put<uint64_t>(page, kMapAt + 20 * i, map[i].start);
    put<uint64_t>(page, kMapAt + 20 * i + 8, map[i].size);
    put<uint32_t>(page, kMapAt + 20 * i + 16, map[i].type);
  }
  boot.parameters = kParameters;
  add(boot, kParameters, std::move(page));
  return {};
}

Error not_a_kernel(const std::string& name, std::string_view why) {
  return {fmt::format(
      "-kernel {}: {}; needed is a Linux bzImage (vmlinuz) for x86, or an ELF file that begins in 64-bit "
      "mode or by PVH",
      name, why)};
}

Result<X86Boot> load_bzimage(Bytes file, const X86BootFiles& files, const X86Memory& memory, uint64_t rsdp) {
  const uint16_t version = get<uint16_t>(file, kVersionAt);
  if (version < 0x206 || !(file[kLoadFlagsAt] & kLoadedHigh))
    return not_a_kernel(files.kernel, fmt::format("boot protocol {}.{:02}, a zImage or older than 2.6.22",
                                                  version >> 8, version & 0xff));
  const size_t sectors = file[kSetupSectorsAt] ? file[kSetupSectorsAt] : 4;
  const size_t setup = 512 * (1 + sectors);
  const size_t header_end = kMagicAt + file[kJumpAt];
  if (setup >= file.size() || header_end > setup || header_end > 0x290)
    return not_a_kernel(files.kernel, "is cut short or not right in its header");
  X86Boot boot;
  const bool long_entry = version >= 0x20c && (get<uint16_t>(file, kExtraFlagsAt) & kExtraHas64Bit);
  boot.entry_mode = long_entry ? X86Boot::Entry::Long : X86Boot::Entry::Protected;
  const bool movable = version >= 0x20a && file[kRelocatableAt];
  const uint64_t start =
      version >= 0x20a ? get<uint64_t>(file, kPreferredAt) : get<uint32_t>(file, kCode32At);
  const uint64_t needs = version >= 0x20a ? get<uint32_t>(file, kInitSizeAt) : 4 * file.size();
  uint64_t at = start;
  if (at < kHighMemory || at + needs > memory.low) {
    at = align_up(kHighMemory, std::max<uint64_t>(get<uint32_t>(file, kAlignmentAt), 4096));
    if (!movable || at + needs > memory.low)
      return Error{fmt::format("-kernel {}: needs {} MiB of memory at {:#x}; give more with -m", files.kernel,
                               (needs >> 20) + 1, start)};
  }
  boot.entry = at + (long_entry ? 0x200 : 0);
  Bytes page(4096);
  std::copy(file.begin() + kSetupSectorsAt, file.begin() + static_cast<long>(header_end),
            page.begin() + kSetupSectorsAt);
  put<uint32_t>(page, kCode32At, static_cast<uint32_t>(at));
  const uint64_t limit = uint64_t{get<uint32_t>(file, kInitrdMostAt)} + 1;
  const size_t most = get<uint32_t>(file, kCommandLineSizeAt);
  if (auto done = add_parameters(boot, std::move(page), files, memory, rsdp, limit, most, at + needs); !done)
    return done.error();
  file.erase(file.begin(), file.begin() + static_cast<long>(setup));
  add(boot, at, std::move(file));
  return boot;
}

/// The physical address in a PVH note, if there is one.
std::optional<uint32_t> pvh_entry(const Bytes& file, uint64_t offset, uint64_t size) {
  if (offset > file.size() || size > file.size() - offset) return std::nullopt;
  const uint64_t end = offset + size;
  while (end - offset >= 12) {
    const uint64_t name_size = get<uint32_t>(file, offset), data_size = get<uint32_t>(file, offset + 4);
    const uint32_t type = get<uint32_t>(file, offset + 8);
    const uint64_t name = offset + 12, data = name + align_up(name_size, 4),
                   next = data + align_up(data_size, 4);
    if (next > end) return std::nullopt;
    if (type == kPvhNote && name_size == 4 && std::memcmp(file.data() + name, "Xen", 4) == 0 &&
        data_size >= 4)
      return get<uint32_t>(file, data);
    offset = next;
  }
  return std::nullopt;
}

/// What program headers say, of both classes.
struct ElfPart {
  uint32_t type;
  uint64_t offset, physical, file_size, memory_size;
};

struct ElfFile {
  uint64_t entry = 0;
  bool is64 = false;
  std::vector<ElfPart> parts;
};

template <typename Header, typename Program>
std::optional<ElfFile> parse_elf(const Bytes& file) {
  if (file.size() < sizeof(Header)) return std::nullopt;
  const auto header = get<Header>(file, 0);
  ElfFile elf{header.e_entry, sizeof(Header) == sizeof(Elf64_Ehdr), {}};
  const uint64_t table = uint64_t{header.e_phnum} * sizeof(Program);
  if (header.e_phentsize != sizeof(Program) || header.e_phoff > file.size() ||
      table > file.size() - header.e_phoff)
    return std::nullopt;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    const auto p = get<Program>(file, header.e_phoff + i * sizeof(Program));
    elf.parts.push_back({p.p_type, p.p_offset, p.p_paddr, p.p_filesz, p.p_memsz});
  }
  return elf;
}

void add_pvh_start(X86Boot& boot, const X86Memory& memory, uint64_t rsdp, const Placed& initrd) {
  const std::vector<Range> map = memory_map(memory);
  Bytes page(4096);
  put<uint32_t>(page, 0, kPvhMagic);
  put<uint32_t>(page, 4, 1);
  put<uint32_t>(page, 12, initrd.size ? 1 : 0);
  put<uint64_t>(page, 16, initrd.size ? kModules : 0);
  put<uint64_t>(page, 24, kCommandLine);
  put<uint64_t>(page, 32, rsdp);
  put<uint64_t>(page, 40, kMemoryMap);
  put<uint32_t>(page, 48, static_cast<uint32_t>(map.size()));
  put<uint64_t>(page, kModules - kParameters, initrd.start);
  put<uint64_t>(page, kModules - kParameters + 8, initrd.size);
  for (size_t i = 0; i < map.size(); ++i) {
    const size_t at = kMemoryMap - kParameters + 24 * i;
    put<uint64_t>(page, at, map[i].start);
    put<uint64_t>(page, at + 8, map[i].size);
    put<uint32_t>(page, at + 16, map[i].type);
  }
  boot.parameters = kParameters;
  add(boot, kParameters, std::move(page));
}

Result<X86Boot> load_elf(const Bytes& file, const X86BootFiles& files, const X86Memory& memory,
                         uint64_t rsdp) {
  const auto elf = file[EI_CLASS] == ELFCLASS64 ? parse_elf<Elf64_Ehdr, Elf64_Phdr>(file)
                                                : parse_elf<Elf32_Ehdr, Elf32_Phdr>(file);
  const uint16_t machine = file.size() >= 20 ? get<uint16_t>(file, 18) : 0;
  if (!elf || (machine != EM_X86_64 && machine != EM_386))
    return not_a_kernel(files.kernel, "is an ELF file, but not of an x86 program that is complete");
  X86Boot boot;
  std::optional<uint32_t> pvh;
  uint64_t end = kHighMemory;
  for (const ElfPart& part : elf->parts) {
    if (part.type == PT_NOTE && !pvh) pvh = pvh_entry(file, part.offset, part.file_size);
    if (part.type != PT_LOAD || part.memory_size == 0) continue;
    if (part.offset > file.size() || part.file_size > file.size() - part.offset ||
        part.file_size > part.memory_size)
      return not_a_kernel(files.kernel, "is an ELF file, but cut short");
    if (part.physical < kHighMemory || part.physical > memory.low ||
        part.memory_size > memory.low - part.physical)
      return Error{fmt::format("-kernel {}: needs {} bytes of memory at {:#x}; give more with -m",
                               files.kernel, part.memory_size, part.physical)};
    const auto from = file.begin() + static_cast<long>(part.offset);
    add(boot, part.physical, Bytes(from, from + static_cast<long>(part.file_size)), part.memory_size);
    end = std::max(end, part.physical + part.memory_size);
  }
  if (pvh) {
    boot.pvh = true;
    boot.entry = *pvh;
    const auto initrd = add_initrd(boot, files.initrd, memory, kFourGiB, end);
    if (!initrd) return initrd.error();
    if (auto done = add_command_line(boot, files.append, kMostCommandLine); !done) return done.error();
    add_pvh_start(boot, memory, rsdp, *initrd);
    return boot;
  }
  if (!elf->is64) return not_a_kernel(files.kernel, "is a 32-bit ELF file without a PVH note");
  boot.entry_mode = X86Boot::Entry::Long;
  boot.entry = elf->entry;
  Bytes page(4096);
  put<uint16_t>(page, kBootFlagAt, 0xaa55);
  put<uint32_t>(page, kMagicAt, kHeaderMagic);
  put<uint16_t>(page, kVersionAt, 0x20f);
  if (auto done = add_parameters(boot, std::move(page), files, memory, rsdp, kFourGiB, kMostCommandLine, end);
      !done)
    return done.error();
  return boot;
}

}  // namespace

Result<X86Boot> load_x86_kernel(const X86BootFiles& files, const X86Memory& memory, uint64_t rsdp) {
  auto file = read_file(files.kernel);
  if (!file) return Error{"-kernel " + file.error().message};
  Result<X86Boot> boot = not_a_kernel(files.kernel, "is no kernel");
  if (file->size() >= 64 && std::memcmp(file->data(), ELFMAG, SELFMAG) == 0)
    boot = load_elf(*file, files, memory, rsdp);
  else if (file->size() >= 0x1000 && get<uint32_t>(*file, kMagicAt) == kHeaderMagic)
    boot = load_bzimage(std::move(*file), files, memory, rsdp);
  if (!boot) return boot;
  add_descriptors(*boot);
  if (boot->entry_mode == X86Boot::Entry::Long) add_page_tables(*boot);
  return boot;
}

void enter_x86_kernel(const X86Boot& boot, x86::X86State& state) {
  using namespace x86::segment_attributes;
  const bool is_long = boot.entry_mode == X86Boot::Entry::Long;
  constexpr uint32_t kCommon = kPresent | kNotSystem | kWritable | kAccessed | kGranular;
  constexpr uint64_t kProtected = 1, kExtensionType = 1 << 4, kPaging = uint64_t{1} << 31,
                     kPhysicalExtension = 1 << 5;
  constexpr uint64_t kLongEnabled = 1 << 8, kLongActive = 1 << 10;
  state.cs = {0, 0xffffffff, kCommon | kCode | (is_long ? kLong : kBig), kCodeSelector};
  state.ds = state.es = state.fs = state.gs = state.ss = {0, 0xffffffff, kCommon | kBig, kDataSelector};
  state.tr = {0, 0x67, kPresent | 11u << 8, kTaskSelector};
  state.gdtr = {kGdt, 5 * 8 - 1};
  state.idtr = {0, 0};
  state.cr0 = kProtected | kExtensionType | (is_long ? kPaging : 0);
  state.cr4 = is_long ? kPhysicalExtension : 0;
  state.cr3 = is_long ? kPageTables : 0;
  state.efer = is_long ? kLongEnabled | kLongActive : 0;
  state.gpr[boot.pvh ? x86::kRbx : x86::kRsi] = boot.parameters;
  state.header.pc = boot.entry;
  x86::set_eflags(state, 2);
  x86::update_segment_mode(state);
}

}  // namespace lyrebird::machines
