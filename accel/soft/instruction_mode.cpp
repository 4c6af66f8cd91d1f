// SPDX-License-Identifier: Apache-2.0
#include "accel/soft/instruction_mode.h"

#include <algorithm>
#include <chrono>

#include "accel/soft/system_vcpu.h"

namespace lyrebird::accel {

namespace {

/// Instructions of a turn, as long as somebody else is ready.
constexpr uint64_t kQuantum = 20'000;
/// Of a slice without a deadline.
constexpr uint64_t kLongest = 10'000'000;

int64_t load(const int64_t* budget) { return __atomic_load_n(budget, __ATOMIC_RELAXED); }
void store(int64_t* budget, int64_t value) { __atomic_store_n(budget, value, __ATOMIC_RELAXED); }

}  // namespace

InstructionMode::InstructionMode(const frontend::SystemFrontend& frontend, system::CountedClock& clock)
    : frontend_(frontend), clock_(clock) {
  clock_.set_counter(this);
}

InstructionMode::~InstructionMode() { clock_.set_counter(nullptr); }

void InstructionMode::add(SystemVcpu& vcpu) {
  const std::lock_guard lock(mutex_);
  members_.push_back({&vcpu, frontend_.instruction_budget(vcpu.state()), State::Ready});
  if (members_.size() == 1) budget_.store(members_[0].budget);
}

uint64_t InstructionMode::instructions() const {
  const int64_t* const budget = budget_.load(std::memory_order_acquire);
  return end_.load(std::memory_order_acquire) - static_cast<uint64_t>(budget ? load(budget) : 0);
}

size_t InstructionMode::next(size_t from, State state) const {
  for (size_t i = 1; i < members_.size(); ++i)
    if (const size_t at = (from + i) % members_.size(); members_[at].state == state && !members_[at].held)
      return at;
  return from;
}

bool InstructionMode::any_ready() const {
  return std::any_of(members_.begin(), members_.end(),
                     [](const Member& m) { return m.state == State::Ready && !m.held; });
}

void InstructionMode::pass(size_t to) {
  const uint64_t count = instructions();
  store(members_[current_].budget, 0);
  store(members_[to].budget, 0);
  end_.store(count, std::memory_order_release);
  budget_.store(members_[to].budget, std::memory_order_release);
  current_ = to;
  quantum_end_ = count + kQuantum;
  changed_.notify_all();
}

bool InstructionMode::acquire(SystemVcpu& vcpu) {
  Lock lock(mutex_);
  return acquire(lock, vcpu);
}

bool InstructionMode::acquire(Lock& lock, SystemVcpu& vcpu) {
  const size_t self = vcpu.index();
  for (;;) {
    if (vcpu.kicked()) return false;
    if (current_ != self) {
      changed_.wait(lock, [&] { return current_ == self || vcpu.kicked(); });
      continue;
    }
    if (members_[self].state == State::Ready) return true;
    if (const size_t other = next(self, State::Ready); other != self)
      pass(other);
    else
      idle(lock, vcpu);
  }
}

void InstructionMode::idle(Lock& lock, SystemVcpu& vcpu) {
  const auto woken = [&] { return any_ready() || vcpu.kicked() || current_ != vcpu.index(); };
  dirty_.store(false);
  lock.unlock();
  const int64_t deadline = clock_.next_deadline(), now = clock_.now_ns();
  lock.lock();
  if (woken()) return;
  const auto start = std::chrono::steady_clock::now();
  bool due = deadline <= now || (deadline != system::kNever && !clock_.waits());
  if (!due) {
    const auto disturbed = [&] { return woken() || dirty_.load(); };
    if (deadline == system::kNever)
      changed_.wait(lock, disturbed);
    else
      due = !changed_.wait_for(lock, std::chrono::nanoseconds(deadline - now), disturbed);
  }
  lock.unlock();
  const std::chrono::nanoseconds waited = std::chrono::steady_clock::now() - start;
  // From outside: it happens when it happens.
  const int64_t then = due ? deadline : std::min(deadline - 1, now + int64_t{waited.count()});
  if (then > now) clock_.warp_to(then);
  clock_.run_expired();
  lock.lock();
}

void InstructionMode::release(SystemVcpu& vcpu) {
  const std::lock_guard lock(mutex_);
  const size_t self = vcpu.index();
  if (current_ != self || members_[self].state != State::Off) return;
  size_t to = next(self, State::Ready);
  if (to == self) to = next(self, State::Asleep);
  if (to != self) pass(to);
}

bool InstructionMode::due(const SystemVcpu& vcpu) const {
  return dirty_.load(std::memory_order_relaxed) || load(members_[vcpu.index()].budget) <= 0;
}

bool InstructionMode::next_slice(SystemVcpu& vcpu) {
  dirty_.store(false);
  clock_.run_expired();
  clock_.follow_host();
  const int64_t deadline = clock_.next_deadline();
  Lock lock(mutex_);
  const size_t self = vcpu.index();
  const uint64_t count = instructions();
  const size_t other = next(self, State::Ready);
  if (other != self && count >= quantum_end_) {
    pass(other);
    return acquire(lock, vcpu);
  }
  if (count >= quantum_end_) quantum_end_ = count + kQuantum;
  const uint64_t slice = std::min(
      {clock_.instructions_until(deadline), kLongest, other != self ? quantum_end_ - count : kLongest});
  store(members_[self].budget, static_cast<int64_t>(slice));
  end_.store(count + slice, std::memory_order_release);
  return true;
}

bool InstructionMode::sleep(SystemVcpu& vcpu) {
  Lock lock(mutex_);
  const uint32_t lines = vcpu.state().interrupt_lines.load();
  if (lines != 0 && frontend_.wakes(vcpu.state(), lines)) return true;
  members_[vcpu.index()].state = State::Asleep;
  return acquire(lock, vcpu);
}

bool InstructionMode::yield(SystemVcpu& vcpu) {
  Lock lock(mutex_);
  if (const size_t other = next(vcpu.index(), State::Ready); other != vcpu.index()) pass(other);
  return acquire(lock, vcpu);
}

void InstructionMode::prepare_step(SystemVcpu& vcpu) {
  const std::lock_guard lock(mutex_);
  int64_t* const budget = members_[vcpu.index()].budget;
  if (load(budget) > 0) return;
  if (current_ == vcpu.index()) end_.fetch_add(static_cast<uint64_t>(1 - load(budget)));
  store(budget, 1);
}

void InstructionMode::look(SystemVcpu& vcpu) {
  const std::lock_guard lock(mutex_);
  Member& member = members_[vcpu.index()];
  const uint32_t lines = vcpu.state().interrupt_lines.load();
  if (member.state == State::Asleep && lines != 0 && frontend_.wakes(vcpu.state(), lines))
    wake_up(vcpu.index());
  changed_.notify_all();
}

void InstructionMode::wake_up(size_t member) {
  members_[member].state = State::Ready;
  if (member == current_) return;
  // Its turn comes with the end of the quantum.
  dirty_.store(true);
  jit::request_exit(members_[current_].vcpu->state());
}

void InstructionMode::set_power(SystemVcpu& vcpu, bool on) {
  const std::lock_guard lock(mutex_);
  if (on)
    wake_up(vcpu.index());
  else
    members_[vcpu.index()].state = State::Off;
  if (on && members_[current_].state == State::Off && !members_[vcpu.index()].held) pass(vcpu.index());
}

void InstructionMode::set_held(SystemVcpu& vcpu, bool held) {
  const std::lock_guard lock(mutex_);
  members_[vcpu.index()].held = held;
  if (!members_[current_].held) return;
  for (const State state : {State::Ready, State::Asleep})
    if (const size_t to = next(current_, state); to != current_) return pass(to);
}

void InstructionMode::deadline_changed() {
  const std::lock_guard lock(mutex_);
  dirty_.store(true);
  if (!members_.empty()) jit::request_exit(members_[current_].vcpu->state());
  changed_.notify_all();
}

}  // namespace lyrebird::accel
