// SPDX-License-Identifier: Apache-2.0
#include "monitor/human/show.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "base/bits.h"
#include "ir/block.h"

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
  size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  if (digits > 0) {
    const auto number = evaluate(text.substr(0, digits));
    if (!number || *number == 0 || *number > 65536) return std::nullopt;
    f.count = *number;
  }
  for (const char c : text.substr(digits)) {
    const size_t size = std::string_view("bhwg").find(c);
    if (size != std::string_view::npos)
      f.size = 1u << size;
    else if (std::string_view("xduoc").find(c) != std::string_view::npos)
      f.format = c;
    else
      return std::nullopt;
  }
  return f;
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

}  // namespace

std::optional<uint64_t> evaluate(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x")) text.remove_prefix(2), base = 16;
  uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
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

std::string show_memory(machines::Machine& machine, size_t cpu, std::string_view arguments, bool physical) {
  Format f;
  if (arguments.starts_with("/")) {
    const size_t space = std::min(arguments.find(' '), arguments.size());
    const auto parsed = parse_format(arguments.substr(1, space - 1));
    if (!parsed) return fmt::format("{}: is no format; as /16xw\n", arguments.substr(0, space));
    f = *parsed;
    arguments.remove_prefix(space);
    while (arguments.starts_with(" ")) arguments.remove_prefix(1);
  }
  const auto start = evaluate(arguments);
  if (!start) return fmt::format("{}: is no address\n", arguments);
  if (const auto read = machine.cpu(cpu).vcpu().read_state(); !read.ok()) return read.error().message + "\n";
  std::string text;
  const unsigned per_line = f.format == 'c' ? 8 : 16 / f.size;
  for (uint64_t i = 0; i < f.count; ++i) {
    const uint64_t address = *start + i * f.size;
    if (i % per_line == 0) text += fmt::format("{}{:016x}:", i ? "\n" : "", address);
    uint64_t pa = address;
    if (!physical) {
      const auto found = machine.debug_translate(cpu, address);
      if (!found) return text + fmt::format(" cannot access memory at {:#x}\n", address);
      pa = *found;
    }
    // Only memory: looking at a device's register may change it.
    uint64_t value = 0;
    if (!machine.memory().read_bytes(pa, &value, f.size))
      return text + fmt::format(" no memory at {:#x}\n", pa);
    text += " " + item(value, f);
  }
  return text + "\n";
}

}  // namespace lyrebird::monitor
