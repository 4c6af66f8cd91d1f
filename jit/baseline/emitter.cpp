// SPDX-License-Identifier: Apache-2.0
#include "jit/baseline/emitter.h"

#include <algorithm>
#include <utility>

#include "ir/const_address.h"
#include "ir/cpu_header.h"
#include "jit/baseline/block.h"
#include "jit/baseline/ids.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::Op;
using ir::Type;
using ir::ValueId;

namespace {

/// Ops whose code never touches the host flags; the others say themselves what is left of them.
bool keeps_flags(Op op) {
  switch (op) {
    case Op::GetState:
    case Op::SetState:
    case Op::Load:
    case Op::Store:
    case Op::ZExt:
    case Op::SExt:
    case Op::Bitcast:
    case Op::ExitIf:
    case Op::Add:
    case Op::Sub:
    case Op::And:
    case Op::AddWithCarry:
    case Op::SubWithBorrow:
    case Op::CarryOfAdd:
    case Op::OverflowOfAdd:
    case Op::Select:
    case Op::FCompare:
      return true;
    default:
      return false;
  }
}

}  // namespace

Emitter::Emitter(const Pins& pins, const HostFeatures& host) : pins_(pins), host_(host) {
  // All registers but rsp, the state's and the pinned ones.
  temps_ = static_cast<uint16_t>(0xffff & ~(1u << 4 | 1u << abi::kState) & ~pins.mask);
}

bool Emitter::emit(const ir::Block& block, ir::HelperTable helpers, const EmitOptions& options) {
  block_ = &block;
  insts_ = block.insts.data();
  helpers_ = helpers;
  options_ = options;
  plan_.make(block, helpers, pins_);
  may_delay_ = pins_.status != 0 && (options.system || options.zero_base) && !options.strip_tags;
  if (!attempt()) return false;
  if (!a_.lost_flags()) return true;
  // Something that was expected to leave the host's flags alone did not: the block again, with a status word
  // that is always stored.
  may_delay_ = false;
  return attempt();
}

bool Emitter::attempt() {
  a_.start_block(code_);
  exits_.clear();
  exit_jumps_.clear();
  marks_.clear();
  faults_.clear();
  traps_.clear();
  masked_ = false;
  records_.clear();
  pointers_.clear();
  moves_.clear();
  movable_ = options_.system;
  pool_.clear();
  cold_.clear();
  f80_exits_.clear();
  start_body();
  status_incoming_ = notes_flags_ = may_delay_ && keeps_incoming_status();
  emit_entry();
  start_f80_loop();
  if (!emit_body()) return false;
  hot_size_ = static_cast<uint32_t>(a_.offset()) - kCodeHeader;
  hot_count_ = a_.count() - prefix_count_;
  a_.guard_flags(false);
  emit_tail();
  return !failed_;
}

/// Nothing is in a register yet.
void Emitter::start_body() {
  const ir::Block& block = *block_;
  temps_ |= 1u << 1;
  if (locs_.size() < block.insts.size()) locs_.resize(2 * block.insts.size());
  std::fill_n(locs_.begin(), block.insts.size(), Loc{});
  std::fill(std::begin(gpr_owner_), std::end(gpr_owner_), ir::kNoValue);
  std::fill(std::begin(xmm_owner_), std::end(xmm_owner_), ir::kNoValue);
  for (auto& list : aliases_) list.clear();
  state_homes_.clear();
  touched_.clear();
  for (auto& list : free_slots_) list.clear();
  instruction_slots_.clear();
  locked_gpr_ = 0;
  locked_xmm_ = 0;
  held_ = 0;
  if (options_.system) find_page_groups();
  slot_end_ = kFrameSlots;
  f80_stack_.clear();
  std::fill(std::begin(f80_dirty_), std::end(f80_dirty_), ir::kNoValue);
  f80_control_ = kF80DefaultControl;
  delayed_ = FlagsAt::State;
  no_flags();
  failed_ = false;
  early_ = ir::kNoValue;
  status_incoming_ = false;
  asks_ = false;
  pc_ = after_ = block.key.pc;
  mode_known_ = true;
  mode_ = block.key.mode;
}

