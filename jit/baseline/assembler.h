// SPDX-License-Identifier: Apache-2.0
/// AsmJit's assembler, with a way of its own for what most code consists of: moves, arithmetic,
/// compares and address computations on 32 and 64 bits, whose encoding needs none of AsmJit's tables.
/// Whoever emits does not see the difference; anything else AsmJit encodes.
///
/// Many blocks lie one after the other in the buffer, each with offsets of its own: starting with a
/// new buffer costs more than a block.
#pragma once

#include <asmjit/x86.h>

#include <cstdint>
#include <type_traits>

namespace lyrebird::jit::baseline {

class BlockAssembler final : public asmjit::x86::Assembler {
 public:
  /// The next block starts here.
  void start_block(asmjit::CodeHolder& holder);
  /// At most 32 of them.
  void start_with_zeros(unsigned count);
  size_t offset() const { return BaseAssembler::offset() - start_; }
  const uint8_t* block_data() const { return bufferData() + start_; }
  /// Instructions of the block so far.
  uint32_t count() const { return count_; }

  /// Instructions that may change the host's flags are noted from now on.
  void guard_flags(bool on) { guarded_ = on; }
  /// Whether there was one since the block's start.
  bool lost_flags() const { return lost_; }

  /// jrcxz to where set_short_target() says: the offset behind it.
  uint32_t jump_if_rcx_zero();
  void set_short_target(uint32_t end, uint32_t target);
  void complement_carry();
  /// jmp [rsp + displacement]
  void jump_in_frame(uint8_t displacement);
  /// cmp qword [base + displacement], 0; base is none that needs a prefix, nor rsp
  void compare_with_zero(uint8_t base, int8_t displacement);
  /// lahf; seto al
  void load_status();

  /// A jump whose rel32 is filled in later: the offset behind it.
  uint32_t jump_long();
  uint32_t jump_long_if(asmjit::x86::CondCode cc);
  /// Lets the rel32 that ends at `end` lead to `target`.
  void set_target(uint32_t end, uint32_t target);
  /// mov ecx, value
  void load_ecx(uint32_t value);
  /// jmp to an offset that is known
  void jump_to(uint32_t target);
  /// mov rax, the 8 bytes at the block's start
  void load_rax_from_start();

  // The commonest instructions without AsmJit's way to _emit().
#define LYREBIRD_DIRECT(name, id)                                        \
  template <typename A, typename B>                                      \
  asmjit::Error name(const A& a, const B& b) {                           \
    return emit_two(asmjit::x86::Inst::kId##id, operand(a), operand(b)); \
  }
  LYREBIRD_DIRECT(mov, Mov)
  LYREBIRD_DIRECT(movzx, Movzx)
  LYREBIRD_DIRECT(lea, Lea)
  LYREBIRD_DIRECT(add, Add)
  LYREBIRD_DIRECT(sub, Sub)
  LYREBIRD_DIRECT(and_, And)
  LYREBIRD_DIRECT(or_, Or)
  LYREBIRD_DIRECT(xor_, Xor)
  LYREBIRD_DIRECT(cmp, Cmp)
  LYREBIRD_DIRECT(test, Test)
#undef LYREBIRD_DIRECT
  template <typename... Operands>
  asmjit::Error emit(asmjit::InstId id, const Operands&... operands) {
    if constexpr (sizeof...(Operands) == 2)
      return emit_two(id, operand(operands)...);
    else
      return Assembler::emit(id, operands...);
  }

  asmjit::Error _emit(asmjit::InstId id, const asmjit::Operand_& o0, const asmjit::Operand_& o1,
                      const asmjit::Operand_& o2, const asmjit::Operand_* more) override;

 private:
  static const asmjit::Operand_& operand(const asmjit::Operand_& o) { return o; }
  template <typename T>
    requires std::is_arithmetic_v<T>
  static asmjit::Imm operand(T value) {
    return asmjit::Imm(value);
  }
  asmjit::Error emit_two(asmjit::InstId id, const asmjit::Operand_& o0, const asmjit::Operand_& o1);
  static constexpr size_t kEnough = size_t{64} << 10;  ///< bytes of blocks before all is thrown away

  bool emit_fast(asmjit::InstId id, const asmjit::Operand_& o0, const asmjit::Operand_& o1);
  bool arithmetic(unsigned number, const asmjit::Operand_& o0, const asmjit::Operand_& o1);
  bool move(const asmjit::Operand_& o0, const asmjit::Operand_& o1);
  bool move_zero_extended(const asmjit::Operand_& o0, const asmjit::Operand_& o1);
  bool shift(unsigned number, const asmjit::Operand_& o0, const asmjit::Operand_& o1);
  bool with_rm(uint8_t opcode, unsigned reg, bool wide, const asmjit::Operand_& rm);
  void with_register(uint8_t opcode, unsigned reg, bool wide, unsigned rm);
  bool with_memory(uint8_t opcode, unsigned reg, bool wide, const asmjit::x86::Mem& m,
                   bool two_bytes = false);
  void make_room();
  void byte(uint8_t value) { *_bufferPtr++ = value; }
  void bytes(uint64_t value, unsigned count);
  void dword(uint32_t value);
  void qword(uint64_t value);

  size_t start_ = 0;
  uint32_t count_ = 0;
  bool guarded_ = false, lost_ = false;
};

}  // namespace lyrebird::jit::baseline
