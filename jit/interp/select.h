// SPDX-License-Identifier: Apache-2.0
/// Which handler runs what. The tables behind these are made from ops.inc at compile
/// time; nullptr means that there is no such combination.
#pragma once

#include "jit/interp/code.h"

namespace lyrebird::jit::interp {

/// Result and operands anywhere. For pure and floating-point ops and GetFpFlags, SetFpFlags.
/// Record: d, a, b, c, imm, aux as in the instruction.
Handler select_general(const ir::Inst& inst, ir::Type operand_type);

enum class Place : uint8_t { Frame, State, Imm };

/// I32 and I64 arithmetic, logic, shifts and compares with every operand's place known.
/// Imm: the second operand is the record's imm.
Handler select_fast(ir::Op op, ir::Type elem, Place d, Place a, Place b);
/// True if select_fast takes the op for lanes of that type with two operands.
bool has_fast(ir::Op op, ir::Type elem);

/// Leaves the block for pc imm if (a op b) == sense; d is the jump cache index. b Imm: in `extra`.
Handler select_compare_exit(ir::Op op, ir::Type elem, Place a, Place b, bool sense);

/// Copies between places: values of 1, 2, 4, 8, 10, 16, 32 bytes; `widen`: stores 8 with zeros above.
Handler select_copy(ir::Type type, bool widen);
/// Stores imm (and high for 16) as `size` bytes.
Handler select_set(unsigned size);

/// Memory. Record: address a + extra, value b (expected b, desired c), result d, imm the guest
/// pc for a fault, aux = MemInfo and the bits above.
Handler select_memory(const ir::Inst& inst, Place address, Place value);
/// The same in system mode.
Handler select_system_memory(const ir::Inst& inst);
Handler select_fence(uint32_t kinds);
Handler clear_exclusive();

// Control. Condition: a; target: imm, jump cache index: d.
Handler select_exit_if(Place condition, bool sense);
Handler jump();
Handler jump_indirect();
/// kind in d, detail in imm, pc in high; raise_if: if the condition a == sense, sense in b.
Handler raise();
Handler raise_if();
/// imm: the function, d result, a b c arguments, aux fourth argument; op[1].imm: pc of the guest
/// instruction, op[1].high: mask of the result, op[1].aux bits above MemInfo.
Handler call_helper();

}  // namespace lyrebird::jit::interp
