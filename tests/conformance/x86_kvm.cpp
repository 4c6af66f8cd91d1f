// SPDX-License-Identifier: Apache-2.0
/// x86-64 under KVM, without interrupt controllers in the kernel: lines go through Vcpu::set_interrupt().
#include "tests/conformance/x86_kvm.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "accel/kvm/kvm.h"
#include "frontend/x86/segments.h"
#include "frontend/x86/system/x86_system_state.h"

#define PROGRAM(name) extern "C" const uint8_t x86_##name[], x86_##name##_end[]
PROGRAM(store);
PROGRAM(load);
PROGRAM(port_out);
PROGRAM(port_in);
PROGRAM(spin);
PROGRAM(count);
PROGRAM(self_modify);
PROGRAM(halt);
PROGRAM(halt_masked);
PROGRAM(fill);
PROGRAM(crash);
PROGRAM(handler);
#undef PROGRAM

namespace lyrebird::conformance {
namespace {

using x86::X86SystemState;

constexpr uint64_t kPml4 = 0x1000, kPdpt = 0x2000, kDirectories = 0x3000, kGdt = 0x7000, kIdt = 0x8000,
                   kHandler = 0xf000, kStacks = 0x1f0000;
constexpr uint8_t kVector = 0x40;
constexpr unsigned kArguments[] = {x86::kRdi, x86::kRsi, x86::kRdx, 8};

uint64_t first_bytes(const uint8_t* from, size_t size) {
  uint64_t value = 0;
  std::memcpy(&value, from, std::min<size_t>(size, sizeof value));
  return value;
}

class X86Kvm final : public Guest, public accel::InterruptAcknowledge {
 public:
  bool has_ports() const override { return true; }
  bool has_crash() const override { return true; }

  /// Those behind the fourth are INT3s, which a kernel that emulates everything can't do.
  bool has_many_breakpoints() const override {
    std::ifstream file("/proc/cpuinfo");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    return text.find(" svm") != text.npos || text.find(" vmx") != text.npos;
  }

  std::string why_not() const override {
    const auto device = accel::kvm::Device::open();
    if (!device) return device.error().message;
    const auto vm = device->create_vm();
    return vm ? std::string() : vm.error().message;
  }

  Result<std::unique_ptr<accel::Accelerator>> accelerator(system::AddressSpace& memory,
                                                          system::AddressSpace& ports,
                                                          unsigned cpus) override {
    accel::KvmOptions options;
    options.cpus = cpus;
    options.vm.irqchip = accel::kvm::Irqchip::None;
    options.acknowledge = this;
    auto made = accel::KvmAccelerator::create(options, memory, ports);
    if (!made) return made.error();
    return std::unique_ptr<accel::Accelerator>(std::move(*made));
  }

  uint8_t acknowledge(unsigned) override { return kVector; }

  ir::CpuHeader& new_state() override {
    states_.push_back(std::make_unique<X86SystemState>());
    return states_.back()->cpu.header;
  }

