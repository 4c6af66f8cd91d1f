// SPDX-License-Identifier: Apache-2.0
#include "tools/machine/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>

#include "base/log_topics.h"
#include "frontend/arm/cpu_model.h"
#include "frontend/x86/cpu_model.h"
#include "tools/machine/attach.h"
#include "tools/machine/property_reader.h"

namespace lyrebird::tools {

namespace {

using Setter = Result<void> (*)(MachineSettings&, const std::string& value);

/// Which guests' machines have an option.
enum For : unsigned { kArm = 1, kX86 = 2, kAll = kArm | kX86 };
unsigned bit_of(const std::string& guest) { return guest == "x86_64" ? kX86 : kArm; }

struct Row {
  std::string_view names;  ///< without dashes, separated by |
  std::string_view value;  ///< what it takes; empty: nothing
  std::string_view help;
  Setter set;
  unsigned guests = kAll;
};

template <typename T>
Result<void> assign(T& to, Result<T> value) {
  if (!value.ok()) return value.error();
  to = std::move(*value);
  return {};
}

/// As users know it: one after the other, separated by colons.
void add_accelerators(MachineSettings& s, const std::string& list) {
  for (size_t at = 0; at <= list.size();) {
    const size_t colon = std::min(list.find(':', at), list.size());
    s.accelerators.push_back(list.substr(at, colon - at));
    at = colon + 1;
  }
}

Result<void> set_x86_machine(MachineSettings& s, const std::string& text) {
  static constexpr std::string_view kKnown[] = {
      "type", "accel", "acpi", "pit", "kernel-irqchip", "rtc", "ioeventfd", "mem-merge", "memory-backend"};
  for (const auto& [name, value] : parse_properties(text, "type")) {
    const std::string what = "-M " + name;
    Result<void> result;
    if (name == "type") {
      if (value == "help") {
        std::puts("microvm   a small machine for kernels that know virtio: no firmware, no PCI");
        return s.done = true, Result<void>();
      }
      if (value != "microvm")
        return Error{fmt::format("-M {}: no such machine{}; -M help lists them", value,
                                 did_you_mean(value, {"microvm"}))};
      s.machine = value;
    } else if (name == "accel") {
      add_accelerators(s, value);
    } else if (name == "memory-backend") {
      s.memory_backend = value;
    } else if (name == "acpi") {
      result = assign(s.microvm.acpi, parse_switch(what, value));
    } else if (name == "pit") {
      result = assign(s.microvm.pit, parse_switch(what, value));
    } else if (name == "kernel-irqchip") {
      if (value != "on" && value != "split")
        return Error{fmt::format(
            "-M kernel-irqchip={}: is on or split; microvm's local APICs are the kernel's", value)};
      s.microvm.split_irqchip = value == "split";
    } else if (name == "rtc") {
      result = assign(s.microvm.rtc, parse_switch(what, value));
    } else if (name == "ioeventfd") {
      result = assign(s.microvm.ioeventfd, parse_switch(what, value));
    } else if (name == "mem-merge") {
      result = assign(s.microvm.ram.mergeable, parse_switch(what, value));
    } else {
      return Error{fmt::format("-M {}={}: microvm has no such property{}", name, value,
                               did_you_mean(name, {std::begin(kKnown), std::end(kKnown)}))};
    }
    if (!result.ok()) return result;
  }
  return {};
}

Result<void> set_machine(MachineSettings& s, const std::string& text) {
  if (s.guest == "x86_64") return set_x86_machine(s, text);
  static constexpr std::string_view kKnown[] = {"type",   "gic-version", "virtualization",
                                                "secure", "highmem",     "dtb-randomness",
                                                "accel",  "mem-merge",   "memory-backend"};
  for (const auto& [name, value] : parse_properties(text, "type")) {
    const std::string what = "-M " + name;
    Result<void> result;
    if (name == "type") {
      if (value == "help") {
        std::puts("virt      a machine for virtual use: PL011, GICv2 or GICv3, virtio, PCIe");
        return s.done = true, Result<void>();
      }
      if (value != "virt")
        return Error{fmt::format("-M {}: no such machine{}; -M help lists them", value,
                                 did_you_mean(value, {"virt"}))};
      s.machine = value;
    } else if (name == "gic-version") {
      if (value == "max" || value == "3")
        s.virt.gic_version = 3;
      else if (value == "2")
        s.virt.gic_version = 2;
      else
        return Error{fmt::format("-M gic-version={}: is 2, 3 or max", value)};
    } else if (name == "virtualization") {
      result = assign(s.virt.virtualization, parse_switch(what, value));
    } else if (name == "secure") {
      result = assign(s.virt.secure, parse_switch(what, value));
    } else if (name == "dtb-randomness") {
      result = assign(s.virt.random_seeds, parse_switch(what, value));
    } else if (name == "mem-merge") {
      result = assign(s.virt.ram.mergeable, parse_switch(what, value));
    } else if (name == "highmem") {
      bool on = true;
      result = assign(on, parse_switch(what, value));
      if (!on) return Error{"-M highmem=off: not supported; memory above 4 GiB can't be switched off"};
    } else if (name == "accel") {
      add_accelerators(s, value);
    } else if (name == "memory-backend") {
      s.memory_backend = value;
    } else {
      return Error{fmt::format("-M {}={}: virt has no such property{}", name, value,
                               did_you_mean(name, {std::begin(kKnown), std::end(kKnown)}))};
    }
    if (!result.ok()) return result;
  }
  return {};
}

Result<void> set_cpu(MachineSettings& s, const std::string& text) {
  if (s.guest == "x86_64") {
    if (text != "help") return s.microvm.cpu = text, Result<void>();
    std::puts("host              this machine's processor, as far as KVM passes it on");
    for (const x86::CpuModel& model : x86::cpu_models())
      if (model.name != "max") std::puts(fmt::format("{:<17} {}", model.name, model.text).c_str());
    return s.done = true, Result<void>();
  }
  std::vector<std::string_view> names;
  for (const arm::CpuModel& model : arm::cpu_models()) names.push_back(model.name);
  const auto properties = parse_properties(text, "model");
  for (const auto& [name, value] : properties) {
    if (name != "model")
      return Error{fmt::format("-cpu {}: features can't be changed one by one ({})", text, name)};
    if (value == "help") {
      for (const arm::CpuModel& model : arm::cpu_models())
        std::puts(fmt::format("{:<16} {}", model.name, model.text).c_str());
      return s.done = true, Result<void>();
    }
    if (std::find(names.begin(), names.end(), value) == names.end())
      return Error{fmt::format("-cpu {}: no such processor{}; -cpu help lists them", value,
                               did_you_mean(value, names))};
    s.virt.cpu = value;
  }
  return {};
}

/// "0-2" or "3"; several with a + between them, as a comma ends the property.
Result<std::vector<unsigned>> parse_list(const std::string& what, const std::string& text) {
  std::vector<unsigned> list;
  for (size_t at = 0; at <= text.size();) {
    const size_t plus = std::min(text.find('+', at), text.size());
    const std::string piece = text.substr(at, plus - at);
    const size_t dash = std::min(piece.find('-'), piece.size());
    const auto first = parse_number(what, piece.substr(0, dash), 0, 1023);
    if (!first.ok()) return first.error();
    const auto last = dash == piece.size() ? first : parse_number(what, piece.substr(dash + 1), *first, 1023);
    if (!last.ok()) return last.error();
    for (uint64_t n = *first; n <= *last; ++n) list.push_back(static_cast<unsigned>(n));
    at = plus + 1;
  }
  return list;
}

/// -object memory-backend-ram, -memfd or -file, as RamOptions.
Result<void> use_memory_backend(MachineSettings& s) {
  if (s.memory_backend.empty() && s.objects.empty()) return {};
  bool found = false;
  for (const std::string& text : s.objects) {
    system::RamOptions options;
    options.mergeable = s.virt.ram.mergeable;
    std::string kind, id;
    uint64_t size = 0;
    bool bound = false;
    for (const auto& [name, value] : parse_properties(text, "qom-type")) {
      const std::string what = "-object " + name;
      Result<void> result;
      bool huge = false;
      if (name == "qom-type")
        kind = value;
      else if (name == "id")
        id = value;
      else if (name == "size")
        result = assign(size, parse_size(what, value, 1));
      else if (name == "mem-path")
        options.path = value;
      else if (name == "share")
        result = assign(options.shared, parse_switch(what, value));
      else if (name == "prealloc")
        result = assign(options.preallocate, parse_switch(what, value));
      else if (name == "merge")
        result = assign(options.mergeable, parse_switch(what, value));
      else if (name == "hugetlb" && (result = assign(huge, parse_switch(what, value)), huge))
        options.hugetlb = std::max<uint64_t>(options.hugetlb, 1);
      else if (name == "hugetlbsize")
        result = assign(options.hugetlb, parse_size(what, value, 1));
      else if (name == "host-nodes")
        result = assign(options.nodes, parse_list(what, value));
      else if (name == "policy" && (value == "bind" || value == "preferred" || value == "interleave"))
        bound = true, options.policy = value == "bind"        ? system::RamOptions::Policy::Bind
                                       : value == "preferred" ? system::RamOptions::Policy::Preferred
                                                              : system::RamOptions::Policy::Interleave;
      else if (name != "hugetlb" && !(name == "policy" && value == "default"))
        result = Error{fmt::format("-object {}={}: no such property or value{}", name, value,
                                   did_you_mean(name, {"id", "size", "mem-path", "share", "prealloc", "merge",
                                                       "hugetlb", "hugetlbsize", "host-nodes", "policy"}))};
      if (!result.ok()) return result;
    }
    if (kind != "memory-backend-ram" && kind != "memory-backend-memfd" && kind != "memory-backend-file")
      return Error{fmt::format(
          "-object {}: no such object{}", kind,
          did_you_mean(kind, {"memory-backend-ram", "memory-backend-memfd", "memory-backend-file"}))};
    if (kind == "memory-backend-file" && options.path.empty())
      return Error{"-object memory-backend-file: wants mem-path="};
    if (options.hugetlb > 1 && (options.hugetlb & (options.hugetlb - 1)))
      return Error{"-object hugetlbsize: is a power of two"};
    if (bound != !options.nodes.empty())
      return Error{"-object: host-nodes= and policy=bind, preferred or interleave belong together"};
    if (kind == "memory-backend-memfd") options.shared = true;
    if (id.empty() || id != s.memory_backend) continue;
    if (size != s.virt.ram_size)
      return Error{fmt::format("-M memory-backend={}: has {} MiB, and -m says {} MiB", id, size >> 20,
                               s.virt.ram_size >> 20)};
    s.virt.ram = s.microvm.ram = options;
    found = true;
  }
  if (!found && !s.memory_backend.empty())
    return Error{fmt::format("-M memory-backend={}: no -object has this id", s.memory_backend)};
  return {};
}

Result<void> set_smp(MachineSettings& s, const std::string& text) {
  uint64_t cpus = 0, product = 1;
  bool topology = false;
  for (const auto& [name, value] : parse_properties(text, "cpus")) {
    const auto number = name == "pin" ? Result<uint64_t>(0) : parse_number("-smp " + name, value, 1, 4096);
    if (!number.ok()) return number.error();
    if (name == "cpus") {
      cpus = *number;
    } else if (name == "sockets" || name == "clusters" || name == "cores" || name == "threads" ||
               name == "dies") {
      product *= *number;
      topology = true;
    } else if (name == "pin") {
      for (size_t at = 0; at <= value.size();) {
        const size_t colon = std::min(value.find(':', at), value.size());
        auto list = parse_list("-smp pin", value.substr(at, colon - at));
        if (!list.ok()) return list.error();
        s.pins.push_back(std::move(*list));
        at = colon + 1;
      }
      continue;
    } else if (name != "maxcpus") {
      return Error{fmt::format(
          "-smp {}: no such property{}", name,
          did_you_mean(name, {"cpus", "maxcpus", "sockets", "clusters", "cores", "threads", "pin"}))};
    }
  }
  if (cpus == 0) cpus = topology ? product : 1;
  s.virt.cpus = s.microvm.cpus = static_cast<unsigned>(cpus);
  return {};
}

Result<void> set_memory(MachineSettings& s, const std::string& text) {
  for (const auto& [name, value] : parse_properties(text, "size")) {
    if (name != "size") return Error{fmt::format("-m {}: only size is supported", name)};
    if (Result<void> r = assign(s.virt.ram_size, parse_size("-m", value, 1 << 20)); !r.ok()) return r;
    s.microvm.ram_size = s.virt.ram_size;
  }
  return {};
}

/// -drive if=pflash is the machine's own; the rest is for attach.h.
Result<void> set_drive(MachineSettings& s, const std::string& text) {
  const auto properties = parse_properties(text, "file");
  const auto has = [](const Property& p) { return p.name == "if" && p.value == "pflash"; };
  if (s.guest == "x86_64" || std::none_of(properties.begin(), properties.end(), has))
    return s.drives.push_back(text), Result<void>();
  uint64_t unit = s.virt.flash[0].file.empty() ? 0 : 1;
  machines::FlashOptions flash;
  for (const auto& [name, value] : properties) {
    Result<void> result;
    if (name == "file")
      flash.file = value;
    else if (name == "unit")
      result = assign(unit, parse_number("-drive unit", value, 0, 1));
    else if (name == "readonly" || name == "read-only")
      result = assign(flash.read_only, parse_switch("-drive readonly", value));
    else if (name == "format" && value != "raw")
      result = Error{fmt::format("-drive if=pflash,format={}: flash is raw", value)};
    else if (name != "if" && name != "format" && name != "id")
      result = Error{fmt::format("-drive if=pflash,{}: no such property{}", name,
                                 did_you_mean(name, {"file", "unit", "readonly", "format", "id"}))};
    if (!result.ok()) return result;
  }
  if (flash.file.empty()) return Error{fmt::format("-drive {}: wants file=", text)};
  s.virt.flash[unit] = flash;
  return {};
}

Result<void> set_firmware(MachineSettings& s, const std::string& file) {
  s.virt.flash[0] = {file, true};
  return {};
}

Result<void> set_rtc(MachineSettings& s, const std::string& text) {
  for (const auto& [name, value] : parse_properties(text, "base")) {
    if (name == "base") {
      tm when{};
      if (value == "utc") {
        s.virt.epoch = static_cast<uint32_t>(time(nullptr));
      } else if (value == "localtime") {
        const time_t now = time(nullptr);
        localtime_r(&now, &when);
        s.virt.epoch = static_cast<uint32_t>(now + when.tm_gmtoff);
      } else {
        const char* end = strptime(value.c_str(), "%Y-%m-%dT%H:%M:%S", &when);
        if (!end) end = strptime(value.c_str(), "%Y-%m-%d", &when);
        if (!end || *end)
          return Error{fmt::format("-rtc base={}: is utc, localtime or 2024-02-29T12:00:00", value)};
        s.virt.epoch = static_cast<uint32_t>(timegm(&when));
      }
    } else if (name == "clock") {
      if (value != "host" && value != "vm" && value != "rt")
        return Error{"-rtc clock=" + value + ": is host, vm or rt"};
      if (value != "vm" && value != "host")
        return Error{"-rtc clock=rt: not supported; the clock is the machine's (vm)"};
    } else {
      return Error{fmt::format("-rtc {}: no such property{}", name, did_you_mean(name, {"base", "clock"}))};
    }
  }
  s.microvm.epoch = s.virt.epoch;
  return {};
}

Result<void> set_accelerator(MachineSettings& s, const std::string& text) {
  for (const auto& [name, value] : parse_properties(text, "accel")) {
    if (name == "accel") {
      if (value == "help") {
        std::puts(s.guest == "x86_64" ? "kvm       hands the CPUs to the hardware\n"
                                        "jit       translates code (x86 machines: not yet)"
                                      : "jit       translates the guest's code (also called tcg)");
        return s.done = true, Result<void>();
      }
      s.accelerators.push_back(value);
    } else if (name == "thread" && s.guest != "x86_64") {
      if (value != "multi")
        return Error{"-accel thread=" + value + ": every CPU has a thread of its own (multi)"};
    } else if (name == "device" && s.guest == "x86_64") {
      s.microvm.kvm_device = value;
    } else if (name == "dirty-ring-size" && s.guest == "x86_64") {
      const auto size = parse_number("-accel dirty-ring-size", value, 0, 65536);
      if (!size.ok()) return size.error();
      if (*size & (*size - 1)) return Error{"-accel dirty-ring-size=" + value + ": is a power of two"};
      s.microvm.dirty_ring = static_cast<unsigned>(*size);
    } else {
      return Error{fmt::format("-accel {}: no such property{}", name,
                               did_you_mean(name, {"device", "dirty-ring-size", "thread"}))};
    }
  }
  return {};
}

Result<void> set_jit(MachineSettings& s, const std::string& value) {
  if (value != "baseline" && value != "interp")
    return Error{fmt::format("-jit {}: machines have interp and baseline{}", value,
                             did_you_mean(value, {"interp", "baseline"}))};
  s.jit = value;
  return {};
}

/// As the peer has it, but that nothing is recorded.
Result<void> set_instruction_count(MachineSettings& s, const std::string& text) {
  PropertyReader p("-icount " + text, parse_properties(text, "shift"));
  system::CountedClock::Options options;
  std::string shift;
  p.text("shift", shift);
  p.flag("sleep", options.waits);
  p.only("align", "off");
  p.only("rr", "off");
  if (shift == "auto") {
    options.automatic = true;
  } else if (!shift.empty()) {
    const auto [end, code] = std::from_chars(shift.data(), shift.data() + shift.size(), options.shift);
    if (code != std::errc() || end != shift.data() + shift.size() ||
        options.shift > system::CountedClock::kMaxShift)
      p.fail(Error{fmt::format("shift={}: wants 0 to {} (an instruction takes 2^shift ns) or auto", shift,
                               system::CountedClock::kMaxShift)});
  }
  if (Result<void> r = p.finish(); !r.ok()) return r;
  s.virt.counted_clock = std::make_shared<system::CountedClock>(options);
  return {};
}

Result<void> set_display(MachineSettings&, const std::string& value) {
  if (value == "none") return {};
  return Error{fmt::format("-display {}: there is only none so far", value)};
}

Result<void> set_topics(MachineSettings& s, const std::string& list) {
  if (list != "help") return enable_log_topics(list, LogUser::Machine);
  std::fputs(log_topic_help(LogUser::Machine).c_str(), stdout);
  return s.done = true, Result<void>();
}

Result<void> set_incoming(MachineSettings& s, const std::string& value) {
  if (value != "defer" && (!value.starts_with("file:") || value.size() == 5))
    return Error{fmt::format("-incoming {}: is file:PATH or defer", value)};
  s.incoming = value == "defer" ? value : value.substr(5);
  return {};
}

Result<void> add_device(MachineSettings& s, const std::string& text) {
  if (text == "help") {
    std::fputs(device_help().c_str(), stdout);
    return s.done = true, Result<void>();
  }
  return s.devices.push_back(text), Result<void>();
}

#define TEXT(member) \
  [](MachineSettings& s, const std::string& v) -> Result<void> { return s.member = v, Result<void>(); }
#define BOTH(one, other) \
  [](MachineSettings& s, const std::string& v) -> Result<void> { return s.one = s.other = v, Result<void>(); }
#define NOTHING [](MachineSettings&, const std::string&) -> Result<void> { return {}; }
#define LIST(member)                                             \
  [](MachineSettings& s, const std::string& v) -> Result<void> { \
    return s.member.push_back(v), Result<void>();                \
  }
#define FLAG(member, on) \
  [](MachineSettings& s, const std::string&) -> Result<void> { return s.member = on, Result<void>(); }

constexpr Row kRows[] = {
    {"M|machine", "TYPE[,PROPERTY=VALUE]...", "the board; -M help lists them", set_machine},
    {"cpu", "MODEL", "the processor; -cpu help lists them", set_cpu},
    {"smp", "N[,pin=LIST:LIST...]", "number of CPUs, and the host's CPUs (0-1) that each may run on",
     set_smp},
    {"m", "SIZE", "memory, in MiB if there is no letter after it (K, M, G)", set_memory},
    {"object", "memory-backend-ram|memfd|file,id=...",
     "memory for -M memory-backend=: size=, mem-path=, hugetlb=, prealloc=, share=, "
     "merge=, host-nodes=, policy=",
     LIST(objects)},
    {"mem-path", "PATH", "memory in a file, or in a folder (of hugetlbfs, say)",
     BOTH(virt.ram.path, microvm.ram.path)},
    {"mem-prealloc", "", "memory is taken from the host at the start",
     [](MachineSettings& s, const std::string&) -> Result<void> {
       return s.virt.ram.preallocate = s.microvm.ram.preallocate = true, Result<void>();
     }},
    {"kernel", "FILE",
     "kernel to start: arm64 Image, gzip, EFI zboot or ELF; x86 bzImage or ELF with PVH or 64-bit entry",
     BOTH(virt.kernel, microvm.boot.kernel)},
    {"initrd", "FILE", "its initial file system", BOTH(virt.initrd, microvm.boot.initrd)},
    {"append", "TEXT", "its command line", BOTH(virt.append, microvm.boot.append)},
    {"dtb", "FILE", "device tree instead of the machine's own", TEXT(virt.dtb), kArm},
    {"bios", "FILE", "firmware, into the first flash chip", set_firmware, kArm},
    {"drive", "PROPERTIES", "a disk: file=...,format=raw,if=virtio|none,id=...", set_drive},
    {"blockdev", "PROPERTIES", "a node of block storage", LIST(block_devices)},
    {"device", "TYPE[,PROPERTY=VALUE]...", "a device; -device help lists them", add_device},
    {"fsdev", "local,id=ID,path=FOLDER", "a folder of the host for -device virtio-9p-pci,fsdev=ID",
     LIST(folders)},
    {"virtfs", "local,path=FOLDER,mount_tag=TAG", "the folder and its device at once", LIST(shared_folders)},
    {"netdev", "TYPE,id=...", "a network on the host's side", LIST(netdevs)},
    {"nic", "TYPE[,PROPERTY=VALUE]...", "a network and its device; none: no network", LIST(nics)},
    {"serial", "WHERE",
     "the next serial line: stdio, mon:stdio, null, none, file:PATH, pty, unix:PATH, tcp:HOST:PORT",
     LIST(serials)},
    {"chardev", "TYPE,id=...", "a character device on the host's side", LIST(chardevs)},
    {"monitor", "WHERE", "the monitor: stdio, none, or as for -serial", LIST(monitors)},
    {"display", "none", "where the screen is shown", set_display},
    {"nographic", "", "no screen; serial line and monitor share the terminal (Ctrl-A h)",
     FLAG(nographic, true)},
    {"no-reboot", "", "a reset ends the emulator", FLAG(reboot, false)},
    {"rtc", "base=TIME", "time of day at the start: utc, localtime, 2024-02-29T12:00:00", set_rtc},
    {"snapshot", "", "what guests write to disks is lost at the end", FLAG(snapshot, true)},
    {"incoming", "file:PATH",
     "go on with a machine that savevm or migrate wrote; defer: the monitor's loadvm will", set_incoming},
    {"loadvm", "FILE", "the same as -incoming file:FILE", TEXT(incoming)},
    {"gdb", "WHERE", "wait for gdb there: tcp::PORT", TEXT(gdb)},
    {"s", "", "the same as -gdb tcp::1234", FLAG(gdb, "tcp::1234")},
    {"S", "", "CPUs do not start before the monitor or gdb says so", FLAG(stopped, true)},
    {"d", "TOPIC[,TOPIC]...", "what to log; -d help lists topics", set_topics},
    {"D", "FILE", "where to log to", TEXT(log_file)},
    {"accel", "NAME[,PROPERTY=VALUE]...",
     "what runs the CPUs (-accel help lists them); given again: what else to try", set_accelerator},
    {"jit", "NAME", "how code is translated: baseline (the default) or interp", set_jit, kArm},
    {"icount", "[shift=]N|auto",
     "time is the number of instructions: 2^N ns each; the same run gives the same", set_instruction_count,
     kArm},
    {"cache", "DIR|off", "where translations are kept for the next run; see lyrebird cache -help",
     TEXT(cache), kArm},
    {"stats", "", "print figures at the end", FLAG(stats, true)},
    {"nodefaults", "",
     "accepted: machines have nothing that was not asked for, but virt a network (-nic none)", NOTHING},
    {"no-user-config", "", "accepted: there are no such files", NOTHING},
    {"name", "TEXT", "a name for the machine; nothing depends on it", NOTHING},
    {"version", "", "print the version",
     [](MachineSettings& s, const std::string&) -> Result<void> {
       std::puts("lyrebird version " LYREBIRD_VERSION);
       return s.done = true, Result<void>();
     }},
    {"h|help", "", "print this",
     [](MachineSettings& s, const std::string&) -> Result<void> { return s.done = true, Result<void>(); }},
};

bool has_name(const Row& row, std::string_view name) {
  for (std::string_view rest = row.names; !rest.empty();) {
    const size_t bar = std::min(rest.find('|'), rest.size());
    if (rest.substr(0, bar) == name) return true;
    rest.remove_prefix(std::min(bar + 1, rest.size()));
  }
  return false;
}

std::vector<std::string_view> all_names(const std::string& guest) {
  std::vector<std::string_view> names;
  for (const Row& row : kRows)
    for (std::string_view rest = row.guests & bit_of(guest) ? row.names : ""; !rest.empty();) {
      const size_t bar = std::min(rest.find('|'), rest.size());
      names.push_back(rest.substr(0, bar));
      rest.remove_prefix(std::min(bar + 1, rest.size()));
    }
  return names;
}

}  // namespace

std::string machine_help(const std::string& guest) {
  std::string text = fmt::format("usage: lyrebird-system-{} [option...]\n\n", guest);
  for (const Row& row : kRows) {
    if (!(row.guests & bit_of(guest))) continue;
    std::string left = "  -";
    for (const char c : row.names) left += c == '|' ? std::string(", -") : std::string(1, c);
    if (!row.value.empty()) left += fmt::format(" {}", row.value);
    text += left.size() < 30 ? fmt::format("{:<30} {}\n", left, row.help)
                             : fmt::format("{}\n{:31}{}\n", left, "", row.help);
  }
  text += "\nExample: lyrebird-system-" + guest +
          (guest == "x86_64"
               ? " -accel kvm -M microvm -nographic -kernel vmlinuz -initrd initrd.gz -append console=ttyS0\n"
               : " -M virt -nographic -kernel Image -initrd initrd.gz -append console=ttyAMA0\n");
  return text;
}

Result<MachineSettings> parse_machine_options(const std::vector<std::string>& arguments,
                                              const std::string& guest) {
  MachineSettings settings;
  settings.guest = guest;
  settings.virt.epoch = static_cast<uint32_t>(time(nullptr));
  settings.microvm.epoch = settings.virt.epoch;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument.size() < 2 || argument[0] != '-') {
      // As the peer has it: a bare name is a disk.
      settings.drives.push_back("file=" + argument + ",if=virtio");
      continue;
    }
    const std::string name = argument.substr(argument.starts_with("--") ? 2 : 1);
    const Row* const row = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) {
      return has_name(r, name) && (r.guests & bit_of(guest));
    });
    if (row == std::end(kRows))
      return Error{fmt::format("{}: no such option{}; -help lists them", argument,
                               did_you_mean(name, all_names(guest)))};
    std::string value;
    if (!row->value.empty()) {
      if (++i == arguments.size()) return Error{fmt::format("{}: wants {} after it", argument, row->value)};
      value = arguments[i];
    }
    if (Result<void> result = row->set(settings, value); !result.ok()) return result.error();
    if (has_name(*row, "help")) std::fputs(machine_help(guest).c_str(), stdout);
    if (settings.done) return settings;
  }
  if (Result<void> memory = use_memory_backend(settings); !memory.ok()) return memory.error();
  if (settings.machine.empty())
    return Error{fmt::format("no machine: give one with -M (-M {} is the usual one; -M help lists them)",
                             guest == "x86_64" ? "microvm" : "virt")};
  return settings;
}

}  // namespace lyrebird::tools
