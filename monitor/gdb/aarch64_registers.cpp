// SPDX-License-Identifier: Apache-2.0
/// org.gnu.gdb.aarch64.core: x0..x30, sp, pc, cpsr; .fpu: v0..v31, fpsr, fpcr; .tls: tpidr.
#include <fmt/format.h>

#include <cstring>

#include "frontend/arm/a64_state.h"
#include "monitor/gdb/registers.h"
#include "monitor/gdb/x86_registers.h"

namespace lyrebird::gdb {

namespace {

using arm::A64State;

enum : unsigned {
  kSp = 31,
  kPc = 32,
  kCpsr = 33,
  kV0 = 34,
  kFpsr = 66,
  kFpcr = 67,
  kTpidr = 68,
  kCount = 69
};

const A64State& state_of(const ir::CpuHeader& cpu) { return reinterpret_cast<const A64State&>(cpu); }
A64State& state_of(ir::CpuHeader& cpu) { return reinterpret_cast<A64State&>(cpu); }

template <typename T>
std::string bytes_of(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

template <typename T>
bool take(std::string_view bytes, T& value) {
  if (bytes.size() != sizeof value) return false;
  std::memcpy(&value, bytes.data(), sizeof value);
  return true;
}

class Aarch64Registers final : public Registers {
 public:
  Aarch64Registers() {
    count = kCount;
    pc = kPc, sp = kSp, fp = 29;
  }

  std::string target_xml() const override {
    std::string xml =
        "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target version=\"1.0\">"
        "<architecture>aarch64</architecture><osabi>GNU/Linux</osabi>"
        "<feature name=\"org.gnu.gdb.aarch64.core\">";
    for (unsigned i = 0; i < 31; i++) xml += fmt::format("<reg name=\"x{}\" bitsize=\"64\"/>", i);
    xml +=
        "<reg name=\"sp\" bitsize=\"64\" type=\"data_ptr\"/><reg name=\"pc\" bitsize=\"64\" "
        "type=\"code_ptr\"/>"
        "<flags id=\"cpsr_flags\" size=\"4\"><field name=\"BTYPE\" start=\"10\" end=\"11\"/>"
        "<field name=\"V\" start=\"28\" end=\"28\"/><field name=\"C\" start=\"29\" end=\"29\"/>"
        "<field name=\"Z\" start=\"30\" end=\"30\"/><field name=\"N\" start=\"31\" end=\"31\"/></flags>"
        "<reg name=\"cpsr\" bitsize=\"32\" type=\"cpsr_flags\"/></feature>"
        "<feature name=\"org.gnu.gdb.aarch64.fpu\">"
        "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/><vector id=\"v2u\" type=\"uint64\" "
        "count=\"2\"/>"
        "<vector id=\"v2i\" type=\"int64\" count=\"2\"/><vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
        "<vector id=\"v4u\" type=\"uint32\" count=\"4\"/><vector id=\"v4i\" type=\"int32\" count=\"4\"/>"
        "<vector id=\"v8f\" type=\"ieee_half\" count=\"8\"/><vector id=\"v8u\" type=\"uint16\" count=\"8\"/>"
        "<vector id=\"v8i\" type=\"int16\" count=\"8\"/><vector id=\"v16u\" type=\"uint8\" count=\"16\"/>"
        "<vector id=\"v16i\" type=\"int8\" count=\"16\"/><vector id=\"v1u\" type=\"uint128\" count=\"1\"/>"
        "<vector id=\"v1i\" type=\"int128\" count=\"1\"/>"
        "<union id=\"vnd\"><field name=\"f\" type=\"v2d\"/><field name=\"u\" type=\"v2u\"/>"
        "<field name=\"s\" type=\"v2i\"/></union>"
        "<union id=\"vns\"><field name=\"f\" type=\"v4f\"/><field name=\"u\" type=\"v4u\"/>"
        "<field name=\"s\" type=\"v4i\"/></union>"
        "<union id=\"vnh\"><field name=\"f\" type=\"v8f\"/><field name=\"u\" type=\"v8u\"/>"
        "<field name=\"s\" type=\"v8i\"/></union>"
        "<union id=\"vnb\"><field name=\"u\" type=\"v16u\"/><field name=\"s\" type=\"v16i\"/></union>"
        "<union id=\"vnq\"><field name=\"u\" type=\"v1u\"/><field name=\"s\" type=\"v1i\"/></union>"
        "<union id=\"aarch64v\"><field name=\"d\" type=\"vnd\"/><field name=\"s\" type=\"vns\"/>"
        "<field name=\"h\" type=\"vnh\"/><field name=\"b\" type=\"vnb\"/><field name=\"q\" "
        "type=\"vnq\"/></union>";
    for (unsigned i = 0; i < 32; i++)
      xml += fmt::format("<reg name=\"v{}\" bitsize=\"128\" type=\"aarch64v\"/>", i);
    xml +=
        "<reg name=\"fpsr\" bitsize=\"32\"/><reg name=\"fpcr\" bitsize=\"32\"/></feature>"
        "<feature name=\"org.gnu.gdb.aarch64.tls\"><reg name=\"tpidr\" bitsize=\"64\" "
        "type=\"data_ptr\"/></feature>"
        "</target>";
    return xml;
  }

  std::string read(const ir::CpuHeader& cpu, unsigned number) const override {
    const A64State& s = state_of(cpu);
    if (number < 31) return bytes_of(s.x[number]);
    if (number >= kV0 && number < kV0 + 32) return {reinterpret_cast<const char*>(s.v[number - kV0]), 16};
    switch (number) {
      case kSp:
        return bytes_of(s.sp);
      case kPc:
        return bytes_of(s.header.pc);
      case kCpsr:
        return bytes_of(arm::pstate(s));
      case kFpsr:
        return bytes_of(arm::fpsr(s));
      case kFpcr:
        return bytes_of(s.fpcr);
      case kTpidr:
        return bytes_of(s.tpidr_el0);
      default:
        return {};
    }
  }

  bool write(ir::CpuHeader& cpu, unsigned number, std::string_view bytes) const override {
    A64State& s = state_of(cpu);
    uint32_t word = 0;
    if (number < 31) return take(bytes, s.x[number]);
    if (number >= kV0 && number < kV0 + 32) return take(bytes, s.v[number - kV0]);
    switch (number) {
      case kSp:
        return take(bytes, s.sp);
      case kPc:
        return take(bytes, s.header.pc);
      case kTpidr:
        return take(bytes, s.tpidr_el0);
      case kCpsr:
        if (!take(bytes, word)) return false;
        arm::set_pstate(s, word);
        return true;
      case kFpsr:
        if (!take(bytes, word)) return false;
        arm::set_fpsr(s, word);
        return true;
      case kFpcr:
        if (!take(bytes, word)) return false;
        arm::set_fpcr(s, word);
        return true;
      default:
        return false;
    }
  }
};

}  // namespace

const Registers* find_registers(std::string_view guest) {
  static const Aarch64Registers aarch64;
  if (guest == "x86_64") return &x86_64_registers();
  if (guest == "i386") return &i386_registers();
  return guest == "aarch64" ? &aarch64 : nullptr;
}

}  // namespace lyrebird::gdb
