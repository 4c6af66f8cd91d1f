// SPDX-License-Identifier: Apache-2.0
/// One virtual machine of KVM's: its interrupts, and what the kernel does on its own for accesses that
/// would else leave guest mode. Knows nothing of the guest's architecture but for what prepare() does.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "accel/kvm/device.h"
#include "accel/kvm/slots.h"
#include "base/result.h"
#include "system/address_space.h"
#include "system/irq_line.h"
#include "system/state_stream.h"

struct kvm_coalesced_mmio_ring;

namespace lyrebird::accel::kvm {

/// Who has the interrupt controllers. Split: the kernel has the local APICs only.
enum class Irqchip : uint8_t { None, Split, Kernel };

struct VmOptions {
  Irqchip irqchip = Irqchip::Kernel;
  bool pit = false;         ///< Irqchip::Kernel: the 8254 is in the kernel, too
  unsigned dirty_ring = 0;  ///< entries of each vCPU's ring (a power of two); 0: dirty log
};

class Vm final : public system::IrqSink, public system::MsiSink {
 public:
  static Result<std::unique_ptr<Vm>> create(const Device& device, const VmOptions& options);
  ~Vm() override;

  const Device& device() const { return device_; }
  const Fd& fd() const { return fd_; }
  const VmOptions& options() const { return options_; }
  MemorySlots& slots() { return *slots_; }
  int check(unsigned long capability) const;

  /// A line of the controllers in the kernel (Irqchip::Kernel): a GSI.
  void set_irq(unsigned gsi, bool level) override;
  /// The controllers in the kernel (but the local APICs, which are vCPUs') as after power-on.
  void reset_controllers();
  /// Those controllers and the paravirtual clock; no vCPU runs.
  Result<void> save(system::StateWriter& to) const;
  Result<void> load(system::StateReader& from);
  /// Needs local APICs in the kernel.
  void send(uint64_t address, uint32_t data, uint32_t requester) override;

  /// GSIs as message-signalled interrupts, for irqfds (and with Irqchip::Split for lines).
  Result<unsigned> add_msi_route(uint64_t address, uint32_t data);
  Result<void> change_msi_route(unsigned gsi, uint64_t address, uint32_t data);
  void remove_msi_route(unsigned gsi);
  /// Writing to the eventfd raises the GSI, without us; `resample` >= 0: level-triggered, told of EOIs.
  Result<void> connect_irqfd(int eventfd, unsigned gsi, int resample = -1);
  void disconnect_irqfd(int eventfd, unsigned gsi);

  /// A write of `size` bytes (0: any) at the address raises the eventfd, and no vCPU comes out for it.
  struct Notify {
    uint64_t address = 0;
    unsigned size = 0;
    bool port = false;
    bool match = false;  ///< only this value
    uint64_t value = 0;
  };
  Result<void> connect_ioeventfd(int eventfd, const Notify& at);
  void disconnect_ioeventfd(int eventfd, const Notify& at);

  /// Writes to the range may be kept back until the next exit, in order.
  void coalesce(uint64_t address, uint64_t size, bool port, bool on);
  void set_coalesced_ring(kvm_coalesced_mmio_ring* ring) { ring_ = ring; }
  /// Makes the writes that were kept back; how many there were.
  unsigned drain(const system::AddressSpace& memory, const system::AddressSpace& ports);

 private:
  Vm(const Device& device, const VmOptions& options) : device_(device), options_(options) {}
  Result<void> set_up();
  /// Of the architecture (x86/vm.cpp): what must be done before there are vCPUs.
  Result<void> prepare();
  /// Of the architecture: routes of the controllers' own lines.
  void add_chip_routes(std::vector<uint8_t>& entries) const;
  Result<void> set_routes();

  struct MsiRoute {
    uint64_t address;
    uint32_t data;
  };

  const Device& device_;
  const VmOptions options_;
  Fd fd_;
  std::unique_ptr<MemorySlots> slots_;
  std::vector<std::vector<uint8_t>> power_on_chips_;
  std::vector<uint8_t> power_on_pit_;
  std::mutex routes_mutex_;
  std::map<unsigned, MsiRoute> routes_;
  std::mutex ring_mutex_;
  kvm_coalesced_mmio_ring* ring_ = nullptr;
};

}  // namespace lyrebird::accel::kvm
