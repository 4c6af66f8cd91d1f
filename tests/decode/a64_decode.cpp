// SPDX-License-Identifier: Apache-2.0
// a64_decode --rows: handler, bit string, feature number and title of every decode row, tab separated.
// a64_decode [CPU] < words (hex, one a line): for each the handler that lifts it, or - where it is
// undefined on that processor (max).
#include <cstdio>
#include <cstring>

#include "frontend/arm/a64/decode.h"
#include "frontend/arm/a64_frontend.h"

namespace {

using namespace lyrebird;

/// One word, wherever it is fetched from.
class OneWord final : public frontend::CodeSource {
 public:
  uint32_t word = 0;
  bool fetch(uint64_t, void* to, unsigned size) override {
    std::memcpy(to, &word, size);
    return true;
  }
  bool guarded(uint64_t) const override { return false; }
};

bool is_undefined(const ir::Block& block) {
  for (const ir::Inst& inst : block.insts)
    if (inst.op == ir::Op::Raise && static_cast<ir::ExitKind>(inst.aux) == ir::ExitKind::Undefined)
      return true;
  return false;
}

void print_rows() {
  for (const arm::a64::Row* row : arm::a64::all_rows())
    std::printf("%.*s\t%.*s\t%u\t%.*s\n", static_cast<int>(row->handler.size()), row->handler.data(),
                static_cast<int>(row->pattern.size()), row->pattern.data(),
                static_cast<unsigned>(row->feature), static_cast<int>(row->text.size()), row->text.data());
}

void print_words(const arm::A64Frontend& frontend) {
  OneWord code;
  ir::Block block;
  while (std::scanf("%x", &code.word) == 1) {
    frontend.translate({.key = {.pc = 0x10000}, .code = &code, .max_instructions = 1}, block);
    const arm::a64::Row* row = arm::a64::find_row(code.word);
    const bool good = row && !is_undefined(block);
    std::printf("%.*s\n", good ? static_cast<int>(row->handler.size()) : 1, good ? row->handler.data() : "-");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--rows") == 0) {
    print_rows();
    return 0;
  }
  const arm::CpuModel* const cpu = arm::find_cpu_model(argc == 2 ? argv[1] : "max");
  if (!cpu) {
    std::fprintf(stderr, "a64_decode: %s: no such processor\n", argv[1]);
    return 1;
  }
  print_words(arm::A64Frontend(*cpu));
}
