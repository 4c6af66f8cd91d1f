// SPDX-License-Identifier: Apache-2.0
// x86_check [--count N] [--seed N] [--mode 16|32|64] [--show N] [--zydis]
//
// Decodes N byte strings (from the rows, from the rows with a bit flipped, and at random) in each
// mode and compares validity and length with Capstone's, or with Zydis's and then the operands too.
// What may differ is in x86_known.h and x86_operands.h with the reason; anything else fails, and so
// does a row that no string hit. Prints how often each known difference was seen, and ns per decode.
#include <capstone/capstone.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "tests/decode/x86_generate.h"
#include "tests/decode/x86_known.h"

#ifdef LYREBIRD_HAVE_ZYDIS
#include "tests/decode/x86_operands.h"
#endif

namespace {

using namespace lyrebird::x86;

/// What another decoder says.
struct Verdict {
  unsigned length = 0;  ///< 0: not an instruction
  std::string name;
#ifdef LYREBIRD_HAVE_ZYDIS
  std::vector<OperandText> operands;
#endif
};

class Capstone {
 public:
  explicit Capstone(Mode mode) {
    constexpr cs_mode kModes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    if (cs_open(CS_ARCH_X86, kModes[static_cast<int>(mode)], &handle_) != CS_ERR_OK) std::abort();
    insn_ = cs_malloc(handle_);
  }
  ~Capstone() {
    cs_free(insn_, 1);
    cs_close(&handle_);
  }
  Verdict operator()(const Bytes& bytes) {
    const uint8_t* at = bytes.data();
    size_t size = 15;
    uint64_t address = 0x1000;
    if (!cs_disasm_iter(handle_, &at, &size, &address, insn_)) return {};
    Verdict verdict;
    verdict.length = insn_->size;
    verdict.name = insn_->mnemonic;
    return verdict;
  }

 private:
  csh handle_;
  cs_insn* insn_;
};

#ifdef LYREBIRD_HAVE_ZYDIS
class Zydis {
 public:
  explicit Zydis(Mode mode) {
    constexpr ZydisMachineMode kModes[] = {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_MACHINE_MODE_LEGACY_32,
                                           ZYDIS_MACHINE_MODE_LONG_64};
    constexpr ZydisStackWidth kWidths[] = {ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32, ZYDIS_STACK_WIDTH_64};
    ZydisDecoderInit(&decoder_, kModes[static_cast<int>(mode)], kWidths[static_cast<int>(mode)]);
    for (const auto off : {ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET, ZYDIS_DECODER_MODE_CLDEMOTE,
                           ZYDIS_DECODER_MODE_KNC})
      ZydisDecoderEnableMode(&decoder_, off, ZYAN_FALSE);
  }
  Verdict operator()(const Bytes& bytes) {
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder_, bytes.data(), 15, &insn, operands))) return {};
    return {insn.length, ZydisMnemonicGetString(insn.mnemonic), operand_texts(insn, operands)};
  }

 private:
  ZydisDecoder decoder_;
};
#endif

struct Options {
  uint64_t count = 20000, seed = 1;
  int mode = 0;  ///< 0: all
  unsigned show = 3;
  bool zydis = false;
};

struct Example {
  uint64_t seen = 0;
  std::vector<std::string> texts;
};

std::string hex(const Bytes& bytes, unsigned count) {
  std::string s;
  char byte[4];
  for (unsigned i = 0; i < count; ++i) {
    std::snprintf(byte, sizeof byte, "%02x", bytes[i]);
    s += byte;
  }
  return s;
}

class Check {
 public:
  explicit Check(const Options& options)
      : options_(options), hits_(all_rows().size()), random_(options.seed) {}

  template <typename Oracle>
  void mode(Mode mode) {
    Oracle oracle(mode);
    std::vector<const Row*> rows;
    for (const Row& row : all_rows())
      if (exists_in(row, mode)) rows.push_back(&row);
    for (uint64_t i = 0; i < options_.count; ++i) {
      Bytes bytes;
      if (i % 10 == 9) {
        bytes = random_bytes(random_);
      } else {
        // The first round meets every row, and then they come at random.
        bytes = bytes_for(i < rows.size() * 4 ? *rows[i % rows.size()] : *rows[random_() % rows.size()], mode,
                          random_);
        if (i % 10 >= 7) bytes[random_() % 6] ^= static_cast<uint8_t>(1u << random_() % 8);
      }
      compare(mode, bytes, oracle(bytes));
    }
  }

  bool report() {
    for (const auto& [why, count] : known_)
      std::printf("known: %9llu  %s\n", static_cast<unsigned long long>(count), why.c_str());
    for (const auto& [what, example] : unknown_) {
      std::printf("UNEXPLAINED %s: %llu times\n", what.c_str(),
                  static_cast<unsigned long long>(example.seen));
      for (const std::string& text : example.texts) std::printf("    %s\n", text.c_str());
    }
    unsigned missed = 0;
    for (size_t i = 0; i < hits_.size(); ++i)
      if (hits_[i] == 0) {
        const RowText text = text_of(all_rows()[i]);
        std::printf("ROW NOT HIT %s \"%s\" \"%s\"\n", text.name.data(), text.encoding.data(),
                    text.operands.data());
        ++missed;
      }
    std::printf(
        "%llu strings, %llu instructions, %zu rows, %u not hit, %zu kinds of unexplained difference\n",
        static_cast<unsigned long long>(total_), static_cast<unsigned long long>(good_), hits_.size(), missed,
        unknown_.size());
    return unknown_.empty() && missed == 0 && total_ > 0;
  }

