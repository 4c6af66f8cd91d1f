// SPDX-License-Identifier: Apache-2.0
/// org.gnu.gdb.i386.core (general registers, flags, segments, x87), .sse, .linux, .segments (64-bit
/// only) and .avx, in the order that gdb numbers them.
#include "monitor/gdb/x86_registers.h"

#include <fmt/format.h>

#include <cstring>
#include <vector>

#include "frontend/x86/x86_state.h"

namespace lyrebird::gdb {
namespace {

using x86::X86State;

enum class Kind { Gpr, Pc, Flags, Selector, X87, X87Control, Xmm, Mxcsr, Original, Base, Ymm };

/// One register: its name, its type and size for gdb, where it is.
struct Row {
  std::string name;
  const char* type;
  const char* feature;
  unsigned bits;
  Kind kind;
  unsigned index;
};

const X86State& state_of(const ir::CpuHeader& cpu) { return reinterpret_cast<const X86State&>(cpu); }
X86State& state_of(ir::CpuHeader& cpu) { return reinterpret_cast<X86State&>(cpu); }

const x86::SegmentState& selector_of(const X86State& s, unsigned index) {
  const x86::SegmentState* const kOrder[] = {&s.cs, &s.ss, &s.ds, &s.es, &s.fs, &s.gs};
  return *kOrder[index];
}

unsigned top_of(const X86State& s) { return x86::x87_status(s) >> 11 & 7; }

uint32_t x87_control(const X86State& s, unsigned index) {
  switch (index) {
    case 0:
      return s.x87_control;
    case 1:
      return x86::x87_status(s);
    case 2:
      return x86::x87_tags(s);
    case 3:
      return s.x87_cs;
    case 4:
      return static_cast<uint32_t>(s.x87_ip);
    case 5:
      return s.x87_ds;
    case 6:
      return static_cast<uint32_t>(s.x87_dp);
    default:
      return s.x87_opcode;
  }
}

void set_x87_control_of(X86State& s, unsigned index, uint32_t value) {
  const uint16_t half = static_cast<uint16_t>(value);
  switch (index) {
    case 0:
      return x86::set_x87_control(s, half);
    case 1:
      return x86::set_x87_status(s, half);
    case 2:
      return x86::set_x87_tags(s, half);
    case 3:
      s.x87_cs = half;
      return;
    case 4:
      s.x87_ip = value;
      return;
    case 5:
      s.x87_ds = half;
      return;
    case 6:
      s.x87_dp = value;
      return;
    default:
      s.x87_opcode = half & 0x7ff;
      return;
  }
}

constexpr const char *kCore = "org.gnu.gdb.i386.core", *kSse = "org.gnu.gdb.i386.sse",
                     *kLinux = "org.gnu.gdb.i386.linux", *kSegments = "org.gnu.gdb.i386.segments",
                     *kAvx = "org.gnu.gdb.i386.avx";

std::vector<Row> make_rows(bool wide) {
  std::vector<Row> rows;
  const unsigned word = wide ? 64 : 32;
  const char* const number = wide ? "int64" : "int32";
  using namespace x86;
  static constexpr struct {
    const char* name;
    unsigned gpr;
  } kWide[] = {{"rax", kRax}, {"rbx", kRbx}, {"rcx", kRcx}, {"rdx", kRdx},
               {"rsi", kRsi}, {"rdi", kRdi}, {"rbp", kRbp}, {"rsp", kRsp}},
    kNarrow[] = {{"eax", kRax}, {"ecx", kRcx}, {"edx", kRdx}, {"ebx", kRbx},
                 {"esp", kRsp}, {"ebp", kRbp}, {"esi", kRsi}, {"edi", kRdi}};
  for (unsigned i = 0; i < 8; ++i) {
    const auto& [name, gpr] = wide ? kWide[i] : kNarrow[i];
    rows.push_back({name, gpr == kRsp || gpr == kRbp ? "data_ptr" : number, kCore, word, Kind::Gpr, gpr});
  }
  for (unsigned i = 8; wide && i < 16; ++i)
    rows.push_back({fmt::format("r{}", i), number, kCore, word, Kind::Gpr, i});
  rows.push_back({wide ? "rip" : "eip", "code_ptr", kCore, word, Kind::Pc, 0});
  rows.push_back({"eflags", "i386_eflags", kCore, 32, Kind::Flags, 0});
  static constexpr const char* kSelectors[] = {"cs", "ss", "ds", "es", "fs", "gs"};
  for (unsigned i = 0; i < 6; ++i) rows.push_back({kSelectors[i], "int32", kCore, 32, Kind::Selector, i});
  for (unsigned i = 0; i < 8; ++i)
    rows.push_back({fmt::format("st{}", i), "i387_ext", kCore, 80, Kind::X87, i});
  static constexpr const char* kX87[] = {"fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop"};
  for (unsigned i = 0; i < 8; ++i) rows.push_back({kX87[i], "int", kCore, 32, Kind::X87Control, i});
  const unsigned vectors = wide ? 16 : 8;
  for (unsigned i = 0; i < vectors; ++i)
    rows.push_back({fmt::format("xmm{}", i), "vec128", kSse, 128, Kind::Xmm, i});
  rows.push_back({"mxcsr", "i386_mxcsr", kSse, 32, Kind::Mxcsr, 0});
  rows.push_back({wide ? "orig_rax" : "orig_eax", number, kLinux, word, Kind::Original, 0});
  if (wide) {
    rows.push_back({"fs_base", "int", kSegments, 64, Kind::Base, 4});
    rows.push_back({"gs_base", "int", kSegments, 64, Kind::Base, 5});
  }
  for (unsigned i = 0; i < vectors; ++i)
    rows.push_back({fmt::format("ymm{}h", i), "uint128", kAvx, 128, Kind::Ymm, i});
  return rows;
}

/// gdb's own types of these names, as its features/i386 has them.
constexpr const char* kCoreTypes =
    "<flags id=\"i386_eflags\" size=\"4\"><field name=\"CF\" start=\"0\" end=\"0\"/>"
    "<field name=\"\" start=\"1\" end=\"1\"/><field name=\"PF\" start=\"2\" end=\"2\"/>"
    "<field name=\"AF\" start=\"4\" end=\"4\"/><field name=\"ZF\" start=\"6\" end=\"6\"/>"
    "<field name=\"SF\" start=\"7\" end=\"7\"/><field name=\"TF\" start=\"8\" end=\"8\"/>"
    "<field name=\"IF\" start=\"9\" end=\"9\"/><field name=\"DF\" start=\"10\" end=\"10\"/>"
    "<field name=\"OF\" start=\"11\" end=\"11\"/><field name=\"NT\" start=\"14\" end=\"14\"/>"
    "<field name=\"RF\" start=\"16\" end=\"16\"/><field name=\"VM\" start=\"17\" end=\"17\"/>"
    "<field name=\"AC\" start=\"18\" end=\"18\"/><field name=\"VIF\" start=\"19\" end=\"19\"/>"
    "<field name=\"VIP\" start=\"20\" end=\"20\"/><field name=\"ID\" start=\"21\" end=\"21\"/></flags>";
constexpr const char* kSseTypes =
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" "
    "count=\"2\"/><vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" type=\"int16\" "
    "count=\"8\"/><vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector id=\"v2i64\" type=\"int64\" "
    "count=\"2\"/><union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" "
    "type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
    "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
    "<field name=\"uint128\" type=\"uint128\"/></union>"
    "<flags id=\"i386_mxcsr\" size=\"4\"><field name=\"IE\" start=\"0\" end=\"0\"/>"
    "<field name=\"DE\" start=\"1\" end=\"1\"/><field name=\"ZE\" start=\"2\" end=\"2\"/>"
    "<field name=\"OE\" start=\"3\" end=\"3\"/><field name=\"UE\" start=\"4\" end=\"4\"/>"
    "<field name=\"PE\" start=\"5\" end=\"5\"/><field name=\"DAZ\" start=\"6\" end=\"6\"/>"
    "<field name=\"IM\" start=\"7\" end=\"7\"/><field name=\"DM\" start=\"8\" end=\"8\"/>"
    "<field name=\"ZM\" start=\"9\" end=\"9\"/><field name=\"OM\" start=\"10\" end=\"10\"/>"
    "<field name=\"UM\" start=\"11\" end=\"11\"/><field name=\"PM\" start=\"12\" end=\"12\"/>"
    "<field name=\"FZ\" start=\"15\" end=\"15\"/></flags>";

std::string cut(const void* from, size_t size) { return {static_cast<const char*>(from), size}; }
std::string number(uint64_t value, unsigned bits) { return cut(&value, bits / 8); }

class X86Registers final : public Registers {
 public:
  explicit X86Registers(bool wide) : wide_(wide), rows_(make_rows(wide)) {
    in_g = static_cast<unsigned>(rows_.size());
    pc = wide ? 16 : 8, sp = wide ? 7 : 4, fp = wide ? 6 : 5;
  }

