// SPDX-License-Identifier: Apache-2.0
/// What the emitter knows about a block before it starts: two passes over the
/// instructions, so that emission itself is one pass.
///
/// - A root is a value with a place of its own. Trunc, most ZExt, and reads of state that
///   the block has just read or written are views of an earlier root: its low bits. So is a vector
///   made of a scalar whose register has zeros above it.
/// - A lazy value is a compare, its negation, or that if another one holds and else a constant. It is
///   evaluated where it is used, from host flags if they are still there.
/// - A write of state is dead if another one follows before anybody can look.
/// - A value that ends in a pinned register is made there, if nobody else needs the
///   register in between.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

#include "ir/block.h"
#include "ir/eval_scalar.h"

namespace lyrebird::jit::baseline {

inline constexpr uint8_t kNoReg = 0xff;

/// Guest registers that live in host registers for as long as generated code runs.
struct Pin {
  uint32_t offset;  ///< of an I64 field, or of 16 bytes of a vector
  uint8_t reg;      ///< host register number
};
struct Pins {
  static constexpr uint32_t kReach = 2048;  ///< fields behind that many bytes of state stay in memory
  static constexpr size_t kMostF80 = 8;
  static constexpr uint8_t kFirstVector = 16;  ///< of the host registers that only AVX-512 has
  static constexpr size_t kMostVectors = 16;
  std::vector<Pin> pins;
  std::vector<Pin> vectors;   ///< 16 bytes of the state that are in a host register from kFirstVector on
  std::vector<uint32_t> f80;  ///< offsets of fields of F80, which may be on the host's x87
  static constexpr uint32_t kStatusSize = 2;
  uint32_t status = 0;       ///< offset of the guest's status word (StatusOfAdd ..), 0: it has none
  bool other_carry = false;  ///< StateLayout::other_carry
  std::optional<uint32_t> shift_status = {};  ///< host_shift_status()
  uint16_t mask = 0;                          ///< of host registers
  uint8_t by_word[kReach / 8] = {};           ///< index + 1, of each 8 bytes of state
  uint8_t vector_by_quad[kReach / 16] = {};   ///< host register or 0, of each 16 bytes of state
  void add(Pin pin) {
    if (pin.offset % 8 != 0 || pin.offset >= kReach) return;
    pins.push_back(pin);
    mask |= static_cast<uint16_t>(1u << pin.reg);
    by_word[pin.offset / 8] = static_cast<uint8_t>(pins.size());
  }
  void add_vector(Pin pin) {
    if (pin.offset % 16 != 0 || pin.offset >= kReach) return;
    vectors.push_back(pin);
    vector_by_quad[pin.offset / 16] = pin.reg;
  }
  /// The host register that has byte `offset` of the state and the others of its 16, or 0.
  uint8_t vector_at(uint32_t offset) const { return offset < kReach ? vector_by_quad[offset / 16] : 0; }
  bool has_vectors(uint32_t offset, uint32_t size) const {
    for (uint32_t at = offset & ~15u; at < offset + size; at += 16)
      if (vector_at(at)) return true;
    return false;
  }
  /// Whether the host's shift leaves the word of that StatusOfShift in its flags; `by`: its amount, if that
  /// is known.
  bool shifts_alike(const ir::Inst& status, std::optional<uint64_t> by) const {
    using namespace ir::eval;
    if (shift_status != (status.aux & kFirstStep)) return false;
    // By an immediate above 1 turns of Intel's processors leave overflow, by CL they do not.
    const bool keeps = shift_status == kFirstStep && shift_way(status.aux) >= kTurnLeft && by && *by != 1;
    return keeps == ((status.aux & kOldOverflow) != 0);
  }
  bool is_status(uint32_t offset, uint32_t size) const {
    return status != 0 && offset < status + kStatusSize && offset + size > status;
  }
  /// The pin of the field that holds byte `offset` of the state, or nullptr.
  const Pin* at(uint32_t offset) const {
    const unsigned index = offset < kReach ? by_word[offset / 8] : 0;
    return index ? &pins[index - 1] : nullptr;
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
  /// (roots, lazy values) index of the instruction; (SetState of the status word) of the last one that may
  /// fault or is an ExitIf before the next such, ~0 if something else may see it first
  uint32_t last_use = 0;
  uint16_t uses = 0;       ///< (roots) while the plan is made
  uint16_t flag_uses = 0;  ///< (roots) of these, by compares that its host flags answer
  uint32_t fused = 0;      ///< (Load, FConvert, FToIntS) the instruction that does it as well, or 0
  /// (StatusOfAdd, StatusOfSub) its number + 1: leaves the host flags that are wanted; (CmpEq, CmpNe) the
  /// difference that is compared with 0 instead; (what makes the host flags of a StatusOfShift or
  /// StatusOfStep) the number + 1 of that; (such a Select) the same of the status word
  uint32_t maker = 0;
  uint8_t pinned = kNoReg;   ///< (roots) made in that host register
  bool needed = false;       ///< (roots) something reads it, or making it has effects
  bool lazy = false;         ///< (compares)
  bool clean = true;         ///< the register's bits above the type are zero
  bool flags_used = false;   ///< (Add, Sub, And) a lazy compare would like its host flags
  bool only_flags = false;   ///< (Sub, And, FCompare) nothing but such compares uses it
  bool sum = false;          ///< (Add) of more than two, or with a shift: Plan::sum()
  bool skipped = false;      ///< (SetState) dead, or its value is made in its place
  bool choice = false;       ///< (Select) of a status word: Plan::is_status_choice()
  bool zeros_above = false;  ///< (roots) a vector register that holds it has zeros above the type
};

/// Of a memory access or a sum: base + (index << shift) + displacement, of 32-bit values if it is cut to 32
/// bits.
struct Address {
  ir::ValueId base = ir::kNoValue, index = ir::kNoValue;
  uint8_t shift = 0;
  bool cut = false;
  int32_t displacement = 0;
};

/// Bytes whose sum or difference leaves a status word in the host's flags.
struct StatusBytes {
  bool add;
  uint8_t a, b;
};
/// Those of a word that is a constant, if there are any; `other_carry`: with the other carry.
std::optional<StatusBytes> bytes_of_status(uint16_t word, bool other_carry);

bool is_memory_access(ir::Op op);
/// Arithmetic of 8 or 16 bits that the host does in the low part of a register, which keeps what is above it.
bool is_narrow(const ir::Block& block, const ir::Inst& inst);
/// FConvert or FToIntS from F80 that the host's x87 does as the mode says (emit_f80.cpp).
bool is_native_f80_store(const ir::Inst& inst);

class Plan {
 public:
  Plan();
  void make(const ir::Block& block, ir::HelperTable helpers, const Pins& pins);

