// SPDX-License-Identifier: Apache-2.0
/// A machine as target: thread N is CPU N-1. Virtual addresses are those of the thread that is looked at, or
/// physical ones in the peer's PhyMemMode.
///
/// A step runs one instruction of one CPU, with its interrupts held back and the machine's clock at rest
/// unless others were told to go on; `maintenance packet Qqemu.sstep` changes that as the peer has it.
#pragma once

#include <memory>

#include "accel/accelerator.h"
#include "machines/machine.h"
#include "monitor/gdb/registers.h"
#include "monitor/gdb/server.h"
#include "monitor/gdb/target.h"
#include "system/char_backend.h"

namespace lyrebird::gdb {

class MachineTarget final : public Target {
 public:
  struct Hooks {
    std::function<std::string(std::string_view)> command;  ///< of the monitor, for `monitor ...`
    std::function<void()> quit;                            ///< ends the emulator
    std::function<void()> event;                           ///< there is something to tell
  };
  MachineTarget(machines::Machine& machine, Hooks hooks) : machine_(machine), hooks_(std::move(hooks)) {}

  /// gdb is there: the machine stands.
  void begin();
  /// Machine::on_debug.
  void on_debug(size_t cpu, accel::Exit exit);
  void on_end(unsigned status);

  std::optional<StopReason> take_stop() override { return std::exchange(stop_, std::nullopt); }
  std::string take_end() override { return std::exchange(end_, {}); }
  void end_was_told() override {}
  void resume(const std::map<ThreadId, Resume>& threads, Resume others, ThreadId, int) override;
  void interrupt() override;
  void let_go() override;
  void kill() override { hooks_.quit(); }
  void set_breakpoints(std::set<uint64_t> addresses) override;
  bool add_watch(WatchKind kind, uint64_t address, uint64_t size) override;
  bool remove_watch(WatchKind kind, uint64_t address, uint64_t size) override;
  std::vector<ThreadId> threads() override;
  std::string describe(ThreadId thread) override;
  bool with_cpu(ThreadId thread, bool changes, const std::function<void(ir::CpuHeader&)>& f) override;
  std::string read_memory(ThreadId thread, uint64_t address, uint64_t size) override;
  bool write_memory(ThreadId thread, uint64_t address, std::string_view bytes) override;
  bool attached() const override { return true; }
  std::optional<std::string> answer(std::string_view packet) override;

 private:
  struct Watch {
    WatchKind kind;
    uint64_t address, size;
    bool operator==(const Watch&) const = default;
  };
  void stop(size_t cpu, int signal);
  bool update_watches();
  void note_watch(size_t cpu, StopReason& reason);
  std::optional<uint64_t> translate(ThreadId thread, uint64_t address);

  machines::Machine& machine_;
  const Hooks hooks_;
  std::optional<StopReason> stop_;
  std::string end_;
  std::set<uint64_t> breakpoints_;
  std::vector<Watch> watches_;
  size_t last_cpu_ = 0;
  std::vector<size_t> running_cpus_;
  bool running_ = false;  ///< as gdb sees it
  bool physical_ = false;
  static constexpr unsigned kStepEnable = 1, kStepNoIrq = 2, kStepNoTimer = 4;
  unsigned step_mode_ = kStepEnable | kStepNoIrq | kStepNoTimer;
};

/// -gdb: one gdb at a time, on a character back end. All on the event loop's thread.
class MachineStub final : public system::CharReceiver {
 public:
  MachineStub(machines::Machine& machine, const Registers& registers, system::CharBackend& backend,
              std::function<std::string(std::string_view)> command, std::function<void()> quit);
  ~MachineStub() override;

  size_t room() override { return 4096; }
  void receive(std::span<const uint8_t> bytes) override;
  void connected(bool there) override;
  /// The machine has ended.
  void on_end(unsigned status);

 private:
  void start();
  void post_event();

  const Registers& registers_;
  system::CharBackend& backend_;
  system::EventLoop& loop_;
  const std::shared_ptr<MachineStub*> alive_;
  MachineTarget target_;
  std::unique_ptr<Server> server_;
};

}  // namespace lyrebird::gdb
