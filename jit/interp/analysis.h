// SPDX-License-Identifier: Apache-2.0
/// What the lowering knows about a block's values before it emits records: which
/// are needed, which are only another view of an earlier one, how long they live,
/// and which can live in the guest's state itself instead of the frame.
///
/// - A root is a value that some record makes. ZExt, Trunc, Bitcast, ExtractLane
///   and the like mostly make none: they name bytes of their operand's root.
/// - A GetState whose field is not written before its last use is not copied.
/// - A SetState is hoisted into the instruction that makes its value if nothing
///   between the two can fault, leave the block or look at the field.
/// - Memory addresses lose their constant part, conditions their Not, and a compare
///   with one user, a conditional exit, becomes part of it.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/block.h"

namespace lyrebird::jit::interp {

inline constexpr uint32_t kNowhere = ~uint32_t{0};

struct ValueInfo {
  ir::ValueId root = ir::kNoValue;
  uint32_t delta = 0;     ///< bytes from the root's start
  uint8_t clean = 0;      ///< that many bytes from the value's start are the value, zero-extended
  bool needed = false;    ///< (roots) some record reads it, or making it has effects
  bool in_state = false;  ///< (roots) lives at state_offset from its birth on
  bool fused = false;     ///< (compares) computed by the exit that uses it
  uint32_t last_use = 0;  ///< (roots) index of the instruction
  uint32_t state_offset = 0;
};

/// The condition of an exit as the record tests it.
struct Condition {
  ir::ValueId value = ir::kNoValue;
  bool sense = true;   ///< leave if value == sense
  bool fused = false;  ///< value is a compare that the record does itself
};

struct Address {
  ir::ValueId base = ir::kNoValue;
  int32_t displacement = 0;
};

class Analysis {
 public:
  Analysis(const ir::Block& block, ir::HelperTable helpers);

  const ValueInfo& operator[](ir::ValueId id) const { return values_[id]; }
  bool hoisted(ir::ValueId set_state) const { return hoisted_[set_state]; }
  Condition condition(ir::ValueId exit) const;
  Address address(ir::ValueId value) const;
  bool is_const(ir::ValueId id) const { return block_.insts[id].op == ir::Op::Const; }

 private:
  struct Write {
    uint32_t position, offset, size;
  };

  void find_roots();
  void find_needed();
  void find_uses();
  void hoist_set_states();
  void keep_get_states_in_place();
  bool try_hoist(ir::ValueId set_state);
  bool is_pure(const ir::Inst& inst) const;
  template <typename F>
  void for_each_operand(ir::ValueId id, F f) const;

  const ir::Block& block_;
  ir::HelperTable helpers_;
  std::vector<ValueInfo> values_;
  std::vector<uint32_t> raw_uses_;
  std::vector<bool> hoisted_;
  std::vector<Write> writes_;
};

}  // namespace lyrebird::jit::interp
