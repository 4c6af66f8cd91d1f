// SPDX-License-Identifier: Apache-2.0
/// One host thread that runs one vCPU.
///
/// A thread starts paused. The machine's own threads (event loop, monitor) call everything here; callbacks
/// come from the vCPU's thread, which must not wait for the machine: post to the event loop.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "accel/vcpu.h"

namespace lyrebird::accel {

class VcpuThread {
 public:
  /// What run() came back with, but for Interrupted: the thread is paused, and told so by paused().
  using StopCallback = std::function<void(VcpuThread&, Exit)>;

  /// `name`: of the host thread.
  VcpuThread(Vcpu& vcpu, std::string name, StopCallback on_stop);
  /// stop()s.
  ~VcpuThread();
  VcpuThread(const VcpuThread&) = delete;
  VcpuThread& operator=(const VcpuThread&) = delete;

  Vcpu& vcpu() { return vcpu_; }

  /// Lets the vCPU run.
  void resume();
  /// Asks the thread to pause, without waiting for it.
  void request_pause();
  /// Waits until the thread is paused; not from the thread itself. The state may be looked at and changed
  /// then.
  void wait_paused();
  void pause() {
    request_pause();
    wait_paused();
  }
  bool paused() const;
  /// Off: resume() remembers, but the vCPU does not run before set_power(true) (PSCI, APIC INIT). At first:
  /// on. Called by the thread itself, or while it is paused or off.
  void set_power(bool on);
  bool powered() const;
  /// The host CPUs that the thread may run on.
  Result<void> pin(const std::vector<unsigned>& host_cpus);
  /// Its number on the host, for tools like taskset.
  int host_thread() const { return host_thread_.load(); }
  /// While paused: one instruction.
  Exit step();
  Exit step_undisturbed();
  /// Ends the thread.
  void stop();

 private:
  void loop();

  Vcpu& vcpu_;
  const std::string name_;
  const StopCallback on_stop_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool wanted_ = false;  ///< resume()d
  bool power_ = true;
  bool running_ = false;  ///< inside of run()
  bool stop_ = false;
  std::atomic<int> host_thread_{0};
  std::thread thread_;
};

}  // namespace lyrebird::accel
