// SPDX-License-Identifier: Apache-2.0
#include "tools/machine/run_machine.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/fault_guard.h"
#include "base/log.h"
#include "base/report.h"
#include "machines/saved_state.h"
#include "monitor/gdb/machine_target.h"
#include "monitor/human/monitor.h"
#include "system/chardev/terminal.h"
#include "tools/machine/attach.h"
#include "tools/machine/board.h"
#include "tools/machine/chardev.h"
#include "tools/machine/options.h"
#include "tools/machine/screendump.h"

namespace lyrebird::tools {

namespace {

/// A machine with everything around it, in the order in which it is built.
class Session {
 public:
  Session(MachineSettings settings, std::string name)
      : settings_(std::move(settings)), name_(std::move(name)) {}
  ~Session();

  Result<void> build();
  int run();

 private:
  Result<void> open_consoles();
  Result<Board> make_board();
  void watch_signals();
  Result<void> open_gdb(accel::Disassembler disassemble);
  void end(int status);

  MachineSettings settings_;
  const std::string name_;
  system::EventLoop loop_;
  int signal_fd_ = -1, status_ = 0;
  system::NullBackend null_;
  std::unique_ptr<system::Terminal> terminal_;
  CharDevices char_devices_{loop_};
  system::CharBackend* serial_ = &null_;
  system::CharBackend* monitor_end_ = nullptr;
  std::unique_ptr<machines::Machine> machine_;
  std::unique_ptr<Attached> attached_;
  std::unique_ptr<monitor::HumanMonitor> monitor_, no_monitor_;  ///< the second: gdb's, if there is no first
  std::unique_ptr<gdb::MachineStub> gdb_;
};

Session::~Session() {
  gdb_.reset();
  no_monitor_.reset();
  monitor_.reset();
  attached_.reset();  // the CPUs stand
  machine_.reset();
  terminal_.reset();
  if (signal_fd_ >= 0) {
    loop_.unwatch(signal_fd_);
    close(signal_fd_);
  }
}

void Session::end(int status) {
  status_ = status;
  loop_.stop();
}

/// SIGINT, SIGTERM and SIGHUP end the emulator in order. Blocked here, before there is any thread, so that
/// no thread is interrupted by them.
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

/// Who is at the terminal: as the peer has it, the first serial line and the monitor share it with
/// -nographic, else the monitor gets it if it is asked for.
Result<void> Session::open_consoles() {
  std::vector<std::string>& serials = settings_.serials;
  std::vector<std::string>& monitors = settings_.monitors;
  if (serials.empty())
    serials.push_back(settings_.nographic && monitors.empty() ? "mon:stdio"
                      : settings_.nographic                   ? "stdio"
                                                              : "null");
  if (serials.size() > 1)
    return Error{fmt::format("-serial {}: {} has one serial line", serials[1], settings_.machine)};
  if (monitors.size() > 1) return Error{fmt::format("-monitor {}: there is one monitor", monitors[1])};
  const std::string& serial = serials[0];
  const std::string monitor = monitors.empty() ? "none" : monitors[0];
  const bool serial_here = serial == "stdio" || serial == "mon:stdio", monitor_here = monitor == "stdio";
  if (!serial_here && serial != "null" && serial != "none") {
    auto end = char_devices_.open_short(serial, "serial0");
    if (!end.ok()) return Error{fmt::format("-serial {}", end.error().message)};
    serial_ = *end;
  }
  if (!monitor_here && monitor != "none" && monitor != "null") {
    auto end = char_devices_.open_short(monitor, "compat_monitor0");
    if (!end.ok()) return Error{fmt::format("-monitor {}", end.error().message)};
    monitor_end_ = *end;
  }
  if (!serial_here && !monitor_here) return {};
  if (serial == "stdio" && monitor_here)
    return Error{"-monitor stdio: -serial stdio is there already; -serial mon:stdio shares it"};
  const bool shared = serial == "mon:stdio";
  terminal_ = std::make_unique<system::Terminal>(
      loop_, shared ? system::Terminal::Mode::Shared : system::Terminal::Mode::Private, [this] { end(0); });
  if (serial_here) serial_ = &terminal_->first();
  if (shared) monitor_end_ = &terminal_->second();
  if (!serial_here) monitor_end_ = &terminal_->first();
  return {};
}

Result<Board> Session::make_board() {
  if (const auto accelerator = choose_accelerator(settings_, name_); !accelerator.ok())
    return accelerator.error();
  const Connections to{loop_, *serial_, name_};
  return settings_.machine == "microvm" ? make_microvm(settings_, to) : make_virt(settings_, to);
}

Result<void> Session::build() {
  if (!settings_.log_file.empty() && !open_log_file(settings_.log_file.c_str()))
    return Error{fmt::format("-D {}: {}", settings_.log_file, std::strerror(errno))};
  for (const std::string& chardev : settings_.chardevs)
    if (Result<void> r = char_devices_.open(chardev); !r.ok()) return r;
  watch_signals();
  // Last before the machine, so that errors in options find the terminal as it was.
  if (Result<void> r = open_consoles(); !r.ok()) return r;
  auto board = make_board();
  if (!board.ok()) return board.error();
  machine_ = std::move(board->machine);
  for (size_t i = 0; i < settings_.pins.size(); ++i) {
    if (i >= machine_->cpu_count())
      return Error{
          fmt::format("-smp pin: {} lists, but {} CPUs", settings_.pins.size(), machine_->cpu_count())};
    if (auto pinned = machine_->cpu(i).pin(settings_.pins[i]); !pinned.ok())
      return Error{"-smp pin: " + pinned.error().message};
  }
  // A card that nobody asked for would cost microvm the start of a network, and one of its few slots.
  if (settings_.machine == "microvm" && settings_.nics.empty() && settings_.netdevs.empty())
    settings_.nics = {"none"};
  auto attached = attach_devices(
      settings_, {machine_->memory(), loop_, board->plug,
                  [this](const std::string& id) { return char_devices_.find(id); }, board->pci});
  if (!attached.ok()) return attached.error();
  attached_ = std::move(*attached);
  machine_->allow_reset = settings_.reboot;
  machine_->on_shutdown = [this](machines::Shutdown reason, const std::string& message) {
    if (terminal_) terminal_->flush();
    if (!message.empty()) std::fputs(fmt::format("{}: {}\n", name_, message).c_str(), stderr);
    const int status = reason == machines::Shutdown::Error ? 1 : 0;
    if (gdb_) gdb_->on_end(static_cast<unsigned>(status));
    end(status);
  };
  if (monitor_end_) {
    monitor_ = std::make_unique<monitor::HumanMonitor>(*machine_, *monitor_end_, [this] { end(0); });
    monitor_->set_disassembler(board->disassemble);
    const auto lines = [](const std::vector<std::string>& all) {
      std::string text;
      for (const std::string& one : all) text += one + "\n";
      return text;
    };
    monitor_->add_info("block", "the disks", [this, lines] { return lines(attached_->describe_disks()); });
    monitor_->add_info("network", "the networks",
                       [this, lines] { return lines(attached_->describe_networks()); });
    monitor_->add_command(
        {"sendkey", "KEYS", "type on the keyboard: a, ret, ctrl-alt-f1", [this](std::string_view keys) {
           const Result<void> sent = attached_->send_keys(keys);
           return sent.ok() ? std::string() : fmt::format("sendkey: {}\n", sent.error().message);
         }});
    monitor_->add_command({"screendump", "FILE [DEVICE [HEAD]] [-f ppm|png]", "a picture of a screen",
                           [this](std::string_view arguments) {
                             const Result<void> ok = dump_screen(attached_->screens(), arguments);
                             return ok.ok() ? std::string()
                                            : fmt::format("screendump: {}\n", ok.error().message);
                           }});
  }
  return open_gdb(board->disassemble);
}

/// -gdb: as the peer has it, a place that listens unless told otherwise.
Result<void> Session::open_gdb(accel::Disassembler disassemble) {
  if (settings_.gdb.empty() || settings_.gdb == "none") return {};
  std::string where = settings_.gdb;
  if (where.find_first_not_of("0123456789") == std::string::npos) where = "tcp::" + where;
  const bool socket = where.starts_with("tcp:") || where.starts_with("unix:");
  if (socket && where.find(",server") == std::string::npos) where += ",server=on,wait=off";
  if (where.starts_with("tcp:") && where.find(",nodelay") == std::string::npos) where += ",nodelay=on";
  const gdb::Registers* const registers = gdb::find_system_registers(settings_.guest);
  if (!registers)
    return Error{fmt::format("-gdb {}: not supported for {} yet", settings_.gdb, settings_.guest)};
  auto place = char_devices_.open_short(where, "gdb");
  if (!place.ok()) return Error{fmt::format("-gdb {}", place.error().message)};
  no_monitor_ = std::make_unique<monitor::HumanMonitor>(*machine_, null_, [this] { end(0); });
  no_monitor_->set_disassembler(disassemble);
  gdb_ = std::make_unique<gdb::MachineStub>(
      *machine_, *registers, **place,
      [this](std::string_view line) { return (monitor_ ? *monitor_ : *no_monitor_).execute(line); },
      [this] { end(0); });
  return {};
}

int Session::run() {
  bool starts = !settings_.stopped && settings_.incoming != "defer";
  if (!settings_.incoming.empty() && settings_.incoming != "defer") {
    const auto loaded = machines::load_machine(*machine_, settings_.incoming);
    if (!loaded.ok()) {
      if (terminal_) terminal_->flush();
      std::fputs(fmt::format("{}: -incoming: {}\n", name_, loaded.error().message).c_str(), stderr);
      return 1;
    }
    starts &= *loaded == machines::Loaded::Running;
  }
  if (starts) machine_->resume();
  loop_.run();
  machine_->pause();
  if (settings_.stats) {
    Report report;
    machine_->accelerator().report(report);
    if (terminal_) terminal_->flush();
    std::fputs(report.table().c_str(), stderr);
    for (size_t i = 0; i < machine_->cpu_count(); ++i)
      if (auto& vcpu = machine_->cpu(i).vcpu(); vcpu.read_state().ok())
        std::fputs(fmt::format("cpu{} at {:#x}\n", i, vcpu.state().pc).c_str(), stderr);
  }
  return status_;
}

}  // namespace

namespace {

struct sigaction previous_actions[NSIG];

/// A file of translations that is cut short while it is mapped costs a look-up (base/fault_guard.h).
void deliver_fault(int signal, siginfo_t* info, void* context) {
  FaultGuard::deliver(signal, *info, context);
  sigaction(signal, &previous_actions[signal], nullptr);
  // Nobody's: a fault happens again, what was sent does not.
  if (info->si_code <= 0) raise(signal);
}

void guard_faults() {
  struct sigaction action = {};
  action.sa_sigaction = deliver_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  for (const int signal : {SIGBUS, SIGSEGV}) sigaction(signal, &action, &previous_actions[signal]);
}

}  // namespace

int run_machine(const std::vector<std::string>& arguments, const std::string& invoked_as,
                const std::string& guest) {
  const auto fail = [&](const Error& error) {
    std::fputs(fmt::format("{}: {}\n", invoked_as, error.message).c_str(), stderr);
    return 1;
  };
  auto settings = parse_machine_options(arguments, guest);
  if (!settings.ok()) return fail(settings.error());
  if (settings->done) return 0;
  signal(SIGPIPE, SIG_IGN);
  Session session(std::move(*settings), invoked_as);
  if (Result<void> built = session.build(); !built.ok()) return fail(built.error());
  guard_faults();  // in front of the terminal's handlers, which are for what ends the process
  return session.run();
}

}  // namespace lyrebird::tools
