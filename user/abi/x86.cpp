// SPDX-License-Identifier: Apache-2.0
#include "user/abi/x86.h"

#include <fmt/format.h>
#include <sys/prctl.h>

#include <cerrno>

#include "frontend/x86/x86_frontend.h"
#include "frontend/x86/x86_mode.h"
#include "user/syscalls/args.h"

namespace lyrebird::user {

using x86::X86State;

X86Abi::X86Abi(x86::Mode mode) : mode_(mode) {
  coherent_code = true;
  syscall_insn_size = 2;  // SYSCALL and INT 0x80
  default_cpu = x86::kDefaultCpuModel.data();
}

Result<CpuChoice> X86Abi::create_cpu(const std::string& model_name) const {
  const x86::CpuModel* const model = x86::find_cpu_model(model_name);
  if (!model) {
    std::string names;
    for (const x86::CpuModel& known : x86::cpu_models()) (names += ' ') += known.name;
    return Error{fmt::format("-cpu {}: no such processor; there are:{}", model_name, names)};
  }
  CpuChoice choice;
  choice.frontend = std::make_unique<x86::X86Frontend>(*model);
  xcr0_ = x86::xcr0_of(*model);
  choice.hwcap = x86::hwcap(*model);
  choice.hwcap2 = x86::hwcap2(*model);
  choice.platform = machine;
  return choice;
}

std::vector<std::string> X86Abi::cpu_names() const {
  std::vector<std::string> names;
  for (const x86::CpuModel& known : x86::cpu_models())
    names.push_back(fmt::format("{:<16}{}", known.name, known.text));
  return names;
}

void X86Abi::set_start(ir::CpuHeader& cpu, uint64_t pc, uint64_t sp) const {
  cpu.pc = pc;
  x86_state(cpu).gpr[x86::kRsp] = sp;
}

void X86Abi::set_syscall_result(ir::CpuHeader& cpu, int64_t value) const {
  x86_state(cpu).gpr[x86::kRax] = word_of(static_cast<uint64_t>(value));
}

void X86Abi::rewind_syscall(ir::CpuHeader& cpu, const SyscallFrame& frame) const {
  x86_state(cpu).gpr[x86::kRax] = word_of(frame.number);
  cpu.pc -= syscall_insn_size;
}

int64_t X86Abi::prctl(Thread& t, int option, const std::array<uint64_t, 4>& args) const {
  switch (option) {
    case PR_GET_TSC:
      return put_u32(t, untag(t, args[0]), PR_TSC_ENABLE) ? 0 : -EFAULT;
    case PR_SET_TSC:
      return args[0] == PR_TSC_ENABLE ? 0 : -EINVAL;
    default:
      return -EINVAL;
  }
}

// As the peer prints them.
std::string X86Abi::dump(const ir::CpuHeader& cpu) const {
  const X86State& s = x86_state(cpu);
  const uint32_t flags = x86::eflags(s);
  static constexpr struct {
    unsigned bit;
    char letter;
  } kLetters[] = {{10, 'D'}, {11, 'O'}, {7, 'S'}, {6, 'Z'}, {4, 'A'}, {2, 'P'}, {0, 'C'}};
  std::string letters;
  for (const auto& [bit, letter] : kLetters) letters += flags >> bit & 1 ? letter : '-';
  std::string out;
  static constexpr unsigned kOrder[] = {x86::kRax, x86::kRbx, x86::kRcx, x86::kRdx,
                                        x86::kRsi, x86::kRdi, x86::kRbp, x86::kRsp};
  static constexpr const char* kNames[] = {"AX", "BX", "CX", "DX", "SI", "DI", "BP", "SP"};
  const bool wide = model.word == 8;
  for (unsigned i = 0; i < 8; ++i)
    out += wide ? fmt::format("R{}={:016x}{}", kNames[i], s.gpr[kOrder[i]], i % 4 == 3 ? '\n' : ' ')
                : fmt::format("E{}={:08x}{}", kNames[i], s.gpr[kOrder[i]], i % 4 == 3 ? '\n' : ' ');
  for (unsigned i = 8; wide && i < 16; ++i)
    out += fmt::format("R{:<2}={:016x}{}", i, s.gpr[i], i % 4 == 3 ? '\n' : ' ');
  out += wide ? fmt::format("RIP={:016x} RFL={:08x} [{}] CPL=3\n", cpu.pc, flags, letters)
              : fmt::format("EIP={:08x} EFL={:08x} [{}] CPL=3\n", cpu.pc, flags, letters);
  static constexpr const char* kSegments[] = {"ES", "CS", "SS", "DS", "FS", "GS"};
  const x86::SegmentState* const segments[] = {&s.es, &s.cs, &s.ss, &s.ds, &s.fs, &s.gs};
  for (unsigned i = 0; i < 6; ++i)
    out += fmt::format("{} ={:04x} {:0{}x} {:08x} {:08x}\n", kSegments[i], segments[i]->selector,
                       segments[i]->base, wide ? 16 : 8, segments[i]->limit, segments[i]->attributes);
  return out;
}

namespace {

// arch/x86/include/asm/cpufeatures.h: names of the bits of CPUID's words.
constexpr const char* kLeaf1Edx[32] = {"fpu",  "vme",   "de",    "pse",     "tsc",   "msr", "pae",  "mce",
                                       "cx8",  "apic",  nullptr, "sep",     "mtrr",  "pge", "mca",  "cmov",
                                       "pat",  "pse36", "pn",    "clflush", nullptr, "dts", "acpi", "mmx",
                                       "fxsr", "sse",   "sse2",  "ss",      "ht",    "tm",  "ia64", "pbe"};
constexpr const char* kLeaf1Ecx[32] = {"pni",    "pclmulqdq", "dtes64", "monitor", "ds_cpl",
                                       "vmx",    "smx",       "est",    "tm2",     "ssse3",
                                       "cid",    "sdbg",      "fma",    "cx16",    "xtpr",
                                       "pdcm",   nullptr,     "pcid",   "dca",     "sse4_1",
                                       "sse4_2", "x2apic",    "movbe",  "popcnt",  "tsc_deadline_timer",
                                       "aes",    "xsave",     nullptr,  "avx",     "f16c",
                                       "rdrand", "hypervisor"};
constexpr const char* kLeaf7Ebx[32] = {
    "fsgsbase", "tsc_adjust", "sgx",     "bmi1",  "hle",      "avx2",       nullptr, "smep",
    "bmi2",     "erms",       "invpcid", "rtm",   "cqm",      nullptr,      "mpx",   "rdt_a",
    "avx512f",  "avx512dq",   "rdseed",  "adx",   "smap",     "avx512ifma", nullptr, "clflushopt",
    "clwb",     "intel_pt",   nullptr,   nullptr, "avx512cd", "sha_ni",     nullptr, nullptr};
constexpr const char* kLeaf7Ecx[32] = {nullptr, nullptr, "umip",  "pku",   "ospke",      "waitpkg",
                                       nullptr, nullptr, "gfni",  "vaes",  "vpclmulqdq", nullptr,
                                       nullptr, nullptr, nullptr, nullptr, nullptr,      nullptr,
                                       nullptr, nullptr, nullptr, nullptr, "rdpid"};
constexpr const char* kExtendedEdx[32] = {
    nullptr, nullptr,   nullptr,  nullptr, nullptr, nullptr,    nullptr,   nullptr,  nullptr, nullptr,
    nullptr, "syscall", nullptr,  nullptr, nullptr, nullptr,    nullptr,   nullptr,  nullptr, "mp",
    "nx",    nullptr,   "mmxext", nullptr, nullptr, "fxsr_opt", "pdpe1gb", "rdtscp", nullptr, "lm"};
constexpr const char* kExtendedEcx[32] = {
    "lahf_lm", "cmp_legacy", "svm", "extapic", "cr8_legacy", "abm", "sse4a", "misalignsse", "3dnowprefetch"};

void add_names(std::string& out, uint32_t bits, const char* const (&names)[32]) {
  for (unsigned i = 0; i < 32; ++i)
    if (bits >> i & 1 && names[i]) (out += ' ') += names[i];
}

}  // namespace

std::string X86Abi::cpuinfo(unsigned cpus, const CpuChoice& choice) const {
  const x86::CpuModel& cpu = static_cast<const x86::X86Frontend&>(*choice.frontend).cpu();
  const uint64_t xcr0 = x86::xcr0_of(cpu);
  const auto leaf1 = x86::cpuid(cpu, 1, 0, xcr0), leaf7 = x86::cpuid(cpu, 7, 0, xcr0),
             extended = x86::cpuid(cpu, 0x80000001, 0, xcr0);
  std::string flags;
  add_names(flags, leaf1.edx, kLeaf1Edx);
  add_names(flags, extended.edx, kExtendedEdx);
  add_names(flags, leaf1.ecx, kLeaf1Ecx);
  add_names(flags, extended.ecx, kExtendedEcx);
  add_names(flags, leaf7.ebx, kLeaf7Ebx);
  add_names(flags, leaf7.ecx, kLeaf7Ecx);
  const unsigned family = (cpu.signature >> 8 & 15) + (cpu.signature >> 20 & 255);
  const unsigned model_number = (cpu.signature >> 4 & 15) | (cpu.signature >> 12 & 0xf0);
  std::string out;
  for (unsigned i = 0; i < cpus; ++i)
    out += fmt::format(
        "processor\t: {}\nvendor_id\t: {}\ncpu family\t: {}\nmodel\t\t: {}\nmodel name\t: {}\n"
        "stepping\t: {}\ncpu MHz\t\t: 1000.000\ncache size\t: 8192 KB\nphysical id\t: 0\nsiblings\t: {}\n"
        "core id\t\t: {}\ncpu cores\t: {}\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {}\n"
        "wp\t\t: yes\nflags\t\t:{}\nbogomips\t: 2000.00\nclflush size\t: 64\ncache_alignment\t: 64\n"
        "address sizes\t: 40 bits physical, 48 bits virtual\npower management:\n\n",
        i, cpu.vendor, family, model_number, cpu.brand, cpu.signature & 15, cpus, i, cpus,
        x86::cpuid(cpu, 0, 0, xcr0).eax, flags);
  return out;
}

}  // namespace lyrebird::user
