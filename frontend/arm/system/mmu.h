// SPDX-License-Identifier: Apache-2.0
/// Address translation (DDI 0487, D8): stage 1 of every regime, stage 2 of EL1&0.
///
/// Granules of 4, 16 and 64 KiB, input addresses of 48 bits (52 with FEAT_LVA and 64 KiB), ASIDs of 16 bits,
/// hierarchical permissions, hardware update of access flag and dirty state. The contiguous hint and
/// cacheability are ignored.
#pragma once

#include "frontend/arm/system/system_state.h"

namespace lyrebird::system {
class AddressSpace;
}

namespace lyrebird::arm {

struct Translation {
  uint64_t physical = 0;                              ///< of the first byte of the page
  uint8_t bits = 12;                                  ///< log2 of the page's size
  bool read = false, write = false, execute = false;  ///< what the mmu index may do without another walk
  bool global = false;
  bool secure = false;
  bool guarded = false;
  uint8_t attributes = 0;    ///< as in MAIR_ELx
  uint8_t shareability = 0;  ///< as in the descriptor: 0 not, 2 outer, 3 inner
  bool device() const { return (attributes & 0xf0) == 0; }
};

/// Who asks.
enum class WalkPurpose : uint8_t {
  Access,     ///< an instruction's own access
  AddressOp,  ///< AT: says whether it would work; marks nothing dirty
  Probe,      ///< a debugger: changes nothing
};

/// Walks the tables; false: `fault` says why. `fault.address` is va.
bool translate(A64SystemState& state, system::AddressSpace& memory, uint64_t va, ir::Access access,
               unsigned mmu_index, WalkPurpose purpose, Translation& page, TranslationFault& fault);

/// AT S1E1R and so on: PAR_EL1. `stages12`: S12E1R and S12E0R.
void address_operation(A64SystemState& state, uint64_t va, ir::Access access, unsigned mmu_index,
                       bool stages12);

/// The context (ASID) that EL1&0 or EL2&0 translations are made for.
uint32_t current_context(const A64SystemState& state, bool host);

/// The instruction at pc, without any effect; false where it can't be read.
bool fetch_instruction(const A64SystemState& state, uint64_t pc, uint32_t& word);

}  // namespace lyrebird::arm
