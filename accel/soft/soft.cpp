// SPDX-License-Identifier: Apache-2.0
#include "accel/soft/soft.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <utility>

#include "accel/direct/translator.h"
#include "accel/soft/code_log.h"
#include "accel/soft/tier.h"
#include "accel/soft/trace.h"
#include "base/log.h"
#include "base/report.h"
#include "ir/passes.h"
#include "ir/print.h"
#include "ir/verify.h"
#if defined(__x86_64__)
#include "jit/baseline/baseline.h"
#endif
#include "jit/block_map.h"
#include "jit/interp/interp.h"
#include "jit/thread_context.h"
#include "jit/tier/grow.h"

namespace lyrebird::accel {

namespace {

class SoftVcpu;
using Breakpoints = std::shared_ptr<const std::vector<uint64_t>>;

/// A block that is only valid just now: nothing would tell us when that ends.
bool is_transient(const ir::Block& block) {
  const ir::Inst& last = block.insts.back();
  return last.op == ir::Op::Raise && last.aux == static_cast<uint32_t>(ir::ExitKind::FetchFault);
}

}  // namespace

static std::unique_ptr<direct::Translator> make_direct(const frontend::Frontend& frontend,
                                                       const SoftOptions& options) {
  // What is logged for each block, or of the IR, is not there.
  if (options.executor != Executor::Direct || !options.zero_base || trace::every_block()) return nullptr;
  return direct::make_translator(frontend);
}

/// nullptr: the interpreter does it.
static std::unique_ptr<jit::Engine> make_compiler(
    [[maybe_unused]] const frontend::Frontend& frontend, const SoftOptions& options,
    [[maybe_unused]] std::unique_ptr<direct::Translator>& direct) {
#if defined(__x86_64__)
  const bool is_baseline = options.executor == Executor::Baseline || options.executor == Executor::Direct;
  if (options.executor != Executor::Interp) {
    auto baseline = std::make_unique<jit::Baseline>(
        frontend.layout(), frontend.helpers(),
        jit::BaselineOptions{
            .zero_base = options.zero_base,
            // What is out of the map keeps its place for a while.
            .code_bytes = options.code_bytes ? options.code_bytes : options.memory_limit / 4 * 5 + (1u << 20),
            .loops = !trace::every_block(),
            .pin_vectors = is_baseline,
            .fp_traps = options.fp_traps && is_baseline,
            .direct = direct.get()});
    if (!baseline->direct_usable()) direct = nullptr;
    if (options.executor == Executor::Llvm) {
      const auto regions = baseline->use_regions_for_every_block();
      if (!regions) {
        std::fprintf(stderr, "lyrebird: -jit llvm: %s\n", regions.error().message.c_str());
        std::exit(1);
      }
    }
    if (baseline->usable()) return baseline;
  }
#endif
  (void)options;
  return nullptr;
}

static KeepOptions keep_options(const SoftOptions& options, bool is_direct) {
  KeepOptions keep = options.keep;
  if (trace::every_block()) keep.directory.clear();
  // To copy instructions takes less than to look for what was kept of them.
  if (is_direct) keep.directory.clear();
  keep.images = options.executor != Executor::Llvm;
  keep.regions = options.executor == Executor::Tiered;
  return keep;
}

struct SoftAccelerator::Impl {
  const frontend::Frontend& frontend;
  frontend::CodeSource& code;
  const SoftOptions options;
  std::unique_ptr<CodeLog> code_log;           ///< outlives the blocks
  jit::Interpreter interpreter;                ///< for single steps, whatever runs the rest
  std::unique_ptr<direct::Translator> direct;  ///< nullptr: all code goes by way of the IR
  std::unique_ptr<jit::Engine> compiler;
  jit::Engine& engine;
  std::unique_ptr<jit::BlockMap> map;
  std::unique_ptr<Keeper> keeper;  ///< nullptr: nothing is kept
  std::atomic<uint64_t> translations{0};
  std::atomic<uint64_t> single_steps{0};
  std::atomic<bool> any_breakpoints{false};

