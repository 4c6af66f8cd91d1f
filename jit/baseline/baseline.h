// SPDX-License-Identifier: Apache-2.0
/// The baseline executor: x86-64 code made in one pass over a block.
///
/// Blocks jump to each other directly once the engine has linked them (link_mutex_ guards
/// all links; it may be taken while the map's mutex is held, never the other way round).
/// What the emitter has no code for calls the interpreter's handler; a block that is
/// beyond it is run by the interpreter as a whole.
///
/// A host fault inside generated code comes back from run() as Stop{None} with
/// ThreadContext::interpret_next set: the state is that before the guest instruction, and
/// the caller lets the interpreter run it, which finds the fault again or takes the tag off
/// the address. Mostly that is not needed: ThreadContext::fault_known.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "base/fault_guard.h"
#include "jit/baseline/block.h"
#include "jit/baseline/code_cache.h"
#include "jit/baseline/emitter.h"
#include "jit/baseline/host.h"
#include "jit/baseline/links.h"
#include "jit/baseline/runtime.h"
#include "jit/code_plan.h"
#include "jit/direct/direct.h"
#include "jit/direct/runtime.h"
#include "jit/engine.h"
#include "jit/interp/interp.h"
#include "jit/region_compiler.h"

namespace lyrebird::jit {

struct BaselineOptions {
  bool zero_base = true;  ///< every CpuHeader::memory_base is 0
  size_t code_bytes = size_t{256} << 20;
  bool system = false;  ///< guest memory is reached by the TLB (jit/tlb.h)
  bool loops = true;    ///< a block may jump to itself without an exit, which needs chaining
  /// Hot vectors stay in host registers, where the host has AVX-512. Regions don't know of that: not for
  /// both.
  bool pin_vectors = false;
  /// Floating point exceptions of the host may trap: who owns the process's signals gives SIGFPE to
  /// FaultGuard::deliver(). Where the guest's rules are not SSE's that takes less than to look at every
  /// result.
  bool fp_traps = false;
  /// Where guest and host speak the same ISA: blocks may be jit/direct's. nullptr: none is.
  const direct::Guest* direct = nullptr;
  /// That often in one block: it is made anew without (ThreadContext::remake). 0: all are.
  uint32_t fp_trap_limit = 32;
};

struct BaselineStats {
  uint64_t blocks = 0, interpreted = 0;  ///< compiled; of these, too large for the emitter
  uint64_t guest_instructions = 0;
  uint64_t host_instructions = 0;  ///< that were emitted for these, without what is out of line
  uint64_t hot_bytes = 0, all_bytes = 0, links = 0, faults = 0, traps = 0;
  uint64_t loaded = 0;  ///< blocks that another process compiled
  uint64_t misses = 0;  ///< indirect jumps that C++ had to look up
  uint64_t regions = 0, region_bytes = 0;
  uint64_t regions_loaded = 0;  ///< that another process compiled
};

class Baseline final : public Engine {
 public:
  Baseline(const ir::StateLayout& layout, ir::HelperTable helpers, BaselineOptions options = {});
  ~Baseline() override;

  /// False if the host lacks SSE4.2 or gives no executable memory: use the interpreter.
  bool usable() const { return usable_; }
  std::unique_ptr<CompiledBlock> compile(const ir::Block& block) override;
  /// Its plan sees nearly all that they would (docs/decisions.md).
  bool wants_passes() const override { return false; }
  Stop run(const CompiledBlock& first, ir::CpuHeader& cpu, ThreadContext& thread) override;
  void before_fork() override;
  void after_fork_in_parent() override;
  bool after_fork_in_child(bool prepared) override;
  uint64_t keep_key() const override;
  bool save(const CompiledBlock& block, std::vector<uint8_t>& out) const override;
  std::unique_ptr<CompiledBlock> load(ir::BlockKey key, uint32_t guest_size, uint32_t guest_count,
                                      std::span<const uint8_t> code) override;
  bool attach(persist::Image& image, uint64_t base) override;
  std::unique_ptr<CompiledBlock> load(const persist::Image& image, uint32_t number, uint64_t base) override;
  void detach(const persist::Image& image) override;
  void replaced(ir::BlockKey key) override;
  bool freeze(std::span<const KeptBlock> blocks, uint64_t base, persist::ImageWriter& writer,
              std::vector<persist::ImagePage>& pages) const override;
  BaselineStats stats() const;
  void report(Report& report) const override;

