// SPDX-License-Identifier: Apache-2.0
#include "tools/disassemble.h"

#include <capstone/capstone.h>
#if !defined(LYREBIRD_STATIC)
#include <dlfcn.h>
#endif
#include <fmt/format.h>

#include <cstring>
#include <mutex>
#include <string_view>

#include "base/log.h"
#include "base/module.h"
#include "frontend/x86/decode/insn.h"
#include "frontend/x86/x86_mode.h"

namespace lyrebird::tools {

namespace {

/// The static program has it in its module.
#if defined(LYREBIRD_STATIC)
void* find_function(const char* name) {
  const Result<void*> found = module_function(name);
  if (found) return *found;
  static std::once_flag said;
  std::call_once(said, [&] { log_always("lyrebird: no disassembly: " + found.error().message + "\n"); });
  return nullptr;
}
#else
void* find_function(const char* name) {
  static void* const library = dlopen("libcapstone.so.4", RTLD_NOW | RTLD_LOCAL);
  return library ? dlsym(library, name) : nullptr;
}
#endif

/// The library's functions, and a handle for an architecture.
struct Capstone {
  decltype(&cs_disasm) disassemble = nullptr;
  decltype(&cs_free) free = nullptr;
  csh handle = 0;

  Capstone(cs_arch architecture, cs_mode mode) {
    const auto open = reinterpret_cast<decltype(&cs_open)>(find_function("cs_open"));
    const auto disasm = reinterpret_cast<decltype(&cs_disasm)>(find_function("cs_disasm"));
    free = reinterpret_cast<decltype(&cs_free)>(find_function("cs_free"));
    if (open && disasm && free && open(architecture, mode, &handle) == CS_ERR_OK) disassemble = disasm;
  }

  /// One instruction: appends it and gives its size, or 0.
  size_t one(uint64_t pc, const uint8_t* code, size_t size, std::string_view bytes, std::string& out) const {
    cs_insn* insn = nullptr;
    if (!disassemble || disassemble(handle, code, size, pc, 1, &insn) != 1) return 0;
    out += fmt::format("  {:#x}:  {}{} {}\n", pc, bytes, insn->mnemonic, insn->op_str);
    const size_t length = insn->size;
    free(insn, 1);
    return length;
  }
};

std::mutex mutex;  // a handle serves one thread at a time

#if defined(__x86_64__)
constexpr cs_arch kHost = CS_ARCH_X86;
constexpr cs_mode kHostMode = CS_MODE_64;
#else
constexpr cs_arch kHost = CS_ARCH_ARM64;
constexpr cs_mode kHostMode = CS_MODE_LITTLE_ENDIAN;
#endif

}  // namespace

void disassemble_a64(uint64_t pc, uint32_t, const uint8_t* code, size_t size, std::string& out) {
  const std::lock_guard lock(mutex);
  static const Capstone capstone(CS_ARCH_ARM64, CS_MODE_LITTLE_ENDIAN);
  for (size_t at = 0; at + 4 <= size; at += 4) {
    uint32_t word;
    std::memcpy(&word, code + at, 4);
    if (capstone.one(pc + at, code + at, 4, fmt::format("{:08x}  ", word), out) == 0)
      out += fmt::format("  {:#x}:  {:08x}  .inst {:#010x}\n", pc + at, word, word);
  }
}

namespace {
void any_length(const Capstone& capstone, uint64_t pc, const uint8_t* code, size_t size, std::string& out) {
  for (size_t at = 0; at < size;) {
    const size_t length = capstone.one(pc + at, code + at, size - at, "", out);
    if (length == 0) out += fmt::format("  {:#x}:  .byte {:#04x}\n", pc + at, code[at]);
    at += length ? length : 1;
  }
}
}  // namespace

void disassemble_x86(uint64_t pc, uint32_t mode, const uint8_t* code, size_t size, std::string& out) {
  const std::lock_guard lock(mutex);
  static const Capstone k16(CS_ARCH_X86, CS_MODE_16), k32(CS_ARCH_X86, CS_MODE_32),
      k64(CS_ARCH_X86, CS_MODE_64);
  switch (static_cast<x86::Mode>(mode & x86::kModeCodeSizeMask)) {
    case x86::Mode::k16:
      return any_length(k16, pc, code, size, out);
    case x86::Mode::k32:
      return any_length(k32, pc, code, size, out);
    case x86::Mode::k64:
      return any_length(k64, pc, code, size, out);
  }
}

void disassemble_host(uint64_t pc, uint32_t, const uint8_t* code, size_t size, std::string& out) {
  const std::lock_guard lock(mutex);
  static const Capstone capstone(kHost, kHostMode);
  any_length(capstone, pc, code, size, out);
}

}  // namespace lyrebird::tools
