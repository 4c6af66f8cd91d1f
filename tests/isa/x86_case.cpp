// SPDX-License-Identifier: Apache-2.0
#include "tests/isa/x86_case.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>
#include <sstream>
#include <vector>

namespace lyrebird::isa {
namespace {

using x86diff::Case;
using x86diff::kData;
using x86diff::kPage;
using x86diff::kStart;
using x86diff::Machine;

constexpr const char* kGprNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                     "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr std::pair<unsigned, char> kFlags[] = {{0, 'C'}, {2, 'P'},  {4, 'A'},  {6, 'Z'},
                                                {7, 'S'}, {10, 'D'}, {11, 'O'}, {18, 'a'}};
constexpr std::pair<const char*, int> kSignals[] = {
    {"segv", SIGSEGV}, {"fpe", SIGFPE}, {"ill", SIGILL}, {"bus", SIGBUS}};

std::optional<uint64_t> parse_hex(const std::string& s) {
  if (s.empty() || s.size() > 16 || s.find_first_not_of("0123456789abcdef") != std::string::npos)
    return std::nullopt;
  return std::stoull(s, nullptr, 16);
}

/// A number, or mem, mem+offset, code, code+offset.
std::optional<uint64_t> parse_number(const std::string& s) {
  constexpr std::pair<const char*, uint64_t> kSymbols[] = {{"mem", kData}, {"code", kStart}};
  for (const auto& [name, base] : kSymbols) {
    const size_t size = std::strlen(name);
    if (s.compare(0, size, name) != 0) continue;
    if (s.size() == size) return base;
    const auto offset = parse_hex(s.substr(size + 1));
    if (!offset || (s[size] != '+' && s[size] != '-')) return std::nullopt;
    return s[size] == '+' ? base + *offset : base - *offset;
  }
  return parse_hex(s);
}

/// Digits to bytes, lowest address first or, for numbers, last.
bool parse_bytes(std::string s, uint8_t* to, size_t size, bool number) {
  if (number) s.insert(0, s.size() < 2 * size ? 2 * size - s.size() : 0, '0');
  if (s.size() % 2 != 0 || s.size() > 2 * size) return false;
  for (size_t i = 0; i < s.size() / 2; ++i) {
    const auto byte = parse_hex(s.substr(2 * i, 2));
    if (!byte) return false;
    to[number ? size - 1 - i : i] = static_cast<uint8_t>(*byte);
  }
  return true;
}

std::string digits(const uint8_t* from, size_t size, bool number) {
  std::string s;
  char byte[3];
  for (size_t i = 0; i < size; ++i) {
    std::snprintf(byte, sizeof byte, "%02x", from[number ? size - 1 - i : i]);
    s += byte;
  }
  if (number) s.erase(0, std::min(s.find_first_not_of('0'), s.size() - 1));
  return s;
}

std::string number_text(uint64_t value) {
  char text[24];
  if (value - kData < kPage)
    std::snprintf(text, sizeof text, "mem+%llx", static_cast<unsigned long long>(value - kData));
  else
    std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(value));
  return text;
}

bool parse_flags(const std::string& letters, uint64_t& flags) {
  for (const auto& [bit, letter] : kFlags) flags &= ~(uint64_t{1} << bit);
  if (letters == "-") return true;
  for (const char c : letters) {
    const auto* const found =
        std::find_if(std::begin(kFlags), std::end(kFlags), [&](auto f) { return f.second == c; });
    if (found == std::end(kFlags)) return false;
    flags |= uint64_t{1} << found->first;
  }
  return true;
}

std::string flags_text(uint64_t flags) {
  std::string s;
  for (const auto& [bit, letter] : kFlags)
    if (flags >> bit & 1) s += letter;
  return s.empty() ? "-" : s;
}

