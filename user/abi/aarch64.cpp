// SPDX-License-Identifier: Apache-2.0
#include "user/abi/aarch64.h"

#include <elf.h>
#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "frontend/arm/a64_frontend.h"
#include "frontend/arm/a64_mode.h"
#include "frontend/arm/a64_state.h"
#include "user/abi/aarch64_vdso.h"
#include "user/abi/rows.h"
#include "user/abi/structs.h"
#include "user/process/prctl.h"
#include "user/signals/signal_abi.h"
#include "user/thread.h"

namespace lyrebird::user {
namespace {

using arm::A64State;

A64State& state_of(ir::CpuHeader& cpu) { return reinterpret_cast<A64State&>(cpu); }
const A64State& state_of(const ir::CpuHeader& cpu) { return reinterpret_cast<const A64State&>(cpu); }

// arch/arm64/include/uapi/asm/fcntl.h: four bits differ from asm-generic, which x86 follows.
constexpr FlagPair kOpenFlags[] = {
    {040000, 0200000},   // O_DIRECTORY
    {0100000, 0400000},  // O_NOFOLLOW
    {0200000, 040000},   // O_DIRECT
    {0400000, 0100000},  // O_LARGEFILE
};

class Aarch64 final : public Abi {
 public:
  Aarch64() {
    name = "aarch64";
    machine = "aarch64";
    elf_machine = EM_AARCH64;
    syscalls = aarch64_syscalls();
    open_flags = kOpenFlags;
    prot_guarded = 0x10;  // PROT_BTI
    ignores_top_byte = true;
    min_signal_stack = 4720;  // struct rt_sigframe with the FPSIMD record
  }

  const StructDesc& desc(const StructDesc& common) const override {
    if (&common == &Desc<struct stat>::desc) return kGenericStat;
    if (&common == &Desc<struct epoll_event>::desc) return kAlignedEpollEvent;
    return Abi::desc(common);
  }

  Result<CpuChoice> create_cpu(const std::string& model_name) const override {
    const arm::CpuModel* const model = arm::find_cpu_model(model_name);
    if (!model) {
      std::string names;
      for (const arm::CpuModel& known : arm::cpu_models()) (names += ' ') += known.name;
      return Error{fmt::format("-cpu {}: no such processor; there are:{}", model_name, names)};
    }
    CpuChoice choice;
    choice.frontend = std::make_unique<arm::A64Frontend>(*model);
    choice.hwcap = arm::hwcap(*model);
    choice.hwcap2 = arm::hwcap2(*model);
    choice.platform = "aarch64";
    return choice;
  }

  std::vector<std::string> cpu_names() const override {
    std::vector<std::string> names;
    for (const arm::CpuModel& known : arm::cpu_models())
      names.push_back(fmt::format("{:<16}{}", known.name, known.text));
    return names;
  }

  StatePtr create_state(const ir::CpuHeader* from) const override {
    A64State* const state = new A64State;
    if (from) {
      copy(*state, state_of(*from));
    } else {
      // Up to 256 bytes come whole or not at all; std::random_device would ask CPUID first.
      static_assert(sizeof state->pac_keys <= 256);
      if (getrandom(state->pac_keys, sizeof state->pac_keys, 0) != sizeof state->pac_keys)
        throw std::system_error(errno, std::generic_category(), "getrandom");
    }
    return {&state->header, [](ir::CpuHeader* cpu) { delete &state_of(*cpu); }};
  }

  void set_start(ir::CpuHeader& cpu, uint64_t pc, uint64_t sp) const override {
    cpu.pc = pc;
    state_of(cpu).sp = sp;
  }

  SyscallFrame syscall_frame(const ir::CpuHeader& cpu) const override {
    const A64State& s = state_of(cpu);
    return {static_cast<uint32_t>(s.x[8]), {s.x[0], s.x[1], s.x[2], s.x[3], s.x[4], s.x[5]}};
  }
  void set_syscall_result(ir::CpuHeader& cpu, int64_t value) const override {
    state_of(cpu).x[0] = static_cast<uint64_t>(value);
  }
  void rewind_syscall(ir::CpuHeader& cpu, const SyscallFrame& frame) const override {
    state_of(cpu).x[0] = frame.args[0];
    cpu.pc -= syscall_insn_size;
  }

  std::optional<SemihostingCall> semihosting_call(const ir::CpuHeader& cpu, uint64_t insn) const override {
    constexpr uint32_t kHlt = 0xd45e0000;  // hlt #0xf000
    if (insn != kHlt) return std::nullopt;
    return SemihostingCall{state_of(cpu).x[0] & 0xffffffff, state_of(cpu).x[1]};
  }

