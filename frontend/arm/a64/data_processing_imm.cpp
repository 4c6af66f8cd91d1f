// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/lifter.h"

namespace lyrebird::arm::a64 {
namespace {

struct DataProcessingImm : Lifter {
  using Lifter::Lifter;

  Value shifted_imm(bool sf, Imm<2> shift, Imm<12> imm12) {
    return imm(sized(sf), uint64_t{imm12} << (shift == 1 ? 12 : 0));
  }

  bool ADD_imm(bool sf, Imm<2> shift, Imm<12> imm12, Reg n, Reg d) {
    if (shift > 1) return unallocated();
    set_x_or_sp(d, ir.Add(x_or_sp(n, sized(sf)), shifted_imm(sf, shift, imm12)));
    return true;
  }

  bool ADDS_imm(bool sf, Imm<2> shift, Imm<12> imm12, Reg n, Reg d) {
    if (shift > 1) return unallocated();
    const Value a = x_or_sp(n, sized(sf)), b = shifted_imm(sf, shift, imm12);
    set_nzcv(flags_of_add(a, b, ir.False()));
    set_x(d, ir.Add(a, b));
    return true;
  }

  bool SUB_imm(bool sf, Imm<2> shift, Imm<12> imm12, Reg n, Reg d) {
    if (shift > 1) return unallocated();
    set_x_or_sp(d, ir.Sub(x_or_sp(n, sized(sf)), shifted_imm(sf, shift, imm12)));
    return true;
  }

  bool SUBS_imm(bool sf, Imm<2> shift, Imm<12> imm12, Reg n, Reg d) {
    if (shift > 1) return unallocated();
    const Value a = x_or_sp(n, sized(sf)), b = shifted_imm(sf, shift, imm12);
    set_nzcv(flags_of_sub(a, b));
    set_x(d, ir.Sub(a, b));
    return true;
  }
};

#define A64_CHAPTER DataProcessingImm
constexpr Row kRows[] = {
#include "frontend/arm/a64/data_processing_imm.inc"
};

}  // namespace

std::span<const Row> data_processing_imm_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
