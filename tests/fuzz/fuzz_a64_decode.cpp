// SPDX-License-Identifier: Apache-2.0
// Any words as A64 code, for any processor and mode: the block keeps the verifier's rules, before
// and after the passes, covers what was read, and comes out the same a second time.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "frontend/arm/a64_frontend.h"
#include "frontend/arm/a64_mode.h"
#include "ir/passes.h"
#include "ir/print.h"
#include "ir/verify.h"

namespace {

using namespace lyrebird;

constexpr uint64_t kStart = 0x7f80;  // 32 instructions before the end of a page

class Words final : public frontend::CodeSource {
 public:
  Words(const uint8_t* data, size_t size, bool guarded) : data_(data), size_(size), guarded_(guarded) {}
  bool fetch(uint64_t pc, void* to, unsigned size) override {
    const uint64_t offset = pc - kStart;
    if (offset > size_ || size > size_ - offset) return false;
    std::memcpy(to, data_ + offset, size);
    return true;
  }
  bool guarded(uint64_t) const override { return guarded_; }

 private:
  const uint8_t* data_;
  size_t size_;
  bool guarded_;
};

void require_good(const ir::Block& block, const ir::TextContext& context) {
  const auto good = ir::verify(block, context);
  if (good) return;
  std::fprintf(stderr, "%s\n%s", good.error().message.c_str(), ir::print(block, context).c_str());
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kHeader = 3;  // processor, mode
  if (size < kHeader) return 0;
  const auto cpus = arm::cpu_models();
  const arm::A64Frontend frontend(cpus[data[0] % cpus.size()]);
  const uint32_t mode =
      (data[1] | uint32_t{data[2]} << 8) & (arm::kModeFpcrMask | arm::kModeBtypeMask | arm::kModeBti);
  Words code(data + kHeader, size - kHeader, (data[2] & 2) != 0);
  const frontend::TranslateRequest request{.key = {.pc = kStart, .mode = mode}, .code = &code};
  const ir::TextContext context{&frontend.layout(), frontend.helpers()};
  ir::Block block, again;
  frontend.translate(request, block);
  require_good(block, context);
  if (block.guest_size < 4 || block.guest_size > 128) std::abort();
  frontend.translate(request, again);
  if (ir::print(block, context) != ir::print(again, context)) std::abort();
  ir::optimise(block, frontend.layout(), frontend.helpers());
  require_good(block, context);
  return 0;
}
