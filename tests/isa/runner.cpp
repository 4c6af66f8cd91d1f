// SPDX-License-Identifier: Apache-2.0
// Runs case files on every executor: isa_runner [--coverage] FILE[:LINE]...
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "frontend/arm/a64/decode.h"
#include "frontend/arm/a64_mode.h"
#include "tests/isa/case.h"
#include "tests/isa/guest.h"

namespace lyrebird::isa {
namespace {

using arm::A64State;

/// The guest as a case sees it.
struct View {
  A64State state;
  std::vector<uint8_t> memory;
};

std::optional<uint64_t> parse_hex(std::string_view s) {
  if (s.empty() || s.size() > 16) return std::nullopt;
  uint64_t v = 0;
  for (const char c : s) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return std::nullopt;
    v = v << 4 | static_cast<uint64_t>(digit);
  }
  return v;
}

/// A number, or mem, rom, code with an offset.
std::optional<uint64_t> parse_number(std::string_view s) {
  constexpr std::pair<std::string_view, uint64_t> kSymbols[] = {
      {"mem", kData}, {"rom", kRom}, {"code", kCode}};
  for (const auto& [name, address] : kSymbols) {
    if (!s.starts_with(name)) continue;
    if (s.size() == name.size()) return address;
    const auto offset = parse_hex(s.substr(name.size() + 1));
    if (s[name.size()] != '+' || !offset) return std::nullopt;
    return address + *offset;
  }
  return parse_hex(s);
}

bool parse_vector(std::string_view s, unsigned bytes, uint8_t* to) {
  if (s.size() > 2 * bytes) return false;
  const std::string digits = std::string(32 - s.size(), '0') + std::string(s);
  const auto high = parse_hex(std::string_view(digits).substr(0, 16));
  const auto low = parse_hex(std::string_view(digits).substr(16));
  if (!high || !low) return false;
  std::memcpy(to, &*low, 8);
  std::memcpy(to + 8, &*high, 8);
  return true;
}

bool parse_bytes(std::string_view s, uint64_t offset, std::vector<uint8_t>& memory) {
  if (s.size() % 2 != 0 || offset + s.size() / 2 > memory.size()) return false;
  for (size_t i = 0; i < s.size(); i += 2) {
    const auto byte = parse_hex(s.substr(i, 2));
    if (!byte) return false;
    memory[offset + i / 2] = static_cast<uint8_t>(*byte);
  }
  return true;
}

const ir::StateField* layout_field(std::string_view name) {
  for (const ir::StateField& field : arm::a64_layout().fields)
    if (field.name == name) return &field;
  return nullptr;
}

/// The number in x12, d3, ..; nullopt if the name is not of that form.
std::optional<unsigned> register_number(std::string_view name, unsigned limit) {
  if (name.size() < 2 || name.size() > 3) return std::nullopt;
  unsigned n = 0;
  for (const char c : name.substr(1)) {
    if (c < '0' || c > '9') return std::nullopt;
    n = 10 * n + static_cast<unsigned>(c - '0');
  }
  return n < limit ? std::optional(n) : std::nullopt;
}

bool set_nzcv(std::string_view letters, A64State& state) {
  uint32_t flags = 0;
  for (const char c : letters == "-" ? std::string_view() : letters) {
    const size_t bit = std::string_view("VCZN").find(c);
    if (bit == std::string_view::npos) return false;
    flags |= 1u << bit;
  }
  arm::set_nzcv(state, flags << 28);
  return true;
}

bool set_vector(const Field& field, A64State& state) {
  constexpr std::pair<char, unsigned> kSizes[] = {{'v', 16}, {'q', 16}, {'d', 8},
                                                  {'s', 4},  {'h', 2},  {'b', 1}};
  for (const auto& [letter, bytes] : kSizes)
    if (field.name[0] == letter)
      if (const auto n = register_number(field.name, 32))
        return parse_vector(field.value, bytes, state.v[*n]);
  return false;
}

/// Puts a field into the view; false if it is none or its value does not fit.
bool set_field(const Field& field, View& view) {
  const std::string& name = field.name;
  if (name == "nzcv") return set_nzcv(field.value, view.state);
  if (name == "mem") return parse_bytes(field.value, 0, view.memory);
  if (name.starts_with("mem+")) {
    const auto offset = parse_hex(std::string_view(name).substr(4));
    return offset && parse_bytes(field.value, *offset, view.memory);
  }
  if (name != "v" && set_vector(field, view.state)) return true;
  const auto value = parse_number(field.value);
  if (!value) return false;
  if (name[0] == 'w' && register_number(name, 31)) {
    view.state.x[*register_number(name, 31)] = *value;
    return *value >> 32 == 0;
  }
  if (name == "fpcr") {
    arm::set_fpcr(view.state, static_cast<uint32_t>(*value));
    return true;
  }
  if (name == "fpsr") {
    arm::set_fpsr(view.state, static_cast<uint32_t>(*value));
    return true;
  }
  const ir::StateField* const target = layout_field(name);
  if (!target || ir::byte_size(target->type) > 8) return false;
  std::memcpy(reinterpret_cast<uint8_t*>(&view.state) + target->offset, &*value, ir::byte_size(target->type));
  return true;
}

void set_defaults(View& view) {
  view.memory.assign(kPage, 0);
  for (unsigned i = 0; i < 31; ++i) view.state.x[i] = uint64_t{i} << 56 | 0xa5a5a5a5a5a500 | i;
  for (unsigned i = 0; i < 32; ++i)
    for (unsigned k = 0; k < 16; ++k) view.state.v[i][k] = static_cast<uint8_t>(0xc3 ^ (8 * i + k));
  view.state.sp = kData + 0x800;
}

/// The layout fields that the case's outcome is compared in.
bool is_compared(const ir::StateField& field) { return field.offset >= sizeof(ir::CpuHeader); }

std::string field_text(const A64State& state, const ir::StateField& field) {
  std::string text;
  for (unsigned i = ir::byte_size(field.type); i-- > 0;) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", reinterpret_cast<const uint8_t*>(&state)[field.offset + i]);
    text += digits;
  }
  return text;
}

