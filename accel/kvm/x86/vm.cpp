// SPDX-License-Identifier: Apache-2.0
/// What x86 machines need before they have vCPUs.
#include "accel/kvm/vm.h"

#include "accel/kvm/linux_kvm.h"

namespace lyrebird::accel::kvm {
namespace {

// Intel's processors without "unrestricted guest" run real mode with a task and page tables of KVM's own.
// They lie below the ROM at the top of 4 GiB, where no guest has memory.
constexpr uint64_t kIdentityMap = 0xfeffc000, kTaskState = 0xfeffd000;
constexpr unsigned kPicLines = 16, kIoApicLines = 24;

void append(std::vector<uint8_t>& to, unsigned gsi, unsigned chip, unsigned pin) {
  kvm_irq_routing_entry entry{};
  entry.gsi = gsi;
  entry.type = KVM_IRQ_ROUTING_IRQCHIP;
  entry.u.irqchip.irqchip = chip;
  entry.u.irqchip.pin = pin;
  const auto* const bytes = reinterpret_cast<const uint8_t*>(&entry);
  to.insert(to.end(), bytes, bytes + sizeof entry);
}

}  // namespace

Result<void> Vm::prepare() {
  uint64_t identity_map = kIdentityMap;
  if (check(KVM_CAP_SET_IDENTITY_MAP_ADDR) > 0) fd_.control(KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
  if (const int result = fd_.control(KVM_SET_TSS_ADDR, kTaskState); result < 0)
    return Error{failure("KVM_SET_TSS_ADDR", result)};
  // What an exception brings along, and a triple fault on its way, are part of the state.
  for (const unsigned long capability : {KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_X86_TRIPLE_FAULT_EVENT}) {
    kvm_enable_cap cap{};
    cap.cap = static_cast<__u32>(capability);
    cap.args[0] = 1;
    if (check(capability) > 0) fd_.control(KVM_ENABLE_CAP, &cap);
  }
  if (options_.irqchip == Irqchip::Kernel) {
    if (const int result = fd_.control(KVM_CREATE_IRQCHIP); result < 0)
      return Error{failure("KVM_CREATE_IRQCHIP (try -machine kernel-irqchip=off)", result)};
    kvm_pit_config pit{};
    pit.flags = KVM_PIT_SPEAKER_DUMMY;
    if (options_.pit)
      if (const int result = fd_.control(KVM_CREATE_PIT2, &pit); result < 0)
        return Error{failure("KVM_CREATE_PIT2", result)};
    for (const unsigned chip : {KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_IRQCHIP_IOAPIC}) {
      kvm_irqchip state{};
      state.chip_id = chip;
      if (const int result = fd_.control(KVM_GET_IRQCHIP, &state); result < 0)
        return Error{failure("KVM_GET_IRQCHIP", result)};
      const auto* const bytes = reinterpret_cast<const uint8_t*>(&state);
      power_on_chips_.emplace_back(bytes, bytes + sizeof state);
    }
    if (options_.pit) {
      kvm_pit_state2 state{};
      if (const int result = fd_.control(KVM_GET_PIT2, &state); result < 0)
        return Error{failure("KVM_GET_PIT2", result)};
      const auto* const bytes = reinterpret_cast<const uint8_t*>(&state);
      power_on_pit_.assign(bytes, bytes + sizeof state);
    }
    return set_routes();
  } else if (options_.irqchip == Irqchip::Split) {
    kvm_enable_cap cap{};
    cap.cap = KVM_CAP_SPLIT_IRQCHIP;
    cap.args[0] = kIoApicLines;
    if (const int result = fd_.control(KVM_ENABLE_CAP, &cap); result < 0)
      return Error{failure("KVM_CAP_SPLIT_IRQCHIP (try -machine kernel-irqchip=on)", result)};
  }
  return {};
}

Result<void> Vm::save(system::StateWriter& to) const {
  to.begin("kvm", 1);
  kvm_clock_data clock{};
  if (const int result = fd_.control(KVM_GET_CLOCK, &clock); result < 0)
    return Error{failure("KVM_GET_CLOCK", result)};
  to.field("clock", uint64_t{clock.clock});
  to.field("chips", static_cast<uint32_t>(power_on_chips_.size()));
  for (size_t i = 0; i < power_on_chips_.size(); ++i) {
    kvm_irqchip chip{};
    chip.chip_id = static_cast<__u32>(i);
    if (const int result = fd_.control(KVM_GET_IRQCHIP, &chip); result < 0)
      return Error{failure("KVM_GET_IRQCHIP", result)};
    to.bytes("chip", {reinterpret_cast<const uint8_t*>(&chip), sizeof chip});
  }
  to.field("pit", !power_on_pit_.empty());
  if (!power_on_pit_.empty()) {
    kvm_pit_state2 pit{};
    if (const int result = fd_.control(KVM_GET_PIT2, &pit); result < 0)
      return Error{failure("KVM_GET_PIT2", result)};
    to.bytes("pit_state", {reinterpret_cast<const uint8_t*>(&pit), sizeof pit});
  }
  to.end();
  return {};
}

Result<void> Vm::load(system::StateReader& from) {
  kvm_clock_data clock{};
  uint64_t nanoseconds = 0;
  uint32_t chips = 0;
  bool has_pit = false;
  from.begin("kvm", 1);
  from.field("clock", nanoseconds);
  from.field("chips", chips);
  if (from.ok() && chips != power_on_chips_.size()) from.fail("another kernel-irqchip than this machine has");
  for (uint32_t i = 0; from.ok() && i < chips; ++i) {
    kvm_irqchip chip{};
    from.array("chip", std::span<uint8_t>(reinterpret_cast<uint8_t*>(&chip), sizeof chip));
    chip.chip_id = i;
    if (!from.ok()) break;
    if (const int result = fd_.control(KVM_SET_IRQCHIP, &chip); result < 0)
      return Error{failure("KVM_SET_IRQCHIP", result)};
  }
  from.field("pit", has_pit);
  if (from.ok() && has_pit != !power_on_pit_.empty())
    from.fail("one machine has a PIT, and the other has not");
  if (from.ok() && has_pit) {
    kvm_pit_state2 pit{};
    from.array("pit_state", std::span<uint8_t>(reinterpret_cast<uint8_t*>(&pit), sizeof pit));
    if (const int result = fd_.control(KVM_SET_PIT2, &pit); from.ok() && result < 0)
      return Error{failure("KVM_SET_PIT2", result)};
  }
  from.end();
  if (!from.ok()) return from.status();
  clock.clock = nanoseconds;
  if (const int result = fd_.control(KVM_SET_CLOCK, &clock); result < 0)
    return Error{failure("KVM_SET_CLOCK", result)};
  return {};
}

void Vm::reset_controllers() {
  for (const auto& chip : power_on_chips_) fd_.control(KVM_SET_IRQCHIP, chip.data());
  if (!power_on_pit_.empty()) fd_.control(KVM_SET_PIT2, power_on_pit_.data());
}

void Vm::add_chip_routes(std::vector<uint8_t>& entries) const {
  if (options_.irqchip != Irqchip::Kernel) return;
  // GSI 0 is the timer, which the I/O APIC has on its second pin (ACPI says so with an override).
  for (unsigned gsi = 0; gsi < kPicLines; ++gsi)
    if (gsi != 2) append(entries, gsi, gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, gsi % 8);
  for (unsigned gsi = 0; gsi < kIoApicLines; ++gsi)
    if (gsi != 2) append(entries, gsi, KVM_IRQCHIP_IOAPIC, gsi == 0 ? 2 : gsi);
}

}  // namespace lyrebird::accel::kvm
