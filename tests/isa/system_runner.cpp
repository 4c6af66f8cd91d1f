// SPDX-License-Identifier: Apache-2.0
// Runs case files of a64_system on the executors of accel::SoftSystem: isa_system_runner FILE[:LINE]...
// (README.md)
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>

#include "accel/soft/system.h"
#include "frontend/arm/system/system_frontend.h"
#include "system/address_space.h"
#include "tests/isa/case.h"

namespace lyrebird::isa {
namespace {

using arm::A64SystemState;
using arm::SysReg;

// Physical addresses, and virtual ones where the MMU is on.
constexpr uint64_t kCode = 0x10000, kMem = 0x20000, kUser = 0x30000, kRom = 0x40000, kVectors = 0x50000,
                   kHole = 0x80000, kTables = 0x100000, kRamSize = 0x200000, kPage = 4096;

/// A board with a counter that stands and nothing else.
struct Board final : arm::BoardServices {
  uint64_t counter() override { return 1000; }
  void timer_changed(arm::GenericTimer, bool, uint64_t) override {}
  arm::PsciResult cpu_on(uint64_t, uint64_t, uint64_t) override { return arm::kPsciNotSupported; }
  void cpu_off() override {}
  int32_t affinity_info(uint64_t, unsigned) override { return 0; }
  void system_off() override {}
  void system_reset() override {}
};

/// A CPU as configured, on one executor; kept from case to case.
struct Machine {
  Machine(const arm::SystemConfig& wanted, accel::Executor executor)
      : config(wanted),
        ram(std::move(system::RamBlock::create("ram", kRamSize).value())),
        region(system::MemoryRegion::ram("ram", *ram)),
        space("memory", *region),
        frontend(config),
        soft(frontend, {.executor = executor, .memory_limit = size_t{4} << 20}) {
    state.config = &config;
    state.board = &board;
    vcpu = std::move(soft.create_vcpu(0, state.header, space).value());
  }

  arm::SystemConfig config;
  std::unique_ptr<system::RamBlock> ram;
  system::MemoryRegionPtr region;
  system::AddressSpace space;
  arm::A64SystemFrontend frontend;
  accel::SoftSystem soft;
  Board board;
  A64SystemState state;
  std::unique_ptr<accel::Vcpu> vcpu;
};

std::optional<uint64_t> parse_number(std::string_view s) {
  constexpr std::pair<std::string_view, uint64_t> kSymbols[] = {
      {"code", kCode}, {"mem", kMem}, {"user", kUser}, {"rom", kRom}, {"hole", kHole}, {"vectors", kVectors}};
  uint64_t base = 0;
  for (const auto& [name, address] : kSymbols) {
    if (!s.starts_with(name)) continue;
    if (s.size() == name.size()) return address;
    base = address;
    s.remove_prefix(name.size() + 1);
    break;
  }
  char* end = nullptr;
  const std::string digits(s);
  const uint64_t value = std::strtoull(digits.c_str(), &end, 16);
  if (digits.empty() || *end != 0) return std::nullopt;
  return base + value;
}

const ir::StateField* layout_field(std::string_view name) {
  for (const ir::StateField& field : arm::a64_system_layout().fields)
    if (field.name == name && ir::byte_size(field.type) <= 8) return &field;
  return nullptr;
}

uint64_t get(const A64SystemState& state, const ir::StateField& field) {
  uint64_t value = 0;
  std::memcpy(&value, reinterpret_cast<const uint8_t*>(&state) + field.offset, ir::byte_size(field.type));
  return value;
}

void put(A64SystemState& state, const ir::StateField& field, uint64_t value) {
  std::memcpy(reinterpret_cast<uint8_t*>(&state) + field.offset, &value, ir::byte_size(field.type));
}

/// The first 2 MiB onto themselves by pages: the code for both levels, mem for EL1, user for EL0 and EL1, rom
/// for EL1 to read, nothing at hole.
void make_tables(const system::AddressSpace& space) {
  constexpr uint64_t kAf = 1 << 10, kNg = 1 << 11, kEl0 = 1 << 6, kReadOnly = 1 << 7,
                     kUxn = uint64_t{1} << 54, kPxn = uint64_t{1} << 53, kNormal = 1 << 2;
  space.write(kTables, 8, (kTables + kPage) | 3);
  space.write(kTables + kPage, 8, (kTables + 2 * kPage) | 3);
  space.write(kTables + 2 * kPage, 8, (kTables + 3 * kPage) | 3);
  for (uint64_t page = 0; page < 512; ++page) {
    const uint64_t address = page * kPage;
    uint64_t rights = kUxn;
    if (address == kCode) rights = kEl0 | kReadOnly;
    if (address == kUser) rights = kEl0 | kUxn | kPxn | kNg;
    if (address == kRom) rights = kReadOnly | kUxn | kPxn;
    space.write(kTables + 3 * kPage + 8 * page, 8,
                address == kHole ? 0 : address | rights | kAf | kNormal | 3);
  }
}

class Run {
 public:
  Run(const Case& c, const char* executor, Machine& machine) : case_(c), executor_(executor), m_(machine) {}

