// SPDX-License-Identifier: Apache-2.0
/// Words that the printer and the parser of the text form share. The form:
///
///     block 0x401000 mode=0x1 size=8 count=2      ; comments run to the line's end
///       insn 0x401000, 4
///       %1 = get_state.i64 x1                     ; @0x40 where the layout names no field
///       %2 = const.i64 0x7
///       %3 = add.i64 %1, %2                       ; op.type
///       %4 = cmp_eq.i64 %3, %2                    ; compares and flags: op.elem
///       %5 = add.v128.i8 %6, %7                   ; op.type.elem
///       %8 = load.i64 %1 {4 signed natural}       ; MemInfo
///       %9 = fadd.f64 %1, %2 {rz dn}              ; FpMode, where it differs from FpMode{}
///       set_state.i64 x0, %3
///       branch %4, 0x401010, 0x401008
///
/// A value is named by any number, its own index when printed. `#n` is imm of a
/// vector op; `imm=n` and `aux=n` stand for anything that has no word.
#pragma once

#include <optional>
#include <string_view>

#include "ir/block.h"

namespace lyrebird::ir {

/// What names state fields and helpers; without it they are numbers.
struct TextContext {
  const StateLayout* layout = nullptr;
  HelperTable helpers = {};
};

namespace text {

/// Name of an op in the text form: AddWithCarry is add_with_carry.
std::string_view mnemonic(Op op);
std::optional<Op> op_named(std::string_view mnemonic);

/// Result type where the signature fixes it (None for ops without a result).
std::optional<Type> fixed_type(Op op);
/// The `elem` that is not written when the type is.
Type default_elem(Op op, Type type);
inline bool is_compare(Op op) { return info(op).signature[0] == 'L'; }
bool has_result(const Inst& inst);

/// What an op keeps in aux, by which it is written.
enum class AuxForm { None, Fp, Memory, Helper, Hint, Kind, Fence, Length, Crc };
AuxForm aux_form(Op op);
/// The op uses imm in a way of its own (an address, an offset, a constant).
bool has_own_imm(Op op);

struct Word {
  std::string_view word;
  uint32_t mask, value;  ///< present where (aux & mask) == value
};
std::span<const Word> fp_words();  ///< value 0 of a mask is never written
std::span<const Word> memory_words();
inline constexpr std::string_view kHints[] = {"none", "call", "return"};
inline constexpr std::string_view kFences[] = {"", "loads", "stores", "all"};

inline bool is_word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

}  // namespace text
}  // namespace lyrebird::ir
