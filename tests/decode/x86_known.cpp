// SPDX-License-Identifier: Apache-2.0
#include "tests/decode/x86_known.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace lyrebird::x86 {
namespace {

constexpr unsigned kLength = 15;

/// A string taken apart: legacy prefixes and REX, then from the opcode or VEX on.
struct Parts {
  std::array<uint8_t, 32> prefixes{}, rest{};
  unsigned prefix_count = 0, rest_count = 0;

  Parts(const uint8_t* bytes, Mode mode) {
    const auto is_prefix = [mode](uint8_t b) {
      constexpr uint8_t kLegacy[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};
      return std::find(std::begin(kLegacy), std::end(kLegacy), b) != std::end(kLegacy) ||
             (mode == Mode::k64 && (b & 0xf0) == 0x40);
    };
    unsigned i = 0;
    while (i < kLength && is_prefix(bytes[i])) prefixes[prefix_count++] = bytes[i++];
    while (i < kLength) rest[rest_count++] = bytes[i++];
  }
  bool has_vex(Mode mode) const { return (rest[0] & 0xfe) == 0xc4 && (mode == Mode::k64 || rest[1] >= 0xc0); }
  bool has_prefix(uint8_t byte) const {
    return std::find(prefixes.begin(), prefixes.begin() + prefix_count, byte) !=
           prefixes.begin() + prefix_count;
  }
  void remove(uint8_t mask, uint8_t value) {
    unsigned kept = 0;
    for (unsigned i = 0; i < prefix_count; ++i)
      if ((prefixes[i] & mask) != value) prefixes[kept++] = prefixes[i];
    prefix_count = kept;
  }
};

/// One thing about a string that makes it undefined and that another decoder may not look at.
enum Fault : unsigned {
  kLock = 1,    ///< F0
  kRepeat = 2,  ///< F2, F3
  kSize = 4,    ///< 66
  kRexBeforeVex = 8,
  kVexW = 16,     ///< the wrong VEX.W
  kVexL = 32,     ///< the wrong VEX.L
  kVexVvvv = 64,  ///< a VEX.vvvv that names nothing
  kAll = 128
};

/// The length that the string would have without these faults, 0 if it is undefined even so.
unsigned length_without(const Difference& d, unsigned faults) {
  Parts p(d.bytes, d.mode);
  const unsigned before = p.prefix_count;
  if (faults & kLock) p.remove(0xff, 0xf0);
  if (faults & kRepeat) p.remove(0xfe, 0xf2);
  if (faults & kSize) p.remove(0xff, 0x66);
  if (faults & (kVexW | kVexL | kVexVvvv | kRexBeforeVex)) {
    if (!p.has_vex(d.mode)) return 0;
    if (faults & kRexBeforeVex) p.remove(0xf0, 0x40);
    uint8_t& payload = p.rest[0] == 0xc4 ? p.rest[2] : p.rest[1];
    if ((faults & kVexW) && p.rest[0] == 0xc5) return 0;
    if (faults & kVexW) payload ^= 0x80;
    if (faults & kVexL) payload ^= 0x04;
    if (faults & kVexVvvv) payload |= 0x78;
  }
  std::array<uint8_t, 64> bytes{};
  std::copy_n(p.prefixes.begin(), p.prefix_count, bytes.begin());
  std::copy_n(p.rest.begin(), p.rest_count, bytes.begin() + p.prefix_count);
  Insn insn;
  const DecodeStatus status = decode(bytes.data(), kLength, d.mode, Features::all(), insn);
  if (status != DecodeStatus::Ok) return 0;
  return insn.length + (before - p.prefix_count);
}

const char* lenient(const Difference& d) {
  for (unsigned faults = 1; faults < kAll; ++faults)
    if (length_without(d, faults) == d.their_length) {
      if (faults & kLock) return "LOCK is accepted everywhere (SDM 2A, LOCK: #UD)";
      if (faults & (kVexW | kVexL)) return "VEX.W or VEX.L that no form has is ignored (SDM 2A, 2.3)";
      if (faults & kVexVvvv) return "an unused VEX.vvvv is ignored (SDM 2A, 2.3.8: #UD unless 1111)";
      return "a mandatory prefix that no form has is ignored (SDM 2A, 3.1.1.1: NP, NFx)";
    }
  return nullptr;
}

struct Absent {
  std::string_view prefix;  ///< of the mnemonic
  const char* why;
};
constexpr const char* k3dnow = "3DNow! is absent";
constexpr const char* kSse4a = "SSE4a is absent";
constexpr const char* kXop = "XOP, FMA4 and TBM are absent";
constexpr const char* kMask = "AVX-512 and what came after AVX2 are absent";
constexpr const char* kTsx = "TSX is absent";
constexpr const char* kSecure = "SGX, SMX, TDX and SEV-SNP are absent";
constexpr const char* kCet = "shadow stacks are absent";
constexpr const char* kLater =
    "later instructions of Intel's are absent (KL, MOVDIR, WAITPKG, PTWRITE, UINTR, ...)";
constexpr const char* kAmd = "AMD's own instructions are absent (CLZERO, MONITORX, LWP, SKINIT, ...)";
constexpr const char* kVia = "VIA's and Cyrix's own instructions are absent";
constexpr const char* kUd = "UD0, UD1 and UD2 have no row: they are undefined on purpose";
constexpr const char* kBeforeVex = "legacy prefixes and REX before VEX are accepted (SDM 2A, 2.3.2: #UD)";
constexpr const char* kSyscall = "SYSCALL and SYSRET outside of 64-bit mode are AMD's";
constexpr Absent kAbsent[] = {
    {"femms", k3dnow},     {"pf", k3dnow},        {"pi2f", k3dnow},       {"pavgusb", k3dnow},
    {"pmulhrw", k3dnow},   {"pswapd", k3dnow},    {"extrq", kSse4a},      {"insertq", kSse4a},
    {"movntss", kSse4a},   {"movntsd", kSse4a},   {"vpermil2", kXop},     {"vfmaddp", kXop},
    {"vfmadds", kXop},     {"vfmsubp", kXop},     {"vfmsubs", kXop},      {"vfmaddsubp", kXop},
    {"vfmsubaddp", kXop},  {"vfnmaddp", kXop},    {"vfnmadds", kXop},     {"vfnmsubp", kXop},
    {"vfnmsubs", kXop},    {"k", kMask},          {"jk", kMask},          {"vprefetch", kMask},
    {"vpdp", kMask},       {"tdp", kMask},        {"tile", kMask},        {"ldtilecfg", kMask},
    {"sttilecfg", kMask},  {"xbegin", kTsx},      {"xend", kTsx},         {"xabort", kTsx},
    {"xtest", kTsx},       {"encl", kSecure},     {"getsec", kSecure},    {"td", kSecure},
    {"seam", kSecure},     {"psmash", kSecure},   {"pvalidate", kSecure}, {"rmp", kSecure},
    {"incssp", kCet},      {"rstorssp", kCet},    {"setssbsy", kCet},     {"saveprevssp", kCet},
    {"wrss", kCet},        {"wruss", kCet},       {"clrssbsy", kCet},     {"rdssp", kCet},
    {"aesenc", kLater},    {"aesdec", kLater},    {"encodekey", kLater},  {"loadiwkey", kLater},
    {"movdir", kLater},    {"enqcmd", kLater},    {"tpause", kLater},     {"umonitor", kLater},
    {"umwait", kLater},    {"ptwrite", kLater},   {"serialize", kLater},  {"xsusldtrk", kLater},
    {"xresldtrk", kLater}, {"pconfig", kLater},   {"clui", kLater},       {"stui", kLater},
    {"uiret", kLater},     {"testui", kLater},    {"senduipi", kLater},   {"hreset", kLater},
    {"rdpkru", kLater},    {"wrpkru", kLater},    {"pcommit", kLater},    {"bnd", kLater},
    {"skinit", kAmd},      {"clzero", kAmd},      {"monitorx", kAmd},     {"mwaitx", kAmd},
    {"mcommit", kAmd},     {"rdpru", kAmd},       {"invlpgb", kAmd},      {"tlbsync", kAmd},
    {"lwp", kAmd},         {"llwpcb", kAmd},      {"slwpcb", kAmd},       {"xstore", kVia},
    {"xcrypt", kVia},      {"xsha", kVia},        {"montmul", kVia},      {"cpu_", kVia},
    {"ud", kUd},           {"syscall", kSyscall}, {"sysret", kSyscall},
};

/// They know an instruction that no processor model of ours has.
const char* absent(const Difference& d) {
  if (d.status == DecodeStatus::Avx512) return "AVX-512 is absent";
  if (d.status != DecodeStatus::NoSuchOpcode) return nullptr;
  const Parts parts(d.bytes, d.mode);
  if (parts.rest[0] == 0x62 && d.mode == Mode::k64) return "MVEX of Knights Corner is absent";
  if (parts.rest[0] == 0x8f) return kXop;
  if (parts.has_vex(d.mode) && (d.their_name.ends_with("cnt") || d.their_name.ends_with("cnti")))
    return "Knights Corner's TZCNT, LZCNT and POPCNT with VEX are absent";
  std::string_view name = d.their_name;
  if (name.starts_with("lock ")) name.remove_prefix(5);
  for (const Absent& a : kAbsent)
    if (name.starts_with(a.prefix)) return a.why;
  return nullptr;
}

/// Capstone 4.0.2 takes less than there is.
const char* capstone_lacks(const Difference& d) {
  const Row& r = row(d.insn.row);
  const Parts parts(d.bytes, d.mode);
  const bool repeat = parts.has_prefix(0xf2) || parts.has_prefix(0xf3);
  switch (r.feature) {
    case Feature::VAES:
    case Feature::VPCLMUL:
    case Feature::GFNI:
    case Feature::RDPID:
    case Feature::WBNOINVD:
      return "newer than Capstone 4: VAES, VPCLMULQDQ, GFNI, RDPID, WBNOINVD";
    default:
      break;
  }
  if (d.name == "NOP" || d.name.starts_with("ENDBR") || d.name.starts_with("PREFETCH"))
    return "Capstone lacks the NOP space and the register forms of prefetches (SDM 2B, NOP; CET)";
  if (d.name.ends_with("FENCE")) return "Capstone wants ModRM.rm of fences to be 0, processors ignore it";
  if (d.mode == Mode::k16 && !is_vex(r.map) && !(r.match & 1))
    return "Capstone lacks SSE with a mandatory prefix in 16-bit mode";
  if (parts.has_prefix(0x66) && repeat) return "Capstone drops 66 where F2 or F3 is too";
  if (d.name == "VBROADCASTI128") return "Capstone 4 lacks VBROADCASTI128";
  if (!is_vex(r.map) && !(r.match & 1) && parts.prefix_count > 1)
    return "Capstone wants the mandatory prefix to be the last (SDM 2A, 2.1.1: any order)";
  if (d.name == "MOV" && (d.insn.opcode == 0x8c || d.insn.opcode == 0x8e) && d.insn.has(kPrefixRex))
    return "Capstone looks at REX.R for segment registers (SDM 2A, 2.2.1.2: ignored)";
  return nullptr;
}

/// Strings that Capstone 4.0.2 takes for others, whatever their opcode.
const char* capstone_misreads(const Parts& parts) {
  const uint8_t last = parts.prefix_count ? parts.prefixes[parts.prefix_count - 1] : 0;
  if (parts.has_prefix(0x67) && (last & 0xf8) == 0x48) return "Capstone takes 67 with REX.W for 66";
  if (parts.has_prefix(0x66) && (parts.has_prefix(0xf2) || parts.has_prefix(0xf3)))
    return "Capstone drops 66 where F2 or F3 is too";
  return nullptr;
}

const char* capstone(const Difference& d) {
  if (d.status == DecodeStatus::Ok && d.their_length == 0) return capstone_lacks(d);
  const Parts parts(d.bytes, d.mode);
  if (d.status == DecodeStatus::Ok) {
    const Row& r = row(d.insn.row);
    if (d.mode == Mode::k64 && parts.has_prefix(0x66) && r.has(RowFlag::F64))
      return "66 on near branches in 64-bit mode: Capstone follows AMD, SDM 2D table A-1 f64 ignores it";
    return capstone_misreads(parts);
  }
  const bool lock_too =
      d.status == DecodeStatus::LockIllegal && (parts.rest[0] == 0x0f || (parts.rest[0] | 2) == 0x8e);
  if ((d.status == DecodeStatus::BadRegister || lock_too) && d.their_name == "mov")
    return "Capstone accepts control, debug and segment registers that there are not (SDM 2B, MOV: #UD)";
  if (d.status == DecodeStatus::BadRegister || d.status == DecodeStatus::BadAddress)
    return d.their_name.starts_with("vgather") || d.their_name.starts_with("vpgather")
               ? "Capstone does not check a gather's registers and SIB (SDM 2A, 2.3.12: #UD)"
               : nullptr;
  if (d.status == DecodeStatus::VexPrefix) return kBeforeVex;
  if (d.mode != Mode::k64 && d.their_name == "swapgs")
    return "SWAPGS is in 64-bit mode only (SDM 2B, SWAPGS)";
  const char* const why = lenient(d);
  return why ? why : capstone_misreads(parts);
}

}  // namespace

const char* explanation(const Difference& d, bool zydis) {
  if (const char* why = absent(d)) return why;
  return zydis ? nullptr : capstone(d);
}

}  // namespace lyrebird::x86
