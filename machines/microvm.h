// SPDX-License-Identifier: Apache-2.0
/// The machine `microvm` for x86: what a guest under KVM needs and nothing of a PC's past. It has no
/// firmware, no PCI and no video: the kernel is entered at once, devices are virtio in memory, and ACPI of
/// the "hardware-reduced" kind describes it (or, with acpi=off, the kernel's command line).
///
///     ports 0x3f8-0x3ff  16550 (GSI 4)          0xfea0'0000  ACPI events (GSI 9)
///     port 0x64          reset                  0xfea0'0200  ACPI sleep and reset
///     ports 0x70, 0x71   RTC, if asked for (GSI 8)
///     0xfeb0'0000        virtio-mmio, 8 x 0x200 (GSI 16..23)
///     0xfec0'0000        I/O APIC               0xfee0'0000  local APICs
///
/// RAM lies from 0 to 3 GiB at most, the rest from 4 GiB on.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "accel/kvm/kvm.h"
#include "devices/intc/ioapic.h"
#include "devices/misc/acpi_events.h"
#include "devices/serial/uart_16550.h"
#include "devices/timer/mc146818.h"
#include "devices/virtio/mmio.h"
#include "frontend/x86/system/x86_system_state.h"
#include "machines/machine.h"
#include "machines/x86_boot.h"
#include "system/char_backend.h"

namespace lyrebird::machines {

struct MicrovmOptions {
  std::string cpu = "host";
  unsigned cpus = 1;
  uint64_t ram_size = uint64_t{128} << 20;
  system::RamOptions ram;
  X86BootFiles boot;
  bool acpi = true;
  bool pit = true;  ///< old kernels measure time by it
  /// Only the local APICs are in the kernel; the I/O APIC is a device of ours, and there is no PIC or PIT.
  bool split_irqchip = false;
  bool rtc = false;   ///< without it guests take the time of day from KVM's paravirtual clock
  int64_t epoch = 0;  ///< time of day, in seconds, when the machine's clock shows 0
  bool ioeventfd = true;
  std::string kvm_device = "/dev/kvm";
  unsigned dirty_ring = 0;
  accel::KvmDisassembler disassembler = nullptr;
  system::CharBackend* serial = nullptr;  ///< null: nothing is connected
};

class MicrovmMachine final : public Machine, private accel::EndOfInterrupt {
 public:
  static constexpr unsigned kSlots = 8;

  /// All files are read and checked here; the machine is paused.
  static Result<std::unique_ptr<MicrovmMachine>> create(system::EventLoop& loop, MicrovmOptions options);
  ~MicrovmMachine() override;

  system::AddressSpace& memory() override { return *memory_; }
  accel::Accelerator& accelerator() override { return *kvm_; }
  const ir::StateLayout& layout() const override { return x86::x86_layout(); }
  std::optional<uint64_t> debug_translate(size_t cpu, uint64_t address) override {
    return kvm_->translate(static_cast<unsigned>(cpu), address);
  }
  std::vector<BoardDevice> devices() const override { return board_; }
  void power_button() override { events_->raise(devices::kAcpiPowerButton); }

  accel::KvmAccelerator& kvm() { return *kvm_; }
  x86::X86SystemState& state(size_t cpu) { return cpus_[cpu]->state; }
  std::vector<Trait> traits() const override;
  std::vector<system::RamBlock*> ram_blocks() override { return {ram_.get()}; }
  Result<void> save(system::StateWriter& to) override;
  Result<void> load(system::StateReader& from) override;
  /// Puts the device into the next empty slot, before the machine runs. The device outlives it.
  Result<void> plug(devices::VirtioDevice& device);

 private:
  struct Cpu {
    x86::X86SystemState state;
    std::unique_ptr<accel::Vcpu> vcpu;
  };
  struct Slot {
    std::unique_ptr<devices::VirtioMmio> mmio;
    std::vector<int> eventfds;
  };
  MicrovmMachine(system::EventLoop& loop, MicrovmOptions options);
  void end_of_interrupt(uint8_t vector) override { ioapic_->end_of_interrupt(vector); }
  Result<void> build();
  void map(const char* name, uint64_t address, uint64_t size, system::Device& device, std::string text,
           system::IoSizes sizes = {});
  void map_port(const char* name, uint64_t port, uint64_t size, system::Device& device, std::string text);
  void add_devices();
  Result<void> add_cpus();
  Result<void> load();
  Bytes make_acpi() const;
  /// Notifications of the slot's queues raise eventfds: no vCPU comes out for one.
  void connect_notify(unsigned slot, devices::VirtioDevice& device);
  void reset_board() override;

  MicrovmOptions options_;
  X86Memory sizes_;
  system::NullBackend no_serial_;
  std::unique_ptr<system::RamBlock> ram_;
  system::MemoryRegionPtr root_, port_root_, low_, high_;
  std::vector<system::MemoryRegionPtr> regions_;
  std::unique_ptr<system::AddressSpace> memory_, ports_;
  std::unique_ptr<accel::KvmAccelerator> kvm_;
  std::unique_ptr<devices::IoApic> ioapic_;  ///< null: the kernel has it
  std::vector<BoardDevice> board_;
  std::vector<system::Device*> to_reset_;
  std::unique_ptr<devices::Uart16550> uart_;
  std::unique_ptr<devices::Mc146818> rtc_;
  std::unique_ptr<devices::AcpiEvents> events_;
  std::unique_ptr<devices::AcpiPower> power_;
  std::unique_ptr<devices::ResetPort> reset_port_;
  std::array<Slot, kSlots> slots_;
  unsigned used_slots_ = 0;
  std::vector<std::unique_ptr<Cpu>> cpus_;
  X86Boot boot_;  ///< what is in memory after a reset
  Result<void> reset_status_;
};

}  // namespace lyrebird::machines
