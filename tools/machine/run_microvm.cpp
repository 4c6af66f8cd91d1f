// SPDX-License-Identifier: Apache-2.0
#include "tools/machine/run_microvm.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>

#include "base/report.h"
#include "frontend/x86/cpu_model.h"
#include "machines/microvm.h"
#include "monitor/human/monitor.h"
#include "system/chardev/terminal.h"
#include "tools/disassemble.h"
#include "tools/machine/attach.h"
#include "tools/machine/properties.h"

namespace lyrebird::tools {
namespace {

struct Settings {
  std::string machine;
  machines::MicrovmOptions microvm;
  std::vector<std::string> accelerators, drives, block_devices, devices, netdevs, nics;
  std::string serial;
  bool nographic = false, reboot = true, snapshot = false, stats = false, done = false;
};

template <typename T>
Result<void> assign(T& to, Result<T> value) {
  if (!value.ok()) return value.error();
  to = std::move(*value);
  return {};
}

Result<void> set_accelerator(Settings& s, const std::string& text) {
  for (const auto& [name, value] : parse_properties(text, "accel")) {
    if (name == "accel") {
      if (value == "help") {
        std::puts(
            "kvm       hands the CPUs to the hardware\njit       translates code (x86 machines: not yet)");
        s.done = true;
      }
      s.accelerators.push_back(value);
    } else if (name == "device") {
      s.microvm.kvm_device = value;
    } else if (name == "dirty-ring-size") {
      const auto size = parse_number("-accel dirty-ring-size", value, 0, 65536);
      if (!size) return size.error();
      if (*size & (*size - 1)) return Error{"-accel dirty-ring-size=" + value + ": is a power of two"};
      s.microvm.dirty_ring = static_cast<unsigned>(*size);
    } else {
      return Error{fmt::format("-accel {}: no such property{}", name,
                               did_you_mean(name, {"device", "dirty-ring-size"}))};
    }
  }
  return {};
}

Result<void> set_machine(Settings& s, const std::string& text) {
  for (const auto& [name, value] : parse_properties(text, "type")) {
    const std::string what = "-M " + name;
    Result<void> result;
    if (name == "type") {
      if (value == "help") {
        std::puts("microvm   a small machine for kernels that know virtio: no firmware, no PCI");
        s.done = true;
      } else if (value != "microvm") {
        return Error{fmt::format("-M {}: no such machine{}; -M help lists them", value,
                                 did_you_mean(value, {"microvm"}))};
      }
      s.machine = value;
    } else if (name == "accel") {
      // As users know it: one after the other, separated by colons.
      for (size_t at = 0; at <= value.size();) {
        const size_t colon = std::min(value.find(':', at), value.size());
        s.accelerators.push_back(value.substr(at, colon - at));
        at = colon + 1;
      }
    } else if (name == "acpi") {
      result = assign(s.microvm.acpi, parse_switch(what, value));
    } else if (name == "pit") {
      result = assign(s.microvm.pit, parse_switch(what, value));
    } else if (name == "ioeventfd") {
      result = assign(s.microvm.ioeventfd, parse_switch(what, value));
    } else if (name == "mem-merge") {
      result = assign(s.microvm.ram.mergeable, parse_switch(what, value));
    } else {
      return Error{fmt::format("{}: microvm has no such property{}", what,
                               did_you_mean(name, {"accel", "acpi", "pit", "ioeventfd", "mem-merge"}))};
    }
    if (!result) return result;
  }
  return {};
}

Result<void> set_cpu(Settings& s, const std::string& text) {
  if (text == "help") {
    std::puts("host              this machine's processor, as far as KVM passes it on");
    for (const x86::CpuModel& model : x86::cpu_models())
      if (model.name != "max") std::fputs(fmt::format("{:<17} {}\n", model.name, model.text).c_str(), stdout);
    s.done = true;
  }
  s.microvm.cpu = text;
  return {};
}

Result<void> set_smp(Settings& s, const std::string& text) {
  for (const auto& [name, value] : parse_properties(text, "cpus")) {
    const auto number = parse_number("-smp " + name, value, 1, 4096);
    if (!number) return number.error();
    if (name == "cpus") s.microvm.cpus = static_cast<unsigned>(*number);
  }
  return {};
}

Result<void> set_memory(Settings& s, const std::string& text) {
  for (const auto& [name, value] : parse_properties(text, "size")) {
    if (name != "size") return Error{fmt::format("-m {}: only size is supported", name)};
    if (auto r = assign(s.microvm.ram_size, parse_size("-m", value, 1 << 20)); !r) return r;
  }
  return {};
}

Result<void> set_device(Settings& s, const std::string& text) {
  if (text == "help") {
    std::fputs(device_help().c_str(), stdout);
    s.done = true;
  }
  s.devices.push_back(text);
  return {};
}

using Setter = Result<void> (*)(Settings&, const std::string& value);
struct Row {
  std::string_view names;
  std::string_view value;
  std::string_view help;
  Setter set;
};

#define TEXT(member) \
  [](Settings& s, const std::string& v) -> Result<void> { return s.member = v, Result<void>(); }
#define LIST(member) \
  [](Settings& s, const std::string& v) -> Result<void> { return s.member.push_back(v), Result<void>(); }
#define FLAG(member, on) \
  [](Settings& s, const std::string&) -> Result<void> { return s.member = on, Result<void>(); }
#define NOTHING [](Settings&, const std::string&) -> Result<void> { return {}; }

constexpr Row kRows[] = {
    {"accel", "NAME[,PROPERTY=VALUE]...", "what runs the CPUs; given again: what else to try",
     set_accelerator},
    {"M", "TYPE[,PROPERTY=VALUE]...", "the board; -M help lists them", set_machine},
    {"machine", "TYPE[,PROPERTY=VALUE]...", "the same", set_machine},
    {"cpu", "MODEL[,+FEATURE][,-FEATURE]...", "the processor; -cpu help lists them", set_cpu},
    {"smp", "N", "number of CPUs", set_smp},
    {"m", "SIZE", "memory, in MiB if there is no letter after it (K, M, G)", set_memory},
    {"kernel", "FILE", "kernel to start: bzImage, or ELF with PVH or 64-bit entry",
     TEXT(microvm.boot.kernel)},
    {"initrd", "FILE", "its initial file system", TEXT(microvm.boot.initrd)},
    {"append", "TEXT", "its command line", TEXT(microvm.boot.append)},
    {"drive", "PROPERTIES", "a disk: file=...,format=raw,if=virtio|none,id=...", LIST(drives)},
    {"blockdev", "PROPERTIES", "a node of block storage", LIST(block_devices)},
    {"device", "TYPE[,PROPERTY=VALUE]...", "a device; -device help lists them", set_device},
    {"netdev", "TYPE,id=...", "a network on the host's side", LIST(netdevs)},
    {"nic", "TYPE[,PROPERTY=VALUE]...", "a network and its device; none is what there is without",
     LIST(nics)},
    {"snapshot", "", "what guests write to disks is lost at the end", FLAG(snapshot, true)},
    {"serial", "WHERE", "the serial line: stdio, mon:stdio, null", TEXT(serial)},
    {"nographic", "", "no screen; the serial line has the terminal (Ctrl-A h)", FLAG(nographic, true)},
    {"no-reboot", "", "a reset ends the emulator", FLAG(reboot, false)},
    {"stats", "", "print figures at the end", FLAG(stats, true)},
    {"nodefaults", "", "accepted: microvm has nothing that was not asked for", NOTHING},
    {"no-user-config", "", "accepted: there are no such files", NOTHING},
    {"name", "TEXT", "a name for the machine; nothing depends on it", NOTHING},
    {"h", "", "print this", FLAG(done, true)},
    {"help", "", "print this", FLAG(done, true)},
};

void print_help(const std::string& invoked_as) {
  std::fputs(fmt::format("usage: {} [option...]\n\n", invoked_as).c_str(), stdout);
  for (const Row& row : kRows)
    std::fputs(fmt::format("  -{:<42} {}\n", fmt::format("{} {}", row.names, row.value), row.help).c_str(),
               stdout);
}

Result<Settings> parse(const std::vector<std::string>& arguments, const std::string& invoked_as) {
  Settings settings;
  for (size_t i = 0; i < arguments.size() && !settings.done; ++i) {
    const std::string& argument = arguments[i];
    const std::string name =
        argument.substr(std::min<size_t>(argument.starts_with("--") ? 2 : 1, argument.size()));
    const Row* const row = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) {
      return argument.starts_with('-') && r.names == name;
    });
    if (row == std::end(kRows)) {
      std::vector<std::string_view> names;
      for (const Row& r : kRows) names.push_back(r.names);
      return Error{
          fmt::format("{}: no such option{}; -help lists them", argument, did_you_mean(name, names))};
    }
    std::string value;
    if (!row->value.empty()) {
      if (++i == arguments.size()) return Error{fmt::format("{}: wants {} after it", argument, row->value)};
      value = arguments[i];
    }
    if (auto result = row->set(settings, value); !result) return result.error();
    if (row->names == "h" || row->names == "help") print_help(invoked_as);
  }
  if (!settings.done && settings.machine.empty()) return Error{"no machine: give one with -M microvm"};
  return settings;
}