  /// (BaselineOptions::direct, if usable) --- direct.cpp
  bool direct_usable() const { return direct_enter_ != nullptr; }
  /// Code::near_from and near_to.
  void say_what_is_near(direct::Code& code) const;
  std::unique_ptr<CompiledBlock> compile_direct(direct::Code& code);
  /// Stands for code that is not to be translated directly: run() comes back at once.
  std::unique_ptr<CompiledBlock> refuse_direct(ir::BlockKey key);
  static bool is_refusal(const CompiledBlock& block);
  /// Puts the guest's registers into its state, if the thread has them.
  void settle(ir::CpuHeader& cpu, ThreadContext& thread) const;

  /// Loads the optimising tier when first called.
  std::vector<std::unique_ptr<CompiledBlock>> compile_regions(std::span<const ir::Region> regions) override;
  /// False: there is no optimising tier, or it broke down.
  bool optimises();
  /// From now on every block is compiled as a region of its own; for tests. An error if there is no
  /// optimising tier.
  Result<void> use_regions_for_every_block();

 private:
  friend struct baseline::BaselineBlock;

  using BlockPtr = std::unique_ptr<baseline::BaselineBlock>;
  /// An image that code runs from.
  struct Attached {
    const persist::Image* image;
    const uint8_t* code;
    uint64_t base;  ///< guest address of its first page
    std::atomic<bool> detached{false};
  };
  /// Code that was left, and what is known about it. `block`: nullptr in an image.
  struct Place {
    baseline::BaselineBlock* block = nullptr;
    const Attached* image = nullptr;
    const uint8_t* code = nullptr;
    baseline::BlockInfo info;
    ir::BlockKey key;
  };
  /// A jump of this thread that found no block. It is linked when run() is given one that it leads to.
  struct MissedJump {
    Place from;
    ExitPlan site;
    const ThreadContext* thread = nullptr;  ///< nullptr: there is none
    uint64_t generation = 0;                ///< `from` is there as long as the thread sees no other
  };
  static MissedJump& missed_jump();
  void link_missed(const CompiledBlock& target, const ThreadContext& thread);

  std::unique_ptr<baseline::Emitter> take_emitter();
  void give_emitter(std::unique_ptr<baseline::Emitter> emitter);
  BlockPtr install(const ir::Block& block, const baseline::Emitter& emitter, bool& no_room);
  BlockPtr make_block(ir::BlockKey key, uint32_t guest_size, uint32_t guest_count, const uint8_t* info,
                      size_t info_size);
  bool can_keep(const baseline::BaselineBlock& block) const;
  static void complete(baseline::BaselineBlock& block);
  BlockPtr copy_in(ir::BlockKey key, uint32_t guest_size, uint32_t guest_count, baseline::BlockInfo info,
                   const uint8_t* code);
  bool put_record(uint8_t* to, const RecordPlan& plan) const;
  static void note_pointers(const RecordPlan& plan, std::vector<uint32_t>& pointers);
  std::unique_ptr<CompiledBlock> compile_region(const ir::Region& region);
  std::optional<RegionCode> compile_guarded(const ir::Region& region);
  std::unique_ptr<CompiledBlock> install_region(const ir::Region& region, RegionCode code);
  void install_runtime();
  Place place_of(uint64_t owner) const;
  static Place place_in(const Attached& attached, uint32_t number);
  std::atomic<Attached*>* image_slot(uint32_t id);
  Attached* attached_of(uint32_t id) const;
  Attached* attached_at(uint64_t address) const;
  bool may_link(const Place& from, const CompiledBlock& to) const;
  void link(const Place& from, const ExitPlan& exit, const CompiledBlock& to);
  void unlink(baseline::BaselineBlock& block);
  bool patch(uint32_t field, bool region, const uint8_t* to, bool optional);
  Stop dispatch(const CompiledBlock& first, ir::CpuHeader& cpu, ThreadContext& thread);
  Stop interpret(const baseline::BaselineBlock& block, ir::CpuHeader& cpu, ThreadContext& thread);
  bool describe_fault(const FaultGuard& guard, ir::CpuHeader& cpu) const;
  Stop fault(const FaultGuard& guard, ir::CpuHeader& cpu, ThreadContext& thread);
  [[noreturn]] static void unknown_fault(const FaultGuard& guard);
  Place place_at(uint64_t host_pc);
  /// Who is asked while a thread runs generated code.
  struct RunTraps final : TrapOwner {
    RunTraps(Baseline& e, ir::CpuHeader& c, ThreadContext& t) : engine(e), cpu(c), thread(t) {}
    bool trap(State state) override { return engine.trap(state, cpu, thread); }
    Baseline& engine;
    ir::CpuHeader& cpu;
    ThreadContext& thread;
  };
  bool trap(TrapOwner::State state, ir::CpuHeader& cpu, ThreadContext& thread);
  void count_trap(const Place& place, ir::CpuHeader& cpu, ThreadContext& thread);
  void install_direct_runtime();
  Stop run_direct(const CompiledBlock& first, ir::CpuHeader& cpu, ThreadContext& thread);
  Stop dispatch_direct(const CompiledBlock& first, ir::CpuHeader& cpu, ThreadContext& thread);
  Stop fault_direct(const FaultGuard& guard, ir::CpuHeader& cpu, ThreadContext& thread);
  void prepare_area(ir::CpuHeader& cpu, ThreadContext& thread) const;
  void be_careful(ir::BlockKey key);
  bool is_careful(ir::BlockKey key);

