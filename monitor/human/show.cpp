// SPDX-License-Identifier: Apache-2.0
#include "monitor/human/show.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <vector>

#include "base/bits.h"
#include "ir/block.h"
#include "monitor/human/expression.h"

namespace lyrebird::monitor {

namespace {

std::string kind_of(const system::MemoryRegion& region) {
  switch (region.kind()) {
    case system::MemoryRegion::Kind::Ram:
      return "ram";
    case system::MemoryRegion::Kind::Rom:
      return "rom";
    case system::MemoryRegion::Kind::RomDevice:
      return "romd";
    case system::MemoryRegion::Kind::Alias:
      return fmt::format("alias of {} at {:#x}",
                         region.alias_target() ? region.alias_target()->name() : "nothing",
                         region.alias_offset());
    case system::MemoryRegion::Kind::Container:
      return "container";
    default:
      return "i/o";
  }
}

void show_region(const system::MemoryRegion& region, uint64_t address, int priority, unsigned depth,
                 std::string& out) {
  out += fmt::format("{:{}}{:016x}-{:016x} (prio {}, {}): {}{}\n", "", 2 * depth, address,
                     address + region.size() - 1, priority, kind_of(region), region.name(),
                     region.enabled() ? "" : " [disabled]");
  for (const auto& child : region.children())
    show_region(*child.region, address + child.offset, child.priority, depth + 1, out);
}

/// Items of one line of x.
struct Format {
  uint64_t count = 1;
  char format = 'x';
  unsigned size = 4;
};

std::optional<Format> parse_format(std::string_view text) {
  Format f;
  const char* const end = text.data() + text.size();
  const auto [rest, code] = std::from_chars(text.data(), end, f.count);
  if (code == std::errc::result_out_of_range || f.count == 0 || f.count > 65536) return std::nullopt;
  for (const char c : std::string_view(rest, end)) {
    const size_t size = std::string_view("bhwg").find(c);
    if (size != std::string_view::npos)
      f.size = 1u << size;
    else if (std::string_view("xduoci").find(c) != std::string_view::npos)
      f.format = c;
    else
      return std::nullopt;
  }
  return f;
}

/// The format in front of an expression is taken off it.
Result<Format> take_format(std::string_view& arguments) {
  if (!arguments.starts_with("/")) return Format{};
  const size_t space = std::min(arguments.find(' '), arguments.size());
  const auto parsed = parse_format(arguments.substr(1, space - 1));
  if (!parsed) return Error{fmt::format("{}: is no format; as /16xw", arguments.substr(0, space))};
  arguments.remove_prefix(space);
  while (arguments.starts_with(" ")) arguments.remove_prefix(1);
  return *parsed;
}

std::string item(uint64_t value, const Format& f) {
  switch (f.format) {
    case 'd':
      return fmt::format("{}", sign_extend(value, 8 * f.size));
    case 'u':
      return fmt::format("{}", value);
    case 'o':
      return fmt::format("{:#o}", value);
    case 'c':
      return value >= 32 && value < 127 ? fmt::format("'{}'", static_cast<char>(value))
                                        : fmt::format("'\\x{:02x}'", value);
    default:
      return fmt::format("0x{:0{}x}", value, 2 * f.size);
  }
}

std::optional<uint64_t> find_register(machines::Machine& machine, const ir::CpuHeader& state,
                                      std::string_view name) {
  if (name == "pc") return state.pc;
  for (const ir::StateField& field : machine.layout().fields) {
    const unsigned size = ir::byte_size(field.type);
    if (field.name != name || size == 0 || size > sizeof(uint64_t)) continue;
    uint64_t value = 0;
    std::memcpy(&value, reinterpret_cast<const uint8_t*>(&state) + field.offset, size);
    return value;
  }
  return std::nullopt;
}

/// Memory as a debugger reads it, a page's part at a time, as far as there is some.
class MemoryView {
 public:
  MemoryView(machines::Machine& machine, size_t cpu, bool physical)
      : machine_(machine), cpu_(cpu), physical_(physical) {}

  /// Why not, or nothing.
  std::optional<std::string> read(uint64_t address, void* to, size_t size) const {
    constexpr uint64_t kPage = 4096;  // the smallest of any guest
    for (auto* out = static_cast<uint8_t*>(to); size > 0;) {
      const size_t part = std::min<size_t>(size, kPage - address % kPage);
      uint64_t pa = address;
      if (!physical_) {
        const auto found = machine_.debug_translate(cpu_, address);
        if (!found) return fmt::format("cannot access memory at {:#x}", address);
        pa = *found;
      }
      // Only memory: looking at a device's register may change it.
      if (!machine_.memory().read_bytes(pa, out, part)) return fmt::format("no memory at {:#x}", pa);
      address += part, out += part, size -= part;
    }
    return std::nullopt;
  }

