// SPDX-License-Identifier: Apache-2.0
/// What the passes know about guest state; private to ir/passes. Fields of the
/// CpuHeader are never tracked: executors read and write them.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/block.h"

namespace lyrebird::ir::passes {

/// Forward: values that parts of the state are known to hold.
class KnownState {
 public:
  void start(const StateLayout& layout);
  void forget_all();

  /// GetState `id`: rewrites it in place as (part of) a known value, gives the value
  /// that it equals, or remembers it and gives `id`.
  ValueId read(Block& block, ValueId id);
  /// SetState `id`; false if the state holds that value already.
  bool write(const Block& block, ValueId id);

 private:
  bool tracked(uint64_t offset, unsigned size) const;
  /// Calls f(start) for every known value that overlaps; f returns true to stop.
  template <typename F>
  void overlapping(uint64_t offset, unsigned size, F f);
  void remember(uint32_t offset, Type type, ValueId value);
  ValueId part_of(Block& block, ValueId id, uint32_t start);

  struct Entry {
    ValueId value;
    Type type;
  };
  std::vector<uint64_t> starts_;  ///< a bit per byte of state: an entry starts here
  std::vector<Entry> entries_;    ///< by first byte
  uint32_t size_ = 0;
};

/// Backward: bytes that will be overwritten before anything can see them.
class DeadBytes {
 public:
  void start(const StateLayout& layout);
  void all_seen();
  void seen(uint64_t offset, unsigned size);
  /// A SetState of these bytes; false if it is without effect.
  bool written(uint64_t offset, unsigned size);

 private:
  std::vector<uint64_t> dead_;
  uint32_t size_ = 0;
  bool clean_ = true;
};

}  // namespace lyrebird::ir::passes
