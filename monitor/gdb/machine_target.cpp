// SPDX-License-Identifier: Apache-2.0
#include "monitor/gdb/machine_target.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <utility>

namespace lyrebird::gdb {

namespace {

constexpr uint64_t kPage = 4096;

size_t cpu_of(ThreadId thread) { return static_cast<size_t>(thread - 1); }
ThreadId thread_of(size_t cpu) { return static_cast<ThreadId>(cpu) + 1; }

Resume wish_of(ThreadId thread, const std::map<ThreadId, Resume>& threads, Resume others) {
  const auto found = threads.find(thread);
  return found == threads.end() ? others : found->second;
}

}  // namespace

void MachineTarget::begin() {
  machine_.pause();
  running_ = physical_ = false;
  stop_.reset();
}

// --- running

void MachineTarget::stop(size_t cpu, int signal) {
  running_ = false;
  last_cpu_ = cpu;
  StopReason reason;
  reason.thread = thread_of(cpu);
  reason.signal = signal;
  stop_ = reason;
  // The server is in the middle of a packet, perhaps.
  hooks_.event();
}

void MachineTarget::note_watch(size_t cpu, StopReason& reason) {
  const ir::CpuHeader& state = machine_.cpu(cpu).vcpu().state();
  const bool write = state.fault_access == static_cast<uint32_t>(ir::Access::Write);
  constexpr unsigned kTagShift = 8;  // addresses may have a tag
  for (const Watch& watch : watches_) {
    if (watch.kind != WatchKind::Access && (watch.kind == WatchKind::Write) != write) continue;
    const uint64_t from = state.fault_address << kTagShift, start = watch.address << kTagShift;
    if (from - start >= watch.size << kTagShift && start - from >= uint64_t{state.fault_size} << kTagShift)
      continue;
    reason.watch = watch.address;
    reason.watch_kind = watch.kind;
    return;
  }
}

void MachineTarget::on_debug(size_t cpu, accel::Exit exit) {
  // Another CPU was first: this one meets the same again when it goes on.
  if (!running_) return;
  const bool breakpoint = breakpoints_.contains(machine_.cpu(cpu).vcpu().state().pc);
  // It was one of the last time that CPUs ran.
  if (exit.detail != accel::kDebugWatch && !breakpoint) return machine_.resume(running_cpus_);
  stop(cpu, SIGTRAP);
  if (exit.detail == accel::kDebugWatch)
    note_watch(cpu, *stop_);
  else
    stop_->breakpoint = true;
}

void MachineTarget::on_end(unsigned status) {
  running_ = false;
  end_ = fmt::format("W{:02x}", status & 0xff);
  hooks_.event();
}

void MachineTarget::resume(const std::map<ThreadId, Resume>& threads, Resume others, ThreadId, int) {
  running_ = true;
  std::vector<size_t> running;
  std::optional<size_t> stepping;
  for (size_t cpu = 0; cpu < machine_.cpu_count(); ++cpu) {
    const Resume wish = wish_of(thread_of(cpu), threads, others);
    if (wish == Resume::Continue) running.push_back(cpu);
    if (wish == Resume::Step && (!stepping || cpu == last_cpu_)) stepping = cpu;
  }
  running_cpus_ = running;
  if (!stepping) return machine_.resume(running);
  if (!running.empty()) machine_.resume(running);
  const bool undisturbed = step_mode_ & kStepNoIrq;
  const accel::Exit exit = machine_.step(*stepping, undisturbed);
  machine_.pause();
  stop(*stepping, SIGTRAP);
  if (exit.kind == ir::ExitKind::Debug && exit.detail == accel::kDebugWatch) note_watch(*stepping, *stop_);
}

void MachineTarget::interrupt() {
  if (!running_) return;
  machine_.pause();
  stop(last_cpu_, SIGINT);
}

void MachineTarget::let_go() {
  set_breakpoints({});
  watches_.clear();
  if (machine_.cpu_count() != 0) {
    machine_.pause();
    (void)machine_.accelerator().set_watchpoints({});
  }
  running_ = false;
  machine_.resume();
}

void MachineTarget::set_breakpoints(std::set<uint64_t> addresses) {
  breakpoints_ = std::move(addresses);
  machine_.accelerator().set_breakpoints({breakpoints_.begin(), breakpoints_.end()});
}

bool MachineTarget::update_watches() {
  std::vector<accel::Watchpoint> points;
  for (const Watch& watch : watches_)
    points.push_back({.address = watch.address,
                      .size = watch.size,
                      .read = watch.kind != WatchKind::Write,
                      .write = watch.kind != WatchKind::Read});
  return machine_.accelerator().set_watchpoints(points);
}

bool MachineTarget::add_watch(WatchKind kind, uint64_t address, uint64_t size) {
  watches_.push_back({kind, address, size});
  if (update_watches()) return true;
  watches_.pop_back();
  return false;
}

bool MachineTarget::remove_watch(WatchKind kind, uint64_t address, uint64_t size) {
  const auto found = std::find(watches_.begin(), watches_.end(), Watch{kind, address, size});
  if (found == watches_.end()) return false;
  watches_.erase(found);
  return update_watches();
}

// --- looking

std::vector<ThreadId> MachineTarget::threads() {
  std::vector<ThreadId> ids;
  for (size_t cpu = 0; cpu < machine_.cpu_count(); ++cpu) ids.push_back(thread_of(cpu));
  return ids;
}

std::string MachineTarget::describe(ThreadId thread) {
  const size_t cpu = cpu_of(thread);
  if (cpu >= machine_.cpu_count()) return "";
  return fmt::format("CPU#{} [{}]", cpu, machine_.cpu(cpu).powered() ? "on" : "off");
}

bool MachineTarget::with_cpu(ThreadId thread, bool changes, const std::function<void(ir::CpuHeader&)>& f) {
  const size_t cpu = cpu_of(thread);
  if (cpu >= machine_.cpu_count()) return false;
  accel::Vcpu& vcpu = machine_.cpu(cpu).vcpu();
  if (!vcpu.read_state()) return false;
  f(vcpu.state());
  return !changes || vcpu.write_state().ok();
}

std::optional<uint64_t> MachineTarget::translate(ThreadId thread, uint64_t address) {
  if (physical_) return address;
  const size_t cpu = cpu_of(thread);
  if (cpu >= machine_.cpu_count() || !machine_.cpu(cpu).vcpu().read_state()) return std::nullopt;
  return machine_.debug_translate(cpu, address);
}

std::string MachineTarget::read_memory(ThreadId thread, uint64_t address, uint64_t size) {
  std::string bytes;
  while (bytes.size() < size) {
    const uint64_t at = address + bytes.size();
    const auto physical = translate(thread, at);
    if (!physical) break;
    const uint64_t count = std::min(size - bytes.size(), kPage - at % kPage);
    std::string piece(count, '\0');
    if (!machine_.memory().read_bytes(*physical, piece.data(), count)) {
      // A device's register: in one access, as somebody asked for it, or not at all.
      if (!bytes.empty() || count != size || size > 8 || (size & (size - 1)) || *physical % size) break;
      const system::MemoryResult value = machine_.memory().read(*physical, static_cast<unsigned>(size));
      if (!value.ok) break;
      for (uint64_t i = 0; i < count; ++i) piece[i] = static_cast<char>(value.value >> 8 * i);
    }
    bytes += piece;
  }
  return bytes;
}

bool MachineTarget::write_memory(ThreadId thread, uint64_t address, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto physical = translate(thread, address);
    if (!physical) return false;
    const uint64_t count = std::min<uint64_t>(bytes.size(), kPage - address % kPage);
    if (!machine_.memory().load_bytes(*physical, bytes.data(), count)) {
      if (count > 8 || (count & (count - 1)) || *physical % count) return false;
      uint64_t value = 0;
      for (uint64_t i = 0; i < count; ++i) value |= uint64_t{static_cast<uint8_t>(bytes[i])} << 8 * i;
      if (!machine_.memory().write(*physical, static_cast<unsigned>(count), value)) return false;
    }
    address += count;
    bytes.remove_prefix(count);
  }
  return true;
}

