// SPDX-License-Identifier: Apache-2.0
/// What every board has: an event loop, a clock, vCPUs on threads of their own; running, pausing, resetting
/// and ending it all.
///
/// Everything here is called on the event loop's thread, but for the request_*() functions, which are for
/// any thread and return at once.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "accel/accelerator.h"
#include "accel/vcpu_thread.h"
#include "frontend/frontend.h"
#include "system/address_space.h"
#include "system/clock.h"
#include "system/event_loop.h"
#include "system/ram_block.h"
#include "system/state_stream.h"

namespace lyrebird::machines {

enum class Shutdown {
  Guest,  ///< the guest switched it off
  Reset,  ///< the guest wanted a reset, which is not allowed (-no-reboot)
  Host,   ///< the user ended it
  Error,  ///< it can't go on
};

/// A region of the board, for who prints it: `info qtree`.
struct BoardDevice {
  std::string name;
  std::string text;  ///< address, interrupt
};

class Machine {
 public:
  /// `clock`: nullptr: the host's.
  explicit Machine(system::EventLoop& loop, std::shared_ptr<system::Clock> clock = nullptr);
  virtual ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  system::EventLoop& loop() { return loop_; }
  system::Clock& clock() { return *clock_; }
  /// Memory as CPUs see it, and devices.
  virtual system::AddressSpace& memory() = 0;
  virtual accel::Accelerator& accelerator() = 0;
  /// What is in a vCPU's state.
  virtual const ir::StateLayout& layout() const = 0;
  /// Where the CPU reads a virtual address from, for debuggers: nothing changes. The CPU is paused and its
  /// state was read. Nullopt: it has nothing there.
  virtual std::optional<uint64_t> debug_translate(size_t cpu, uint64_t address) = 0;
  virtual std::vector<BoardDevice> devices() const = 0;
  /// What a saved state must be of to be loaded into this machine, by the option that says it.
  struct Trait {
    std::string name, value;
  };
  virtual std::vector<Trait> traits() const = 0;
  /// All memory of the guest's; what is saved and loaded apart from the rest.
  virtual std::vector<system::RamBlock*> ram_blocks() = 0;
  /// Everything but that memory, while the machine is paused; see saved_state.h. load() may leave half of a
  /// state behind when it fails: reset() makes it whole.
  virtual Result<void> save(system::StateWriter& to) = 0;
  virtual Result<void> load(system::StateReader& from) = 0;
  size_t cpu_count() const { return threads_.size(); }
  accel::VcpuThread& cpu(size_t index) { return *threads_[index]; }

  bool running() const { return running_; }
  /// CPUs and the clock go on, unless the machine has been shut down.
  void resume();
  /// Only these CPUs and the clock, for a debugger.
  void resume(const std::vector<size_t>& cpus);
  /// CPUs and the clock stand when it returns.
  void pause();
  /// While it is paused: one instruction of a CPU, without interrupts if `undisturbed`. A CPU that is off
  /// does nothing.
  accel::Exit step(size_t cpu, bool undisturbed);
  /// As after power-on; goes on if it was running.
  void reset();
  /// The power button; what it does is up to the guest.
  virtual void power_button() = 0;

  void request_reset();
  void request_shutdown(Shutdown reason);
  void request_pause();

  // What the machine tells, on the loop's thread.
  std::function<void(Shutdown, const std::string& message)> on_shutdown;
  /// A CPU stopped for the debugger; the machine is paused.
  std::function<void(size_t cpu, accel::Exit)> on_debug;
  bool allow_reset = true;  ///< false: a reset that the guest wants is a shutdown

 protected:
  /// Adds a thread for the vCPU (paused).
  void add_cpu(accel::Vcpu& vcpu, std::string name);
  /// Devices, memory contents and CPUs as after power-on; all is paused.
  virtual void reset_board() = 0;
  /// Ends the threads: first thing in the destructor of a board.
  void stop_cpus();

 private:
  void on_stop(size_t index, accel::Exit exit);
  void shut_down(Shutdown reason, const std::string& message);

  system::EventLoop& loop_;
  const std::shared_ptr<system::Clock> clock_;
  std::vector<std::unique_ptr<accel::VcpuThread>> threads_;
  bool running_ = false, ended_ = false;
  /// Posted callbacks look whether the machine is still there.
  std::shared_ptr<Machine*> self_;
};

}  // namespace lyrebird::machines