  std::string target_xml() const override {
    std::string xml = fmt::format(
        "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target version=\"1.0\">"
        "<architecture>{}</architecture><osabi>GNU/Linux</osabi>",
        wide_ ? "i386:x86-64" : "i386");
    const char* feature = nullptr;
    for (const Row& row : rows_) {
      if (row.feature != feature) {
        if (feature) xml += "</feature>";
        feature = row.feature;
        xml += fmt::format("<feature name=\"{}\">", feature);
        if (feature == kCore) xml += kCoreTypes;
        if (feature == kSse) xml += kSseTypes;
      }
      xml += fmt::format("<reg name=\"{}\" bitsize=\"{}\" type=\"{}\"/>", row.name, row.bits, row.type);
    }
    return xml + "</feature></target>";
  }

  std::string read(const ir::CpuHeader& cpu, unsigned index) const override {
    if (index >= rows_.size()) return {};
    const Row& row = rows_[index];
    const X86State& s = state_of(cpu);
    switch (row.kind) {
      case Kind::Gpr:
        return number(s.gpr[row.index], row.bits);
      case Kind::Pc:
        return number(s.header.pc, row.bits);
      case Kind::Flags:
        return number(x86::eflags(s), 32);
      case Kind::Selector:
        return number(selector_of(s, row.index).selector, 32);
      case Kind::X87:
        return cut(s.x87[(top_of(s) + row.index) & 7], 10);
      case Kind::X87Control:
        return number(x87_control(s, row.index), 32);
      case Kind::Xmm:
        return cut(s.ymm[row.index], 16);
      case Kind::Mxcsr:
        return number(x86::mxcsr(s), 32);
      case Kind::Original:
        return number(~uint64_t{0}, row.bits);  // in no system call
      case Kind::Base:
        return number(selector_of(s, row.index).base, 64);
      case Kind::Ymm:
        return cut(s.ymm[row.index] + 16, 16);
    }
    return {};
  }

