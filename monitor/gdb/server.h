// SPDX-License-Identifier: Apache-2.0
/// The gdb remote stub: answers packets about a target, whatever that is and however they come.
///
/// Supported: target.xml, registers and memory, Z0/Z1 breakpoints, watchpoints as far as the target has them,
/// vCont (c, C, s, S) per thread, Ctrl-C, threads, signals with pass/nopass, qXfer (features, threads, and
/// what the target has), detach, kill; vFile, qRcmd and the like are the target's.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "monitor/gdb/packet.h"
#include "monitor/gdb/registers.h"
#include "monitor/gdb/target.h"

namespace lyrebird::gdb {

class Server {
 public:
  using Send = std::function<void(std::string_view bytes)>;
  Server(Target& target, const Registers& registers, ThreadId first_thread, Send send);

  /// Bytes from gdb.
  void receive(std::string_view bytes);
  /// The target has a stop or an end to tell, perhaps.
  void on_event();
  /// gdb let the guest go, or the guest is gone: nothing is answered any more.
  bool done() const { return done_; }
  /// The connection is gone.
  void detach();

 private:
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
  bool there(ThreadId thread);
  void resume_old_style(Resume how, Fields f, bool with_signal);
  std::string resume_by_vcont(Fields f);

  Target& target_;
  const Registers& registers_;
  const Send send_;
  PacketReader reader_;
  std::string last_sent_;
  std::set<uint64_t> breakpoints_;
  StopReason stop_;
  ThreadId selected_ = 0;
  bool acks_ = true, running_ = false, done_ = false;
};

}  // namespace lyrebird::gdb