  const ValuePlan& operator[](ir::ValueId id) const { return values_[id]; }
  /// How the host's instruction finds it.
  Address address(ir::ValueId value) const;
  /// The same of an Add that is one LEA (ValuePlan::sum).
  Address sum(ir::ValueId add) const;
  /// The amount of a shift of a word, without a mask that the host's instruction has as well.
  ir::ValueId shift_amount(const ir::Inst& shift) const;
  /// The value is certainly smaller.
  bool is_below(ir::ValueId id, uint64_t limit) const;
  /// The status word that the block is entered with is overwritten before anybody can look.
  bool drops_flags() const { return status_dead_ && status_fault_ == 0 && status_exit_ == 0; }
  /// The same, but instructions up to that one may fault; 0: not so.
  uint32_t status_fault() const { return status_dead_ && status_exit_ == 0 ? status_fault_ : 0; }
  bool is_const(ir::ValueId id) const { return insts_[id].op == ir::Op::Const; }

 private:
  static constexpr uint32_t kTracked = 8192;  ///< bytes of state that are followed
  /// A set of bytes of the state; clear() costs nothing.
  class Bytes {
   public:
    void clear() {
      ++epoch_;
      empty_ = true;
    }
    /// Nothing was set since clear().
    bool empty() const { return empty_; }
    void set(uint32_t offset, uint32_t size) {
      empty_ = false;
      each(offset, size, [&](Word& word, uint64_t mask) {
        word.bits = bits_of(word) | mask;
        word.epoch = epoch_;
      });
    }
    void reset(uint32_t offset, uint32_t size) {
      each(offset, size, [&](Word& word, uint64_t mask) { word.bits &= ~mask; });
    }
    bool all(uint32_t offset, uint32_t size) {
      bool all = true;
      each(offset, size, [&](Word& word, uint64_t mask) { all = all && (bits_of(word) & mask) == mask; });
      return all;
    }
    bool has(uint32_t offset) { return bits_of(words_[offset >> 6]) >> (offset & 63) & 1; }
    /// Calls f(byte) for each member of [offset, offset + size); f may take it out.
    template <typename F>
    void members(uint32_t offset, uint32_t size, F f) {
      each(offset, size, [&](Word& word, uint64_t mask) {
        const auto base = static_cast<uint32_t>(&word - words_) * 64;
        for (uint64_t bits = bits_of(word) & mask; bits != 0; bits &= bits - 1)
          f(base + static_cast<uint32_t>(std::countr_zero(bits)));
      });
    }

