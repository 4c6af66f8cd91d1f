// SPDX-License-Identifier: Apache-2.0
#include "user/elf/vdso_image.h"

#include <elf.h>

#include <cstring>

#include "base/bits.h"

namespace lyrebird::user {
namespace {

/// The System V ABI's hash of a symbol name.
uint32_t elf_hash(const char* name) {
  uint32_t h = 0;
  for (; *name; ++name) {
    h = (h << 4) + static_cast<uint8_t>(*name);
    const uint32_t g = h & 0xf0000000;
    h = (h ^ (g >> 24)) & ~g;
  }
  return h;
}

struct Writer {
  std::vector<uint8_t> bytes;

  uint64_t at() const { return bytes.size(); }
  void align(uint64_t alignment) { bytes.resize(align_up(bytes.size(), alignment)); }
  template <typename T>
  void put(const T& value) {
    const uint8_t* const from = reinterpret_cast<const uint8_t*>(&value);
    bytes.insert(bytes.end(), from, from + sizeof value);
  }
  template <typename T>
  void put_at(uint64_t offset, const T& value) {
    std::memcpy(bytes.data() + offset, &value, sizeof value);
  }
};

struct Strings {
  std::string text{'\0'};
  uint32_t add(const std::string& one) {
    const uint32_t offset = static_cast<uint32_t>(text.size());
    text += one;
    text += '\0';
    return offset;
  }
};

}  // namespace

VdsoImage make_vdso(uint16_t machine, const std::string& version, uint32_t padding,
                    std::span<const VdsoFunction> functions) {
  constexpr unsigned kHeaders = 2;
  constexpr uint16_t kDefined = 2;  // index of `version`; 1 is the file's own
  Writer out;
  VdsoImage image;
  Strings strings;
  const uint32_t soname = strings.add("linux-vdso.so.1"), version_name = strings.add(version);
  out.bytes.resize(sizeof(Elf64_Ehdr) + kHeaders * sizeof(Elf64_Phdr));

  std::vector<Elf64_Sym> symbols(1);  // index 0 names nothing
  for (const VdsoFunction& function : functions) {
    // Unwinders look at the instruction before a return address.
    out.align(4);
    out.put(padding);
    out.align(16);
    Elf64_Sym symbol{};
    symbol.st_name = strings.add(function.name);
    symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
    symbol.st_shndx = 1;
    symbol.st_value = out.at();
    symbol.st_size = function.code.size() * 4;
    symbols.push_back(symbol);
    image.offsets.push_back(out.at());
    for (const uint32_t word : function.code) out.put(word);
  }

  out.align(8);
  const uint64_t hash = out.at();
  out.put(uint32_t{1});  // one bucket: a chain through all symbols
  out.put(static_cast<uint32_t>(symbols.size()));
  out.put(static_cast<uint32_t>(symbols.size() > 1 ? 1 : 0));
  for (uint32_t i = 0; i < symbols.size(); ++i) out.put(i == 0 || i + 1 == symbols.size() ? 0u : i + 1);
  out.align(8);
  const uint64_t symbol_table = out.at();
  for (const Elf64_Sym& symbol : symbols) out.put(symbol);
  const uint64_t version_table = out.at();
  for (size_t i = 0; i < symbols.size(); ++i) out.put(static_cast<uint16_t>(i ? kDefined : 0));

  out.align(8);
  const uint64_t definitions = out.at();
  const auto define = [&](uint16_t flags, uint16_t index, const char* name, uint32_t text, bool last) {
    Elf64_Verdef definition{};
    definition.vd_version = VER_DEF_CURRENT;
    definition.vd_flags = flags;
    definition.vd_ndx = index;
    definition.vd_cnt = 1;
    definition.vd_hash = elf_hash(name);
    definition.vd_aux = sizeof definition;
    definition.vd_next = last ? 0 : sizeof definition + sizeof(Elf64_Verdaux);
    out.put(definition);
    out.put(Elf64_Verdaux{text, 0});
  };
  define(VER_FLG_BASE, 1, "linux-vdso.so.1", soname, false);
  define(0, kDefined, version.c_str(), version_name, true);

  const uint64_t string_table = out.at();
  out.bytes.insert(out.bytes.end(), strings.text.begin(), strings.text.end());
  out.align(8);
  const uint64_t dynamic = out.at();
  const auto entry = [&](int64_t tag, uint64_t value) {
    Elf64_Dyn dyn{};
    dyn.d_tag = tag;
    dyn.d_un.d_val = value;
    out.put(dyn);
  };
  entry(DT_SONAME, soname);
  entry(DT_HASH, hash);
  entry(DT_STRTAB, string_table);
  entry(DT_SYMTAB, symbol_table);
  entry(DT_STRSZ, strings.text.size());
  entry(DT_SYMENT, sizeof(Elf64_Sym));
  entry(DT_VERSYM, version_table);
  entry(DT_VERDEF, definitions);
  entry(DT_VERDEFNUM, 2);
  entry(DT_NULL, 0);
  const uint64_t dynamic_size = out.at() - dynamic;

  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_DYN;
  header.e_machine = machine;
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof header;
  header.e_ehsize = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = kHeaders;
  out.put_at(0, header);
  Elf64_Phdr load{PT_LOAD, PF_R | PF_X, 0, 0, 0, out.at(), out.at(), 4096};
  Elf64_Phdr table{PT_DYNAMIC, PF_R, dynamic, dynamic, dynamic, dynamic_size, dynamic_size, 8};
  out.put_at(sizeof header, load);
  out.put_at(sizeof header + sizeof load, table);
  image.bytes = std::move(out.bytes);
  return image;
}

}  // namespace lyrebird::user
