// SPDX-License-Identifier: Apache-2.0
/// org.gnu.gdb.aarch64.core: x0..x30, sp, pc, cpsr; .fpu: v0..v31, fpsr, fpcr; .tls: tpidr. Of a
/// machine's CPU also every system register that can be read, in a feature of our own.
#include <fmt/format.h>

#include <cstring>
#include <vector>

#include "frontend/arm/a64_state.h"
#include "frontend/arm/system/system_registers.h"
#include "frontend/arm/system/system_state.h"
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

class Aarch64Registers : public Registers {
 public:
  explicit Aarch64Registers(bool system = false) : system_(system) {
    in_g = kCount;
    pc = kPc, sp = kSp, fp = 29;
  }

  std::string target_xml() const override {
    std::string xml =
        "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target version=\"1.0\">"
        "<architecture>aarch64</architecture>";
    if (!system_) xml += "<osabi>GNU/Linux</osabi>";
    xml += "<feature name=\"org.gnu.gdb.aarch64.core\">";
    for (unsigned i = 0; i < 31; i++) xml += fmt::format("<reg name=\"x{}\" bitsize=\"64\"/>", i);
    xml +=
        "<reg name=\"sp\" bitsize=\"64\" type=\"data_ptr\"/><reg name=\"pc\" bitsize=\"64\" "
        "type=\"code_ptr\"/>"
        "<flags id=\"cpsr_flags\" size=\"4\"><field name=\"SP\" start=\"0\" end=\"0\"/>"
        "<field name=\"EL\" start=\"2\" end=\"3\"/><field name=\"F\" start=\"6\" end=\"6\"/>"
        "<field name=\"I\" start=\"7\" end=\"7\"/><field name=\"A\" start=\"8\" end=\"8\"/>"
        "<field name=\"D\" start=\"9\" end=\"9\"/><field name=\"BTYPE\" start=\"10\" end=\"11\"/>"
        "<field name=\"SSBS\" start=\"12\" end=\"12\"/><field name=\"IL\" start=\"20\" end=\"20\"/>"
        "<field name=\"SS\" start=\"21\" end=\"21\"/><field name=\"PAN\" start=\"22\" end=\"22\"/>"
        "<field name=\"UAO\" start=\"23\" end=\"23\"/><field name=\"DIT\" start=\"24\" end=\"24\"/>"
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
        "type=\"data_ptr\"/></feature>";
    return xml + more_features() + "</target>";
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

 protected:
  virtual std::string more_features() const { return ""; }

 private:
  const bool system_;
};

class Aarch64SystemRegisters final : public Aarch64Registers {
 public:
  Aarch64SystemRegisters() : Aarch64Registers(true) {
    for (unsigned i = 0; i < arm::kSysRegCount; i++)
      // Random numbers are not to be used up by looking.
      if (arm::kSysRegs[i].read_el <= 3 && !arm::kSysRegs[i].name.starts_with("RNDR"))
        registers_.push_back(static_cast<arm::SysReg>(i));
  }

  std::string read(const ir::CpuHeader& cpu, unsigned number) const override {
    auto& s = reinterpret_cast<arm::A64SystemState&>(const_cast<ir::CpuHeader&>(cpu));
    if (number == kCpsr) return bytes_of(static_cast<uint32_t>(arm::system_pstate(s)));
    if (number >= kCount && number - kCount < registers_.size())
      return bytes_of(arm::read_sys_reg(s, registers_[number - kCount]));
    return Aarch64Registers::read(cpu, number);
  }

  bool write(ir::CpuHeader& cpu, unsigned number, std::string_view bytes) const override {
    auto& s = reinterpret_cast<arm::A64SystemState&>(cpu);
    if (number == kCpsr) {
      uint32_t word = 0;
      if (!take(bytes, word)) return false;
      arm::set_system_pstate(s, word);
      arm::set_el_and_sp(s, word >> 2 & 3, word & 1);
      arm::state_changed(s);
      return true;
    }
    if (number < kCount || number - kCount >= registers_.size())
      return Aarch64Registers::write(cpu, number, bytes);
    const arm::SysReg r = registers_[number - kCount];
    uint64_t value = 0;
    if (arm::info(r).write_el > 3 || !take(bytes, value)) return false;
    arm::write_sys_reg(s, r, value);
    arm::state_changed(s);
    return true;
  }

 protected:
  std::string more_features() const override {
    std::string xml = "<feature name=\"org.lyrebird.aarch64.system\">";
    for (const arm::SysReg r : registers_)
      xml += fmt::format("<reg name=\"{}\" bitsize=\"64\" save-restore=\"no\" group=\"system\"/>",
                         arm::info(r).name);
    return xml + "</feature>";
  }

 private:
  std::vector<arm::SysReg> registers_;
};

}  // namespace

const Registers* find_registers(std::string_view guest) {
  static const Aarch64Registers aarch64;
  if (guest == "x86_64") return &x86_64_registers();
  if (guest == "i386") return &i386_registers();
  return guest == "aarch64" ? &aarch64 : nullptr;
}

const Registers* find_system_registers(std::string_view guest) {
  static const Aarch64SystemRegisters aarch64;
  if (guest == "x86_64") return &x86_64_registers();
  return guest == "aarch64" ? &aarch64 : nullptr;
}

}  // namespace lyrebird::gdb
