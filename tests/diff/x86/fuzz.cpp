// SPDX-License-Identifier: Apache-2.0
// Random instructions on the host's processor and on our executors; see README.md.
#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "frontend/x86/lift/handlers.h"
#include "tests/diff/x86/generate.h"
#include "tests/diff/x86/guest.h"
#include "tests/diff/x86/host.h"
#include "tests/diff/x86/known.h"
#include "tests/diff/x86/undefined.h"
#include "tests/isa/x86_case.h"

namespace lyrebird::x86diff {
namespace {

using x86::Feature;
using x86::Insn;
using x86::Mode;

struct Options {
  std::string rows = ".*";
  double seconds = 10;
  uint64_t count = ~uint64_t{0};
  uint64_t seed = 0;
  Mode mode = Mode::k64;
  bool interp = true, baseline = true, llvm = false, direct = true;
  bool list = false;
  unsigned emit = 0;   ///< lines for tests/isa/x86 of each row
  unsigned shown = 3;  ///< mismatches of one mnemonic
  Settings settings;
};

/// What the host lacks of ours; by /proc/cpuinfo.
x86::Features host_features() {
  std::ifstream in("/proc/cpuinfo");
  std::string flags;
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("flags")) {
      flags = line + " ";
      break;
    }
  constexpr std::pair<Feature, const char*> kFlags[] = {{Feature::SSE3, "pni"},
                                                        {Feature::SSSE3, "ssse3"},
                                                        {Feature::SSE4_1, "sse4_1"},
                                                        {Feature::SSE4_2, "sse4_2"},
                                                        {Feature::RDTSCP, "rdtscp"},
                                                        {Feature::POPCNT, "popcnt"},
                                                        {Feature::LZCNT, "abm"},
                                                        {Feature::BMI1, "bmi1"},
                                                        {Feature::BMI2, "bmi2"},
                                                        {Feature::ADX, "adx"},
                                                        {Feature::MOVBE, "movbe"},
                                                        {Feature::AES, "aes"},
                                                        {Feature::SHA, "sha_ni"},
                                                        {Feature::PCLMUL, "pclmulqdq"},
                                                        {Feature::GFNI, "gfni"},
                                                        {Feature::F16C, "f16c"},
                                                        {Feature::FMA, "fma"},
                                                        {Feature::AVX, "avx"},
                                                        {Feature::AVX2, "avx2"},
                                                        {Feature::VAES, "vaes"},
                                                        {Feature::VPCLMUL, "vpclmulqdq"},
                                                        {Feature::XSAVE, "xsave"},
                                                        {Feature::XSAVEOPT, "xsaveopt"},
                                                        {Feature::XSAVEC, "xsavec"},
                                                        {Feature::XSAVES, "xsaves"},
                                                        {Feature::FSGSBASE, "fsgsbase"},
                                                        {Feature::CLFLUSHOPT, "clflushopt"},
                                                        {Feature::CLWB, "clwb"},
                                                        {Feature::CX16, "cx16"},
                                                        {Feature::LAHF64, "lahf_lm"},
                                                        {Feature::PREFETCHW, "3dnowprefetch"}};
  x86::Features features = x86::find_cpu_model("max")->features;
  for (const auto& [feature, flag] : kFlags)
    if (flags.find(std::string(" ") + flag + " ") == std::string::npos) features.remove(feature);
  return features;
}

constexpr const char* kGprNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                     "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

std::string hex(const uint8_t* bytes, unsigned count, bool backwards) {
  std::string s;
  char digits[3];
  for (unsigned i = 0; i < count; ++i) {
    std::snprintf(digits, sizeof digits, "%02x", bytes[backwards ? count - 1 - i : i]);
    s += digits;
  }
  return s;
}

std::string flags_text(uint64_t flags) {
  constexpr std::pair<unsigned, const char*> kNames[] = {{0, "C"},   {2, "P"},  {4, "A"},  {6, "Z"},
                                                         {7, "S"},   {10, "D"}, {11, "O"}, {14, "NT"},
                                                         {18, "AC"}, {21, "ID"}};
  std::string s;
  for (const auto& [bit, name] : kNames)
    if (flags >> bit & 1) s += name;
  return s.empty() ? "-" : s;
}

/// Lines of what differs; empty if nothing does.
class Comparison {
 public:
  Comparison(const Case& c, const Insn& insn) : case_(c), insn_(insn) {}