  /// Nanoseconds of translation, if options.measure.
  enum Phase { kLift, kPasses, kCompile, kPublish, kLoad, kPhases };
  std::array<std::atomic<uint64_t>, kPhases> phases{};
  /// Adds the time since the last lap to a phase.
  class Laps {
   public:
    explicit Laps(Impl& impl) : impl_(impl), last_(impl.options.measure ? now() : 0) {}
    void lap(Phase phase) {
      if (last_ == 0) return;
      const uint64_t at = now();
      impl_.phases[phase].fetch_add(at - last_, std::memory_order_relaxed);
      last_ = at;
    }

   private:
    static uint64_t now() {
      return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    }
    Impl& impl_;
    uint64_t last_;
  };

  /// Guards what follows. Not held while anything else is locked.
  mutable std::mutex mutex;
  Breakpoints breakpoints = std::make_shared<std::vector<uint64_t>>();
  std::vector<SoftVcpu*> vcpus;
  bool fork_prepared = false;

  Impl(const frontend::Frontend& f, frontend::CodeSource& c, SoftOptions o)
      : frontend(f),
        code(c),
        options(o),
        interpreter(f.helpers()),
        direct(make_direct(f, o)),
        compiler(make_compiler(f, o, direct)),
        engine(compiler ? *compiler : interpreter),
        map(std::make_unique<jit::BlockMap>(o.memory_limit)),
        keeper(Keeper::create(engine, c, keep_options(o, direct != nullptr), o.max_instructions)) {
    const bool out_asm = log_enabled(LogTopic::OutAsm);
    if (!out_asm && !o.perf_map && !o.gdb_jit) return;
    code_log = std::make_unique<CodeLog>(
        CodeLog::Options{.out_asm = out_asm, .perf_map = o.perf_map, .gdb = o.gdb_jit});
    engine.observe(code_log.get());
  }

  /// nullptr: there are none.
  Breakpoints current_breakpoints() const {
    if (!any_breakpoints.load()) return nullptr;
    const std::lock_guard lock(mutex);
    return breakpoints;
  }

  void invalidate(uint64_t start, uint64_t size);

  struct Translation {
    std::unique_ptr<jit::CompiledBlock> block;
    bool transient = false;
  };
  void verify(const ir::Block& block) const;
  void lift(ir::Block& block, ir::BlockKey key, unsigned max_instructions, const std::vector<uint64_t>* stops,
            bool passes, Laps* laps = nullptr);
  Translation translate(jit::Engine& by, ir::BlockKey key, unsigned max_instructions,
                        const std::vector<uint64_t>* stops, Laps& laps);

  /// The optimising tier; nullptr: none. Its thread calls optimise_hot().
  std::unique_ptr<Tier> tier;
  std::atomic<uint64_t> regions{0}, region_instructions{0}, region_time_us{0}, kept_regions{0};
  void start_tier();
  std::vector<ir::BlockKey> optimise_hot(const std::vector<ir::BlockKey>& hot);
  bool take_kept_region(ir::BlockKey key);
};

namespace {

class SoftVcpu final : public Vcpu {
 public:
  SoftVcpu(SoftAccelerator::Impl& soft, ir::CpuHeader& state);
  ~SoftVcpu() override;

  Exit run() override;
  Exit step() override;
  void kick() override { jit::request_exit(state_); }
  ir::CpuHeader& state() override { return state_; }

  bool runs_here() const { return running_ && pthread_equal(runner_, pthread_self()); }
  /// In the child of a fork without preparation: the old map is not to be touched.
  void move_to(jit::BlockMap& map) {
    jit::Sampler* const sampler = thread_->sampler;
    (void)thread_.release();
    thread_ = std::make_unique<jit::ThreadContext>(map);
    thread_->sampler = sampler;
  }
  jit::ThreadContext* context() { return thread_.get(); }

