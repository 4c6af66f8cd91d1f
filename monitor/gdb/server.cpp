// SPDX-License-Identifier: Apache-2.0
#include "monitor/gdb/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <utility>

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

const char* watch_name(WatchKind kind) {
  return kind == WatchKind::Write ? "watch" : kind == WatchKind::Read ? "rwatch" : "awatch";
}

}  // namespace

Server::Server(Target& target, const Registers& registers, ThreadId first_thread, Send send)
    : target_(target), registers_(registers), send_(std::move(send)), selected_(first_thread) {
  stop_.thread = first_thread;
  stop_.signal = SIGTRAP;
}

void Server::receive(std::string_view bytes) {
  reader_.feed(bytes);
  std::string packet;
  while (!done_) {
    switch (reader_.next(packet)) {
      case PacketReader::Event::None:
        return;
      case PacketReader::Event::Packet:
        if (acks_) send_("+");
        handle(packet);
        break;
      case PacketReader::Event::BadChecksum:
        if (acks_) send_("-");
        break;
      case PacketReader::Event::Interrupt:
        target_.interrupt();
        break;
      case PacketReader::Event::Nack:
        send_(last_sent_);
        break;
      case PacketReader::Event::Ack:
        break;
    }
  }
}

void Server::on_event() {
  if (auto stop = target_.take_stop()) {
    stop_ = std::move(*stop);
    selected_ = stop_.thread;
    running_ = false;
    reply(stop_reply());
  }
  if (const std::string end = target_.take_end(); !end.empty()) {
    if (running_) reply(end);
    target_.end_was_told();
    done_ = true;
  }
}

void Server::reply(std::string_view data) {
  last_sent_ = frame(data);
  send_(last_sent_);
}

void Server::handle(std::string_view packet) {
  const std::string text = answer(packet);
  // What makes the guest run is answered by its next stop.
  if (!running_ && !done_) reply(text);
}

std::string Server::answer(std::string_view packet) {
  if (auto own = target_.answer(packet)) return *own;
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
    return tid && there(*tid) ? kOk : kBadThread;
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
  if (f.eat("k")) {
    done_ = true;
    target_.kill();
  }
  return "";
}

bool Server::there(ThreadId thread) {
  const std::vector<ThreadId> all = target_.threads();
  return std::find(all.begin(), all.end(), thread) != all.end();
}

void Server::detach() {
  if (done_) return;
  done_ = true;
  target_.let_go();
}

std::string Server::stop_reply() {
  std::string text = fmt::format("T{:02x}", signal_to_gdb(stop_.signal));
  target_.with_cpu(stop_.thread, false, [&](ir::CpuHeader& cpu) {
    for (const unsigned number : {registers_.fp, registers_.sp, registers_.pc})
      text += fmt::format("{:x}:{};", number, to_hex(registers_.read(cpu, number)));
  });
  if (stop_.breakpoint) text += "swbreak:;";
  if (stop_.watch) text += fmt::format("{}:{:x};", watch_name(stop_.watch_kind), *stop_.watch);
  return text + fmt::format("thread:{:x};", stop_.thread);
}

// --- registers, memory, breakpoints ---

std::string Server::read_registers() {
  std::string out;
  const bool found = target_.with_cpu(selected_, false, [&](ir::CpuHeader& cpu) {
    for (unsigned i = 0; i < registers_.in_g; i++) out += to_hex(registers_.read(cpu, i));
  });
  return found ? out : kBadThread;
}

std::string Server::write_registers(Fields f) {
  const auto bytes = from_hex(f.rest());
  if (!bytes) return kBadPacket;
  bool good = true;
  target_.with_cpu(selected_, true, [&](ir::CpuHeader& cpu) {
    std::string_view rest = *bytes;
    for (unsigned i = 0; i < registers_.in_g && good; i++) {
      const size_t size = registers_.read(cpu, i).size();
      good = registers_.write(cpu, i, rest.substr(0, size));
      rest.remove_prefix(std::min(size, rest.size()));
    }
  });
  return good ? kOk : kBadPacket;
}

std::string Server::read_register(Fields f) {
  const auto number = f.number();
  std::string out;
  if (!number || !target_.with_cpu(selected_, false, [&](ir::CpuHeader& cpu) {
        out = to_hex(registers_.read(cpu, static_cast<unsigned>(*number)));
      }))
    return kBadThread;
  return out.empty() ? kBadPacket : out;
}

std::string Server::write_register(Fields f) {
  const auto number = f.number();
  if (!number || !f.eat("=")) return kBadPacket;
  const auto bytes = from_hex(f.rest());
  bool good = false;
  if (!bytes || !target_.with_cpu(selected_, true, [&](ir::CpuHeader& cpu) {
        good = registers_.write(cpu, static_cast<unsigned>(*number), *bytes);
      }))
    return kBadThread;
  return good ? kOk : kBadPacket;
}

