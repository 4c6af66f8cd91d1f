// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "frontend/arm/a64/decode.h"
#include "frontend/arm/a64_frontend.h"
#include "frontend/arm/a64_mode.h"
#include "frontend/arm/a64_state.h"
#include "ir/verify.h"

namespace lyrebird::arm::a64 {
namespace {

class OneWord final : public frontend::CodeSource {
 public:
  explicit OneWord(uint32_t word) : word_(word) {}
  bool fetch(uint64_t, void* to, unsigned size) override {
    std::memcpy(to, &word_, size);
    return true;
  }
  bool guarded(uint64_t) const override { return false; }

 private:
  uint32_t word_;
};

/// A word of the row with random fields.
uint32_t random_word(const Row& row, std::mt19937& random) {
  return (static_cast<uint32_t>(random()) & ~row.mask) | row.value;
}

TEST(A64Lift, EveryRowGivesABlockThatVerifies) {
  const A64Frontend frontend(*find_cpu_model("max"));
  const ir::TextContext context{&frontend.layout(), frontend.helpers()};
  std::mt19937 random(1);
  for (const Row* row : all_rows())
    for (unsigned i = 0; i < 200; ++i) {
      const uint32_t word = random_word(*row, random);
      const uint32_t mode = static_cast<uint32_t>(random()) & kModeFpcrMask;
      OneWord code(word);
      ir::Block block;
      frontend.translate({.key = {0x10000, mode}, .code = &code, .max_instructions = 1}, block);
      const auto result = ir::verify(block, context);
      ASSERT_TRUE(result.ok()) << row->handler << ", word " << std::hex << word << ": "
                               << result.error().message;
    }
}

}  // namespace
}  // namespace lyrebird::arm::a64