  bool good() {
    prepare();
    A64SystemState& state = m_.state;
    uint32_t lines = 0;
    bool good = true;
    for (const Field& field : case_.in) {
      if (field.name == "cpu" || field.name == "el2" || field.name == "el3") continue;
      const auto value = parse_number(field.value);
      if (field.name == "mmu") {
        turn_mmu_on();
      } else if (field.name == "lines" && value) {
        lines = static_cast<uint32_t>(*value);
      } else if (field.name.starts_with("at:") && value && parse_number(field.name.substr(3))) {
        m_.space.write(*parse_number(field.name.substr(3)), 8, *value);
      } else if (field.name == "el" && value) {
        arm::set_el_and_sp(state, static_cast<unsigned>(*value), 1);
        state.sp = kMem + 0x800;
      } else if (field.name == "nzcv" && value) {
        arm::set_nzcv(state, static_cast<uint32_t>(*value) << 28);
      } else if (const ir::StateField* target = layout_field(field.name); target && value) {
        put(state, *target, *value);
      } else {
        good =
            fail("%s=%s: no such field, or its value does not fit", field.name.c_str(), field.value.c_str());
      }
    }
    if (!good) return false;
    arm::state_changed(state);
    for (uint32_t line = 1; line <= arm::kLineVirtualFiq; line <<= 1)
      m_.vcpu->set_interrupt(line, lines & line);
    set_breakpoints();
    uint64_t before[31];
    std::memcpy(before, state.x, sizeof before);
    const accel::Exit exit = m_.vcpu->run();
    if (exit.kind != ir::ExitKind::Debug)
      return fail("ended with %s", std::string(ir::name(exit.kind)).c_str());
    return compare(before);
  }

 private:
  void prepare() {
    const std::vector<uint8_t> zeros(kTables, 0);
    m_.space.write_bytes(0, zeros.data(), zeros.size());
    m_.space.write_bytes(kCode, case_.words.data(), 4 * case_.words.size());
    make_tables(m_.space);
    A64SystemState& state = m_.state;
    arm::reset_vcpu(state, 0x80000000);
    state.reg(SysReg::VBAR_EL1) = kVectors;
    state.reg(SysReg::VBAR_EL2) = kVectors + 0x1000;
    state.reg(SysReg::VBAR_EL3) = kVectors + 0x2000;
    state.reg(SysReg::SCR_EL3) = 0x501;  // NS, HCE, RW
    state.reg(SysReg::HCR_EL2) = 0x80000000;
    state.reg(SysReg::CPTR_EL2) = 0x33ff & ~(1u << 10);
    state.reg(SysReg::CPACR_EL1) = 3 << 20;
    state.reg(SysReg::SCTLR_EL1) |= 1 << 23;  // SPAN
    state.reg(SysReg::CNTHCTL_EL2) = 3;
    arm::set_el_and_sp(state, 1, 1);
    state.sp = kMem + 0x800;
    state.daif = 0;
    state.header.pc = kCode;
    for (unsigned i = 0; i < 31; ++i) state.x[i] = uint64_t{i} << 56 | 0xa5a5a5a5a5a500 | i;
  }

  void turn_mmu_on() {
    A64SystemState& state = m_.state;
    state.reg(SysReg::TTBR0_EL1) = kTables;
    state.reg(SysReg::TCR_EL1) = 16 | 16 << 16 | uint64_t{2} << 30 | uint64_t{5} << 32;
    state.reg(SysReg::MAIR_EL1) = 0xff00;
    state.reg(SysReg::SCTLR_EL1) |= 1;
  }

