// SPDX-License-Identifier: Apache-2.0
#include "monitor/human/monitor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/report.h"
#include "base/words.h"
#include "machines/saved_state.h"
#include "monitor/human/show.h"

namespace lyrebird::monitor {

namespace {

struct Command {
  std::string_view name, arguments, help;
  std::string (*run)(HumanMonitor&, std::string_view arguments);
};

std::string show_help(HumanMonitor&, std::string_view);

std::pair<std::string_view, std::string_view> split(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  const size_t space = std::min(text.find(' '), text.size());
  std::string_view rest = text.substr(space);
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  return {text.substr(0, space), rest};
}

/// The machine stands while `f` looks at it.
template <typename F>
std::string while_paused(machines::Machine& machine, F f) {
  const bool was_running = machine.running();
  machine.pause();
  std::string text = f();
  if (was_running) machine.resume();
  return text;
}

std::string info_registers(HumanMonitor& m, std::string_view arguments) {
  return while_paused(m.machine(), [&] {
    std::string text;
    for (size_t cpu = 0; cpu < m.machine().cpu_count(); ++cpu)
      if (arguments == "-a" || cpu == m.current_cpu)
        text += fmt::format("CPU#{}\n{}", cpu, show_registers(m.machine(), cpu));
    return text;
  });
}

std::string info_cpus(HumanMonitor& m, std::string_view) {
  return while_paused(m.machine(), [&] {
    std::string text;
    for (size_t cpu = 0; cpu < m.machine().cpu_count(); ++cpu)
      text += fmt::format("{} CPU #{}: pc={:#018x} thread_id={}{}\n", cpu == m.current_cpu ? '*' : ' ', cpu,
                          m.machine().cpu(cpu).vcpu().state().pc, m.machine().cpu(cpu).host_thread(),
                          m.machine().cpu(cpu).powered() ? "" : " (off)");
    return text;
  });
}

std::string info_status(HumanMonitor& m, std::string_view) {
  return m.machine().running() ? "VM status: running\n" : "VM status: paused\n";
}

std::string info_tlb(HumanMonitor& m, std::string_view) {
  return while_paused(m.machine(), [&] {
    const std::string text = m.machine().cpu(m.current_cpu).vcpu().list_tlb();
    return text.empty() ? std::string("the hardware keeps its translations to itself\n") : text;
  });
}

std::string info_jit(HumanMonitor& m, std::string_view) {
  Report report;
  m.machine().accelerator().report(report);
  return report.table();
}

std::string info_mtree(HumanMonitor& m, std::string_view arguments) {
  return arguments == "-f" ? show_flat_view(m.machine().memory()) : show_memory_tree(m.machine().memory());
}

std::string info_migrate(HumanMonitor& m, std::string_view) {
  return m.migration.empty() ? "no migration so far\n" : m.migration;
}

/// "file:PATH" or, as the peer's users write it, "file:PATH" in quotes; -d changes nothing: it is soon done.
Result<std::string> file_of(std::string_view arguments) {
  auto [first, rest] = split(arguments);
  if (first == "-d")
    first = rest;
  else
    first = arguments;
  if (first.size() >= 2 && first.front() == '"' && first.back() == '"')
    first = first.substr(1, first.size() - 2);
  if (!first.starts_with("file:") || first.size() == 5)
    return Error{fmt::format("{}: where to is file:PATH", first.empty() ? "nothing" : first)};
  return std::string(first.substr(5));
}

std::string migrate(HumanMonitor& m, std::string_view arguments) {
  const auto path = file_of(arguments);
  if (!path) return path.error().message + "\n";
  const bool was_running = m.machine().running();
  m.machine().pause();
  if (auto saved = machines::save_machine(m.machine(), was_running, *path); !saved) {
    m.migration = fmt::format("Migration status: failed\n{}\n", saved.error().message);
    if (was_running) m.machine().resume();
    return saved.error().message + "\n";
  }
  m.migration = fmt::format("Migration status: completed\n{}\n", *path);
  return "";
}

std::string save_vm(HumanMonitor& m, std::string_view file) {
  if (file.empty()) return "savevm: wants the name of a file\n";
  return while_paused(m.machine(), [&]() -> std::string {
    const auto saved = machines::save_machine(m.machine(), true, std::string(file));
    return saved ? "" : saved.error().message + "\n";
  });
}

std::string load_vm(HumanMonitor& m, std::string_view file) {
  if (file.empty()) return "loadvm: wants the name of a file\n";
  const bool was_running = m.machine().running();
  m.machine().pause();
  const auto loaded = machines::load_machine(m.machine(), std::string(file));
  if (!loaded) return loaded.error().message + "\n";
  if (was_running) m.machine().resume();
  return "";
}

std::string info_qtree(HumanMonitor& m, std::string_view) {
  std::string text;
  for (const machines::BoardDevice& device : m.machine().devices())
    text += fmt::format("{:<16} {}\n", device.name, device.text);
  return text;
}

constexpr Command kInfo[] = {
    {"cpus", "", "the CPUs and where they are", info_cpus},
    {"jit", "", "figures of the translator", info_jit},
    {"migrate", "", "how the last migration ended", info_migrate},
    {"mtree", "[-f]", "memory as a tree; -f: as it is seen", info_mtree},
    {"qtree", "", "the board's devices", info_qtree},
    {"registers", "[-a]", "registers of the current CPU; -a: of all", info_registers},
    {"status", "", "whether the machine runs", info_status},
    {"tlb", "", "translations of addresses that the current CPU knows", info_tlb},
};

std::string list(std::span<const Command> commands, std::string_view prefix) {
  std::string text;
  for (const Command& c : commands)
    text += fmt::format("{:<28} {}\n",
                        fmt::format("{}{}{}{}", prefix, c.name, c.arguments.empty() ? "" : " ", c.arguments),
                        c.help);
  return text;
}

std::vector<std::string_view> info_names(const HumanMonitor& m) {
  std::vector<std::string_view> names;
  for (const Command& c : kInfo) names.push_back(c.name);
  for (const auto& one : m.more_info()) names.push_back(one.name);
  return names;
}

std::string info(HumanMonitor& m, std::string_view arguments) {
  const auto [name, rest] = split(arguments);
  if (name.empty()) {
    std::string text = list(kInfo, "info ");
    for (const auto& one : m.more_info()) text += fmt::format("{:<28} {}\n", "info " + one.name, one.help);
    return text;
  }
  for (const auto& one : m.more_info())
    if (one.name == name) return one.show();
  for (const Command& c : kInfo)
    if (c.name == name) return c.run(m, rest);
  return fmt::format("info {}: no such thing{}; info lists them\n", name, did_you_mean(name, info_names(m)));
}

std::string examine(HumanMonitor& m, std::string_view arguments, bool physical) {
  return while_paused(m.machine(), [&] {
    return show_memory(m.machine(), m.current_cpu, arguments, physical, m.disassembler());
  });
}

std::string print_value(HumanMonitor& m, std::string_view arguments) {
  return while_paused(m.machine(), [&] { return show_value(m.machine(), m.current_cpu, arguments); });
}

std::string translate(HumanMonitor& m, std::string_view address) {
  return while_paused(m.machine(), [&] { return show_translation(m.machine(), m.current_cpu, address); });
}

constexpr Command kCommands[] = {
    {"cont", "", "let the machine run",
     [](HumanMonitor& m, std::string_view) { return m.machine().resume(), std::string(); }},
    {"c", "", "the same",
     [](HumanMonitor& m, std::string_view) { return m.machine().resume(), std::string(); }},
    {"cpu", "N", "make it the current CPU",
     [](HumanMonitor& m, std::string_view arguments) -> std::string {
       size_t number = 0;
       const auto [end, code] =
           std::from_chars(arguments.data(), arguments.data() + arguments.size(), number);
       if (code != std::errc() || end != arguments.data() + arguments.size() ||
           number >= m.machine().cpu_count())
         return fmt::format("cpu {}: no such CPU; info cpus lists them\n", arguments);
       m.current_cpu = number;
       return "";
     }},
    {"gva2gpa", "ADDRESS", "where the current CPU finds a virtual address", translate},
    {"help", "", "print this", show_help},
    {"info", "[WHAT]", "show something; without an argument: what there is", info},
    {"loadvm", "FILE", "everything as it was when savevm or migrate wrote the file; disks stay as they are",
     load_vm},
    {"migrate", "[-d] file:PATH", "pause the machine and write all of it to a file, for -incoming file:PATH",
     migrate},
    {"print", "[/F] EXPRESSION", "a value: $NAME is a register of the current CPU", print_value},
    {"p", "[/F] EXPRESSION", "the same", print_value},
    {"quit", "", "end the emulator",
     [](HumanMonitor& m, std::string_view) { return m.quit(), std::string(); }},
    {"q", "", "the same", [](HumanMonitor& m, std::string_view) { return m.quit(), std::string(); }},
    {"savevm", "FILE", "write the whole machine to a file; it goes on", save_vm},
    {"stop", "", "pause the machine",
     [](HumanMonitor& m, std::string_view) { return m.machine().pause(), std::string(); }},
    {"system_powerdown", "", "press the power button",
     [](HumanMonitor& m, std::string_view) { return m.machine().power_button(), std::string(); }},
    {"system_reset", "", "reset the machine",
     [](HumanMonitor& m, std::string_view) { return m.machine().reset(), std::string(); }},
    {"x", "[/NFS] ADDRESS",
     "memory at a virtual address: N items of format F (x, d, u, o, c, i: instructions) and size S (b, h, w, "
     "g)",
     [](HumanMonitor& m, std::string_view arguments) { return examine(m, arguments, false); }},
    {"xp", "[/NFS] ADDRESS", "the same at a physical address",
     [](HumanMonitor& m, std::string_view arguments) { return examine(m, arguments, true); }},
};

std::vector<std::string_view> command_names(const HumanMonitor& m) {
  std::vector<std::string_view> names;
  for (const Command& c : kCommands) names.push_back(c.name);
  for (const auto& one : m.more_commands()) names.push_back(one.name);
  return names;
}

std::string show_help(HumanMonitor& m, std::string_view) {
  std::string text = list(kCommands, "");
  for (const auto& c : m.more_commands())
    text += fmt::format("{:<28} {}\n", fmt::format("{} {}", c.name, c.arguments), c.help);
  return text;
}

}  // namespace

HumanMonitor::HumanMonitor(machines::Machine& machine, system::CharBackend& backend,
                           std::function<void()> on_quit)
    : machine_(machine),
      backend_(backend),
      on_quit_(std::move(on_quit)),
      editor_("(lyrebird) ", [this](std::string_view line) { return complete(line); }) {
  backend_.set_receiver(this);
}

HumanMonitor::~HumanMonitor() { backend_.set_receiver(nullptr); }

std::string HumanMonitor::execute(std::string_view line) {
  auto [name, arguments] = split(line);
  if (name.empty()) return "";
  std::string joined;
  if (const size_t slash = name.find('/'); slash != std::string_view::npos) {  // x/4wx 0x...
    joined = fmt::format("{} {}", name.substr(slash), arguments);
    arguments = joined;
    name = name.substr(0, slash);
  }
  for (const Command& c : kCommands)
    if (c.name == name) return c.run(*this, arguments);
  for (const MoreCommand& c : more_commands_)
    if (c.name == name) return c.run(arguments);
  return fmt::format("{}: no such command{}; help lists them\n", name,
                     did_you_mean(name, command_names(*this)));
}

std::vector<std::string> HumanMonitor::complete(std::string_view line) const {
  const bool of_info = line.starts_with("info ");
  std::vector<std::string> all;
  for (const std::string_view name : of_info ? info_names(*this) : command_names(*this))
    if (std::string one = of_info ? fmt::format("info {}", name) : std::string(name); one.starts_with(line))
      all.push_back(std::move(one));
  return all;
}

void HumanMonitor::print(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') out.push_back('\r');
    out.push_back(c);
  }
  backend_.write({reinterpret_cast<const uint8_t*>(out.data()), out.size()});
}

void HumanMonitor::connected(bool there) {
  if (!there) return;
  if (!greeted_) print("\nLyrebird " LYREBIRD_VERSION " monitor - type 'help' for more information");
  greeted_ = true;
  print("\n" + editor_.prompt());
}

void HumanMonitor::receive(std::span<const uint8_t> bytes) {
  for (const uint8_t byte : bytes) {
    std::string echo;
    const std::optional<std::string> line = editor_.key(byte, echo);
    backend_.write({reinterpret_cast<const uint8_t*>(echo.data()), echo.size()});
    if (!line) continue;
    print(execute(*line));
    print(editor_.prompt());
  }
}

}  // namespace lyrebird::monitor
