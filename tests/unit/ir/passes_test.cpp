// SPDX-License-Identifier: Apache-2.0
/// Runs tests/ir/*.txt: cases of IR text before and after the passes.
///
///     === what it shows [: passes, default all]
///     IR text
///     ---
///     IR text that is expected
///
/// Values are numbered by their order, so labels may be anything.
#include "ir/passes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "ir/eval_inst.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "tests/unit/ir/ir_runner.h"
#include "tests/unit/ir/random_block.h"

namespace lyrebird::ir {
namespace {

using test::Random;

const TextContext kContext{&test::test_layout(), test::test_helpers()};

struct Case {
  std::string file, title, before, after;
  PassSet passes;
};

PassSet passes_named(const std::string& names) {
  if (names.empty()) return {};
  PassSet set{.forward = false, .fold = false, .common = false, .stores = false, .dead = false};
  std::istringstream words(names);
  for (std::string word; words >> word;) {
    if (word == "forward") set.forward = true;
    if (word == "fold") set.fold = true;
    if (word == "common") set.common = true;
    if (word == "stores") set.stores = true;
    if (word == "dead") set.dead = true;
  }
  return set;
}

std::vector<Case> read_cases() {
  std::vector<Case> cases;
  for (const auto& entry : std::filesystem::directory_iterator("tests/ir")) {
    if (entry.path().extension() != ".txt") continue;
    std::ifstream in(entry.path());
    bool after = false;
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("=== ")) {
        const size_t colon = line.find(" : ");
        Case c{.file = entry.path().filename(), .title = line.substr(4, colon - 4)};
        c.passes = passes_named(colon == std::string::npos ? "" : line.substr(colon + 3));
        cases.push_back(c);
        after = false;
      } else if (line == "---") {
        after = true;
      } else if (!cases.empty()) {
        (after ? cases.back().after : cases.back().before) += line + "\n";
      }
    }
  }
  std::sort(cases.begin(), cases.end(), [](const Case& a, const Case& b) {
    return std::tie(a.file, a.title) < std::tie(b.file, b.title);
  });
  return cases;
}

/// Text without header, values numbered in order.
std::string normal(const Block& block) {
  std::string text = print(block, kContext);
  return text.substr(text.find('\n') + 1);
}

TEST(Passes, TextCases) {
  const auto cases = read_cases();
  EXPECT_GE(cases.size(), 40u);
  for (const Case& c : cases) {
    SCOPED_TRACE(c.file + ": " + c.title);
    auto block = parse(c.before, kContext);
    ASSERT_TRUE(block.ok()) << block.error().message;
    const auto expected = parse(c.after, kContext);
    ASSERT_TRUE(expected.ok()) << expected.error().message;
    const auto valid = verify(*block, kContext);
    ASSERT_TRUE(valid.ok()) << valid.error().message;
    Optimiser().run(*block, test::test_layout(), test::test_helpers(), c.passes);
    EXPECT_EQ(normal(*block), normal(*expected));
    const auto still_valid = verify(*block, kContext);
    EXPECT_TRUE(still_valid.ok()) << still_valid.error().message;
  }
}

/// Blocks behave the same after every choice of passes: same accesses in the same
/// order, same exit, same state there.
TEST(Passes, RandomBlocksKeepTheirMeaning) {
  Random random(7);
  for (unsigned i = 0; i < 6000; ++i) {
    const Block block = test::random_block(random, {.size = 10 + random.below(60)});
    std::vector<uint8_t> state(test::test_layout().size);
    for (uint8_t& byte : state) byte = static_cast<uint8_t>(random.next());
    for (const StateField& f : test::test_layout().fields)
      if (f.type == Type::I8) state[f.offset] &= 1;
    const uint32_t choice = random.one_in(2) ? 31 : random.below(32);
    Block optimised = block;
    Optimiser().run(optimised, test::test_layout(), test::test_helpers(),
                    {.forward = (choice & 1) != 0,
                     .fold = (choice & 2) != 0,
                     .common = (choice & 4) != 0,
                     .stores = (choice & 8) != 0,
                     .dead = (choice & 16) != 0});
    const auto valid = verify(optimised, kContext);
    ASSERT_TRUE(valid.ok()) << valid.error().message;
    const auto texts = [&] { return print(block, kContext) + "became\n" + print(optimised, kContext); };
    for (uint64_t seed = 0; seed < 3; ++seed) {
      const auto before = test::run(block, state, seed, test::test_helpers());
      const auto after = test::run(optimised, state, seed, test::test_helpers());
      ASSERT_EQ(before.exit, after.exit) << texts();
      ASSERT_EQ(before.events, after.events) << texts();
      ASSERT_EQ(before.state, after.state) << texts();
      ASSERT_EQ(before.fp_flags, after.fp_flags) << texts();
      ASSERT_EQ(before.f80_flags, after.f80_flags) << texts();
    }
  }
}

}  // namespace
}  // namespace lyrebird::ir
