// SPDX-License-Identifier: Apache-2.0
// How fast guest code becomes host code: a program's text from its entry on, block by block,
// through all of it (fetch, decode, lift, passes, x86-64 code, block map).
//   translate AARCH64-ELF [ROUNDS [BLOCKS]]
// The best round counts; times are CPU time of the thread.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>

#include "bench/elf_text.h"
#include "frontend/arm/a64_frontend.h"
#include "ir/passes.h"
#include "jit/baseline/baseline.h"
#include "jit/block_map.h"
#include "jit/thread_context.h"

namespace {

using namespace lyrebird;

double cpu_time() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct Round {
  double lift = 0, passes = 0, code = 0, publish = 0;
  uint64_t blocks = 0;
  jit::BaselineStats stats;
  double total() const { return lift + passes + code + publish; }
};

/// Blocks go through each phase in batches, so that reading the clock costs nothing.
constexpr unsigned kBatch = 64;

Round run(bench::ElfText& text, const arm::A64Frontend& frontend, uint64_t limit) {
  jit::Baseline engine(frontend.layout(), frontend.helpers());
  jit::BlockMap map;
  Round round;
  std::vector<ir::Block> blocks(kBatch);
  std::vector<std::unique_ptr<jit::CompiledBlock>> compiled(kBatch);
  for (uint64_t pc = text.entry; pc < text.end() && round.blocks < limit;) {
    unsigned count = 0;
    double at = cpu_time();
    const auto lap = [&](double& phase) {
      const double now = cpu_time();
      phase += now - at;
      at = now;
    };
    for (; count < kBatch && pc < text.end(); ++count) {
      frontend.translate({.key = {.pc = pc}, .code = &text}, blocks[count]);
      pc += std::max(blocks[count].guest_size, 4u);
    }
    lap(round.lift);
    for (unsigned i = 0; i < count && engine.wants_passes(); ++i)
      ir::optimise(blocks[i], frontend.layout(), frontend.helpers());
    lap(round.passes);
    for (unsigned i = 0; i < count; ++i) compiled[i] = engine.compile(blocks[i]);
    lap(round.code);
    for (unsigned i = 0; i < count; ++i)
      (void)map.publish(std::move(compiled[i]), map.stamps(blocks[i].key.pc));
    lap(round.publish);
    round.blocks += count;
  }
  round.stats = engine.stats();
  return round;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: translate AARCH64-ELF [ROUNDS [BLOCKS]]\n");
    return 1;
  }
  bench::ElfText text(argv[1]);
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
  const uint64_t limit = argc > 3 ? std::strtoull(argv[3], nullptr, 0) : 100'000;
  const arm::A64Frontend frontend(*arm::find_cpu_model("max"));
  Round best;
  for (int i = 0; i < rounds; ++i) {
    const Round round = run(text, frontend, limit);
    if (i == 0 || round.total() < best.total()) best = round;
  }
  const auto guest = static_cast<double>(best.stats.guest_instructions);
  if (guest == 0) {
    std::fprintf(stderr, "%s: no AArch64 code found\n", argv[1]);
    return 1;
  }
  const auto ns = [&](double seconds) { return seconds * 1e9 / guest; };
  std::printf("%.0f guest instructions in %.0f blocks: %.2f million a second, %.0f ns each\n", guest,
              static_cast<double>(best.blocks), guest / best.total() * 1e-6, ns(best.total()));
  std::printf("  lifting %.0f ns, passes %.0f ns, code %.0f ns, publishing %.0f ns\n", ns(best.lift),
              ns(best.passes), ns(best.code), ns(best.publish));
  std::printf("  %.2f host instructions in line, %.1f bytes of code a guest instruction\n",
              static_cast<double>(best.stats.host_instructions) / guest,
              static_cast<double>(best.stats.all_bytes) / guest);
  return 0;
}
