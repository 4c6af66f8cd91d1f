// SPDX-License-Identifier: Apache-2.0
/// The machine `virt` for AArch64: no hardware, but what guests of the peer's machine of this name expect
/// (memory map, interrupts, device tree).
///
///     0x0000'0000  flash, 2 x 64 MiB         0x0a00'0000  virtio-mmio, 32 x 0x200 (SPI 16..47)
///     0x0800'0000  GIC distributor           0x1000'0000  PCIe memory
///     0x0801'0000  GICv2 CPU interface       0x3eff'0000  PCIe I/O ports
///     0x0802'0000  GICv2m (MSI)              0x3f00'0000  PCIe ECAM (highmem=off)
///     0x0808'0000  GICv3 ITS                 0x4000'0000  RAM
///     0x080a'0000  GICv3 redistributors      0x40'1000'0000  PCIe ECAM
///     0x0900'0000  PL011 (SPI 1)             0x80'0000'0000  PCIe memory, 64-bit
///     0x0901'0000  PL031 (SPI 2)
///     0x0902'0000  fw_cfg
///     0x0903'0000  PL061 (SPI 7), line 3 is the power button
///
/// RAM begins at 1 GiB: the device tree first, an Image 2 MiB above, the initrd in the middle of the
/// first 256 MiB (or behind the kernel). CPUs start in the highest exception level that is not secure
/// state's, others than the first when PSCI says so.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "devices/flash/cfi_flash.h"
#include "devices/gpio/pl061.h"
#include "devices/intc/gicv2.h"
#include "devices/intc/gicv2m.h"
#include "devices/intc/gicv3.h"
#include "devices/intc/gicv3_its.h"
#include "devices/misc/fw_cfg.h"
#include "devices/pci/pci_host.h"
#include "devices/serial/pl011.h"
#include "devices/timer/pl031.h"
#include "devices/virtio/mmio.h"
#include "frontend/arm/system/system_state.h"
#include "frontend/system_frontend.h"
#include "machines/kernel_image.h"
#include "machines/machine.h"
#include "system/char_backend.h"

namespace lyrebird::machines {

class FdtWriter;

/// The contents of a flash chip. A file that is smaller is followed by erased flash; one that may be written
/// is changed with it.
struct FlashOptions {
  std::string file;
  bool read_only = false;
};

struct VirtOptions {
  std::string cpu = "cortex-a57";
  unsigned cpus = 1;
  uint64_t ram_size = uint64_t{128} << 20;
  system::RamOptions ram;
  unsigned gic_version = 0;  ///< 2, 3; 0: 2 as long as there are 8 CPUs at most
  bool virtualization = false, secure = false;
  bool random_seeds = true;  ///< kaslr-seed and rng-seed in the device tree
  std::string kernel, initrd, append, dtb;
  /// Firmware, and its variables. Without firmware there is no flash.
  FlashOptions flash[2];
  /// Time of day, in seconds, when the machine's clock shows 0.
  uint32_t epoch = 0;
  /// -icount: counts the instructions that the engine runs, in place of the host's clock.
  std::shared_ptr<system::CountedClock> counted_clock;
  system::CharBackend* serial = nullptr;  ///< null: nothing is connected
};

class VirtMachine final : public Machine {
 public:
  /// What runs the CPUs.
  struct Engine {
    std::unique_ptr<frontend::SystemFrontend> frontend;
    std::unique_ptr<accel::Accelerator> accelerator;
  };
  /// The config outlives what is made.
  using EngineFactory = std::function<Result<Engine>(const arm::SystemConfig&)>;

  /// All files are read and checked here; the machine is paused.
  static Result<std::unique_ptr<VirtMachine>> create(system::EventLoop& loop, VirtOptions options,
                                                     const EngineFactory& engine);
  ~VirtMachine() override;

  system::AddressSpace& memory() override { return *memory_; }
  accel::Accelerator& accelerator() override { return *engine_.accelerator; }
  std::vector<BoardDevice> devices() const override { return board_; }
  void power_button() override;
  std::vector<Trait> traits() const override;
  std::vector<system::RamBlock*> ram_blocks() override;
  Result<void> save(system::StateWriter& to) override;
  Result<void> load(system::StateReader& from) override;