  uint64_t sp(const ir::CpuHeader& cpu) const override { return state_of(cpu).sp; }
  void set_sp(ir::CpuHeader& cpu, uint64_t sp) const override { state_of(cpu).sp = sp; }
  void set_tls(Thread& child, uint64_t tls) const override { state_of(child.cpu()).tpidr_el0 = tls; }

  void set_guarded(ir::CpuHeader& cpu, bool guarded) const override {
    if (guarded) cpu.mode |= arm::kModeBti;
  }

  const SignalAbi& signals() const override { return aarch64_signals(); }
  int64_t prctl(Thread& t, int option, const std::array<uint64_t, 4>& args) const override {
    return aarch64_prctl(t, option, args);
  }

  std::string dump(const ir::CpuHeader& cpu) const override {
    const A64State& s = state_of(cpu);
    std::string out = fmt::format(" PC={:016x} ", cpu.pc);
    for (unsigned i = 0; i < 31; ++i)
      out += fmt::format("X{:02}={:016x}{}", i, s.x[i], i % 4 == 2 ? '\n' : ' ');
    const uint32_t flags = arm::nzcv(s);
    return out + fmt::format(" SP={:016x}\nPSTATE={:08x} {}{}{}{}\n", s.sp, flags,
                             flags >> 31 & 1 ? 'N' : '-', flags >> 30 & 1 ? 'Z' : '-',
                             flags >> 29 & 1 ? 'C' : '-', flags >> 28 & 1 ? 'V' : '-');
  }

  std::string cpuinfo(unsigned cpus, const CpuChoice& cpu) const override;
  std::span<const uint8_t> vdso() const override { return aarch64_vdso().bytes; }
  uint64_t vdso_sigreturn_offset() const override { return aarch64_vdso_sigreturn(); }

 private:
  static void copy(A64State& to, const A64State& from) {
    to.header.pc = from.header.pc;
    to.header.mode = from.header.mode;
    to.header.fp_flags = from.header.fp_flags;
    std::copy(std::begin(from.x), std::end(from.x), to.x);
    to.sp = from.sp;
    std::copy(&from.v[0][0], &from.v[0][0] + sizeof from.v, &to.v[0][0]);
    to.status = from.status, to.qc = from.qc, to.ssbs = from.ssbs, to.fpcr = from.fpcr;
    to.tpidr_el0 = from.tpidr_el0;
    to.tpidrro_el0 = from.tpidrro_el0;
    to.tpidr2_el0 = from.tpidr2_el0;
    std::copy(&from.pac_keys[0][0], &from.pac_keys[0][0] + 10, &to.pac_keys[0][0]);
    to.pac_enabled = from.pac_enabled;
  }
};

// arch/arm64/kernel/cpuinfo.c: names by bit number.
constexpr const char* kHwcapNames[] = {
    "fp",      "asimd", "evtstrm", "aes",   "pmull",    "sha1",   "sha2", "crc32",
    "atomics", "fphp",  "asimdhp", "cpuid", "asimdrdm", "jscvt",  "fcma", "lrcpc",
    "dcpop",   "sha3",  "sm3",     "sm4",   "asimddp",  "sha512", "sve",  "asimdfhm",
    "dit",     "uscat", "ilrcpc",  "flagm", "ssbs",     "sb",     "paca", "pacg"};
constexpr const char* kHwcap2Names[] = {"dcpodp",   "sve2",     "sveaes",  "svepmull", "svebitperm",
                                        "svesha3",  "svesm4",   "flagm2",  "frint",    "svei8mm",
                                        "svef32mm", "svef64mm", "svebf16", "i8mm",     "bf16",
                                        "dgh",      "rng",      "bti",     "mte"};

std::string Aarch64::cpuinfo(unsigned cpus, const CpuChoice& cpu) const {
  std::string features;
  for (unsigned i = 0; i < std::size(kHwcapNames); ++i)
    if (cpu.hwcap >> i & 1) (features += ' ') += kHwcapNames[i];
  for (unsigned i = 0; i < std::size(kHwcap2Names); ++i)
    if (cpu.hwcap2 >> i & 1) (features += ' ') += kHwcap2Names[i];
  const uint64_t midr = static_cast<const arm::A64Frontend&>(*cpu.frontend).cpu().midr;
  std::string out;
  for (unsigned i = 0; i < cpus; ++i)
    out += fmt::format(
        "processor\t: {}\nBogoMIPS\t: 125.00\nFeatures\t:{}\nCPU implementer\t: {:#04x}\n"
        "CPU architecture: 8\nCPU variant\t: {:#x}\nCPU part\t: {:#05x}\nCPU revision\t: {}\n\n",
        i, features, midr >> 24 & 0xff, midr >> 20 & 0xf, midr >> 4 & 0xfff, midr & 0xf);
  return out;
}

}  // namespace

const Abi& aarch64_abi() {
  static const Aarch64 abi;
  return abi;
}

}  // namespace lyrebird::user
