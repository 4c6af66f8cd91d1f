// SPDX-License-Identifier: Apache-2.0
// The floating-point ops against an independent AArch64 implementation: every row of
// ops.inc, on corner and random operands, in every rounding mode, with FZ, DN, AHP and
// FZ16. Result and FPSR must agree. The oracle command is compiled in by CMake.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "ir/fp_eval.h"
#include "tests/unit/ir/fp_cases.h"

namespace lyrebird::ir::eval {
namespace {

enum Fpcr : uint32_t { kFz16 = 1 << 19, kFz = 1 << 24, kDn = 1 << 25, kAhp = 1 << 26 };

/// The modes that an Arm lifter gives, from FPCR.
struct Modes {
  uint32_t fpcr;
  FpEnv env{};

  FpEnv& with(bool flush_in, bool flush_out, bool report) {
    constexpr Round kRounds[] = {Round::NearestEven, Round::TowardPositive, Round::TowardNegative,
                                 Round::TowardZero};
    env.mode = {.round = kRounds[fpcr >> 22 & 3],
                .nan_rule = NanRule::SignalingFirst,
                .default_nan = (fpcr & kDn) != 0,
                .flush_inputs = flush_in,
                .flush_outputs = flush_out,
                .alternative_half = (fpcr & kAhp) != 0,
                .denormal_report = report ? DenormalReport::WhenFlushed : DenormalReport::Never};
    return env;
  }
  bool flush(int width) const { return fpcr & (width == 16 ? kFz16 : kFz); }
  FpEnv& arith(int width) { return with(flush(width), flush(width), width != 16); }
  FpEnv& to_int(int width, Round round) {
    arith(width).mode.round = round;
    return env;
  }
  FpEnv& round_int(int width, Round round) {
    to_int(width, round).mode.no_inexact = true;
    return env;
  }
  FpEnv& convert(int from, int to) {
    return with(from != 16 && flush(64), to != 16 && flush(64), from != 16);
  }
  FpEnv& to_odd() {
    convert(64, 32).mode.round = Round::ToOdd;
    return env;
  }
};

uint32_t nzcv(uint8_t order) {
  constexpr uint32_t kNzcv[] = {6u << 28, 8u << 28, 2u << 28, 3u << 28};
  return kNzcv[order];
}
template <class B>
B mask(bool v) {
  return v ? static_cast<B>(~B{0}) : B{0};
}

uint64_t fpsr(uint32_t flags) { return (flags & 31) | (flags & kFpDenormal ? 128 : 0); }

struct Row {
  const char* name;
  unsigned widths[3];
  unsigned result_width;
  uint64_t (*model)(uint64_t a, uint64_t b, uint64_t c, Modes& m);
};
const Row kRows[] = {
#define ROW(name, wa, wb, wc, wr, text, expression)                                          \
  {#name,                                                                                    \
   {wa, wb, wc},                                                                             \
   wr,                                                                                       \
   []([[maybe_unused]] uint64_t a, [[maybe_unused]] uint64_t b, [[maybe_unused]] uint64_t c, \
      [[maybe_unused]] Modes& m) -> uint64_t { return expression; }},
#include "tests/fp_oracle/ops.inc"
};

struct Case {
  uint64_t a, b, c;
};
struct Answer {
  uint64_t result, fpsr;
};
struct Head {
  uint32_t row, fpcr;
  uint64_t count;
};

std::vector<uint64_t> every_third(const std::vector<uint64_t>& all, size_t start) {
  std::vector<uint64_t> some;
  for (size_t i = start; i < all.size(); i += 3) some.push_back(all[i]);
  return some;
}

std::vector<Case> make_cases(const Row& row, uint32_t seed) {
  const std::vector<uint64_t> none{0};
  const auto corners = [&](unsigned i) { return row.widths[i] ? test::fp_corners(row.widths[i]) : none; };
  std::vector<uint64_t> as = corners(0), bs = corners(1), cs = corners(2);
  if (row.widths[2]) {  // the full cube is too large: a different third of it each time
    as = every_third(as, seed % 3);
    bs = every_third(bs, seed / 3 % 3);
    cs = every_third(cs, seed / 9 % 3);
  }
  std::vector<Case> cases;
  for (uint64_t a : as)
    for (uint64_t b : bs)
      for (uint64_t c : cs) cases.push_back({a, b, c});
  test::Random random(seed);
  const auto pick = [&](unsigned width) { return width ? test::fp_random(random, width) : 0; };
  for (int i = 0; i < LYREBIRD_ORACLE_RANDOM; ++i) {
    const uint64_t a = i % 8 == 0 ? random.next() >> random.below(64) : pick(row.widths[0]);
    cases.push_back({a, pick(row.widths[1]), pick(row.widths[2])});
  }
  return cases;
}

std::vector<Answer> ask(const std::string& in, const std::string& out, size_t count) {
  const std::string command = std::string(LYREBIRD_ORACLE_COMMAND) + " <" + in + " >" + out;
  if (std::system(command.c_str()) != 0) return {};
  std::vector<Answer> answers(count);
  std::ifstream file(out, std::ios::binary);
  file.read(reinterpret_cast<char*>(answers.data()), static_cast<std::streamsize>(count * sizeof(Answer)));
  return file ? answers : std::vector<Answer>{};
}

class FpOracle : public testing::TestWithParam<uint32_t> {};

TEST_P(FpOracle, Agrees) {
  const Row& row = kRows[GetParam()];
  const std::string base =
      (std::filesystem::temp_directory_path() / ("lyrebird-fp-" + std::to_string(getpid()))).string();
  std::vector<Case> all;
  std::vector<uint32_t> fpcrs;
  std::ofstream in(base + ".in", std::ios::binary);
  const bool half = row.widths[0] == 16 || row.result_width == 16;
  for (uint32_t i = 0; i < 64; ++i) {
    const uint32_t fpcr =
        (i & 3) << 22 | (i & 4 ? kFz : 0) | (i & 8 ? kDn : 0) | (i & 16 ? kFz16 : 0) | (i & 32 ? kAhp : 0);
    if (!half && (i & 48)) continue;
    const std::vector<Case> cases = make_cases(row, i + 1);
    const Head head{GetParam(), fpcr, cases.size()};
    in.write(reinterpret_cast<const char*>(&head), sizeof head);
    in.write(reinterpret_cast<const char*>(cases.data()),
             static_cast<std::streamsize>(cases.size() * sizeof(Case)));
    all.insert(all.end(), cases.begin(), cases.end());
    fpcrs.insert(fpcrs.end(), cases.size(), fpcr);
  }
  in.close();
  const std::vector<Answer> answers = ask(base + ".in", base + ".out", all.size());
  std::filesystem::remove(base + ".in");
  std::filesystem::remove(base + ".out");
  ASSERT_EQ(answers.size(), all.size()) << "the oracle did not run: " << LYREBIRD_ORACLE_COMMAND;
  const uint64_t mask = row.result_width == 64 ? ~uint64_t{0} : (uint64_t{1} << row.result_width) - 1;
  unsigned wrong = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    Modes modes{fpcrs[i]};
    const uint64_t got = row.model(all[i].a, all[i].b, all[i].c, modes) & mask;
    const uint64_t flags = fpsr(modes.env.flags);
    if (got == (answers[i].result & mask) && flags == (answers[i].fpsr & 0x9f)) continue;
    if (++wrong <= 8) {
      ADD_FAILURE() << std::hex << row.name << " fpcr " << fpcrs[i] << " a " << all[i].a << " b " << all[i].b
                    << " c " << all[i].c << ": " << got << " fpsr " << flags << ", oracle "
                    << (answers[i].result & mask) << " fpsr " << (answers[i].fpsr & 0x9f);
    }
  }
  EXPECT_EQ(wrong, 0u) << row.name << " of " << all.size();
}

INSTANTIATE_TEST_SUITE_P(Rows, FpOracle, testing::Range<uint32_t>(0, std::size(kRows)),
                         [](const auto& info) { return std::string(kRows[info.param].name); });

}  // namespace
}  // namespace lyrebird::ir::eval
