// SPDX-License-Identifier: Apache-2.0
// executor_fuzz: see README.md.
#include <sys/mman.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "base/fault_guard.h"
#include "ir/passes.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "jit/baseline/baseline.h"
#include "jit/block_map.h"
#include "jit/interp/interp.h"
#include "jit/thread_context.h"
#include "tests/unit/ir/random_block.h"

namespace lyrebird::jit {
namespace {

using ir::test::Random;

// --- what blocks run on

constexpr uint64_t kArena = 0x20000000;  // below 4 GiB: some accesses wrap there
constexpr uint32_t kArenaSize = 4096;

/// A page that memory ops go to, between pages that fault.
class Arena {
 public:
  Arena() {
    void* const all = mmap(reinterpret_cast<void*>(kArena - kArenaSize), 3 * kArenaSize, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    usable_ = all != MAP_FAILED && mprotect(bytes(), kArenaSize, PROT_READ | PROT_WRITE) == 0;
  }
  bool usable() const { return usable_; }
  static uint8_t* bytes() { return reinterpret_cast<uint8_t*>(kArena); }

 private:
  bool usable_ = false;
};

struct State {
  ir::CpuHeader header;
  uint8_t bytes[1024] = {};
};

/// The layout of the random blocks, with its integers hot, so that they are pinned.
const ir::StateLayout& hot_layout() {
  static const std::vector<ir::StateField> fields = [] {
    const auto plain = ir::test::test_layout().fields;
    std::vector<ir::StateField> made(plain.begin(), plain.end());
    uint8_t next = 1;
    for (ir::StateField& field : made)
      if (field.type == ir::Type::I64) field.hot = next++;
    return made;
  }();
  static const ir::StateLayout layout{fields, ir::test::test_layout().size};
  return layout;
}

using Maker = std::unique_ptr<Engine> (*)();
struct NamedMaker {
  const char* name;
  Maker make;
};
constexpr NamedMaker kMakers[] = {
    {"interp", [] { return std::unique_ptr<Engine>(new Interpreter(ir::test::test_helpers())); }},
    {"baseline",
     [] {
       return std::unique_ptr<Engine>(
           new Baseline(hot_layout(), ir::test::test_helpers(), {.code_bytes = size_t{4} << 20}));
     }},
    {"llvm",
     [] {
       auto engine = std::make_unique<Baseline>(hot_layout(), ir::test::test_helpers(),
                                                BaselineOptions{.code_bytes = size_t{4} << 20});
       if (const auto regions = engine->use_regions_for_every_block(); !regions) {
         std::fprintf(stderr, "%s\n", regions.error().message.c_str());
         std::exit(2);
       }
       return std::unique_ptr<Engine>(std::move(engine));
     }},
};

/// What a block left behind.
struct Result {
  Stop stop;
  bool interpret_next = false;
  State state;
  uint8_t memory[kArenaSize];
};

class Executor {
 public:
  explicit Executor(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

  void run(const ir::Block& block, const State& state, const uint8_t* memory, Result& result) {
    copy(state, result.state);
    std::memcpy(Arena::bytes(), memory, kArenaSize);
    const auto compiled = engine_->compile(block);
    const ThreadContext::Running running(*thread_);
    thread_->set_chaining(false);
    thread_->interpret_next = false;
    result.stop = engine_->run(*compiled, result.state.header, *thread_);
    result.interpret_next = thread_->interpret_next;
    std::memcpy(result.memory, Arena::bytes(), kArenaSize);
  }

  /// CpuHeader holds atomics.
  static void copy(const State& from, State& to) {
    std::memcpy(static_cast<void*>(&to), static_cast<const void*>(&from), sizeof to);
  }

  /// Blocks that LLVM refused are the baseline's.
  uint64_t regions() const {
    const auto* const baseline = dynamic_cast<const Baseline*>(engine_.get());
    return baseline ? baseline->stats().regions : 0;
  }

 private:
  BlockMap map_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ThreadContext> thread_ = std::make_unique<ThreadContext>(map_);
};

// --- comparison

std::string hex(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string byte_difference(const char* what, const uint8_t* expected, const uint8_t* got, size_t size,
                            size_t from) {
  for (size_t i = 0; i < size; ++i)
    if (expected[i] != got[i])
      return std::string(what) + " byte " + std::to_string(i + from) + ": " + hex(expected[i]) +
             " expected, " + hex(got[i]) + " found";
  return {};
}

/// Nothing: the same.
std::string difference(const Result& expected, const Result& got) {
  const ir::CpuHeader &a = expected.state.header, &b = got.state.header;
  // A fault of generated code is a wish that the interpreter run the instruction again.
  const bool fault = got.interpret_next;
  const bool faulted =
      expected.stop.kind == ir::ExitKind::MemoryFault || expected.stop.kind == ir::ExitKind::Unaligned;
  if (fault && !faulted) return {};  // a tagged address: what follows is up to the caller
  if (!fault && (expected.stop.kind != got.stop.kind || expected.stop.detail != got.stop.detail))
    return "stop " + std::string(ir::name(expected.stop.kind)) + " " + hex(expected.stop.detail) +
           " expected, " + std::string(ir::name(got.stop.kind)) + " " + hex(got.stop.detail) + " found";
  if (a.pc != b.pc) return "pc " + hex(a.pc) + " expected, " + hex(b.pc) + " found";
  if (a.mode != b.mode) return "mode " + hex(a.mode) + " expected, " + hex(b.mode) + " found";
  if (a.fp_flags != b.fp_flags)
    return "FP flags " + hex(a.fp_flags) + " expected, " + hex(b.fp_flags) + " found";
  if (a.exclusive_size != b.exclusive_size)
    return "exclusive size " + hex(a.exclusive_size) + " expected, " + hex(b.exclusive_size) + " found";
  if (a.exclusive_size != 0 && a.exclusive_address != b.exclusive_address) return "exclusive address";
  if (auto text = byte_difference("state", expected.state.bytes, got.state.bytes, sizeof got.state.bytes,
                                  sizeof(ir::CpuHeader));
      !text.empty())
    return text;
  if (auto text = byte_difference("memory", expected.memory, got.memory, kArenaSize, 0); !text.empty())
    return text;
  if (faulted && !fault && (a.fault_address != b.fault_address || a.fault_size != b.fault_size))
    return "fault of " + std::to_string(a.fault_size) + " bytes at " + hex(a.fault_address) + " expected, " +
           std::to_string(b.fault_size) + " at " + hex(b.fault_address) + " found";
  return {};
}

// --- one case

struct Case {
  ir::Block block;
  State state;
  uint8_t memory[kArenaSize];
};

void make(uint64_t seed, Case& made) {
  Random random(seed);
  ir::test::RandomBlockOptions options;
  options.size = 4 + random.below(60);
  options.arena = kArena;
  options.arena_size = kArenaSize;
  made.block = ir::test::random_block(random, options);
  if (random.one_in(2)) ir::optimise(made.block, hot_layout(), ir::test::test_helpers());
  for (uint8_t& byte : made.state.bytes) byte = static_cast<uint8_t>(random.number());
  for (const ir::StateField& field : ir::test::test_layout().fields)
    if (field.type == ir::Type::I8) made.state.bytes[field.offset - sizeof(ir::CpuHeader)] &= 1;
  made.state.header.mode = made.block.key.mode;
  made.state.header.pc = made.block.key.pc;
  for (uint8_t& byte : made.memory) byte = static_cast<uint8_t>(random.next());
}

void install_fault_handler() {
  struct sigaction action{};
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  action.sa_sigaction = [](int signal, siginfo_t* info, void* context) {
    FaultGuard::deliver(signal, *info, context);
    std::signal(signal, SIG_DFL);
  };
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

// --- making a case that fails smaller

/// The block without an instruction that nobody uses.
ir::Block without(const ir::Block& block, ir::ValueId gone) {
  ir::Block smaller = block;
  smaller.insts.erase(smaller.insts.begin() + gone);
  for (ir::Inst& inst : smaller.insts)
    for (unsigned k = 0; k < ir::arg_count(inst); ++k)
      if (inst.args[k] != ir::kNoValue && inst.args[k] > gone) --inst.args[k];
  return smaller;
}

bool is_used(const ir::Block& block, ir::ValueId id) {
  for (const ir::Inst& inst : block.insts)
    for (unsigned k = 0; k < ir::arg_count(inst); ++k)
      if (inst.args[k] == id) return true;
  return false;
}

/// The block with a constant instead of a value, or without an effect; nothing if that can't be.
std::optional<ir::Block> simpler(const ir::Block& block, ir::ValueId id) {
  const ir::Inst& inst = block.insts[id];
  const bool terminal = id + 1 == block.insts.size();
  if (terminal || (inst.op == ir::Op::Insn && id == 0)) return std::nullopt;
  if (!is_used(block, id)) return without(block, id);
  if (inst.op == ir::Op::Const || inst.type == ir::Type::V256) return std::nullopt;
  ir::Block changed = block;
  ir::Inst constant{};
  constant.op = ir::Op::Const;
  constant.type = constant.elem = inst.type;
  constant.set_high(0);
  changed.insts[id] = constant;
  return changed;
}

template <typename Fails>
void reduce(ir::Block& block, Fails fails) {
  for (bool again = true; again;) {
    again = false;
    for (ir::ValueId id = static_cast<ir::ValueId>(block.insts.size()); id-- > 0;) {
      const auto smaller = simpler(block, id);
      if (!smaller || !ir::verify(*smaller, {.layout = &hot_layout(), .helpers = ir::test::test_helpers()}))
        continue;
      if (!fails(*smaller)) continue;
      block = *smaller;
      again = true;
    }
  }
}

struct Options {
  std::string executor = "baseline";
  uint64_t seed = 1, blocks = 100000;
  int64_t only = -1;
};

int fuzz(const Options& options) {
  const Arena arena;
  if (!arena.usable()) {
    std::fprintf(stderr, "executor_fuzz: can't map memory at %#llx\n", (unsigned long long)kArena);
    return 2;
  }
  install_fault_handler();
  Executor reference(kMakers[0].make());
  std::unique_ptr<Executor> other;
  for (const NamedMaker& maker : kMakers)
    if (options.executor == maker.name) other = std::make_unique<Executor>(maker.make());
  if (!other) {
    std::fprintf(stderr, "executor_fuzz: no such executor: %s\n", options.executor.c_str());
    return 2;
  }
  const auto made = std::make_unique<Case>();
  const auto expected = std::make_unique<Result>(), got = std::make_unique<Result>();
  const uint64_t first = options.only >= 0 ? static_cast<uint64_t>(options.only) : 0;
  const uint64_t end = options.only >= 0 ? first + 1 : options.blocks;
  uint64_t faults = 0;
  const auto compare = [&](const ir::Block& block) {
    reference.run(block, made->state, made->memory, *expected);
    other->run(block, made->state, made->memory, *got);
    return difference(*expected, *got);
  };
  for (uint64_t i = first; i < end; ++i) {
    make(options.seed * 0x9e3779b97f4a7c15 + i, *made);
    if (options.only >= 0) std::printf("%s", ir::print(made->block).c_str());
    const std::string wrong = compare(made->block);
    faults += got->interpret_next;
    if (wrong.empty()) continue;
    std::printf("seed %llu block %llu: %s\n", (unsigned long long)options.seed, (unsigned long long)i,
                wrong.c_str());
    reduce(made->block, [&](const ir::Block& block) { return !compare(block).empty(); });
    std::printf("%s%s\n", ir::print(made->block).c_str(), compare(made->block).c_str());
    return 1;
  }
  std::printf("%llu blocks on %s: all as on the interpreter, %llu of them faulted\n",
              (unsigned long long)(end - first), options.executor.c_str(), (unsigned long long)faults);
  if (options.executor != "llvm") return 0;
  const uint64_t refused = end - first - other->regions();
  std::printf("%llu of them were too much for LLVM\n", (unsigned long long)refused);
  return refused * 20 <= end - first ? 0 : 1;
}

}  // namespace
}  // namespace lyrebird::jit

int main(int argc, char** argv) {
  CLI::App app("Runs random blocks of IR on an executor and on the interpreter, and compares.");
  lyrebird::jit::Options options;
  app.add_option("--executor", options.executor, "which one: baseline, llvm, interp")->capture_default_str();
  app.add_option("--seed", options.seed, "of the blocks")->capture_default_str();
  app.add_option("--blocks", options.blocks, "how many")->capture_default_str();
  app.add_option("--only", options.only, "runs and prints this block only");
  CLI11_PARSE(app, argc, argv);
  return lyrebird::jit::fuzz(options);
}
