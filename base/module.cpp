// SPDX-License-Identifier: Apache-2.0
#include "base/module.h"

#include <elf.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

extern "C" {
/// The file, in whole pages.
extern uint8_t lyrebird_module[], lyrebird_module_end[];
/// What the program has for it: name and address, each as the distance from where it is written; ends with
/// zeros.
struct LyrebirdModuleSymbol {
  int32_t name, address;
};
extern const LyrebirdModuleSymbol lyrebird_module_symbols[];

/// As the ABI has it for the TLS of shared objects.
struct LyrebirdTlsIndex {
  uint64_t module, offset;
};
void* lyrebird_module_tls(const LyrebirdTlsIndex* index);
}

namespace lyrebird {
namespace {

constexpr uint64_t kPage = 4096;

uint64_t page_of(uint64_t address) { return address & ~(kPage - 1); }
uint64_t pages_to(uint64_t address) { return page_of(address + kPage - 1); }

template <typename T = uint8_t>
T* at(uint64_t address) {
  return reinterpret_cast<T*>(address);
}

struct Tls {
  const uint8_t* image = nullptr;
  uint64_t image_size = 0, size = 0, alignment = 1;
};
Tls tls;  // written once, before any code of the module runs

struct FreeTls {
  void operator()(void* block) const { ::operator delete(block, std::align_val_t(tls.alignment)); }
};
thread_local std::unique_ptr<uint8_t, FreeTls> tls_block;

class Module {
 public:
  Result<void> load();
  void* find(std::string_view name) const;

 private:
  Result<void> map();
  bool set_up(const Elf64_Phdr& segment) const;
  void read_dynamic();
  void relocate_relative() const;
  Result<void> relocate(std::span<const Elf64_Rela> relocations) const;
  Result<uint64_t> value_of(const Elf64_Sym& symbol) const;
  void construct() const;

  uint64_t dynamic(int64_t tag) const {
    const auto found = dynamic_.find(tag);
    return found == dynamic_.end() ? 0 : found->second;
  }
  template <typename T>
  std::span<const T> table(int64_t where, int64_t size) const {
    return {at<const T>(base_ + dynamic(where)), dynamic(size) / sizeof(T)};
  }
  std::string_view name_of(const Elf64_Sym& symbol) const {
    return at<const char>(base_ + dynamic(DT_STRTAB) + symbol.st_name);
  }

