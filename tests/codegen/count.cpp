// SPDX-License-Identifier: Apache-2.0
// Host instructions that a snippet of A64 becomes, against the figures in counts.txt (README.md).
//   codegen_count FILE [--update]
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "frontend/arm/a64_frontend.h"
#include "ir/passes.h"
#include "jit/baseline/baseline.h"

namespace {

using namespace lyrebird;

class Words final : public frontend::CodeSource {
 public:
  explicit Words(std::vector<uint32_t> words) : words_(std::move(words)) {}
  bool fetch(uint64_t pc, void* to, unsigned size) override {
    if (pc - kStart + size > 4 * words_.size()) return false;
    std::memcpy(to, reinterpret_cast<const char*>(words_.data()) + (pc - kStart), size);
    return true;
  }
  bool guarded(uint64_t) const override { return false; }
  static constexpr uint64_t kStart = 0x400000;

 private:
  std::vector<uint32_t> words_;
};

/// In line, with the check at the block's entry and the jump at its end.
uint64_t host_instructions(const std::vector<uint32_t>& words) {
  const arm::A64Frontend frontend(*arm::find_cpu_model("max"));
  jit::Baseline engine(frontend.layout(), frontend.helpers());
  Words source(words);
  ir::Block block;
  frontend.translate({.key = {.pc = Words::kStart}, .code = &source}, block);
  if (engine.wants_passes()) ir::optimise(block, frontend.layout(), frontend.helpers());
  (void)engine.compile(block);
  return engine.stats().host_instructions;
}

struct Line {
  std::string text;  ///< as it is in the file, up to the last bar
  std::vector<uint32_t> words;
  std::string count;
};

bool parse(const std::string& text, Line& line) {
  const size_t colon = text.find(':'), bar = text.rfind('|');
  if (colon == std::string::npos || bar == std::string::npos || bar < colon) return false;
  std::istringstream words(text.substr(0, colon));
  line.words.clear();
  for (std::string word; words >> word;)
    line.words.push_back(static_cast<uint32_t>(std::strtoul(word.c_str(), nullptr, 16)));
  line.text = text.substr(0, bar + 1);
  line.count = text.substr(bar + 1);
  return !line.words.empty();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: codegen_count FILE [--update]\n");
    return 1;
  }
  const bool update = argc > 2 && std::strcmp(argv[2], "--update") == 0;
  std::ifstream in(argv[1]);
  const uint64_t around = host_instructions({});
  std::string out;
  unsigned lines = 0, wrong = 0, number = 0;
  for (std::string text; std::getline(in, text);) {
    ++number;
    Line line;
    if (text.empty() || text[0] == '#') {
      out += text + '\n';
      continue;
    }
    if (!parse(text, line)) {
      std::fprintf(stderr, "%s:%u: not a case\n", argv[1], number);
      return 1;
    }
    ++lines;
    const auto count = static_cast<long>(host_instructions(line.words)) - static_cast<long>(around);
    out += line.text + ' ' + std::to_string(count) + '\n';
    if (update || std::strtol(line.count.c_str(), nullptr, 10) == count) continue;
    ++wrong;
    std::fprintf(stderr, "%s:%u: %ld host instructions:%s%s\n", argv[1], number, count, line.text.c_str(),
                 line.count.c_str());
  }
  if (update) std::ofstream(argv[1]) << out;
  std::printf("%u snippets, %u differ\n", lines, wrong);
  if (wrong != 0) std::printf("meant so? tests/codegen/update writes the new figures\n");
  return lines == 0 || wrong != 0;
}
