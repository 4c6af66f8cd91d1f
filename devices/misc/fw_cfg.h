// SPDX-License-Identifier: Apache-2.0
/// fw_cfg: how the machine hands files to firmware (specification: docs/specs/fw_cfg.rst of the peer).
///
/// Registers: data 0x00 (1 to 8 bytes: the next ones of the selected item), selector 0x08 (16-bit,
/// big-endian, wo), DMA address 0x10 (64-bit, big-endian; reads as "QEMU CFG"). Items are numbers; those from
/// 0x20 on are files with names, listed in item 0x19. Contents are fixed when the machine is built; writes of
/// the guest are refused.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "system/address_space.h"
#include "system/device.h"

namespace lyrebird::devices {

class FwCfg final : public system::Device {
 public:
  static constexpr uint64_t kSize = 0x18;
  static constexpr system::IoSizes kSizes{1, 8};
  enum Item : uint16_t {
    kSignature = 0x00,
    kId = 0x01,
    kRamSize = 0x03,
    kCpuCount = 0x05,
    kKernelSize = 0x08,
    kInitrdSize = 0x0b,
    kKernelData = 0x11,
    kInitrdData = 0x12,
    kCommandLineSize = 0x14,
    kCommandLine = 0x15,
    kDirectory = 0x19,
    kFirstFile = 0x20,
  };

  /// `memory`: what DMA reaches.
  explicit FwCfg(system::AddressSpace& memory);

  void set(uint16_t item, std::vector<uint8_t> data) { items_[item] = std::move(data); }
  void set_number(uint16_t item, uint64_t value, unsigned size);
  /// At most 55 characters of name.
  void add_file(const std::string& name, std::vector<uint8_t> data);

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  void reset() override;
  void save(system::StateWriter& to) const override;
  Result<void> load(system::StateReader& from) override;

 private:
  void select(uint16_t item);
  void run_dma(uint64_t address);
  bool transfer(uint32_t control, uint32_t length, uint64_t address);

  system::AddressSpace& memory_;
  std::map<uint16_t, std::vector<uint8_t>> items_;
  std::map<std::string, uint16_t> files_;
  uint16_t selected_ = 0;
  uint64_t position_ = 0;
  uint32_t dma_high_ = 0;
};

}  // namespace lyrebird::devices