  /// Behind the code, and at every vector.
  void set_breakpoints() {
    std::vector<uint64_t> all{kCode + 4 * case_.words.size()};
    for (uint64_t el = 0; el < 3; ++el)
      for (uint64_t offset = 0; offset < 0x800; offset += 0x80)
        all.push_back(kVectors + 0x1000 * el + offset);
    m_.soft.set_breakpoints(std::move(all));
  }

  bool compare(const uint64_t (&before)[31]) {
    const A64SystemState& state = m_.state;
    bool good = true;
    uint64_t expected[31], pc = kCode + 4 * case_.words.size();
    std::memcpy(expected, before, sizeof before);
    for (const Field& field : case_.out) {
      const auto value = parse_number(field.value);
      if (field.name.starts_with("at:") && value) {
        const auto at = parse_number(field.name.substr(3));
        const uint64_t got = at ? m_.space.read(*at, 8).value : 0;
        if (!at || got != *value) good = fail("%s is %lx", field.name.c_str(), got);
        continue;
      }
      if (field.name == "nzcv" && value) {
        if (arm::nzcv(state) != *value << 28) good = fail("nzcv is %x", arm::nzcv(state) >> 28);
        continue;
      }
      const ir::StateField* target = layout_field(field.name);
      if (!target || !value) {
        good =
            fail("%s=%s: no such field, or its value does not fit", field.name.c_str(), field.value.c_str());
      } else if (field.name == "pc") {
        pc = *value;
      } else if (field.name[0] == 'x') {
        expected[std::strtoul(field.name.c_str() + 1, nullptr, 10)] = *value;
      } else if (get(state, *target) != *value) {
        good = fail("%s is %lx", field.name.c_str(), get(state, *target));
      }
    }
    if (state.header.pc != pc) good = fail("pc is %lx, not %lx", state.header.pc, pc);
    for (unsigned i = 0; i < 31; ++i)
      if (state.x[i] != expected[i]) good = fail("x%u is %lx, not %lx", i, state.x[i], expected[i]);
    return good;
  }

  template <typename... Args>
  bool fail(const char* format, Args... args) {
    std::fprintf(stderr, "%s [%s] %s: ", case_.where().c_str(), executor_, case_.text.c_str());
    std::fprintf(stderr, format, args...);
    std::fputc('\n', stderr);
    return false;
  }

  const Case& case_;
  const char* executor_;
  Machine& m_;
};

struct Executor {
  const char* name;
  accel::Executor executor;
};
constexpr Executor kExecutors[] = {{"interp", accel::Executor::Interp},
                                   {"baseline", accel::Executor::Baseline}};

/// The options of a case that make another CPU of it.
std::string cpu_options(const Case& c) {
  std::string options;
  for (const Field& field : c.in)
    if (field.name == "cpu" || field.name == "el2" || field.name == "el3")
      options += field.name + field.value + " ";
  return options;
}

arm::SystemConfig config_of(const Case& c) {
  arm::SystemConfig config{.model = arm::find_cpu_model("max"), .psci = arm::PsciConduit::None};
  for (const Field& field : c.in) {
    if (field.name == "cpu") config.model = arm::find_cpu_model(field.value);
    if (field.name == "el2") config.el2 = field.value == "1";
    if (field.name == "el3") config.el3 = field.value == "1";
  }
  return config;
}

int run_all(const std::vector<Case>& cases) {
  unsigned failed = 0;
  for (const Executor& executor : kExecutors) {
    std::map<std::string, std::unique_ptr<Machine>> machines;
    for (const Case& c : cases) {
      auto& machine = machines[cpu_options(c)];
      if (!machine) machine = std::make_unique<Machine>(config_of(c), executor.executor);
      if (!machine->config.model) {
        std::fprintf(stderr, "%s: no such processor\n", c.where().c_str());
        return 1;
      }
      if (!Run(c, executor.name, *machine).good()) ++failed;
    }
  }
  std::printf("%zu cases, %u failed\n", cases.size(), failed);
  return failed != 0 || cases.empty();
}

}  // namespace
}  // namespace lyrebird::isa

int main(int argc, char** argv) {
  std::vector<lyrebird::isa::Case> cases;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const size_t colon = name.rfind(':');
    const unsigned line =
        colon == std::string::npos ? 0 : static_cast<unsigned>(std::stoul(name.substr(colon + 1)));
    if (!lyrebird::isa::read_cases(name.substr(0, colon), line, cases)) return 1;
  }
  return lyrebird::isa::run_all(cases);
}
