// SPDX-License-Identifier: Apache-2.0
/// The host's instructions around those that are copied. Fields of the Area are at [GS: disp32].
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "jit/direct/area.h"

namespace lyrebird::accel::direct {

using jit::direct::Area;

constexpr uint32_t gpr_slot(unsigned reg) { return static_cast<uint32_t>(offsetof(Area, gpr) + 8 * reg); }
inline constexpr uint32_t kSpillSlot = offsetof(Area, spill);

class Writer {
 public:
  /// Writes to jit::direct::Code::bytes, which have room for any block.
  explicit Writer(uint8_t* out) : start_(out), to_(out) {}
  uint32_t at() const { return static_cast<uint32_t>(to_ - start_); }
  void skip(unsigned count) { to_ += count; }
  template <size_t N>
  void bytes(const uint8_t (&list)[N]) {
    std::memcpy(to_, list, N);
    to_ += N;
  }
  /// Of a few bytes; writes 16.
  void copy(const uint8_t* from, size_t size) {
    std::memcpy(to_, from, 16);
    to_ += size;
  }
  void byte(unsigned value) { *to_++ = static_cast<uint8_t>(value); }
  template <typename T>
  void number(T value) {
    std::memcpy(to_, &value, sizeof value);
    to_ += sizeof value;
  }
  void set32(uint32_t offset, uint32_t value) { std::memcpy(start_ + offset, &value, sizeof value); }
  void set8(uint32_t offset, uint32_t value) { start_[offset] = static_cast<uint8_t>(value); }
  /// The rel32 or rel8 at the offset leads to `target`.
  void aim32(uint32_t field, uint32_t target) { set32(field, target - (field + 4)); }
  void aim8(uint32_t field, uint32_t target) { set8(field, target - (field + 1)); }
  void aim8(uint32_t field) { aim8(field, at()); }

  /// op reg, [GS: slot], 64 bits.
  void area64(uint8_t opcode, unsigned reg, uint32_t slot) {
    bytes({0x65, static_cast<uint8_t>(0x48 | (reg >> 3) << 2), opcode,
           static_cast<uint8_t>(0x04 | (reg & 7) << 3), 0x25});
    number(slot);
  }
  void save(unsigned reg, uint32_t slot) { area64(0x89, reg, slot); }
  void load(unsigned reg, uint32_t slot) { area64(0x8b, reg, slot); }
  void load32(unsigned reg, uint32_t slot) {
    bytes({0x65, 0x8b, static_cast<uint8_t>(0x04 | (reg & 7) << 3), 0x25});
    number(slot);
  }
  void store32(uint32_t slot, uint32_t value) {
    bytes({0x65, 0xc7, 0x04, 0x25});
    number(slot);
    number(value);
  }
  void jump_through(uint32_t slot) {
    bytes({0x65, 0xff, 0x24, 0x25});
    number(slot);
  }
  void set(unsigned reg, uint64_t value) {
    if (value <= 0xffffffff) {
      if (reg >= 8) byte(0x41);
      byte(static_cast<uint8_t>(0xb8 | (reg & 7)));
      number(static_cast<uint32_t>(value));
    } else {
      bytes({static_cast<uint8_t>(0x48 | reg >> 3), static_cast<uint8_t>(0xb8 | (reg & 7))});
      number(value);
    }
  }
  /// CS prefixes, which mean nothing to a jump, so that a rel32 that comes after `opcode` bytes lies
  /// within 8.
  void pad_jump(unsigned opcode) {
    const unsigned in_word = (at() + opcode) & 7;
    for (unsigned i = in_word; i > 4 && i < 8; ++i) byte(0x2e);
  }

 private:
  uint8_t* const start_;
  uint8_t* to_;
};

}  // namespace lyrebird::accel::direct
