// SPDX-License-Identifier: Apache-2.0
// Guest memory in system mode: accesses of one block that lie near each other, as those of a struct or of a
// frame on the stack do, look at the TLB together. The first one asks for a page that has all their bytes,
// with the right to write if any of them does, and keeps the host's address; those that follow only ask
// whether there is one. Where there is none (they cross pages, or one of them may not go straight to memory)
// each looks alone, out of line.
//
// What the first one saw counts up to the block's end: who takes a translation or a right away asks the vCPU
// to do so between blocks, or waits for the end of the one that runs. Calls of helpers, which may do so
// themselves, end all groups.
#include <algorithm>

#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::Align;
using ir::kNoValue;
using ir::MemInfo;
using ir::Op;
using ir::Order;
using ir::Type;
using ir::ValueId;

namespace {

/// Bytes of a group: the more, the more often they lie in two pages.
constexpr int64_t kReach = 256;
/// Further off than that nothing is shared: sums of displacements stay small.
constexpr int32_t kMaxDisplacement = 1 << 24;

struct OpenGroup {
  ValueId base, index;
  uint8_t shift;
  uint8_t space;
  uint16_t group;  ///< index + 1
};

}  // namespace

bool Emitter::may_share_page(ValueId id) const {
  const ir::Inst& inst = at(id);
  if (inst.op != Op::Load && inst.op != Op::Store) return false;
  const auto info = MemInfo::unpack(inst.aux & 0xffffff);
  const Type value = inst.op == Op::Store ? type_of(inst.args[1]) : inst.type;
  const ValuePlan& plan = plan_[id];
  return plan.needed && plan.root == id && plan.fused == 0 && has_inline_form(inst, info, value) &&
         info.align == Align::None && info.order != Order::SeqCst;
}

/// The address as far back as what pinned registers had can be followed.
Address Emitter::followed_address(ValueId value) const {
  Address address = plan_.address(value);
  while (!address.cut) {
    const ValueId base = root(address.base);
    const ValueId same = is_pinned_read(base) ? same_as_[base] : base;
    if (same == address.base) break;
    const Address before = plan_.address(same);
    const int64_t sum = int64_t{address.displacement} + before.displacement;
    address.base = same;
    if (before.cut || before.base == same || (before.index != kNoValue && address.index != kNoValue) ||
        sum != static_cast<int32_t>(sum))
      break;
    address.base = before.base;
    address.displacement = static_cast<int32_t>(sum);
    if (before.index == kNoValue) continue;
    address.index = before.index;
    address.shift = before.shift;
  }
  return address;
}

/// Notes what pinned registers have: they are no views of what was written to them.
void Emitter::follow_pin(ValueId id, ValueId (&pinned)[16]) {
  const ir::Inst& inst = at(id);
  const auto offset = static_cast<uint32_t>(inst.imm);
  if (const Pin* const pin = pins_.at(offset)) {
    ValueId& known = pinned[pin->reg];
    const bool whole = inst.type == Type::I64 && offset == pin->offset;
    if (inst.op == Op::SetState) {
      const ValueId of = root(inst.args[0]);
      known = !whole || type_of(of) != Type::I64 ? kNoValue : is_pinned_read(of) ? same_as_[of] : of;
      return;
    }
    same_as_[id] = whole && known != kNoValue ? known : id;
    if (whole) known = same_as_[id];
  }
}

