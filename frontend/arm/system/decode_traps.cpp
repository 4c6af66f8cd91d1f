// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/system/decode_traps.h"

#include "base/bits.h"
#include "base/log.h"
#include "frontend/arm/system/control_bits.h"
#include "frontend/arm/system/mmu.h"

namespace lyrebird::arm {
namespace {

using enum SysReg;

unsigned target_of(const A64SystemState& state, AccessResult result) {
  switch (result) {
    case AccessResult::TrapEl1:
      return state.el == 0 && (effective_hcr(state) & hcr::kTge) ? 2 : 1;
    case AccessResult::TrapEl2:
      return 2;
    case AccessResult::TrapEl3:
      return 3;
    default:
      return 0;
  }
}

RefusedBy from_result(const A64SystemState& state, AccessResult result) {
  const unsigned target = target_of(state, result);
  return target ? RefusedBy{RefusedBy::SystemAccess, target} : RefusedBy{};
}

void log_unknown(SysRegKey key, bool read) {
  log_unimplemented(fmt::format("{} of system register S{}_{}_C{}_C{}_{}\n", read ? "read" : "write",
                                key >> 14, bits(key, 11, 3), bits(key, 7, 4), bits(key, 3, 4),
                                bits(key, 0, 3)));
}

/// MSR (immediate): DAIFSet and DAIFClr at EL0.
bool is_daif_immediate(uint32_t word) { return (word & 0xfffff0df) == 0xd50340df; }

RefusedBy register_refused(const A64SystemState& state, uint32_t word) {
  SysRegKey key = static_cast<SysRegKey>(word >> 5);
  const bool read = bit(word, 21);
  if (state.el == 2 && in_host_regime(state)) key = redirect_e2h(key);
  if (is_gic_register(key)) {
    if (!state.config->gicv3) log_unknown(key, read);
    return {};
  }
  const auto r = find_sys_reg(key);
  if (!r) {
    if (state.el > 0) log_unknown(key, read);
    return {};
  }
  if (state.el < (read ? info(*r).read_el : info(*r).write_el)) return {};
  return from_result(state, check_access(state, *r, !read));
}

/// The system operation, by CRn and CRm.
enum class OpClass : uint8_t {
  None,
  DcZva,
  DcVa,
  DcSetWay,
  DcInvalidate,
  IcVa,
  IcAll,
  At,
  AtEl2,
  Tlbi,
  TlbiEl2,
  TlbiEl3
};

OpClass op_class(const SystemConfig& config, SysRegKey key) {
  const unsigned op1 = bits(key, 11, 3), crn = bits(key, 7, 4), crm = bits(key, 3, 4), op2 = bits(key, 0, 3);
  if (crn == 8) {
    if (op1 == 0) return OpClass::Tlbi;
    if (op1 == 4) return OpClass::TlbiEl2;
    return op1 == 6 ? OpClass::TlbiEl3 : OpClass::None;
  }
  if (crn != 7) return OpClass::None;
  if (crm == 8) {
    if (op1 == 0 && op2 < 4) return OpClass::At;
    return op1 == 4 || (op1 == 6 && config.el3) ? OpClass::AtEl2 : OpClass::None;
  }
  if (crm == 9 && op1 == 0 && op2 < 2 && config.model->features.has(Feature::PAN)) return OpClass::At;
  if (op1 == 0) {
    if ((crm == 1 || crm == 5) && op2 == 0) return OpClass::IcAll;
    if (crm == 6 && op2 == 1) return OpClass::DcInvalidate;
    if ((crm == 6 || crm == 10 || crm == 14) && op2 == 2) return OpClass::DcSetWay;
    return OpClass::None;
  }
  if (op1 != 3) return OpClass::None;
  if (crm == 4 && op2 == 1) return OpClass::DcZva;
  if (crm == 5 && op2 == 1) return OpClass::IcVa;
  if ((crm == 10 || crm == 11 || crm == 14) && op2 == 1) return OpClass::DcVa;
  if (crm == 12 && op2 == 1 && config.model->features.has(Feature::DPB)) return OpClass::DcVa;
  if (crm == 13 && op2 == 1 && config.model->features.has(Feature::DPB2)) return OpClass::DcVa;
  return OpClass::None;
}

/// Bit of HCR_EL2 that traps the class from EL1 (and EL0).
uint64_t hcr_trap(OpClass c) {
  switch (c) {
    case OpClass::DcZva:
      return hcr::kTdz;
    case OpClass::DcVa:
    case OpClass::DcInvalidate:
      return hcr::kTpc;
    case OpClass::DcSetWay:
      return hcr::kTsw;
    case OpClass::IcVa:
    case OpClass::IcAll:
      return hcr::kTpu;
    case OpClass::Tlbi:
      return hcr::kTtlb;
    default:
      return 0;
  }
}

unsigned least_el(OpClass c) {
  switch (c) {
    case OpClass::None:
      return 4;
    case OpClass::DcZva:
    case OpClass::DcVa:
    case OpClass::IcVa:
      return 0;
    case OpClass::AtEl2:
    case OpClass::TlbiEl2:
      return 2;
    case OpClass::TlbiEl3:
      return 3;
    default:
      return 1;
  }
}

}  // namespace

bool has_system_op(const SystemConfig& config, SysRegKey key, unsigned el) {
  const OpClass c = op_class(config, key);
  if ((c == OpClass::AtEl2 || c == OpClass::TlbiEl2) && !config.el2) return false;
  return el >= least_el(c);
}

bool system_op_may_trap(const SystemConfig& config, SysRegKey key, unsigned el) {
  return el == 0 || (el == 1 && config.el2 && hcr_trap(op_class(config, key)));
}

AccessResult check_system_op(const A64SystemState& state, SysRegKey key) {
  if (!has_system_op(*state.config, key, state.el)) return AccessResult::Undefined;
  const OpClass c = op_class(*state.config, key);
  if (state.el == 0) {
    const uint64_t needed = c == OpClass::DcZva ? sctlr::kDze : sctlr::kUci;
    if (!(current_sctlr(state) & needed)) return AccessResult::TrapEl1;
  }
  if (state.el < 2 && (effective_hcr(state) & hcr_trap(c))) return AccessResult::TrapEl2;
  return AccessResult::Allowed;
}

unsigned wait_trap_el(const A64SystemState& state, bool event) {
  if (state.el == 0 && !(current_sctlr(state) & (event ? sctlr::kNtwe : sctlr::kNtwi)))
    return target_of(state, AccessResult::TrapEl1);
  if (state.el < 2 && (effective_hcr(state) & (event ? hcr::kTwe : hcr::kTwi))) return 2;
  if (state.el < 3 && state.config->el3 && (state.reg(SCR_EL3) & (event ? scr::kTwe : scr::kTwi))) return 3;
  return 0;
}

RefusedBy why_refused(const A64SystemState& state, uint32_t word) {
  if (uses_fp(word) || uses_fp_control(word)) {
    const unsigned target = fp_trap_el(state);
    return target ? RefusedBy{RefusedBy::Fp, target} : RefusedBy{};
  }
  if (word == kWfeWord || word == kWfiWord) {
    const unsigned target = wait_trap_el(state, word == kWfeWord);
    return target ? RefusedBy{RefusedBy::WaitFor, target} : RefusedBy{};
  }
  if ((word & 0xffc00000) != 0xd5000000) return {};
  if (is_daif_immediate(word)) return from_result(state, check_access(state, SysReg::DAIF, true));
  const unsigned op0 = bits(word, 19, 2);
  if (op0 >= 2) return register_refused(state, word);
  if (op0 == 1) {
    const SysRegKey key = static_cast<SysRegKey>(word >> 5);
    if (state.el > 0 && op_class(*state.config, key) == OpClass::None) log_unknown(key, bit(word, 21));
    return from_result(state, check_system_op(state, key));
  }
  return {};
}

uint32_t access_syndrome(const A64SystemState& state, uint64_t pc) {
  uint32_t word = 0;
  if (!fetch_instruction(state, pc, word)) return 0;
  // Loads and stores of one general register without writeback (ISS of data aborts, D19.2.37).
  const bool unsigned_offset = (word & 0x3f000000) == 0x39000000;
  const bool other = (word & 0x3f200c00) == 0x38000000 ||
                     (word & 0x3f200c00) == 0x38000800 ||  // unscaled, LDTR
                     (word & 0x3f200c00) == 0x38200800;    // register
  const bool ordered = (word & 0x3fc08000) == 0x08808000 || (word & 0x3fc08000) == 0x08c08000;  // STLR, LDAR
  if (!unsigned_offset && !other && !ordered) return 0;
  const unsigned size = word >> 30, rt = word & 31;
  if (ordered) return 1u << 24 | size << 22 | rt << 16 | (size == 3 ? 1u << 15 : 0) | 1u << 14;
  const unsigned opc = bits(word, 22, 2);
  if (size == 3 && opc >= 2) return 0;  // PRFM
  const bool sign = opc >= 2, wide = sign ? opc == 2 : size == 3;
  return 1u << 24 | size << 22 | (sign ? 1u << 21 : 0) | rt << 16 | (wide ? 1u << 15 : 0);
}

}  // namespace lyrebird::arm
