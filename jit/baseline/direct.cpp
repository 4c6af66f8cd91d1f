// SPDX-License-Identifier: Apache-2.0
// Blocks of jit/direct: put in place, run, left. Links between them are those of all blocks.
#include <immintrin.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "jit/baseline/baseline.h"
#include "jit/block_map.h"
#include "jit/tier/sampler.h"

namespace lyrebird::jit {

using baseline::BaselineBlock;
using baseline::BlockInfo;
using direct::Area;

namespace {

[[gnu::target("fsgsbase")]] void set_gs(const Area& area) {
  _writegsbase_u64(reinterpret_cast<uint64_t>(&area));
}

#define ALL_VECTORS                                                                                          \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
      "xmm13", "xmm14", "xmm15"

/// FXSAVE's image of which only the x87 counts: MXCSR is C++'s, XMM registers nobody's.
struct alignas(16) Image {
  uint8_t bytes[512] = {};
};
constexpr size_t kControlAt = 0, kMxcsrAt = 24;

void load_image(Image& image) {
  asm volatile("stmxcsr %0" : "=m"(image.bytes[kMxcsrAt]));
  asm volatile("fxrstor64 %0" : : "m"(image) : ALL_VECTORS);
}

/// And leaves the host's x87 initial, with nothing of the guest's.
void save_x87(Area& area) {
  asm volatile("fxsave64 %0" : "=m"(area.x87));
  Image none;
  constexpr uint16_t kInitial = 0x37f;
  std::memcpy(none.bytes + kControlAt, &kInitial, sizeof kInitial);
  load_image(none);
}

void load_x87(const Area& area) {
  Image image;
  std::memcpy(image.bytes, area.x87, sizeof image.bytes);
  load_image(image);
}

}  // namespace

void Baseline::install_direct_runtime() {
  if (!direct::host_has_gs() || options_.system || !options_.zero_base) return;
  const direct::RuntimeCode runtime = direct::make_runtime(host_.avx);
  const uint8_t* const code = cache_.allocate(runtime.bytes.size());
  cache_.write(code, runtime.bytes.data(), runtime.bytes.size());
  direct_enter_ = reinterpret_cast<direct::Enter>(const_cast<uint8_t*>(code) + runtime.enter);
  direct_exit_ = code + runtime.exit;
  direct_miss_ = code + runtime.miss;
}

void Baseline::say_what_is_near(direct::Code& code) const {
  constexpr uint64_t kReach = (uint64_t{1} << 31) - (1 << 20);
  const uint64_t first = reinterpret_cast<uint64_t>(cache_.at(0));
  const uint64_t last = first + options_.code_bytes;
  code.near_from = last - kReach;
  code.near_to = first + kReach;
}

std::unique_ptr<CompiledBlock> Baseline::compile_direct(direct::Code& code) {
  static thread_local std::vector<uint8_t> info;
  info.clear();
  const uint32_t size = code.size;
  if (!BlockInfo::pack({.key = code.key,
                        .code_size = size,
                        .after_check = code.main,
                        .prefix = code.poll - kCodeHeader,
                        .exits = &code.exits,
                        .faults = &code.faults},
                       info))
    return nullptr;
  BlockPtr block = make_block(code.key, code.guest_size, code.guest_count, info.data(), info.size());
  block->direct = true;
  const uint8_t* place = nullptr;
  if (code.relocations.empty()) {
    place = cache_.add(code.bytes, size, block.get());
  } else if ((place = cache_.allocate(size))) {
    for (const direct::Relocation& r : code.relocations) {
      const auto distance = static_cast<int32_t>(r.target - (reinterpret_cast<uint64_t>(place) + r.end));
      std::memcpy(code.bytes + r.offset, &distance, sizeof distance);
    }
    const BaselineBlock* const owner = block.get();
    std::memcpy(code.bytes, &owner, sizeof owner);
    cache_.write(place, code.bytes, size);
  }
  if (!place) {
    block->no_room = size <= baseline::CodeCache::kSegment;
    return block;
  }
  block->code = place;
  complete(*block);
  block->entry = place + kCodeHeader;
  if (observer_)
    observer_->made({.key = code.key,
                     .guest_size = code.guest_size,
                     .tier = "direct",
                     .code = place,
                     .size = size,
                     .start = kCodeHeader,
                     .hot_size = code.hot - kCodeHeader,
                     .marks = {}});
  counters_.blocks.fetch_add(1, std::memory_order_relaxed);
  counters_.hot_bytes.fetch_add(code.hot - kCodeHeader, std::memory_order_relaxed);
  counters_.guest_instructions.fetch_add(code.guest_count, std::memory_order_relaxed);
  counters_.all_bytes.fetch_add(size, std::memory_order_relaxed);
  return block;
}

std::unique_ptr<CompiledBlock> Baseline::refuse_direct(ir::BlockKey key) {
  BlockPtr block = make_block(key, 1, 0, nullptr, 0);
  block->direct = true;
  block->host_size = sizeof(BaselineBlock);
  block->complete.store(true, std::memory_order_release);
  return block;
}

bool Baseline::is_refusal(const CompiledBlock& block) {
  const auto& mine = static_cast<const BaselineBlock&>(block);
  return mine.direct && !mine.code && !mine.no_room;
}

void Baseline::prepare_area(ir::CpuHeader& cpu, ThreadContext& thread) const {
  if (!thread.area) {
    thread.area = Area::make();
    thread.area->exit = direct_exit_;
    thread.area->miss = direct_miss_;
    thread.area->clear();
  }
  cpu.direct_area.store(thread.area.get(), std::memory_order_relaxed);
  Area& area = *thread.area;
  set_gs(area);
  if (area.live) return;
  options_.direct->load(cpu, area);
  uint16_t left;  // by C++
  asm volatile("fnstsw %0" : "=m"(left));
  if (area.x87_used)
    load_x87(area);
  else if (left != 0)
    asm volatile("fninit");
  area.live = true;
}

void Baseline::settle(ir::CpuHeader& cpu, ThreadContext& thread) const {
  if (!thread.area || !thread.area->live) return;
  Area& area = *thread.area;
  if (area.x87_used) save_x87(area);
  options_.direct->store(cpu, area);
  area.live = false;
}

Stop Baseline::run_direct(const CompiledBlock& first, ir::CpuHeader& cpu, ThreadContext& thread) {
  thread.cpu.store(&cpu, std::memory_order_relaxed);
  thread.stop = {};
  prepare_area(cpu, thread);
  FaultGuard guard;
  guard.takes_traps = true;
  if (sigsetjmp(guard.env, 0) != 0) return fault_direct(guard, cpu, thread);
  guard.arm();
  return dispatch_direct(first, cpu, thread);
}

// Generated code has no type in front of it for the sanitizer to check.
[[clang::no_sanitize("function")]] Stop Baseline::dispatch_direct(const CompiledBlock& first,
                                                                  ir::CpuHeader& cpu, ThreadContext& thread) {
  auto* block = static_cast<const BaselineBlock*>(&first);
  Area& area = *thread.area;
  const uint32_t mode = block->key.mode;
  if (missed_jump().thread) link_missed(first, thread);
  for (;;) {
    // Who asks from here on takes the poll away, who has asked before is seen.
    area.in_code.store(1);
    if (area.closed.load(std::memory_order_relaxed) != 0) area.open();
    open_jumps(cpu, *thread.jump_cache);
    if (cpu.exit_request.load() != 0) {
      area.in_code.store(0, std::memory_order_relaxed);
      cpu.pc = block->key.pc;
      return {ir::ExitKind::Interrupted, 0};
    }
    if (cpu.refresh_request.load() != 0) {
      area.in_code.store(0, std::memory_order_relaxed);
      cpu.pc = block->key.pc;
      cpu.refresh_request.store(0);
      thread.refresh();
      return {};
    }
    const uint64_t generation = thread.cached_generation;
    if (!block->code) {
      area.in_code.store(0, std::memory_order_relaxed);
      cpu.pc = block->key.pc;
      return {};
    }
    area.entry = block->code + block->info.after_check();
    const direct::Leave left = direct_enter_(&area);
    area.in_code.store(0, std::memory_order_relaxed);
    bool jumped = false;
    Place from;
    ExitPlan site;
    if (left.owner == 0) {
      cpu.pc = area.target;
      counters_.misses.fetch_add(1, std::memory_order_relaxed);
    } else {
      from = place_of(left.owner);
      site = from.info.exit(static_cast<unsigned>(left.exit), from.key);
      cpu.pc = site.pc;
      if (site.kind == ExitPlan::Kind::Raise) return {site.raise, site.detail};
      jumped = site.kind == ExitPlan::Kind::Jump;
    }
    thread.refresh();
    const CompiledBlock* const next = thread.map.find({cpu.pc, mode});
    if (!next) {
      if (jumped && from.block && thread.cached_generation == generation)
        missed_jump() = {from, site, &thread, generation};
      return {};
    }
    const auto* const target = static_cast<const BaselineBlock*>(next);
    if (thread.cached_generation != generation) jumped = false;
    if (target->code) {
      if (jumped)
        link(from, site, *target);
      else
        area.table[cpu.pc & ((uint64_t{1} << direct::kTableBits) - 1)] = target->entry;
    }
    block = target;
  }
}

Stop Baseline::fault_direct(const FaultGuard& guard, ir::CpuHeader& cpu, ThreadContext& thread) {
  counters_.faults.fetch_add(1, std::memory_order_relaxed);
  const FaultGuard::Registers& host = guard.registers;
  Area& area = *thread.area;
  Place place;
  if (host.valid) place = place_at(host.pc);
  std::optional<FaultPlan> at;
  if (place.code)
    at = place.info.fault(static_cast<uint32_t>(host.pc - reinterpret_cast<uint64_t>(place.code)));
  if (!at) unknown_fault(guard);
  area.in_code.store(0, std::memory_order_relaxed);
  const uint32_t replaced = at->f80 & direct::kFaultRegister;
  for (unsigned reg = 0; reg < 16; ++reg) {
    if (reg + 1 == replaced) {
      if (!(at->f80 & direct::kFaultInGpr)) area.gpr[reg] = area.spill;
    } else {
      area.gpr[reg] = host.general[reg];
    }
  }
  area.flags = host.flags;
  area.mxcsr = host.mxcsr;
  for (unsigned reg = 0; reg < 16; ++reg) {
    std::memcpy(area.vectors[reg], host.xmm[reg], 16);
    std::memcpy(area.vectors[reg] + 16, host.ymm[reg], 16);
  }
  // The handler began with an initial x87.
  if (area.x87_used) {
    std::memcpy(area.x87, host.legacy, sizeof area.x87);
    load_x87(area);
  }
  cpu.pc = place.key.pc + static_cast<uint64_t>(static_cast<int32_t>(at->guest));
  // Somebody wants us to stop, here where a block begins.
  if (area.holds_poll(guard.address)) return {};
  settle(cpu, thread);
  thread.interpret_next = true;
  thread.fault_known = at->plain && describe_fault(guard, cpu);
  return {};
}

}  // namespace lyrebird::jit