  std::string run(const Ending& ending, const Machine& ours) {
    const Machine& host = case_.out;
    if (ending.signal != case_.ending.signal)
      say("signal", std::to_string(case_.ending.signal), std::to_string(ending.signal));
    const bool address = case_.ending.has_address && ending.has_address;
    if (address && has_exact_address(insn_) && ending.address != case_.ending.address)
      say("fault", case_.ending.address, ending.address);
    // The trap behind the instruction is one byte long.
    const bool trap = case_.ending.signal == SIGTRAP;
    if (host.rip - (trap ? 1 : 0) != ours.rip) say("rip", host.rip - (trap ? 1 : 0), ours.rip);
    for (unsigned i = 0; i < 16; ++i)
      if (host.gpr[i] != ours.gpr[i]) say(kGprNames[i], host.gpr[i], ours.gpr[i]);
    if (host.fs_base != ours.fs_base) say("fs.base", host.fs_base, ours.fs_base);
    if (host.gs_base != ours.gs_base) say("gs.base", host.gs_base, ours.gs_base);
    flags(host.eflags, ours.eflags);
    x87(host.legacy, ours.legacy);
    if (host.legacy.mxcsr != ours.legacy.mxcsr) say("mxcsr", host.legacy.mxcsr, ours.legacy.mxcsr);
    for (unsigned i = 0; i < 16; ++i) {
      const bool same = std::memcmp(host.legacy.xmm[i], ours.legacy.xmm[i], 16) == 0 &&
                        std::memcmp(host.ymm_high[i], ours.ymm_high[i], 16) == 0;
      if (!same) say("ymm" + std::to_string(i), vector(host, i), vector(ours, i));
    }
    const bool same_memory = std::memcmp(host.memory, ours.memory, kPage) == 0;
    for (unsigned i = 0; !same_memory && i < kPage; ++i)
      if (host.memory[i] != ours.memory[i]) {
        const unsigned from = i & ~15u;
        say("memory+" + std::to_string(from), hex(host.memory + from, 16, false),
            hex(ours.memory + from, 16, false));
        i = from + 15;
      }
    return text_;
  }

  static std::string vector(const Machine& m, unsigned i) {
    return hex(m.ymm_high[i], 16, true) + "'" + hex(m.legacy.xmm[i], 16, true);
  }

 private:
  void say(const std::string& what, const std::string& host, const std::string& ours) {
    text_ += "    " + what + ": host " + host + ", ours " + ours + "\n";
  }
  void say(const std::string& what, uint64_t host, uint64_t ours) {
    char a[20], b[20];
    std::snprintf(a, sizeof a, "%" PRIx64, host);
    std::snprintf(b, sizeof b, "%" PRIx64, ours);
    say(what, std::string(a), std::string(b));
  }
  void flags(uint64_t host, uint64_t ours) {
    constexpr uint64_t kRf = 1 << 16;  // set by the kernel at a fault
    const uint64_t compared = ~undefined_flags(insn_, case_) & 0x3fffff & ~kRf;
    if ((host ^ ours) & compared) say("flags", flags_text(host & compared), flags_text(ours & compared));
  }
  void x87(const Legacy& host, const Legacy& ours) {
    if (host.control != ours.control) say("x87 control", host.control, ours.control);
    // FCOMI and its like clear C1, says the manual; both makers' processors leave it.
    const std::string_view name = x86::name_of(insn_.row);
    const bool leaves_c1 = name.starts_with("FCOMI") || name.starts_with("FUCOMI");
    const unsigned compared = leaves_c1 ? 0xfdff : 0xffff;
    if ((host.status ^ ours.status) & compared) say("x87 status", host.status, ours.status);
    if (host.tags != ours.tags) say("x87 tags", host.tags, ours.tags);
    // What an empty register holds is not kept (docs/decisions.md).
    for (unsigned i = 0; i < 8; ++i)
      if ((host.tags >> (i + (host.status >> 11)) % 8 & 1) && std::memcmp(host.st[i], ours.st[i], 10) != 0)
        say("st" + std::to_string(i), hex(host.st[i], 10, true), hex(ours.st[i], 10, true));
  }