 private:
  const jit::CompiledBlock* find_or_translate();
  /// The block to be run at pc if it is directly translated; nullptr: the IR's is, which is to have no more
  /// instructions than limit_.
  const jit::CompiledBlock* find_direct();
  std::unique_ptr<jit::CompiledBlock> translate_direct(ir::BlockKey key);
  Exit run_blocks();
  /// Whether the guest's registers are those of directly translated code: then into its state with them.
  void settle();
  /// The instruction at pc, by the interpreter. Turns chaining off.
  jit::Stop interpret_one();
  /// In place of the block that is there.
  void remake(ir::BlockKey key);
  Exit exit_of(jit::Stop stop);

  SoftAccelerator::Impl& soft_;
  ir::CpuHeader& state_;
  Keeper::Place place_;
  std::unique_ptr<jit::ThreadContext> thread_;
  std::unique_ptr<jit::CompiledBlock> transient_;  ///< runs once, is in no map
  unsigned limit_ = 0;                             ///< of instructions in a block
  std::optional<uint64_t> fault_pc_;               ///< of the last exit, a fault that nobody looked into
  pthread_t runner_{};
  bool running_ = false;
};

SoftVcpu::SoftVcpu(SoftAccelerator::Impl& soft, ir::CpuHeader& state)
    : soft_(soft), state_(state), thread_(std::make_unique<jit::ThreadContext>(*soft.map)) {
  const std::lock_guard lock(soft_.mutex);
  soft_.vcpus.push_back(this);
  if (soft_.tier) thread_->sampler = &soft_.tier->sampler();
}

SoftVcpu::~SoftVcpu() {
  const std::lock_guard lock(soft_.mutex);
  std::erase(soft_.vcpus, this);
}

void SoftVcpu::settle() {
#if defined(__x86_64__)
  if (soft_.direct) static_cast<jit::Baseline&>(soft_.engine).settle(state_, *thread_);
#endif
}

#if defined(__x86_64__)
std::unique_ptr<jit::CompiledBlock> SoftVcpu::translate_direct(ir::BlockKey key) {
  auto& baseline = static_cast<jit::Baseline&>(soft_.engine);
  const Breakpoints stops = soft_.current_breakpoints();
  frontend::TranslateRequest request{
      .key = key, .code = &soft_.code, .max_instructions = soft_.options.max_instructions};
  if (stops) {
    request.breakpoints = stops->data();
    request.breakpoint_count = static_cast<unsigned>(stops->size());
  }
  static thread_local jit::direct::Code code;
  baseline.say_what_is_near(code);
  SoftAccelerator::Impl::Laps laps(soft_);
  const bool translated = soft_.direct->translate(request, code);
  laps.lap(SoftAccelerator::Impl::kLift);
  auto block = translated ? baseline.compile_direct(code) : baseline.refuse_direct(key);
  laps.lap(SoftAccelerator::Impl::kCompile);
  return block;
}

const jit::CompiledBlock* SoftVcpu::find_direct() {
  const auto mode = soft_.direct->mode(state_.mode);
  limit_ = mode ? 1 : soft_.options.max_instructions;
  while (mode) {
    const ir::BlockKey key{state_.pc, *mode};
    const jit::CompiledBlock* block = soft_.map->find(key);
    if (!block) {
      const jit::BlockMap::Stamps stamps = soft_.map->stamps(key.pc);
      auto made = translate_direct(key);
      if (!made || made->no_room) {
        soft_.map->make_room();
        break;
      }
      soft_.translations.fetch_add(1, std::memory_order_relaxed);
      block = soft_.map->publish(std::move(made), stamps);
      if (!block) continue;
    }
    if (jit::Baseline::is_refusal(*block)) break;
    return block;
  }
  settle();
  return nullptr;
}
#endif

const jit::CompiledBlock* SoftVcpu::find_or_translate() {
  limit_ = soft_.options.max_instructions;
#if defined(__x86_64__)
  if (soft_.direct)
    if (const jit::CompiledBlock* const block = find_direct()) return block;
#endif
  const ir::BlockKey key{state_.pc, state_.mode};
  for (;;) {
    if (const jit::CompiledBlock* const block = soft_.map->find(key)) return block;
    // Read before the guest's bytes: what changes from here on keeps the block out of the map.
    const jit::BlockMap::Stamps stamps = soft_.map->stamps(key.pc);
    const Breakpoints stops = soft_.current_breakpoints();
    if (soft_.tier) soft_.tier->start();
    SoftAccelerator::Impl::Laps laps(soft_);
    // A kept block knows of no breakpoints.
    Keeper* const keeper = stops ? nullptr : soft_.keeper.get();
    if (keeper) {
      Keeper::Blocks more;
      if (auto kept = keeper->load(key, place_, more)) {
        const auto* const block = soft_.map->publish(std::move(kept), stamps);
        soft_.map->publish_more(std::move(more), stamps);
        laps.lap(SoftAccelerator::Impl::kLoad);
        if (block) return block;
        continue;
      }
    }
    auto translation = soft_.translate(soft_.engine, key, limit_, stops.get(), laps);
    if (translation.block->no_room) soft_.map->make_room();
    if (translation.transient || translation.block->no_room) {
      transient_ = std::move(translation.block);
      return transient_.get();
    }
    if (keeper) keeper->note(*translation.block, place_);
    const auto* const block = soft_.map->publish(std::move(translation.block), stamps);
    if (keeper) keeper->save_now_and_then(*soft_.map);
    laps.lap(SoftAccelerator::Impl::kPublish);
    if (block) return block;
  }
}

Exit SoftVcpu::exit_of(jit::Stop stop) {
  if (stop.kind == ir::ExitKind::Interrupted) state_.exit_request.store(0, std::memory_order_relaxed);
  if (stop.kind == ir::ExitKind::FetchFault) {
    state_.fault_address = stop.detail;
    state_.fault_size = 1;
    state_.fault_access = static_cast<uint32_t>(ir::Access::Fetch);
    state_.fault_signal = SIGSEGV;
    state_.fault_code = SEGV_MAPERR;
  }
  return {stop.kind, stop.detail};
}

Exit SoftVcpu::run() {
  const Exit exit = run_blocks();
  settle();
  return exit;
}

Exit SoftVcpu::run_blocks() {
  runner_ = pthread_self();
  running_ = true;
  const jit::ThreadContext::Running running(*thread_);
  // Whoever was told of a fault and comes back to it as if it were gone gets the interpreter's word.
  const bool may_trust = state_.pc != std::exchange(fault_pc_, std::nullopt);
  const bool every_block = trace::every_block();
  thread_->set_chaining(!every_block);
  for (;;) {
    if (state_.exit_request.load(std::memory_order_relaxed) != 0)
      return exit_of({ir::ExitKind::Interrupted, 0});
    const jit::CompiledBlock* const block = find_or_translate();
    if (every_block) trace::block_entry(*block, state_, soft_.frontend.layout());
    const jit::Stop stop = soft_.engine.run(*block, state_, *thread_);
    if (thread_->remake) remake(*std::exchange(thread_->remake, std::nullopt));
    if (stop.kind != ir::ExitKind::None) return exit_of(stop);
    if (thread_->interpret_next) {
      thread_->interpret_next = false;
      if (thread_->fault_known && may_trust) {
        fault_pc_ = state_.pc;
        return {ir::ExitKind::MemoryFault, 0};
      }
      const jit::Stop one = interpret_one();
      thread_->set_chaining(!every_block);
      if (one.kind != ir::ExitKind::None) return exit_of(one);
    }
  }
}

void SoftVcpu::remake(ir::BlockKey key) {
  const jit::BlockMap::Seen seen[] = {{key.pc, soft_.map->stamps(key.pc)}};
  const Breakpoints stops = soft_.current_breakpoints();
  SoftAccelerator::Impl::Laps laps(soft_);
  auto made = soft_.translate(soft_.engine, key, soft_.options.max_instructions, stops.get(), laps);
  if (made.transient || made.block->no_room) return;
  if (soft_.map->publish_region(std::move(made.block), seen)) soft_.engine.replaced(key);
}

jit::Stop SoftVcpu::interpret_one() {
  settle();
  thread_->set_chaining(false);
  soft_.single_steps.fetch_add(1, std::memory_order_relaxed);
  SoftAccelerator::Impl::Laps laps(soft_);
  transient_ = soft_.translate(soft_.interpreter, {state_.pc, state_.mode}, 1, nullptr, laps).block;
  return soft_.interpreter.run(*transient_, state_, *thread_);
}

Exit SoftVcpu::step() {
  runner_ = pthread_self();
  running_ = true;
  const jit::ThreadContext::Running running(*thread_);
  const jit::Stop stop = interpret_one();
  if (stop.kind == ir::ExitKind::None) return {ir::ExitKind::Debug, 0};
  return exit_of(stop);
}

}  // namespace

/// A block that breaks the rules is a bug in the frontend or in a pass.
void SoftAccelerator::Impl::verify(const ir::Block& block) const {
  const ir::TextContext context{.layout = &frontend.layout(), .helpers = frontend.helpers()};
  const Result<void> result = ir::verify(block, context);
  if (result) return;
  std::fprintf(stderr, "lyrebird: internal error: %s\n%s", result.error().message.c_str(),
               ir::print(block, context).c_str());
  std::abort();
}

void SoftAccelerator::Impl::lift(ir::Block& block, ir::BlockKey key, unsigned max_instructions,
                                 const std::vector<uint64_t>* stops, bool passes, Laps* laps) {
  frontend::TranslateRequest request{.key = key, .code = &code, .max_instructions = max_instructions};
  if (stops) {
    request.breakpoints = stops->data();
    request.breakpoint_count = static_cast<unsigned>(stops->size());
  }
  frontend.translate(request, block);
  translations.fetch_add(1, std::memory_order_relaxed);
  if (laps) laps->lap(kLift);
  trace::translated(block, code, frontend);
  if constexpr (ir::kVerify) verify(block);
  if (options.optimise && passes) {
    ir::optimise(block, frontend.layout(), frontend.helpers());
    if constexpr (ir::kVerify) verify(block);
    trace::optimised(block, frontend);
  }
  if (laps) laps->lap(kPasses);
}

SoftAccelerator::Impl::Translation SoftAccelerator::Impl::translate(jit::Engine& by, ir::BlockKey key,
                                                                    unsigned max_instructions,
                                                                    const std::vector<uint64_t>* stops,
                                                                    Laps& laps) {
  // One for all of a thread's blocks: making them would cost more than filling them.
  static thread_local ir::Block block;
  lift(block, key, max_instructions, stops, by.wants_passes(), &laps);
  Translation translation{by.compile(block), is_transient(block)};
  laps.lap(kCompile);
  return translation;
}

// --- the optimising tier

void SoftAccelerator::Impl::start_tier() {
  if (options.executor != Executor::Tiered || !compiler) return;
  tier = std::make_unique<Tier>(
      *map, [this](const auto& hot) { return optimise_hot(hot); }, options.tier,
      [this](ir::BlockKey key) { return take_kept_region(key); });
}

bool SoftAccelerator::Impl::take_kept_region(ir::BlockKey key) {
  if (!keeper) return false;
  Keeper::KeptRegion kept = keeper->load_region(key, *map);
  if (kept.refused) return true;
  // A kept region knows of no breakpoints. Those that come now have its stamps changed.
  if (!kept.block || current_breakpoints()) return false;
  if (!map->publish_region(std::move(kept.block), kept.seen)) return false;
  engine.replaced(key);
  kept_regions.fetch_add(1, std::memory_order_relaxed);
  return true;
}

std::vector<ir::BlockKey> SoftAccelerator::Impl::optimise_hot(const std::vector<ir::BlockKey>& hot) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<ir::Region> grown;
  std::vector<bool> stopped;  // of each: it was lifted for breakpoints
  std::vector<std::vector<jit::BlockMap::Seen>> seen;
  std::vector<ir::BlockKey> failed;
  for (const ir::BlockKey key : hot) {
    seen.emplace_back();
    bool any_stops = false;
    const auto source = [&](ir::BlockKey at) -> std::optional<ir::Block> {
      if (!map->holds(at)) return std::nullopt;
      seen.back().push_back({at.pc, map->stamps(at.pc)});
      const Breakpoints stops = current_breakpoints();
      any_stops |= stops != nullptr;
      ir::Block block;
      lift(block, at, options.max_instructions, stops.get(), true);
      if (is_transient(block)) return std::nullopt;
      return block;
    };
    // To go into a region and out of it takes longer than a few blocks gain.
    jit::GrowLimits limits = options.grow;
    limits.paths = false;
    auto region = jit::grow(key, source, limits);
    if (region) {
      grown.push_back(std::move(*region));
      stopped.push_back(any_stops);
    } else {
      seen.pop_back();
      failed.push_back(key);
    }
  }
  auto compiled = engine.compile_regions(grown);
  bool sound = true;  // what there is no region for was refused
#if defined(__x86_64__)
  sound = static_cast<jit::Baseline&>(*compiler).optimises();
#endif
  for (size_t i = 0; i < compiled.size(); ++i) {
    const ir::BlockKey key = grown[i].parts[0].block.key;
    const uint32_t count = grown[i].guest_count();
    std::shared_ptr<Keeper::RegionNote> note;
    if (keeper && !stopped[i])
      note = compiled[i] ? keeper->describe_region(*compiled[i])
             : sound     ? keeper->describe_refusal(key, grown[i].parts[0].block.guest_size)
                         : nullptr;
    if (!compiled[i]) {
      if (note) keeper->note_region(std::move(note));
      failed.push_back(key);
      continue;
    }
    if (!map->publish_region(std::move(compiled[i]), seen[i])) {
      failed.push_back(key);
      continue;
    }
    engine.replaced(key);
    if (note) keeper->note_region(std::move(note));
    regions.fetch_add(1, std::memory_order_relaxed);
    region_instructions.fetch_add(count, std::memory_order_relaxed);
  }
  const auto took = std::chrono::steady_clock::now() - start;
  region_time_us.fetch_add(
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
  return failed;
}

SoftAccelerator::SoftAccelerator(const frontend::Frontend& frontend, frontend::CodeSource& code,
                                 SoftOptions options)
    : impl_(std::make_unique<Impl>(frontend, code, options)) {
  impl_->start_tier();
}

SoftAccelerator::~SoftAccelerator() = default;

void SoftAccelerator::stop_background(bool wait) {
  if (impl_->tier) impl_->tier->stop(wait);
}

std::unique_ptr<Vcpu> SoftAccelerator::create_vcpu(ir::CpuHeader& state) {
  return std::make_unique<SoftVcpu>(*impl_, state);
}

void SoftAccelerator::Impl::invalidate(uint64_t start, uint64_t size) {
  if (keeper)
    for (const auto& [first, bytes] : keeper->changed(start, size)) map->invalidate(first, bytes);
  map->invalidate(start, size);
}

void SoftAccelerator::invalidate(uint64_t start, uint64_t size) { impl_->invalidate(start, size); }

void SoftAccelerator::set_breakpoints(std::vector<uint64_t> addresses) {
  auto fresh = std::make_shared<const std::vector<uint64_t>>(std::move(addresses));
  Breakpoints old;
  {
    const std::lock_guard lock(impl_->mutex);
    old = std::exchange(impl_->breakpoints, fresh);
    impl_->any_breakpoints.store(!fresh->empty());
  }
  std::vector<uint64_t> changed;
  std::set_symmetric_difference(old->begin(), old->end(), fresh->begin(), fresh->end(),
                                std::back_inserter(changed));
  // From one byte before: the block that ends at a breakpoint may raise Debug itself.
  for (const uint64_t address : changed) impl_->invalidate(address - 1, 2);
}

void SoftAccelerator::keep() {
  if (impl_->keeper) impl_->keeper->save(*impl_->map);
}

void SoftAccelerator::before_fork() {
  if (impl_->keeper) impl_->keeper->before_fork();
  impl_->mutex.lock();
  impl_->map->before_fork();
  impl_->engine.before_fork();
  impl_->fork_prepared = true;
}

void SoftAccelerator::after_fork_in_parent() {
  impl_->fork_prepared = false;
  impl_->engine.after_fork_in_parent();
  impl_->map->after_fork_in_parent();
  impl_->mutex.unlock();
  if (impl_->keeper) impl_->keeper->after_fork_in_parent();
}

void SoftAccelerator::after_fork_in_child() {
  Impl& impl = *impl_;
  SoftVcpu* survivor = nullptr;
  if (impl.keeper) impl.keeper->after_fork_in_child(impl.fork_prepared);
  if (impl.engine.after_fork_in_child(impl.fork_prepared)) {
    for (SoftVcpu* vcpu : impl.vcpus)
      if (vcpu->runs_here()) survivor = vcpu;
    impl.map->after_fork_in_child(survivor ? survivor->context() : nullptr);
    impl.fork_prepared = false;
    impl.mutex.unlock();
    if (impl.tier) impl.tier->after_fork_in_child(*impl.map);
    return;
  }
  // Another thread may have been in the middle of changing the map, or the engine's memory is still
  // the parent's: leave all behind.
  impl.fork_prepared = false;
  new (&impl.mutex) std::mutex;
  (void)impl.map.release();
  impl.map = std::make_unique<jit::BlockMap>(impl.options.memory_limit);
  for (SoftVcpu* vcpu : impl.vcpus) vcpu->move_to(*impl.map);
  if (impl.tier) impl.tier->after_fork_in_child(*impl.map);
}

void SoftAccelerator::report(Report& report) const {
  const jit::BlockMap::Stats map = impl_->map->stats();
  uint64_t total = 0;
  for (const auto& phase : impl_->phases) total += phase.load(std::memory_order_relaxed);
  const auto seconds = [](uint64_t nanoseconds) { return static_cast<double>(nanoseconds) * 1e-9; };
  report.section("translation");
  report.count("blocks", map.published);
  report.count("guest instructions", map.instructions);
  report.ratio("  per block", static_cast<double>(map.instructions), static_cast<double>(map.published));
  if (impl_->options.measure) {
    report.seconds("time", seconds(total));
    constexpr const char* kNames[] = {"  lifting", "  passes", "  code", "  publishing", "  from disk"};
    for (unsigned i = 0; i < Impl::kPhases; ++i) report.seconds(kNames[i], seconds(impl_->phases[i].load()));
    report.ratio("million guest instructions per second", static_cast<double>(map.instructions) * 1e3,
                 static_cast<double>(total));
  }
  report.count("single steps by the interpreter", impl_->single_steps.load());
  if (impl_->keeper) impl_->keeper->report(report);
  impl_->engine.report(report);
  report.section("block map");
  report.count("blocks held at the end", map.blocks);
  report.bytes("memory of these", map.bytes);
  report.count("invalidated", map.invalidated, "their code changed");
  report.count("evicted", map.evicted, "to stay below the limit");
  report.count("refused", map.refused, "the code changed during translation");
}

SoftStats SoftAccelerator::stats() const {
  const jit::BlockMap::Stats map = impl_->map->stats();
  return {.translations = impl_->translations.load(),
          .blocks = map.blocks,
          .bytes = map.bytes,
          .instructions = map.instructions,
          .invalidated = map.invalidated,
          .evicted = map.evicted,
          .refused = map.refused,
          .regions = impl_->regions.load(),
          .region_instructions = impl_->region_instructions.load(),
          .region_time_us = impl_->region_time_us.load(),
          .kept_regions = impl_->kept_regions.load()};
}

}  // namespace lyrebird::accel
