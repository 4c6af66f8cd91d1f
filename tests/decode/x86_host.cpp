// SPDX-License-Identifier: Apache-2.0
// x86_host [--count N] [--seed N] [--mode 16|32|64] [--show N]
//
// The host's processor as the judge of legality and length, in 16-, 32- and 64-bit mode. Each string
// is put at the end of a page that nothing follows, in a traced child whose registers point nowhere,
// and one step is made. What we call an instruction of L bytes must not be an invalid opcode with L
// bytes there, and must ask for more with L - 1. What we call undefined must be an invalid opcode.
// Exit status 77: not an x86-64 Linux host, or it does not let us trace.
#include <cstdio>

#ifndef __x86_64__
int main() {
  std::puts("skipped: the host is no x86-64");
  return 77;
}
#else

#include <asm/ldt.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "tests/decode/x86_generate.h"

namespace {

using namespace lyrebird::x86;

constexpr uint64_t kPage = 0x20000000, kEnd = kPage + 0x1000;  // reachable in every mode
constexpr unsigned kIp16 = 0x8000;                             // IP of kEnd in the 16-bit segment
constexpr uint64_t kNowhere = 0x30000000;                      // for rSP

enum class Outcome { Executed, Fetch, Invalid };

class Child {
 public:
  Child() {
    void* const page = mmap(reinterpret_cast<void*>(kPage), 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (page != reinterpret_cast<void*>(kPage)) skip("no page at its address");
    page_ = static_cast<uint8_t*>(page);
    pid_ = fork();
    if (pid_ == 0) run();
    int status;
    if (pid_ < 0 || waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status))
      skip("the child can't be traced");
    has_16_ = WSTOPSIG(status) == SIGSTOP;
  }
  ~Child() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  bool has_16() const { return has_16_; }

  /// One step on `size` bytes at the end of the page.
  Outcome step(Mode mode, const uint8_t* bytes, unsigned size) {
    std::memcpy(page_ + 0x1000 - size, bytes, size);
    user_regs_struct r{};
    r.rsp = r.rbp = kNowhere;
    r.rax = r.orig_rax = ~uint64_t{0};  // a system call, if it is one, that there is not
    r.eflags = 0x202;
    r.cs = mode == Mode::k64 ? 0x33 : mode == Mode::k32 ? 0x23 : 0x07;
    r.ss = 0x2b;
    r.ds = r.es = mode == Mode::k64 ? 0 : 0x2b;
    r.rip = (mode == Mode::k16 ? kIp16 : kEnd) - size;
    // Not PTRACE_SETREGSET, which takes the registers of the mode that the child is in.
    if (ptrace(PTRACE_SETREGS, pid_, 0, &r) != 0) fatal("PTRACE_SETREGS");
    if (ptrace(PTRACE_SINGLESTEP, pid_, 0, 0) != 0) fatal("PTRACE_SINGLESTEP");
    int status;
    if (waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status)) fatal("the child is gone");
    const int signal = WSTOPSIG(status);
    if (signal == SIGILL) return Outcome::Invalid;
    siginfo_t info;
    if (ptrace(PTRACE_GETSIGINFO, pid_, 0, &info) != 0) fatal("PTRACE_GETSIGINFO");
    return signal == SIGSEGV && reinterpret_cast<uint64_t>(info.si_addr) == kEnd ? Outcome::Fetch
                                                                                 : Outcome::Executed;
  }

 private:
  [[noreturn]] static void skip(const char* why) {
    std::printf("skipped: %s\n", why);
    std::exit(77);
  }
  [[noreturn]] static void fatal(const char* what) {
    std::perror(what);
    std::exit(1);
  }
  /// The child: a 16-bit code segment, and then it only ever does what the parent says.
  [[noreturn]] static void run() {
    user_desc segment{};
    segment.base_addr = static_cast<unsigned>(kEnd - kIp16);
    segment.limit = 0xffff;
    segment.contents = MODIFY_LDT_CONTENTS_CODE;
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    const bool good = syscall(SYS_modify_ldt, 1, &segment, sizeof segment) == 0;
    raise(good ? SIGSTOP : SIGTSTP);
    _exit(1);
  }

  uint8_t* page_ = nullptr;
  pid_t pid_ = -1;
  bool has_16_ = false;
};

std::string hex(const uint8_t* bytes, unsigned count) {
  std::string s;
  char byte[4];
  for (unsigned i = 0; i < count; ++i) {
    std::snprintf(byte, sizeof byte, "%02x", bytes[i]);
    s += byte;
  }
  return s;
}

