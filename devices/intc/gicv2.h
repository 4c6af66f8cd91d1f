// SPDX-License-Identifier: Apache-2.0
/// ARM generic interrupt controller, architecture version 2 (GIC-400), IHI 0048B.b, without Security
/// Extensions and without Virtualization Extensions.
///
/// Distributor (4 KiB, banked by CPU): CTLR 0x000, TYPER 0x004 ro, IIDR 0x008 ro, IGROUPR 0x080, ISENABLER
/// 0x100, ICENABLER 0x180, ISPENDR 0x200, ICPENDR 0x280, ISACTIVER 0x300, ICACTIVER 0x380, IPRIORITYR 0x400
/// (bytes), ITARGETSR 0x800 (bytes), ICFGR 0xc00, SGIR 0xf00 wo, CPENDSGIR 0xf10, SPENDSGIR 0xf20, id
/// 0xfd0-0xffc ro. CPU interface (8 KiB, banked): CTLR 0x00, PMR 0x04, BPR 0x08, IAR 0x0c, EOIR 0x10, RPR
/// 0x14, HPPIR 0x18, ABPR 0x1c, AIAR 0x20, AEOIR 0x24, AHPPIR 0x28, APR0 0xd0, NSAPR0 0xe0, IIDR 0xfc, DIR
/// 0x1000.
///
/// Interrupts in: set_irq(n, level) for SPI 32 + n; set_ppi(cpu, id, level) for id 16..31.
/// Interrupts out: IRQ and FIQ of each CPU, level.
/// Priorities have 5 bits (32 levels). What is shared by CPUs is under one mutex.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "system/device.h"
#include "system/irq_line.h"

namespace lyrebird::devices {

class GicV2 final : public system::IrqSink {
 public:
  static constexpr unsigned kMaxCpus = 8;
  struct CpuLines {
    system::IrqLine irq, fiq;
  };
  /// `interrupts`: with the 32 private ones; a multiple of 32, at most 1020 are usable.
  GicV2(unsigned interrupts, std::vector<CpuLines> cpus);
  ~GicV2() override;

  /// The registers as `cpu` sees them: for its own address space.
  system::Device& distributor(unsigned cpu);
  system::Device& cpu_interface(unsigned cpu);

  void set_irq(unsigned spi, bool level) override;
  void set_ppi(unsigned cpu, unsigned id, bool level);
  /// A line to private interrupt `id` of `cpu`.
  system::IrqLine ppi(unsigned cpu, unsigned id);

  void reset();
  void save(system::StateWriter& to) const;
  Result<void> load(system::StateReader& from);

 private:
  class Distributor;
  class CpuInterface;
  class PpiSink;

  struct Irq {
    bool enabled = false, latched = false, level = false, active = false, group1 = false, edge = false;
    uint8_t priority = 0, targets = 0;
    uint8_t sources = 0;  ///< SGI: by which CPUs it is pending
    bool pending() const { return latched || (level && !edge) || sources != 0; }
  };
  struct Cpu {
    CpuLines lines;
    std::array<Irq, 32> own;
    uint64_t candidates = 0;  ///< of `own`: enabled, pending and not active
    uint32_t ctlr = 0, apr = 0, nsapr = 0;
    uint8_t pmr = 0, bpr = 2, abpr = 3;
  };

  Irq& irq(unsigned cpu, unsigned id) { return id < 32 ? cpus_[cpu].own[id] : shared_[id - 32]; }
  void refresh(unsigned cpu, unsigned id);
  void refresh_all();
  void update(unsigned cpu);
  void update_all();
  /// The pending interrupt of the highest priority, or 1023.
  unsigned highest_pending(unsigned cpu) const;
  const Irq& irq(unsigned cpu, unsigned id) const { return const_cast<GicV2*>(this)->irq(cpu, id); }
  uint8_t running_priority(const Cpu& c) const;
  uint8_t group_priority(const Cpu& c, const Irq& i) const;
  bool deliverable(const Cpu& c, const Irq& i) const;

  uint32_t read_distributor(unsigned cpu, uint64_t offset, unsigned size);
  void write_distributor(unsigned cpu, uint64_t offset, unsigned size, uint32_t value);
  uint32_t read_bits(unsigned cpu, uint64_t offset);
  void write_bits(unsigned cpu, uint64_t offset, unsigned size, uint32_t value);
  void send_sgi(unsigned cpu, uint32_t value);
  uint32_t read_interface(unsigned cpu, uint64_t offset);
  void write_interface(unsigned cpu, uint64_t offset, uint32_t value);
  uint32_t acknowledge(unsigned cpu, bool group1);
  uint32_t highest(unsigned cpu, bool group1) const;
  void end_of_interrupt(unsigned cpu, uint32_t value, bool group1);
  void deactivate(unsigned cpu, uint32_t value);

  mutable std::mutex mutex_;
  const unsigned count_;
  uint32_t ctlr_ = 0;
  std::vector<Irq> shared_;
  std::vector<uint64_t> candidates_;  ///< of shared_, as Cpu::candidates
  std::vector<Cpu> cpus_;
  std::vector<std::unique_ptr<Distributor>> distributors_;
  std::vector<std::unique_ptr<CpuInterface>> interfaces_;
  std::vector<std::unique_ptr<PpiSink>> ppis_;
};

}  // namespace lyrebird::devices
