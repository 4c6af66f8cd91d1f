// SPDX-License-Identifier: Apache-2.0
#include "monitor/gdb/server.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>

#include "user/host/raw_signal.h"

namespace lyrebird::gdb {

namespace {

constexpr uint64_t kMaxMemory = 8192;
constexpr size_t kPacketSize = 0x5000;
const char kOk[] = "OK";
const char kBadThread[] = "E03";
const char kBadMemory[] = "E14";
const char kBadPacket[] = "E22";

// One piece of an object, as qXfer reads it: l(ast) or m(ore).
std::string piece(std::string_view object, uint64_t offset, uint64_t size) {
  if (offset >= object.size()) return "l";
  const std::string_view part = object.substr(offset, size);
  return (offset + part.size() == object.size() ? "l" : "m") + escape(part);
}

void* server_main(void* argument) {
  const std::unique_ptr<Server> server(static_cast<Server*>(argument));
  server->run();
  return nullptr;
}

}  // namespace

bool start_debugger(user::Thread& first, const std::string& where) {
  user::Process& process = first.process;
  const Registers* const registers = find_registers(process.abi.name);
  if (!registers) {
    std::fputs(fmt::format("{}: -g: not for this guest yet\n", process.options.invoked_as).c_str(), stderr);
    return false;
  }
  // Both live as long as the process.
  World* const world = new World(process);
  auto server = std::make_unique<Server>(*world, *registers, first.tid);
  if (const Result<void> connected = server->connection().accept(where); !connected) {
    std::fputs(fmt::format("{}: {}\n", process.options.invoked_as, connected.error().message).c_str(),
               stderr);
    return false;
  }
  process.debugger = world;
  process.signals.actions->set_intercept(true);
  world->on_thread_start(first);
  // The guest's signals are not for the server's thread.
  const uint64_t mask = user::host::set_signal_mask(SIG_BLOCK, ~user::kHostFaults);
  pthread_t id;
  const int error = pthread_create(&id, nullptr, server_main, server.release());
  user::host::set_signal_mask(SIG_SETMASK, mask);
  if (!error) pthread_detach(id);
  return !error;
}

Server::Server(World& world, const Registers& registers, pid_t first_thread)
    : world_(world),
      registers_(registers),
      memory_(world.process()),
      files_(world.process()),
      selected_(first_thread) {
  stop_.thread = first_thread;
  stop_.signal = stop_.info.si_signo = SIGTRAP;
}

void Server::run() {
  while (!done_) {
    pollfd ready[2] = {{connection_.fd(), POLLIN, 0}, {world_.event_fd(), POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0) continue;
    if (ready[1].revents) on_event();
    if (!done_ && ready[0].revents) on_input();
  }
  connection_.close();
}

void Server::on_input() {
  const std::string bytes = connection_.receive();
  if (bytes.empty()) return detach();
  reader_.feed(bytes);
  std::string packet;
  while (!done_) {
    switch (reader_.next(packet)) {
      case PacketReader::Event::None:
        return;
      case PacketReader::Event::Packet:
        if (acks_) connection_.send("+");
        handle(packet);
        break;
      case PacketReader::Event::BadChecksum:
        if (acks_) connection_.send("-");
        break;
      case PacketReader::Event::Interrupt:
        world_.interrupt();
        break;
      case PacketReader::Event::Nack:
        connection_.send(last_sent_);
        break;
      case PacketReader::Event::Ack:
        break;
    }
  }
}

void Server::on_event() {
  if (const auto stop = world_.take_stop()) {
    stop_ = *stop;
    selected_ = stop->thread;
    running_ = false;
    reply(stop_reply());
  }
  if (const std::string end = world_.take_end(); !end.empty()) {
    if (running_) reply(end);
    world_.end_was_told();
    done_ = true;
  }
}

void Server::reply(std::string_view data) {
  last_sent_ = frame(data);
  connection_.send(last_sent_);
}

void Server::handle(std::string_view packet) {
  const std::string text = answer(packet);
  // What makes the guest run is answered by its next stop.
  if (!running_ && !done_) reply(text);
}

std::string Server::answer(std::string_view packet) {
  Fields f(packet);
  if (f.eat("?")) return stop_reply();
  if (f.eat("g")) return read_registers();
  if (f.eat("G")) return write_registers(f);
  if (f.eat("p")) return read_register(f);
  if (f.eat("P")) return write_register(f);
  if (f.eat("m")) return read_memory(f);
  if (f.eat("M")) return write_memory(f, false);
  if (f.eat("X")) return write_memory(f, true);
  if (f.eat("Z")) return answer_breakpoint(f, true);
  if (f.eat("z")) return answer_breakpoint(f, false);
  if (f.eat("H")) return select_thread(f);
  if (f.eat("T")) {
    const auto tid = f.thread();
    return tid && world_.with_thread(static_cast<pid_t>(*tid), [](user::Thread&) {}) ? kOk : kBadThread;
  }
  if (f.eat("c")) return resume_old_style(Resume::Continue, f, false), "";
  if (f.eat("C")) return resume_old_style(Resume::Continue, f, true), "";
  if (f.eat("s")) return resume_old_style(Resume::Step, f, false), "";
  if (f.eat("S")) return resume_old_style(Resume::Step, f, true), "";
  if (f.eat("v")) return answer_v(f);
  if (f.eat("qXfer:")) return answer_xfer(f);
  if (f.eat("q")) return answer_query(f);
  if (f.eat("Q")) return answer_set(f);
  if (f.eat("D")) {
    reply(kOk);
    detach();
    return "";
  }
  if (f.eat("k")) user::host::die_by_signal(SIGKILL);
  return "";
}

void Server::detach() {
  done_ = true;
  world_.let_go();
}

std::string Server::stop_reply() {
  std::string text = fmt::format("T{:02x}", signal_to_gdb(stop_.signal));
  world_.with_thread(stop_.thread, [&](user::Thread& t) {
    for (const unsigned number : {registers_.fp, registers_.sp, registers_.pc})
      text += fmt::format("{:x}:{};", number, to_hex(registers_.read(t.cpu(), number)));
  });
  if (stop_.breakpoint) text += "swbreak:;";
  if (stop_.watch) text += fmt::format("watch:{:x};", *stop_.watch);
  return text + fmt::format("thread:{:x};", stop_.thread);
}

// --- registers, memory, breakpoints ---

std::string Server::read_registers() {
  std::string out;
  const bool found = world_.with_thread(selected_, [&](user::Thread& t) {
    for (unsigned i = 0; i < registers_.count; i++) out += to_hex(registers_.read(t.cpu(), i));
  });
  return found ? out : kBadThread;
}

std::string Server::write_registers(Fields f) {
  const auto bytes = from_hex(f.rest());
  if (!bytes) return kBadPacket;
  bool good = true;
  world_.with_thread(selected_, [&](user::Thread& t) {
    std::string_view rest = *bytes;
    for (unsigned i = 0; i < registers_.count && good; i++) {
      const size_t size = registers_.read(t.cpu(), i).size();
      good = registers_.write(t.cpu(), i, rest.substr(0, size));
      rest.remove_prefix(std::min(size, rest.size()));
    }
  });
  return good ? kOk : kBadPacket;
}

std::string Server::read_register(Fields f) {
  const auto number = f.number();
  std::string out;
  if (!number || !world_.with_thread(selected_, [&](user::Thread& t) {
        out = to_hex(registers_.read(t.cpu(), static_cast<unsigned>(*number)));
      }))
    return kBadThread;
  return out.empty() ? kBadPacket : out;
}

std::string Server::write_register(Fields f) {
  const auto number = f.number();
  if (!number || !f.eat("=")) return kBadPacket;
  const auto bytes = from_hex(f.rest());
  bool good = false;
  if (!bytes || !world_.with_thread(selected_, [&](user::Thread& t) {
        good = registers_.write(t.cpu(), static_cast<unsigned>(*number), *bytes);
      }))
    return kBadThread;
  return good ? kOk : kBadPacket;
}

std::string Server::read_memory(Fields f) {
  const auto address = f.number();
  f.eat(",");
  const auto size = f.number();
  if (!address || !size) return kBadPacket;
  const std::string bytes = memory_.read(*address, std::min(*size, kMaxMemory));
  return bytes.empty() && *size ? kBadMemory : to_hex(bytes);
}

std::string Server::write_memory(Fields f, bool binary) {
  const auto address = f.number();
  f.eat(",");
  const auto size = f.number();
  if (!address || !size || !f.eat(":")) return kBadPacket;
  const auto bytes = binary ? std::optional<std::string>(f.rest()) : from_hex(f.rest());
  if (!bytes || bytes->size() != *size) return kBadPacket;
  return bytes->empty() || memory_.write(*address, *bytes) ? kOk : kBadMemory;
}

std::string Server::answer_breakpoint(Fields f, bool insert) {
  const auto type = f.number();
  f.eat(",");
  const auto address = f.number();
  f.eat(",");
  const auto size = f.number();
  constexpr uint64_t kSoftware = 0, kHardware = 1, kWriteWatch = 2;
  if (!type || !address || !size) return kBadPacket;
  if (*type == kWriteWatch) {
    if (insert)
      world_.add_watch(*address, *size);
    else
      world_.remove_watch(*address, *size);
    return kOk;
  }
  if (*type != kSoftware && *type != kHardware) return "";
  if (insert)
    breakpoints_.insert(*address);
  else
    breakpoints_.erase(*address);
  world_.set_breakpoints(breakpoints_);
  return kOk;
}

// --- threads and running ---

std::string Server::select_thread(Fields f) {
  const bool general = f.eat("g");
  if (!general && !f.eat("c")) return kBadPacket;
  const auto tid = f.thread();
  if (!tid) return kBadPacket;
  if (*tid <= 0) {
    if (general) selected_ = stop_.thread;
    return kOk;
  }
  if (!world_.with_thread(static_cast<pid_t>(*tid), [](user::Thread&) {})) return kBadThread;
  if (general) selected_ = static_cast<pid_t>(*tid);
  return kOk;
}

void Server::resume_old_style(Resume how, Fields f, bool with_signal) {
  const int signal = with_signal ? signal_from_gdb(static_cast<int>(f.number().value_or(0))) : 0;
  running_ = true;
  world_.resume({{stop_.thread, how}}, Resume::Continue, stop_.thread, signal);
}

std::string Server::resume_by_vcont(Fields f) {
  std::map<pid_t, Resume> threads;
  Resume others = Resume::Hold;
  bool has_default = false;
  pid_t signal_to = 0;
  int signal = 0;
  while (f.eat(";")) {
    const std::string_view action = f.until(":;");
    std::optional<int64_t> tid = -1;
    if (f.eat(":")) tid = f.thread();
    if (action.empty() || !tid) return kBadPacket;
    const char kind = action[0];
    const bool step = kind == 's' || kind == 'S';
    if (!step && kind != 'c' && kind != 'C') return kBadPacket;
    const Resume how = step ? Resume::Step : Resume::Continue;
    if (kind == 'C' || kind == 'S') {
      Fields number(action.substr(1));
      const int given = signal_from_gdb(static_cast<int>(number.number().value_or(0)));
      // To all threads means: to the one that stopped.
      const pid_t to = *tid > 0 ? static_cast<pid_t>(*tid) : stop_.thread;
      if (!signal_to || to == stop_.thread) signal_to = to, signal = given;
    }
    if (*tid > 0) {
      threads.try_emplace(static_cast<pid_t>(*tid), how);
    } else if (!has_default) {
      others = how;
      has_default = true;
    }
  }
  running_ = true;
  world_.resume(threads, others, signal_to, signal);
  return "";
}

std::string Server::answer_v(Fields f) {
  if (f.eat("Cont?")) return "vCont;c;C;s;S";
  if (f.eat("Cont")) return resume_by_vcont(f);
  if (f.eat("File:")) return files_.answer(f);
  if (f.eat("Kill")) {
    reply(kOk);
    user::host::die_by_signal(SIGKILL);
  }
  return "";
}

// --- queries ---

std::string Server::answer_query(Fields f) {
  if (f.eat("Supported"))
    return fmt::format(
        "PacketSize={:x};QStartNoAckMode+;QPassSignals+;qXfer:features:read+;qXfer:auxv:read+;"
        "qXfer:exec-file:read+;qXfer:threads:read+;qXfer:siginfo:read+;vContSupported+;swbreak+",
        kPacketSize);
  if (f.eat("Attached")) return "0";
  if (f.eat("fThreadInfo")) {
    std::string text = "m";
    for (const pid_t tid : world_.threads())
      text += (text.size() > 1 ? "," : "") + number_to_hex(static_cast<uint64_t>(tid));
    return text;
  }
  if (f.eat("sThreadInfo")) return "l";
  if (f.eat("ThreadExtraInfo,")) {
    const auto tid = f.thread();
    return to_hex(tid && *tid == stop_.thread ? "stopped" : "standing still");
  }
  if (f.rest() == "C") return "QC" + number_to_hex(static_cast<uint64_t>(stop_.thread));
  if (f.eat("Symbol")) return kOk;
  return "";
}

std::string Server::answer_set(Fields f) {
  if (f.eat("StartNoAckMode")) {
    acks_ = false;
    return kOk;
  }
  if (f.eat("PassSignals:")) {
    std::set<int> signals;
    while (const auto number = f.number()) {
      signals.insert(signal_from_gdb(static_cast<int>(*number)));
      f.eat(";");
    }
    world_.pass_signals(std::move(signals));
    return kOk;
  }
  return "";
}

std::string Server::thread_list_xml() {
  std::string xml = "<?xml version=\"1.0\"?><threads>";
  for (const pid_t tid : world_.threads()) xml += fmt::format("<thread id=\"{:x}\"/>", tid);
  return xml + "</threads>";
}

std::string Server::auxv() {
  std::string bytes;
  const user::DataModel& model = world_.process().abi.model;
  for (const uint64_t value : world_.process().program.auxv) {
    for (unsigned i = 0; i < model.word; i++)
      bytes += static_cast<char>(value >> 8 * (model.big_endian ? model.word - 1 - i : i));
  }
  return bytes;
}

std::string Server::answer_xfer(Fields f) {
  const std::string_view kind = f.until(":");
  if (!f.eat(":read:")) return "";
  f.until(":");  // annex
  f.eat(":");
  const auto offset = f.number();
  f.eat(",");
  const auto size = f.number();
  if (!offset || !size) return kBadPacket;
  if (kind == "features") return piece(registers_.target_xml(), *offset, *size);
  if (kind == "auxv") return piece(auxv(), *offset, *size);
  if (kind == "exec-file") return piece(world_.process().program.exe, *offset, *size);
  if (kind == "threads") return piece(thread_list_xml(), *offset, *size);
  if (kind == "siginfo")
    return piece({reinterpret_cast<const char*>(&stop_.info), sizeof stop_.info}, *offset, *size);
  return "";
}

}  // namespace lyrebird::gdb