  std::span<const uint8_t> code(Program program) const override {
#define CASE(value, name) \
  case Program::value:    \
    return { x86_##name, x86_##name##_end }
    switch (program) {
      CASE(Store, store);
      CASE(Load, load);
      CASE(PortOut, port_out);
      CASE(PortIn, port_in);
      CASE(Spin, spin);
      CASE(Count, count);
      CASE(SelfModify, self_modify);
      CASE(Halt, halt);
      CASE(HaltMasked, halt_masked);
      CASE(Fill, fill);
      CASE(Crash, crash);
    }
#undef CASE
    return {};
  }

  /// Identity-mapped 4 GiB of 2 MiB pages, flat segments, one interrupt gate.
  void prepare(system::AddressSpace& memory) override {
    const auto put = [&](uint64_t at, uint64_t value) { memory.load_bytes(at, &value, sizeof value); };
    put(kPml4, kPdpt | 3);
    for (uint64_t i = 0; i < 4; ++i) put(kPdpt + 8 * i, (kDirectories + 0x1000 * i) | 3);
    for (uint64_t i = 0; i < 2048; ++i) put(kDirectories + 8 * i, i << 21 | 0x83);
    put(kGdt, 0);
    put(kGdt + 8, 0x00af9b000000ffff);
    put(kGdt + 16, 0x00cf93000000ffff);
    memory.load_bytes(kHandler, x86_handler, static_cast<uint64_t>(x86_handler_end - x86_handler));
    put(kIdt + 16 * kVector,
        (kHandler & 0xffff) | 8u << 16 | uint64_t{0x8e00} << 32 | (kHandler >> 16) << 48);
    put(kIdt + 16 * kVector + 8, kHandler >> 32);
  }

  void start(ir::CpuHeader& header, unsigned cpu, uint64_t pc) override {
    using namespace x86::segment_attributes;
    X86SystemState& state = x86::system_state_of(header);
    x86::reset(state, true);
    x86::X86State& s = state.cpu;
    s.cr0 = 0x80000033;
    s.cr3 = kPml4;
    s.cr4 = 0x620;  // PAE, OSFXSR, OSXMMEXCPT
    s.efer = 0x500;
    const uint32_t common = kPresent | kNotSystem | kWritable | kAccessed | kGranular;
    s.cs = {0, 0xffffffff, common | kCode | kLong, 8};
    s.ds = s.es = s.fs = s.gs = s.ss = {0, 0xffffffff, common | kBig, 16};
    s.gdtr = {kGdt, 23};
    s.idtr = {kIdt, 0xfff};
    s.gpr[x86::kRsp] = kStacks + 0x1000 * (cpu + 1);
    header.pc = pc;
    x86::update_segment_mode(s);
  }

  void set_argument(ir::CpuHeader& state, unsigned n, uint64_t value) override {
    x86::system_state_of(state).cpu.gpr[kArguments[n]] = value;
  }
  uint64_t argument(const ir::CpuHeader& state, unsigned n) const override {
    return x86::system_state_of(const_cast<ir::CpuHeader&>(state)).cpu.gpr[kArguments[n]];
  }
  uint32_t interrupt_line() const override { return x86::kInterruptIntr; }

  void scramble(ir::CpuHeader& header, unsigned seed) override {
    x86::X86State& s = x86::system_state_of(header).cpu;
    uint64_t next = seed * 0x9e3779b97f4a7c15u + 1;
    const auto number = [&] { return next = next * 6364136223846793005u + 1442695040888963407u; };
    const auto canonical = [&] { return number() >> 20; };
    for (uint64_t& gpr : s.gpr) gpr = number();
    x86::set_eflags(s, static_cast<uint32_t>(number()) & 0x40cd5);
    for (auto& value : s.ymm)
      for (unsigned i = 0; i < 16; i += 8) {
        const uint64_t part = number();
        std::memcpy(value + i, &part, 8);
      }
    x86::set_x87_used(s, static_cast<uint8_t>(number() >> 8));
    x86::set_x87_status(s, static_cast<uint16_t>(number() >> 8) & 0x7f00);
    x86::set_x87_control(s, 0x37f);
    for (auto& value : s.x87) {
      const uint64_t fraction = number() | uint64_t{1} << 63;
      const auto exponent = static_cast<uint16_t>(number() >> 17 & 0x7ffe);
      std::memcpy(value, &fraction, 8);
      std::memcpy(value + 8, &exponent, 2);
    }
    x86::set_mxcsr(s, 0x1f80 | (static_cast<uint32_t>(number() >> 9) & 0x603f));
    s.cr2 = canonical();
    s.star = number();
    s.lstar = canonical();
    s.cstar = canonical();
    s.fmask = number() & 0xffffffff;
    s.kernel_gs_base = canonical();
    s.sysenter_cs = number() & 0xffff;
    s.sysenter_esp = number() & 0xffffffff;  // AMD's processors have no more
    s.sysenter_eip = number() & 0xffffffff;
    s.fs.base = canonical();
    s.gs.base = canonical();
    for (unsigned i = 0; i < 4; ++i) s.dr[i] = canonical();
  }

  std::string difference(const ir::CpuHeader& a, const ir::CpuHeader& b) const override {
    const auto* const one = reinterpret_cast<const uint8_t*>(&a);
    const auto* const two = reinterpret_cast<const uint8_t*>(&b);
    std::string text;
    for (const ir::StateField& field : x86::x86_layout().fields) {
      const size_t size = ir::byte_size(field.type);
      if (field.name.starts_with("fault") || field.name.starts_with("x87_result")) continue;
      if (std::memcmp(one + field.offset, two + field.offset, size) != 0)
        text += fmt::format("{} ({:#x}, {:#x}) ", field.name, first_bytes(one + field.offset, size),
                            first_bytes(two + field.offset, size));
    }
    return text;
  }

 private:
  std::vector<std::unique_ptr<X86SystemState>> states_;
};

}  // namespace

std::unique_ptr<Guest> make_x86_kvm() { return std::make_unique<X86Kvm>(); }

}  // namespace lyrebird::conformance
