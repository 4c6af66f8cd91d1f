// SPDX-License-Identifier: Apache-2.0
#include "accel/kvm/vm.h"

#include <cstring>

#include "accel/kvm/linux_kvm.h"
#include "base/bits.h"

namespace lyrebird::accel::kvm {
namespace {

/// GSIs from here on are ours for messages; those below are the controllers' lines.
constexpr unsigned kFirstMsiGsi = 24;

kvm_ioeventfd ioeventfd_of(int eventfd, const Vm::Notify& at) {
  kvm_ioeventfd request{};
  request.fd = eventfd;
  request.addr = at.address;
  request.len = at.size;
  request.datamatch = at.value;
  request.flags = (at.port ? KVM_IOEVENTFD_FLAG_PIO : 0) | (at.match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0);
  return request;
}

}  // namespace

Result<std::unique_ptr<Vm>> Vm::create(const Device& device, const VmOptions& options) {
  std::unique_ptr<Vm> vm(new Vm(device, options));
  auto fd = device.create_vm();
  if (!fd) return fd.error();
  vm->fd_ = std::move(*fd);
  if (const auto done = vm->set_up(); !done) return done.error();
  return vm;
}

Vm::~Vm() = default;

int Vm::check(unsigned long capability) const { return fd_.control(KVM_CHECK_EXTENSION, capability); }

Result<void> Vm::set_up() {
  struct Needed {
    unsigned long capability;
    const char* name;
  };
  constexpr Needed kNeeded[] = {{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
                                {KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "KVM_CAP_DESTROY_MEMORY_REGION_WORKS"},
                                {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
                                {KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM"},
                                {KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD"}};
  for (const Needed& needed : kNeeded)
    if (check(needed.capability) <= 0)
      return Error{std::string(device_.path()) + ": this kernel has no " + needed.name +
                   "; use Linux 4.12 or later, or -accel jit"};

  bool manual_protect = false;
  kvm_enable_cap cap{};
  if (options_.dirty_ring != 0) {
    cap.cap =
        check(KVM_CAP_DIRTY_LOG_RING_ACQ_REL) > 0 ? KVM_CAP_DIRTY_LOG_RING_ACQ_REL : KVM_CAP_DIRTY_LOG_RING;
    cap.args[0] = options_.dirty_ring * sizeof(kvm_dirty_gfn);
    if (const int result = fd_.control(KVM_ENABLE_CAP, &cap); result < 0)
      return Error{failure("dirty-ring-size: the kernel refuses the vCPUs' dirty rings", result)};
  } else if (check(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) > 0) {
    cap.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
    cap.args[0] = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
    manual_protect = fd_.control(KVM_ENABLE_CAP, &cap) >= 0;
  }
  const int count = check(KVM_CAP_NR_MEMSLOTS);
  slots_ = std::make_unique<MemorySlots>(fd_, count > 0 ? static_cast<unsigned>(count) : 32, manual_protect);
  return prepare();
}

void Vm::set_irq(unsigned gsi, bool level) {
  kvm_irq_level request{};
  request.irq = gsi;
  request.level = level;
  fd_.control(KVM_IRQ_LINE, &request);
}

void Vm::send(uint64_t address, uint32_t data, uint32_t) {
  kvm_msi message{};
  message.address_lo = static_cast<__u32>(address);
  message.address_hi = static_cast<__u32>(address >> 32);
  message.data = data;
  fd_.control(KVM_SIGNAL_MSI, &message);
}

Result<void> Vm::set_routes() {
  std::vector<uint8_t> entries;
  add_chip_routes(entries);
  for (const auto& [gsi, route] : routes_) {
    kvm_irq_routing_entry entry{};
    entry.gsi = gsi;
    entry.type = KVM_IRQ_ROUTING_MSI;
    entry.u.msi.address_lo = static_cast<__u32>(route.address);
    entry.u.msi.address_hi = static_cast<__u32>(route.address >> 32);
    entry.u.msi.data = route.data;
    const auto* const bytes = reinterpret_cast<const uint8_t*>(&entry);
    entries.insert(entries.end(), bytes, bytes + sizeof entry);
  }
  std::vector<uint8_t> request(sizeof(kvm_irq_routing) + entries.size());
  const auto count = static_cast<uint32_t>(entries.size() / sizeof(kvm_irq_routing_entry));
  std::memcpy(request.data(), &count, sizeof count);
  std::copy(entries.begin(), entries.end(), request.begin() + sizeof(kvm_irq_routing));
  if (const int result = fd_.control(KVM_SET_GSI_ROUTING, request.data()); result < 0)
    return Error{failure("KVM_SET_GSI_ROUTING", result)};
  return {};
}

Result<unsigned> Vm::add_msi_route(uint64_t address, uint32_t data) {
  const std::lock_guard lock(routes_mutex_);
  unsigned gsi = kFirstMsiGsi;
  while (routes_.contains(gsi)) ++gsi;
  routes_[gsi] = {address, data};
  if (const auto set = set_routes(); !set) {
    routes_.erase(gsi);
    return set.error();
  }
  return gsi;
}

Result<void> Vm::change_msi_route(unsigned gsi, uint64_t address, uint32_t data) {
  const std::lock_guard lock(routes_mutex_);
  routes_[gsi] = {address, data};
  return set_routes();
}

void Vm::remove_msi_route(unsigned gsi) {
  const std::lock_guard lock(routes_mutex_);
  routes_.erase(gsi);
  (void)set_routes();  // fewer routes cannot fail for want of anything
}

Result<void> Vm::connect_irqfd(int eventfd, unsigned gsi, int resample) {
  kvm_irqfd request{};
  request.fd = static_cast<__u32>(eventfd);
  request.gsi = gsi;
  if (resample >= 0) {
    request.flags = KVM_IRQFD_FLAG_RESAMPLE;
    request.resamplefd = static_cast<__u32>(resample);
  }
  if (const int result = fd_.control(KVM_IRQFD, &request); result < 0)
    return Error{failure("KVM_IRQFD", result)};
  return {};
}

void Vm::disconnect_irqfd(int eventfd, unsigned gsi) {
  kvm_irqfd request{};
  request.fd = static_cast<__u32>(eventfd);
  request.gsi = gsi;
  request.flags = KVM_IRQFD_FLAG_DEASSIGN;
  fd_.control(KVM_IRQFD, &request);
}

Result<void> Vm::connect_ioeventfd(int eventfd, const Notify& at) {
  const kvm_ioeventfd request = ioeventfd_of(eventfd, at);
  if (const int result = fd_.control(KVM_IOEVENTFD, &request); result < 0)
    return Error{failure("KVM_IOEVENTFD", result)};
  return {};
}

void Vm::disconnect_ioeventfd(int eventfd, const Notify& at) {
  kvm_ioeventfd request = ioeventfd_of(eventfd, at);
  request.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
  fd_.control(KVM_IOEVENTFD, &request);
}

void Vm::coalesce(uint64_t address, uint64_t size, bool port, bool on) {
  if (check(port ? KVM_CAP_COALESCED_PIO : KVM_CAP_COALESCED_MMIO) <= 0) return;  // it is only faster
  kvm_coalesced_mmio_zone zone{};
  zone.addr = address;
  zone.size = static_cast<__u32>(size);
  zone.pio = port;
  fd_.control(on ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO, &zone);
}

unsigned Vm::drain(const system::AddressSpace& memory, const system::AddressSpace& ports) {
  if (!ring_ ||
      __atomic_load_n(&ring_->first, __ATOMIC_ACQUIRE) == __atomic_load_n(&ring_->last, __ATOMIC_ACQUIRE))
    return 0;
  const std::lock_guard lock(ring_mutex_);
  unsigned count = 0;
  const uint32_t capacity =
      static_cast<uint32_t>((4096 - sizeof(kvm_coalesced_mmio_ring)) / sizeof(kvm_coalesced_mmio));
  for (; ring_->first != __atomic_load_n(&ring_->last, __ATOMIC_ACQUIRE); ++count) {
    const kvm_coalesced_mmio& entry = ring_->coalesced_mmio[ring_->first];
    uint64_t value = 0;
    std::memcpy(&value, entry.data, std::min<size_t>(entry.len, sizeof value));
    (entry.pio ? ports : memory).write(entry.phys_addr, entry.len, value);
    __atomic_store_n(&ring_->first, (ring_->first + 1) % capacity, __ATOMIC_RELEASE);
  }
  return count;
}

}  // namespace lyrebird::accel::kvm
