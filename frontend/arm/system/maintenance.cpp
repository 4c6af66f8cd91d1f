// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/system/maintenance.h"

#include "base/bits.h"
#include "frontend/arm/system/control_bits.h"
#include "frontend/arm/system/mmu.h"

namespace lyrebird::arm {
namespace {

using frontend::TlbFlush;

constexpr unsigned kLine = 64;
constexpr uint64_t kForceBroadcast = mask_of_bit(9);  // HCR_EL2.FB
/// The smallest page; a larger one that holds the address overlaps.
constexpr uint64_t kSmallPage = 4096;

/// Addresses come as VA[55:12].
uint64_t page_address(uint64_t value) { return static_cast<uint64_t>(sign_extend(value << 12, 56)); }

/// Operations of EL1 at EL2 with HCR_EL2.{E2H, TGE} set are about EL2&0.
uint32_t el1_spaces(const A64SystemState& state) {
  const uint64_t host = hcr::kE2h | hcr::kTge;
  const bool of_host = state.el == 2 && el2_enabled(state) && (state.reg(SysReg::HCR_EL2) & host) == host;
  return of_host ? kMmuSpacesEl2Host : kMmuSpacesEl1;
}

uint32_t el2_spaces(const A64SystemState& state) {
  return state.reg(SysReg::HCR_EL2) & hcr::kE2h ? kMmuSpacesEl2Host : 1u << kMmuEl2;
}

void by_address(TlbFlush& flush, uint64_t value) {
  flush.by_address = true;
  flush.address = page_address(value);
  flush.size = kSmallPage;
}

void by_context(TlbFlush& flush, const A64SystemState& state, uint64_t value) {
  const bool of_host = flush.spaces == kMmuSpacesEl2Host;
  const bool wide = bit(state.reg(of_host ? SysReg::TCR_EL2 : SysReg::TCR_EL1), 36);
  flush.by_context = true;
  flush.context = bits(value, 48, wide ? 16 : 8);
}

void tlbi_el1(A64SystemState& state, unsigned op2, bool broadcast, uint64_t value) {
  TlbFlush flush{.spaces = el1_spaces(state), .broadcast = broadcast};
  if (state.el == 1 && (effective_hcr(state) & kForceBroadcast)) flush.broadcast = true;
  switch (op2) {
    case 0:  // VMALLE1
      break;
    case 1:  // VAE1
    case 5:  // VALE1
      by_address(flush, value);
      by_context(flush, state, value);
      break;
    case 2:  // ASIDE1
      by_context(flush, state, value);
      break;
    default:  // VAAE1, VAALE1
      by_address(flush, value);
      break;
  }
  state.vcpu->tlb_flush(flush);
}

void tlbi_el2(A64SystemState& state, unsigned crm, unsigned op2, uint64_t value) {
  TlbFlush flush{.spaces = kMmuSpacesEl1, .broadcast = crm == 3 || crm == 0};
  if (crm == 3 || crm == 7) {
    switch (op2) {
      case 0:  // ALLE2
        flush.spaces = el2_spaces(state);
        break;
      case 1:  // VAE2
      case 5:  // VALE2
        flush.spaces = el2_spaces(state);
        by_address(flush, value);
        if (flush.spaces == kMmuSpacesEl2Host) by_context(flush, state, value);
        break;
      default:  // ALLE1, VMALLS12E1
        break;
    }
  }
  // IPAS2E1 and so on: entries hold both stages, so that all of them go.
  state.vcpu->tlb_flush(flush);
}

void tlbi_el3(A64SystemState& state, unsigned crm, unsigned op2, uint64_t value) {
  TlbFlush flush{.spaces = 1u << kMmuEl3, .broadcast = crm == 3};
  if (op2 != 0) by_address(flush, value);
  state.vcpu->tlb_flush(flush);
}

void translate_for_software(A64SystemState& state, unsigned op1, unsigned crm, unsigned op2, uint64_t va) {
  const ir::Access access = op2 & 1 ? ir::Access::Write : ir::Access::Read;
  const bool host = (state.reg(SysReg::HCR_EL2) & hcr::kE2h) && el2_enabled(state);
  const bool el1_is_host = host && (state.reg(SysReg::HCR_EL2) & hcr::kTge) && state.el == 2;
  if (op1 == 0) {
    if (crm == 9)  // S1E1RP, S1E1WP: with PSTATE.PAN
      return address_operation(state, va, access,
                               el1_is_host ? (state.pan ? kMmuEl2HostPan : kMmuEl2Host)
                               : state.pan ? kMmuEl1Pan
                                           : kMmuEl1,
                               false);
    const unsigned index =
        op2 & 2 ? (el1_is_host ? kMmuEl20 : kMmuEl0) : (el1_is_host ? kMmuEl2Host : kMmuEl1);
    return address_operation(state, va, access, index, false);
  }
  if (op1 == 6) return address_operation(state, va, access, kMmuEl3, false);
  if (op2 < 2) return address_operation(state, va, access, host ? kMmuEl2Host : kMmuEl2, false);
  return address_operation(state, va, access, op2 & 2 && op2 < 6 ? kMmuEl1 : kMmuEl0, true);  // S12E1, S12E0
}

}  // namespace

void system_operation(A64SystemState& state, SysRegKey key, uint64_t value) {
  const unsigned op1 = bits(key, 11, 3), crn = bits(key, 7, 4), crm = bits(key, 3, 4), op2 = bits(key, 0, 3);
  if (crn == 8) {
    if (op1 == 0) return tlbi_el1(state, op2, crm == 3, value);
    if (op1 == 4) return tlbi_el2(state, crm, op2, value);
    return tlbi_el3(state, crm, op2, value);
  }
  if (crm == 8 || crm == 9) return translate_for_software(state, op1, crm, op2, value);
  if (op1 == 0 && (crm == 1 || crm == 5)) return state.vcpu->invalidate_code(0, 0);  // IC IALLU, IALLUIS
  if (op1 == 3 && crm == 5)
    return state.vcpu->invalidate_code(value & ~uint64_t{kLine - 1}, kLine);  // IC IVAU
}

}  // namespace lyrebird::arm
