// SPDX-License-Identifier: Apache-2.0
#include "machines/microvm.h"

#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "frontend/x86/system/x86_state_stream.h"
#include "machines/acpi/tables.h"
#include "machines/mp_table.h"

namespace lyrebird::machines {
namespace {

constexpr uint64_t kLowMost = 0xc000'0000, kFourGiB = uint64_t{1} << 32;
constexpr uint64_t kEvents = 0xfea0'0000, kPower = 0xfea0'0200, kVirtio = 0xfeb0'0000, kIoApic = 0xfec0'0000;
constexpr uint64_t kUartPort = 0x3f8, kKeyboardPort = 0x64, kRtcPort = 0x70;
constexpr unsigned kUartIrq = 4, kRtcIrq = 8, kEventsGsi = 9, kFirstVirtioGsi = 16;
constexpr uint64_t kLeastRam = 4 << 20;
constexpr uint64_t kMpAt = 0xf0000;  ///< where kernels look for it
constexpr unsigned kMpMost = 254;

}  // namespace

Result<std::unique_ptr<MicrovmMachine>> MicrovmMachine::create(system::EventLoop& loop,
                                                               MicrovmOptions options) {
  std::unique_ptr<MicrovmMachine> machine(new MicrovmMachine(loop, std::move(options)));
  if (auto built = machine->build(); !built) return built.error();
  return machine;
}

MicrovmMachine::MicrovmMachine(system::EventLoop& loop, MicrovmOptions options)
    : Machine(loop), options_(std::move(options)) {}

MicrovmMachine::~MicrovmMachine() {
  stop_cpus();
  for (Slot& slot : slots_)
    for (const int fd : slot.eventfds) {
      loop().unwatch(fd);
      close(fd);
    }
  for (const auto& cpu : cpus_) cpu->vcpu.reset();
}

Result<void> MicrovmMachine::build() {
  if (options_.cpus < 1) return Error{"-smp 0: a machine has at least one processor"};
  if (options_.ram_size < kLeastRam)
    return Error{fmt::format("-m {}K: microvm has at least 4 MiB of memory", options_.ram_size >> 10)};
  auto ram = system::RamBlock::create("microvm.ram", options_.ram_size, options_.ram);
  if (!ram) return ram.error();
  ram_ = std::move(*ram);
  sizes_.low = std::min(ram_->size(), kLowMost);
  sizes_.high = ram_->size() - sizes_.low;
  root_ = system::MemoryRegion::container("system", uint64_t{1} << 52);
  low_ = system::MemoryRegion::ram("ram-below-4g", *ram_, 0, sizes_.low);
  root_->add(*low_, 0);
  if (sizes_.high) {
    high_ = system::MemoryRegion::ram("ram-above-4g", *ram_, sizes_.low, sizes_.high);
    root_->add(*high_, kFourGiB);
  }
  memory_ = std::make_unique<system::AddressSpace>("memory", *root_);
  port_root_ = system::MemoryRegion::container("io", 0x10000);
  ports_ = std::make_unique<system::AddressSpace>("I/O", *port_root_);

  accel::KvmOptions kvm;
  kvm.device = options_.kvm_device;
  kvm.cpu = options_.cpu;
  kvm.cpus = options_.cpus;
  kvm.vm.irqchip = options_.split_irqchip ? accel::kvm::Irqchip::Split : accel::kvm::Irqchip::Kernel;
  kvm.vm.pit = options_.pit && !options_.split_irqchip;
  if (options_.split_irqchip) kvm.end_of_interrupt = this;
  kvm.vm.dirty_ring = options_.dirty_ring;
  kvm.disassembler = options_.disassembler;
  auto accelerator = accel::KvmAccelerator::create(kvm, *memory_, *ports_);
  if (!accelerator) return accelerator.error();
  kvm_ = std::move(*accelerator);
  if (const unsigned bits = kvm_->cpuid().address_bits();
      sizes_.high && kFourGiB + sizes_.high > uint64_t{1} << bits)
    return Error{fmt::format("-m {}M: this processor has {} bits of physical addresses",
                             options_.ram_size >> 20, bits)};
  add_devices();
  if (auto added = add_cpus(); !added) return added;
  if (auto loaded = load(); !loaded) return loaded;
  return {};
}

void MicrovmMachine::map(const char* name, uint64_t address, uint64_t size, system::Device& device,
                         std::string text, system::IoSizes sizes) {
  regions_.push_back(system::MemoryRegion::io(name, size, device, sizes));
  root_->add(*regions_.back(), address);
  to_reset_.push_back(&device);
  board_.push_back({name, fmt::format("{:#010x}, {}", address, text)});
}

void MicrovmMachine::map_port(const char* name, uint64_t port, uint64_t size, system::Device& device,
                              std::string text) {
  regions_.push_back(system::MemoryRegion::io(name, size, device, {1, 1}));
  port_root_->add(*regions_.back(), port);
  to_reset_.push_back(&device);
  board_.push_back({name, fmt::format("port {:#x}, {}", port, text)});
}

void MicrovmMachine::add_devices() {
  const system::MemoryTransaction all_at_once;
  if (options_.split_irqchip) {
    // The kernel must know which vectors are level-triggered: it comes out at their ends.
    ioapic_ = std::make_unique<devices::IoApic>(
        kvm_->vm(), [&vm = kvm_->vm()](unsigned pin, bool masked, const devices::IoApic::Message& message) {
          if (masked)
            vm.remove_msi_route(pin);
          else
            (void)vm.change_msi_route(pin, message.address, message.data);
        });
    map("ioapic", kIoApic, devices::IoApic::kSize, *ioapic_, "24 pins", {4, 4});
    kvm_->vm().coalesce(kIoApic, 4, false, true);
  }
  const auto gsi = [&](unsigned number) {
    return ioapic_ ? system::IrqLine(*ioapic_, number) : system::IrqLine(kvm_->vm(), number);
  };
  uart_ =
      std::make_unique<devices::Uart16550>(options_.serial ? *options_.serial : no_serial_, gsi(kUartIrq));
  map_port("uart-16550", kUartPort, devices::Uart16550::kSize, *uart_, fmt::format("GSI {}", kUartIrq));
  if (options_.rtc) {
    rtc_ = std::make_unique<devices::Mc146818>(clock(), options_.epoch, gsi(kRtcIrq));
    map_port("mc146818", kRtcPort, devices::Mc146818::kSize, *rtc_, fmt::format("GSI {}", kRtcIrq));
    kvm_->vm().coalesce(kRtcPort, 1, true, true);  // which register: the data's access follows
  }
  reset_port_ = std::make_unique<devices::ResetPort>([this] { request_reset(); });
  map_port("reset", kKeyboardPort, 1, *reset_port_, "0xfe resets");
  events_ = std::make_unique<devices::AcpiEvents>(gsi(kEventsGsi));
  power_ = std::make_unique<devices::AcpiPower>([this] { request_shutdown(Shutdown::Guest); },
                                                [this] { request_reset(); });
  if (options_.acpi) {
    map("acpi-events", kEvents, devices::AcpiEvents::kSize, *events_, fmt::format("GSI {}", kEventsGsi),
        {4, 4});
    map("acpi-power", kPower, devices::AcpiPower::kSize, *power_, "sleep and reset", {1, 1});
  }
  for (unsigned i = 0; i < kSlots; ++i) {
    slots_[i].mmio = std::make_unique<devices::VirtioMmio>(gsi(kFirstVirtioGsi + i));
    map("virtio-mmio", kVirtio + i * devices::VirtioMmio::kSize, devices::VirtioMmio::kSize, *slots_[i].mmio,
        fmt::format("GSI {}", kFirstVirtioGsi + i), {1, 4});
  }
}

Result<void> MicrovmMachine::add_cpus() {
  for (unsigned i = 0; i < options_.cpus; ++i) {
    cpus_.push_back(std::make_unique<Cpu>());
    auto vcpu = kvm_->create_vcpu(i, cpus_[i]->state.cpu.header, *memory_);
    if (!vcpu) return vcpu.error();
    cpus_[i]->vcpu = std::move(*vcpu);
    add_cpu(*cpus_[i]->vcpu, fmt::format("cpu{}", i));
  }
  return {};
}

Bytes MicrovmMachine::make_acpi() const {
  using acpi::Aml;
  using acpi::Resources;
  Aml dsdt;
  dsdt.scope("\\_SB", [&](Aml& sb) {
    sb.device("COM1", [](Aml& uart) {
      uart.name("_HID").eisa_id("PNP0501");
      uart.name("_UID").integer(1);
      uart.name("_CRS").resources(Resources().port(kUartPort, devices::Uart16550::kSize).irq(kUartIrq));
    });
    if (options_.rtc)
      sb.device("RTC", [](Aml& rtc) {
        rtc.name("_HID").eisa_id("PNP0B00");
        rtc.name("_CRS").resources(Resources().port(kRtcPort, devices::Mc146818::kSize).irq(kRtcIrq));
      });
    sb.device("PWRB", [](Aml& button) {
      button.name("_HID").eisa_id("PNP0C0C");
      button.name("_UID").integer(0);
    });
    sb.device("GED", [](Aml& ged) {
      ged.name("_HID").string("ACPI0013");
      ged.name("_UID").string("GED");
      ged.name("_CRS").resources(Resources().interrupt(kEventsGsi, Resources::Trigger::Edge));
      ged.system_memory_region("EREG", kEvents, devices::AcpiEvents::kSize);
      ged.field32("EREG", "ESEL");
      ged.method("_EVT", 1, true, [](Aml& method) {
        const auto events = [](Aml& a) { a.local(0); };
        method.store([](Aml& a) { a.path("ESEL"); }, events);
        method.if_bits(events, devices::kAcpiPowerButton, [](Aml& a) { a.notify("\\_SB.PWRB", 0x80); });
      });
    });
    for (unsigned i = 0; i < kSlots; ++i)
      sb.device(fmt::format("VR{:02}", i), [i](Aml& slot) {
        const auto base = static_cast<uint32_t>(kVirtio + i * devices::VirtioMmio::kSize);
        slot.name("_HID").string("LNRO0005");
        slot.name("_UID").integer(i);
        slot.name("_CCA").integer(1);
        slot.name("_CRS").resources(Resources()
                                        .memory32(base, devices::VirtioMmio::kSize)
                                        .interrupt(kFirstVirtioGsi + i, Resources::Trigger::Level));
      });
  });
  dsdt.name("\\_S5").package(
      4, [](Aml& type) { type.integer(devices::AcpiPower::kSoftOff).integer(0).integer(0).integer(0); });
  const acpi::ReducedHardware hardware{kPower + devices::AcpiPower::kSleepControl,
                                       kPower + devices::AcpiPower::kSleepStatus,
                                       kPower + devices::AcpiPower::kReset, devices::AcpiPower::kResetValue};
  acpi::Interrupts interrupts;
  interrupts.cpus = options_.cpus;
  return acpi::lay_out(kX86AcpiTables, kX86AcpiRoom, dsdt, hardware, interrupts);
}

Result<void> MicrovmMachine::load() {
  if (options_.boot.kernel.empty())
    return Error{"microvm has no firmware: name a kernel with -kernel (a vmlinuz for x86)"};
  X86BootFiles files = options_.boot;
  if (!options_.acpi)
    for (unsigned i = 0; i < kSlots; ++i)
      files.append += fmt::format(" virtio_mmio.device={}@{:#x}:{}", devices::VirtioMmio::kSize,
                                  kVirtio + i * devices::VirtioMmio::kSize, kFirstVirtioGsi + i);
  auto boot = load_x86_kernel(files, sizes_, options_.acpi ? kX86AcpiTables : 0);
  if (!boot) return boot.error();
  boot_ = std::move(*boot);
  if (options_.acpi) {
    Bytes tables = make_acpi();
    if (tables.empty())
      return Error{fmt::format("-smp {}: the ACPI tables of so many processors do not fit", options_.cpus)};
    const uint64_t size = tables.size();
    boot_.segments.push_back({kX86AcpiTables, std::move(tables), size});
  } else {
    if (options_.cpus > kMpMost)
      return Error{
          fmt::format("-smp {}: without ACPI there are {} processors at most", options_.cpus, kMpMost)};
    MpTable table;
    table.cpus = options_.cpus;
    table.ioapic_id = 0;  // as the controller in the kernel says
    Bytes bytes = make_mp_table(kMpAt, table);
    const uint64_t size = bytes.size();
    boot_.segments.push_back({kMpAt, std::move(bytes), size});
  }
  reset_board();
  return reset_status_;
}

std::vector<Machine::Trait> MicrovmMachine::traits() const {
  const auto on = [](bool is) { return std::string(is ? "on" : "off"); };
  return {{"-M", "microvm"},
          {"-smp", std::to_string(options_.cpus)},
          {"-m", fmt::format("{}M", ram_->size() >> 20)},
          {"-M acpi", on(options_.acpi)},
          {"-M pit", on(options_.pit)},
          {"-M rtc", on(options_.rtc)},
          {"-M kernel-irqchip", options_.split_irqchip ? "split" : "on"},
          {"-cpu (digest of all features)", fmt::format("{:016x}", kvm_->cpuid().digest())}};
}

Result<void> MicrovmMachine::save(system::StateWriter& to) {
  to.begin("microvm", 1);
  to.field("clock", clock().now_ns());
  for (const auto& cpu : cpus_) {
    if (auto read = cpu->vcpu->read_state(); !read) return read;
    x86::save_state(cpu->state, to);
  }
  if (auto saved = kvm_->vm().save(to); !saved) return saved;
  for (system::Device* const device : to_reset_) {
    const std::lock_guard lock(device->mutex());
    device->save(to);
  }
  to.end();
  return {};
}

Result<void> MicrovmMachine::load(system::StateReader& from) {
  int64_t now = 0;
  from.begin("microvm", 1);
  from.field("clock", now);
  if (from.ok()) clock().set_ns(now);
  for (const auto& cpu : cpus_) {
    if (auto read = cpu->vcpu->read_state(); !read) return read;
    if (auto loaded = x86::load_state(cpu->state, from); !loaded) return loaded;
    if (auto written = cpu->vcpu->write_state(); !written) return written;
  }
  if (auto loaded = kvm_->vm().load(from); !loaded) return loaded;
  for (system::Device* const device : to_reset_) {
    const std::lock_guard lock(device->mutex());
    if (auto loaded = device->load(from); !loaded) return loaded;
  }
  from.end();
  return from.status();
}

Result<void> MicrovmMachine::plug(devices::VirtioDevice& device) {
  if (used_slots_ == kSlots)
    return Error{fmt::format("-device: microvm has {} places for virtio devices, and all are taken", kSlots)};
  slots_[used_slots_].mmio->plug(device);
  for (const auto& [offset, size] : devices::VirtioMmio::kPlainRegisters)
    kvm_->vm().coalesce(kVirtio + used_slots_ * devices::VirtioMmio::kSize + offset, size, false, true);
  if (options_.ioeventfd) connect_notify(used_slots_, device);
  ++used_slots_;
  return {};
}

void MicrovmMachine::connect_notify(unsigned slot, devices::VirtioDevice& device) {
  for (unsigned queue = 0; queue < device.queue_count(); ++queue) {
    const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) return;
    accel::kvm::Vm::Notify at;
    at.address = kVirtio + slot * devices::VirtioMmio::kSize + devices::VirtioMmio::kQueueNotify;
    at.size = 4;
    at.match = true;
    at.value = queue;
    // Without one the write calls the device, on the vCPU's thread: slower, and the same.
    if (!kvm_->vm().connect_ioeventfd(fd, at)) {
      close(fd);
      return;
    }
    slots_[slot].eventfds.push_back(fd);
    loop().watch(fd, EPOLLIN | EPOLLET, [queue, &device](uint32_t) { device.notified(queue); });
  }
}

void MicrovmMachine::reset_board() {
  for (system::Device* const device : to_reset_) device->reset();
  kvm_->vm().reset_controllers();
  for (const Segment& segment : boot_.segments) {
    memory_->load_bytes(segment.address, segment.bytes.data(), segment.bytes.size());
    const Bytes zeros(segment.memory_size - segment.bytes.size());
    memory_->load_bytes(segment.address + segment.bytes.size(), zeros.data(), zeros.size());
  }
  for (unsigned i = 0; i < cpus_.size(); ++i) {
    x86::X86SystemState& state = cpus_[i]->state;
    x86::reset(state, i == 0);
    if (i == 0) enter_x86_kernel(boot_, state.cpu);
    if (auto written = cpus_[i]->vcpu->write_state(); !written) reset_status_ = written;
  }
  if (!reset_status_) request_shutdown(Shutdown::Error);
}

}  // namespace lyrebird::machines
