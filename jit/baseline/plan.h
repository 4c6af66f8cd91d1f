// SPDX-License-Identifier: Apache-2.0
/// What the emitter knows about a block before it starts: two passes over the
/// instructions, so that emission itself is one pass.
///
/// - A root is a value with a place of its own. Trunc, most ZExt, and reads of state that
///   the block has just read or written are views of an earlier root: its low bits. So is a vector
///   made of a scalar whose register has zeros above it.
/// - A lazy value is a compare (or its negation). It is evaluated where it is used, from
///   host flags if they are still there.
/// - A write of state is dead if another one follows before anybody can look.
/// - A value that ends in a pinned register is made there, if nobody else needs the
///   register in between.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/block.h"

namespace lyrebird::jit::baseline {

inline constexpr uint8_t kNoReg = 0xff;

/// Guest registers that live in host registers for as long as generated code runs.
struct Pin {
  uint32_t offset;  ///< of an I64 field
  uint8_t reg;      ///< host register number
};
struct Pins {
  std::vector<Pin> pins;
  uint16_t mask = 0;  ///< of host registers
  /// The pin of the field that holds byte `offset` of the state, or nullptr.
  const Pin* at(uint32_t offset) const {
    for (const Pin& pin : pins)
      if (offset - pin.offset < 8) return &pin;
    return nullptr;
  }
};

enum class ValueClass : uint8_t { None, Gpr, Xmm, Memory };
constexpr ValueClass class_of(ir::Type type) {
  switch (type) {
    case ir::Type::I1:
    case ir::Type::I8:
    case ir::Type::I16:
    case ir::Type::I32:
    case ir::Type::I64:
      return ValueClass::Gpr;
    case ir::Type::F32:
    case ir::Type::F64:
    case ir::Type::V64:
    case ir::Type::V128:
      return ValueClass::Xmm;
    case ir::Type::None:
      return ValueClass::None;
    default:
      return ValueClass::Memory;
  }
}

struct ValuePlan {
  ir::ValueId root = ir::kNoValue;
  uint32_t last_use = 0;  ///< (roots, lazy values) index of the instruction
  uint16_t uses = 0;
  uint8_t pinned = kNoReg;   ///< (roots) made in that host register
  bool needed = false;       ///< (roots) something reads it, or making it has effects
  bool lazy = false;         ///< (compares)
  bool clean = true;         ///< the register's bits above the type are zero
  bool flags_used = false;   ///< (Add, Sub, And) a lazy compare would like its host flags
  bool only_flags = false;   ///< (Sub, And, FCompare) nothing but such compares uses it
  bool zeros_above = false;  ///< (roots) a vector register that holds it has zeros above the type
};

/// Of a memory access: base + (index << shift) + displacement.
struct Address {
  ir::ValueId base = ir::kNoValue, index = ir::kNoValue;
  uint8_t shift = 0;
  int32_t displacement = 0;
};

bool is_memory_access(ir::Op op);

class Plan {
 public:
  Plan();
  void make(const ir::Block& block, ir::HelperTable helpers, const Pins& pins);

  const ValuePlan& operator[](ir::ValueId id) const { return values_[id]; }
  bool skipped(ir::ValueId set_state) const { return skip_[set_state]; }  ///< dead or hoisted
  Address address(ir::ValueId value) const;
  bool is_const(ir::ValueId id) const { return block_->insts[id].op == ir::Op::Const; }

 private:
  static constexpr uint32_t kTracked = 8192;  ///< bytes of state that are followed
  struct Byte {
    uint32_t epoch = 0;
    uint32_t start = 0;     ///< of the entry that covers the byte
    ir::ValueId value = 0;  ///< (at the start)
  };

  void find_views();
  void find_uses();
  void hoist();
  bool is_lazy(const ir::Inst& inst) const;
  bool has_zeros_above(ir::ValueId id) const;
  void forget(uint32_t offset, uint32_t size);
  void note(uint32_t offset, ir::ValueId value);
  bool forward(ir::ValueId get_state);
  void use(ir::ValueId value, uint32_t at);
  void use_address(ir::ValueId value, uint32_t at);
  void mark_flags(const ir::Inst& compare);
  void find_only_flags();
  std::vector<uint16_t> all_uses_, flag_uses_;

  const ir::Block* block_ = nullptr;
  ir::HelperTable helpers_;
  const Pins* pins_ = nullptr;
  std::vector<ValuePlan> values_;
  std::vector<uint8_t> skip_;
  std::vector<Byte> bytes_;
  uint32_t epoch_ = 0;
};

}  // namespace lyrebird::jit::baseline
