// SPDX-License-Identifier: Apache-2.0
#include "accel/soft/system_vcpu.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <utility>

#include "accel/soft/instruction_mode.h"
#include "accel/soft/trace.h"
#include "base/guest_bytes.h"
#include "base/log.h"
#include "ir/passes.h"
#include "jit/block_map.h"
#include "jit/engine.h"

namespace lyrebird::accel {

using frontend::TlbFlush;
using ir::ExitKind;

namespace {

/// The code of one page, or of what is no memory.
class PageSource final : public frontend::CodeSource {
 public:
  PageSource(const jit::Tlb::Code& code, uint64_t pc, const system::AddressSpace& memory)
      : code_(code), page_(pc & jit::kTlbPageMask), memory_(memory) {
    const uint64_t in_page = pc & ~jit::kTlbPageMask;
    if (code_.host) code_.host -= in_page;
    code_.physical -= in_page;
  }
  bool fetch(uint64_t pc, void* to, unsigned size) override {
    const uint64_t offset = pc - page_;
    if (offset >= jit::kTlbPageSize || size > jit::kTlbPageSize - offset) return false;
    for (unsigned i = 0; i < size; i += 4) {
      // Words: other vCPUs may write to them meanwhile, and see instructions as a whole.
      const unsigned some = std::min(4u, size - i);
      if (code_.host) {
        copy_guest_bytes(static_cast<uint8_t*>(to) + i, code_.host + offset + i, some);
        continue;
      }
      const system::MemoryResult word = memory_.read(code_.physical + offset + i, some);
      if (!word.ok) return false;
      std::memcpy(static_cast<uint8_t*>(to) + i, &word.value, some);
    }
    return true;
  }
  bool guarded(uint64_t) const override { return code_.guarded; }

