// SPDX-License-Identifier: Apache-2.0
/// The -d topics of translation and execution: in_asm, ir, ir_opt, exec, cpu.
#pragma once

#include "accel/soft/soft.h"

namespace lyrebird::accel::trace {

/// After lifting: in_asm and ir.
void translated(const ir::Block& block, frontend::CodeSource& code, const frontend::Frontend& frontend);
/// After the passes: ir_opt.
void optimised(const ir::Block& block, const frontend::Frontend& frontend);
/// Appends host code as text.
void host_code(uint64_t pc, const uint8_t* code, size_t size, std::string& out);
/// Whether blocks are watched one by one: none may go on to another, or round, unseen.
bool every_block();
/// Before a block runs: exec and cpu.
void block_entry(const jit::CompiledBlock& block, const ir::CpuHeader& state, const ir::StateLayout& layout);

}  // namespace lyrebird::accel::trace
