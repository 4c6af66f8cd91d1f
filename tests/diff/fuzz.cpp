// SPDX-License-Identifier: Apache-2.0
// Random instructions on our vCPU and under the peer, compared.
//   diff_fuzz GUEST [--seed N] [--seconds N] [--count N] [--row NAME] [--show N]
// The first lines tell the seed; the same seed gives the same instructions.
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>

#include "tests/diff/generate.h"
#include "tests/diff/known.h"
#include "tests/diff/machines.h"

namespace lyrebird::diff {
namespace {

using arm::a64::Row;

struct Options {
  std::string guest;
  uint64_t seed = 0;
  unsigned seconds = 0;
  uint64_t count = 0;
  std::string row;
  unsigned show = 1;  ///< mismatches printed for each row
};

bool is_branch(const Row& row) {
  return row.handler == "B_uncond" || row.handler == "BL" || row.handler == "B_cond" ||
         row.handler == "CBZ" || row.handler == "TBZ" || row.handler == "BR" || row.handler == "BLR" ||
         row.handler == "RET";
}

std::string disassembly(const DiffInput& in) {
  // Only for reports, so a pipe to binutils is good enough; without it the words must do.
  std::string command = "{ printf '";
  for (uint32_t i = 0; i < in.word_count; ++i)
    for (unsigned k = 0; k < 4; ++k) {
      char byte[8];
      std::snprintf(byte, sizeof byte, "\\%03o", in.words[i] >> (8 * k) & 0xff);
      command += byte;
    }
  command +=
      "' > /tmp/lyrebird-diff.bin; aarch64-linux-gnu-objdump -D -b binary -m aarch64 /tmp/lyrebird-diff.bin; "
      "} "
      "2>/dev/null";
  FILE* const pipe = popen(command.c_str(), "r");
  if (!pipe) return "";
  std::string text;
  char line[256];
  while (std::fgets(line, sizeof line, pipe))
    if (std::strncmp(line, "   ", 3) == 0) text += line;
  pclose(pipe);
  return text;
}

class Fuzzer {
 public:
  explicit Fuzzer(Options options)
      : options_(std::move(options)),
        rows_(rows_to_test(options_.row)),
        random_(options_.seed),
        plain_({.executor = accel::Executor::Interp, .optimise = false}),
        peer_(options_.guest) {}

  int run();

 private:
  struct RowStats {
    uint64_t run = 0, normal = 0, mismatches = 0;
  };

  void make(DiffInput& in);
  bool make_exclusive_pair(const Row& first, DiffInput& in);
  void compare(const DiffInput& in, const DiffOutput& ours, const DiffOutput& peers);
  void report_shortest(DiffInput in);
  void report(const DiffInput& in, const DiffOutput& ours, const DiffOutput& peers, const char* who);
  static bool same(DiffOutput a, DiffOutput b);
  static bool agree(const DiffInput& in, DiffOutput ours, DiffOutput peers);
  static bool has_branch(const DiffInput& in);