void Emitter::find_page_groups() {
  page_groups_.clear();
  group_at_.clear();
  const auto count = static_cast<ValueId>(block_->insts.size());
  if (same_as_.size() < count) same_as_.resize(count);
  ValueId pinned[16];
  std::fill(std::begin(pinned), std::end(pinned), kNoValue);
  OpenGroup open[16];
  unsigned open_count = 0;
  for (ValueId id = 0; id < count; ++id) {
    const ir::Inst& inst = insts_[id];
    if (inst.op == Op::GetState || inst.op == Op::SetState) {
      follow_pin(id, pinned);
      continue;
    }
    if (inst.op == Op::CallHelper) {
      open_count = 0;
      std::fill(std::begin(pinned), std::end(pinned), kNoValue);
    }
    if (!may_share_page(id)) continue;
    const auto info = MemInfo::unpack(inst.aux & 0xffffff);
    const Address address = followed_address(inst.args[0]);
    const ValueId base = root(address.base),
                  index = address.index == kNoValue ? kNoValue : root(address.index);
    if (address.cut || at(base).op == Op::Const || type_of(base) != Type::I64 ||
        (index != kNoValue && type_of(index) != Type::I64))
      continue;
    const ValueId same_index = index != kNoValue && is_pinned_read(index) ? same_as_[index] : index;
    const int32_t low = address.displacement;
    if (low > kMaxDisplacement || low < -kMaxDisplacement) continue;
    const int32_t high = low + info.size - 1;
    bool found = false;
    for (unsigned k = 0; k < open_count && !found; ++k) {
      const OpenGroup& one = open[k];
      if (one.base != base || one.index != same_index || one.shift != address.shift ||
          one.space != info.space)
        continue;
      PageGroup& group = page_groups_[one.group - 1u];
      const int32_t all_low = std::min(group.low, low), all_high = std::max(group.high, high);
      if (all_high - all_low >= kReach) continue;
      group.low = all_low;
      group.high = all_high;
      group.last = id;
      group.write |= inst.op == Op::Store;
      group_at_.resize(count);
      group_at_[group.first] = {one.group, group.from};
      group_at_[id] = {one.group, low};
      found = true;
    }
    if (found || page_groups_.size() == 0xffff) continue;
    page_groups_.push_back(
        {.first = id, .last = id, .write = inst.op == Op::Store, .from = low, .low = low, .high = high});
    const OpenGroup one{base, same_index, address.shift, info.space,
                        static_cast<uint16_t>(page_groups_.size())};
    if (open_count == std::size(open)) {
      std::move(open + 1, open + open_count, open);
      --open_count;
    }
    open[open_count++] = one;
  }
}

/// If the page of the base is looked for instead of that of the sum, what is added to it; 0: it is not. That
/// is one cycle less until the access can start.
int32_t Emitter::group_offset(ValueId value) const {
  constexpr int32_t kFar = 512;
  const Address address = plan_.address(value);
  const bool alone = address.index == kNoValue && !address.cut && at(root(address.base)).op != Op::Const;
  return alone && address.displacement > -kFar && address.displacement < kFar ? address.displacement : 0;
}

/// The first access of the group, at cold.args[0] + offset.
void Emitter::probe_group(PageGroup& group, Cold& cold, const MemInfo& info, const Probe& probe,
                          int32_t offset) {
  cold.page = probe.i;
  if (offset == 0) cold.temp = probe.t;
  group.origin = group.from - offset;
  probe_tlb(cold.args[0], info, group.write, probe, cold.from, std::min(0, group.low - group.origin),
            std::max(0, group.high - group.origin));
  group.reg = probe.i;
  held_ |= static_cast<uint16_t>(1u << probe.i);
}

/// Where the address is, without a register taken for it.
Emitter::GuestPlace Emitter::guest_place(ValueId value) {
  const Address address = plan_.address(value);
  const auto place = [&](ValueId id) -> Operand {
    const ValueId r = root(id);
    touch(r);
    const Loc& l = loc(r);
    if (l.gpr == kNoReg && l.home == Home::State) return state_mem(l.offset, 8);
    if (l.gpr == kNoReg && l.home == Home::Slot) return frame_mem(l.offset, 8);
    return gp64(use_gpr(id));
  };
  GuestPlace result{.shift = address.shift, .displacement = address.displacement};
  result.base = place(address.base);
  if (address.index != kNoValue) result.index = place(address.index);
  return result;
}

/// A register with the group's page.
uint8_t Emitter::use_page(PageGroup& group) {
  if (group.reg != kNoReg) {
    lock_gpr(group.reg);
    return group.reg;
  }
  const uint8_t reg = take_gpr();
  (void)a_.mov(gp64(reg), frame_mem(group.slot, 8));
  return reg;
}

void Emitter::check_page(Cold& cold, uint8_t page) {
  cold.page = page;
  (void)a_.test(gp64(page), gp64(page));
  (void)a_.long_().jz(cold.from);
  no_flags();
}

Emitter::Mem Emitter::in_page(const PageGroup& group, uint8_t page, const MemInfo& info) const {
  return x86::ptr(gp64(page), group_at_[now_].displacement - group.origin, info.size);
}