bool Emitter::emit_body() {
  const ir::Inst* const insts = insts_;
  for (ValueId i = 0, n = static_cast<ValueId>(block_->insts.size()); i < n; ++i) {
    now_ = i;
    const ir::Inst& inst = insts[i];
    // Nothing is emitted, and no delayed flags are to be settled.
    if ((inst.op == Op::Const || inst.op == Op::Insn) && !status_incoming_ && !delays()) {
      if (inst.op == Op::Insn) start_guest_instruction(inst);
      continue;
    }
    if (i != early_) emit_inst(inst);
    end_of_instruction();
    if (failed_) return false;
  }
  return true;
}

/// The flags of who jumps here directly, then the check for requests. Who jumps here forward, or indirectly, enters
/// behind both.
void Emitter::emit_entry() {
  a_.start_with_zeros(kCodeHeader);
  const unsigned exit =
      add_exit({.kind = ExitPlan::Kind::Entry, .mode = block_->key.mode, .pc = block_->key.pc});
  uint32_t skip = 0;
  if (pins_.status != 0) {
    // For who comes with the guest's flags in the host's: where they are overwritten they are stored only for
    // who asks.
    if (pins_.other_carry) a_.complement_carry();
    if (plan_.drops_flags() || status_incoming_) {
      (void)a_.mov(x86::rcx, state_mem(offsetof(ir::CpuHeader, exit_request), 8));
      skip = a_.jump_if_rcx_zero();
    }
    put_flags(FlagsAt::Host);
  }
  prefix_ = static_cast<uint32_t>(a_.offset()) - kCodeHeader;
  prefix_count_ = a_.count();
  compare_requests();
  to_stub_if(Cc::kNE, exit);
  after_check_ = static_cast<uint32_t>(a_.offset());
  if (notes_flags_) {
    (void)a_.mov(x86::ecx, 1);
    if (a_.offset() != after_check_ + BlockInfo::kNoteSize) failed_ = true;
    temps_ = static_cast<uint16_t>(temps_ & ~(1u << 1));
    a_.guard_flags(true);
  }
  if (skip != 0) a_.set_short_target(skip, static_cast<uint32_t>(a_.offset()));
}

uint64_t Emitter::constant(ValueId id) const {
  const ir::Inst& inst = at(root(id));
  if (ir::moves(inst)) movable_ = false;
  const unsigned width = ir::bit_width(inst.type);
  return width >= 64 ? inst.imm : inst.imm & low_mask(width);
}

std::optional<int32_t> Emitter::imm32(ValueId id, Type type) const {
  if (at(root(id)).op != Op::Const || (options_.system && ir::moves(at(root(id))))) return std::nullopt;
  const int64_t value = type == Type::I1 ? static_cast<int64_t>(constant(id))
                                         : sign_extend(constant(id), std::min(64u, ir::bit_width(type)));
  if (value != static_cast<int32_t>(value)) return std::nullopt;
  return static_cast<int32_t>(value);
}

void Emitter::start_guest_instruction(const ir::Inst& inst) {
  pc_ = inst.imm;
  after_ = pc_ + inst.aux;
  if (options_.marks) marks_.push_back({static_cast<uint32_t>(a_.offset()), pc_});
}

void Emitter::emit_inst(const ir::Inst& inst) {
  if (status_incoming_ && now_ > plan_.status_fault()) {
    status_incoming_ = false;
    temps_ |= 1u << 1;
    a_.guard_flags(false);
  }
  if (delays()) settle_status(inst);
  switch (inst.op) {
    case Op::Insn:
      return start_guest_instruction(inst);
    case Op::Const:
      return;
    case Op::GetState:
      return emit_get_state(inst);
    case Op::SetState:
      return emit_set_state(inst);
    case Op::ForgetState:
      if (const int field = f80_field(inst.imm); field >= 0) f80_forget_field(static_cast<unsigned>(field));
      return;
    case Op::Jump:
      return emit_jump(inst);
    case Op::Branch:
      return emit_branch(inst);
    case Op::JumpIndirect:
      return emit_jump_indirect(inst);
    case Op::Raise:
      return emit_raise(inst, false);
    case Op::RaiseIf:
      return emit_raise(inst, true);
    case Op::ExitIf:
      return emit_exit_if(inst);
    default:
      break;
  }
  const ValuePlan& plan = plan_[now_];
  if (plan.lazy || !plan.needed || plan.root != now_ || plan.fused != 0) return;
  kept_flags_ = false;
  if (inst.op == Op::CallHelper) {
    asks_ = options_.system;
    emit_helper(inst);
  } else if (inst.op == Op::Fence || inst.op == Op::ClearExclusive || is_memory_access(inst.op)) {
    if (!emit_memory(inst)) emit_memory_record(inst);
  } else if (!emit_integer(inst) && !emit_vector(inst) && !emit_f80(inst) && !emit_float(inst)) {
    emit_record(inst);
  }
  if (!keeps_flags(inst.op) && !kept_flags_) no_flags();
}

