// SPDX-License-Identifier: Apache-2.0
#include "accel/soft/system.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "accel/soft/code_log.h"
#include "accel/soft/instruction_mode.h"
#include "accel/soft/system_vcpu.h"
#include "base/log.h"
#include "base/report.h"
#if defined(__x86_64__)
#include "jit/baseline/baseline.h"
#endif
#include "jit/block_map.h"
#include "jit/interp/interp.h"

namespace lyrebird::accel {

class SoftSystem::TopologyListener final : public system::MemoryListener {
 public:
  TopologyListener(SoftSystem& soft, system::AddressSpace& memory) : soft_(soft), memory_(memory) {
    memory.add_listener(*this);
  }
  ~TopologyListener() override { memory_.remove_listener(*this); }
  system::AddressSpace& memory() { return memory_; }
  void changed() override {
    const std::lock_guard lock(soft_.mutex_);
    for (SystemVcpu* const vcpu : soft_.vcpus_)
      if (&vcpu->address_space() == &memory_) vcpu->request_flush_all();
  }

 private:
  SoftSystem& soft_;
  system::AddressSpace& memory_;
};

SoftSystem::SoftSystem(const frontend::SystemFrontend& frontend, SoftOptions options,
                       system::CountedClock* clock, const std::string& keep_name)
    : frontend_(frontend),
      options_(std::move(options)),
      turns_(clock ? std::make_unique<InstructionMode>(frontend, *clock) : nullptr),
      interpreter_(std::make_unique<jit::Interpreter>(frontend.helpers(), true)),
      map_(std::make_unique<jit::BlockMap>(options_.memory_limit)) {
  engine_ = interpreter_.get();
#if defined(__x86_64__)
  if (options_.executor == Executor::Tiered || options_.executor == Executor::Llvm)
    log_always(
        "lyrebird: a machine has no optimising tier yet; its code stays as the first compiler makes it\n");
  if (options_.executor != Executor::Interp) {
    auto baseline = std::make_unique<jit::Baseline>(
        frontend.layout(), frontend.helpers(),
        jit::BaselineOptions{.zero_base = true,
                             .code_bytes = options_.code_bytes ? options_.code_bytes
                                                               : options_.memory_limit / 4 * 5 + (1u << 20),
                             .system = true});
    if (baseline->usable()) {
      compiler_ = std::move(baseline);
      engine_ = compiler_.get();
    }
  }
#endif
  if (compiler_) {
    keeper_ = SystemKeeper::create(*compiler_, options_.keep, keep_name, options_.max_instructions);
    if (keeper_)
      map_->on_removal([keeper = keeper_.get()](const jit::CompiledBlock& block) { keeper->removed(block); });
  }
  const bool out_asm = log_enabled(LogTopic::OutAsm);
  if (!out_asm && !options_.perf_map && !options_.gdb_jit) return;
  code_log_ = std::make_unique<CodeLog>(
      CodeLog::Options{.out_asm = out_asm, .perf_map = options_.perf_map, .gdb = options_.gdb_jit});
  engine_->observe(code_log_.get());
}

SoftSystem::~SoftSystem() {
  listeners_.clear();
  keep();
  // The blocks' destructors need the engine.
  map_.reset();
}

void SoftSystem::keep() {
  if (keeper_) keeper_->save(*map_);
}

Result<std::unique_ptr<Vcpu>> SoftSystem::create_vcpu(unsigned index, ir::CpuHeader& state,
                                                      system::AddressSpace& memory) {
  auto vcpu = std::make_unique<SystemVcpu>(*this, index, state, memory);
  {
    const std::lock_guard lock(mutex_);
    vcpus_.push_back(vcpu.get());
    if (turns_) turns_->add(*vcpu);
  }
  const bool known = std::any_of(listeners_.begin(), listeners_.end(),
                                 [&](const auto& listener) { return &listener->memory() == &memory; });
  if (!known) listeners_.push_back(std::make_unique<TopologyListener>(*this, memory));
  return std::unique_ptr<Vcpu>(std::move(vcpu));
}

void SoftSystem::watch(const jit::Tlb::Code& code, const SystemVcpu& by) {
  // A page that has code is seen to be watched only when it really is.
  const std::lock_guard lock(protect_mutex_);
  if (code.ram->has_code(code.offset)) return;
  code.ram->set_code_listener(this);
  code.ram->set_has_code(code.offset, true);
  const auto* const page =
      reinterpret_cast<const uint8_t*>(reinterpret_cast<uint64_t>(code.host) & jit::kTlbPageMask);
  if (!writable_.take(page)) return;
  const std::lock_guard vcpus(mutex_);
  for (SystemVcpu* const vcpu : vcpus_) vcpu->tlb().protect(page);
  // One at a time: all others are between blocks.
  if (turns_) return;
  // Who enters guest code from here on sees what protect() did. The others may have looked at their TLB
  // before it, and store after the bytes here have been read.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (SystemVcpu* const vcpu : vcpus_)
    if (vcpu != &by && vcpu->in_guest()) vcpu->look_again(*code.ram, code.offset & jit::kTlbPageMask);
}

void SoftSystem::page_settled(system::RamBlock& ram, uint64_t page) {
  constexpr unsigned kWrites = 1000;
  const uint64_t place = reinterpret_cast<uint64_t>(ram.host()) + page;
  {
    const std::lock_guard lock(settling_mutex_);
    const auto known = std::find_if(settling_.begin(), settling_.end(),
                                    [&](const Settling& one) { return one.page == place; });
    if (known != settling_.end()) {
      known->writes = kWrites;
    } else {
      settling_[next_settling_] = {place, kWrites};
      next_settling_ = (next_settling_ + 1) % settling_.size();
    }
  }
  map_->invalidate(place, jit::kTlbPageSize);
}

bool SoftSystem::is_settling(uint64_t page) {
  const std::lock_guard lock(settling_mutex_);
  for (Settling& one : settling_)
    if (one.page == page && one.writes != 0) return --one.writes != 0;
  return false;
}

void SoftSystem::code_written(system::RamBlock& ram, uint64_t offset, uint64_t size) {
  code_writes_.fetch_add(1, std::memory_order_relaxed);
  const auto place = reinterpret_cast<uint64_t>(ram.host()) + offset;
  if (map_->invalidate(place, size) != 0) {
    // A page that is used for something else: its blocks go at once, as each time costs every jump cache.
    const uint64_t page = place & jit::kTlbPageMask;
    if (last_page_hit_.exchange(page, std::memory_order_relaxed) == page)
      map_->invalidate(page, jit::kTlbPageSize);
  }
  // Two vCPUs, one that writes to a page and one that runs code in it, would make each other wait for nothing
  // else if the right to write came back whenever the blocks are gone for a moment.
  for (uint64_t page = place & jit::kTlbPageMask; page < place + size; page += jit::kTlbPageSize)
    if (!is_settling(page))
      map_->if_empty(page, [&] { ram.set_has_code(page - reinterpret_cast<uint64_t>(ram.host()), false); });
}

void SoftSystem::broadcast(SystemVcpu& from, const jit::TlbScope& scope) {
  const std::lock_guard lock(mutex_);
  for (SystemVcpu* const vcpu : vcpus_)
    if (vcpu != &from) from.owe(*vcpu, vcpu->post(scope));
}

void SoftSystem::wait_for_flushes(SystemVcpu& from) {
  constexpr unsigned kSpins = 200;
  for (const auto& [vcpu, number] : from.owed()) {
    for (unsigned i = 0; !vcpu->has_done(number); ++i) {
      // Two may wait for each other.
      from.answer_flushes();
      if (i >= kSpins) std::this_thread::yield();
    }
  }
  from.owed().clear();
}

SoftSystem::Breakpoints SoftSystem::current_breakpoints() const {
  if (!any_breakpoints_.load()) return nullptr;
  const std::lock_guard lock(mutex_);
  return breakpoints_;
}

void SoftSystem::set_breakpoints(std::vector<uint64_t> addresses) {
  {
    const std::lock_guard lock(mutex_);
    any_breakpoints_.store(!addresses.empty());
    breakpoints_ = std::make_shared<const std::vector<uint64_t>>(std::move(addresses));
  }
  map_->invalidate(0, ~uint64_t{0});
}

bool SoftSystem::set_watchpoints(const std::vector<Watchpoint>& watchpoints) {
  std::vector<jit::WatchedRange> ranges;
  for (const Watchpoint& one : watchpoints)
    ranges.push_back({.address = one.address, .size = one.size, .read = one.read, .write = one.write});
  const std::lock_guard lock(mutex_);
  for (SystemVcpu* const vcpu : vcpus_) vcpu->tlb().set_watched(ranges);
  return true;
}

void SoftSystem::report(Report& report) const {
  const jit::BlockMap::Stats map = map_->stats();
  report.section("translation");
  report.count("blocks", translations_.load());
  report.count("guest instructions", instructions_.load());
  if (turns_) report.count("instructions run", turns_->instructions());
  engine_->report(report);
  report.section("block map");
  report.count("blocks held at the end", map.blocks);
  report.bytes("memory of these", map.bytes);
  report.count("invalidated", map.invalidated, "their code changed");
  report.count("evicted", map.evicted, "to stay below the limit");
  report.count("refused", map.refused, "the code changed during translation");
  report.count("writes to pages with code", code_writes_.load());
  if (keeper_) keeper_->report(report);
  const std::lock_guard lock(mutex_);
  for (const SystemVcpu* const vcpu : vcpus_) {
    const jit::Tlb::Stats& tlb = const_cast<SystemVcpu*>(vcpu)->tlb().stats();
    report.section("TLB");
    report.count("entries filled", tlb.fills);
    report.count("tables enlarged", tlb.grown);
    report.count("slow writes", tlb.slow);
    report.count("accesses to devices", tlb.io);
    report.count("flushes", tlb.flushes);
    report.count("switches of context", tlb.context_switches);
    report.count("pages protected", tlb.protects);
    report.count("pages of code found", tlb.code_fills);
    report.count("jump tags", tlb.new_tags);
  }
}

}  // namespace lyrebird::accel