   private:
    struct Word {
      uint64_t bits = 0;
      uint64_t epoch = 0;  ///< of the bits; those of another one are not there
    };
    uint64_t bits_of(const Word& word) const { return word.epoch == epoch_ ? word.bits : 0; }
    template <typename F>
    void each(uint32_t offset, uint32_t size, F f) {
      if (size != 0 && (offset & 63) + size <= 64)  // nearly always
        return f(words_[offset >> 6], (~uint64_t{0} >> (64 - size)) << (offset & 63));
      while (size != 0) {
        const uint32_t at = offset & 63, count = std::min(size, 64 - at);
        f(words_[offset >> 6], (~uint64_t{0} >> (64 - count)) << at);
        offset += count;
        size -= count;
      }
    }
    Word words_[kTracked / 64];
    uint64_t epoch_ = 1;
    bool empty_ = true;
  };
  static constexpr uint32_t kLargest = 32;  ///< bytes of a value

  void find_views();
  void find_uses();
  void find_fused();
  struct PinState {
    uint32_t last_get = 0, last_set = 0;  // index + 1
    uint32_t alias_end = 0;               // last use of a value that lives there
    bool is_free(ir::ValueId at) const { return last_get <= at && last_set <= at && alias_end <= at; }
  };
  void hoist();
  void hoist_operand(ir::ValueId result, const PinState& state, uint32_t last_barrier);
  bool changes_low_part(ir::ValueId value, const ir::Inst& write, uint32_t last_set) const;
  bool is_lazy(const ir::Inst& inst) const;
  bool has_zeros_above(ir::ValueId id) const;
  bool is_vector_view(const ir::Inst& inst) const;
  void forget(uint32_t offset, uint32_t size);
  void note(uint32_t offset, ir::ValueId value);
  bool forward(ir::ValueId get_state);
  void use(ir::ValueId value, uint32_t at);
  void use_lazy(ir::ValueId root, uint32_t at);
  void use_operands(const ir::Inst& inst, uint32_t at);
  void use_parts(const Address& address, uint32_t at);
  bool is_sum(ir::ValueId add) const;
  const ir::Inst* add_of(const Address& a) const;
  void fold_displacement(Address& a) const;
  void fold_index(Address& a) const;
  void use_address(ir::ValueId value, uint32_t at);
  void read_field(ir::ValueId get_state);
  void write_field(ir::ValueId set_state);
  bool has_effect(ir::ValueId id);
  bool use_maker(ir::ValueId status);
  void use_all(ir::ValueId id);
  void mark_flags(const ir::Inst& compare);
  bool makes_status(const ir::Inst& inst, const ir::Inst& status) const;
  ir::ValueId status_maker(ir::ValueId id) const;
  void write_status(ir::ValueId id);
  bool is_status_choice(ir::ValueId select) const;
  bool use_choice(ir::ValueId select);
  bool same(ir::ValueId a, ir::ValueId b) const;
  ir::ValueId difference_before(ir::ValueId compare) const;
  void count_flag_use(ir::ValueId operand);
  void count_flag_uses(const ir::Inst& inst, const ValuePlan& v);
  void find_only_flags();

  const ir::Block* block_ = nullptr;
  const ir::Inst* insts_ = nullptr;  ///< the block's
  ir::HelperTable helpers_;
  const Pins* pins_ = nullptr;
  std::vector<ValuePlan> values_;
  Bytes small_, large_;                ///< where known values of up to 8 bytes start, and larger ones
  std::vector<ir::ValueId> known_at_;  ///< by offset
  Bytes dead_;                         ///< overwritten before anybody can look
  Bytes dead_late_;                    ///< overwritten before the block is left (kStateLate)
  bool status_dead_ = false;           ///< what the status word holds will be overwritten ..
  uint32_t status_fault_ = 0;          ///< .. but an instruction up to there may fault,
  uint32_t status_exit_ = 0;           ///< .. and an ExitIf up to there hand it on
  bool converts_ = false;              ///< the block has conversions, of which find_fused() makes something
  std::vector<ir::ValueId> flag_makers_;
  std::vector<ir::ValueId> stops_;  ///< what hoist() looks at, the last one first
};

}  // namespace lyrebird::jit::baseline