  const Case& case_;
  const Insn& insn_;
  std::string text_;
};

class Fuzz {
 public:
  explicit Fuzz(const Options& options)
      : options_(options), features_(host_features()), generator_(options.seed, options.settings) {
    const std::regex wanted(options.rows);
    for (uint16_t i = 0; i < x86::all_rows().size(); ++i) {
      const x86::Row& row = x86::row(i);
      const x86::RowText text = text_of(row);
      const std::string name = std::string(text.name) + " " + std::string(text.encoding);
      if (!std::regex_search(name, wanted) || !exists_in(row, options.mode)) continue;
      const char* why = why_not(row);
      if (!why && text.name == "CMPXCHG16B" && options.mode != Mode::k64) why = "needs REX.W";
      if (!why && !features_.has(row.feature)) why = "the host does not have it";
      if (!why && !x86::handler_of(i)) why = "nothing lifts it yet";
      if (why && options.list) std::printf("not compared: %s (%s)\n", name.c_str(), why);
      if (!why) rows_.push_back(i);
    }
    std::fprintf(options.emit ? stderr : stdout, "seed %" PRIu64 ", %zu rows\n", options.seed, rows_.size());
  }

  bool run() {
    if (rows_.empty()) return true;
    prepare_guests();  // before the fork: the child's page is its own copy
    const x86::CpuModel model{"host", "", "GenuineIntel", "", 0, features_};
    const accel::Executor executors[] = {accel::Executor::Interp, accel::Executor::Baseline,
                                         accel::Executor::Llvm, accel::Executor::Direct};
    const bool wanted[] = {options_.interp, options_.baseline, options_.llvm, options_.direct};
    for (unsigned i = 0; i < std::size(wanted); ++i)
      if (wanted[i]) guests_.push_back(std::make_unique<Guest>(model, executors[i]));
    Host host;
    const auto start = std::chrono::steady_clock::now();
    const auto seconds = [&] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    if (options_.emit != 0) return emit(host);
    while (seconds() < options_.seconds && done_ < options_.count) batch(host);
    report(seconds());
    return mismatches_.empty();
  }

 private:
  /// Cases of tests/isa/x86, as the host has them.
  bool emit(Host& host) {
    for (const uint16_t row : rows_) {
      unsigned count = 0;
      for (unsigned tries = 0; count < options_.emit && tries < 1000; ++tries)
        count += generator_.make(x86::row(row), options_.mode, features_, host.cases()[count]);
      if (!host.run(count)) return false;
      for (unsigned i = 0; i < count; ++i) {
        Case& c = host.cases()[i];
        Insn insn;
        decode(c.code, c.length, c.mode, features_, insn);
        const bool undefined = undefined_flags(insn, c) != 0;
        if (undefined) c.out.eflags = c.in.eflags;
        Legacy& x87 = c.out.legacy;
        for (unsigned st = 0; st < 8; ++st)
          if (!(x87.tags >> (st + (x87.status >> 11)) % 8 & 1))
            std::memcpy(x87.st[st], c.in.legacy.st[st], 16);
        const x86::RowText text = text_of(x86::row(row));
        const std::string title = std::string(text.name) + " " + std::string(text.operands);
        std::printf("%s%s\n", isa::print_x86_case(c, title).c_str(), undefined ? " flags=?" : "");
      }
    }
    return true;
  }

