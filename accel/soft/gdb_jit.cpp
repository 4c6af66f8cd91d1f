// SPDX-License-Identifier: Apache-2.0
#include "accel/soft/gdb_jit.h"

#include <elf.h>

#include <cstring>
#include <vector>

// Names, types and layouts are gdb's.
extern "C" {
enum JitAction : uint32_t { kJitNothing = 0, kJitRegister = 1, kJitUnregister = 2 };
struct JitEntry {
  JitEntry* next;
  JitEntry* previous;
  const char* symbol_file;
  uint64_t symbol_file_size;
};
struct JitDescriptor {
  uint32_t version;
  uint32_t action;
  JitEntry* relevant;
  JitEntry* first;
};
/// gdb has a breakpoint here.
[[gnu::noinline, gnu::used]] void __jit_debug_register_code() { __asm__ volatile("" ::: "memory"); }
[[gnu::used]] JitDescriptor __jit_debug_descriptor = {1, kJitNothing, nullptr, nullptr};
}

namespace lyrebird::accel::gdb {

namespace {

struct Entry : JitEntry {
  std::vector<char> file;
};

constexpr char kSectionNames[] = "\0.text\0.symtab\0.strtab\0.shstrtab";
constexpr uint32_t kText = 1, kSymtab = 7, kStrtab = 15, kShstrtab = 23;

/// An object file with one section of code that is elsewhere, and one symbol.
std::vector<char> object_file(const std::string& name, const uint8_t* code, size_t size) {
  struct Image {
    Elf64_Ehdr header;
    Elf64_Shdr sections[5];
    Elf64_Sym symbols[2];
    char section_names[sizeof kSectionNames];
  } image = {};
  const size_t names_size = name.size() + 2;

  Elf64_Ehdr& h = image.header;
  std::memcpy(h.e_ident, ELFMAG, SELFMAG);
  h.e_ident[EI_CLASS] = ELFCLASS64;
  h.e_ident[EI_DATA] = ELFDATA2LSB;
  h.e_ident[EI_VERSION] = EV_CURRENT;
  h.e_type = ET_REL;
#if defined(__x86_64__)
  h.e_machine = EM_X86_64;
#else
  h.e_machine = EM_AARCH64;
#endif
  h.e_version = EV_CURRENT;
  h.e_shoff = offsetof(Image, sections);
  h.e_ehsize = sizeof(Elf64_Ehdr);
  h.e_shentsize = sizeof(Elf64_Shdr);
  h.e_shnum = 5;
  h.e_shstrndx = 4;

  image.sections[1] = {.sh_name = kText,
                       .sh_type = SHT_NOBITS,
                       .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
                       .sh_addr = reinterpret_cast<uint64_t>(code),
                       .sh_size = size,
                       .sh_addralign = 1};
  image.sections[2] = {.sh_name = kSymtab,
                       .sh_type = SHT_SYMTAB,
                       .sh_offset = offsetof(Image, symbols),
                       .sh_size = sizeof image.symbols,
                       .sh_link = 3,
                       .sh_info = 1,
                       .sh_addralign = 8,
                       .sh_entsize = sizeof(Elf64_Sym)};
  image.sections[3] = {.sh_name = kStrtab,
                       .sh_type = SHT_STRTAB,
                       .sh_offset = sizeof image,
                       .sh_size = names_size,
                       .sh_addralign = 1};
  image.sections[4] = {.sh_name = kShstrtab,
                       .sh_type = SHT_STRTAB,
                       .sh_offset = offsetof(Image, section_names),
                       .sh_size = sizeof kSectionNames,
                       .sh_addralign = 1};
  image.symbols[1] = {.st_name = 1,
                      .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                      .st_shndx = 1,
                      .st_value = 0,
                      .st_size = size};
  std::memcpy(image.section_names, kSectionNames, sizeof kSectionNames);

  std::vector<char> file(sizeof image + names_size);
  std::memcpy(file.data(), &image, sizeof image);
  std::memcpy(file.data() + sizeof image + 1, name.data(), name.size());
  return file;
}

void tell(JitAction action, JitEntry* entry) {
  __jit_debug_descriptor.action = action;
  __jit_debug_descriptor.relevant = entry;
  __jit_debug_register_code();
  __jit_debug_descriptor.action = kJitNothing;
}

}  // namespace

void* register_code(const std::string& name, const uint8_t* code, size_t size) {
  auto* const entry = new Entry();
  entry->file = object_file(name, code, size);
  entry->symbol_file = entry->file.data();
  entry->symbol_file_size = entry->file.size();
  entry->next = __jit_debug_descriptor.first;
  if (entry->next) entry->next->previous = entry;
  __jit_debug_descriptor.first = entry;
  tell(kJitRegister, entry);
  return entry;
}

void unregister_code(void* registered) {
  auto* const entry = static_cast<Entry*>(registered);
  (entry->previous ? entry->previous->next : __jit_debug_descriptor.first) = entry->next;
  if (entry->next) entry->next->previous = entry->previous;
  tell(kJitUnregister, entry);
  delete entry;
}

}  // namespace lyrebird::accel::gdb