std::optional<unsigned> numbered(const std::string& name, const char* prefix, unsigned limit) {
  const size_t size = std::strlen(prefix);
  if (name.compare(0, size, prefix) != 0 || name.size() == size || name.size() > size + 2)
    return std::nullopt;
  const std::string number = name.substr(size);
  if (number.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  const auto n = static_cast<unsigned>(std::stoul(number));
  return n < limit ? std::optional(n) : std::nullopt;
}

bool set_field(const std::string& name, const std::string& value, Machine& m) {
  if (name == "flags") return parse_flags(value, m.eflags);
  if (name == "mem") return parse_bytes(value, m.memory, kPage, false);
  if (name.compare(0, 4, "mem+") == 0) {
    const auto offset = parse_hex(name.substr(4));
    return offset && *offset < kPage && parse_bytes(value, m.memory + *offset, kPage - *offset, false);
  }
  if (const auto n = numbered(name, "ymm", 16)) {
    uint8_t whole[32];
    if (!parse_bytes(value, whole, sizeof whole, true)) return false;
    std::memcpy(m.legacy.xmm[*n], whole, 16);
    std::memcpy(m.ymm_high[*n], whole + 16, 16);
    return true;
  }
  if (const auto n = numbered(name, "st", 8)) return parse_bytes(value, m.legacy.st[*n], 10, true);
  const auto number = parse_number(value);
  if (!number) return false;
  for (unsigned i = 0; i < 16; ++i)
    if (name == kGprNames[i]) {
      m.gpr[i] = *number;
      return true;
    }
  if (name == "mxcsr")
    m.legacy.mxcsr = static_cast<uint32_t>(*number);
  else if (name == "fcw")
    m.legacy.control = static_cast<uint16_t>(*number);
  else if (name == "fsw")
    m.legacy.status = static_cast<uint16_t>(*number);
  else if (name == "ftw")
    m.legacy.tags = static_cast<uint8_t>(*number);
  else if (name == "fs.base")
    m.fs_base = *number;
  else if (name == "gs.base")
    m.gs_base = *number;
  else
    return false;
  return true;
}

/// `?`: what is not compared.
bool set_any(const std::string& name, X86Case& c) {
  if (name.compare(0, 4, "mem+") == 0) {
    const auto offset = parse_hex(name.substr(4));
    if (!offset || *offset >= kPage) return false;
    c.any_byte.insert(static_cast<unsigned>(*offset));
    return true;
  }
  c.any.insert(name);
  return name == "flags" || name == "mem" || name == "c1";
}

const char* parse_fields(const std::string& text, X86Case& c, bool out) {
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0) return "a field is not name=value";
    const std::string name = word.substr(0, equals);
    std::string value = word.substr(equals + 1);
    if (name == "mode") continue;
    if (const auto n = numbered(name, "st", 8); out && n && value.ends_with('~')) {
      c.near.insert(*n);
      value.pop_back();
    }
    if (out && value == "?") {
      if (!set_any(name, c)) return "this field can't be ?";
    } else if (out && name == "pc") {
      const auto pc = parse_number(value[0] == '+' || value[0] == '-' ? "code" + value : value);
      if (!pc) return "pc= wants +offset, -offset or an address";
      c.run.out.rip = *pc;
    } else if (out && name == "signal") {
      const auto* const found =
          std::find_if(std::begin(kSignals), std::end(kSignals), [&](auto s) { return value == s.first; });
      if (found == std::end(kSignals)) return "no such signal";
      c.run.ending.signal = found->second;
    } else if (out && name == "fault") {
      const auto address = parse_number(value);
      if (!address) return "fault= wants an address";
      c.run.ending.has_address = true;
      c.run.ending.address = *address;
    } else if (!set_field(name, value, out ? c.run.out : c.run.in)) {
      return "no such field, or its value does not fit";
    }
  }
  return nullptr;
}

/// The fields in which `m` differs from `base`.
std::string differences(const Machine& base, const Machine& m) {
  std::string text;
  const auto say = [&](const std::string& name, const std::string& value) {
    text += " " + name + "=" + value;
  };
  for (unsigned i = 0; i < 16; ++i)
    if (m.gpr[i] != base.gpr[i]) say(kGprNames[i], number_text(m.gpr[i]));
  constexpr uint64_t kCompared = 0x40cd5;
  if ((m.eflags ^ base.eflags) & kCompared) say("flags", flags_text(m.eflags));
  if (m.fs_base != base.fs_base) say("fs.base", number_text(m.fs_base));
  if (m.gs_base != base.gs_base) say("gs.base", number_text(m.gs_base));
  for (unsigned i = 0; i < 16; ++i) {
    uint8_t whole[32], before[32];
    std::memcpy(whole, m.legacy.xmm[i], 16);
    std::memcpy(whole + 16, m.ymm_high[i], 16);
    std::memcpy(before, base.legacy.xmm[i], 16);
    std::memcpy(before + 16, base.ymm_high[i], 16);
    if (std::memcmp(whole, before, 32) != 0) say("ymm" + std::to_string(i), digits(whole, 32, true));
  }
  if (m.legacy.mxcsr != base.legacy.mxcsr) say("mxcsr", number_text(m.legacy.mxcsr));
  if (m.legacy.control != base.legacy.control) say("fcw", number_text(m.legacy.control));
  if (m.legacy.status != base.legacy.status) say("fsw", number_text(m.legacy.status));
  if (m.legacy.tags != base.legacy.tags) say("ftw", number_text(m.legacy.tags));
  for (unsigned i = 0; i < 8; ++i)
    if (std::memcmp(m.legacy.st[i], base.legacy.st[i], 10) != 0)
      say("st" + std::to_string(i), digits(m.legacy.st[i], 10, true));
  for (unsigned at = 0; at < kPage;) {
    if (m.memory[at] == base.memory[at]) {
      ++at;
      continue;
    }
    // Up to a gap of eight bytes that are the same.
    unsigned end = at, same = 0;
    for (unsigned i = at; i < kPage && same < 8; ++i) {
      same = m.memory[i] == base.memory[i] ? same + 1 : 0;
      if (same == 0) end = i + 1;
    }
    char name[16];
    std::snprintf(name, sizeof name, "mem+%x", at);
    say(name, digits(m.memory + at, end - at, false));
    at = end;
  }
  return text;
}

}  // namespace

