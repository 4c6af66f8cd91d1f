// SPDX-License-Identifier: Apache-2.0
#include "ir/passes/state.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "ir/cpu_header.h"
#include "ir/passes/simplify.h"

namespace lyrebird::ir::passes {
namespace {

constexpr unsigned kLongest = 32;  // bytes of the widest type

}  // namespace

void KnownState::start(const StateLayout& layout) {
  size_ = layout.size;
  entries_.resize(size_ + kLongest);
  starts_.assign(size_ / 64 + 2, 0);
}

void KnownState::forget_all() { std::fill(starts_.begin(), starts_.end(), 0); }

bool KnownState::tracked(uint64_t offset, unsigned size) const {
  return offset >= sizeof(CpuHeader) && offset + size <= size_;
}

template <typename F>
void KnownState::overlapping(uint64_t offset, unsigned size, F f) {
  // An entry that overlaps starts at most kLongest - 1 bytes before; the header leaves room.
  static_assert(sizeof(CpuHeader) >= kLongest);
  const uint64_t first = offset - (kLongest - 1), last = offset + size - 1;
  for (uint64_t word = first / 64; word <= last / 64; ++word) {
    uint64_t bits = starts_[word];
    if (word == first / 64) bits &= ~uint64_t{0} << first % 64;
    if (word == last / 64) bits &= ~uint64_t{0} >> (63 - last % 64);
    for (; bits != 0; bits &= bits - 1) {
      const auto start = static_cast<uint32_t>(word * 64 + static_cast<unsigned>(std::countr_zero(bits)));
      if (start + uint64_t{byte_size(entries_[start].type)} > offset && f(start)) return;
    }
  }
}

void KnownState::remember(uint32_t offset, Type type, ValueId value) {
  starts_[offset / 64] |= uint64_t{1} << offset % 64;
  entries_[offset] = {value, type};
}

ValueId KnownState::read(Block& block, ValueId id) {
  const Inst inst = block.insts[id];
  const unsigned size = byte_size(inst.type);
  if (!tracked(inst.imm, size)) return id;
  const auto offset = static_cast<uint32_t>(inst.imm);
  const bool taken = starts_[offset / 64] >> offset % 64 & 1;
  ValueId result = id;
  if (taken) result = part_of(block, id, offset);  // the best that there can be
  if (result != id || block.insts[id].op != Op::GetState) return result;
  overlapping(inst.imm, size, [&](uint32_t start) {
    result = part_of(block, id, start);
    return result != id || block.insts[id].op != Op::GetState;
  });
  if (result == id && block.insts[id].op == Op::GetState) {
    if (!taken || byte_size(entries_[offset].type) < size) remember(offset, inst.type, id);
  }
  return result;
}

/// The bytes that GetState `id` wants out of the entry at `start`, which overlaps them.
ValueId KnownState::part_of(Block& block, ValueId id, uint32_t start) {
  Inst& inst = block.insts[id];
  const Entry entry = entries_[start];
  const Type type = inst.type;
  if (start == inst.imm && entry.type == type) return entry.value;
  const unsigned size = byte_size(type), have = byte_size(entry.type);
  if (start > inst.imm || start + uint64_t{have} < inst.imm + size) return id;
  const auto skip = static_cast<unsigned>(inst.imm - start);

  const Inst& known = block.insts[entry.value];
  if (known.op == Op::Const && type != Type::I1) {
    ConstBytes bytes = bytes_of(known);
    uint64_t words[2] = {0, 0};
    std::memcpy(words, bytes.b + skip, size);
    inst = {.op = Op::Const, .type = type, .elem = type, .imm = words[0]};
    inst.set_high(words[1]);
    return id;
  }
  const auto become = [&](Op op, Type elem, uint64_t imm) {
    inst = {.op = op,
            .type = type,
            .elem = elem,
            .args = {entry.value, kNoValue, kNoValue, kNoValue},
            .imm = imm};
  };
  const bool whole = size == have && type != Type::I1 && entry.type != Type::I1;
  if (whole && type != Type::F80 && entry.type != Type::F80) {
    become(Op::Bitcast, entry.type, 0);
  } else if (is_int(type) && is_int(entry.type)) {
    if (entry.type == Type::I1)
      become(Op::ZExt, Type::I1, 0);
    else if (skip == 0)
      become(Op::Trunc, entry.type, 0);
    else if (entry.type == Type::I128 && size == 8)
      become(Op::Hi64, Type::None, 0);
  } else if (is_vector(entry.type)) {
    if (is_vector(type) && skip == 0)
      become(Op::Resize, entry.type, 0);
    else if (is_vector(type) && 2 * size == have && skip == size)
      become(Op::HalfHi, Type::None, 0);
    else if (!is_vector(type) && size <= 8 && skip % size == 0 && type != Type::I1)
      become(Op::ExtractLane, type, skip / size);
  }
  return id;
}

bool KnownState::write(const Block& block, ValueId id) {
  const Inst& inst = block.insts[id];
  const unsigned size = byte_size(inst.type);
  if (!tracked(inst.imm, size)) return true;
  const auto offset = static_cast<uint32_t>(inst.imm);
  const bool taken = starts_[offset / 64] >> offset % 64 & 1;
  if (taken && entries_[offset].value == inst.args[0] && entries_[offset].type == inst.type) return false;
  overlapping(offset, size, [&](uint32_t start) {
    starts_[start / 64] &= ~(uint64_t{1} << start % 64);
    return false;
  });
  remember(offset, inst.type, inst.args[0]);
  return true;
}

void DeadBytes::start(const StateLayout& layout) {
  size_ = layout.size;
  dead_.assign(size_ / 64 + 2, 0);
  clean_ = true;
}

void DeadBytes::all_seen() {
  if (clean_) return;
  std::fill(dead_.begin(), dead_.end(), 0);
  clean_ = true;
}

void DeadBytes::seen(uint64_t offset, unsigned size) {
  if (offset + size > size_) return;
  const uint64_t mask = (uint64_t{1} << size) - 1;
  const unsigned shift = offset % 64;
  dead_[offset / 64] &= ~(mask << shift);
  if (shift + size > 64) dead_[offset / 64 + 1] &= ~(mask >> (64 - shift));
}

bool DeadBytes::written(uint64_t offset, unsigned size) {
  if (offset < sizeof(CpuHeader) || offset + size > size_) return true;
  const uint64_t mask = (uint64_t{1} << size) - 1;
  const unsigned shift = offset % 64;
  uint64_t& low = dead_[offset / 64];
  const uint64_t low_mask = mask << shift, high_mask = shift + size > 64 ? mask >> (64 - shift) : 0;
  uint64_t& high = dead_[offset / 64 + 1];
  if ((low & low_mask) == low_mask && (high & high_mask) == high_mask) return false;
  low |= low_mask;
  high |= high_mask;
  clean_ = false;
  return true;
}

}  // namespace lyrebird::ir::passes