std::string Server::read_memory(Fields f) {
  const auto address = f.number();
  f.eat(",");
  const auto size = f.number();
  if (!address || !size) return kBadPacket;
  const std::string bytes = target_.read_memory(selected_, *address, std::min(*size, kMaxMemory));
  return bytes.empty() && *size ? kBadMemory : to_hex(bytes);
}

std::string Server::write_memory(Fields f, bool binary) {
  const auto address = f.number();
  f.eat(",");
  const auto size = f.number();
  if (!address || !size || !f.eat(":")) return kBadPacket;
  const auto bytes = binary ? std::optional<std::string>(f.rest()) : from_hex(f.rest());
  if (!bytes || bytes->size() != *size) return kBadPacket;
  return bytes->empty() || target_.write_memory(selected_, *address, *bytes) ? kOk : kBadMemory;
}

std::string Server::answer_breakpoint(Fields f, bool insert) {
  const auto type = f.number();
  f.eat(",");
  const auto address = f.number();
  f.eat(",");
  const auto size = f.number();
  constexpr uint64_t kHardware = 1, kLastWatch = 4;  // 0 is a breakpoint, too
  if (!type || !address || !size) return kBadPacket;
  if (*type > kLastWatch) return "";
  if (*type > kHardware) {
    constexpr WatchKind kKinds[] = {WatchKind::Write, WatchKind::Read, WatchKind::Access};
    const WatchKind kind = kKinds[*type - kHardware - 1];
    const bool known =
        insert ? target_.add_watch(kind, *address, *size) : target_.remove_watch(kind, *address, *size);
    return known ? kOk : "";
  }
  if (insert)
    breakpoints_.insert(*address);
  else
    breakpoints_.erase(*address);
  target_.set_breakpoints(breakpoints_);
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
  if (!there(*tid)) return kBadThread;
  if (general) selected_ = *tid;
  return kOk;
}

void Server::resume_old_style(Resume how, Fields f, bool with_signal) {
  const int signal = with_signal ? signal_from_gdb(static_cast<int>(f.number().value_or(0))) : 0;
  running_ = true;
  target_.resume({{stop_.thread, how}}, Resume::Continue, stop_.thread, signal);
}

std::string Server::resume_by_vcont(Fields f) {
  std::map<ThreadId, Resume> threads;
  Resume others = Resume::Hold;
  bool has_default = false;
  ThreadId signal_to = 0;
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
      const ThreadId to = *tid > 0 ? *tid : stop_.thread;
      if (!signal_to || to == stop_.thread) signal_to = to, signal = given;
    }
    if (*tid > 0) {
      threads.try_emplace(*tid, how);
    } else if (!has_default) {
      others = how;
      has_default = true;
    }
  }
  running_ = true;
  target_.resume(threads, others, signal_to, signal);
  return "";
}

std::string Server::answer_v(Fields f) {
  if (f.eat("Cont?")) return "vCont;c;C;s;S";
  if (f.eat("Cont")) return resume_by_vcont(f);
  if (f.eat("Kill")) {
    reply(kOk);
    done_ = true;
    target_.kill();
  }
  return "";
}

// --- queries ---

std::string Server::answer_query(Fields f) {
  if (f.eat("Supported"))
    return fmt::format(
        "PacketSize={:x};QStartNoAckMode+;qXfer:features:read+;qXfer:threads:read+;vContSupported+;swbreak+{"
        "}",
        kPacketSize, target_.features());
  if (f.eat("Attached")) return target_.attached() ? "1" : "0";
  if (f.eat("fThreadInfo")) {
    std::string text = "m";
    for (const ThreadId tid : target_.threads())
      text += (text.size() > 1 ? "," : "") + number_to_hex(static_cast<uint64_t>(tid));
    return text;
  }
  if (f.eat("sThreadInfo")) return "l";
  if (f.eat("ThreadExtraInfo,")) {
    const auto tid = f.thread();
    return to_hex(tid ? target_.describe(*tid) : "");
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
    target_.pass_signals(std::move(signals));
    return kOk;
  }
  return "";
}

std::string Server::thread_list_xml() {
  std::string xml = "<?xml version=\"1.0\"?><threads>";
  for (const ThreadId tid : target_.threads()) xml += fmt::format("<thread id=\"{:x}\"/>", tid);
  return xml + "</threads>";
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
  if (kind == "threads") return piece(thread_list_xml(), *offset, *size);
  if (kind == "siginfo" && !stop_.siginfo.empty()) return piece(stop_.siginfo, *offset, *size);
  if (const auto object = target_.object(kind)) return piece(*object, *offset, *size);
  return "";
}

}  // namespace lyrebird::gdb
