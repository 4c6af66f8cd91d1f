// SPDX-License-Identifier: Apache-2.0
// Runs x86 case files on every executor: isa_x86_runner [--coverage PREFIX] FILE[:LINE]...
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <regex>
#include <set>
#include <vector>

#include "frontend/x86/decode/decode.h"
#include "frontend/x86/lift/handlers.h"
#include "tests/diff/x86/guest.h"
#include "tests/isa/x86_case.h"

namespace lyrebird::isa {
namespace {

using x86diff::Ending;
using x86diff::Guest;
using x86diff::kPage;
using x86diff::Machine;

struct Executor {
  const char* name;
  accel::Executor executor;
  bool optimise, single_step;
};
constexpr Executor kExecutors[] = {
    {"interp", accel::Executor::Interp, true, false},
    {"interp, no passes", accel::Executor::Interp, false, false},
    {"interp, single steps", accel::Executor::Interp, true, true},
    {"baseline", accel::Executor::Baseline, true, false},
    {"baseline, no passes", accel::Executor::Baseline, false, false},
    {"llvm", accel::Executor::Llvm, true, false},
// Guest code has its own stack pointer there, which nobody has tried with tsan yet.
#if !__has_feature(thread_sanitizer)
    {"direct", accel::Executor::Direct, true, false},
#endif
};

bool read_cases(const std::string& file, unsigned only, std::vector<X86Case>& cases) {
  std::ifstream stream(file);
  if (!stream) {
    std::fprintf(stderr, "%s: can't be opened\n", file.c_str());
    return false;
  }
  bool good = true;
  unsigned number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    if (line.empty() || line[0] == '#' || (only != 0 && number != only)) continue;
    X86Case c;
    c.file = file;
    c.line = number;
    if (const char* error = parse_x86_case(line, c)) {
      std::fprintf(stderr, "%s: %s\n", c.where().c_str(), error);
      good = false;
    } else {
      cases.push_back(std::move(c));
    }
  }
  return good;
}

/// Same sign, and significands (over all exponents) that are one apart at most.
bool is_near(const uint8_t* a, const uint8_t* b) {
  const auto magnitude = [](const uint8_t* from) {
    uint64_t significand;
    uint16_t exponent;
    std::memcpy(&significand, from, 8);
    std::memcpy(&exponent, from + 8, 2);
    return static_cast<unsigned __int128>(exponent & 0x7fff) << 63 | (significand << 1 >> 1);
  };
  const auto x = magnitude(a), y = magnitude(b);
  return ((a[9] ^ b[9]) & 0x80) == 0 && (x > y ? x - y : y - x) <= 1;
}

/// What the case asks for, given what came of it where it leaves a choice.
Machine wanted_of(const X86Case& c, const Machine& got) {
  Machine wanted = c.run.out;
  if (c.any.contains("flags")) wanted.eflags = got.eflags;
  if (c.any.contains("mem")) std::memcpy(wanted.memory, got.memory, kPage);
  for (const unsigned at : c.any_byte) wanted.memory[at] = got.memory[at];
  constexpr uint16_t kC1 = 0x200;
  if (c.any.contains("c1"))
    wanted.legacy.status = static_cast<uint16_t>((wanted.legacy.status & ~kC1) | (got.legacy.status & kC1));
  for (const unsigned i : c.near)
    if (is_near(got.legacy.st[i], wanted.legacy.st[i]))
      std::memcpy(wanted.legacy.st[i], got.legacy.st[i], 10);
  return wanted;
}

/// The fields that differ, as a case would have them.
bool check(const X86Case& c, const Executor& executor, Guest& guest) {
  Machine got;
  std::memset(&got, 0, sizeof got);
  const Ending ending = guest.run(c.run, got);
  const Machine wanted = wanted_of(c, got);
  constexpr uint64_t kFlags = 0x40cd5;
  bool same = ending.signal == c.run.ending.signal && got.rip == wanted.rip &&
              (!c.run.ending.has_address || ending.address == c.run.ending.address) &&
              ((got.eflags ^ wanted.eflags) & kFlags) == 0 &&
              std::memcmp(got.gpr, wanted.gpr, sizeof got.gpr) == 0 && got.fs_base == wanted.fs_base &&
              got.gs_base == wanted.gs_base && std::memcmp(got.memory, wanted.memory, kPage) == 0 &&
              std::memcmp(got.ymm_high, wanted.ymm_high, sizeof got.ymm_high) == 0 &&
              std::memcmp(got.legacy.xmm, wanted.legacy.xmm, sizeof got.legacy.xmm) == 0 &&
              got.legacy.mxcsr == wanted.legacy.mxcsr && got.legacy.control == wanted.legacy.control &&
              got.legacy.status == wanted.legacy.status && got.legacy.tags == wanted.legacy.tags;
  // What an empty register holds is not kept (docs/decisions.md).
  const auto& x87 = wanted.legacy;
  for (unsigned i = 0; i < 8; ++i)
    if (x87.tags >> (i + (x87.status >> 11)) % 8 & 1)
      same = same && std::memcmp(got.legacy.st[i], x87.st[i], 10) == 0;
  if (same) return true;
  x86diff::Case mine = c.run, theirs = c.run;
  mine.out = got;
  mine.out.rip += ending.signal == SIGTRAP ? 1 : 0;
  mine.ending = ending;
  theirs.out = wanted;
  theirs.out.rip += c.run.ending.signal == SIGTRAP ? 1 : 0;
  std::fprintf(stderr, "%s [%s]\n  expected %s\n  got      %s\n", c.where().c_str(), executor.name,
               print_x86_case(theirs, c.text).c_str(), print_x86_case(mine, c.text).c_str());
  return false;
}

int run_all(const std::vector<X86Case>& cases) {
  x86diff::prepare_guests();
  std::set<std::string> failed;
  for (const Executor& executor : kExecutors) {
    // The files say what a shift leaves on AMD's processors.
    Guest guest(*x86::find_cpu_model("max"), executor.executor, executor.optimise, executor.single_step,
                /*first_step=*/false);
    for (const X86Case& c : cases)
      if (!check(c, executor, guest)) failed.insert(c.where());
  }
  std::printf("%zu cases, %zu failed\n", cases.size(), failed.size());
  return !failed.empty();
}

/// Rows of those mnemonics that no case reaches.
int coverage(const std::vector<X86Case>& cases, const std::string& mnemonics) {
  std::set<uint16_t> reached;
  for (const X86Case& c : cases) {
    x86::Insn insn;
    for (unsigned at = 0; at < c.run.length; at += insn.length) {
      if (x86::decode(c.run.code + at, c.run.length - at, c.run.mode, x86::Features::all(), insn) !=
          x86::DecodeStatus::Ok)
        break;
      reached.insert(insn.row);
    }
  }
  const std::regex wanted(mnemonics);
  unsigned rows = 0, missing = 0;
  for (uint16_t i = 0; i < x86::all_rows().size(); ++i) {
    const x86::RowText text = text_of(x86::row(i));
    if (!x86::handler_of(i) || !std::regex_match(std::string(text.name), wanted)) continue;
    ++rows;
    if (reached.contains(i)) continue;
    ++missing;
    std::printf("%.*s %.*s\n", static_cast<int>(text.name.size()), text.name.data(),
                static_cast<int>(text.encoding.size()), text.encoding.data());
  }
  std::printf("%u decode rows, %u without a case\n", rows, missing);
  return missing != 0;
}

}  // namespace
}  // namespace lyrebird::isa

int main(int argc, char** argv) {
  using namespace lyrebird::isa;
  std::vector<X86Case> cases;
  std::string mnemonics;
  bool good = true;
  for (int i = 1; i < argc; ++i) {
    std::string file = argv[i];
    if (file == "--coverage" && i + 1 < argc) {
      mnemonics = argv[++i];
      continue;
    }
    unsigned line = 0;
    if (const size_t colon = file.rfind(':'); colon != std::string::npos) {
      line = static_cast<unsigned>(std::atoi(file.c_str() + colon + 1));
      file.resize(colon);
    }
    good = read_cases(file, line, cases) && good;
  }
  const int result = mnemonics.empty() ? run_all(cases) : coverage(cases, mnemonics);
  return good ? result : 1;
}
