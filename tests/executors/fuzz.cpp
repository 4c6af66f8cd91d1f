// SPDX-License-Identifier: Apache-2.0
// executor_fuzz: see README.md.
#include <sys/mman.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "base/fault_guard.h"
#include "ir/passes.h"
#include "ir/print.h"
#include "ir/region.h"
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

/// The layout of the random blocks, with its integers and vectors hot, so that they are pinned.
const ir::StateLayout& hot_layout() {
  static const std::vector<ir::StateField> fields = [] {
    const auto plain = ir::test::test_layout().fields;
    std::vector<ir::StateField> made(plain.begin(), plain.end());
    uint8_t next = 1, next_vector = 1;
    for (ir::StateField& field : made) {
      if (field.type == ir::Type::I64) field.hot = next++;
      if (field.type == ir::Type::V128 || field.type == ir::Type::V256) field.hot = next_vector++;
    }
    return made;
  }();
  static const ir::StateLayout layout{
      .fields = fields, .size = ir::test::test_layout().size, .other_carry = true};
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
       return std::unique_ptr<Engine>(new Baseline(hot_layout(), ir::test::test_helpers(),
                                                   {.code_bytes = size_t{4} << 20, .pin_vectors = true}));
     }},
    {"traps",
     [] {
       return std::unique_ptr<Engine>(
           new Baseline(hot_layout(), ir::test::test_helpers(),
                        {.code_bytes = size_t{4} << 20, .pin_vectors = true, .fp_traps = true}));
     }},
    {"careful",
     [] {
       return std::unique_ptr<Engine>(new Baseline(
           hot_layout(), ir::test::test_helpers(),
           {.code_bytes = size_t{4} << 20, .pin_vectors = true, .fp_traps = true, .fp_trap_limit = 0}));
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
  bool fault_known = false;
  State state;
  uint8_t memory[kArenaSize];
};

class Executor {
 public:
  explicit Executor(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

  void run(const ir::Block& block, const State& state, const uint8_t* memory, Result& result) {
    run(*engine_->compile(block), false, state, memory, result);
  }

  /// nullptr: too much for LLVM.
  std::unique_ptr<CompiledBlock> compile(const ir::Region& region) {
    return std::move(engine_->compile_regions({&region, 1}).front());
  }

  void run(const CompiledBlock& compiled, bool region, const State& state, const uint8_t* memory,
           Result& result) {
    copy(state, result.state);
    std::memcpy(Arena::bytes(), memory, kArenaSize);
    const ThreadContext::Running running(*thread_);
    thread_->set_chaining(region);
    thread_->interpret_next = false;
    result.stop = engine_->run(compiled, result.state.header, *thread_);
    result.interpret_next = thread_->interpret_next;
    result.fault_known = thread_->interpret_next && thread_->fault_known;
    std::memcpy(result.memory, Arena::bytes(), kArenaSize);
  }

  /// CpuHeader holds atomics.
  static void copy(const State& from, State& to) {
    std::memcpy(static_cast<void*>(&to), static_cast<const void*>(&from), sizeof to);
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

/// What generated code says of a fault itself: nothing if it is what the interpreter finds.
std::string fault_difference(const Result& expected, const Result& got) {
  const ir::CpuHeader &a = expected.state.header, &b = got.state.header;
  if (expected.stop.kind != ir::ExitKind::MemoryFault)
    return "fault at " + hex(b.fault_address) + " found, and stop " +
           std::string(ir::name(expected.stop.kind)) + " expected";
  // The interpreter names the address before the access's rule cut it (ir::AddressRule).
  bool within = false;
  for (const unsigned bits : {56u, 32u, 16u}) {
    const uint64_t mask = (uint64_t{1} << bits) - 1;
    within |= b.fault_address <= mask && ((b.fault_address - a.fault_address) & mask) < a.fault_size;
  }
  if (within && a.fault_access == b.fault_access && a.fault_signal == b.fault_signal) return {};
  return "fault of " + std::to_string(a.fault_size) + " bytes at " + hex(a.fault_address) + ", access " +
         std::to_string(a.fault_access) + " expected, at " + hex(b.fault_address) + ", access " +
         std::to_string(b.fault_access) + " found";
}

/// Nothing: the same.
std::string difference(const Result& expected, const Result& got) {
  const ir::CpuHeader &a = expected.state.header, &b = got.state.header;
  // A fault of generated code is a wish that the interpreter run the instruction again.
  const bool fault = got.interpret_next;
  const bool faulted =
      expected.stop.kind == ir::ExitKind::MemoryFault || expected.stop.kind == ir::ExitKind::Unaligned;
  if (got.fault_known)
    if (auto text = fault_difference(expected, got); !text.empty()) return text;
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

/// The block is at `pc`. `size`: of the largest ones.
void make(uint64_t seed, uint64_t pc, unsigned size, Case& made) {
  Random random(seed);
  ir::test::RandomBlockOptions options;
  options.size = 4 + random.below(size);
  options.pc = pc;
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

/// Where the batch's block is: where no random jump goes.
constexpr uint64_t place(size_t index) { return 0x7654320000 + 0x1000 * index; }

/// All of them in one region, which is the cheap way to compile many: its first block goes to the one at
/// CpuHeader::pc. One mode for all, as that block knows only its own.
ir::Region gather(const std::vector<std::unique_ptr<Case>>& cases) {
  ir::Region region;
  region.parts.reserve(cases.size() + 1);
  region.parts.resize(1);
  ir::Region::Part& first = region.parts.front();
  first.block.key = {place(0) - 0x100, cases.front()->block.key.mode};
  first.block.guest_size = 4;
  first.block.guest_count = 1;
  ir::Builder ir(first.block);
  ir.Insn(first.block.key.pc, 4);
  ir.JumpIndirect(ir.GetState(offsetof(ir::CpuHeader, pc), ir::Type::I64));
  std::vector<uint64_t> pcs;
  for (const auto& one : cases) {
    one->block.key.mode = one->state.header.mode = first.block.key.mode;
    pcs.push_back(one->block.key.pc);
    region.parts.push_back({.block = one->block, .guesses = {}});
  }
  region.parts.front().guesses = std::move(pcs);
  return region;
}

void install_fault_handler() {
  struct sigaction action{};
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  action.sa_sigaction = [](int signal, siginfo_t* info, void* context) {
    if (FaultGuard::deliver(signal, *info, context)) return;
    std::signal(signal, SIG_DFL);
  };
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
  sigaction(SIGFPE, &action, nullptr);
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
  uint64_t seed = 1, blocks = 100000, seconds = 0;
  int64_t only = -1;
  unsigned size = 60, batch = 1;
};

class Fuzzer {
 public:
  Fuzzer(const Options& options, std::unique_ptr<Engine> engine)
      : options_(options), other_(std::move(engine)) {}

  int run();

 private:
  void make_batch(uint64_t first, uint64_t count);
  bool check_batch(uint64_t first);
  bool check_region(uint64_t first);
  std::string compare(const Case& one, const ir::Block& block);
  /// Nothing if the region is too much for LLVM.
  std::optional<std::string> compare_in_region(size_t index);
  void report(uint64_t block, const std::string& wrong) const {
    std::printf("seed %llu block %llu: %s\n", (unsigned long long)options_.seed, (unsigned long long)block,
                wrong.c_str());
  }
  void reduce_region(size_t index);

  const Options options_;
  Executor reference_{kMakers[0].make()}, other_;
  std::vector<std::unique_ptr<Case>> cases_;
  std::unique_ptr<Result> expected_ = std::make_unique<Result>(), got_ = std::make_unique<Result>();
  uint64_t done_ = 0, faults_ = 0, refused_ = 0;
};

void Fuzzer::make_batch(uint64_t first, uint64_t count) {
  cases_.resize(count);
  for (auto& one : cases_)
    if (!one) one = std::make_unique<Case>();
  for (size_t i = 0; i < count; ++i)
    make(options_.seed * 0x9e3779b97f4a7c15 + first + i, place(i), options_.size, *cases_[i]);
}

std::string Fuzzer::compare(const Case& one, const ir::Block& block) {
  reference_.run(block, one.state, one.memory, *expected_);
  other_.run(block, one.state, one.memory, *got_);
  return difference(*expected_, *got_);
}

std::optional<std::string> Fuzzer::compare_in_region(size_t index) {
  const auto compiled = other_.compile(gather(cases_));
  if (!compiled) return std::nullopt;
  const Case& one = *cases_[index];
  reference_.run(one.block, one.state, one.memory, *expected_);
  other_.run(*compiled, true, one.state, one.memory, *got_);
  return difference(*expected_, *got_);
}

/// Without the other blocks, or with less of them, if it goes wrong all the same.
void Fuzzer::reduce_region(size_t index) {
  const auto fails = [&] {
    const auto wrong = compare_in_region(index);
    return wrong && !wrong->empty();
  };
  for (size_t i = cases_.size(); i-- > 0;) {
    if (i == index) continue;
    const auto at = cases_.begin() + static_cast<ptrdiff_t>(i);
    auto gone = std::move(*at);
    cases_.erase(at);
    if (i < index) --index;
    if (fails()) continue;
    cases_.insert(cases_.begin() + static_cast<ptrdiff_t>(i), std::move(gone));
    if (i <= index) ++index;
  }
  for (const auto& one : cases_) {
    ir::Block smallest = one->block;
    reduce(smallest, [&](const ir::Block& block) {
      one->block = block;
      return fails();
    });
    one->block = smallest;
  }
  for (size_t i = 0; i < cases_.size(); ++i)
    std::printf("%s%s", i == index ? "-> " : "", ir::print(cases_[i]->block).c_str());
  std::printf("%s\n", compare_in_region(index).value_or("").c_str());
}

/// False: something is wrong, and was said.
bool Fuzzer::check_region(uint64_t first) {
  const auto compiled = other_.compile(gather(cases_));
  if (!compiled) {
    refused_ += cases_.size();
    return true;
  }
  for (size_t i = 0; i < cases_.size(); ++i) {
    const Case& one = *cases_[i];
    reference_.run(one.block, one.state, one.memory, *expected_);
    other_.run(*compiled, true, one.state, one.memory, *got_);
    faults_ += got_->interpret_next;
    const std::string wrong = difference(*expected_, *got_);
    if (wrong.empty()) continue;
    report(first + i, wrong);
    reduce_region(i);
    return false;
  }
  return true;
}

bool Fuzzer::check_batch(uint64_t first) {
  if (options_.executor == "llvm") return check_region(first);
  for (size_t i = 0; i < cases_.size(); ++i) {
    Case& one = *cases_[i];
    const std::string wrong = compare(one, one.block);
    faults_ += got_->interpret_next;
    if (wrong.empty()) continue;
    report(first + i, wrong);
    reduce(one.block, [&](const ir::Block& block) { return !compare(one, block).empty(); });
    std::printf("%s%s\n", ir::print(one.block).c_str(), compare(one, one.block).c_str());
    return false;
  }
  return true;
}

int Fuzzer::run() {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  const uint64_t first = options_.only >= 0 ? static_cast<uint64_t>(options_.only) : 0;
  const uint64_t end = options_.only >= 0 ? first + 1 : options_.blocks;
  for (uint64_t i = first; i < end; i += cases_.size()) {
    if (options_.seconds != 0 && seconds() > static_cast<double>(options_.seconds)) break;
    make_batch(i, std::min<uint64_t>(options_.batch, end - i));
    if (options_.only >= 0) std::printf("%s", ir::print(cases_.front()->block).c_str());
    if (!check_batch(i)) return 1;
    done_ += cases_.size();
  }
  std::printf("%llu blocks on %s in %.0f s: all as on the interpreter, %llu of them faulted\n",
              (unsigned long long)done_, options_.executor.c_str(), seconds(), (unsigned long long)faults_);
  if (options_.executor != "llvm") return 0;
  std::printf("%llu of them were too much for LLVM\n", (unsigned long long)refused_);
  return refused_ * 20 <= done_ ? 0 : 1;
}

int fuzz(const Options& options) {
  const Arena arena;
  if (!arena.usable()) {
    std::fprintf(stderr, "executor_fuzz: can't map memory at %#llx\n", (unsigned long long)kArena);
    return 2;
  }
  install_fault_handler();
  for (const NamedMaker& maker : kMakers)
    if (options.executor == maker.name) return Fuzzer(options, maker.make()).run();
  std::fprintf(stderr, "executor_fuzz: no such executor: %s\n", options.executor.c_str());
  return 2;
}

}  // namespace
}  // namespace lyrebird::jit

int main(int argc, char** argv) {
  CLI::App app("Runs random blocks of IR on an executor and on the interpreter, and compares.");
  lyrebird::jit::Options options;
  app.add_option("--executor", options.executor, "which one: baseline, traps, careful, llvm, interp")
      ->capture_default_str();
  app.add_option("--seed", options.seed, "of the blocks")->capture_default_str();
  app.add_option("--blocks", options.blocks, "how many")->capture_default_str();
  app.add_option("--seconds", options.seconds, "at most so long; 0: as long as it takes")
      ->capture_default_str();
  app.add_option("--size", options.size, "instructions of the largest blocks, about")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--batch", options.batch, "blocks compiled at once (llvm)")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--only", options.only, "runs and prints this block only");
  CLI11_PARSE(app, argc, argv);
  return lyrebird::jit::fuzz(options);
}