class Run {
 public:
  Run(const Case& c, const Executor& executor, DataMemory& memory)
      : case_(c), executor_(executor), memory_(memory) {}

  bool good() {
    View view;
    set_defaults(view);
    std::string cpu_name = "max";
    bool guarded = false;
    for (const Field& field : case_.in) {
      if (field.name == "cpu")
        cpu_name = field.value;
      else if (field.name == "guarded")
        guarded = field.value == "1";
      else if (!set_field(field, view))
        return fail("%s=%s: no such field, or its value does not fit", field.name.c_str(),
                    field.value.c_str());
    }
    if (guarded) view.state.header.mode |= arm::kModeBti;
    const arm::CpuModel* const cpu = arm::find_cpu_model(cpu_name);
    if (!cpu) return fail("cpu=%s: no such processor", cpu_name.c_str());

    Guest guest(executor_, *cpu, memory_);
    const uint64_t base = guest.state.header.memory_base;
    std::memcpy(static_cast<void*>(&guest.state), static_cast<const void*>(&view.state), sizeof view.state);
    guest.state.header.memory_base = base;
    std::memcpy(memory_.data(), view.memory.data(), kPage);
    const accel::Exit exit = guest.run(case_.words, guarded);
    return compare(guest.state, exit, view);
  }

 private:
  bool compare(const A64State& got, accel::Exit exit, View& expected) {
    std::set<std::string> any;
    std::string raises;
    std::optional<uint64_t> pc, fault;
    for (const Field& field : case_.out) {
      if (field.value == "?")
        any.insert(field.name);
      else if (field.name == "raises")
        raises = field.value;
      else if (field.name == "pc")
        pc = parse_pc(field.value);
      else if (field.name == "fault")
        fault = parse_number(field.value);
      else if (!set_field(field, expected))
        return fail("%s=%s: no such field, or its value does not fit", field.name.c_str(),
                    field.value.c_str());
    }
    const std::string how(exit.kind == ir::ExitKind::None ? "" : ir::name(exit.kind));
    bool same = true;
    if (how != raises) same = fail("raises: expected '%s', got '%s'", raises.c_str(), how.c_str());
    if (!pc && raises.empty()) pc = kCode + 4 * case_.words.size();
    if (pc && !any.contains("pc") && got.header.pc != *pc)
      same = fail("pc: expected +%" PRIx64 ", got +%" PRIx64, *pc - kCode, got.header.pc - kCode);
    if (fault && got.header.fault_address != *fault)
      same = fail("fault: expected %" PRIx64 ", got %" PRIx64, *fault, got.header.fault_address);
    if (!any.contains("fpsr") && arm::fpsr(got) != arm::fpsr(expected.state))
      same = fail("fpsr: expected %x, got %x", arm::fpsr(expected.state), arm::fpsr(got));
    if (!any.contains("nzcv") && arm::nzcv(got) != arm::nzcv(expected.state))
      same = fail("nzcv: expected %x, got %x", arm::nzcv(expected.state) >> 28, arm::nzcv(got) >> 28);
    return compare_state(got, expected, any) && compare_memory(expected, any) && same;
  }