  void batch(Host& host) {
    const std::span<Case> cases = host.cases();
    unsigned count = 0;
    while (count < cases.size()) {
      const uint16_t row = rows_[next_++ % rows_.size()];
      bool made = false;
      for (unsigned tries = 0; !made && tries < 100; ++tries)
        made = generator_.make(x86::row(row), options_.mode, features_, cases[count]);
      if (made) ++hits_[row];
      count += made;
      if (!made && next_ > 100 * rows_.size() && hits_.empty()) {
        std::fprintf(stderr, "no case comes of these rows\n");
        std::exit(1);
      }
    }
    if (!host.run(count)) {
      for (const Case& c : cases)
        if (c.ending.signal == -1) {
          std::printf("the child died of [%s]\n", hex(c.code, c.length, false).c_str());
          break;
        }
      ++deaths_;
      if (deaths_ > 20) std::exit(1);
      return;
    }
    for (unsigned i = 0; i < count; ++i) check(cases[i]);
  }

  void check(Case& c) {
    Insn insn;
    decode(c.code, c.length, c.mode, features_, insn);
    if (const char* const why = known_difference(insn, c)) {
      ++known_[why];
      return;
    }
    ++done_;
    ++endings_[c.ending.signal];
    forget_gather(insn, c);
    std::string first;
    for (size_t i = 0; i < guests_.size(); ++i) {
      const Ending ending = guests_[i]->run(c, ours_);
      forget_mm(insn, c, ours_);
      forget_precision(c, ours_);
      forget_flags_of_repeated(insn, c, ours_);
      forget_nans(insn, c, ours_);
      const std::string text = Comparison(c, insn).run(ending, ours_);
      if (text.empty()) continue;
      if (text == first) continue;  // the same on another executor
      first = text;
      const std::string name(x86::name_of(insn.row));
      if (++mismatches_[name] <= options_.shown) show(c, insn, i, text);
    }
  }

  void show(const Case& c, const Insn& insn, size_t guest, const std::string& text) {
    const x86::RowText row = text_of(x86::row(insn.row));
    std::printf("%.*s %.*s  %.*s  [%s] on executor %zu, host's signal %d\n",
                static_cast<int>(row.name.size()), row.name.data(), static_cast<int>(row.encoding.size()),
                row.encoding.data(), static_cast<int>(row.operands.size()), row.operands.data(),
                hex(c.code, c.length, false).c_str(), guest, c.ending.signal);
    std::printf("%s  from", text.c_str());
    for (unsigned i = 0; i < 16; ++i) std::printf(" %s=%" PRIx64, kGprNames[i], c.in.gpr[i]);
    std::printf(" flags=%s mxcsr=%x fcw=%x fsw=%x tags=%x\n", flags_text(c.in.eflags).c_str(),
                c.in.legacy.mxcsr, c.in.legacy.control, c.in.legacy.status, c.in.legacy.tags);
    for (unsigned i = 0; i < insn.operand_count; ++i) {
      const x86::Operand& o = insn.operands[i];
      if (o.kind == x86::OperandKind::Vector)
        std::printf("  ymm%u=%s\n", o.reg, Comparison::vector(c.in, o.reg).c_str());
      if (o.kind == x86::OperandKind::X87)
        std::printf("  st%u=%s\n", o.reg, hex(c.in.legacy.st[o.reg], 10, true).c_str());
      if (o.kind == x86::OperandKind::Mmx) {
        const unsigned st = (o.reg - (c.in.legacy.status >> 11)) & 7;
        std::printf("  mm%u=%s\n", o.reg, hex(c.in.legacy.st[st], 8, true).c_str());
      }
      if (o.kind == x86::OperandKind::Memory) show_memory(c, insn);
    }
  }