/// The feature flags of /proc/cpuinfo that rows depend on and that a host may lack.
class Host {
 public:
  Host() {
    std::ifstream in("/proc/cpuinfo");
    for (std::string line; std::getline(in, line);)
      if (line.starts_with("flags")) {
        flags_ = line + " ";
        break;
      }
  }
  bool has(Feature feature) const {
    constexpr std::pair<Feature, const char*> kFlags[] = {{Feature::SSE3, "pni"},
                                                          {Feature::SSSE3, "ssse3"},
                                                          {Feature::SSE4_1, "sse4_1"},
                                                          {Feature::SSE4_2, "sse4_2"},
                                                          {Feature::MONITOR, "monitor"},
                                                          {Feature::RDTSCP, "rdtscp"},
                                                          {Feature::POPCNT, "popcnt"},
                                                          {Feature::BMI2, "bmi2"},
                                                          {Feature::ADX, "adx"},
                                                          {Feature::MOVBE, "movbe"},
                                                          {Feature::AES, "aes"},
                                                          {Feature::PCLMUL, "pclmulqdq"},
                                                          {Feature::SHA, "sha_ni"},
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
                                                          {Feature::RDPID, "rdpid"},
                                                          {Feature::RDRAND, "rdrand"},
                                                          {Feature::RDSEED, "rdseed"},
                                                          {Feature::CLFLUSHOPT, "clflushopt"},
                                                          {Feature::CLWB, "clwb"},
                                                          {Feature::INVPCID, "invpcid"},
                                                          {Feature::VMX, "vmx"},
                                                          {Feature::SVM, "svm"}};
    for (const auto& [f, flag] : kFlags)
      if (f == feature) return flags_.find(std::string(" ") + flag + " ") != std::string::npos;
    return true;
  }

 private:
  std::string flags_;
};

struct Options {
  uint64_t count = 3000, seed = 1;
  int mode = 0;
  unsigned show = 3;
};

class Check {
 public:
  explicit Check(const Options& options) : options_(options), random_(options.seed) {}

  void mode(Mode mode) {
    std::vector<const Row*> rows;
    for (const Row& row : all_rows())
      if (exists_in(row, mode)) rows.push_back(&row);
    for (uint64_t i = 0; i < options_.count; ++i) {
      Bytes bytes;
      if (i % 10 == 9) {
        bytes = random_bytes(random_);
      } else {
        bytes = bytes_for(i < rows.size() ? *rows[i] : *rows[random_() % rows.size()], mode, random_);
        if (i % 10 >= 6) bytes[random_() % 6] ^= static_cast<uint8_t>(1u << random_() % 8);
      }
      compare(mode, bytes.data());
    }
  }
  bool has_16() const { return child_.has_16(); }

  bool report() const {
    for (const auto& [why, count] : known_)
      std::printf("known: %7llu  %s\n", static_cast<unsigned long long>(count), why.c_str());
    for (const auto& [what, seen] : different_) {
      std::printf("%s: %zu times\n", what.c_str(), seen.size());
      for (size_t i = 0; i < seen.size() && i < options_.show; ++i) std::printf("    %s\n", seen[i].c_str());
    }
    std::printf("%llu strings, %zu kinds of unexplained difference\n",
                static_cast<unsigned long long>(total_), different_.size());
    return different_.empty() && total_ != 0;
  }

 private:
  /// The opcode of a string without its prefixes, as in "0f01"; VEX as "v2:50" (map and opcode).
  static std::string opcode(Mode mode, const uint8_t* bytes) {
    unsigned i = 0;
    while (i < 12 && (std::strchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", bytes[i]) ||
                      (mode == Mode::k64 && (bytes[i] & 0xf0) == 0x40)))
      ++i;
    if (bytes[i] == 0xc5) return "v1:" + hex(bytes + i + 2, 1);
    if (bytes[i] == 0xc4) return "v" + std::to_string(bytes[i + 1] & 31) + ":" + hex(bytes + i + 3, 1);
    return hex(bytes + i, 3);
  }

  /// Why the host may execute what we call undefined.
  static const char* executes(Mode mode, const uint8_t* bytes, DecodeStatus status) {
    if (status == DecodeStatus::Avx512) return "AVX-512, which no processor model of ours has";
    if (status == DecodeStatus::LockIllegal) return "an access faults before the host looks at LOCK";
    constexpr std::pair<const char*, const char*> kKnown[] = {
        {"0f05", "AMD has SYSCALL and SYSRET outside of 64-bit mode"},
        {"0f07", "AMD has SYSCALL and SYSRET outside of 64-bit mode"},
        {"0f2b", "SSE4a is absent"},
        {"0f78", "SSE4a is absent"},
        {"0f79", "SSE4a is absent"},
        {"0f01",
         "AMD's SKINIT, CLZERO, MONITORX, RDPRU are absent, Intel's RDPKRU, XEND, XTEST, SERIALIZE too"},
        {"c6f8", "Intel's TSX (XABORT, XBEGIN) is absent"},
        {"c7f8", "Intel's TSX (XABORT, XBEGIN) is absent"},
        {"0fc7", "an access faults before the host looks at the prefix"},
        {"0f38f8", "MOVDIR64B and MOVDIRI are absent"},
        {"0f38f9", "MOVDIR64B and MOVDIRI are absent"},
        {"v1:4", "AVX-512's mask instructions are absent"},
        {"v1:9", "AVX-512's mask instructions are absent"},
        {"v3:3", "AVX-512's mask instructions are absent"},
        {"v2:49", "Intel's AMX is absent"},
        {"v2:4b", "Intel's AMX is absent"},
        {"v2:5c", "Intel's AMX is absent"},
        {"v2:5e", "Intel's AMX is absent"},
        {"v2:5", "AVX-VNNI is absent"},
        {"v3:00", "AMD executes VPERMQ with VEX.W0 (SDM 2C: W1)"},
        {"v3:01", "AMD executes VPERMPD with VEX.W0 (SDM 2C: W1)"}};
    const std::string code = opcode(mode, bytes);
    for (const auto& [prefix, why] : kKnown)
      if (code.starts_with(prefix)) return why;
    if (code.starts_with("0fae")) {
      const unsigned digit = static_cast<unsigned>(std::stoul(code.substr(4), nullptr, 16)) >> 3 & 7;
      if (digit == 4) return "Intel's PTWRITE is absent";
      if (digit == 6) return "Intel's TPAUSE, UMONITOR and UMWAIT are absent";
    }
    return nullptr;
  }