void Emitter::end_of_access(PageGroup& group) {
  if (group.last != now_) return;
  if (group.reg != kNoReg)
    held_ &= static_cast<uint16_t>(~(1u << group.reg));
  else
    instruction_slots_.emplace_back(group.slot, 8);
}

Emitter::PageGroup* Emitter::held_page(uint8_t reg) {
  const auto found = std::find_if(page_groups_.begin(), page_groups_.end(), [&](const PageGroup& group) {
    return group.reg == reg && group.first <= now_ && now_ <= group.last && group.first != group.last;
  });
  return found == page_groups_.end() ? nullptr : &*found;
}

void Emitter::page_to_memory(PageGroup& group) {
  group.slot = take_slot(8);
  (void)a_.mov(frame_mem(group.slot, 8), gp64(group.reg));
  held_ &= static_cast<uint16_t>(~(1u << group.reg));
  group.reg = kNoReg;
}

uint8_t Emitter::take_from_page() {
  PageGroup* best = nullptr;
  for (uint8_t reg = 0; reg < 16; ++reg) {
    if (!((held_ & ~locked_gpr_) >> reg & 1)) continue;
    PageGroup* const group = held_page(reg);
    if (!best || group->last > best->last) best = group;
  }
  if (!best) return kNoReg;
  const uint8_t reg = best->reg;
  page_to_memory(*best);
  return reg;
}

/// The access alone: straight to memory, or what follows this.
void Emitter::emit_cold_page(Cold& cold) {
  const auto info = MemInfo::unpack(cold.aux & 0xffffff);
  uint8_t i = cold.page, t = cold.temp;
  const bool first = t != kNoReg;
  const auto saved = [&](unsigned k) { return frame_mem(kFrameScratch + 8 * (k + 1), 8); };
  const auto restore = [&] {
    if (first) return;
    (void)a_.mov(gp64(i), saved(0));
    (void)a_.mov(gp64(t), saved(1));
  };
  if (!first) {
    // Two that are neither operand nor result.
    uint16_t used = static_cast<uint16_t>(1u << cold.page);
    const auto use = [&](const Operand& operand) {
      if (operand.isReg()) used |= static_cast<uint16_t>(1u << operand.id());
    };
    use(cold.place.base);
    use(cold.place.index);
    if (cold.op == Op::Store && !cold.xmm_value) used |= static_cast<uint16_t>(1u << cold.args[1]);
    if (cold.op == Op::Load && !cold.xmm_result) used |= static_cast<uint16_t>(1u << cold.d);
    const auto take = [&] {
      uint8_t reg = 0;
      while (reg < 15 && (!(temps_ >> reg & 1) || used >> reg & 1)) ++reg;
      used |= static_cast<uint16_t>(1u << reg);
      return reg;
    };
    i = take();
    t = take();
    (void)a_.mov(saved(0), gp64(i));
    (void)a_.mov(saved(1), gp64(t));
    const auto load = [&](uint8_t reg, const Operand& from) { (void)a_.emit(hi::kIdMov, gp64(reg), from); };
    load(cold.page, cold.place.base);
    if (!cold.place.index.isNone()) {
      load(i, cold.place.index);
      (void)a_.lea(gp64(cold.page),
                   x86::ptr(gp64(cold.page), gp64(i), cold.place.shift, cold.place.displacement));
    } else if (cold.place.displacement != 0) {
      (void)a_.lea(gp64(cold.page), x86::ptr(gp64(cold.page), cold.place.displacement));
    }
    cold.args[0] = cold.page;
  }
  const uint8_t address = cold.args[0];
  const bool store = cold.op == Op::Store;
  const Label slow = a_.newLabel();
  probe_tlb(address, info, store, {i, t}, slow);
  const Mem m = x86::ptr(gp64(address), gp64(i), 0, 0, info.size);
  if (store)
    store_plainly(cold.args[1], cold.xmm_value, info, m);
  else
    load_plainly(cold.d, cold.type, info, m);
  restore();
  (void)a_.mov(gp32(cold.page), 0);
  (void)a_.jmp(cold.back);
  (void)a_.bind(slow);
  restore();
}

}  // namespace lyrebird::jit::baseline