 private:
  void compare(Mode mode, const Bytes& bytes, const Verdict& theirs) {
    Insn insn;
    const DecodeStatus status = decode(bytes.data(), 15, mode, Features::all(), insn);
    const unsigned length = status == DecodeStatus::Ok ? insn.length : 0;
    ++total_;
    if (length) {
      ++good_;
      ++hits_[insn.row];
    }
    if (length == theirs.length) {
#ifdef LYREBIRD_HAVE_ZYDIS
      if (length && options_.zydis) compare_operands(mode, bytes, insn, theirs);
#endif
      return;
    }
    const Difference difference{
        mode,          bytes.data(), status, insn, length ? name_of(insn.row) : std::string_view(),
        theirs.length, theirs.name};
    if (const char* why = explanation(difference, options_.zydis)) {
      ++known_[why];
      return;
    }
    const std::string ours = length ? std::string(name_of(insn.row)) : name(status);
    Example& e = unknown_[ours + " / " + (theirs.length ? theirs.name : "none")];
    ++e.seen;
    if (e.texts.size() < options_.show)
      e.texts.push_back(std::to_string(mode == Mode::k16   ? 16
                                       : mode == Mode::k32 ? 32
                                                           : 64) +
                        " " + hex(bytes, 15) + " ours " + std::to_string(length) + " theirs " +
                        std::to_string(theirs.length));
  }

#ifdef LYREBIRD_HAVE_ZYDIS
  void compare_operands(Mode mode, const Bytes& bytes, const Insn& insn, const Verdict& theirs) {
    const std::vector<OperandText> ours = operand_texts(insn);
    if (same_operands(ours, theirs.operands)) return;
    const RowText text = text_of(row(insn.row));
    if (const char* why = operands_explanation(insn, text.name)) {
      ++known_[why];
      return;
    }
    Example& e = unknown_["operands of " + std::string(text.name) + " " + std::string(text.operands)];
    ++e.seen;
    if (e.texts.size() < options_.show)
      e.texts.push_back(std::to_string(16 << static_cast<int>(mode)) + " " + hex(bytes, insn.length) +
                        " ours " + joined(ours) + " theirs " + joined(theirs.operands));
  }
#endif

  const Options& options_;
  std::vector<uint64_t> hits_;
  Random random_;
  uint64_t total_ = 0, good_ = 0;
  std::map<std::string, uint64_t> known_;
  std::map<std::string, Example> unknown_;
};

/// Decodes of instructions made from the rows, the mix of a program that uses all of them alike.
void measure() {
  Random random(7);
  std::vector<Bytes> strings;
  for (unsigned round = 0; round < 4; ++round)
    for (const Row& row : all_rows())
      if (exists_in(row, Mode::k64)) strings.push_back(bytes_for(row, Mode::k64, random));
  double best = 1e9;
  unsigned length = 0;
  for (unsigned run = 0; run < 20; ++run) {
    const auto start = std::chrono::steady_clock::now();
    for (const Bytes& bytes : strings) {
      Insn insn;
      if (decode(bytes.data(), 15, Mode::k64, Features::all(), insn) == DecodeStatus::Ok)
        length += insn.length;
    }
    const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count() / static_cast<double>(strings.size()));
  }
  std::printf("%.1f ns per decode, best of 20 (%u)\n", best, length & 1);
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--zydis")
      options.zydis = true;
    else if (i + 1 == argc)
      return false;
    else if (arg == "--count")
      options.count = std::strtoull(argv[++i], nullptr, 10);
    else if (arg == "--seed")
      options.seed = std::strtoull(argv[++i], nullptr, 10);
    else if (arg == "--mode")
      options.mode = std::atoi(argv[++i]);
    else if (arg == "--show")
      options.show = static_cast<unsigned>(std::atoi(argv[++i]));
    else
      return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fprintf(stderr, "x86_check [--count N] [--seed N] [--mode 16|32|64] [--show N] [--zydis]\n");
    return 2;
  }
  Check check(options);
  for (const auto& [bits, mode] : {std::pair{16, Mode::k16}, {32, Mode::k32}, {64, Mode::k64}}) {
    if (options.mode && options.mode != bits) continue;
    if (!options.zydis) {
      check.mode<Capstone>(mode);
    } else {
#ifdef LYREBIRD_HAVE_ZYDIS
      check.mode<Zydis>(mode);
#else
      std::fprintf(stderr, "x86_check: built without Zydis (package libzydis-dev)\n");
      return 2;
#endif
    }
  }
  const bool good = check.report();
  measure();
  return good ? 0 : 1;
}