 private:
  machines::Machine& machine_;
  const size_t cpu_;
  const bool physical_;
};

std::string show_code(const MemoryView& memory, uint64_t start, uint64_t count, uint32_t mode,
                      accel::Disassembler disassemble) {
  constexpr size_t kLongest = 15;  // of an instruction of any guest
  if (!disassemble) return "format i: there is no disassembler for this machine\n";
  std::vector<uint8_t> code;
  std::optional<std::string> why;
  while (code.size() < count * kLongest && !why) {
    code.push_back(0);
    if ((why = memory.read(start + code.size() - 1, &code.back(), 1))) code.pop_back();
  }
  std::string lines, text;
  disassemble(start, mode, code.data(), code.size(), lines);
  size_t from = 0;
  for (; count > 0 && from < lines.size(); --count) {
    const size_t end = lines.find('\n', from) + 1;
    text += lines.substr(from, end - from);
    from = end;
  }
  return count > 0 && why ? text + *why + "\n" : text;
}

}  // namespace

Result<uint64_t> evaluate(machines::Machine& machine, size_t cpu, std::string_view text) {
  accel::Vcpu& vcpu = machine.cpu(cpu).vcpu();
  if (const auto read = vcpu.read_state(); !read.ok()) return read.error();
  return evaluate(text, [&](std::string_view name) { return find_register(machine, vcpu.state(), name); });
}

std::string show_registers(machines::Machine& machine, size_t cpu) {
  accel::Vcpu& vcpu = machine.cpu(cpu).vcpu();
  if (const Result<void> read = vcpu.read_state(); !read.ok()) return read.error().message + "\n";
  const auto* const state = reinterpret_cast<const uint8_t*>(&vcpu.state());
  std::string text, line = fmt::format("{:>16}={:016x}", "pc", vcpu.state().pc);
  for (const ir::StateField& field : machine.layout().fields) {
    const unsigned size = ir::byte_size(field.type);
    if (field.name == "pc" || size == 0) continue;
    std::string value;
    for (unsigned i = size; i-- > 0;) value += fmt::format("{:02x}", state[field.offset + i]);
    const std::string one = fmt::format("{:>16}={}", field.name, value);
    if (line.size() + one.size() > 110) text += line + "\n", line.clear();
    line += one;
  }
  return text + line + "\n";
}

std::string show_memory_tree(const system::AddressSpace& space) {
  std::string text = fmt::format("address-space: {}\n", space.name());
  show_region(space.root(), 0, 0, 1, text);
  return text;
}

std::string show_flat_view(const system::AddressSpace& space) {
  std::string text = fmt::format("flat view of {}\n", space.name());
  for (const system::FlatRange& range : space.ranges())
    text += fmt::format("  {:016x}-{:016x} ({}): {}{}\n", range.start, range.end() - 1,
                        kind_of(*range.region), range.region->name(),
                        range.region_offset ? fmt::format(" @{:#x}", range.region_offset) : std::string());
  return text;
}

std::string show_memory(machines::Machine& machine, size_t cpu, std::string_view arguments, bool physical,
                        accel::Disassembler disassemble) {
  const auto format = take_format(arguments);
  if (!format.ok()) return format.error().message + "\n";
  const Format& f = *format;
  const auto start = evaluate(machine, cpu, arguments);
  if (!start.ok()) return start.error().message + "\n";
  const MemoryView memory(machine, cpu, physical);
  if (f.format == 'i')
    return show_code(memory, *start, f.count, machine.cpu(cpu).vcpu().state().mode, disassemble);
  std::string text;
  const unsigned per_line = f.format == 'c' ? 8 : 16 / f.size;
  for (uint64_t i = 0; i < f.count; ++i) {
    const uint64_t address = *start + i * f.size;
    if (i % per_line == 0) text += fmt::format("{}{:016x}:", i ? "\n" : "", address);
    uint64_t value = 0;
    if (const auto why = memory.read(address, &value, f.size)) return fmt::format("{} {}\n", text, *why);
    text += " " + item(value, f);
  }
  return text + "\n";
}

std::string show_value(machines::Machine& machine, size_t cpu, std::string_view arguments) {
  auto format = take_format(arguments);
  if (!format.ok()) return format.error().message + "\n";
  format->size = 8;
  const auto value = evaluate(machine, cpu, arguments);
  if (!value.ok()) return value.error().message + "\n";
  return (format->format == 'x' ? fmt::format("{:#x}", *value) : item(*value, *format)) + "\n";
}

std::string show_translation(machines::Machine& machine, size_t cpu, std::string_view address) {
  const auto from = evaluate(machine, cpu, address);
  if (!from.ok()) return from.error().message + "\n";
  const auto to = machine.debug_translate(cpu, *from);
  return to ? fmt::format("gpa: {:#x}\n", *to) : fmt::format("{:#x}: not mapped\n", *from);
}

}  // namespace lyrebird::monitor
