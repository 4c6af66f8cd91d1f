// SPDX-License-Identifier: Apache-2.0
#include "accel/direct/x86_kinds.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "frontend/x86/decode/row.h"

namespace lyrebird::accel::direct {
namespace {

using std::string_view;

template <size_t N>
constexpr bool is_one_of(string_view name, const string_view (&names)[N]) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

/// Privileged rows, and those of ports, need not be named.
constexpr string_view kRefused[] = {
    // Their result is the model's or the process's and not the host's.
    "CPUID", "XGETBV", "RDTSCP", "RDPID", "RDRAND", "RDSEED", "RDPMC", "RDFSBASE", "RDGSBASE", "WRFSBASE",
    "WRGSBASE", "LAR", "LSL", "VERR", "VERW", "SGDT", "SIDT", "SLDT", "STR", "SMSW",
    // They see or change more of EFLAGS than programs' code has in the host's.
    "PUSHF", "POPF", "IRET", "CLI", "STI", "CLAC", "STAC",
    // They see where the host's last x87 instruction was, or which parts of its state are in use.
    "FNSTENV", "FNSAVE", "FLDENV", "FRSTOR", "FXSAVE", "FXRSTOR", "XSAVE", "XSAVEC", "XSAVEOPT", "XSAVES",
    "XRSTOR", "XRSTORS",
    // Segments.
    "LES", "LDS", "LSS", "LFS", "LGS", "CALLF", "JMPF", "RETF", "ARPL",
    // Stops.
    "INT", "INT1", "INT3", "INTO", "SYSENTER", "SYSEXIT", "SYSRET", "HLT", "BOUND", "MONITOR", "MWAIT",
    "VMCALL", "VMMCALL", "VMFUNC", "VMREAD", "VMWRITE", "VMLAUNCH", "VMRESUME", "VMXOFF", "VMXON", "VMCLEAR",
    "VMPTRLD", "VMPTRST", "VMRUN", "VMLOAD", "VMSAVE", "STGI", "CLGI", "INVLPGA", "INVEPT", "INVVPID", "RSM",
    // Not in 64-bit mode, and rare.
    "DAA", "DAS", "AAA", "AAS", "AAM", "AAD", "SALC", "PUSHA", "POPA"};

constexpr Kind kind_of_name(string_view name, string_view operands, string_view flags) {
  if (is_one_of(name, kRefused) || flags.find("Cpl0") != string_view::npos ||
      flags.find("Iopl") != string_view::npos)
    return Kind::Refuse;
  // Segment, control and debug registers.
  if (name == "MOV" && (operands.find("Sw") != string_view::npos || operands.find("C") == 0 ||
                        operands.find(",C") != string_view::npos || operands.find("D") == 0 ||
                        operands.find(",D") != string_view::npos))
    return Kind::Refuse;
  if ((name == "PUSH" || name == "POP") && operands.size() == 2 && operands[1] == 'S') return Kind::Refuse;
  if (name[0] == 'F' || name == "EMMS") return Kind::X87;
  if (name == "JMP") return Kind::Jump;
  if (name == "Jcc") return Kind::Branch;
  if (name == "LOOP" || name == "LOOPE" || name == "LOOPNE" || name == "JCXZ") return Kind::Loop;
  if (name == "CALL") return Kind::Call;
  if (name == "RET") return Kind::Return;
  if (name == "SYSCALL") return Kind::Syscall;
  if (name == "LEA") return Kind::Lea;
  if (name == "PUSH") return Kind::Push;
  if (name == "POP") return Kind::Pop;
  if (name == "LEAVE" || name == "ENTER") return Kind::Leave;
  if (name == "INC" || name == "DEC") return Kind::Step;
  if (name == "BSF" || name == "BSR") return Kind::BitScan;
  return Kind::Copy;
}

constexpr FlagUse use_of_name(string_view name) {
  constexpr string_view kDefine[] = {"ADD", "SUB", "CMP", "AND", "OR", "XOR", "TEST", "NEG"};
  constexpr string_view kLeave[] = {"MOV",     "LEA",     "MOVZX", "MOVSX", "MOVSXD", "NOP",
                                    "ENDBR64", "ENDBR32", "NOT",   "BSWAP", "CBW",    "CWD"};
  if (is_one_of(name, kDefine)) return FlagUse::Defines;
  return is_one_of(name, kLeave) ? FlagUse::None : FlagUse::Other;
}

constexpr Kind kKinds[] = {
#define INSN(name, encoding, operands, feature, flags) kind_of_name(#name, operands, #flags),
#include "frontend/x86/decode/maps.inc"
#undef INSN
};
constexpr FlagUse kFlagUses[] = {
#define INSN(name, encoding, operands, feature, flags) use_of_name(#name),
#include "frontend/x86/decode/maps.inc"
#undef INSN
};

}  // namespace

Kind kind_of(uint16_t row) { return kKinds[row]; }
FlagUse flag_use(uint16_t row) { return kFlagUses[row]; }

}  // namespace lyrebird::accel::direct
