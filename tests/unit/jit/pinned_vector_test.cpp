// SPDX-License-Identifier: Apache-2.0
// Values that are parts of a guest vector which lives in a host register: what lies above them there is not
// theirs.
#if defined(LYREBIRD_TEST_BASELINE) && !defined(LYREBIRD_TEST_LLVM)
#include <gtest/gtest.h>

#include "ir/verify.h"
#include "jit/baseline/host.h"
#include "tests/unit/jit/machine.h"

namespace lyrebird::jit::test {
namespace {

using ir::Type;
using ir::Value;

constexpr uint32_t kVector = 512, kOther = 528;

const ir::StateLayout& vector_layout() {
  static constexpr ir::StateField kFields[] = {{"v", field(kVector), Type::V128, 1},
                                               {"w", field(kOther), Type::V128, 2}};
  static constexpr ir::StateLayout kLayout{kFields, sizeof(TestState)};
  return kLayout;
}

struct PinnedVector : testing::Test {
  BlockMap map;
  Baseline engine{vector_layout(), {}, {.code_bytes = size_t{1} << 20, .pin_vectors = true}};
  std::unique_ptr<TestState> state = std::make_unique<TestState>();
  std::unique_ptr<ThreadContext> thread = std::make_unique<ThreadContext>(map);
  alignas(16) uint64_t memory[2] = {1, 1};

  void SetUp() override {
    if (!baseline::host_features().avx512) GTEST_SKIP() << "this host has no AVX-512";
    install_fault_handler();
    const uint64_t words[4] = {0x1122334455667788, 0x90, 0xa1a2a3a4a5a6a7a8, 0x91};
    std::memcpy(state->bytes + kVector, words, sizeof words);
  }
  /// What `build` makes is stored to `memory`.
  template <typename F>
  void store(F build) {
    ir::Block block;
    block.key = {0x1000, 0};
    block.guest_size = 4, block.guest_count = 1;
    ir::Builder b(block);
    b.Insn(0x1000, 4);
    const Value value = build(b);
    b.Store(b.Const(Type::I64, reinterpret_cast<uint64_t>(memory)), value, {.size = 16});
    b.Jump(0x2000);
    const auto compiled = engine.compile(block);
    const ThreadContext::Running running(*thread);
    (void)engine.run(*compiled, state->header, *thread);
  }
};

TEST_F(PinnedVector, AScalarOfItAsAVectorHasZerosAbove) {
  store([](ir::Builder& b) { return b.VecFromScalar(Type::V128, b.GetState(field(kVector), Type::F64)); });
  EXPECT_EQ(memory[0], 0x1122334455667788u);
  EXPECT_EQ(memory[1], 0u);
  store([](ir::Builder& b) { return b.VecFromScalar(Type::V128, b.GetState(field(kOther), Type::F32)); });
  EXPECT_EQ(memory[0], 0xa5a6a7a8u);
  EXPECT_EQ(memory[1], 0u);
}

TEST_F(PinnedVector, AllOfItIsAllOfIt) {
  store([](ir::Builder& b) { return b.GetState(field(kOther), Type::V128); });
  EXPECT_EQ(memory[0], 0xa1a2a3a4a5a6a7a8u);
  EXPECT_EQ(memory[1], 0x91u);
}

}  // namespace
}  // namespace lyrebird::jit::test
#endif
