// SPDX-License-Identifier: Apache-2.0
/// Interrupt translation service of the GICv3 (IHI 0069, chapter 5): messages become LPIs.
///
/// Registers (64 KiB of control, 64 KiB of translation): CTLR 0x0000, IIDR 0x0004 ro, TYPER 0x0008 ro, CBASER
/// 0x0080, CWRITER 0x0088, CREADR 0x0090 ro, BASER0 0x0100 (devices), BASER1 0x0108 (collections), id
/// 0xffd0-0xfffc ro, TRANSLATER 0x10040 wo (through send(): it needs to know who wrote).
///
/// Commands are done when CWRITER is written. Tables are kept here, not in the memory that BASERs offer;
/// how many mappings there may be is limited, so that a guest can't take all of the host's memory.
#pragma once

#include <map>
#include <unordered_map>

#include "devices/intc/gicv3.h"

namespace lyrebird::devices {

class GicV3Its final : public system::Device, public system::MsiSink {
 public:
  static constexpr uint64_t kSize = 0x20000, kTranslater = 0x10040;
  /// `base`: where it is, for messages. `memory`: where the command queue is.
  GicV3Its(uint64_t base, GicV3& gic, system::AddressSpace& memory)
      : base_(base), gic_(gic), memory_(memory) {}

  void send(uint64_t address, uint32_t data, uint32_t requester) override;

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  void reset() override;
  void save(system::StateWriter& to) const override;
  Result<void> load(system::StateReader& from) override;

 private:
  static constexpr size_t kMaxMappings = 1 << 18;
  struct Mapping {
    uint32_t lpi;
    uint16_t collection;
  };
  struct Mapped {
    unsigned event_bits = 0;
    std::map<uint32_t, Mapping> events;
  };
  using Command = std::array<uint64_t, 4>;

  void process();
  void execute(const Command& c);
  void map_device(const Command& c);
  void map_event(const Command& c, uint32_t lpi);
  void move_event(const Command& c);
  Mapping* find(uint32_t device, uint32_t event);
  /// The CPU of a collection, or one that is not there.
  unsigned cpu_of(const Mapping& m) const;

  const uint64_t base_;
  GicV3& gic_;
  system::AddressSpace& memory_;
  bool enabled_ = false;
  uint64_t cbaser_ = 0, cwriter_ = 0, creadr_ = 0, baser_[2] = {};
  std::unordered_map<uint32_t, Mapped> devices_;
  std::unordered_map<uint16_t, uint32_t> collections_;  ///< to CPU numbers
  size_t mappings_ = 0;
};

}  // namespace lyrebird::devices
