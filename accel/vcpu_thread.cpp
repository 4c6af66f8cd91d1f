// SPDX-License-Identifier: Apache-2.0
#include "accel/vcpu_thread.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <cstring>
#include <utility>

namespace lyrebird::accel {

VcpuThread::VcpuThread(Vcpu& vcpu, std::string name, StopCallback on_stop)
    : vcpu_(vcpu), name_(std::move(name)), on_stop_(std::move(on_stop)), thread_([this] { loop(); }) {}

VcpuThread::~VcpuThread() { stop(); }

void VcpuThread::resume() {
  const std::lock_guard lock(mutex_);
  wanted_ = true;
  changed_.notify_all();
}

void VcpuThread::request_pause() {
  const std::lock_guard lock(mutex_);
  wanted_ = false;
  if (running_) vcpu_.kick();
}

void VcpuThread::wait_paused() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !running_; });
}

bool VcpuThread::paused() const {
  const std::lock_guard lock(mutex_);
  return !running_;
}

void VcpuThread::set_power(bool on) {
  const std::lock_guard lock(mutex_);
  power_ = on;
  vcpu_.set_power(on);
  if (!on && running_) vcpu_.kick();
  changed_.notify_all();
}

bool VcpuThread::powered() const {
  const std::lock_guard lock(mutex_);
  return power_;
}

namespace {

/// A kick that came when run() was on its way out was meant for it, and is still there.
template <typename Step>
Exit step_past_old_kick(Step step) {
  const Exit exit = step();
  return exit.kind == ir::ExitKind::Interrupted ? step() : exit;
}

}  // namespace

Exit VcpuThread::step() {
  return step_past_old_kick([this] { return vcpu_.step(); });
}
Exit VcpuThread::step_undisturbed() {
  return step_past_old_kick([this] { return vcpu_.step_undisturbed(); });
}

void VcpuThread::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    wanted_ = false;
    if (running_) vcpu_.kick();
    changed_.notify_all();
  }
  thread_.join();
}

Result<void> VcpuThread::pin(const std::vector<unsigned>& host_cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::string list;
  for (const unsigned cpu : host_cpus) {
    if (cpu >= CPU_SETSIZE) return Error{name_ + ": host CPU " + std::to_string(cpu) + "?"};
    CPU_SET(cpu, &set);
    list += (list.empty() ? "" : ",") + std::to_string(cpu);
  }
  if (const int error = pthread_setaffinity_np(thread_.native_handle(), sizeof set, &set); error != 0)
    return Error{name_ + ": can't run on host CPU " + list + ": " + std::strerror(error)};
  return {};
}

void VcpuThread::loop() {
  host_thread_.store(static_cast<int>(gettid()));
  pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || (wanted_ && power_); });
    if (stop_) return;
    running_ = true;
    lock.unlock();
    const Exit exit = vcpu_.run();
    lock.lock();
    const bool told = exit.kind != ir::ExitKind::Interrupted;
    if (told) wanted_ = false;
    running_ = false;
    changed_.notify_all();
    if (!told) continue;
    lock.unlock();
    on_stop_(*this, exit);
    lock.lock();
  }
}

}  // namespace lyrebird::accel