  const ir::StateLayout& layout_;
  ir::HelperTable helpers_;
  const BaselineOptions options_;
  const baseline::HostFeatures host_;
  baseline::Pins pins_;
  const bool fp_traps_;
  uint32_t (*const mode_tag_)(uint32_t mode);  ///< StateLayout's; nullptr: keys of the jump cache have none
  bool usable_ = false;
  Interpreter interpreter_;
  baseline::CodeCache cache_;
  size_t runtime_size_ = 0;
  baseline::Enter enter_ = nullptr;
  baseline::RuntimeTable table_;
  direct::Enter direct_enter_ = nullptr;
  const uint8_t *direct_exit_ = nullptr, *direct_miss_ = nullptr;
  std::atomic<bool> strip_tags_{false};
  std::atomic<unsigned> tag_faults_{0};

  /// How often the code that is there trapped; where two want the same place, from when the last one came.
  struct TrapCount {
    std::atomic<const uint8_t*> code{nullptr};
    std::atomic<uint32_t> count{0};
  };
  std::array<TrapCount, 64> trap_counts_;
  std::atomic<bool> any_careful_{false};
  std::mutex careful_mutex_;
  std::set<std::pair<uint64_t, uint32_t>> careful_;  ///< pc and mode of blocks that trapped too often

  std::mutex link_mutex_;
  baseline::LinkPool links_;
  /// By their ids, in the first free place from the low bits on; what is in use stays. Written under
  /// link_mutex_.
  std::array<std::atomic<Attached*>, 256> images_{};
  baseline::BlockPool pool_;                                ///< of all blocks
  std::atomic<baseline::Emitter*> spare_emitter_{nullptr};  ///< owned; the others are below
  std::mutex emitters_mutex_;
  std::vector<std::unique_ptr<baseline::Emitter>> emitters_;

  /// Held during compilation by LLVM.
  std::mutex regions_mutex_;
  std::unique_ptr<RegionCompiler> regions_;
  bool no_regions_ = false;  ///< there is no optimising tier
  std::atomic<bool> every_block_{false};

  struct Counters {
    std::atomic<uint64_t> blocks{0}, interpreted{0}, guest_instructions{0}, host_instructions{0},
        hot_bytes{0}, all_bytes{0}, links{0}, faults{0}, traps{0}, misses{0}, regions{0}, region_bytes{0},
        loaded{0}, regions_loaded{0};
  } counters_;
};

}  // namespace lyrebird::jit