  uint64_t base_ = 0;
  std::vector<Elf64_Phdr> headers_;
  std::unordered_map<int64_t, uint64_t> dynamic_;
  std::span<const Elf64_Sym> symbols_;
  std::unordered_map<std::string_view, uint64_t> program_;  ///< what it has for the module
};

/// What the file does not hold of a segment is zero: the rest of its last page, and pages of their own.
bool clear(uint64_t from, uint64_t to, int protection) {
  const uint64_t whole = std::min(pages_to(from), to);
  std::memset(at(from), 0, whole - from);
  return whole == to || mmap(at(whole), pages_to(to) - whole, protection,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
}

bool Module::set_up(const Elf64_Phdr& segment) const {
  const int protection = (segment.p_flags & PF_R ? PROT_READ : 0) |
                         (segment.p_flags & PF_W ? PROT_WRITE : 0) | (segment.p_flags & PF_X ? PROT_EXEC : 0);
  const uint64_t start = base_ + segment.p_vaddr, end = start + segment.p_memsz;
  if (mprotect(at(page_of(start)), pages_to(end) - page_of(start), protection) != 0) return false;
  return segment.p_filesz == segment.p_memsz || clear(start + segment.p_filesz, end, protection);
}

/// Moves the file's pages out of our data to where there is room for its variables.
Result<void> Module::map() {
  const auto* const file = reinterpret_cast<const Elf64_Ehdr*>(lyrebird_module);
  const auto* const first = reinterpret_cast<const Elf64_Phdr*>(lyrebird_module + file->e_phoff);
  headers_.assign(first, first + file->e_phnum);
  const auto file_size = static_cast<uint64_t>(lyrebird_module_end - lyrebird_module);
  uint64_t size = file_size, alignment = kPage;
  for (const Elf64_Phdr& segment : headers_) {
    if (segment.p_type != PT_LOAD) continue;
    if (segment.p_offset != segment.p_vaddr)
      return Error{"the module's segments are not where they should be"};
    size = std::max(size, pages_to(segment.p_vaddr + segment.p_memsz));
    alignment = std::max(alignment, segment.p_align);
  }
  const auto refused = [size] {
    return Error{fmt::format("the program's own module, {} MiB, can't be mapped: {}{}", (size >> 20) + 1,
                             std::strerror(errno), errno == ENOMEM ? "; raise the limit (ulimit -v)" : "")};
  };
  void* const room =
      mmap(nullptr, size + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return refused();
  base_ = (reinterpret_cast<uint64_t>(room) + alignment - 1) & ~(alignment - 1);
  if (mremap(lyrebird_module, file_size, file_size, MREMAP_MAYMOVE | MREMAP_FIXED, at(base_)) == MAP_FAILED)
    return refused();
  for (const Elf64_Phdr& segment : headers_)
    if (segment.p_type == PT_LOAD && !set_up(segment)) return refused();
  return {};
}

void Module::read_dynamic() {
  for (const Elf64_Phdr& header : headers_) {
    if (header.p_type == PT_TLS)
      tls = {at(base_ + header.p_vaddr), header.p_filesz, header.p_memsz, header.p_align};
    if (header.p_type != PT_DYNAMIC) continue;
    for (const auto* entry = at<const Elf64_Dyn>(base_ + header.p_vaddr); entry->d_tag != DT_NULL; ++entry)
      dynamic_[entry->d_tag] = entry->d_un.d_val;
  }
  const auto* const hash = at<const uint32_t>(base_ + dynamic(DT_HASH));
  symbols_ = {at<const Elf64_Sym>(base_ + dynamic(DT_SYMTAB)), hash[1]};  // nchain
  for (const LyrebirdModuleSymbol* one = lyrebird_module_symbols; one->name != 0; ++one)
    program_[reinterpret_cast<const char*>(&one->name) + one->name] =
        reinterpret_cast<uint64_t>(&one->address) + static_cast<uint64_t>(int64_t{one->address});
}

/// DT_RELR: an address, then bitmaps of which of the 63 words behind it are to be moved as well.
void Module::relocate_relative() const {
  uint64_t* where = nullptr;
  for (const uint64_t entry : table<uint64_t>(DT_RELR, DT_RELRSZ)) {
    if ((entry & 1) == 0) {
      where = at<uint64_t>(base_ + entry);
      *where++ += base_;
      continue;
    }
    for (unsigned i = 0; i < 63; ++i)
      if (entry >> (i + 1) & 1) where[i] += base_;
    where += 63;
  }
}

Result<uint64_t> Module::value_of(const Elf64_Sym& symbol) const {
  if (symbol.st_shndx != SHN_UNDEF) return base_ + symbol.st_value;
  const auto found = program_.find(name_of(symbol));
  if (found != program_.end()) return found->second;
  if (ELF64_ST_BIND(symbol.st_info) == STB_WEAK) return uint64_t{0};
  return Error{fmt::format("the program has no {} for its module", name_of(symbol))};
}

Result<void> Module::relocate(std::span<const Elf64_Rela> relocations) const {
  for (const Elf64_Rela& one : relocations) {
    uint64_t& word = *at<uint64_t>(base_ + one.r_offset);
    const Elf64_Sym& symbol = symbols_[ELF64_R_SYM(one.r_info)];
    const auto addend = static_cast<uint64_t>(one.r_addend);
    switch (ELF64_R_TYPE(one.r_info)) {
      case R_X86_64_RELATIVE:
        word = base_ + addend;
        break;
      case R_X86_64_64:
      case R_X86_64_GLOB_DAT:
      case R_X86_64_JUMP_SLOT: {
        const Result<uint64_t> value = value_of(symbol);
        if (!value) return value.error();
        word = *value + addend;
        break;
      }
      case R_X86_64_DTPMOD64:
        word = 1;  // there is no other
        break;
      case R_X86_64_DTPOFF64:
        word = symbol.st_value + addend;
        break;
      default:
        return Error{fmt::format("the module has a relocation of type {}", ELF64_R_TYPE(one.r_info))};
    }
  }
  return {};
}

void Module::construct() const {
  using Function = void (*)();
  if (dynamic(DT_INIT)) reinterpret_cast<Function>(base_ + dynamic(DT_INIT))();
  for (const uint64_t function : table<uint64_t>(DT_INIT_ARRAY, DT_INIT_ARRAYSZ))
    if (function != 0 && function != ~uint64_t{0}) reinterpret_cast<Function>(function)();
}

Result<void> Module::load() {
  if (Result<void> mapped = map(); !mapped) return mapped;
  read_dynamic();
  relocate_relative();
  if (Result<void> done = relocate(table<Elf64_Rela>(DT_RELA, DT_RELASZ)); !done) return done;
  if (Result<void> done = relocate(table<Elf64_Rela>(DT_JMPREL, DT_PLTRELSZ)); !done) return done;
  for (const Elf64_Phdr& header : headers_)
    if (header.p_type == PT_GNU_RELRO)
      mprotect(at(base_ + header.p_vaddr), page_of(header.p_vaddr + header.p_memsz) - header.p_vaddr,
               PROT_READ);
  construct();
  return {};
}

void* Module::find(std::string_view name) const {
  for (const Elf64_Sym& symbol : symbols_)
    if (symbol.st_shndx != SHN_UNDEF && name_of(symbol) == name) return at(base_ + symbol.st_value);
  return nullptr;
}

}  // namespace

Result<void*> module_function(const char* name) {
  static Module module;
  static const Result<void> loaded = module.load();
  if (!loaded) return loaded.error();
  if (void* const found = module.find(name)) return found;
  return Error{fmt::format("the program's own module has no {}", name)};
}

}  // namespace lyrebird

void* lyrebird_module_tls(const LyrebirdTlsIndex* index) {
  using namespace lyrebird;
  if (!tls_block) {
    auto* const block = static_cast<uint8_t*>(::operator new(tls.size, std::align_val_t(tls.alignment)));
    std::memcpy(block, tls.image, tls.image_size);
    std::memset(block + tls.image_size, 0, tls.size - tls.image_size);
    tls_block.reset(block);
  }
  return tls_block.get() + index->offset;
}
