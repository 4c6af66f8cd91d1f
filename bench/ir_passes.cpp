// SPDX-License-Identifier: Apache-2.0
// What lifting and the IR passes cost on real code, and what the passes save.
//   ir_passes AARCH64-ELF [ROUNDS]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bench/elf_text.h"
#include "frontend/arm/a64_frontend.h"
#include "ir/passes.h"
#include "ir/print.h"
#include "ir/verify.h"

namespace {

using namespace lyrebird;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: ir_passes AARCH64-ELF [ROUNDS]\n");
    return 1;
  }
  bench::ElfText text(argv[1]);
  const unsigned rounds = argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 5;
  const arm::A64Frontend frontend(*arm::find_cpu_model("max"));

  double best_lift = 1e9, best_passes = 1e9;
  size_t guest = 0, before = 0, after = 0;
  ir::Optimiser optimiser;
  for (unsigned round = 0; round < rounds; ++round) {
    std::vector<ir::Block> blocks;
    const auto lifting = std::chrono::steady_clock::now();
    for (uint64_t pc = text.entry; pc < text.end() && blocks.size() < 20000;) {
      ir::Block& block = blocks.emplace_back();
      frontend.translate({.key = {.pc = pc}, .code = &text}, block);
      pc += block.guest_size != 0 ? block.guest_size : 4;
    }
    best_lift = std::min(best_lift, seconds_since(lifting));
    guest = before = after = 0;
    for (const ir::Block& block : blocks) {
      guest += block.guest_count;
      before += block.insts.size();
    }
    const auto start = std::chrono::steady_clock::now();
    for (ir::Block& block : blocks) optimiser.run(block, frontend.layout(), frontend.helpers());
    best_passes = std::min(best_passes, seconds_since(start));
    for (const ir::Block& block : blocks) {
      after += block.insts.size();
      const ir::TextContext context{&frontend.layout(), frontend.helpers()};
      if (round != 0) continue;
      if (const auto valid = ir::verify(block, context); !valid)
        std::fprintf(stderr, "%s\n", valid.error().message.c_str());
    }
  }
  if (guest == 0) {
    std::fprintf(stderr, "%s: no AArch64 code found\n", argv[1]);
    return 1;
  }
  const auto n = static_cast<double>(before);
  std::printf(
      "%zu guest instructions, %zu IR instructions, %zu after the passes (%.2f, %.2f a guest instruction)\n",
      guest, before, after, n / static_cast<double>(guest),
      static_cast<double>(after) / static_cast<double>(guest));
  std::printf("lifting %.0f ns, passes %.0f ns a guest instruction; passes %.1f ns an IR instruction\n",
              best_lift * 1e9 / static_cast<double>(guest), best_passes * 1e9 / static_cast<double>(guest),
              best_passes * 1e9 / n);
  return 0;
}