  bool compare_state(const A64State& got, const View& expected, const std::set<std::string>& any) {
    bool same = true;
    for (const ir::StateField& field : arm::a64_layout().fields) {
      const std::string name(field.name);
      if (!is_compared(field) || any.contains(name)) continue;
      if (name == "qc" || name == "status") continue;  // are in fpsr and nzcv
      const std::string want = field_text(expected.state, field), have = field_text(got, field);
      if (want != have) same = fail("%s: expected %s, got %s", name.c_str(), want.c_str(), have.c_str());
    }
    return same;
  }

  bool compare_memory(const View& expected, const std::set<std::string>& any) {
    if (any.contains("mem")) return true;
    for (unsigned i = 0; i < kPage; ++i)
      if (memory_.data()[i] != expected.memory[i])
        return fail("mem+%x: expected %02x, got %02x", i, expected.memory[i], memory_.data()[i]);
    return true;
  }

  static std::optional<uint64_t> parse_pc(const std::string& text) {
    const auto offset = parse_hex(std::string_view(text).substr(1));
    if (text[0] == '+' && offset) return kCode + *offset;
    if (text[0] == '-' && offset) return kCode - *offset;
    return parse_number(text);
  }

  template <typename... Args>
  [[gnu::format(printf, 2, 0)]] bool fail(const char* format, Args... args) {
    std::fprintf(stderr, "%s: %s [%.*s]\n    ", case_.where().c_str(), case_.text.c_str(),
                 static_cast<int>(executor_.name.size()), executor_.name.data());
    std::fprintf(stderr, format, args...);
    std::fprintf(stderr, "\n");
    return false;
  }

  const Case& case_;
  const Executor& executor_;
  DataMemory& memory_;
};

int run_all(const std::vector<Case>& cases) {
  DataMemory memory;
  unsigned failed = 0;
  for (const Case& c : cases) {
    bool good = true;
    for (const Executor& executor : kExecutors) good = Run(c, executor, memory).good() && good;
    failed += !good;
  }
  std::printf("%zu cases, %u failed\n", cases.size(), failed);
  return failed != 0;
}

int coverage(const std::vector<Case>& cases) {
  std::set<const arm::a64::Row*> reached;
  for (const Case& c : cases)
    for (const uint32_t word : c.words) reached.insert(arm::a64::find_row(word));
  unsigned missing = 0;
  for (const arm::a64::Row* row : arm::a64::all_rows()) {
    if (reached.contains(row)) continue;
    std::printf("%.*s  %.*s  (%.*s)\n", static_cast<int>(row->pattern.size()), row->pattern.data(),
                static_cast<int>(row->handler.size()), row->handler.data(),
                static_cast<int>(row->text.size()), row->text.data());
    ++missing;
  }
  std::printf("%zu decode rows, %u without a case\n", arm::a64::all_rows().size(), missing);
  return missing != 0;
}

}  // namespace
}  // namespace lyrebird::isa

int main(int argc, char** argv) {
  using namespace lyrebird::isa;
  std::vector<Case> cases;
  bool want_coverage = false, good = true;
  for (int i = 1; i < argc; ++i) {
    std::string file = argv[i];
    if (file == "--coverage") {
      want_coverage = true;
      continue;
    }
    unsigned line = 0;
    if (const size_t colon = file.rfind(':'); colon != std::string::npos) {
      line = static_cast<unsigned>(std::atoi(file.c_str() + colon + 1));
      file.resize(colon);
    }
    good = read_cases(file, line, cases) && good;
  }
  const int result = want_coverage ? coverage(cases) : run_all(cases);
  return good ? result : 1;
}
