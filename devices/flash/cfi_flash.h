// SPDX-License-Identifier: Apache-2.0
/// NOR flash with the Intel command set (CFI, JEDEC JESD68; command set 0001h), as two 16-bit chips side by
/// side on a 32-bit bus.
///
/// It reads as memory until a command other than read array; commands are written to any address, the same
/// byte for both chips: 0xff read array, 0x90 read identifiers, 0x98 CFI query, 0x70 read status, 0x50 clear
/// status, 0x40 or 0x10 word program, 0xe8 buffered program, 0x20 and 0xd0 block erase, 0x60 lock (done as
/// if; all blocks are unlocked). Programming and erasing are done at once. The machine maps region(), which
/// changes between memory and registers by itself.
#pragma once

#include <functional>

#include "system/device.h"
#include "system/memory_region.h"

namespace lyrebird::devices {

class CfiFlash final : public system::Device {
 public:
  static constexpr uint64_t kBlockSize = 256 << 10;
  /// Told what of the contents changed, to keep it in a file.
  using Written = std::function<void(uint64_t offset, uint64_t size)>;

  /// `contents` is as large as the flash. `read_only`: programming and erasing fail.
  CfiFlash(std::string name, system::RamBlock& contents, bool read_only, Written written = {});

  system::MemoryRegion& region() { return *region_; }

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  void reset() override;
  void save(system::StateWriter& to) const override;
  Result<void> load(system::StateReader& from) override;

 private:
  void command(uint64_t offset, uint8_t byte);
  void second_cycle(uint64_t offset, unsigned size, uint64_t value);
  void buffer_cycle(uint64_t offset, unsigned size, uint64_t value);
  void program(uint64_t offset, const uint8_t* data, uint64_t size);
  void set_command(uint8_t byte);
  uint8_t query(uint64_t index) const;

  system::RamBlock& contents_;
  const bool read_only_;
  const Written written_;
  system::MemoryRegionPtr region_;
  uint8_t command_ = 0xff;  ///< what reads show
  uint8_t pending_ = 0;     ///< command that waits for its second cycle
  uint8_t status_ = 0x80;
  uint64_t block_ = 0, words_ = 0;  ///< of a buffered program: where, and how many are to come
  std::vector<std::pair<uint64_t, uint32_t>> buffer_;
};

}  // namespace lyrebird::devices
