// SPDX-License-Identifier: Apache-2.0
/// The device tree of `virt`. Bindings: Documentation/devicetree/bindings of Linux.
#include <fmt/format.h>
#include <sys/random.h>

#include "machines/fdt.h"
#include "machines/virt_cpu.h"
#include "machines/virt_map.h"

namespace lyrebird::machines {

using namespace virt;

namespace {

constexpr uint32_t kClockHandle = 1, kGicHandle = 2, kMsiHandle = 3, kGpioHandle = 4, kFirstCpuHandle = 16;
constexpr uint32_t kSpi = 0, kPpi = 1;
constexpr uint32_t kLevel = 4;

}  // namespace

Bytes VirtMachine::make_device_tree(uint64_t initrd_start, uint64_t initrd_end) const {
  FdtWriter fdt;
  fdt.cells("#address-cells", {2});
  fdt.cells("#size-cells", {2});
  fdt.text("compatible", "linux,dummy-virt");
  fdt.text("model", "linux,dummy-virt");
  fdt.cells("interrupt-parent", {kGicHandle});
  fdt.begin("chosen");
  fdt.text("stdout-path", fmt::format("/pl011@{:x}", kUart));
  if (!options_.append.empty()) fdt.text("bootargs", options_.append);
  if (initrd_end > initrd_start) {
    fdt.wide("linux,initrd-start", {initrd_start});
    fdt.wide("linux,initrd-end", {initrd_end});
  }
  if (options_.random_seeds) {
    uint8_t seed[40];
    if (getrandom(seed, sizeof seed, 0) == sizeof seed) {
      fdt.bytes("kaslr-seed", {seed, 8});
      fdt.bytes("rng-seed", {seed + 8, 32});
    }
  }
  fdt.end();
  fdt.begin(fmt::format("memory@{:x}", kRam));
  fdt.text("device_type", "memory");
  fdt.wide("reg", {kRam, ram_->size()});
  fdt.end();
  describe_cpus(fdt);
  describe_interrupts(fdt);
  describe_devices(fdt);
  describe_pci(fdt);
  return fdt.finish(4096);
}

void VirtMachine::describe_cpus(FdtWriter& fdt) const {
  fdt.begin("cpus");
  fdt.cells("#address-cells", {1});
  fdt.cells("#size-cells", {0});
  for (const auto& cpu : cpus_) {
    const auto affinity = static_cast<uint32_t>(cpu->mpidr_ & 0xff'ffff);
    fdt.begin(fmt::format("cpu@{:x}", affinity));
    fdt.text("device_type", "cpu");
    fdt.text("compatible",
             config_.model->name == "max" ? "arm,armv8" : fmt::format("arm,{}", config_.model->name));
    fdt.cells("reg", {affinity});
    if (cpus_.size() > 1) fdt.text("enable-method", "psci");
    fdt.cells("phandle", {kFirstCpuHandle + cpu->index_});
    fdt.end();
  }
  fdt.begin("cpu-map");
  fdt.begin("socket0");
  fdt.begin("cluster0");
  for (const auto& cpu : cpus_) {
    fdt.begin(fmt::format("core{}", cpu->index_));
    fdt.cells("cpu", {kFirstCpuHandle + cpu->index_});
    fdt.end();
  }
  fdt.end();
  fdt.end();
  fdt.end();
  fdt.end();

  fdt.begin("psci");
  fdt.texts("compatible", {"arm,psci-1.0", "arm,psci-0.2", "arm,psci"});
  fdt.text("method", config_.psci == arm::PsciConduit::Hvc ? "hvc" : "smc");
  fdt.cells("cpu_suspend", {0xc4000001});
  fdt.cells("cpu_off", {0x84000002});
  fdt.cells("cpu_on", {0xc4000003});
  fdt.cells("migrate", {0xc4000005});
  fdt.end();
}

void VirtMachine::describe_interrupts(FdtWriter& fdt) const {
  // GICv2 has a mask of CPUs beside the flags.
  const auto cpus = static_cast<uint32_t>((1u << cpus_.size()) - 1);
  const uint32_t flags = kLevel | (config_.gicv3 ? 0 : cpus << 8);
  fdt.begin("timer");
  fdt.texts("compatible", {"arm,armv8-timer", "arm,armv7-timer"});
  fdt.flag("always-on");
  fdt.cells("interrupts", {kPpi, kSecureTimerPpi - 16, flags, kPpi, kPhysicalTimerPpi - 16, flags,  //
                           kPpi, kVirtualTimerPpi - 16, flags, kPpi, kHypTimerPpi - 16, flags});
  fdt.end();

  fdt.begin(fmt::format("intc@{:x}", kGicDistributor));
  fdt.cells("phandle", {kGicHandle});
  fdt.flag("interrupt-controller");
  fdt.cells("#interrupt-cells", {3});
  fdt.cells("#address-cells", {2});
  fdt.cells("#size-cells", {2});
  fdt.flag("ranges");
  if (config_.gicv3) {
    fdt.text("compatible", "arm,gic-v3");
    fdt.cells("#redistributor-regions", {1});
    fdt.wide("reg", {kGicDistributor, kGicDistributorSize, kGicRedistributors, kGicRedistributorsSize});
    fdt.begin(fmt::format("its@{:x}", kGicIts));
    fdt.cells("phandle", {kMsiHandle});
    fdt.text("compatible", "arm,gic-v3-its");
    fdt.flag("msi-controller");
    fdt.cells("#msi-cells", {1});
    fdt.wide("reg", {kGicIts, kGicItsSize});
    fdt.end();
  } else {
    fdt.text("compatible", "arm,cortex-a15-gic");
    fdt.wide("reg", {kGicDistributor, kGicDistributorSize, kGicCpu, kGicCpuSize});
    fdt.begin(fmt::format("v2m@{:x}", kGicV2m));
    fdt.cells("phandle", {kMsiHandle});
    fdt.text("compatible", "arm,gic-v2m-frame");
    fdt.flag("msi-controller");
    fdt.wide("reg", {kGicV2m, 0x1000});
    fdt.end();
  }
  fdt.end();
}

void VirtMachine::describe_devices(FdtWriter& fdt) const {
  fdt.begin("apb-pclk");
  fdt.cells("phandle", {kClockHandle});
  fdt.text("compatible", "fixed-clock");
  fdt.cells("#clock-cells", {0});
  fdt.cells("clock-frequency", {24'000'000});
  fdt.text("clock-output-names", "clk24mhz");
  fdt.end();

  fdt.begin(fmt::format("pl011@{:x}", kUart));
  fdt.texts("compatible", {"arm,pl011", "arm,primecell"});
  fdt.wide("reg", {kUart, 0x1000});
  fdt.cells("interrupts", {kSpi, kUartIrq, kLevel});
  fdt.cells("clocks", {kClockHandle, kClockHandle});
  fdt.texts("clock-names", {"uartclk", "apb_pclk"});
  fdt.end();

  fdt.begin(fmt::format("pl031@{:x}", kRtc));
  fdt.texts("compatible", {"arm,pl031", "arm,primecell"});
  fdt.wide("reg", {kRtc, 0x1000});
  fdt.cells("interrupts", {kSpi, kRtcIrq, kLevel});
  fdt.cells("clocks", {kClockHandle});
  fdt.text("clock-names", "apb_pclk");
  fdt.end();

  fdt.begin(fmt::format("pl061@{:x}", kGpio));
  fdt.cells("phandle", {kGpioHandle});
  fdt.texts("compatible", {"arm,pl061", "arm,primecell"});
  fdt.wide("reg", {kGpio, 0x1000});
  fdt.cells("interrupts", {kSpi, kGpioIrq, kLevel});
  fdt.cells("#gpio-cells", {2});
  fdt.flag("gpio-controller");
  fdt.cells("clocks", {kClockHandle});
  fdt.text("clock-names", "apb_pclk");
  fdt.end();

  for (unsigned i = 0; i < kVirtioCount; ++i) {
    const uint64_t base = kVirtio + i * kVirtioSize;
    fdt.begin(fmt::format("virtio_mmio@{:x}", base));
    fdt.text("compatible", "virtio,mmio");
    fdt.wide("reg", {base, kVirtioSize});
    fdt.cells("interrupts", {kSpi, kVirtioIrq + i, kLevel});
    fdt.flag("dma-coherent");
    fdt.end();
  }

  fdt.begin(fmt::format("fw-cfg@{:x}", kFwCfg));
  fdt.text("compatible", "qemu,fw-cfg-mmio");
  fdt.wide("reg", {kFwCfg, devices::FwCfg::kSize});
  fdt.flag("dma-coherent");
  fdt.end();

  if (has_firmware()) {
    fdt.begin(fmt::format("flash@{:x}", kFlash));
    fdt.text("compatible", "cfi-flash");
    fdt.wide("reg", {kFlash, kFlashSize, kFlash + kFlashSize, kFlashSize});
    fdt.cells("bank-width", {4});
    fdt.end();
  }

  fdt.begin("gpio-keys");
  fdt.text("compatible", "gpio-keys");
  fdt.begin("poweroff");
  fdt.text("label", "GPIO Key Poweroff");
  fdt.cells("linux,code", {116});  // KEY_POWER
  fdt.cells("gpios", {kGpioHandle, kPowerButtonLine, 0});
  fdt.end();
  fdt.end();
}

void VirtMachine::describe_pci(FdtWriter& fdt) const {
  fdt.begin(fmt::format("pcie@{:x}", kPciMemory));
  fdt.text("compatible", "pci-host-ecam-generic");
  fdt.text("device_type", "pci");
  fdt.cells("#address-cells", {3});
  fdt.cells("#size-cells", {2});
  fdt.cells("#interrupt-cells", {1});
  fdt.cells("linux,pci-domain", {0});
  fdt.cells("bus-range", {0, static_cast<uint32_t>(kPciEcamSize / (1 << 20)) - 1});
  fdt.flag("dma-coherent");
  fdt.wide("reg", {kPciEcam, kPciEcamSize});
  const auto window = [](uint32_t kind, uint64_t bus, uint64_t cpu, uint64_t size) {
    return std::array<uint32_t, 7>{kind,
                                   static_cast<uint32_t>(bus >> 32),
                                   static_cast<uint32_t>(bus),
                                   static_cast<uint32_t>(cpu >> 32),
                                   static_cast<uint32_t>(cpu),
                                   static_cast<uint32_t>(size >> 32),
                                   static_cast<uint32_t>(size)};
  };
  std::vector<uint32_t> ranges;
  for (const auto& one : {window(0x0100'0000, 0, kPciPorts, kPciPortsSize),
                          window(0x0200'0000, kPciMemory, kPciMemory, kPciMemorySize),
                          window(0x0300'0000, kPciHighMemory, kPciHighMemory, kPciHighMemorySize)})
    ranges.insert(ranges.end(), one.begin(), one.end());
  fdt.cells("ranges", ranges);
  // Requester ids are device ids of the ITS as they are.
  fdt.cells("msi-map", {0, kMsiHandle, 0, 0x10000});
  // Pin p of device d is line (d + p - 1) % 4, and so for four devices in turn.
  std::vector<uint32_t> lines;
  for (uint32_t device = 0; device < 4; ++device)
    for (uint32_t pin = 1; pin <= 4; ++pin)
      for (const uint32_t cell :
           {device << 11, 0u, 0u, pin, kGicHandle, 0u, 0u, kSpi, kPciIrq + (device + pin - 1) % 4, kLevel})
        lines.push_back(cell);
  fdt.cells("interrupt-map-mask", {0x1800, 0, 0, 7});
  fdt.cells("interrupt-map", lines);
  fdt.end();
}

}  // namespace lyrebird::machines