std::optional<std::string> MachineTarget::answer(std::string_view packet) {
  Fields f(packet);
  if (f.eat("qRcmd,")) {
    const auto command = from_hex(f.rest());
    if (!command) return "E22";
    const std::string text = hooks_.command(*command);
    return text.empty() ? "OK" : to_hex(text);
  }
  if (packet == "qqemu.PhyMemMode") return physical_ ? "1" : "0";
  if (f.eat("Qqemu.PhyMemMode:")) {
    physical_ = f.number().value_or(0) != 0;
    return "OK";
  }
  if (packet == "qqemu.sstepbits")
    return fmt::format("ENABLE={:x},NOIRQ={:x},NOTIMER={:x}", kStepEnable, kStepNoIrq, kStepNoTimer);
  if (packet == "qqemu.sstep") return fmt::format("0x{:x}", step_mode_);
  if (f.eat("Qqemu.sstep=")) {
    f.eat("0x");
    const auto mode = f.number();
    if (!mode || *mode > (kStepEnable | kStepNoIrq | kStepNoTimer)) return "E22";
    step_mode_ = static_cast<unsigned>(*mode);
    return "OK";
  }
  return std::nullopt;
}

// --- on a character back end

MachineStub::MachineStub(machines::Machine& machine, const Registers& registers, system::CharBackend& backend,
                         std::function<std::string(std::string_view)> command, std::function<void()> quit)
    : registers_(registers),
      backend_(backend),
      loop_(machine.loop()),
      alive_(std::make_shared<MachineStub*>(this)),
      target_(machine, {std::move(command), std::move(quit), [this] { post_event(); }}) {
  machine.on_debug = [this](size_t cpu, accel::Exit exit) { target_.on_debug(cpu, exit); };
  backend_.set_receiver(this);
}

MachineStub::~MachineStub() {
  *alive_ = nullptr;
  backend_.set_receiver(nullptr);
}

void MachineStub::post_event() {
  loop_.post([alive = alive_] {
    if (*alive && (*alive)->server_) (*alive)->server_->on_event();
  });
}

void MachineStub::start() {
  target_.begin();
  constexpr ThreadId kFirst = 1;
  server_ = std::make_unique<Server>(target_, registers_, kFirst, [this](std::string_view bytes) {
    backend_.write({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  });
}

void MachineStub::connected(bool there) {
  if (server_) server_->detach();
  server_.reset();
  if (there) start();
}

void MachineStub::receive(std::span<const uint8_t> bytes) {
  // A line without connections (a pty): gdb is there when it says something.
  if (!server_) start();
  server_->receive({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (server_->done()) server_.reset();
}

void MachineStub::on_end(unsigned status) {
  target_.on_end(status);
  // There may be no loop any more that would tell it.
  if (server_) server_->on_event();
}

}  // namespace lyrebird::gdb
