// SPDX-License-Identifier: Apache-2.0
#include "jit/baseline/baseline.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include "base/fault_guard.h"
#include "base/log.h"
#include "base/report.h"
#include "jit/abi.h"
#include "jit/block_map.h"
#include "jit/interp/select.h"
#include "jit/persist/build.h"
#include "jit/persist/hash.h"
#include "jit/tier/sampler.h"

namespace lyrebird::jit {

namespace baseline {

struct ExitSite : ExitPlan {
  BaselineBlock* owner = nullptr;
  BaselineBlock* target = nullptr;  ///< linked to
  ExitSite* next = nullptr;         ///< of the target's incoming list
};

struct BaselineBlock final : CompiledBlock {
  explicit BaselineBlock(Baseline& e) : engine(e) {}
  ~BaselineBlock() override {
    if (!code) return;
    if (engine.observer_) engine.observer_->gone(code);
    engine.cache_.release(code, code_size);
  }
  void removed() override { engine.unlink(*this); }

  Baseline& engine;
  const uint8_t* code = nullptr;  ///< nullptr: see interpreted
  uint32_t code_size = 0;
  const uint8_t* after_check = nullptr;  ///< where jumps from lower addresses go
  bool region = false;
  std::vector<ExitSite> exits;
  std::vector<FaultPlan> faults;
  std::unique_ptr<CompiledBlock> interpreted;

  /// Everything above is in place. Generated code finds its way to blocks of other threads without C++:
  /// who comes out of it reads this first.
  std::atomic<bool> complete{false};

