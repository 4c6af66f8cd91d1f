// SPDX-License-Identifier: Apache-2.0
#include "tools/disassemble.h"

#include <capstone/capstone.h>
#if !defined(LYREBIRD_STATIC)
#include <dlfcn.h>
#endif
#include <fmt/format.h>

#include <cstring>
#include <mutex>

namespace lyrebird::tools {

namespace {

/// The library's functions, and a handle for A64.
struct Capstone {
  decltype(&cs_disasm) disassemble = nullptr;
  decltype(&cs_free) free = nullptr;
  csh handle = 0;

  Capstone() {
#if defined(LYREBIRD_STATIC)
    const auto open = cs_open;
    const auto disasm = cs_disasm;
    free = cs_free;
#else
    void* const library = dlopen("libcapstone.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    const auto open = reinterpret_cast<decltype(&cs_open)>(dlsym(library, "cs_open"));
    const auto disasm = reinterpret_cast<decltype(&cs_disasm)>(dlsym(library, "cs_disasm"));
    free = reinterpret_cast<decltype(&cs_free)>(dlsym(library, "cs_free"));
#endif
    if (open && disasm && free && open(CS_ARCH_ARM64, CS_MODE_LITTLE_ENDIAN, &handle) == CS_ERR_OK)
      disassemble = disasm;
  }
};

}  // namespace

void disassemble_a64(uint64_t pc, uint32_t, const uint8_t* code, size_t size, std::string& out) {
  static std::mutex mutex;  // a handle serves one thread at a time
  const std::lock_guard lock(mutex);
  static const Capstone capstone;
  for (size_t at = 0; at + 4 <= size; at += 4) {
    uint32_t word;
    std::memcpy(&word, code + at, 4);
    cs_insn* insn = nullptr;
    const size_t count =
        capstone.disassemble ? capstone.disassemble(capstone.handle, code + at, 4, pc + at, 1, &insn) : 0;
    if (count == 1) {
      out += fmt::format("  {:#x}:  {:08x}  {} {}\n", pc + at, word, insn->mnemonic, insn->op_str);
      capstone.free(insn, count);
    } else {
      out += fmt::format("  {:#x}:  {:08x}  .inst {:#010x}\n", pc + at, word, word);
    }
  }
}

}  // namespace lyrebird::tools