/// A machine with everything around it, in the order in which it is built.
class Session {
 public:
  Session(Settings settings, std::string name) : settings_(std::move(settings)), name_(std::move(name)) {}
  ~Session();
  Result<void> build();
  int run();

 private:
  Result<void> choose_accelerator();
  Result<void> open_serial();
  void watch_signals();
  void end(int status) {
    status_ = status;
    loop_.stop();
  }

  Settings settings_;
  const std::string name_;
  system::EventLoop loop_;
  int signal_fd_ = -1, status_ = 0;
  std::unique_ptr<system::Terminal> terminal_;
  system::CharBackend* monitor_end_ = nullptr;
  std::unique_ptr<machines::MicrovmMachine> machine_;
  std::unique_ptr<Attached> attached_;
  std::unique_ptr<monitor::HumanMonitor> monitor_;
};

Session::~Session() {
  monitor_.reset();
  attached_.reset();  // the CPUs stand
  machine_.reset();
  terminal_.reset();
  if (signal_fd_ >= 0) {
    loop_.unwatch(signal_fd_);
    close(signal_fd_);
  }
}

/// The first of the list that can be had. Why the others cannot is said in any case.
Result<void> Session::choose_accelerator() {
  if (settings_.accelerators.empty()) settings_.accelerators = {"kvm"};
  std::string reasons;
  for (const std::string& name : settings_.accelerators) {
    std::string reason;
    if (name == "kvm") {
      const auto device = accel::kvm::Device::open(settings_.microvm.kvm_device);
      if (device) {
        if (!reasons.empty()) std::fputs(fmt::format("{}: {}; using kvm\n", name_, reasons).c_str(), stderr);
        return {};
      }
      reason = device.error().message;
    } else if (name == "jit" || name == "tcg") {
      reason = fmt::format("-accel {}: x86 machines run under KVM only so far", name);
    } else {
      return Error{fmt::format("-accel {}: no such accelerator{}; -accel help lists them", name,
                               did_you_mean(name, {"kvm", "jit", "tcg"}))};
    }
    reasons += (reasons.empty() ? "" : "; ") + reason;
  }
  return Error{reasons};
}