Machine default_machine(x86::Mode mode) {
  Machine m;
  std::memset(&m, 0, sizeof m);
  for (unsigned i = 0; i < 16; ++i) m.gpr[i] = 0x1111111111111111u * i;
  if (mode != x86::Mode::k64)
    for (unsigned i = 0; i < 16; ++i) m.gpr[i] = i < 8 ? static_cast<uint32_t>(m.gpr[i]) : 0;
  m.gpr[4] = kData + 0x800;
  m.rip = kStart;
  m.eflags = 0x202;
  m.fs_base = x86diff::kFsBase;
  m.gs_base = x86diff::kGsBase;
  m.legacy.control = 0x37f;
  m.legacy.mxcsr = 0x1f80;
  return m;
}

const char* parse_x86_case(const std::string& line, X86Case& c) {
  const size_t colon = line.find(" : ");
  const size_t first = colon == std::string::npos ? colon : line.find('|', colon);
  const size_t second = first == std::string::npos ? first : line.find('|', first + 1);
  if (second == std::string::npos) return "wants: bytes : text | in | out";
  std::string code = line.substr(0, colon);
  code.erase(std::remove(code.begin(), code.end(), ' '), code.end());
  std::memset(&c.run, 0, sizeof c.run);
  if (code.empty() || !parse_bytes(code, c.run.code, sizeof c.run.code, false))
    return "the bytes are no code";
  c.run.length = static_cast<uint32_t>(code.size() / 2);
  c.text = line.substr(colon + 3, first - colon - 3);
  const std::string in = line.substr(first + 1, second - first - 1);
  c.run.mode = in.find("mode=32") != std::string::npos ? x86::Mode::k32 : x86::Mode::k64;
  c.run.in = default_machine(c.run.mode);
  if (const char* error = parse_fields(in, c, false)) return error;
  c.run.out = c.run.in;
  c.run.out.rip = kStart + c.run.length;
  c.run.ending = {SIGTRAP, false, 0};
  if (const char* error = parse_fields(line.substr(second + 1), c, true)) return error;
  if (c.run.ending.signal != SIGTRAP && c.run.out.rip == kStart + c.run.length) c.run.out.rip = kStart;
  return nullptr;
}

std::string print_x86_case(const Case& c, const std::string& text) {
  std::string line = digits(c.code, c.length, false) + " : " + text + " |";
  if (c.mode == x86::Mode::k32) line += " mode=32";
  line += differences(default_machine(c.mode), c.in) + " |" + differences(c.in, c.out);
  if (c.ending.signal != SIGTRAP) {
    for (const auto& [name, signal] : kSignals)
      if (signal == c.ending.signal) line += std::string(" signal=") + name;
    if (c.ending.has_address) line += " fault=" + number_text(c.ending.address);
  }
  const uint64_t rip = c.out.rip - (c.ending.signal == SIGTRAP ? 1 : 0);
  const uint64_t expected = c.ending.signal == SIGTRAP ? kStart + c.length : kStart;
  if (rip != expected) {
    const bool near = rip - (kStart - kPage / 2) < kPage;
    char pc[32];
    const bool back = rip < kStart;
    const auto distance = static_cast<unsigned long long>(back ? kStart - rip : rip - kStart);
    if (near)
      std::snprintf(pc, sizeof pc, " pc=%c%llx", back ? '-' : '+', distance);
    else
      std::snprintf(pc, sizeof pc, " pc=%llx", static_cast<unsigned long long>(rip));
    line += pc;
  }
  return line;
}

}  // namespace lyrebird::isa