  // Under Baseline::link_mutex_.
  ExitSite* incoming = nullptr;
  bool gone = false;
  std::vector<uint32_t> pointers;  ///< offsets of pointers into this program
};

}  // namespace baseline

using baseline::BaselineBlock;
using baseline::Emitter;
using baseline::ExitSite;
using baseline::Leave;

namespace {

baseline::Pins pins_of(const ir::StateLayout& layout) {
  std::vector<ir::StateField> hot;
  for (const ir::StateField& field : layout.fields)
    if (field.hot && field.type == ir::Type::I64) hot.push_back(field);
  std::sort(hot.begin(), hot.end(), [](const auto& a, const auto& b) { return a.hot < b.hot; });
  baseline::Pins pins;
  for (size_t i = 0; i < hot.size() && i < std::size(abi::kPinned); ++i) {
    pins.add({hot[i].offset, abi::kPinned[i]});
  }
  return pins;
}

/// The last step of making a block.
void complete(BaselineBlock& block) {
  block.host_size =
      static_cast<uint32_t>(block.code_size + sizeof(BaselineBlock) + block.exits.size() * sizeof(ExitSite) +
                            block.faults.size() * sizeof(FaultPlan));
  block.complete.store(true, std::memory_order_release);
}

/// After so many faults on tagged addresses they are no accident.
constexpr unsigned kTagFaultLimit = 64;

}  // namespace

Baseline::Baseline(const ir::StateLayout& layout, ir::HelperTable helpers, BaselineOptions options)
    : layout_(layout),
      helpers_(helpers),
      options_(options),
      host_(baseline::host_features()),
      pins_(pins_of(layout)),
      interpreter_(helpers),
      cache_(options.code_bytes) {
  usable_ = host_.sse42 && cache_.usable();
  if (usable_) install_runtime();
}

Baseline::~Baseline() = default;

void Baseline::install_runtime() {
  const baseline::RuntimeCode runtime = baseline::make_runtime(pins_, host_.avx, layout_.sse_floats);
  runtime_size_ = runtime.bytes.size();
  const uint8_t* const code = cache_.allocate(runtime_size_);
  cache_.write(code, runtime.bytes.data(), runtime_size_);
  enter_ = reinterpret_cast<baseline::Enter>(const_cast<uint8_t*>(code) + runtime.enter);
  table_.exit = code + runtime.exit;
  table_.lookup = code + runtime.lookup;
  table_.record = reinterpret_cast<const void*>(baseline::run_record);
  for (unsigned i = 0; i < 3; ++i) table_.thunks[i] = code + runtime.thunks[i];
  for (unsigned i = 0; i < 2; ++i) table_.region_thunks[i] = code + runtime.region_thunks[i];
}

// --- compilation

std::unique_ptr<Emitter> Baseline::take_emitter() {
  {
    const std::lock_guard lock(emitters_mutex_);
    if (!emitters_.empty()) {
      auto emitter = std::move(emitters_.back());
      emitters_.pop_back();
      return emitter;
    }
  }
  return std::make_unique<Emitter>(pins_, host_);
}

void Baseline::give_emitter(std::unique_ptr<Emitter> emitter) {
  const std::lock_guard lock(emitters_mutex_);
  emitters_.push_back(std::move(emitter));
}

std::unique_ptr<CompiledBlock> Baseline::compile(const ir::Block& block) {
  if (every_block_.load(std::memory_order_relaxed)) {
    ir::Region region;
    region.parts.push_back({.block = block, .guesses = {}});
    if (auto compiled = compile_region(region)) return compiled;
  }
  auto compiled = std::make_unique<BaselineBlock>(*this);
  compiled->key = block.key;
  compiled->guest_size = block.guest_size;
  compiled->guest_count = block.guest_count;
  auto emitter = take_emitter();
  const baseline::EmitOptions options{.zero_base = options_.zero_base,
                                      .marks = observer_ != nullptr,
                                      .sse_floats = layout_.sse_floats,
                                      .strip_tags = strip_tags_.load(std::memory_order_relaxed)};
  const bool done = usable_ && emitter->emit(block, helpers_, options) && install(*compiled, *emitter);
  give_emitter(std::move(emitter));
  counters_.blocks.fetch_add(1, std::memory_order_relaxed);
  counters_.guest_instructions.fetch_add(block.guest_count, std::memory_order_relaxed);
  if (!done) {
    compiled->interpreted = interpreter_.compile(block);
    compiled->no_room = compiled->code_size != 0 && compiled->code_size <= baseline::CodeCache::kSegment;
    compiled->host_size = compiled->interpreted->host_size;
    counters_.interpreted.fetch_add(1, std::memory_order_relaxed);
  }
  return compiled;
}

bool Baseline::install(BaselineBlock& block, const Emitter& emitter) {
  block.code_size = emitter.code_size();
  block.code = cache_.allocate(block.code_size);
  if (!block.code) return false;
  cache_.write(block.code, emitter.code(), block.code_size);
  const BaselineBlock* const owner = &block;
  cache_.write(block.code, &owner, sizeof owner);
  block.entry = block.code + kCodeHeader;
  block.after_check = block.code + emitter.after_check();
  block.faults = emitter.faults();
  block.pointers = emitter.pointers();
  add_exits(block, emitter.exits());
  if (observer_)
    observer_->made({.key = block.key,
                     .guest_size = block.guest_size,
                     .tier = "baseline",
                     .code = block.code,
                     .size = emitter.instructions_size(),
                     .start = kCodeHeader,
                     .hot_size = emitter.hot_size(),
                     .marks = emitter.marks()});
  counters_.host_instructions.fetch_add(emitter.hot_count(), std::memory_order_relaxed);
  counters_.hot_bytes.fetch_add(emitter.hot_size(), std::memory_order_relaxed);
  counters_.all_bytes.fetch_add(block.code_size, std::memory_order_relaxed);
  return true;
}

void Baseline::add_exits(BaselineBlock& block, const std::vector<ExitPlan>& exits) {
  block.exits.resize(exits.size());
  for (size_t i = 0; i < exits.size(); ++i) {
    static_cast<ExitPlan&>(block.exits[i]) = exits[i];
    block.exits[i].owner = &block;
  }
  complete(block);
}

// --- regions

/// False if the interpreter has no handler for it.
bool Baseline::put_record(uint8_t* to, const RecordPlan& plan) const {
  constexpr uint16_t kScratch = baseline::kFrameScratch;
  interp::Code codes[3];
  static_assert(sizeof codes == kRecordSize);
  codes[0] = {.d = kScratch + 96, .a = kScratch, .b = kScratch + 32, .c = kScratch + 64};
  codes[1].handler = baseline::return_handler();
  switch (plan.kind) {
    case RecordPlan::Kind::Value:
      codes[0].handler = interp::select_general(plan.inst, plan.operand);
      codes[0].imm = plan.inst.imm;
      codes[0].aux = plan.inst.aux;
      break;
    case RecordPlan::Kind::Memory:
      codes[0].handler = interp::select_memory(plan.inst, interp::Place::Frame, interp::Place::Frame);
      codes[0].imm = plan.pc;
      codes[0].extra = 0;
      codes[0].aux = (plan.inst.aux & 0xffffff) |
                     ((ir::info(plan.inst.op).effects & ir::Writes) ? interp::kMemWrites : 0) |
                     (plan.inst.type == ir::Type::I8 ? interp::kMemByteResult : 0);
      break;
    case RecordPlan::Kind::Helper:
      codes[0].handler = interp::call_helper();
      codes[0].imm = reinterpret_cast<uint64_t>(helpers_[plan.inst.aux].fn);
      codes[0].aux = baseline::kFrameSaveXmm;
      codes[1] = {.handler = interp::call_helper(),  // never run
                  .d = static_cast<uint16_t>(ir::bit_width(plan.inst.type)),
                  .imm = plan.pc};
      codes[1].aux = interp::kMemHelper | interp::kMemWrites;
      codes[2].handler = baseline::return_handler();
      break;
  }
  std::memcpy(to, codes, sizeof codes);
  return codes[0].handler != nullptr;
}

std::unique_ptr<CompiledBlock> Baseline::install_region(const ir::Region& region, RegionCode code) {
  const ir::Block& first = region.parts.front().block;
  auto block = std::make_unique<BaselineBlock>(*this);
  block->key = first.key;
  block->guest_size = first.guest_size;
  block->guest_count = region.guest_count();
  for (size_t i = 1; i < region.parts.size(); ++i)
    block->more.push_back({region.parts[i].block.key.pc, region.parts[i].block.guest_size});
  block->region = true;
  block->code_size = static_cast<uint32_t>(code.bytes.size());
  block->code = cache_.allocate(block->code_size);
  if (!block->code) return nullptr;
  uint8_t* const bytes = code.bytes.data();
  const BaselineBlock* const owner = block.get();
  std::memcpy(bytes, &owner, sizeof owner);
  for (const RecordPlan& plan : code.records)
    if (!put_record(bytes + plan.offset, plan)) return nullptr;
  for (const ExitPlan& exit : code.exits) {
    const uint8_t* const stub = block->code + exit.stub;
    if (exit.patch != 0) std::memcpy(bytes + exit.patch, &stub, sizeof stub);
  }
  cache_.write(block->code, bytes, block->code_size);
  block->entry = block->after_check = block->code + code.entry;
  block->faults = std::move(code.faults);
  add_exits(*block, code.exits);
  if (observer_)
    observer_->made({.key = block->key,
                     .guest_size = block->guest_size,
                     .tier = "llvm",
                     .code = block->code,
                     .size = block->code_size,
                     .start = code.entry,
                     .hot_size = block->code_size - code.entry,
                     .marks = {}});
  counters_.regions.fetch_add(1, std::memory_order_relaxed);
  counters_.region_bytes.fetch_add(block->code_size, std::memory_order_relaxed);
  return block;
}

/// A compiler that crashes takes no guest with it: what it held is lost, and it is not asked again.
std::optional<RegionCode> Baseline::compile_guarded(const ir::Region& region) {
  std::optional<RegionCode> code;
  FaultGuard guard;
  const bool crashed = sigsetjmp(guard.env, 0) != 0;
  if (!crashed) {
    guard.arm();
    code = regions_->compile(region, {.strip_tags = strip_tags_.load(std::memory_order_relaxed)});
    guard.disarm();
  }
  if (!crashed && !regions_->broken()) return code;
  (void)regions_.release();
  no_regions_ = true;
  log_always("lyrebird: the optimising compiler broke down; code stays as the first compiler made it\n");
  return std::nullopt;
}

std::unique_ptr<CompiledBlock> Baseline::compile_region(const ir::Region& region) {
  std::optional<RegionCode> code;
  {
    const std::lock_guard lock(regions_mutex_);
    if (!regions_ && !no_regions_) {
      auto made = make_region_compiler(
          {.layout = &layout_, .helpers = helpers_, .host = host_, .zero_base = options_.zero_base});
      if (made)
        regions_ = std::move(*made);
      else
        no_regions_ = true;
    }
    if (regions_) code = compile_guarded(region);
  }
  return code ? install_region(region, std::move(*code)) : nullptr;
}

std::vector<std::unique_ptr<CompiledBlock>> Baseline::compile_regions(std::span<const ir::Region> regions) {
  std::vector<std::unique_ptr<CompiledBlock>> compiled;
  for (const ir::Region& region : regions) compiled.push_back(compile_region(region));
  return compiled;
}

Result<void> Baseline::use_regions_for_every_block() {
  auto made = make_region_compiler(
      {.layout = &layout_, .helpers = helpers_, .host = host_, .zero_base = options_.zero_base});
  if (!made) return made.error();
  regions_ = std::move(*made);
  every_block_ = true;
  return {};
}

// --- translations that outlive the process

namespace {

/// Followed by the code, its exits (KeptExit; what needs more an ExitPlan behind them), faults
/// (FaultPlan) and pointers (uint32_t), each padded to 8 bytes.
struct KeptHead {
  uint32_t code_size, after_check;
  uint32_t exits, faults, pointers;
  uint32_t long_exits;
};

struct KeptExit {
  static constexpr uint8_t kModeKnown = 1, kLong = 2;
  uint8_t kind, flags;
  uint16_t raise;
  int32_t pc;  ///< from the block's; (kLong) number of the ExitPlan
  uint32_t patch, stub;
};

KeptExit keep_exit(const ExitPlan& exit, ir::BlockKey key, std::vector<ExitPlan>& more) {
  const auto distance = static_cast<int64_t>(exit.pc - key.pc);
  const bool has_pc = exit.kind != ExitPlan::Kind::Indirect && exit.kind != ExitPlan::Kind::Stopped;
  KeptExit kept{static_cast<uint8_t>(exit.kind),
                exit.mode_known ? KeptExit::kModeKnown : uint8_t{0},
                static_cast<uint16_t>(exit.raise),
                static_cast<int32_t>(has_pc ? distance : 0),
                exit.patch,
                exit.stub};
  if (exit.detail != 0 || (exit.mode != key.mode && exit.mode_known && has_pc) ||
      (has_pc && kept.pc != distance)) {
    kept.flags = KeptExit::kLong;
    kept.pc = static_cast<int32_t>(more.size());
    more.push_back(exit);
  }
  return kept;
}

/// False if `kept` can't be.
bool restore_exit(const KeptExit& kept, ir::BlockKey key, const uint8_t* more, uint32_t long_exits,
                  ExitPlan& exit) {
  if (kept.flags & KeptExit::kLong) {
    if (static_cast<uint32_t>(kept.pc) >= long_exits) return false;
    std::memcpy(&exit, more + static_cast<uint32_t>(kept.pc) * sizeof exit, sizeof exit);
    return true;
  }
  exit = {.kind = static_cast<ExitPlan::Kind>(kept.kind),
          .mode_known = (kept.flags & KeptExit::kModeKnown) != 0,
          .mode = key.mode,
          .pc = key.pc + static_cast<uint64_t>(int64_t{kept.pc}),
          .raise = static_cast<ir::ExitKind>(kept.raise),
          .patch = kept.patch,
          .stub = kept.stub};
  return true;
}

size_t padded(size_t size) { return (size + 7) & ~size_t{7}; }

void append(std::vector<uint8_t>& out, const void* from, size_t size) {
  const auto* const bytes = static_cast<const uint8_t*>(from);
  out.insert(out.end(), bytes, bytes + size);
  out.resize(padded(out.size()));
}

/// Takes `count` values off the front of `from`, or gives false.
template <typename T>
bool take(std::span<const uint8_t>& from, size_t count, const uint8_t*& start) {
  if (count > from.size() / sizeof(T) || padded(count * sizeof(T)) > from.size()) return false;
  start = from.data();
  from = from.subspan(padded(count * sizeof(T)));
  return true;
}

}  // namespace

uint64_t Baseline::keep_key() const {
  const auto id = persist::build_id();
  if (!usable_ || id.empty()) return 0;
  static_assert(std::has_unique_object_representations_v<baseline::HostFeatures>);
  uint64_t key = persist::hash_bytes(&host_, sizeof host_, 1 + options_.zero_base + 2 * layout_.sse_floats);
  for (const baseline::Pin& pin : pins_.pins)
    key = persist::mix(key ^ pin.offset, pin.reg + 0x9e3779b97f4a7c15);
  return persist::hash_bytes(id.data(), id.size(), key) | 1;
}

bool Baseline::save(const CompiledBlock& compiled, std::vector<uint8_t>& out) const {
  const auto& block = static_cast<const BaselineBlock&>(compiled);
  if (!block.code || block.region || strip_tags_.load(std::memory_order_relaxed)) return false;
  const size_t start = out.size();
  std::vector<ExitPlan> more;
  KeptExit exits[64];
  if (block.exits.size() > std::size(exits)) return false;
  for (size_t i = 0; i < block.exits.size(); ++i) exits[i] = keep_exit(block.exits[i], block.key, more);
  const KeptHead head{block.code_size,
                      static_cast<uint32_t>(block.after_check - block.code),
                      static_cast<uint32_t>(block.exits.size()),
                      static_cast<uint32_t>(block.faults.size()),
                      static_cast<uint32_t>(block.pointers.size()),
                      static_cast<uint32_t>(more.size())};
  append(out, &head, sizeof head);
  const size_t at = out.size();
  append(out, block.code, block.code_size);
  uint8_t* const code = out.data() + at;
  std::memset(code, 0, kCodeHeader);
  for (const ExitSite& site : block.exits) {
    const auto to_stub = static_cast<int32_t>(site.stub - (site.patch + 4));
    if (site.patch) std::memcpy(code + site.patch, &to_stub, sizeof to_stub);
  }
  for (const uint32_t offset : block.pointers) {
    uint64_t value;
    std::memcpy(&value, code + offset, sizeof value);
    value -= persist::image_base();
    if (value >= persist::image_size()) {
      out.resize(start);
      return false;
    }
    std::memcpy(code + offset, &value, sizeof value);
  }
  append(out, exits, block.exits.size() * sizeof(KeptExit));
  append(out, more.data(), more.size() * sizeof(ExitPlan));
  append(out, block.faults.data(), block.faults.size() * sizeof(FaultPlan));
  append(out, block.pointers.data(), block.pointers.size() * sizeof(uint32_t));
  return true;
}

std::unique_ptr<CompiledBlock> Baseline::load(ir::BlockKey key, uint32_t guest_size, uint32_t guest_count,
                                              std::span<const uint8_t> kept) {
  static_assert(std::is_trivially_copyable_v<ExitPlan> && sizeof(ExitPlan) % 8 == 0);
  const uint8_t *head_at, *code, *exits, *more, *faults, *pointers;
  if (strip_tags_.load(std::memory_order_relaxed) || every_block_ || !take<KeptHead>(kept, 1, head_at))
    return nullptr;
  KeptHead head;
  std::memcpy(&head, head_at, sizeof head);
  if (head.code_size < kCodeHeader || head.after_check > head.code_size ||
      !take<uint8_t>(kept, head.code_size, code) || !take<KeptExit>(kept, head.exits, exits) ||
      !take<ExitPlan>(kept, head.long_exits, more) || !take<FaultPlan>(kept, head.faults, faults) ||
      !take<uint32_t>(kept, head.pointers, pointers))
    return nullptr;
  auto block = std::make_unique<BaselineBlock>(*this);
  block->key = key;
  block->guest_size = guest_size;
  block->guest_count = guest_count;
  block->faults.resize(head.faults);
  if (head.faults) std::memcpy(block->faults.data(), faults, head.faults * sizeof(FaultPlan));
  block->pointers.resize(head.pointers);
  if (head.pointers) std::memcpy(block->pointers.data(), pointers, head.pointers * sizeof(uint32_t));
  block->exits.resize(head.exits);
  for (uint32_t i = 0; i < head.exits; ++i) {
    KeptExit exit;
    std::memcpy(&exit, exits + i * sizeof exit, sizeof exit);
    if (!restore_exit(exit, key, more, head.long_exits, block->exits[i])) return nullptr;
    block->exits[i].owner = block.get();
  }
  block->code_size = head.code_size;
  block->code = cache_.allocate(head.code_size);
  if (!block->code) return nullptr;
  static thread_local std::vector<uint8_t> bytes;
  bytes.assign(code, code + head.code_size);
  const BaselineBlock* const owner = block.get();
  std::memcpy(bytes.data(), &owner, sizeof owner);
  for (const uint32_t offset : block->pointers) {
    uint64_t value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    value += persist::image_base();
    std::memcpy(bytes.data() + offset, &value, sizeof value);
  }
  cache_.write(block->code, bytes.data(), bytes.size());
  block->entry = block->code + kCodeHeader;
  block->after_check = block->code + head.after_check;
  complete(*block);
  if (observer_)
    observer_->made({.key = key,
                     .guest_size = guest_size,
                     .tier = "kept",
                     .code = block->code,
                     .size = head.code_size,
                     .start = kCodeHeader,
                     .hot_size = head.code_size - kCodeHeader,
                     .marks = {}});
  counters_.loaded.fetch_add(1, std::memory_order_relaxed);
  return block;
}

// --- links

namespace {

/// Lets the exit's jump go to `to`, an address of executable memory. Other threads may be running it.
bool patch(baseline::CodeCache& cache, const ExitSite& site, const uint8_t* to, bool optional = false) {
  const uint8_t* const field = site.owner->code + site.patch;
  if (site.owner->region) return cache.patch(field, reinterpret_cast<uint64_t>(to), optional);
  return cache.patch(field, static_cast<int32_t>(to - (field + 4)), optional);
}

}  // namespace

void Baseline::link(BaselineBlock& from, unsigned exit, const CompiledBlock& to) {
  ExitSite& site = from.exits[exit];
  auto& target = const_cast<BaselineBlock&>(static_cast<const BaselineBlock&>(to));
  if (site.patch == 0 || !site.mode_known || !target.code) return;
  const std::lock_guard lock(link_mutex_);
  if (site.target || from.gone || target.gone) return;
  // Loops pass the check for requests; what only goes forward needs none.
  const bool forward = target.key.pc > from.key.pc;
  if (!patch(cache_, site, forward ? target.after_check : static_cast<const uint8_t*>(target.entry), true))
    return;
  site.target = &target;
  site.next = target.incoming;
  target.incoming = &site;
  counters_.links.fetch_add(1, std::memory_order_relaxed);
}

void Baseline::unlink(BaselineBlock& block) {
  const std::lock_guard lock(link_mutex_);
  block.gone = true;
  for (ExitSite* site = block.incoming; site;) {
    ExitSite* const next = site->next;
    patch(cache_, *site, site->owner->code + site->stub);
    site->target = nullptr;
    site->next = nullptr;
    site = next;
  }
  block.incoming = nullptr;
  for (ExitSite& site : block.exits) {
    if (!site.target) continue;
    ExitSite** at = &site.target->incoming;
    while (*at != &site) at = &(*at)->next;
    *at = site.next;
    site.target = nullptr;
    // Who still runs in here must not follow a jump into memory that may be freed.
    patch(cache_, site, block.code + site.stub);
  }
}

// --- running

Stop Baseline::interpret(const BaselineBlock& block, ir::CpuHeader& cpu, ThreadContext& thread) {
  const bool chaining = thread.chaining;
  thread.set_chaining(false);
  const Stop stop = interpreter_.run(*block.interpreted, cpu, thread);
  thread.set_chaining(chaining);
  return stop;
}

namespace {

void answer_requests(ir::CpuHeader& cpu, ThreadContext& thread) {
  const uint32_t asked = cpu.refresh_request.exchange(0);
  if ((asked & kSampleRequest) && thread.sampler) thread.sampler->note({cpu.pc, cpu.mode});
}

}  // namespace

// Generated code has no type in front of it for the sanitizer to check.
[[clang::no_sanitize("function")]] Stop Baseline::dispatch(const CompiledBlock& first, ir::CpuHeader& cpu,
                                                           ThreadContext& thread) {
  auto* block = static_cast<const BaselineBlock*>(&first);
  for (;;) {
    if (cpu.exit_request.load(std::memory_order_relaxed) != 0) {
      cpu.pc = block->key.pc;
      return {ir::ExitKind::Interrupted, 0};
    }
    BaselineBlock* from = nullptr;
    unsigned exit = 0;
    if (!block->code) {
      const Stop stop = interpret(*block, cpu, thread);
      if (stop.kind != ir::ExitKind::None) return stop;
    } else {
      const Leave left = enter_(block->entry, &cpu, &thread, &table_);
      from = left.block;
      (void)from->complete.load(std::memory_order_acquire);
      exit = static_cast<unsigned>(left.exit);
      const ExitSite& site = from->exits[exit];
      switch (site.kind) {
        case ExitPlan::Kind::Entry:
        case ExitPlan::Kind::Jump:
          cpu.pc = site.pc;
          break;
        case ExitPlan::Kind::Raise:
          cpu.pc = site.pc;
          return {site.raise, site.detail};
        case ExitPlan::Kind::Stopped:
          return thread.stop;
        case ExitPlan::Kind::Indirect:
          counters_.misses.fetch_add(1, std::memory_order_relaxed);
          break;
      }
      if (site.kind == ExitPlan::Kind::Entry) answer_requests(cpu, thread);
      if (site.kind != ExitPlan::Kind::Jump) from = nullptr;
    }
    if (!thread.chaining) {
      // A block that was stopped at its entry has not run.
      if (from || !block->code || cpu.pc != block->key.pc) return {};
    }
    thread.refresh();
    const ir::BlockKey key{cpu.pc, cpu.mode};
    const CompiledBlock* const next = thread.map.find(key);
    if (!next) return {};
    const auto* const target = static_cast<const BaselineBlock*>(next);
    if (thread.chaining && target->code) {
      if (from)
        link(*from, exit, *target);
      else
        thread.jump_cache[jump_cache_index(key.pc)] = {key.pc, key.mode, target, target->entry};
    }
    block = target;
  }
}

Stop Baseline::run(const CompiledBlock& first, ir::CpuHeader& cpu, ThreadContext& thread) {
  if (options_.zero_base && cpu.memory_base != 0) {
    std::fprintf(stderr,
                 "lyrebird: internal error: the baseline JIT was told that guest memory starts at 0\n");
    std::abort();
  }
  thread.refresh_request.store(&cpu.refresh_request, std::memory_order_relaxed);
  thread.stop = {};
  thread.current_op = nullptr;
  FaultGuard guard;
  if (sigsetjmp(guard.env, 0) != 0) return fault(guard, cpu, thread);
  guard.arm();
  return dispatch(first, cpu, thread);
}

Stop Baseline::fault(const FaultGuard& guard, ir::CpuHeader& cpu, ThreadContext& thread) {
  counters_.faults.fetch_add(1, std::memory_order_relaxed);
  if (thread.current_op) {
    // In a handler that generated code called: the state was put in place before.
    cpu.pc = static_cast<const interp::Code*>(thread.current_op)->imm;
    thread.current_op = nullptr;
    thread.interpret_next = true;
    return {};
  }
  const FaultGuard::Registers& host = guard.registers;
  const uint8_t* const code = host.valid ? cache_.start_of(host.pc) : nullptr;
  BaselineBlock* block = nullptr;
  if (code && code != cache_.start_of(reinterpret_cast<uint64_t>(table_.exit)))
    std::memcpy(&block, code, sizeof block);
  const FaultPlan* at = nullptr;
  if (block) {
    (void)block->complete.load(std::memory_order_acquire);
    const auto offset = static_cast<uint32_t>(host.pc - reinterpret_cast<uint64_t>(code));
    for (const FaultPlan& plan : block->faults)
      if (plan.offset == offset) at = &plan;
  }
  if (!at) {
    std::fprintf(stderr, "lyrebird: internal error: signal %d at host address %#llx, host pc %#llx\n",
                 guard.signal, static_cast<unsigned long long>(guard.address),
                 static_cast<unsigned long long>(host.pc));
    std::signal(guard.signal, SIG_DFL);
    std::raise(guard.signal);
    std::abort();
  }
  auto* const state = reinterpret_cast<uint8_t*>(&cpu);
  if (!block->region)
    for (const baseline::Pin& pin : pins_.pins) std::memcpy(state + pin.offset, &host.general[pin.reg], 8);
  cpu.fp_flags |= baseline::flags_of_mxcsr(host.mxcsr, layout_.sse_floats);
  cpu.pc = block->key.pc + static_cast<uint64_t>(static_cast<int32_t>(at->guest));
  thread.interpret_next = true;
  // An address that is not canonical has no address in the report.
  if (guard.address == 0 && guard.code == SI_KERNEL && ++tag_faults_ >= kTagFaultLimit) {
    strip_tags_ = true;
    thread.map.invalidate(block->key.pc, 1);
  }
  return {};
}

void Baseline::before_fork() {
  link_mutex_.lock();
  emitters_mutex_.lock();
  cache_.before_fork();
}

void Baseline::after_fork_in_parent() {
  cache_.after_fork_in_parent();
  emitters_mutex_.unlock();
  link_mutex_.unlock();
}

bool Baseline::after_fork_in_child(bool prepared) {
  // The optimising tier's memory may be in the middle of a change by a thread that the child lacks.
  new (&regions_mutex_) std::mutex;
  (void)regions_.release();
  if (prepared) {
    cache_.after_fork_in_child();
    emitters_mutex_.unlock();
    link_mutex_.unlock();
    return true;
  }
  new (&link_mutex_) std::mutex;
  new (&emitters_mutex_) std::mutex;
  for (auto& emitter : emitters_) (void)emitter.release();
  emitters_.clear();
  cache_.start_anew_in_child(runtime_size_);
  if (!cache_.usable()) usable_ = false;
  return false;
}

BaselineStats Baseline::stats() const {
  const auto get = [](const std::atomic<uint64_t>& v) { return v.load(std::memory_order_relaxed); };
  return {.blocks = get(counters_.blocks),
          .interpreted = get(counters_.interpreted),
          .guest_instructions = get(counters_.guest_instructions),
          .host_instructions = get(counters_.host_instructions),
          .hot_bytes = get(counters_.hot_bytes),
          .all_bytes = get(counters_.all_bytes),
          .links = get(counters_.links),
          .faults = get(counters_.faults),
          .loaded = get(counters_.loaded),
          .misses = get(counters_.misses),
          .regions = get(counters_.regions),
          .region_bytes = get(counters_.region_bytes)};
}

void Baseline::report(Report& report) const {
  const BaselineStats s = stats();
  const auto guest = static_cast<double>(s.guest_instructions);
  report.section("baseline JIT");
  report.count("blocks compiled", s.blocks);
  if (s.interpreted != 0)
    report.count("  left to the interpreter", s.interpreted, "too large for the emitter");
  report.ratio("host instructions per guest instruction", static_cast<double>(s.host_instructions), guest,
               "emitted, without what is out of line");
  report.bytes("host code", s.all_bytes);
  report.ratio("  bytes per guest instruction", static_cast<double>(s.all_bytes), guest);
  report.ratio("  of these in line", static_cast<double>(s.hot_bytes), guest);
  report.count("links between blocks", s.links);
  report.count("indirect jumps that C++ looked up", s.misses);
  report.count("faults in generated code", s.faults);
  if (s.regions == 0) return;
  report.section("optimising JIT");
  report.count("regions compiled", s.regions);
  report.bytes("host code of these", s.region_bytes);
}

}  // namespace lyrebird::jit
