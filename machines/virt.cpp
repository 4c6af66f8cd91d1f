// SPDX-License-Identifier: Apache-2.0
#include "machines/virt.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "base/bits.h"
#include "base/log.h"
#include "frontend/arm/cpu_model.h"
#include "frontend/arm/system/system_mode.h"
#include "machines/virt_cpu.h"
#include "machines/virt_map.h"

namespace lyrebird::machines {

using namespace virt;

Result<std::unique_ptr<VirtMachine>> VirtMachine::create(system::EventLoop& loop, VirtOptions options,
                                                         const EngineFactory& engine) {
  std::unique_ptr<VirtMachine> machine(new VirtMachine(loop, std::move(options)));
  if (Result<void> built = machine->build(engine); !built.ok()) return built.error();
  return machine;
}

VirtMachine::VirtMachine(system::EventLoop& loop, VirtOptions options)
    : Machine(loop, options.counted_clock), options_(std::move(options)) {}

VirtMachine::~VirtMachine() {
  stop_cpus();
  for (const auto& cpu : cpus_) cpu->vcpu_.reset();
  engine_.accelerator.reset();
}

Result<void> VirtMachine::build(const EngineFactory& engine) {
  VirtOptions& o = options_;
  config_.model = arm::find_cpu_model(o.cpu);
  if (!config_.model) return Error{fmt::format("-cpu {}: no such processor; -cpu help lists them", o.cpu)};
  if (o.gic_version == 0) o.gic_version = o.cpus > devices::GicV2::kMaxCpus ? 3 : 2;
  const unsigned limit = o.gic_version == 2 ? devices::GicV2::kMaxCpus : 16;
  if (o.cpus < 1 || o.cpus > limit)
    return Error{
        fmt::format("-smp {}: virt has 1 to {} CPUs with gic-version={}", o.cpus, limit, o.gic_version)};
  if (o.ram_size > kMaxRam || o.ram_size < (16u << 20))
    return Error{fmt::format("-m {}M: virt has 16 MiB to 255 GiB of memory", o.ram_size >> 20)};
  config_.count_instructions = o.counted_clock != nullptr;
  config_.el2 = o.virtualization;
  config_.el3 = o.secure;
  config_.gicv3 = o.gic_version == 3;
  config_.psci = o.secure && has_firmware()     ? arm::PsciConduit::None
                 : o.secure || o.virtualization ? arm::PsciConduit::Smc
                                                : arm::PsciConduit::Hvc;
  config_.pa_bits = 44;
  if (config_.gicv3 && o.virtualization)
    return Error{"-M virtualization=on: not supported with gic-version=3 yet; use gic-version=2"};

  auto ram = system::RamBlock::create("mach-virt.ram", o.ram_size, o.ram);
  if (!ram.ok()) return ram.error();
  ram_ = std::move(*ram);
  root_ = system::MemoryRegion::container("system", uint64_t{1} << 52);
  ram_region_ = system::MemoryRegion::ram("mach-virt.ram", *ram_);
  root_->add(*ram_region_, kRam);
  memory_ = std::make_unique<system::AddressSpace>("memory", *root_);

  auto made = engine(config_);
  if (!made.ok()) return made.error();
  engine_ = std::move(*made);
  for (unsigned i = 0; i < o.cpus; ++i) cpus_.push_back(nullptr);
  add_interrupt_controller();
  add_devices();
  add_pci();
  add_fw_cfg();
  for (unsigned chip = 0; chip < 2 && has_firmware(); ++chip)
    if (Result<void> result = add_flash(chip); !result.ok()) return result;
  if (Result<void> result = add_cpus(); !result.ok()) return result;
  if (Result<void> result = load(); !result.ok()) return result;
  reset_board();
  return {};
}

void VirtMachine::map(const char* name, uint64_t address, uint64_t size, system::Device& device,
                      std::string text, system::IoSizes sizes) {
  regions_.push_back(system::MemoryRegion::io(name, size, device, sizes));
  root_->add(*regions_.back(), address);
  to_reset_.push_back(&device);
  board_.push_back({name, fmt::format("{:#010x}{}{}", address, text.empty() ? "" : ", ", text)});
}

system::IrqLine VirtMachine::spi(unsigned n) {
  return gicv3_ ? system::IrqLine(*gicv3_, n) : system::IrqLine(*gicv2_, n);
}
system::IrqLine VirtMachine::ppi(unsigned cpu, unsigned id) {
  return gicv3_ ? gicv3_->ppi(cpu, id) : gicv2_->ppi(cpu, id);
}

/// Clusters of 8 with a GICv2, which has so many CPUs; of 16 with a GICv3, where one SGI reaches 16 of Aff0.
uint64_t VirtMachine::mpidr(unsigned index, bool gicv3) {
  const unsigned cluster = gicv3 ? 16 : 8;
  return uint64_t{1} << 31 | (index / cluster) << 8 | index % cluster;
}

void VirtMachine::add_interrupt_controller() {
  // Controller and CPUs need each other: lines go to the CPU's object, which is made first and learns of
  // its timers' lines later.
  for (unsigned i = 0; i < options_.cpus; ++i) line_sinks_.push_back(std::make_unique<CpuLineSink>());
  if (!config_.gicv3) {
    std::vector<devices::GicV2::CpuLines> lines;
    for (const auto& sink : line_sinks_) lines.push_back({{*sink, arm::kLineIrq}, {*sink, arm::kLineFiq}});
    gicv2_ = std::make_unique<devices::GicV2>(kInterrupts, std::move(lines));
    board_.push_back({"gicv2", fmt::format("{:#010x}, {:#010x}", kGicDistributor, kGicCpu)});
    std::vector<system::IrqLine> messages;
    for (unsigned i = 0; i < kV2mIrqCount; ++i) messages.push_back(spi(kV2mIrq + i));
    v2m_ = std::make_unique<devices::GicV2m>(kGicV2m, kV2mIrq, std::move(messages));
    map("gicv2m", kGicV2m, 0x1000, *v2m_, "SPI 48 to 111", {4, 4});
    return;
  }
  std::vector<devices::GicV3::CpuConfig> cpus;
  for (unsigned i = 0; i < options_.cpus; ++i)
    cpus.push_back({mpidr(i, true) & 0xff'00ff'ffff,
                    {*line_sinks_[i], arm::kLineIrq},
                    {*line_sinks_[i], arm::kLineFiq}});
  gicv3_ = std::make_unique<devices::GicV3>(kInterrupts, std::move(cpus), *memory_);
  map("gicv3", kGicDistributor, kGicDistributorSize, gicv3_->distributor(), "", {1, 8});
  for (unsigned i = 0; i < options_.cpus; ++i)
    map("gicv3-redistributor", kGicRedistributors + i * kGicRedistributorSize, kGicRedistributorSize,
        gicv3_->redistributor(i), fmt::format("CPU {}", i), {1, 8});
  its_ = std::make_unique<devices::GicV3Its>(kGicIts, *gicv3_, *memory_);
  map("gicv3-its", kGicIts, kGicItsSize, *its_, "", {4, 8});
}

void VirtMachine::add_devices() {
  uart_ = std::make_unique<devices::Pl011>(options_.serial ? *options_.serial : no_serial_, spi(kUartIrq));
  map("pl011", kUart, 0x1000, *uart_, "SPI 1");
  rtc_ = std::make_unique<devices::Pl031>(clock(), options_.epoch, spi(kRtcIrq));
  map("pl031", kRtc, 0x1000, *rtc_, "SPI 2");
  gpio_ = std::make_unique<devices::Pl061>(spi(kGpioIrq));
  map("pl061", kGpio, 0x1000, *gpio_, "SPI 7");
  for (unsigned i = 0; i < kVirtioCount; ++i) {
    virtio_.push_back(std::make_unique<devices::VirtioMmio>(spi(kVirtioIrq + i)));
    map("virtio-mmio", kVirtio + i * kVirtioSize, kVirtioSize, *virtio_[i],
        fmt::format("SPI {}", kVirtioIrq + i));
  }
  button_release_ =
      std::make_unique<system::Timer>(clock(), [this] { gpio_->set_irq(kPowerButtonLine, false); });
}

void VirtMachine::add_fw_cfg() {
  fw_cfg_ = std::make_unique<devices::FwCfg>(*memory_);
  fw_cfg_->set_number(devices::FwCfg::kRamSize, ram_->size(), 8);
  fw_cfg_->set_number(devices::FwCfg::kCpuCount, options_.cpus, 2);
  map("fw_cfg", kFwCfg, devices::FwCfg::kSize, *fw_cfg_, "", devices::FwCfg::kSizes);
}

Result<void> VirtMachine::add_flash(unsigned chip) {
  const FlashOptions& o = options_.flash[chip];
  auto contents = system::RamBlock::create(fmt::format("virt.flash{}", chip), kFlashSize);
  if (!contents.ok()) return contents.error();
  flash_contents_[chip] = std::move(*contents);
  uint8_t* const bytes = flash_contents_[chip]->host();
  std::fill_n(bytes, kFlashSize, 0xff);
  devices::CfiFlash::Written written;
  if (!o.file.empty()) {
    auto file = read_file(o.file);
    if (!file.ok()) return Error{"flash: " + file.error().message};
    if (file->size() > kFlashSize)
      return Error{fmt::format("flash: {}: larger than {} MiB", o.file, kFlashSize >> 20)};
    std::copy(file->begin(), file->end(), bytes);
    if (!o.read_only) {
      const int fd = open(o.file.c_str(), O_RDWR | O_CLOEXEC);
      if (fd < 0)
        return Error{
            fmt::format("flash: {}: {}; readonly=on leaves it as it is", o.file, std::strerror(errno))};
      written = [bytes,
                 file = std::shared_ptr<const int>(new int(fd),
                                                   [](const int* f) {
                                                     close(*f);
                                                     delete f;
                                                   }),
                 size = file->size()](uint64_t offset, uint64_t count) {
        // What is behind the file's end was never in it.
        if (offset < size &&
            pwrite(*file, bytes + offset, std::min(count, size - offset), static_cast<off_t>(offset)) < 0)
          log_always("flash: the file can't be written; changes are lost at the end\n");
      };
    }
  }
  flash_[chip] = std::make_unique<devices::CfiFlash>(fmt::format("flash{}", chip), *flash_contents_[chip],
                                                     o.read_only, std::move(written));
  const uint64_t address = kFlash + chip * kFlashSize;
  root_->add(flash_[chip]->region(), address);
  to_reset_.push_back(flash_[chip].get());
  board_.push_back({"cfi-flash", fmt::format("{:#010x}", address)});
  return {};
}

void VirtMachine::add_pci() {
  std::array<system::IrqLine, 4> lines;
  for (unsigned i = 0; i < 4; ++i) lines[i] = spi(kPciIrq + i);
  system::MsiSink* const msi = its_ ? static_cast<system::MsiSink*>(its_.get()) : v2m_.get();
  pci_ = std::make_unique<devices::PciHost>(lines, msi);
  map("pcie-host", kPciEcam, kPciEcamSize, *pci_, "SPI 3 to 6");
  const auto window = [&](const char* name, system::MemoryRegion& space, uint64_t at, uint64_t from,
                          uint64_t size) {
    regions_.push_back(system::MemoryRegion::alias(name, space, from, size));
    root_->add(*regions_.back(), at);
  };
  window("pcie-mmio", pci_->memory_space(), kPciMemory, kPciMemory, kPciMemorySize);
  window("pcie-mmio-high", pci_->memory_space(), kPciHighMemory, kPciHighMemory, kPciHighMemorySize);
  window("pcie-ports", pci_->io_space(), kPciPorts, 0, kPciPortsSize);
}

Result<void> VirtMachine::plug(devices::VirtioDevice& device) {
  for (const auto& slot : virtio_) {
    if (slot->device()) continue;
    slot->plug(device);
    return {};
  }
  return Error{fmt::format("all {} virtio slots of virt are taken", kVirtioCount)};
}

std::optional<uint64_t> VirtMachine::debug_translate(size_t index, uint64_t address) {
  ir::CpuHeader& state = cpu(index).vcpu().state();
  const frontend::SystemFrontend& frontend = *engine_.frontend;
  frontend::Page page;
  const auto look = [&](unsigned space) {
    return frontend.translate_address(state, memory(), address, ir::Access::Read, space, true, page);
  };
  // A program's CPU shows its kernel's memory, too.
  const unsigned space = frontend.fetch_index(state.mode);
  const unsigned kernel = space == arm::kMmuEl0    ? arm::kMmuEl1
                          : space == arm::kMmuEl20 ? arm::kMmuEl2Host
                                                   : space;
  if (!look(space) && (kernel == space || !look(kernel))) return std::nullopt;
  return page.physical | (address & low_mask(page.bits));
}

void VirtMachine::power_button() {
  gpio_->set_irq(kPowerButtonLine, true);
  // As long as a finger would be on it.
  button_release_->arm(clock().now_ns() + system::kNanosecondsPerSecond / 10);
}

Result<void> VirtMachine::add_cpus() {
  for (unsigned i = 0; i < options_.cpus; ++i) {
    cpus_[i] = std::make_unique<Cpu>(*this, i);
    Cpu& cpu = *cpus_[i];
    if (gicv2_) {
      cpu.root_ = system::MemoryRegion::container(fmt::format("cpu{}", i), root_->size());
      cpu.everything_ = system::MemoryRegion::alias("system", *root_, 0, root_->size());
      cpu.distributor_ = system::MemoryRegion::io("gic-distributor", 0x1000, gicv2_->distributor(i));
      cpu.interface_ = system::MemoryRegion::io("gic-cpu", 0x2000, gicv2_->cpu_interface(i));
      cpu.root_->add(*cpu.everything_, 0);
      cpu.root_->add(*cpu.distributor_, kGicDistributor, 1);
      cpu.root_->add(*cpu.interface_, kGicCpu, 1);
      cpu.own_memory_ = std::make_unique<system::AddressSpace>(fmt::format("cpu{}", i), *cpu.root_);
    }
    auto vcpu = engine_.accelerator->create_vcpu(i, cpu.state_.header, gicv2_ ? *cpu.own_memory_ : *memory_);
    if (!vcpu.ok()) return vcpu.error();
    cpu.vcpu_ = std::move(*vcpu);
    line_sinks_[i]->cpu = cpu.vcpu_.get();
    add_cpu(*cpu.vcpu_, fmt::format("cpu{}", i));
  }
  return {};
}

arm::A64SystemState& VirtMachine::state(size_t cpu) { return cpus_[cpu]->state_; }

Result<void> VirtMachine::load_for_firmware() {
  using devices::FwCfg;
  const auto hand_over = [&](const std::string& path, const char* option, uint16_t size,
                             uint16_t data) -> Result<void> {
    if (path.empty()) return {};
    auto file = read_file(path);
    if (!file.ok()) return Error{fmt::format("{} {}", option, file.error().message)};
    fw_cfg_->set_number(size, file->size(), 4);
    fw_cfg_->set(data, std::move(*file));
    return {};
  };
  if (Result<void> r = hand_over(options_.kernel, "-kernel", FwCfg::kKernelSize, FwCfg::kKernelData); !r.ok())
    return r;
  if (Result<void> r = hand_over(options_.initrd, "-initrd", FwCfg::kInitrdSize, FwCfg::kInitrdData); !r.ok())
    return r;
  if (!options_.append.empty()) {
    Bytes text(options_.append.begin(), options_.append.end());
    text.push_back(0);
    fw_cfg_->set_number(FwCfg::kCommandLineSize, text.size(), 4);
    fw_cfg_->set(FwCfg::kCommandLine, std::move(text));
  }
  dtb_ = make_device_tree(0, 0);
  return {};
}

Result<void> VirtMachine::load() {
  if (has_firmware() && options_.dtb.empty()) return load_for_firmware();
  uint64_t free_from = kRam + (2u << 20);
  const uint64_t ram_end = kRam + ram_->size();
  entry_ = kRam;
  if (!options_.kernel.empty()) {
    auto file = read_file(options_.kernel);
    if (!file.ok()) return Error{"-kernel " + file.error().message};
    auto kernel = load_arm64_kernel(std::move(*file), options_.kernel, kRam);
    if (!kernel.ok()) return Error{"-kernel " + kernel.error().message};
    entry_ = kernel->entry;
    free_from = std::max(free_from, kernel->end);
    for (Segment& segment : kernel->segments) {
      if (segment.address < kRam || segment.memory_size > ram_end - segment.address)
        return Error{fmt::format("-kernel {}: does not fit into memory at {:#x}; give more with -m",
                                 options_.kernel, segment.address)};
      image_.push_back(std::move(segment));
    }
  }
  uint64_t initrd_start = 0, initrd_end = 0;
  if (!options_.initrd.empty()) {
    auto file = read_file(options_.initrd);
    if (!file.ok()) return Error{"-initrd " + file.error().message};
    const uint64_t middle = kRam + std::min<uint64_t>(ram_->size() / 2, 128u << 20);
    initrd_start = align_up(std::max(free_from, middle), 4096);
    initrd_end = initrd_start + file->size();
    if (initrd_end > ram_end)
      return Error{fmt::format("-initrd {}: does not fit behind the kernel; give more memory with -m",
                               options_.initrd)};
    const uint64_t size = file->size();
    image_.push_back({initrd_start, std::move(*file), size});
  }
  if (options_.dtb.empty()) {
    dtb_ = make_device_tree(initrd_start, initrd_end);
  } else {
    auto file = read_file(options_.dtb);
    if (!file.ok()) return Error{"-dtb " + file.error().message};
    if (file->size() > (2u << 20)) return Error{fmt::format("-dtb {}: larger than 2 MiB", options_.dtb)};
    dtb_ = std::move(*file);
  }
  return {};
}

void VirtMachine::reset_board() {
  for (system::Device* const device : to_reset_) device->reset();
  if (gicv2_) gicv2_->reset();
  if (gicv3_) gicv3_->reset();
  for (const Segment& segment : image_) {
    memory_->load_bytes(segment.address, segment.bytes.data(), segment.bytes.size());
    const Bytes zeros(4096);
    for (uint64_t at = segment.bytes.size(); at < segment.memory_size;) {
      const uint64_t piece = std::min<uint64_t>(segment.memory_size - at, zeros.size());
      memory_->load_bytes(segment.address + at, zeros.data(), piece);
      at += piece;
    }
  }
  memory_->load_bytes(kRam, dtb_.data(), dtb_.size());
  const std::lock_guard lock(power_mutex_);
  for (const auto& cpu : cpus_) {
    cpu->reset_timers();
    arm::reset_vcpu(cpu->state_, cpu->mpidr_);
    cpu->on_ = cpu->index_ == 0;
    // Firmware starts where the processor does after a reset.
    if (cpu->on_ && !has_firmware()) arm::set_entry(cpu->state_, entry_, arm::entry_el(config_), kRam);
    cpu->thread().set_power(cpu->on_);
  }
}

VirtMachine::Cpu* VirtMachine::find_cpu(uint64_t affinity) {
  constexpr uint64_t kAffinity = 0xff'00ff'ffff;
  for (const auto& cpu : cpus_)
    if (((cpu->mpidr_ ^ affinity) & kAffinity) == 0) return cpu.get();
  return nullptr;
}

arm::PsciResult VirtMachine::cpu_on(uint64_t affinity, uint64_t entry, uint64_t context) {
  Cpu* const cpu = find_cpu(affinity);
  if (!cpu) return arm::kPsciInvalidParameters;
  const std::lock_guard lock(power_mutex_);
  if (cpu->on_) return arm::kPsciAlreadyOn;
  // It may just be on its way out of cpu_off().
  cpu->thread().wait_paused();
  arm::reset_vcpu(cpu->state_, cpu->mpidr_);
  arm::set_entry(cpu->state_, entry, arm::entry_el(config_), context);
  cpu->on_ = true;
  cpu->thread().set_power(true);
  return arm::kPsciSuccess;
}

int32_t VirtMachine::affinity_info(uint64_t affinity, unsigned level) {
  const Cpu* const cpu = find_cpu(affinity);
  if (!cpu || level > 0) return arm::kPsciInvalidParameters;
  const std::lock_guard lock(power_mutex_);
  return cpu->on_ ? 0 : 1;
}

}  // namespace lyrebird::machines
