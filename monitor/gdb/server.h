// SPDX-License-Identifier: Apache-2.0
/// The gdb remote stub for user mode: answers packets on a thread of its own.
///
/// Supported: target.xml, registers and memory, Z0/Z1 breakpoints, vCont (c, C, s, S) per thread,
/// Ctrl-C, threads, signals with pass/nopass, qXfer (auxv, exec-file, features, threads, siginfo),
/// vFile (gdb reads the program and its libraries through us), detach, kill. Write watchpoints run
/// the guest by single steps; there are none for reads.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "monitor/gdb/connection.h"
#include "monitor/gdb/files.h"
#include "monitor/gdb/memory.h"
#include "monitor/gdb/packet.h"
#include "monitor/gdb/registers.h"
#include "monitor/gdb/world.h"

namespace lyrebird::gdb {

/// -g: waits for gdb at `where` (a port or a path); the guest then starts stopped. False: a message
/// was printed. Fits user::DebuggerStart.
bool start_debugger(user::Thread& first, const std::string& where);

class Server {
 public:
  Server(World& world, const Registers& registers, pid_t first_thread);
  Connection& connection() { return connection_; }
  /// Serves until gdb or the guest is gone. Never returns before that.
  void run();

 private:
  void on_input();
  void on_event();
  void handle(std::string_view packet);
  void reply(std::string_view data);
  std::string answer(std::string_view packet);
  std::string answer_query(Fields f);
  std::string answer_set(Fields f);
  std::string answer_v(Fields f);
  std::string answer_xfer(Fields f);
  std::string answer_breakpoint(Fields f, bool insert);
  std::string read_registers();
  std::string write_registers(Fields f);
  std::string read_register(Fields f);
  std::string write_register(Fields f);
  std::string read_memory(Fields f);
  std::string write_memory(Fields f, bool binary);
  std::string select_thread(Fields f);
  std::string stop_reply();
  std::string thread_list_xml();
  std::string auxv();
  void resume_old_style(Resume how, Fields f, bool with_signal);
  std::string resume_by_vcont(Fields f);
  void detach();

  World& world_;
  const Registers& registers_;
  const DebugMemory memory_;
  Files files_;
  Connection connection_;
  PacketReader reader_;
  std::string last_sent_;
  std::set<uint64_t> breakpoints_;
  StopReason stop_;
  pid_t selected_ = 0;
  bool acks_ = true, running_ = false, done_ = false;
};

}  // namespace lyrebird::gdb
