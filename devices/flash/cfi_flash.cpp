// SPDX-License-Identifier: Apache-2.0
#include "devices/flash/cfi_flash.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "base/bits.h"
#include "system/state_stream.h"

namespace lyrebird::devices {

namespace {

constexpr uint8_t kReadArray = 0xff, kReadId = 0x90, kQuery = 0x98, kReadStatus = 0x70, kClearStatus = 0x50,
                  kProgram = 0x40, kProgramToo = 0x10, kBuffered = 0xe8, kErase = 0x20, kConfirm = 0xd0,
                  kLock = 0x60;
constexpr uint8_t kReady = 0x80, kEraseError = 0x20, kProgramError = 0x10;
constexpr unsigned kBufferBits = 11;  // log2 of the write buffer's bytes, both chips

/// Both chips say the same.
constexpr uint32_t both(uint8_t byte) { return byte | uint32_t{byte} << 16; }

}  // namespace

CfiFlash::CfiFlash(std::string name, system::RamBlock& contents, bool read_only, Written written)
    : contents_(contents),
      read_only_(read_only),
      written_(std::move(written)),
      region_(system::MemoryRegion::rom_device(std::move(name), contents, *this)) {
  assert(contents.size() % kBlockSize == 0);
}

void CfiFlash::set_command(uint8_t byte) {
  command_ = byte;
  region_->set_readable(byte == kReadArray);
}

void CfiFlash::reset() {
  pending_ = 0;
  status_ = kReady;
  buffer_.clear();
  words_ = 0;
  set_command(kReadArray);
}

/// Byte `index` of the CFI table (JESD68.01, 4.3), of one chip.
uint8_t CfiFlash::query(uint64_t index) const {
  const auto chip_bits = static_cast<unsigned>(std::countr_zero(contents_.size() / 2));
  const uint64_t blocks = contents_.size() / kBlockSize - 1, block_units = kBlockSize / 2 / 256;
  switch (index) {
    case 0x10:
      return 'Q';
    case 0x11:
      return 'R';
    case 0x12:
      return 'Y';
    case 0x13:
      return 0x01;  // Intel/Sharp extended command set
    case 0x15:
      return 0x31;  // extended table, as below
    case 0x1b:
      return 0x45;  // 4.5 to 5.5 V
    case 0x1c:
      return 0x55;
    case 0x1f:
    case 0x20:
      return 0x07;  // typical times, then times longer at most
    case 0x21:
      return 0x0a;
    case 0x23:
    case 0x24:
    case 0x25:
      return 0x04;
    case 0x27:
      return static_cast<uint8_t>(chip_bits);
    case 0x28:
      return 0x02;  // x8 and x16
    case 0x2a:
      return kBufferBits - 1;
    case 0x2c:
      return 0x01;  // one region of equal blocks
    case 0x2d:
      return static_cast<uint8_t>(blocks);
    case 0x2e:
      return static_cast<uint8_t>(blocks >> 8);
    case 0x2f:
      return static_cast<uint8_t>(block_units);
    case 0x30:
      return static_cast<uint8_t>(block_units >> 8);
    case 0x31:
      return 'P';
    case 0x32:
      return 'R';
    case 0x33:
      return 'I';
    case 0x34:
      return '1';
    case 0x35:
      return '0';
    default:
      return 0;
  }
}

uint64_t CfiFlash::read(uint64_t offset, unsigned size) {
  uint32_t word;
  switch (command_) {
    case kReadArray: {
      uint64_t value = 0;
      std::memcpy(&value, contents_.host() + offset, size);
      return value;
    }
    case kReadId: {
      // Maker, device; then for each block whether it is locked.
      const uint64_t index = offset / 4 & 0xff;
      word = both(index == 0 ? 0x89 : index == 1 ? 0x18 : 0);
      break;
    }
    case kQuery:
      word = both(query(offset / 4 & 0xff));
      break;
    default:
      word = both(status_);
  }
  return bits(word, 8 * (offset & 3), 8 * size);
}

void CfiFlash::program(uint64_t offset, const uint8_t* data, uint64_t size) {
  if (read_only_ || offset > contents_.size() || size > contents_.size() - offset) {
    status_ |= kProgramError;
    return;
  }
  for (uint64_t i = 0; i < size; ++i) contents_.host()[offset + i] &= data[i];  // bits only fall
  contents_.mark(offset, size);
  if (written_) written_(offset, size);
}

void CfiFlash::second_cycle(uint64_t offset, unsigned size, uint64_t value) {
  const uint8_t first = pending_;
  pending_ = 0;
  switch (first) {
    case kProgram:
      program(offset, reinterpret_cast<const uint8_t*>(&value), size);
      return;
    case kErase:
      if (static_cast<uint8_t>(value) != kConfirm || read_only_) {
        status_ |= kEraseError | (read_only_ ? 0 : kProgramError);
        return;
      }
      offset = align_down(offset, kBlockSize);
      std::memset(contents_.host() + offset, 0xff, kBlockSize);
      contents_.mark(offset, kBlockSize);
      if (written_) written_(offset, kBlockSize);
      return;
    case kBuffered: {
      const uint64_t count = (value & 0xffff) + 1;
      if (count * 4 > uint64_t{1} << kBufferBits) {
        status_ |= kProgramError;
        return;
      }
      block_ = align_down(offset, kBlockSize);
      words_ = count;
      buffer_.clear();
      return;
    }
    default:  // lock bits: every block stays unlocked
      return;
  }
}

void CfiFlash::buffer_cycle(uint64_t offset, unsigned size, uint64_t value) {
  if (buffer_.size() < words_) {
    // What is not a whole word leaves the rest as it is.
    const uint32_t outside = ~static_cast<uint32_t>(low_mask(8 * size) << (8 * (offset & 3)));
    buffer_.emplace_back(offset & ~uint64_t{3}, static_cast<uint32_t>(value << (8 * (offset & 3))) | outside);
    return;
  }
  const auto words = std::move(buffer_);
  buffer_.clear();
  words_ = 0;
  if (static_cast<uint8_t>(value) != kConfirm) {
    status_ |= kEraseError | kProgramError;  // a wrong sequence
    return;
  }
  for (const auto& [at, word] : words) {
    if (align_down(at, kBlockSize) != block_)
      status_ |= kProgramError;
    else
      program(at, reinterpret_cast<const uint8_t*>(&word), 4);
  }
}

void CfiFlash::command(uint64_t, uint8_t byte) {
  switch (byte) {
    case kReadArray:
    case kReadId:
    case kQuery:
    case kReadStatus:
      return set_command(byte);
    case kClearStatus:
      status_ = kReady;
      return set_command(kReadArray);
    case kProgram:
    case kProgramToo:
    case kErase:
    case kBuffered:
    case kLock:
      pending_ = byte == kProgramToo ? kProgram : byte;
      return set_command(kReadStatus);
    default:  // among them a confirmation that nobody asked for
      return set_command(kReadArray);
  }
}

void CfiFlash::write(uint64_t offset, unsigned size, uint64_t value) {
  if (words_ > 0) return buffer_cycle(offset, size, value);
  if (pending_) return second_cycle(offset, size, value);
  command(offset, static_cast<uint8_t>(value));
}

void CfiFlash::save(system::StateWriter& to) const {
  to.begin("cfi-flash", 1);
  to.field("command", command_);
  to.field("pending", pending_);
  to.field("status", status_);
  to.field("block", block_);
  to.field("words", words_);
  to.field("buffered", static_cast<uint32_t>(buffer_.size()));
  for (const auto& [at, word] : buffer_) {
    to.field("at", at);
    to.field("word", word);
  }
  to.end();
}

Result<void> CfiFlash::load(system::StateReader& from) {
  uint8_t shown;
  uint32_t count;
  from.begin("cfi-flash", 1);
  from.field("command", shown);
  from.field("pending", pending_);
  from.field("status", status_);
  from.field("block", block_);
  from.field("words", words_);
  from.field("buffered", count);
  if (words_ * 4 > uint64_t{1} << kBufferBits || count > words_)
    from.fail("its buffer holds more than it can");
  buffer_.clear();
  for (uint32_t i = 0; i < count && from.ok(); ++i) {
    buffer_.emplace_back();
    from.field("at", buffer_.back().first);
    from.field("word", buffer_.back().second);
  }
  from.end();
  if (from.ok()) set_command(shown);
  return from.status();
}

}  // namespace lyrebird::devices