  const char* invalid(const Insn& insn, std::string_view ours) const {
    const Row& r = row(insn.row);
    if (!host_.has(r.feature)) return "the host lacks the feature";
    if (ours == "CLAC" || ours == "STAC" || ours == "RSM") return "#UD outside of CPL 0, or of SMM";
    if (ours == "SYSENTER") return "AMD has no SYSENTER in long mode";
    if (ours == "NOP" && insn.opcode == 0x0d) return "AMD has no register form of 0F 0D";
    if ((ours == "VPEXTRD" || ours == "VPINSRD") && insn.mode != Mode::k64 && insn.has(kPrefixRexW))
      return "VEX.W1 outside of 64-bit mode is #UD on AMD (SDM 2B, PINSRD: ignored)";
    return nullptr;
  }

  static const char* shorter(const Insn& insn) {
    return insn.mode == Mode::k64 && row(insn.row).has(RowFlag::F64) && insn.has(kPrefixOperandSize)
               ? "66 shortens near branches in 64-bit mode on AMD (SDM 2D, table A-1: f64)"
               : nullptr;
  }

  static const char* longer(std::string_view ours) {
    if (ours == "SGDT" || ours == "SIDT" || ours == "SLDT" || ours == "STR" || ours == "SMSW")
      return "UMIP: the kernel emulates it and reads 15 bytes";
    if (ours == "VMREAD" || ours == "VMWRITE") return "SSE4a's EXTRQ and INSERTQ have these bytes on AMD";
    return nullptr;
  }

  void compare(Mode mode, const uint8_t* bytes) {
    Insn insn;
    const DecodeStatus status = decode(bytes, 15, mode, Features::all(), insn);
    ++total_;
    if (status == DecodeStatus::TooLong) return;
    if (status != DecodeStatus::Ok) {
      if (child_.step(mode, bytes, 15) != Outcome::Invalid)
        note(executes(mode, bytes, status), mode, bytes, 15, name(status), "executes");
      return;
    }
    const std::string ours(name_of(insn.row));
    if (insn.length > 1 && child_.step(mode, bytes, insn.length - 1u) == Outcome::Executed)
      note(shorter(insn), mode, bytes, insn.length, ours, "is shorter");
    const Outcome whole = child_.step(mode, bytes, insn.length);
    if (whole == Outcome::Fetch) note(longer(ours), mode, bytes, insn.length, ours, "is longer");
    if (whole == Outcome::Invalid) note(invalid(insn, ours), mode, bytes, insn.length, ours, "is invalid");
  }

  void note(const char* why, Mode mode, const uint8_t* bytes, unsigned size, const std::string& ours,
            const char* what) {
    if (why)
      ++known_[why];
    else
      different_[ours + " " + what].push_back(std::to_string(16 << static_cast<int>(mode)) + " " +
                                              hex(bytes, size));
  }

  const Options& options_;
  Random random_;
  Child child_;
  const Host host_;
  uint64_t total_ = 0;
  std::map<std::string, uint64_t> known_;
  std::map<std::string, std::vector<std::string> > different_;
};

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string arg = argv[i];
    const unsigned long long value = std::strtoull(argv[i + 1], nullptr, 10);
    if (arg == "--count")
      options.count = value;
    else if (arg == "--seed")
      options.seed = value;
    else if (arg == "--mode")
      options.mode = static_cast<int>(value);
    else if (arg == "--show")
      options.show = static_cast<unsigned>(value);
    else
      return false;
  }
  return argc % 2 == 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fprintf(stderr, "x86_host [--count N] [--seed N] [--mode 16|32|64] [--show N]\n");
    return 2;
  }
  Check check(options);
  for (const auto& [bits, mode] : {std::pair{16, Mode::k16}, {32, Mode::k32}, {64, Mode::k64}}) {
    if ((options.mode && options.mode != bits) || (mode == Mode::k16 && !check.has_16())) continue;
    check.mode(mode);
  }
  return check.report() ? 0 : 1;
}

#endif