  bool write(ir::CpuHeader& cpu, unsigned index, std::string_view bytes) const override {
    if (index >= rows_.size() || bytes.size() != rows_[index].bits / 8) return false;
    const Row& row = rows_[index];
    X86State& s = state_of(cpu);
    uint64_t value = 0;
    if (bytes.size() <= sizeof value) std::memcpy(&value, bytes.data(), bytes.size());
    switch (row.kind) {
      case Kind::Gpr:
        s.gpr[row.index] = value;
        return true;
      case Kind::Pc:
        s.header.pc = value;
        return true;
      case Kind::Flags: {
        constexpr uint32_t kOfPrograms = 0x244dd5;  // without IF, IOPL, VM
        x86::set_eflags(s, (x86::eflags(s) & ~kOfPrograms) | (static_cast<uint32_t>(value) & kOfPrograms));
        return true;
      }
      case Kind::X87:
        std::memcpy(s.x87[(top_of(s) + row.index) & 7], bytes.data(), 10);
        return true;
      case Kind::X87Control:
        set_x87_control_of(s, row.index, static_cast<uint32_t>(value));
        return true;
      case Kind::Xmm:
        std::memcpy(s.ymm[row.index], bytes.data(), 16);
        return true;
      case Kind::Mxcsr:
        x86::set_mxcsr(s, static_cast<uint32_t>(value));
        return true;
      case Kind::Base:
        const_cast<x86::SegmentState&>(selector_of(s, row.index)).base = value;
        return true;
      case Kind::Ymm:
        std::memcpy(s.ymm[row.index] + 16, bytes.data(), 16);
        return true;
      case Kind::Original:
        return true;  // gdb writes it to say that no call shall be restarted
      case Kind::Selector:
        return value == selector_of(s, row.index).selector;
    }
    return false;
  }

 private:
  const bool wide_;
  const std::vector<Row> rows_;
};

}  // namespace

const Registers& x86_64_registers() {
  static const X86Registers registers(true);
  return registers;
}
const Registers& i386_registers() {
  static const X86Registers registers(false);
  return registers;
}

}  // namespace lyrebird::gdb
