// SPDX-License-Identifier: Apache-2.0
#include "user/syscalls/args.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cstring>

#include "base/bits.h"

namespace lyrebird::user {

void print_signed(std::string& out, int64_t value) { out += std::to_string(value); }
void print_hex(std::string& out, uint64_t value) { out += fmt::format("{:#x}", value); }
void print_octal(std::string& out, uint64_t value) { out += fmt::format("{:#o}", value); }

void print_quoted(std::string& out, const std::string& text, size_t max) {
  out += '"';
  for (size_t i = 0; i < text.size() && i < max; ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (c == '"' || c == '\\')
      (out += '\\') += static_cast<char>(c);
    else if (c < 32 || c >= 127)
      out += fmt::format("\\x{:02x}", c);
    else
      out += static_cast<char>(c);
  }
  out += text.size() > max ? "\"..." : "\"";
}

namespace {
uint64_t word_of(Thread& t, uint64_t raw) {
  return t.abi().model.word == 8 ? raw : static_cast<uint32_t>(raw);
}
}  // namespace

Long Long::from(Thread& t, uint64_t raw) {
  return {t.abi().model.word == 8 ? static_cast<int64_t>(raw) : static_cast<int32_t>(raw)};
}
Size Size::from(Thread& t, uint64_t raw) { return {word_of(t, raw)}; }
Hex Hex::from(Thread& t, uint64_t raw) { return {word_of(t, raw)}; }

void Fd::print(Thread&, std::string& out) const {
  if (value == AT_FDCWD)
    out += "AT_FDCWD";
  else
    print_signed(out, value);
}

OpenFlags OpenFlags::from(Thread& t, uint64_t raw) {
  return {static_cast<int>(flags_to_host(t.abi().open_flags, static_cast<uint32_t>(raw)))};
}
void OpenFlags::print(Thread&, std::string& out) const {
  static constexpr struct {
    int bit;
    const char* name;
  } kNames[] = {{O_CREAT, "O_CREAT"},       {O_EXCL, "O_EXCL"},       {O_NOCTTY, "O_NOCTTY"},
                {O_TRUNC, "O_TRUNC"},       {O_APPEND, "O_APPEND"},   {O_NONBLOCK, "O_NONBLOCK"},
                {O_DSYNC, "O_DSYNC"},       {O_DIRECT, "O_DIRECT"},   {O_DIRECTORY, "O_DIRECTORY"},
                {O_NOFOLLOW, "O_NOFOLLOW"}, {O_NOATIME, "O_NOATIME"}, {O_CLOEXEC, "O_CLOEXEC"},
                {O_PATH, "O_PATH"}};
  static constexpr const char* kAccess[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "3"};
  out += kAccess[value & O_ACCMODE];
  int rest = value & ~O_ACCMODE;
  for (const auto& [bit, name] : kNames) {
    if (!(rest & bit)) continue;
    (out += '|') += name;
    rest &= ~bit;
  }
  if (rest) out += fmt::format("|{:#x}", rest);
}

void Signal::print(Thread&, std::string& out) const {
  const char* const name = value > 0 && value < 32 ? ::sigabbrev_np(value) : nullptr;
  if (name)
    (out += "SIG") += name;
  else
    print_signed(out, value);
}

uint64_t untag(Thread& t, uint64_t address) {
  if (t.abi().model.word == 4) return static_cast<uint32_t>(address);
  // As the arm64 kernel's untagged_addr: sign-extended from bit 55.
  return t.abi().ignores_top_byte ? address & static_cast<uint64_t>(sign_extend(address, 56)) : address;
}

Addr Addr::from(Thread& t, uint64_t raw) { return {untag(t, raw)}; }
void Addr::print(Thread&, std::string& out) const {
  if (value)
    print_hex(out, value);
  else
    out += "NULL";
}

Path Path::from(Thread& t, uint64_t raw) {
  Path path;
  path.addr = untag(t, raw);
  path.error = t.memory().read_string(path.addr, path.text);
  return path;
}
void Path::print(Thread&, std::string& out) const {
  if (error)
    print_hex(out, addr);
  else
    print_quoted(out, text, 256);
}

unsigned struct_size(Thread& t, const StructDesc& common) {
  return guest_size(t.abi().model, t.abi().desc(common));
}

bool get_struct(Thread& t, uint64_t addr, const StructDesc& common, void* host) {
  const StructDesc& desc = t.abi().desc(common);
  if (t.abi().model.like_host() && desc.same_order) return t.memory().read(addr, host, desc.host_size);
  char buffer[1024];
  const unsigned size = guest_size(t.abi().model, desc);
  if (size > sizeof buffer || !t.memory().read(addr, buffer, size)) return false;
  struct_to_host(t.abi().model, desc, buffer, host);
  return true;
}

bool put_struct(Thread& t, uint64_t addr, const StructDesc& common, const void* host) {
  const StructDesc& desc = t.abi().desc(common);
  if (t.abi().model.like_host() && desc.same_order) return t.memory().write(addr, host, desc.host_size);
  char buffer[1024];
  const unsigned size = struct_to_guest(t.abi().model, desc, host, buffer, sizeof buffer);
  return size != 0 && t.memory().write(addr, buffer, size);
}

unsigned word_size(Thread& t) { return t.abi().model.word; }

bool get_u16(Thread& t, uint64_t addr, uint16_t& value) {
  if (!t.memory().get(addr, value)) return false;
  if (t.abi().model.big_endian) value = __builtin_bswap16(value);
  return true;
}
bool put_u16(Thread& t, uint64_t addr, uint16_t value) {
  return t.memory().put(addr, t.abi().model.big_endian ? __builtin_bswap16(value) : value);
}
bool get_u32(Thread& t, uint64_t addr, uint32_t& value) {
  if (!t.memory().get(addr, value)) return false;
  if (t.abi().model.big_endian) value = __builtin_bswap32(value);
  return true;
}
bool put_u32(Thread& t, uint64_t addr, uint32_t value) {
  return t.memory().put(addr, t.abi().model.big_endian ? __builtin_bswap32(value) : value);
}
bool get_u64(Thread& t, uint64_t addr, uint64_t& value) {
  if (!t.memory().get(addr, value)) return false;
  if (t.abi().model.big_endian) value = __builtin_bswap64(value);
  return true;
}
bool put_u64(Thread& t, uint64_t addr, uint64_t value) {
  return t.memory().put(addr, t.abi().model.big_endian ? __builtin_bswap64(value) : value);
}
bool get_word(Thread& t, uint64_t addr, uint64_t& value) {
  if (word_size(t) == 8) return get_u64(t, addr, value);
  uint32_t half = 0;
  if (!get_u32(t, addr, half)) return false;
  value = half;
  return true;
}
bool put_word(Thread& t, uint64_t addr, uint64_t value) {
  return word_size(t) == 8 ? put_u64(t, addr, value) : put_u32(t, addr, static_cast<uint32_t>(value));
}

}  // namespace lyrebird::user
