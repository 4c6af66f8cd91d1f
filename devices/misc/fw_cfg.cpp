// SPDX-License-Identifier: Apache-2.0
#include "devices/misc/fw_cfg.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/bits.h"
#include "system/state_stream.h"

namespace lyrebird::devices {

namespace {

constexpr uint64_t kData = 0x00, kSelector = 0x08, kDma = 0x10;
constexpr uint32_t kDmaError = 1, kDmaRead = 2, kDmaSkip = 4, kDmaSelect = 8, kDmaWrite = 16;

void put_big_endian(std::vector<uint8_t>& to, uint64_t value, unsigned size) {
  for (unsigned i = size; i-- > 0;) to.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

}  // namespace

FwCfg::FwCfg(system::AddressSpace& memory) : memory_(memory) {
  set(kSignature, {'Q', 'E', 'M', 'U'});
  set_number(kId, 3, 4);  // the registers, and DMA
  put_big_endian(items_[kDirectory], 0, 4);
}

void FwCfg::set_number(uint16_t item, uint64_t value, unsigned size) {
  std::vector<uint8_t> data(size);
  std::memcpy(data.data(), &value, size);
  set(item, std::move(data));
}

void FwCfg::add_file(const std::string& name, std::vector<uint8_t> data) {
  assert(name.size() < 56 && !files_.contains(name));
  const auto item = static_cast<uint16_t>(kFirstFile + files_.size());
  files_[name] = item;
  set(item, std::move(data));
  std::vector<uint8_t> directory;
  put_big_endian(directory, files_.size(), 4);
  for (const auto& [file, number] : files_) {
    put_big_endian(directory, items_[number].size(), 4);
    put_big_endian(directory, number, 2);
    put_big_endian(directory, 0, 2);
    directory.insert(directory.end(), file.begin(), file.end());
    directory.resize(directory.size() + 56 - file.size());
  }
  set(kDirectory, std::move(directory));
}

void FwCfg::reset() {
  select(0);
  dma_high_ = 0;
}

void FwCfg::select(uint16_t item) {
  selected_ = item & 0x3fff;  // 0x4000 asks for writing, 0x8000 for the architecture's own: neither is there
  if (item & 0x8000) selected_ = 0x3fff;
  position_ = 0;
}

uint64_t FwCfg::read(uint64_t offset, unsigned size) {
  if (offset >= kDma) {
    uint64_t value = 0;
    std::memcpy(&value, "QEMU CFG", 8);
    return value >> (8 * (offset - kDma));
  }
  if (offset >= kSelector) return 0;
  static_assert(kData == 0);
  const auto item = items_.find(selected_);
  uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i, ++position_)
    if (item != items_.end() && position_ < item->second.size())
      value |= uint64_t{item->second[position_]} << (8 * i);
  return value;
}

void FwCfg::write(uint64_t offset, unsigned size, uint64_t value) {
  if (offset == kSelector && size == 2) return select(__builtin_bswap16(static_cast<uint16_t>(value)));
  if (offset == kDma && size == 8) return run_dma(__builtin_bswap64(value));
  if (offset == kDma && size == 4) dma_high_ = __builtin_bswap32(static_cast<uint32_t>(value));
  if (offset == kDma + 4 && size == 4)
    run_dma(uint64_t{dma_high_} << 32 | __builtin_bswap32(static_cast<uint32_t>(value)));
}

void FwCfg::run_dma(uint64_t address) {
  dma_high_ = 0;
  struct {
    uint32_t control, length;
    uint64_t address;
  } request;
  if (!memory_.read_bytes(address, &request, sizeof request)) return;
  const bool done = transfer(__builtin_bswap32(request.control), __builtin_bswap32(request.length),
                             __builtin_bswap64(request.address));
  const uint32_t answer = __builtin_bswap32(done ? 0 : kDmaError);
  memory_.write_bytes(address, &answer, sizeof answer);
}

bool FwCfg::transfer(uint32_t control, uint32_t length, uint64_t address) {
  if (control & kDmaSelect) select(static_cast<uint16_t>(control >> 16));
  if (control & kDmaWrite) return false;
  const auto item = items_.find(selected_);
  const uint64_t size = item == items_.end() ? 0 : item->second.size();
  const uint64_t available = std::min<uint64_t>(length, size - std::min(size, position_));
  const uint64_t from = position_;
  if (control & (kDmaRead | kDmaSkip)) position_ += length;
  if (!(control & kDmaRead)) return true;
  if (available > 0 && !memory_.write_bytes(address, item->second.data() + from, available)) return false;
  // What is behind the end reads as zeros.
  static constexpr uint8_t kZeros[4096] = {};
  for (uint64_t at = available; at < length;) {
    const uint64_t piece = std::min<uint64_t>(length - at, sizeof kZeros);
    if (!memory_.write_bytes(address + at, kZeros, piece)) return false;
    at += piece;
  }
  return true;
}

// The items are what the machine was built with, and are there before a state is loaded.
void FwCfg::save(system::StateWriter& to) const {
  to.begin("fw-cfg", 1);
  to.field("selected", selected_);
  to.field("position", position_);
  to.field("dma_high", dma_high_);
  to.end();
}

Result<void> FwCfg::load(system::StateReader& from) {
  from.begin("fw-cfg", 1);
  from.field("selected", selected_);
  from.field("position", position_);
  from.field("dma_high", dma_high_);
  from.end();
  return from.status();
}

}  // namespace lyrebird::devices