void Session::watch_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal_fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  loop_.watch(signal_fd_, EPOLLIN, [this](uint32_t) {
    signalfd_siginfo info;
    if (read(signal_fd_, &info, sizeof info) != sizeof info) return;
    std::fputs(fmt::format("{}: ended by signal {}\n", name_, info.ssi_signo).c_str(), stderr);
    end(0);
  });
}

Result<void> Session::open_serial() {
  const std::string where = !settings_.serial.empty() ? settings_.serial
                            : settings_.nographic     ? "mon:stdio"
                                                      : "null";
  if (where == "null" || where == "none") return {};
  if (where != "stdio" && where != "mon:stdio")
    return Error{fmt::format("-serial {}: no such place{}; there are stdio, mon:stdio and null", where,
                             did_you_mean(where, {"stdio", "mon:stdio", "null", "none"}))};
  terminal_ = std::make_unique<system::Terminal>(
      loop_, where == "stdio" ? system::Terminal::Mode::Private : system::Terminal::Mode::Shared,
      [this] { end(0); });
  settings_.microvm.serial = &terminal_->first();
  if (where == "mon:stdio") monitor_end_ = &terminal_->second();
  return {};
}

Result<void> Session::build() {
  if (auto chosen = choose_accelerator(); !chosen) return chosen;
  settings_.microvm.disassembler = disassemble_x86;
  watch_signals();
  if (auto opened = open_serial(); !opened) return opened;
  auto machine = machines::MicrovmMachine::create(loop_, settings_.microvm);
  if (!machine) return machine.error();
  machine_ = std::move(*machine);
  if (const auto& missing = machine_->kvm().cpuid().missing(); !missing.empty())
    std::fputs(fmt::format("{}: -cpu {}: this host has no {}: the guest goes without\n", name_,
                           settings_.microvm.cpu, fmt::join(missing, ", "))
                   .c_str(),
               stderr);
  MachineSettings extras;
  extras.drives = settings_.drives;
  extras.block_devices = settings_.block_devices;
  extras.devices = settings_.devices;
  extras.netdevs = settings_.netdevs;
  extras.nics = settings_.nics;
  // A card that nobody asked for would cost the start of a network.
  if (extras.nics.empty() && extras.netdevs.empty()) extras.nics = {"none"};
  extras.snapshot = settings_.snapshot;
  auto attached = attach_devices(
      extras, {machine_->memory(), loop_,
               [this](devices::VirtioDevice& device) { return machine_->plug(device); }, nullptr});
  if (!attached) return attached.error();
  attached_ = std::move(*attached);
  if (monitor_end_)
    monitor_ = std::make_unique<monitor::HumanMonitor>(*machine_, *monitor_end_, [this] { end(0); });
  machine_->allow_reset = settings_.reboot;
  machine_->on_shutdown = [this](machines::Shutdown reason, const std::string& message) {
    if (terminal_) terminal_->flush();
    if (!message.empty()) std::fputs(fmt::format("{}: {}\n", name_, message).c_str(), stderr);
    end(reason == machines::Shutdown::Error ? 1 : 0);
  };
  return {};
}

int Session::run() {
  machine_->resume();
  loop_.run();
  machine_->pause();
  if (terminal_) terminal_->flush();
  if (settings_.stats) {
    Report report;
    machine_->accelerator().report(report);
    std::fputs(report.table().c_str(), stderr);
    for (size_t i = 0; i < machine_->cpu_count(); ++i)
      if (auto& vcpu = machine_->cpu(i).vcpu(); vcpu.read_state().ok())
        std::fputs(fmt::format("cpu{} at {:#x}\n", i, vcpu.state().pc).c_str(), stderr);
  }
  return status_;
}

}  // namespace

int run_x86_machine(const std::vector<std::string>& arguments, const std::string& invoked_as) {
  const auto fail = [&](const Error& error) {
    std::fputs(fmt::format("{}: {}\n", invoked_as, error.message).c_str(), stderr);
    return 1;
  };
  auto settings = parse(arguments, invoked_as);
  if (!settings) return fail(settings.error());
  if (settings->done) return 0;
  signal(SIGPIPE, SIG_IGN);
  Session session(std::move(*settings), invoked_as);
  if (auto built = session.build(); !built) return fail(built.error());
  return session.run();
}

}  // namespace lyrebird::tools
