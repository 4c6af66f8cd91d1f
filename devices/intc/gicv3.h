// SPDX-License-Identifier: Apache-2.0
/// ARM generic interrupt controller, architecture version 3, IHI 0069: distributor, a redistributor for each
/// CPU with LPIs, and the CPU interface in system registers. One security state (GICD_CTLR.DS is 1),
/// affinity routing only, no virtualization of the CPU interface.
///
/// Distributor (64 KiB): CTLR 0x0000, TYPER 0x0004 ro, IIDR 0x0008 ro, SETSPI_NSR 0x0040 wo, CLRSPI_NSR
/// 0x0048 wo, IGROUPR 0x0080, ISENABLER 0x0100, ICENABLER 0x0180, ISPENDR 0x0200, ICPENDR 0x0280, ISACTIVER
/// 0x0300, ICACTIVER 0x0380, IPRIORITYR 0x0400, ICFGR 0x0c00, IGRPMODR 0x0d00, IROUTER 0x6100 (64-bit), id
/// 0xffd0-0xfffc ro. Redistributor (2 x 64 KiB): CTLR 0x0000, IIDR 0x0004 ro, TYPER 0x0008 ro (64-bit), WAKER
/// 0x0014, PROPBASER 0x0070 and PENDBASER 0x0078 (64-bit), id 0xffd0; from 0x10000 on the distributor's
/// registers for interrupts 0..31.
///
/// Interrupts in: set_irq(n, level) for SPI 32 + n; ppi(cpu, id); set_lpi() from the ITS.
/// Interrupts out: IRQ (group 1) and FIQ (group 0) of each CPU, level.
/// Priorities have 5 bits. Everything is under one mutex, which is taken after any other device's.
#pragma once

#include <array>
#include <memory>
#include <set>
#include <vector>

#include "system/address_space.h"
#include "system/device.h"
#include "system/irq_line.h"

namespace lyrebird::devices {

class GicV3 final : public system::IrqSink {
 public:
  struct CpuConfig {
    uint64_t affinity;  ///< MPIDR_EL1 bits 39:32 and 23:0
    system::IrqLine irq, fiq;
  };
  static constexpr unsigned kFirstLpi = 8192, kLpiEnd = 65536;

  /// `interrupts`: SGIs, PPIs and SPIs, a multiple of 32. `memory`: where the tables of LPIs are.
  GicV3(unsigned interrupts, std::vector<CpuConfig> cpus, system::AddressSpace& memory);
  ~GicV3() override;

  system::Device& distributor();
  system::Device& redistributor(unsigned cpu);

  void set_irq(unsigned spi, bool level) override;
  void set_ppi(unsigned cpu, unsigned id, bool level);
  system::IrqLine ppi(unsigned cpu, unsigned id);

  /// A system register of the CPU interface, by the number that MRS has in bits 20:5. False: there is none.
  bool read_register(unsigned cpu, uint16_t key, uint64_t& value);
  bool write_register(unsigned cpu, uint16_t key, uint64_t value);

  // For the ITS. CPUs by number, which is what GICR_TYPER says.
  unsigned cpu_count() const { return static_cast<unsigned>(cpus_.size()); }
  void set_lpi(unsigned cpu, unsigned lpi, bool pending);
  /// Its configuration in memory may be another one.
  void reload_lpi(unsigned cpu, unsigned lpi);
  void reload_lpis(unsigned cpu);
  void move_lpi(unsigned from, unsigned to, unsigned lpi);
  void move_lpis(unsigned from, unsigned to);

  void reset();
  void save(system::StateWriter& to) const;
  Result<void> load(system::StateReader& from);

 private:
  class Distributor;
  class Redistributor;
  class PpiSink;

  struct Irq {
    bool enabled = false, latched = false, level = false, active = false, group1 = false, edge = false;
    uint8_t priority = 0;
    uint64_t route = 0;  ///< IROUTER
    int target = 0;      ///< the CPU of the route; -1: none
    bool pending() const { return latched || (level && !edge); }
  };
  struct Cpu {
    CpuConfig config;
    std::array<Irq, 32> own;
    uint64_t candidates = 0;  ///< of `own`: enabled, pending and not active
    // Redistributor.
    bool lpis_enabled = false, asleep = true;
    uint64_t propbaser = 0, pendbaser = 0;
    std::set<uint16_t> lpis_pending;  ///< enabled or not
    std::vector<uint8_t> lpi_config;  ///< as read from memory: priority, and enabled in bit 0
    // CPU interface.
    uint32_t apr[2] = {0, 0};  ///< active priorities by group
    bool group_enabled[2] = {false, false};
    uint8_t pmr = 0, bpr[2] = {2, 3};
    uint32_t ctlr = 0;  ///< CBPR, EOImode
  };
  struct Best {
    unsigned id;
    uint8_t priority;
    bool group1;
  };

  Irq& irq(unsigned cpu, unsigned id) { return id < 32 ? cpus_[cpu].own[id] : shared_[id - 32]; }
  void refresh(unsigned cpu, unsigned id);
  void refresh_all();
  void update(unsigned cpu);
  void update_all();
  Best highest_pending(unsigned cpu) const;
  bool deliverable(const Cpu& c, const Best& best) const;
  uint8_t running_priority(const Cpu& c) const;
  uint8_t group_priority(const Cpu& c, uint8_t priority, bool group1) const;
  int cpu_of(uint64_t affinity) const;

  uint64_t read_distributor(uint64_t offset, unsigned size);
  void write_distributor(uint64_t offset, unsigned size, uint64_t value);
  /// The part that both have; `cpu` is for interrupts below 32.
  bool read_common(unsigned cpu, bool own, uint64_t offset, unsigned size, uint64_t& value);
  bool write_common(unsigned cpu, bool own, uint64_t offset, unsigned size, uint64_t value);
  uint64_t read_redistributor(unsigned cpu, uint64_t offset, unsigned size);
  void write_redistributor(unsigned cpu, uint64_t offset, unsigned size, uint64_t value);
  void enable_lpis(Cpu& c);
  void read_lpi_config(Cpu& c, unsigned first, unsigned count);

  uint64_t acknowledge(unsigned cpu, bool group1);
  uint64_t highest(unsigned cpu, bool group1) const;
  void end_of_interrupt(unsigned cpu, uint64_t id, bool group1);
  void deactivate(unsigned cpu, uint64_t id);
  void send_sgi(unsigned cpu, uint64_t value, bool group1);

  mutable std::mutex mutex_;
  const unsigned count_;
  system::AddressSpace& memory_;
  uint32_t ctlr_ = 0;
  std::vector<Irq> shared_;
  std::vector<uint64_t> candidates_;
  std::vector<Cpu> cpus_;
  std::unique_ptr<Distributor> distributor_;
  std::vector<std::unique_ptr<Redistributor>> redistributors_;
  std::vector<std::unique_ptr<PpiSink>> ppis_;
};

}  // namespace lyrebird::devices
