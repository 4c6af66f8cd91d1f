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

struct Narrow {
  using Header = Elf32_Ehdr;
  using Segment = Elf32_Phdr;
  using Symbol = Elf32_Sym;
  using Dynamic = Elf32_Dyn;
  static constexpr uint8_t kClass = ELFCLASS32;
};
struct Wide {
  using Header = Elf64_Ehdr;
  using Segment = Elf64_Phdr;
  using Symbol = Elf64_Sym;
  using Dynamic = Elf64_Dyn;
  static constexpr uint8_t kClass = ELFCLASS64;
};

/// Verdef and Verdaux are the same in both classes.
void put_definition(Writer& out, uint16_t flags, uint16_t index, const char* name, uint32_t text, bool last) {
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
}

template <typename Class>
struct Maker {
  template <typename To>
  static To narrow(uint64_t value) {
    return static_cast<To>(value);
  }

  Writer out;
  VdsoImage image;
  Strings strings;
  std::vector<typename Class::Symbol> symbols{1};  // index 0 names nothing

  void put_functions(std::span<const uint8_t> padding, std::span<const VdsoFunction> functions) {
    for (const VdsoFunction& function : functions) {
      // Unwinders look at the instruction before a return address.
      out.align(4);
      out.bytes.insert(out.bytes.end(), padding.begin(), padding.end());
      out.align(16);
      typename Class::Symbol symbol{};
      symbol.st_name = strings.add(function.name);
      symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
      symbol.st_shndx = 1;
      symbol.st_value = narrow<decltype(symbol.st_value)>(out.at());
      symbol.st_size = narrow<decltype(symbol.st_size)>(function.code.size());
      symbols.push_back(symbol);
      image.offsets.push_back(out.at());
      out.bytes.insert(out.bytes.end(), function.code.begin(), function.code.end());
    }
  }

  uint64_t put_hash() {
    out.align(8);
    const uint64_t at = out.at();
    out.put(uint32_t{1});  // one bucket: a chain through all symbols
    out.put(static_cast<uint32_t>(symbols.size()));
    out.put(static_cast<uint32_t>(symbols.size() > 1 ? 1 : 0));
    for (uint32_t i = 0; i < symbols.size(); ++i) out.put(i == 0 || i + 1 == symbols.size() ? 0u : i + 1);
    return at;
  }

  void entry(int64_t tag, uint64_t value) {
    typename Class::Dynamic dyn{};
    dyn.d_tag = narrow<decltype(dyn.d_tag)>(static_cast<uint64_t>(tag));
    dyn.d_un.d_val = narrow<decltype(dyn.d_un.d_val)>(value);
    out.put(dyn);
  }

  typename Class::Segment segment(uint32_t type, uint32_t flags, uint64_t at, uint64_t size, uint32_t align) {
    typename Class::Segment s{};
    using Number = decltype(s.p_offset);
    s.p_type = type;
    s.p_flags = flags;
    s.p_offset = narrow<Number>(at);
    s.p_vaddr = s.p_paddr = narrow<Number>(at);
    s.p_filesz = s.p_memsz = narrow<decltype(s.p_filesz)>(size);
    s.p_align = align;
    return s;
  }

  VdsoImage make(uint16_t machine, const std::string& soname, const std::string& version,
                 std::span<const uint8_t> padding, std::span<const VdsoFunction> functions,
                 size_t entry_index) {
    constexpr unsigned kHeaders = 2;
    constexpr uint16_t kDefined = 2;  // index of `version`; 1 is the file's own
    using Header = typename Class::Header;
    using Segment = typename Class::Segment;
    const uint32_t own_name = strings.add(soname), version_name = strings.add(version);
    out.bytes.resize(sizeof(Header) + kHeaders * sizeof(Segment));
    put_functions(padding, functions);
    const uint64_t hash = put_hash();
    out.align(8);
    const uint64_t symbol_table = out.at();
    for (const auto& symbol : symbols) out.put(symbol);
    const uint64_t version_table = out.at();
    for (size_t i = 0; i < symbols.size(); ++i) out.put(static_cast<uint16_t>(i ? kDefined : 0));
    out.align(8);
    const uint64_t definitions = out.at();
    put_definition(out, VER_FLG_BASE, 1, soname.c_str(), own_name, false);
    put_definition(out, 0, kDefined, version.c_str(), version_name, true);
    const uint64_t string_table = out.at();
    out.bytes.insert(out.bytes.end(), strings.text.begin(), strings.text.end());
    out.align(8);
    const uint64_t dynamic = out.at();
    entry(DT_SONAME, own_name);
    entry(DT_HASH, hash);
    entry(DT_STRTAB, string_table);
    entry(DT_SYMTAB, symbol_table);
    entry(DT_STRSZ, strings.text.size());
    entry(DT_SYMENT, sizeof(typename Class::Symbol));
    entry(DT_VERSYM, version_table);
    entry(DT_VERDEF, definitions);
    entry(DT_VERDEFNUM, 2);
    entry(DT_NULL, 0);

    Header header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = Class::kClass;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_DYN;
    header.e_machine = machine;
    header.e_version = EV_CURRENT;
    if (entry_index < image.offsets.size())
      header.e_entry = narrow<decltype(header.e_entry)>(image.offsets[entry_index]);
    header.e_phoff = sizeof header;
    header.e_ehsize = sizeof header;
    header.e_phentsize = sizeof(Segment);
    header.e_phnum = kHeaders;
    out.put_at(0, header);
    out.put_at(sizeof header, segment(PT_LOAD, PF_R | PF_X, 0, out.at(), 4096));
    out.put_at(sizeof header + sizeof(Segment), segment(PT_DYNAMIC, PF_R, dynamic, out.at() - dynamic, 8));
    image.bytes = std::move(out.bytes);
    return std::move(image);
  }
};

}  // namespace

std::vector<uint8_t> code_of_words(std::span<const uint32_t> words) {
  const uint8_t* const from = reinterpret_cast<const uint8_t*>(words.data());
  return {from, from + words.size_bytes()};
}

VdsoImage make_vdso(uint16_t machine, unsigned word, const std::string& soname, const std::string& version,
                    std::span<const uint8_t> padding, std::span<const VdsoFunction> functions, size_t entry) {
  if (word == 4) return Maker<Narrow>().make(machine, soname, version, padding, functions, entry);
  return Maker<Wide>().make(machine, soname, version, padding, functions, entry);
}

}  // namespace lyrebird::user
