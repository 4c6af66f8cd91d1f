// SPDX-License-Identifier: Apache-2.0
/// The AArch64 register state (DDI 0487, B1.2) as the IR sees it. Shared by the
/// frontend, the signal frames and ptrace-like views in user/, and the gdb stub.
#pragma once

#include <cstdint>

#include "ir/block.h"
#include "ir/cpu_header.h"
#include "ir/eval_scalar.h"

namespace lyrebird::arm {

/// PSTATE.NZCV, N in bit 3, as a status word; the other bits are as arithmetic has them.
constexpr uint16_t status_of_nzcv(unsigned nzcv) {
  using namespace ir::eval;
  return static_cast<uint16_t>(kStatusOne | (nzcv & 8 ? kStatusSign : 0) |
                               (nzcv & 4 ? kStatusZero | kStatusParity : 0) | (nzcv & 2 ? 0 : kStatusCarry) |
                               (nzcv & 1 ? kStatusOverflow : 0));
}

struct A64State {
  ir::CpuHeader header;  ///< pc, mode, collected FP flags

  /// PSTATE.N, Z, C and V as the IR's status word has them (ir/ops.inc), but for the carry: that is a borrow,
  /// the inverse of C. The other bits mean nothing. Nearly every block writes it: it is in reach of a short
  /// displacement.
  uint16_t status = status_of_nzcv(0);
  uint8_t qc = 0;     ///< FPSR.QC; the other FPSR bits are header.fp_flags
  uint8_t ssbs = 0;   ///< PSTATE.SSBS; PSTATE.BTYPE is in header.mode (a64_mode.h), see pstate()
  uint32_t fpcr = 0;  ///< change it through set_fpcr: mode bits depend on it

  uint64_t x[31] = {};
  uint64_t sp = 0;
  alignas(16) uint8_t v[32][16] = {};

  uint64_t tpidr_el0 = 0;
  uint64_t tpidrro_el0 = 0;
  uint64_t tpidr2_el0 = 0;

  /// Pointer authentication keys (low, high): IA, IB, DA, DB, GA; and which are in use
  /// (bit i: key i), as prctl(PR_PAC_SET_ENABLED_KEYS) says.
  uint64_t pac_keys[5][2] = {};
  uint32_t pac_enabled = 0xf;
};

/// Every field above as data, names as in the manual (x0..x30, sp, v0..v31, status, qc, ...).
const ir::StateLayout& a64_layout();

/// FPCR as the guest reads it; writing masks reserved bits (RES0) and updates header.mode.
void set_fpcr(A64State& state, uint32_t value);
/// FPSR assembled from header.fp_flags and qc, and back.
uint32_t fpsr(const A64State& state);
void set_fpsr(A64State& state, uint32_t value);
/// PSTATE.NZCV in bits 31:28, as in SPSR and ucontext.
uint32_t nzcv(const A64State& state);
void set_nzcv(A64State& state, uint32_t value);
/// PSTATE as in SPSR_EL1 and ucontext: NZCV, BTYPE, SSBS. Writing keeps BTYPE 0 in a process
/// without guarded pages.
uint32_t pstate(const A64State& state);
void set_pstate(A64State& state, uint32_t value);

}  // namespace lyrebird::arm