uint32_t Emitter::emit_leave(uint32_t way) {
  const auto start = static_cast<uint32_t>(a_.offset());
  a_.load_rax_from_start();
  a_.jump_in_frame(static_cast<uint8_t>(abi::kFrame + way));
  return start;
}

/// What is out of line: cold paths, stubs of exits, the interpreter's records, constants.
void Emitter::emit_tail() {
  for (size_t i = 0; i < cold_.size(); ++i) emit_cold(cold_[i]);
  emit_f80_exits();
  uint32_t leave = 0;  ///< what all exits but the indirect end with, and behind stores of the flags
  uint32_t store_and_leave[4] = {};
  for (unsigned i = 0; i < exits_.size(); ++i) {
    exits_[i].stub = static_cast<uint32_t>(a_.offset());
    if (exits_[i].kind == ExitPlan::Kind::Indirect)
      (void)a_.mov(state_mem(offsetof(ir::CpuHeader, pc), 8), gp64(jump_target_));
    if (exits_[i].flags != FlagsAt::State && leaves_page(exits_[i])) {
      put_flags(std::exchange(exits_[i].flags, FlagsAt::State));
    } else if (exits_[i].flags != FlagsAt::State) {
      uint32_t& shared = store_and_leave[static_cast<unsigned>(exits_[i].flags)];
      a_.load_ecx(i);
      if (shared != 0) {
        a_.jump_to(shared);
        continue;
      }
      shared = static_cast<uint32_t>(a_.offset());
      put_flags(exits_[i].flags);
      if (leave == 0)
        leave = emit_leave(kFrameExit);
      else
        a_.jump_to(leave);
      continue;
    }
    if (leaves_page(exits_[i])) emit_jump_probe(exits_[i]);
    a_.load_ecx(i);
    const bool indirect = exits_[i].kind == ExitPlan::Kind::Indirect;
    if (!indirect && leave != 0) {
      a_.jump_to(leave);
      continue;
    }
    const uint32_t start = emit_leave(indirect ? kFrameLookup : kFrameExit);
    if (!indirect) leave = start;
  }
  for (const ExitJump& jump : exit_jumps_) a_.set_target(jump.end, exits_[jump.exit].stub);

  instructions_size_ = static_cast<uint32_t>(a_.offset());
  // Blocks that end here may lie closer together than others (kept_alignment()).
  if (records_.empty() && pool_.empty()) return;
  (void)a_.align(AlignMode::kZero, 32);
  for (Record& record : records_) {
    (void)a_.bind(record.label);
    const auto start = static_cast<uint32_t>(a_.offset());
    for (uint32_t i = 0; i < record.count; ++i)
      pointers_.push_back(start + i * static_cast<uint32_t>(sizeof(interp::Code)) +
                          offsetof(interp::Code, handler));
    if (options_.system && record.pc_at >= 0)
      moves_.push_back(start +
                       static_cast<uint32_t>(record.pc_at) * static_cast<uint32_t>(sizeof(interp::Code)) +
                       offsetof(interp::Code, imm));
    if (record.helper) pointers_.push_back(start + offsetof(interp::Code, imm));
    (void)a_.embed(record.codes, record.count * sizeof(interp::Code));
  }
  for (const PoolEntry& entry : pool_) {
    (void)a_.bind(entry.label);
    (void)a_.embed(&entry.low, 8);
    (void)a_.embed(&entry.high, 8);
  }
}

Emitter::Mem Emitter::pool(uint64_t low, uint64_t high) {
  for (const PoolEntry& entry : pool_)
    if (entry.low == low && entry.high == high) return x86::ptr_128(entry.label);
  pool_.push_back({low, high, a_.newLabel()});
  return x86::ptr_128(pool_.back().label);
}

}  // namespace lyrebird::jit::baseline