 private:
  jit::Tlb::Code code_;
  const uint64_t page_;
  const system::AddressSpace& memory_;
};

bool has_fetch_fault(const ir::Block& block) {
  return std::any_of(block.insts.begin(), block.insts.end(), [](const ir::Inst& inst) {
    return inst.op == ir::Op::Raise && inst.aux == static_cast<uint32_t>(ExitKind::FetchFault);
  });
}

}  // namespace

// --- what others ask

SystemVcpu::InGuest::InGuest(SystemVcpu& vcpu) : vcpu_(vcpu) {
  vcpu.in_guest_.store(true);
  // Who posted before saw that nobody waits here, and relies on this.
  vcpu.answer_flushes();
  running_.emplace(*vcpu.thread_);
}

SystemVcpu::InGuest::~InGuest() {
  running_.reset();
  vcpu_.in_guest_.store(false);
}

SystemVcpu::SystemVcpu(SoftSystem& soft, unsigned index, ir::CpuHeader& state, system::AddressSpace& memory)
    : soft_(soft),
      index_(index),
      state_(state),
      memory_(memory),
      tlb_(state, memory, *this, soft.writable_),
      thread_(std::make_unique<jit::ThreadContext>(*soft.map_)) {
  thread_->tlb = &tlb_;
  tlb_.set_thread(*thread_);
  soft_.frontend_.attach(state, *this);
}

SystemVcpu::~SystemVcpu() {
  const std::lock_guard lock(soft_.mutex_);
  std::erase(soft_.vcpus_, this);
}

void SystemVcpu::wake() {
  if (soft_.turns_) return soft_.turns_->look(*this);
  if (!sleeping_.load()) return;
  const std::lock_guard lock(sleep_mutex_);
  sleep_.notify_all();
}

void SystemVcpu::request(uint32_t what) {
  state_.system_request.fetch_or(what);
  jit::request_exit(state_);
  wake();
}

void SystemVcpu::set_interrupt(uint32_t lines, bool level) {
  if (!level) {
    state_.interrupt_lines.fetch_and(~lines);
    return;
  }
  if ((state_.interrupt_lines.fetch_or(lines) & lines) == lines) return;
  jit::request_exit(state_);
  wake();
}

void SystemVcpu::set_power(bool on) {
  if (soft_.turns_) soft_.turns_->set_power(*this, on);
}

void SystemVcpu::set_held(bool held) {
  if (soft_.turns_) soft_.turns_->set_held(*this, held);
}

uint64_t SystemVcpu::post(const jit::TlbScope& scope) {
  uint64_t number;
  {
    const std::lock_guard lock(queue_mutex_);
    // Nobody waits between a guest's many flushes of one page each: they become one of all pages.
    constexpr size_t kMany = 64;
    if (queue_.size() < kMany)
      queue_.push_back(scope);
    else
      queue_.assign(
          1, {.spaces = std::accumulate(queue_.begin(), queue_.end(), scope.spaces,
                                        [](uint32_t all, const auto& one) { return all | one.spaces; })});
    number = ++posted_;
  }
  request(kFlush);
  return number;
}

void SystemVcpu::owe(SystemVcpu& other, uint64_t number) {
  const auto known =
      std::find_if(owed_.begin(), owed_.end(), [&](const auto& one) { return one.first == &other; });
  if (known != owed_.end())
    known->second = number;
  else
    owed_.emplace_back(&other, number);
}

void SystemVcpu::answer_flushes() {
  std::vector<jit::TlbScope> queue;
  uint64_t number;
  {
    const std::lock_guard lock(queue_mutex_);
    queue.swap(queue_);
    number = posted_;
  }
  for (const jit::TlbScope& scope : queue) tlb_.flush(scope);
  done_.store(number);
}

void SystemVcpu::look_again(system::RamBlock& ram, uint64_t page) {
  {
    const std::lock_guard lock(queue_mutex_);
    unsettled_.emplace_back(&ram, page);
  }
  request(kLookAgain);
}

void SystemVcpu::settle_pages() {
  std::vector<std::pair<system::RamBlock*, uint64_t>> pages;
  {
    const std::lock_guard lock(queue_mutex_);
    pages.swap(unsettled_);
  }
  for (const auto& [ram, page] : pages) soft_.page_settled(*ram, page);
}

/// In the middle of a block, where the guest may rely on what it has written before.
void SystemVcpu::settle_pages_if_asked() {
  if (state_.system_request.load() & kLookAgain) settle_pages();
}

std::optional<Exit> SystemVcpu::answer_requests(bool interrupts) {
  state_.exit_request.store(0);
  const uint32_t asked = state_.system_request.exchange(0);
  if (asked & kFlushAll) tlb_.flush_all();
  if (asked & kFlush) answer_flushes();
  if (asked & kLookAgain) settle_pages();
  if ((asked & kKick) || !interrupts) {
    // Lines that are up are looked at when it goes on.
    recheck_interrupts();
    if (asked & kKick) return Exit{ExitKind::Interrupted, 0};
    return std::nullopt;
  }
  if (const uint32_t lines = state_.interrupt_lines.load()) soft_.frontend_.take_interrupt(state_, lines);
  return std::nullopt;
}

// --- running

const jit::CompiledBlock* SystemVcpu::find_or_translate(jit::Engine& engine, unsigned max_instructions) {
  const ir::BlockKey key{state_.pc, state_.mode};
  const bool whole = max_instructions > 1;
  for (;;) {
    jit::Tlb::Code code;
    if (!tlb_.locate_code(key.pc, key.mode, code)) return nullptr;
    const auto place = reinterpret_cast<uint64_t>(code.host);
    if (whole && place)
      if (const jit::CompiledBlock* const block = soft_.map_->find(place, key)) return block;
    // Read before the guest's bytes: what changes from here on keeps the block out of the map.
    const jit::BlockMap::Stamps stamps = soft_.map_->stamps(place);
    if (place) soft_.watch(code, *this);
    const auto stops = whole ? soft_.current_breakpoints() : nullptr;
    SystemKeeper* const keeper = whole && place && !stops ? soft_.keeper_.get() : nullptr;
    if (keeper) {
      if (auto kept = keeper->load(key, code)) {
        kept->place = place;
        if (const auto* const published = soft_.map_->publish(std::move(kept), stamps)) return published;
        continue;
      }
    }
    static thread_local ir::Block block;
    PageSource source(code, key.pc, memory_);
    frontend::TranslateRequest request{.key = key, .code = &source, .max_instructions = max_instructions};
    if (stops) {
      request.breakpoints = stops->data();
      request.breakpoint_count = static_cast<unsigned>(stops->size());
    }
    soft_.frontend_.translate(request, block);
    soft_.translations_.fetch_add(1, std::memory_order_relaxed);
    soft_.instructions_.fetch_add(block.guest_count, std::memory_order_relaxed);
    trace::translated(block, source, soft_.frontend_);
    if (soft_.options_.optimise && engine.wants_passes())
      ir::optimise(block, soft_.frontend_.layout(), soft_.frontend_.helpers());
    auto compiled = engine.compile(block);
    if (compiled->no_room) soft_.map_->make_room();
    // What lies in two pages, or in none, is found in no map.
    const bool one_page = place && ((place & ~jit::kTlbPageMask) + block.guest_size <= jit::kTlbPageSize);
    if (!whole || !one_page || compiled->no_room || has_fetch_fault(block)) {
      transient_ = std::move(compiled);
      return transient_.get();
    }
    compiled->place = place;
    if (keeper) keeper->note(*compiled, code);
    if (const auto* const published = soft_.map_->publish(std::move(compiled), stamps)) {
      if (keeper) keeper->save_now_and_then(*soft_.map_);
      return published;
    }
  }
}

std::optional<Exit> SystemVcpu::raise(ExitKind kind, uint64_t detail) {
  if (soft_.frontend_.raise(state_, kind, detail)) return std::nullopt;
  return Exit{ExitKind::Reset, 0};
}

std::optional<Exit> SystemVcpu::handle(jit::Stop stop) {
  switch (stop.kind) {
    case ExitKind::None:
    case ExitKind::Interrupted:
      return std::nullopt;
    case ExitKind::Yield:
      yield(stop.detail);
      return std::nullopt;
    case ExitKind::Debug:
    case ExitKind::Error:
    case ExitKind::Reset:
    case ExitKind::Shutdown:
      return Exit{stop.kind, stop.detail};
    case ExitKind::MemoryFault:
      if (tlb_.take_watch_hit()) return Exit{ExitKind::Debug, kDebugWatch};
      return raise(stop.kind, stop.detail);
    case ExitKind::FetchFault:
      state_.fault_address = stop.detail;
      state_.fault_size = 1;
      state_.fault_access = static_cast<uint32_t>(ir::Access::Fetch);
      return raise(stop.kind, stop.detail);
    default:
      return raise(stop.kind, stop.detail);
  }
}

Exit SystemVcpu::run() {
  InstructionMode* const turns = soft_.turns_.get();
  if (turns) (void)turns->acquire(*this);  // kicked: answer_requests() says so
  guest_.emplace(*this);
  struct Leave {
    SystemVcpu& vcpu;
    ~Leave() {
      vcpu.guest_.reset();
      if (vcpu.soft_.turns_) vcpu.soft_.turns_->release(vcpu);
    }
  } const leave{*this};
  const bool every_block = trace::every_block();
  thread_->set_chaining(!every_block);
  for (;;) {
    if (state_.exit_request.load(std::memory_order_relaxed) != 0)
      if (const auto exit = answer_requests()) return *exit;
    if (turns && turns->due(*this)) {
      outside([&] { (void)turns->next_slice(*this); });
      continue;
    }
    const jit::CompiledBlock* const block =
        find_or_translate(*soft_.engine_, soft_.options_.max_instructions);
    jit::Stop stop{ExitKind::FetchFault, state_.pc};
    if (block) {
      if (every_block) trace::block_entry(*block, state_, soft_.frontend_.layout());
      stop = soft_.engine_->run(*block, state_, *thread_);
    }
    if (const auto exit = handle(stop)) return *exit;
  }
}

Exit SystemVcpu::step() { return step(true); }
Exit SystemVcpu::step_undisturbed() { return step(false); }

Exit SystemVcpu::step(bool interrupts) {
  guest_.emplace(*this);
  struct Leave {
    std::optional<InGuest>& guest;
    ~Leave() { guest.reset(); }
  } const leave{guest_};
  if (state_.exit_request.load(std::memory_order_relaxed) != 0) (void)answer_requests(interrupts);
  if (soft_.turns_) soft_.turns_->prepare_step(*this);
  thread_->set_chaining(false);
  const jit::CompiledBlock* const block = find_or_translate(*soft_.interpreter_, 1);
  jit::Stop stop{ExitKind::FetchFault, state_.pc};
  if (block) stop = soft_.interpreter_->run(*block, state_, *thread_);
  // Nobody sleeps in a step.
  if (stop.kind == ExitKind::Yield) return {ExitKind::Debug, 0};
  if (const auto exit = handle(stop)) return *exit;
  return {ExitKind::Debug, 0};
}

void SystemVcpu::yield(uint64_t detail) {
  switch (detail) {
    case frontend::kYieldWaitForInterrupt:
      return wait(false);
    case frontend::kYieldWaitForEvent:
      return wait(true);
    default:
      if (soft_.turns_) return outside([&] { (void)soft_.turns_->yield(*this); });
      sched_yield();
  }
}

void SystemVcpu::wait(bool for_event) {
  if (InstructionMode* const turns = soft_.turns_.get()) {
    // Who waits for an event may go on at any time.
    if (for_event && event_.exchange(false)) return;
    return outside([&] { (void)(for_event ? turns->yield(*this) : turns->sleep(*this)); });
  }
  const auto ready = [&] {
    if (state_.exit_request.load() != 0) return true;
    if (for_event && event_.exchange(false)) return true;
    const uint32_t lines = state_.interrupt_lines.load();
    return lines != 0 && soft_.frontend_.wakes(state_, lines);
  };
  if (ready()) return;
  guest_.reset();
  {
    std::unique_lock lock(sleep_mutex_);
    sleeping_.store(true);
    if (for_event)
      sleep_.wait_for(lock, std::chrono::microseconds(100), ready);
    else
      sleep_.wait(lock, ready);
    sleeping_.store(false);
  }
  guest_.emplace(*this);
}

// --- what the guest asks

void SystemVcpu::tlb_flush(const TlbFlush& flush) {
  const jit::TlbScope scope{.spaces = flush.spaces,
                            .by_address = flush.by_address,
                            .by_context = flush.by_context,
                            .address = flush.address,
                            .size = flush.size,
                            .context = flush.context};
  tlb_.flush(scope);
  if (flush.broadcast) soft_.broadcast(*this, scope);
}

std::string SystemVcpu::list_tlb() {
  std::string text;
  for (const jit::Tlb::Mapping& m : tlb_.mappings())
    text += fmt::format("{:2} {:#018x}-{:#018x} -> {:#014x} {}{}{}{}\n", m.space, m.address,
                        m.address + m.size - 1, m.physical, m.read ? 'r' : '-', m.write ? 'w' : '-',
                        m.global ? " global" : "", m.plain ? "" : " slow");
  return text.empty() ? "nothing is known now\n" : text;
}

void SystemVcpu::wait_for_flushes() {
  settle_pages_if_asked();
  if (!owed_.empty()) soft_.wait_for_flushes(*this);
}

void SystemVcpu::context_changed(uint32_t spaces, uint32_t context) { tlb_.context_changed(spaces, context); }

// Writes to translated code are noticed when they are made, but for those of a block that ran while somebody
// else translated it first.
void SystemVcpu::invalidate_code(uint64_t, uint64_t) { settle_pages_if_asked(); }

void SystemVcpu::recheck_interrupts() {
  if (state_.interrupt_lines.load(std::memory_order_relaxed) != 0) jit::request_exit(state_);
}

void SystemVcpu::wake_for_event() {
  event_.store(true);
  wake();
}

void SystemVcpu::send_event() {
  const std::lock_guard lock(soft_.mutex_);
  for (SystemVcpu* const vcpu : soft_.vcpus_) vcpu->wake_for_event();
}

bool SystemVcpu::walk(ir::CpuHeader& cpu, uint64_t va, ir::Access access, unsigned space,
                      jit::GuestPage& page) {
  frontend::Page found;
  if (!soft_.frontend_.translate_address(cpu, memory_, va, access, space, false, found)) return false;
  page = {.physical = found.physical,
          .bits = found.bits,
          .read = found.read,
          .write = found.write,
          .execute = found.execute,
          .global = found.global,
          .guarded = found.guarded};
  return true;
}

void SystemVcpu::bus_error(ir::CpuHeader& cpu, uint64_t va, ir::Access access, unsigned space) {
  soft_.frontend_.note_bus_error(cpu, va, access, space);
}

}  // namespace lyrebird::accel