  /// Into the next free slot; the device outlives the machine.
  Result<void> plug(devices::VirtioDevice& device);
  devices::PciHost& pci() { return *pci_; }
  arm::A64SystemState& state(size_t cpu);
  const ir::StateLayout& layout() const override { return engine_.frontend->layout(); }
  std::optional<uint64_t> debug_translate(size_t cpu, uint64_t address) override;
  const Bytes& device_tree() const { return dtb_; }

 private:
  class Cpu;
  /// IRQ and FIQ into a vCPU, whose number is an arm::InterruptLine. Made before the CPU is.
  struct CpuLineSink final : system::IrqSink {
    void set_irq(unsigned line, bool level) override {
      if (cpu) cpu->set_interrupt(line, level);
    }
    accel::Vcpu* cpu = nullptr;
  };
  VirtMachine(system::EventLoop& loop, VirtOptions options);
  Result<void> build(const EngineFactory& engine);
  Result<void> load();
  void map(const char* name, uint64_t address, uint64_t size, system::Device& device, std::string text = {},
           system::IoSizes sizes = {});
  void add_interrupt_controller();
  static uint64_t mpidr(unsigned index, bool gicv3);
  void add_devices();
  void add_pci();
  void add_fw_cfg();
  Result<void> add_flash(unsigned chip);
  bool has_firmware() const { return !options_.flash[0].file.empty(); }
  Result<void> load_for_firmware();
  void describe_pci(FdtWriter& fdt) const;
  Result<void> add_cpus();
  system::IrqLine spi(unsigned n);
  system::IrqLine ppi(unsigned cpu, unsigned id);

  Bytes make_device_tree(uint64_t initrd_start, uint64_t initrd_end) const;
  void describe_cpus(FdtWriter& fdt) const;
  void describe_interrupts(FdtWriter& fdt) const;
  void describe_devices(FdtWriter& fdt) const;

  void reset_board() override;
  arm::PsciResult cpu_on(uint64_t affinity, uint64_t entry, uint64_t context);
  int32_t affinity_info(uint64_t affinity, unsigned level);
  Cpu* find_cpu(uint64_t affinity);

  VirtOptions options_;
  arm::SystemConfig config_;
  system::NullBackend no_serial_;

  std::unique_ptr<system::RamBlock> ram_;
  system::MemoryRegionPtr root_, ram_region_;
  std::vector<system::MemoryRegionPtr> regions_;
  std::unique_ptr<system::AddressSpace> memory_;
  std::vector<BoardDevice> board_;
  std::vector<system::Device*> to_reset_;

  std::vector<std::unique_ptr<CpuLineSink>> line_sinks_;
  std::unique_ptr<devices::GicV2> gicv2_;
  std::unique_ptr<devices::GicV3> gicv3_;
  std::unique_ptr<devices::GicV2m> v2m_;
  std::unique_ptr<devices::GicV3Its> its_;
  std::unique_ptr<devices::PciHost> pci_;
  std::unique_ptr<devices::FwCfg> fw_cfg_;
  std::unique_ptr<system::RamBlock> flash_contents_[2];
  std::unique_ptr<devices::CfiFlash> flash_[2];
  std::unique_ptr<devices::Pl011> uart_;
  std::unique_ptr<devices::Pl031> rtc_;
  std::unique_ptr<devices::Pl061> gpio_;
  std::vector<std::unique_ptr<devices::VirtioMmio>> virtio_;
  std::unique_ptr<system::Timer> button_release_;
  std::vector<std::unique_ptr<Cpu>> cpus_;

  Engine engine_;

  /// What is in memory after a reset.
  std::vector<Segment> image_;
  Bytes dtb_;
  uint64_t entry_ = 0;
  std::mutex power_mutex_;  ///< which CPUs are on
};

}  // namespace lyrebird::machines
