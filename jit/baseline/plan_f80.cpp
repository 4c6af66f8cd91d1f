// SPDX-License-Identifier: Apache-2.0
// Which loads, conversions and stores of F80 are one instruction of the host's x87.
#include "jit/baseline/plan.h"

namespace lyrebird::jit::baseline {

using ir::Inst;
using ir::kNoValue;
using ir::Op;
using ir::Type;
using ir::ValueId;

/// Conversions between F80 and memory are one host instruction: what loads is done with the conversion
/// (or, if that is raw, with the arithmetic), what converts with the store.
void Plan::find_fused() {
  if (pins_->f80.empty() || !converts_) return;
  const auto count = static_cast<ValueId>(block_->insts.size());
  const auto plain = [](const Inst& inst) {
    const auto info = ir::MemInfo::unpack(inst.aux & 0xffffff);
    return !info.big_endian && info.align == ir::Align::None && !info.sign;
  };
  for (ValueId i = 1; i < count; ++i) {
    const Inst& inst = insts_[i];
    if (inst.op == Op::Store) {
      const ValueId value = inst.args[1];
      const Inst& maker = insts_[value];
      // The same conversion follows, for its flags.
      ir::FpMode mode = maker.fp_mode();
      if ((maker.op != Op::FConvert && maker.op != Op::FToIntS) || maker.elem != Type::F80 ||
          !mode.no_flags || value + 1 != i || i + 1 == count || values_[value].uses != 1 ||
          values_[i + 1].uses != 0)
        continue;
      mode.no_flags = false;
      const Inst& again = insts_[i + 1];
      if (again.op != maker.op || again.type != maker.type || again.elem != maker.elem ||
          again.args[0] != maker.args[0] ||
          again.aux != (mode.pack() | maker.fp_extra() << ir::kFpModeBits) || !plain(inst) ||
          ir::MemInfo::unpack(inst.aux & 0xffffff).size != ir::byte_size(maker.type) ||
          !is_native_f80_store(again))
        continue;
      values_[value].fused = values_[i + 1].fused = i;
      continue;
    }
    if (inst.type != Type::F80 || (inst.op != Op::FConvert && inst.op != Op::FFromIntS)) continue;
    const ValueId from = inst.args[0];
    const Inst& load = insts_[from];
    uint32_t with = i;
    if (inst.op == Op::FConvert && (inst.fp_extra() & ir::kFpRaw)) {
      if (values_[i].uses != 1) continue;
      with = i + 1;
      while (with < count && insts_[with].op == Op::GetState) ++with;
      if (with == count) continue;
      const Inst& user = insts_[with];
      const bool arithmetic = user.op == Op::FAdd || user.op == Op::FSub || user.op == Op::FMul ||
                              user.op == Op::FDiv || (user.op == Op::FCompare && user.args[1] == i);
      if (!arithmetic || user.elem != Type::F80 || (user.args[0] != i && user.args[1] != i)) continue;
      values_[i].fused = with;
    }
    if (load.op == Op::Load && from + 1 == i && values_[from].root == from && values_[from].uses == 1 &&
        plain(load) && ir::MemInfo::unpack(load.aux & 0xffffff).size == ir::byte_size(load.type) &&
        load.type != Type::I8)
      values_[from].fused = with;
  }
}

}  // namespace lyrebird::jit::baseline