  static void show_memory(const Case& c, const Insn& insn) {
    const uint64_t at = memory_address(insn, c);
    std::printf("  memory at %" PRIx64, at);
    if (at - kData < kPage - 32) std::printf(": %s", hex(c.in.memory + (at - kData), 32, false).c_str());
    if (is_image(insn) && at - kData < kPage - 576)
      std::printf(", +512: %s", hex(c.in.memory + (at - kData) + 512, 64, false).c_str());
    std::printf("\n");
  }

  void report(double seconds) {
    uint64_t bad = 0;
    for (const auto& [name, count] : mismatches_) {
      std::printf("%s: %" PRIu64 " mismatches\n", name.c_str(), count);
      bad += count;
    }
    for (const auto& [why, count] : known_)
      std::printf("not compared: %" PRIu64 " cases: %s\n", count, why.c_str());
    for (const uint16_t row : rows_)
      if (!hits_.contains(row))
        std::printf("not hit: %s %s\n", std::string(text_of(x86::row(row)).name).c_str(),
                    std::string(text_of(x86::row(row)).encoding).c_str());
    std::printf("%" PRIu64 " instructions in %.1f s, %zu of %zu rows, %" PRIu64 " mismatches; signals:",
                done_, seconds, hits_.size(), rows_.size(), bad);
    for (const auto& [signal, count] : endings_) std::printf(" %d: %" PRIu64, signal, count);
    std::printf("\n");
  }

  const Options options_;
  const x86::Features features_;
  Generator generator_;
  std::vector<uint16_t> rows_;
  std::vector<std::unique_ptr<Guest>> guests_;
  Machine ours_;
  std::map<uint16_t, uint64_t> hits_;
  std::map<std::string, uint64_t> mismatches_;
  std::map<int, uint64_t> endings_;
  std::map<std::string, uint64_t> known_;
  uint64_t done_ = 0, next_ = 0;
  unsigned deaths_ = 0;
};

int usage() {
  std::fprintf(
      stderr,
      "usage: x86_diff_fuzz [--rows REGEX] [--seconds N] [--count N] [--seed N] [--mode 64|32]\n"
      "                     [--jit interp|baseline|llvm|direct] [--unmasked] [--alignment] [--shown N] "
      "[--list] [--emit N]\n");
  return 2;
}

bool parse(int argc, char** argv, Options& options) {
  options.seed =
      static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()) & 0xffffffff;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--unmasked") {
      options.settings.unmasked = true;
      continue;
    }
    if (name == "--alignment") {
      options.settings.alignment = true;
      continue;
    }
    if (name == "--list") {
      options.list = true;
      continue;
    }
    if (i + 1 == argc) return false;
    const std::string value = argv[++i];
    if (name == "--rows") {
      options.rows = value;
    } else if (name == "--seconds") {
      options.seconds = std::atof(value.c_str());
    } else if (name == "--count") {
      options.count = std::strtoull(value.c_str(), nullptr, 10);
    } else if (name == "--seed") {
      options.seed = std::strtoull(value.c_str(), nullptr, 10);
    } else if (name == "--emit") {
      options.emit = std::min<unsigned>(static_cast<unsigned>(std::atoi(value.c_str())), kBatch);
      options.settings.sparse = true;
    } else if (name == "--shown") {
      options.shown = static_cast<unsigned>(std::atoi(value.c_str()));
    } else if (name == "--mode" && (value == "64" || value == "32")) {
      options.mode = value == "64" ? Mode::k64 : Mode::k32;
    } else if (name == "--jit" &&
               (value == "interp" || value == "baseline" || value == "llvm" || value == "direct")) {
      options.interp = value == "interp";
      options.baseline = value == "baseline";
      options.llvm = value == "llvm";
      options.direct = value == "direct";
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace
}  // namespace lyrebird::x86diff

int main(int argc, char** argv) {
  lyrebird::x86diff::Options options;
  if (!lyrebird::x86diff::parse(argc, argv, options)) return lyrebird::x86diff::usage();
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  return lyrebird::x86diff::Fuzz(options).run() ? 0 : 1;
}
