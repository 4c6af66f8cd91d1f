// SPDX-License-Identifier: Apache-2.0
#include "machines/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace lyrebird::machines {

Machine::Machine(system::EventLoop& loop, std::shared_ptr<system::Clock> clock)
    : loop_(loop),
      clock_(clock ? std::move(clock) : std::make_shared<system::HostClock>(loop)),
      self_(std::make_shared<Machine*>(this)) {}

Machine::~Machine() {
  stop_cpus();
  *self_ = nullptr;
}

void Machine::add_cpu(accel::Vcpu& vcpu, std::string name) {
  const size_t index = threads_.size();
  threads_.push_back(std::make_unique<accel::VcpuThread>(vcpu, std::move(name),
                                                         [this, index](accel::VcpuThread&, accel::Exit exit) {
                                                           loop_.post([self = self_, index, exit] {
                                                             if (*self) (*self)->on_stop(index, exit);
                                                           });
                                                         }));
}

void Machine::stop_cpus() {
  for (const auto& thread : threads_) thread->request_pause();
  for (const auto& thread : threads_) thread->stop();
}

void Machine::resume() {
  std::vector<size_t> all(threads_.size());
  std::iota(all.begin(), all.end(), size_t{0});
  resume(all);
}

void Machine::resume(const std::vector<size_t>& cpus) {
  if (running_ || ended_) return;
  running_ = true;
  clock_->start();
  for (size_t i = 0; i < threads_.size(); ++i)
    threads_[i]->vcpu().set_held(std::ranges::find(cpus, i) == cpus.end());
  for (const size_t index : cpus) threads_[index]->resume();
}

accel::Exit Machine::step(size_t cpu, bool undisturbed) {
  accel::VcpuThread& thread = *threads_[cpu];
  if (ended_ || !thread.powered()) return {ir::ExitKind::Debug, 0};
  const accel::Exit exit = undisturbed ? thread.step_undisturbed() : thread.step();
  if (exit.kind != ir::ExitKind::Debug && exit.kind != ir::ExitKind::Interrupted) on_stop(cpu, exit);
  return exit;
}

void Machine::pause() {
  if (!running_) return;
  running_ = false;
  for (const auto& thread : threads_) thread->request_pause();
  for (const auto& thread : threads_) thread->wait_paused();
  clock_->stop();
}

void Machine::reset() {
  const bool was_running = running_;
  pause();
  reset_board();
  if (was_running) resume();
}

void Machine::request_reset() {
  // Nobody who asks for it may go on as if nothing had happened.
  for (const auto& thread : threads_) thread->request_pause();
  loop_.post([self = self_] {
    if (!*self) return;
    if ((*self)->allow_reset)
      (*self)->reset();
    else
      (*self)->shut_down(Shutdown::Reset, "");
  });
}

void Machine::request_shutdown(Shutdown reason) {
  for (const auto& thread : threads_) thread->request_pause();
  loop_.post([self = self_, reason] {
    if (*self) (*self)->shut_down(reason, "");
  });
}

void Machine::request_pause() {
  loop_.post([self = self_] {
    if (*self) (*self)->pause();
  });
}

void Machine::shut_down(Shutdown reason, const std::string& message) {
  pause();
  if (ended_) return;
  ended_ = true;
  if (on_shutdown) on_shutdown(reason, message);
}

void Machine::on_stop(size_t index, accel::Exit exit) {
  switch (exit.kind) {
    case ir::ExitKind::Debug:
      pause();
      (void)threads_[index]->vcpu().read_state();  // who is told looks where it stands
      if (on_debug) on_debug(index, exit);
      return;
    case ir::ExitKind::Reset:
      return request_reset();
    case ir::ExitKind::Shutdown:
      return request_shutdown(Shutdown::Guest);
    default:
      return shut_down(Shutdown::Error, fmt::format("CPU {} can't go on at {:#x} (exit {}, {:#x})", index,
                                                    threads_[index]->vcpu().state().pc,
                                                    static_cast<int>(exit.kind), exit.detail));
  }
}

}  // namespace lyrebird::machines
