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

#include "base/log.h"
#include "base/report.h"
#include "jit/abi.h"
#include "jit/block_map.h"
#include "jit/interp/select.h"
#include "jit/persist/image.h"
#include "jit/tier/sampler.h"

namespace lyrebird::jit {

namespace baseline {

BaselineBlock::~BaselineBlock() {
  delete interpreted;
  // Its map may be gone, too, and another one have the same generation.
  if (auto& missed = Baseline::missed_jump(); missed.from.block == this) missed.thread = nullptr;
  // Images stay.
  if (!code || !engine.cache_.contains(reinterpret_cast<uint64_t>(code))) return;
  if (engine.observer_) engine.observer_->gone(code);
  engine.cache_.release(code, info.code_size());
}

void BaselineBlock::removed() { engine.unlink(*this); }

void BaselineBlock::operator delete(BaselineBlock* block, std::destroying_delete_t) {
  BlockPool& pool = block->engine.pool_;
  const size_t size = sizeof(BaselineBlock) + block->info_size;
  block->~BaselineBlock();
  pool.give(block, size);
}

}  // namespace baseline

using baseline::BaselineBlock;
using baseline::BlockInfo;
using baseline::Emitter;
using baseline::Leave;

namespace {

/// The hot fields of these types, the hottest first.
std::vector<ir::StateField> hot_fields(const ir::StateLayout& layout, std::initializer_list<ir::Type> types) {
  std::vector<ir::StateField> hot;
  for (const ir::StateField& field : layout.fields)
    if (field.hot && std::find(types.begin(), types.end(), field.type) != types.end()) hot.push_back(field);
  std::sort(hot.begin(), hot.end(), [](const auto& a, const auto& b) { return a.hot < b.hot; });
  return hot;
}

baseline::Pins pins_of(const ir::StateLayout& layout, bool vectors) {
  using baseline::Pins;
  Pins pins;
  const auto words = hot_fields(layout, {ir::Type::I64});
  for (size_t i = 0; i < words.size() && i < std::size(abi::kPinned); ++i)
    pins.add({words[i].offset, abi::kPinned[i]});
  const auto quads = hot_fields(layout, {ir::Type::V128, ir::Type::V256});
  for (size_t i = 0; vectors && i < quads.size() && i < Pins::kMostVectors; ++i)
    pins.add_vector({quads[i].offset, static_cast<uint8_t>(Pins::kFirstVector + i)});
  // The one status word that StatusOf ops make.
  for (const ir::StateField& field : layout.fields)
    if (field.type == ir::Type::I16 && field.name == "status") {
      pins.status = field.offset;
      pins.other_carry = layout.other_carry;
      pins.shift_status = baseline::host_shift_status();
    }
  for (const ir::StateField& field : layout.fields)
    if (field.type == ir::Type::F80 && pins.f80.size() < baseline::Pins::kMostF80)
      pins.f80.push_back(field.offset);
  return pins;
}

/// Bytes of images; what is beyond is copied into the cache block by block.
constexpr size_t kImageRoom = size_t{256} << 20;

/// What generated code has there; rsp is its stack pointer.
template <typename T>
T in_frame(uint64_t rsp, uint32_t offset) {
  T value;
  std::memcpy(&value, reinterpret_cast<const void*>(rsp + abi::kFrame + offset), sizeof value);
  return value;
}

[[noreturn]] void internal_error(const char* what) {
  std::fprintf(stderr, "lyrebird: internal error: %s\n", what);
  std::abort();
}

/// After so many faults on tagged addresses they are no accident.
constexpr unsigned kTagFaultLimit = 64;

}  // namespace

Baseline::Baseline(const ir::StateLayout& layout, ir::HelperTable helpers, BaselineOptions options)
    : layout_(layout),
      helpers_(helpers),
      options_(options),
      host_(baseline::host_features()),
      pins_(pins_of(layout, options.pin_vectors && host_.avx512)),
      fp_traps_(options.fp_traps && !layout.sse_floats && host_.avx),
      mode_tag_(options.system ? nullptr : layout.mode_tag),
      interpreter_(helpers, options.system),
      cache_(options.code_bytes, kImageRoom) {
  usable_ = host_.sse42 && cache_.usable();
  if (usable_) install_runtime();
  if (usable_ && options_.direct) install_direct_runtime();
}

Baseline::~Baseline() {
  for (auto& slot : images_) delete slot.load(std::memory_order_relaxed);
  delete spare_emitter_.load(std::memory_order_relaxed);
}

void Baseline::install_runtime() {
  const baseline::RuntimeCode runtime =
      baseline::make_runtime(pins_, host_.avx, layout_.sse_floats, fp_traps_, mode_tag_ != nullptr);
  runtime_size_ = runtime.bytes.size();
  const uint8_t* const code = cache_.allocate(runtime_size_);
  cache_.write(code, runtime.bytes.data(), runtime_size_);
  enter_ = reinterpret_cast<baseline::Enter>(const_cast<uint8_t*>(code) + runtime.enter);
  table_.exit = code + runtime.exit;
  table_.lookup = code + runtime.lookup;
  table_.record = reinterpret_cast<const void*>(baseline::run_record);
  for (unsigned i = 0; i < 3; ++i) table_.thunks[i] = code + runtime.thunks[i];
  for (unsigned i = 0; i < 2; ++i) table_.region_thunks[i] = code + runtime.region_thunks[i];
  table_.memory = code + runtime.memory;
}

// --- compilation

std::unique_ptr<Emitter> Baseline::take_emitter() {
  if (Emitter* const spare = spare_emitter_.exchange(nullptr, std::memory_order_acquire))
    return std::unique_ptr<Emitter>(spare);
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
  Emitter* const before = spare_emitter_.exchange(emitter.release(), std::memory_order_acq_rel);
  if (!before) return;
  emitter.reset(before);
  const std::lock_guard lock(emitters_mutex_);
  emitters_.push_back(std::move(emitter));
}

std::unique_ptr<CompiledBlock> Baseline::compile(const ir::Block& block) {
  if (every_block_.load(std::memory_order_relaxed)) {
    ir::Region region;
    region.parts.push_back({.block = block, .guesses = {}});
    if (auto compiled = compile_region(region)) return compiled;
  }
  auto emitter = take_emitter();
  const baseline::EmitOptions options{.zero_base = options_.zero_base,
                                      .system = options_.system,
                                      .loops = options_.loops,
                                      .marks = observer_ != nullptr,
                                      .sse_floats = layout_.sse_floats,
                                      .mode_tag = mode_tag_,
                                      .strip_tags = strip_tags_.load(std::memory_order_relaxed),
                                      .fp_traps = fp_traps_,
                                      .careful = fp_traps_ && is_careful(block.key)};
  BlockPtr compiled;
  bool no_room = false;
  if (usable_ && emitter->emit(block, helpers_, options)) compiled = install(block, *emitter, no_room);
  give_emitter(std::move(emitter));
  counters_.blocks.fetch_add(1, std::memory_order_relaxed);
  counters_.guest_instructions.fetch_add(block.guest_count, std::memory_order_relaxed);
  if (compiled) return compiled;
  compiled = make_block(block.key, block.guest_size, block.guest_count, nullptr, 0);
  compiled->interpreted = interpreter_.compile(block).release();
  compiled->no_room = no_room;
  compiled->host_size = compiled->interpreted->host_size;
  counters_.interpreted.fetch_add(1, std::memory_order_relaxed);
  return compiled;
}

Baseline::BlockPtr Baseline::make_block(ir::BlockKey key, uint32_t guest_size, uint32_t guest_count,
                                        const uint8_t* info, size_t info_size) {
  BlockPtr block(new (pool_, info_size) BaselineBlock(*this));
  block->info_size = static_cast<uint32_t>(info_size);
  block->key = key;
  block->mode_tag = mode_tag_ ? static_cast<uint16_t>(mode_tag_(key.mode)) : uint16_t{0};
  block->guest_size = guest_size;
  block->guest_count = guest_count;
  if (info_size != 0) {
    std::memcpy(block->room(), info, info_size);
    block->info = BlockInfo(block->room());
  }
  return block;
}

/// The last step of making a block, whose code is in place.
void Baseline::complete(BaselineBlock& block) {
  block.entry = block.code + block.info.after_check();
  block.host_size = static_cast<uint32_t>(block.info.code_size() + sizeof(BaselineBlock) + block.info.size());
  block.complete.store(true, std::memory_order_release);
}

Baseline::BlockPtr Baseline::install(const ir::Block& from, const Emitter& emitter, bool& no_room) {
  static thread_local std::vector<uint8_t> info;
  info.clear();
  const uint32_t size = emitter.code_size();
  if (!BlockInfo::pack({.key = from.key,
                        .code_size = size,
                        .after_check = emitter.after_check(),
                        .prefix = emitter.prefix(),
                        .sums = pins_.other_carry,
                        .drops_flags = emitter.drops_flags(),
                        .notes_flags = emitter.notes_flags(),
                        .exits = &emitter.exits(),
                        .faults = &emitter.faults(),
                        .traps = &emitter.traps(),
                        .pointers = &emitter.pointers(),
                        .moves = emitter.movable() ? &emitter.moves() : nullptr},
                       info))
    return nullptr;
  BlockPtr block = make_block(from.key, from.guest_size, from.guest_count, info.data(), info.size());
  const auto line = options_.system ? std::nullopt  // not measured there
                                    : block->info.room_for_loop(0, baseline::CodeCache::kAlignment, from.key);
  const uint8_t* const code = cache_.add(emitter.code(), size, block.get(), line);
  if (!code) {
    no_room = size <= baseline::CodeCache::kSegment;
    return nullptr;
  }
  block->code = code;
  complete(*block);
  if (observer_)
    observer_->made({.key = from.key,
                     .guest_size = from.guest_size,
                     .tier = "baseline",
                     .code = code,
                     .size = emitter.instructions_size(),
                     .start = kCodeHeader,
                     .hot_size = emitter.hot_size(),
                     .marks = emitter.marks()});
  counters_.host_instructions.fetch_add(emitter.hot_count(), std::memory_order_relaxed);
  counters_.hot_bytes.fetch_add(emitter.hot_size(), std::memory_order_relaxed);
  counters_.all_bytes.fetch_add(size, std::memory_order_relaxed);
  return block;
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

/// Where put_record() writes addresses of this program.
void Baseline::note_pointers(const RecordPlan& plan, std::vector<uint32_t>& pointers) {
  constexpr auto kHandler = static_cast<uint32_t>(offsetof(interp::Code, handler));
  constexpr auto kSize = static_cast<uint32_t>(sizeof(interp::Code));
  pointers.push_back(plan.offset + kHandler);
  pointers.push_back(plan.offset + kSize + kHandler);
  if (plan.kind != RecordPlan::Kind::Helper) return;
  pointers.push_back(plan.offset + static_cast<uint32_t>(offsetof(interp::Code, imm)));
  pointers.push_back(plan.offset + 2 * kSize + kHandler);
}

std::unique_ptr<CompiledBlock> Baseline::install_region(const ir::Region& region, RegionCode code) {
  const ir::Block& first = region.parts.front().block;
  const uint32_t prefix = pins_.status != 0 ? baseline::append_flags_entry(code.bytes, code.entry, pins_) : 0;
  const auto size = static_cast<uint32_t>(code.bytes.size());
  std::vector<uint8_t> info;
  std::vector<uint32_t> pointers;
  for (const RecordPlan& plan : code.records) note_pointers(plan, pointers);
  const std::vector<uint8_t> recovery = pack_recovery(code.recipes, code.recovery);
  if (!BlockInfo::pack({.key = first.key,
                        .code_size = size,
                        .entry = code.entry,
                        .prefix = prefix,
                        .sums = pins_.other_carry,
                        .region = true,
                        .exits = &code.exits,
                        .faults = &code.faults,
                        .pointers = &pointers,
                        .recovery = recovery},
                       info))
    return nullptr;
  const uint8_t* const place = cache_.allocate(size);
  if (!place) return nullptr;
  BlockPtr block = make_block(first.key, first.guest_size, region.guest_count(), info.data(), info.size());
  block->code = place;
  std::vector<GuestRange> more;
  for (size_t i = 1; i < region.parts.size(); ++i)
    more.push_back({region.parts[i].block.key.pc, region.parts[i].block.guest_size});
  if (!more.empty()) block->more = std::make_unique<const std::vector<GuestRange>>(std::move(more));
  uint8_t* const bytes = code.bytes.data();
  const BaselineBlock* const owner = block.get();
  std::memcpy(bytes, &owner, sizeof owner);
  for (const RecordPlan& plan : code.records)
    if (!put_record(bytes + plan.offset, plan)) return nullptr;
  for (const ExitPlan& exit : code.exits) {
    const uint8_t* const stub = place + exit.stub;
    if (exit.patch != 0) std::memcpy(bytes + exit.patch, &stub, sizeof stub);
  }
  cache_.write(place, bytes, size);
  complete(*block);
  if (observer_)
    observer_->made({.key = block->key,
                     .guest_size = block->guest_size,
                     .tier = "llvm",
                     .code = place,
                     .size = size,
                     .start = code.entry,
                     .hot_size = size - code.entry,
                     .marks = {}});
  counters_.regions.fetch_add(1, std::memory_order_relaxed);
  counters_.region_bytes.fetch_add(size, std::memory_order_relaxed);
  return block;
}

/// A compiler that crashes takes no guest with it: what it held is lost, and it is not asked again.
std::optional<RegionCode> Baseline::compile_guarded(const ir::Region& region) {
  std::optional<RegionCode> code;
  FaultGuard guard;
  const bool crashed = sigsetjmp(guard.env, 0) != 0;
  if (!crashed) {
    guard.arm();
    code = regions_->compile(region, {.strip_tags = strip_tags_.load(std::memory_order_relaxed),
                                      .worthwhile = !every_block_.load(std::memory_order_relaxed)});
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
      if (made) {
        regions_ = std::move(*made);
      } else {
        no_regions_ = true;
        log_always("lyrebird: no optimising compiler: " + made.error().message +
                   "; code stays as the first compiler made it\n");
      }
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

bool Baseline::optimises() {
  const std::lock_guard lock(regions_mutex_);
  return !no_regions_ && pins_.vectors.empty();
}

Result<void> Baseline::use_regions_for_every_block() {
  if (!pins_.vectors.empty()) return Error("regions don't know of vectors in registers");
  auto made = make_region_compiler(
      {.layout = &layout_, .helpers = helpers_, .host = host_, .zero_base = options_.zero_base});
  if (!made) return made.error();
  regions_ = std::move(*made);
  every_block_ = true;
  return {};
}

// --- links

/// Lets the jump at `field` go to `to`, an address of executable memory. Other threads may be running it.
bool Baseline::patch(uint32_t field, bool region, const uint8_t* to, bool optional) {
  const uint8_t* const at = cache_.at(field);
  if (region) return cache_.patch(at, reinterpret_cast<uint64_t>(to), optional);
  return cache_.patch(at, static_cast<int32_t>(to - (at + 4)), optional);
}

namespace {

/// Whether the jump still goes to its stub.
bool at_stub(const uint8_t* field, bool region, const uint8_t* stub) {
  if (region) {
    uint64_t to;
    std::memcpy(&to, field, sizeof to);
    return to == reinterpret_cast<uint64_t>(stub);
  }
  int32_t distance;
  std::memcpy(&distance, field, sizeof distance);
  return field + 4 + distance == stub;
}

}  // namespace

/// In system mode a jump to another page may lead elsewhere the next time.
bool Baseline::may_link(const Place& from, const CompiledBlock& to) const {
  if (!options_.system) return true;
  return ((from.key.pc ^ to.key.pc) | (from.block->place ^ to.place)) < (uint64_t{1} << BlockMap::kPageBits);
}

void Baseline::link(const Place& from, const ExitPlan& exit, const CompiledBlock& to) {
  auto& target = const_cast<BaselineBlock&>(static_cast<const BaselineBlock&>(to));
  if (exit.patch == 0 || !exit.mode_known || !target.code) return;
  const std::lock_guard lock(link_mutex_);
  if (target.gone || (from.block ? from.block->gone : from.image->detached.load())) return;
  const bool region = from.info.region();
  const uint32_t field = cache_.offset_of(from.code + exit.patch);
  if (!at_stub(cache_.at(field), region, from.code + exit.stub)) return;
  // Loops pass the check for requests; what only goes forward needs none, but behind code that may make a
  // request, such as by unmasking interrupts.
  const bool forward = target.key.pc > from.key.pc && !exit.asks;
  const uint32_t entry = target.info.entry_for(forward, exit.flags);
  if (entry == 0 || !patch(field, region, target.code + entry, true)) return;
  uint32_t number = 0;
  if (from.block)
    for (number = from.block->outgoing; number != 0; number = links_[number].next_outgoing)
      if (links_[number].field == field) break;
  if (number == 0) {
    number = links_.take();
    links_[number].field = field;
    links_[number].stub = static_cast<int32_t>(exit.stub - exit.patch);
    links_[number].region = region;
    links_[number].listed = from.block != nullptr;
    if (from.block) links_[number].next_outgoing = std::exchange(from.block->outgoing, number);
  }
  links_[number].target = &target;
  links_[number].next_incoming = std::exchange(target.incoming, number);
  counters_.links.fetch_add(1, std::memory_order_relaxed);
}

Baseline::MissedJump& Baseline::missed_jump() {
  static thread_local MissedJump missed;
  return missed;
}

void Baseline::link_missed(const CompiledBlock& target, const ThreadContext& thread) {
  MissedJump& missed = missed_jump();
  const bool same_thread = std::exchange(missed.thread, nullptr) == &thread;
  if (!same_thread || !thread.chaining || missed.generation != thread.cached_generation) return;
  // What is in no map runs only once.
  const bool leads_here = target.place != 0 && target.key == ir::BlockKey{missed.site.pc, missed.site.mode};
  if (leads_here) link(missed.from, missed.site, target);
}

void Baseline::unlink(BaselineBlock& block) {
  const std::lock_guard lock(link_mutex_);
  block.gone = true;
  for (uint32_t number = block.incoming; number != 0;) {
    baseline::Link& link = links_[number];
    const uint32_t next = link.next_incoming;
    patch(link.field, link.region, cache_.at(link.field) + link.stub, false);
    link.target = nullptr;
    link.next_incoming = 0;
    if (!link.listed) links_.give(number);
    number = next;
  }
  block.incoming = 0;
  for (uint32_t number = block.outgoing; number != 0;) {
    baseline::Link& link = links_[number];
    const uint32_t next = link.next_outgoing;
    if (link.target) {
      uint32_t* at = &link.target->incoming;
      while (*at != number) at = &links_[*at].next_incoming;
      *at = link.next_incoming;
      // Who still runs in here must not follow a jump into memory that may be freed.
      patch(link.field, link.region, cache_.at(link.field) + link.stub, false);
    }
    links_.give(number);
    number = next;
  }
  block.outgoing = 0;
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

namespace {
/// The host's x87 starts without exceptions; those that code left there are the guest's.
void collect_f80(ir::CpuHeader& cpu) {
  cpu.f80_collected |= cpu.f80_status & ir::kF80Exceptions;
  cpu.f80_status &= ir::kF80RoundedUp;
  asm volatile("fnclex");
}
}  // namespace

// Generated code has no type in front of it for the sanitizer to check.
[[clang::no_sanitize("function")]] Stop Baseline::dispatch(const CompiledBlock& first, ir::CpuHeader& cpu,
                                                           ThreadContext& thread) {
  auto* block = static_cast<const BaselineBlock*>(&first);
  if (missed_jump().thread) link_missed(first, thread);
  for (;;) {
    const bool were_closed = open_jumps(cpu, *thread.jump_cache);
    if (cpu.exit_request.load() != 0) {
      cpu.pc = block->key.pc;
      return {ir::ExitKind::Interrupted, 0};
    }
    if (were_closed && cpu.refresh_request.load() != 0) {
      cpu.pc = block->key.pc;
      answer_requests(cpu, thread);
      thread.refresh();
      block = static_cast<const BaselineBlock*>(thread.find_block(cpu));
      if (!block || thread.remake) return {};
    }
    const uint64_t generation = thread.cached_generation;
    Leave left{};
    if (!block->code) {
      const Stop stop = interpret(*block, cpu, thread);
      if (stop.kind != ir::ExitKind::None) return stop;
    } else {
      if (cpu.f80_status != 0) collect_f80(cpu);
      left = enter_(block->entry, &cpu, &thread, &table_);
      // The memory thunk left.
      if (left.owner == 0) return thread.stop;
    }
    // Made in place: a copy would wait until the host has written what it was just made of.
    const Place from = block->code ? place_of(left.owner) : Place{};
    const ExitPlan site =
        block->code ? from.info.exit(static_cast<unsigned>(left.exit), from.key) : ExitPlan{};
    bool jumped = false;
    if (block->code) {
      jumped = site.kind == ExitPlan::Kind::Jump;
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
      if (cpu.refresh_request.load(std::memory_order_relaxed) != 0) answer_requests(cpu, thread);
      if (thread.remake) return {};
    }
    if (!thread.chaining) {
      // A block that was stopped at its entry has not run.
      if (jumped || !block->code || cpu.pc != block->key.pc) return {};
    }
    thread.refresh();
    const CompiledBlock* const next = thread.find_block(cpu);
    if (!next) {
      if (jumped && from.block && !options_.system && thread.cached_generation == generation)
        missed_jump() = {from, site, &thread, generation};
      return {};
    }
    const auto* const target = static_cast<const BaselineBlock*>(next);
    // After a change of the map the block that was left may be freed by now.
    if (thread.cached_generation != generation) jumped = false;
    if (thread.chaining && target->code) {
      if (!jumped || !may_link(from, *target))
        thread.note_jump(cpu, *target);
      else
        link(from, site, *target);
    }
    block = target;
  }
}

Stop Baseline::run(const CompiledBlock& first, ir::CpuHeader& cpu, ThreadContext& thread) {
  if (options_.zero_base && cpu.memory_base != 0)
    internal_error("the baseline JIT was told that guest memory starts at 0");
  if (static_cast<const BaselineBlock&>(first).direct) return run_direct(first, cpu, thread);
  thread.cpu.store(&cpu, std::memory_order_relaxed);
  thread.stop = {};
  thread.current_op = nullptr;
  FaultGuard guard;
  const auto done = [&](Stop stop) {
    if (thread.remake) be_careful(*thread.remake);
    return stop;
  };
  if (sigsetjmp(guard.env, 0) != 0) return done(fault(guard, cpu, thread));
  RunTraps traps(*this, cpu, thread);
  if (fp_traps_) guard.traps = &traps;
  guard.arm();
  return done(dispatch(first, cpu, thread));
}

/// What CpuHeader::fault_* says of an access by generated code. False: the interpreter has to find out, as
/// the address may be one that only looks different to the guest.
bool Baseline::describe_fault(const FaultGuard& guard, ir::CpuHeader& cpu) const {
  constexpr uint64_t kUserSpace = uint64_t{1} << 47;
  const uint64_t address = guard.address - cpu.memory_base;
  if (guard.address == 0 || guard.code <= 0 || guard.code == SI_KERNEL || address >= kUserSpace) return false;
  cpu.fault_address = address;
  cpu.fault_size = 1;
  cpu.fault_signal = guard.signal;
  cpu.fault_code = guard.code;
  cpu.fault_access = static_cast<uint32_t>(guard.registers.wrote ? ir::Access::Write : ir::Access::Read);
  return true;
}

/// Without code if that is no block's.
Baseline::Place Baseline::place_at(uint64_t host_pc) {
  if (const Attached* const image = attached_at(host_pc))
    return place_in(*image, image->image->at_code(host_pc - reinterpret_cast<uint64_t>(image->code)));
  const uint8_t* const code = cache_.start_of(host_pc);
  if (!code || code == cache_.start_of(reinterpret_cast<uint64_t>(table_.exit))) return {};
  uint64_t owner;
  std::memcpy(&owner, code, sizeof owner);
  return place_of(owner);
}

/// Generated code trapped, so that its thread holds no lock.
bool Baseline::trap(TrapOwner::State state, ir::CpuHeader& cpu, ThreadContext& thread) {
  const Place place = place_at(state.pc);
  if (!place.code) return false;
  const auto target =
      place.info.trap(static_cast<uint32_t>(state.pc - reinterpret_cast<uint64_t>(place.code)));
  if (!target) return false;
  counters_.traps.fetch_add(1, std::memory_order_relaxed);
  count_trap(place, cpu, thread);
  state.pc = reinterpret_cast<uint64_t>(place.code) + *target;
  // What trapped is done again, and says then what the guest is told. Besides, only code that masks its traps
  // raises these.
  constexpr uint32_t kInvalid = 1, kDenormal = 2, kUnderflow = 16;
  constexpr uint32_t kTold = kInvalid | kDenormal | kUnderflow;
  const auto before = in_frame<uint32_t>(state.sp, baseline::kFrameUnmasked);
  state.mxcsr = (state.mxcsr & ~kTold) | (before & kTold);
  return true;
}

void Baseline::count_trap(const Place& place, ir::CpuHeader& cpu, ThreadContext& thread) {
  TrapCount& count = trap_counts_[reinterpret_cast<uint64_t>(place.code) / baseline::CodeCache::kAlignment %
                                  trap_counts_.size()];
  if (count.code.exchange(place.code, std::memory_order_relaxed) != place.code)
    count.count.store(0, std::memory_order_relaxed);
  if (count.count.fetch_add(1, std::memory_order_relaxed) + 1 != options_.fp_trap_limit) return;
  count.count.store(0, std::memory_order_relaxed);
  thread.remake = place.key;
  request_refresh(cpu, kRemakeRequest);
}

/// Outside of the signal's handler: from now on the block is compiled without traps.
void Baseline::be_careful(ir::BlockKey key) {
  bool is_new;
  {
    const std::lock_guard lock(careful_mutex_);
    is_new = careful_.insert({key.pc, key.mode}).second;
    any_careful_ = true;
  }
  if (is_new) return;
  // Jumps from far away inside its image still lead to the code that traps.
  for (const auto& slot : images_) {
    const Attached* const attached = slot.load(std::memory_order_acquire);
    if (attached && (key.pc - attached->base) >> persist::kImagePageBits < attached->image->pages().size())
      detach(*attached->image);
  }
}

bool Baseline::is_careful(ir::BlockKey key) {
  if (options_.fp_trap_limit == 0) return true;
  if (!any_careful_.load(std::memory_order_relaxed)) return false;
  const std::lock_guard lock(careful_mutex_);
  return careful_.contains({key.pc, key.mode});
}

/// By no access of generated code that is known: an error of ours.
void Baseline::unknown_fault(const FaultGuard& guard) {
  std::fprintf(stderr, "lyrebird: internal error: signal %d at host address %#llx, host pc %#llx\n",
               guard.signal, static_cast<unsigned long long>(guard.address),
               static_cast<unsigned long long>(guard.registers.pc));
  std::signal(guard.signal, SIG_DFL);
  std::raise(guard.signal);
  std::abort();
}

Stop Baseline::fault(const FaultGuard& guard, ir::CpuHeader& cpu, ThreadContext& thread) {
  counters_.faults.fetch_add(1, std::memory_order_relaxed);
  if (thread.current_op) {
    // In a handler that generated code called: the state was put in place before.
    cpu.pc = static_cast<const interp::Code*>(thread.current_op)->imm;
    thread.current_op = nullptr;
    thread.interpret_next = true;
    thread.fault_known = false;
    return {};
  }
  const FaultGuard::Registers& host = guard.registers;
  Place place;
  if (host.valid) place = place_at(host.pc);
  std::optional<FaultPlan> at;
  if (place.code)
    at = place.info.fault(static_cast<uint32_t>(host.pc - reinterpret_cast<uint64_t>(place.code)));
  if (!at) unknown_fault(guard);
  auto* const state = reinterpret_cast<uint8_t*>(&cpu);
  if (place.info.region()) {
    const auto offset = static_cast<uint32_t>(host.pc - reinterpret_cast<uint64_t>(place.code));
    recover(place.info.recovery(), offset, host, {state, layout_.size});
  } else {
    for (const baseline::Pin& pin : pins_.pins) std::memcpy(state + pin.offset, &host.general[pin.reg], 8);
    for (const baseline::Pin& pin : pins_.vectors) std::memcpy(state + pin.offset, host.xmm[pin.reg], 16);
  }
  if (at->flags != FlagsAt::State && (at->flags != FlagsAt::HostIfNoRcx || host.general[1] == 0))
    baseline::put_flags(state, pins_, host.flags, at->flags == FlagsAt::HostSum);
  cpu.fp_flags |= baseline::flags_of_mxcsr(host.mxcsr, layout_.sse_floats);
  cpu.f80_collected |= host.x87_status & ir::kF80Exceptions;
  for (size_t f = 0; f < pins_.f80.size(); ++f)
    if (const uint32_t depth = at->f80 >> 4 * f & 15)
      std::memcpy(state + pins_.f80[f], host.x87[depth - 1], 10);
  cpu.pc = place.key.pc + static_cast<uint64_t>(static_cast<int32_t>(at->guest));
  thread.interpret_next = true;
  thread.fault_known = at->plain && describe_fault(guard, cpu);
  // An address that is not canonical has no address in the report.
  if (guard.address == 0 && guard.code == SI_KERNEL && ++tag_faults_ >= kTagFaultLimit) {
    strip_tags_ = true;
    for (auto& image : images_)
      if (const Attached* const attached = image.load()) detach(*attached->image);
    thread.map.invalidate(place.key.pc, 1);
  }
  return {};
}

void Baseline::before_fork() {
  careful_mutex_.lock();
  link_mutex_.lock();
  emitters_mutex_.lock();
  pool_.before_fork();
  cache_.before_fork();
}

void Baseline::after_fork_in_parent() {
  cache_.after_fork_in_parent();
  pool_.after_fork();
  emitters_mutex_.unlock();
  link_mutex_.unlock();
  careful_mutex_.unlock();
}

bool Baseline::after_fork_in_child(bool prepared) {
  // The optimising tier's memory may be in the middle of a change by a thread that the child lacks.
  new (&regions_mutex_) std::mutex;
  (void)regions_.release();
  if (prepared) {
    cache_.after_fork_in_child();
    pool_.after_fork();
    emitters_mutex_.unlock();
    link_mutex_.unlock();
    careful_mutex_.unlock();
    return true;
  }
  new (&careful_mutex_) std::mutex;
  new (&careful_) std::set<std::pair<uint64_t, uint32_t>>;
  new (&link_mutex_) std::mutex;
  // The parent's may be in the middle of a change.
  new (&links_) baseline::LinkPool;
  new (&pool_) baseline::BlockPool;
  for (auto& image : images_) image = nullptr;
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
          .traps = get(counters_.traps),
          .loaded = get(counters_.loaded),
          .misses = get(counters_.misses),
          .regions = get(counters_.regions),
          .region_bytes = get(counters_.region_bytes),
          .regions_loaded = get(counters_.regions_loaded)};
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
  report.count("floating point traps", s.traps);
  if (s.regions + s.regions_loaded == 0) return;
  report.section("optimising JIT");
  report.count("regions from disk", s.regions_loaded);
  report.count("regions compiled", s.regions);
  report.bytes("host code of these", s.region_bytes);
}

}  // namespace lyrebird::jit
