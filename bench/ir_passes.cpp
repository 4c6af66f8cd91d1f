// SPDX-License-Identifier: Apache-2.0
// What lifting and the IR passes cost on real code, and what the passes save.
//   ir_passes AARCH64-ELF [ROUNDS]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "frontend/arm/a64_frontend.h"
#include "ir/passes.h"
#include "ir/print.h"
#include "ir/verify.h"

namespace {

using namespace lyrebird;

/// The executable segment of a little-endian 64-bit ELF file.
class Text final : public frontend::CodeSource {
 public:
  explicit Text(std::vector<char> file) : file_(std::move(file)) {
    const auto at = [&]<typename T>(size_t offset, T) {
      T value{};
      if (offset + sizeof value <= file_.size()) std::memcpy(&value, file_.data() + offset, sizeof value);
      return value;
    };
    const uint64_t headers = at(32, uint64_t{});
    const unsigned count = at(56, uint16_t{});
    for (unsigned i = 0; i < count; ++i) {
      const uint64_t header = headers + 56 * i;
      if (at(header, uint32_t{}) != 1 || (at(header + 4, uint32_t{}) & 1) == 0) continue;
      offset_ = at(header + 8, uint64_t{});
      start = at(header + 16, uint64_t{});
      size_ = at(header + 32, uint64_t{});
    }
    entry = at(24, uint64_t{});
    if (offset_ > file_.size() || size_ > file_.size() - offset_) size_ = 0;
  }
  bool fetch(uint64_t pc, void* to, unsigned size) override {
    if (pc < start || pc - start + size > size_) return false;
    std::memcpy(to, file_.data() + offset_ + (pc - start), size);
    return true;
  }
  bool guarded(uint64_t) const override { return false; }

  uint64_t start = 0, entry = 0;
  uint64_t end() const { return start + size_; }

 private:
  std::vector<char> file_;
  uint64_t offset_ = 0, size_ = 0;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: ir_passes AARCH64-ELF [ROUNDS]\n");
    return 1;
  }
  std::ifstream in(argv[1], std::ios::binary);
  Text text(std::vector<char>(std::istreambuf_iterator<char>(in), {}));
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
