// SPDX-License-Identifier: Apache-2.0
// Host instructions that a snippet of guest code becomes, against the figures in counts*.txt (README.md).
//   codegen_count a64|x86_64 FILE [--update]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "frontend/arm/a64_frontend.h"
#include "frontend/x86/cpu_model.h"
#include "frontend/x86/decode/insn.h"
#include "frontend/x86/x86_frontend.h"
#include "frontend/x86/x86_mode.h"
#include "ir/passes.h"
#include "jit/baseline/baseline.h"

namespace {

using namespace lyrebird;

class Code final : public frontend::CodeSource {
 public:
  explicit Code(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}
  bool fetch(uint64_t pc, void* to, unsigned size) override {
    if (pc - kStart + size > bytes_.size()) return false;
    std::memcpy(to, bytes_.data() + (pc - kStart), size);
    return true;
  }
  bool guarded(uint64_t) const override { return false; }
  static constexpr uint64_t kStart = 0x400000;

 private:
  std::vector<uint8_t> bytes_;
};

/// A guest whose code is counted.
struct Guest {
  std::unique_ptr<frontend::Frontend> frontend;
  uint32_t mode = 0;
  bool words = false;  ///< the file has 32-bit words, not bytes
};

std::optional<Guest> guest_of(const std::string& name) {
  if (name == "a64")
    return Guest{.frontend = std::make_unique<arm::A64Frontend>(*arm::find_cpu_model("max")), .words = true};
  if (name == "x86_64")
    return Guest{.frontend = std::make_unique<x86::X86Frontend>(*x86::find_cpu_model("x86-64-v3")),
                 .mode = static_cast<uint32_t>(x86::Mode::k64) | x86::kModeProtected | x86::kModeCplMask};
  return std::nullopt;
}

/// In line, with the check at the block's entry and the jump at its end.
uint64_t host_instructions(const Guest& guest, const std::vector<uint8_t>& bytes) {
  jit::Baseline engine(guest.frontend->layout(), guest.frontend->helpers());
  Code source(bytes);
  ir::Block block;
  guest.frontend->translate({.key = {.pc = Code::kStart, .mode = guest.mode}, .code = &source}, block);
  if (engine.wants_passes()) ir::optimise(block, guest.frontend->layout(), guest.frontend->helpers());
  (void)engine.compile(block);
  return engine.stats().host_instructions;
}

struct Line {
  std::string text;  ///< as it is in the file, up to the last bar
  std::vector<uint8_t> bytes;
  std::string count;
};

bool parse(const Guest& guest, const std::string& text, Line& line) {
  const size_t colon = text.find(':'), bar = text.rfind('|');
  if (colon == std::string::npos || bar == std::string::npos || bar < colon) return false;
  std::istringstream words(text.substr(0, colon));
  line.bytes.clear();
  for (std::string word; words >> word;) {
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i + 1 < word.size(); i += 2)
      bytes.push_back(static_cast<uint8_t>(std::strtoul(word.substr(i, 2).c_str(), nullptr, 16)));
    if (guest.words) std::reverse(bytes.begin(), bytes.end());
    line.bytes.insert(line.bytes.end(), bytes.begin(), bytes.end());
  }
  line.text = text.substr(0, bar + 1);
  line.count = text.substr(bar + 1);
  return !line.bytes.empty();
}

}  // namespace

int main(int argc, char** argv) {
  const std::optional<Guest> guest = argc < 3 ? std::nullopt : guest_of(argv[1]);
  if (!guest) {
    std::fprintf(stderr, "usage: codegen_count a64|x86_64 FILE [--update]\n");
    return 1;
  }
  const char* const file = argv[2];
  const bool update = argc > 3 && std::strcmp(argv[3], "--update") == 0;
  std::ifstream in(file);
  const uint64_t around = host_instructions(*guest, {});
  std::string out;
  unsigned lines = 0, wrong = 0, number = 0;
  for (std::string text; std::getline(in, text);) {
    ++number;
    Line line;
    if (text.empty() || text[0] == '#') {
      out += text + '\n';
      continue;
    }
    if (!parse(*guest, text, line)) {
      std::fprintf(stderr, "%s:%u: not a case\n", file, number);
      return 1;
    }
    ++lines;
    const auto count = static_cast<long>(host_instructions(*guest, line.bytes)) - static_cast<long>(around);
    out += line.text + ' ' + std::to_string(count) + '\n';
    if (update || std::strtol(line.count.c_str(), nullptr, 10) == count) continue;
    ++wrong;
    std::fprintf(stderr, "%s:%u: %ld host instructions:%s%s\n", file, number, count, line.text.c_str(),
                 line.count.c_str());
  }
  if (update) std::ofstream(file) << out;
  std::printf("%u snippets, %u differ\n", lines, wrong);
  if (wrong != 0) std::printf("meant so? tests/codegen/update writes the new figures\n");
  return lines == 0 || wrong != 0;
}