  Options options_;
  std::vector<const Row*> rows_;
  Random random_;
  Ours ours_{accel::SoftOptions{}};
  Ours plain_;
  Peer peer_;
  std::map<const Row*, RowStats> stats_;
  size_t next_row_ = 0;
  uint64_t vectors_ = 0, instructions_ = 0, mismatches_ = 0, endless_ = 0, deaths_ = 0;
};

bool Fuzzer::has_branch(const DiffInput& in) {
  for (uint32_t i = 0; i < in.word_count; ++i)
    if (is_branch(*arm::a64::find_row(in.words[i]))) return true;
  return false;
}

/// A load-exclusive with the store that goes with it, and maybe something in between.
bool Fuzzer::make_exclusive_pair(const Row& first, DiffInput& in) {
  if ((first.handler != "LDXR" && first.handler != "LDXP") || random_.one_in(4)) return false;
  do in.words[0] = random_word(random_, first);
  while (is_unpredictable(first, in.words[0]));
  in.word_count = 2 + random_.below(2);
  for (uint32_t i = 1; i + 1 < in.word_count;) {
    const Row& row = *rows_[random_.below(static_cast<uint32_t>(rows_.size()))];
    const uint32_t word = random_word(random_, row);
    if (!runs_alone(row, word) && !is_unpredictable(row, word)) in.words[i++] = word;
  }
  // Size, pair and base register are the load's; bit 22 makes it a store.
  constexpr uint32_t kSame = 0xc02003e0, kFree = 0x001ffc1f;
  for (;;) {
    const uint32_t word =
        0x08000000 | (in.words[0] & kSame) | (static_cast<uint32_t>(random_.next()) & kFree);
    const Row* const row = arm::a64::find_row(word);
    in.words[in.word_count - 1] = word;
    if (row && !is_unpredictable(*row, word)) return true;
  }
}

/// The next input: mostly one instruction, each row in turn; sometimes a few at once.
void Fuzzer::make(DiffInput& in) {
  std::memset(&in, 0, sizeof in);
  random_state(random_, in.state);
  in.memory_seed = random_.below(16);
  const Row& first = *rows_[next_row_];
  next_row_ = (next_row_ + 1) % rows_.size();
  if (make_exclusive_pair(first, in)) return;
  do in.words[0] = random_word(random_, first);
  while (is_unpredictable(first, in.words[0]));
  in.word_count =
      !runs_alone(first, in.words[0]) && random_.one_in(3) ? 2 + random_.below(kDiffMaxWords - 1) : 1;
  for (uint32_t i = 1; i < in.word_count;) {
    const Row& row = *rows_[random_.below(static_cast<uint32_t>(rows_.size()))];
    const uint32_t word = random_word(random_, row);
    if (!runs_alone(row, word) && !is_unpredictable(row, word)) in.words[i++] = word;
  }
}

bool Fuzzer::same(DiffOutput a, DiffOutput b) {
  normalise(a);
  normalise(b);
  return std::memcmp(&a, &b, sizeof a) == 0;
}

bool Fuzzer::agree(const DiffInput& in, DiffOutput ours, DiffOutput peers) {
  if (same(ours, peers)) return true;
  normalise(ours);
  normalise(peers);
  return is_known(in, ours, peers);
}

void Fuzzer::compare(const DiffInput& in, const DiffOutput& ours, const DiffOutput& peers) {
  for (uint32_t i = 0; i < in.word_count; ++i) {
    RowStats& stats = stats_[arm::a64::find_row(in.words[i])];
    ++stats.run;
    stats.normal += ours.pc > DIFF_CODE + 4 * i;
  }
  ++vectors_;
  instructions_ += in.word_count;
  if (!agree(in, ours, peers)) report_shortest(in);
  DiffOutput other;
  if (plain_.run(in, other, has_branch(in)) && !same(ours, other))
    report(in, ours, other, "interpreter without passes");
}

/// Leaves instructions out, from the end, while the two sides still differ.
void Fuzzer::report_shortest(DiffInput in) {
  DiffOutput ours{}, peers{};
  const uint32_t words = in.word_count;
  for (in.word_count = 1; in.word_count < words; ++in.word_count)
    if (peer_.run({&in, 1}, {&peers, 1}) && ours_.run(in, ours, has_branch(in)) && !agree(in, ours, peers))
      break;
  if (peer_.run({&in, 1}, {&peers, 1}) && ours_.run(in, ours, has_branch(in)))
    report(in, ours, peers, "peer");
}

void print_difference(const char* name, unsigned index, uint64_t before, uint64_t ours, uint64_t peers) {
  if (ours == peers) return;
  std::printf("    %s%u: in %016" PRIx64 "  ours %016" PRIx64 "  other %016" PRIx64 "\n", name, index, before,
              ours, peers);
}

void Fuzzer::report(const DiffInput& in, const DiffOutput& ours, const DiffOutput& peers, const char* who) {
  ++mismatches_;
  const Row* const row = arm::a64::find_row(in.words[in.word_count - 1]);
  if (stats_[row].mismatches++ >= options_.show) return;
  std::printf("MISMATCH with %s: %.*s\n%s", who, static_cast<int>(row->handler.size()), row->handler.data(),
              disassembly(in).c_str());
  std::printf("    words:");
  for (uint32_t i = 0; i < in.word_count; ++i) std::printf(" %08x", in.words[i]);
  std::printf("  nzcv=%x fpcr=%x fpsr=%x memory seed %" PRIu64 "\n", in.state.nzcv >> 28, in.state.fpcr,
              in.state.fpsr, in.memory_seed);
  for (uint32_t i = 0; i < in.word_count; ++i) {
    for (const unsigned shift : {0u, 5u, 10u, 16u}) {
      const uint32_t r = in.words[i] >> shift & 31;
      std::printf("    r%-2u x %016" PRIx64 "  v %016" PRIx64 "%016" PRIx64 "\n", r,
                  r == 31 ? in.state.sp : in.state.x[r], in.state.v[r][1], in.state.v[r][0]);
    }
  }
  const DiffState &a = ours.state, &b = peers.state;
  for (unsigned i = 0; i < 31; ++i) print_difference("x", i, in.state.x[i], a.x[i], b.x[i]);
  print_difference("sp", 0, in.state.sp, a.sp, b.sp);
  for (unsigned i = 0; i < 32; ++i)
    for (unsigned k = 0; k < 2; ++k)
      print_difference(k ? "vhigh" : "vlow", i, in.state.v[i][k], a.v[i][k], b.v[i][k]);
  print_difference("nzcv", 0, in.state.nzcv >> 28, a.nzcv >> 28, b.nzcv >> 28);
  print_difference("fpcr", 0, in.state.fpcr, a.fpcr, b.fpcr);
  print_difference("fpsr", 0, in.state.fpsr, a.fpsr, b.fpsr);
  print_difference("pc", 0, DIFF_CODE, ours.pc, peers.pc);
  print_difference("signal", 0, 0, ours.signal, peers.signal);
  if (ours.memory_hash == peers.memory_hash) return;
  DiffOutput again;
  std::vector<uint8_t> memory;
  if (!peer_.run(in, again, memory) || !ours_.run(in, again, has_branch(in))) return;
  for (unsigned i = 0; i < kDiffPage; ++i)
    if (memory[i] != ours_.memory()[i])
      std::printf("    mem+%x: ours %02x other %02x\n", i, ours_.memory()[i], memory[i]);
}

int Fuzzer::run() {
  std::printf("seed %" PRIu64 ", %zu rows\n", options_.seed, rows_.size());
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  std::vector<DiffInput> inputs(kDiffBatch);
  std::vector<DiffOutput> ours(kDiffBatch), peers(kDiffBatch);
  while ((options_.count == 0 || instructions_ < options_.count) &&
         (options_.seconds == 0 || elapsed() < options_.seconds)) {
    for (unsigned i = 0; i < kDiffBatch;) {
      make(inputs[i]);
      if (ours_.run(inputs[i], ours[i], has_branch(inputs[i])))
        ++i;
      else
        ++endless_;
    }
    if (!peer_.run(inputs, peers)) {
      ++deaths_;
      continue;
    }
    for (unsigned i = 0; i < kDiffBatch; ++i) compare(inputs[i], ours[i], peers[i]);
    std::fflush(stdout);
  }
  unsigned rows_hit = 0;
  for (const Row* row : rows_) {
    rows_hit += stats_[row].run != 0;
    if (stats_[row].mismatches > options_.show)
      std::printf("%.*s: %" PRIu64 " mismatches in %" PRIu64 " runs\n", static_cast<int>(row->handler.size()),
                  row->handler.data(), stats_[row].mismatches, stats_[row].run);
  }
  std::printf("%" PRIu64 " instructions in %" PRIu64 " vectors, %u of %zu rows, %" PRIu64 " endless, %" PRIu64
              " times the peer died, %" PRIu64 " mismatches, %.0f s\n",
              instructions_, vectors_, rows_hit, rows_.size(), endless_, deaths_, mismatches_, elapsed());
  return mismatches_ != 0 || deaths_ != 0;
}

bool parse(int argc, char** argv, Options& options) {
  if (argc < 2) return false;
  options.guest = argv[1];
  options.seed = std::random_device{}();
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const char* const value = argv[i + 1];
    if (name == "--seed")
      options.seed = std::strtoull(value, nullptr, 0);
    else if (name == "--seconds")
      options.seconds = static_cast<unsigned>(std::atoi(value));
    else if (name == "--count")
      options.count = std::strtoull(value, nullptr, 0);
    else if (name == "--row")
      options.row = value;
    else if (name == "--show")
      options.show = static_cast<unsigned>(std::atoi(value));
    else
      return false;
  }
  return argc % 2 == 0;
}

}  // namespace
}  // namespace lyrebird::diff

int main(int argc, char** argv) {
  lyrebird::diff::Options options;
  if (!parse(argc, argv, options)) {
    std::fprintf(stderr,
                 "usage: diff_fuzz GUEST [--seed N] [--seconds N] [--count N] [--row NAME] [--show N]\n");
    return 2;
  }
  return lyrebird::diff::Fuzzer(options).run();
}
