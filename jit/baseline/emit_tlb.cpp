// SPDX-License-Identifier: Apache-2.0
// Guest memory in system mode: a look into the vCPU's TLB (jit/tlb.h) inline; where that fails, a call of the
// interpreter's handler through the runtime's memory thunk, which leaves the block if the handler stopped.
#include <initializer_list>

#include "ir/cpu_header.h"
#include "jit/baseline/atomic_op.h"
#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"
#include "jit/baseline/moves.h"
#include "jit/baseline/runtime.h"
#include "jit/thread_context.h"
#include "jit/tlb.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::AddressRule;
using ir::Align;
using ir::MemInfo;
using ir::Op;
using ir::Order;
using ir::Type;
using ir::ValueId;

namespace {

Type int_of_size(unsigned size) {
  return size == 1 ? Type::I8 : size == 2 ? Type::I16 : size == 4 ? Type::I32 : Type::I64;
}

InstId vector_move(bool avx, unsigned size) {
  return size == 4   ? (avx ? hi::kIdVmovss : hi::kIdMovss)
         : size == 8 ? (avx ? hi::kIdVmovsd : hi::kIdMovsd)
                     : (avx ? hi::kIdVmovups : hi::kIdMovups);
}

}  // namespace

/// Accesses that are one host instruction once the address is known.
bool Emitter::has_inline_form(const ir::Inst& inst, const MemInfo& info, Type value) {
  if (info.big_endian || info.align == Align::Within16) return false;
  if (info.address != AddressRule::Full && info.address != AddressRule::IgnoreTop) return false;
  const ValueClass cls = class_of(value);
  if (inst.op == Op::Load || inst.op == Op::Store) {
    if (cls == ValueClass::Memory || (cls == ValueClass::Xmm && info.size != ir::byte_size(value)))
      return false;
    if (cls == ValueClass::Xmm) return info.size <= 16;
    if (inst.op == Op::Store) return info.size <= 8;
    if (info.sign && value != Type::I32 && value != Type::I64) return false;
    return info.size <= ir::byte_size(value);
  }
  return cls == ValueClass::Gpr && info.size <= 8 && info.size != 0;
}

/// A register for temporaries that has nothing in it, or kNoReg.
uint8_t Emitter::free_gpr() const {
  for (uint8_t reg = 0; reg < 16; ++reg)
    if ((temps_ & ~(locked_gpr_ | held_)) >> reg & 1 && gpr_owner_[reg] == ir::kNoValue) return reg;
  return kNoReg;
}

/// Jumps to `cold` unless the access may be made by plain memory; else the host address is address + i. The
/// bytes from address + low up to address + high lie in the page then.
void Emitter::probe_tlb(uint8_t address, const MemInfo& info, bool write, const Probe& probe, Label cold,
                        int32_t low, int32_t high) {
  constexpr uint8_t kShift = kTlbPageBits - kTlbEntryBits;
  const uint8_t i = probe.i, t = probe.t;
  const auto table = [&](size_t offset) {
    return state_mem(offsetof(ir::CpuHeader, tlb_tables) + sizeof(ir::TlbTable) * info.space + offset, 8);
  };
  const auto entry = [&](size_t field) {
    const auto offset = static_cast<int32_t>(field);
    return probe.entries == kNoReg ? x86::ptr(gp64(i), offset, 8)
                                   : x86::ptr(gp64(probe.entries), gp64(i), 0, offset, 8);
  };
  uint8_t from = address;
  if (low != 0) {
    (void)a_.lea(gp64(i), x86::ptr(gp64(address), low));
    from = i;
  }
  if (host_.bmi2) {
    (void)a_.rorx(gp64(i), gp64(from), kShift);
  } else {
    if (from != i) (void)a_.mov(gp64(i), gp64(from));
    (void)a_.shr(gp64(i), kShift);
  }
  (void)a_.and_(gp64(i), table(offsetof(ir::TlbTable, mask)));
  if (probe.entries == kNoReg)
    (void)a_.add(gp64(i), table(offsetof(ir::TlbTable, entries)));
  else
    (void)a_.mov(gp64(probe.entries), table(offsetof(ir::TlbTable, entries)));
  const bool natural = info.align == Align::Natural;
  if (high == 0)
    (void)a_.mov(gp64(t), gp64(address));
  else
    (void)a_.lea(gp64(t), x86::ptr(gp64(address), high));
  (void)a_.and_(gp64(t), static_cast<int32_t>(kTlbPageMask) | (natural ? info.size - 1 : 0));
  (void)a_.cmp(gp64(t), entry(write ? offsetof(TlbEntry, write) : offsetof(TlbEntry, read)));
  (void)a_.long_().jne(cold);
  (void)a_.mov(gp64(i), entry(offsetof(TlbEntry, addend)));
  no_flags();
}

void Emitter::probe_tlb(uint8_t address, const MemInfo& info, bool write, const Probe& probe, Label cold) {
  probe_tlb(address, info, write, probe, cold, 0, info.align == Align::Natural ? 0 : info.size - 1);
}

void Emitter::load_plainly(uint8_t d, Type type, const MemInfo& info, const Mem& m) {
  if (class_of(type) == ValueClass::Xmm) {
    (void)a_.emit(vector_move(host_.avx, info.size), xmm(d), m);
    return;
  }
  const bool wide = type == Type::I64 && (info.sign || info.size == 8);
  const Gp target = gp(d, wide ? Type::I64 : Type::I32);
  if (info.size >= 4 && !(info.sign && info.size == 4 && type == Type::I64))
    (void)a_.mov(target, m);
  else
    (void)a_.emit(!info.sign ? hi::kIdMovzx : info.size == 4 ? hi::kIdMovsxd : hi::kIdMovsx, target, m);
}

void Emitter::store_plainly(uint8_t v, bool vector, const MemInfo& info, const Mem& m) {
  if (vector)
    (void)a_.emit(vector_move(host_.avx, info.size), m, xmm(v));
  else
    (void)a_.mov(m, gp(v, int_of_size(info.size)));
}

Emitter::Cold Emitter::cold_system(const ir::Inst& inst) {
  Cold cold{.kind = Cold::Kind::System, .op = inst.op, .type = inst.type};
  cold.from = a_.newLabel();
  cold.back = a_.newLabel();
  cold.aux = inst.aux;
  cold.pc = pc_;
  return cold;
}

void Emitter::emit_cold_system(Cold cold) {
  (void)a_.bind(cold.from);
  if (cold.page != kNoReg) emit_cold_page(cold);
  for (unsigned k = 0; k < cold.arg_count; ++k) {
    const uint32_t at = kFrameScratch + 32 * k;
    if (k == 1 && cold.xmm_value)
      (void)a_.emit(host_.avx ? hi::kIdVmovups : hi::kIdMovups, frame_mem(at, 16), xmm(cold.args[k]));
    else
      (void)a_.mov(frame_mem(at, 8), gp64(cold.args[k]));
  }
  (void)a_.mov(frame_mem(kFrameSaveGpr, 8), x86::rax);
  (void)a_.mov(frame_mem(kFrameAccess, 4), Imm(cold.aux & 0xffffff));
  (void)a_.mov(frame_mem(kFrameAccess + 4, 4),
               Imm(static_cast<uint32_t>(cold.op) << 8 | static_cast<uint32_t>(cold.type)));
  load_address(0, cold.pc);
  (void)a_.call(frame_mem(kFrameMemory, 8));
  if (cold.d != kNoReg) {
    const Mem result = frame_mem(kFrameScratch + 96);
    if (cold.xmm_result)
      load_float(cold.d, result, cold.type);
    else
      load_int(cold.d, result, cold.type);
  }
  if (cold.page != kNoReg) (void)a_.mov(gp32(cold.page), 0);
  (void)a_.jmp(cold.back);
}

bool Emitter::emit_system_memory(const ir::Inst& inst) {
  flush_f80();
  const auto info = MemInfo::unpack(inst.aux & 0xffffff);
  const Type value =
      inst.op == Op::Store || inst.op == Op::StoreExclusive ? type_of(inst.args[1]) : inst.type;
  if (!has_inline_form(inst, info, value)) return false;
  switch (inst.op) {
    case Op::Load:
      emit_system_load(inst, info);
      return true;
    case Op::Store:
      emit_system_store(inst, info);
      return true;
    case Op::CompareSwap:
      emit_system_compare_swap(inst, info);
      return true;
    case Op::LoadExclusive:
      if (info.sign) return false;
      emit_system_load_exclusive(inst, info);
      return true;
    case Op::StoreExclusive:
      emit_system_store_exclusive(inst, info);
      return true;
    default:
      return emit_system_atomic(inst, info);
  }
}

void Emitter::emit_system_load(const ir::Inst& inst, const MemInfo& info) {
  const bool vector = class_of(inst.type) == ValueClass::Xmm;
  Cold cold = cold_system(inst);
  cold.xmm_result = vector;
  cold.arg_count = 1;
  PageGroup* const group = page_group(now_);
  if (group && group->first != now_) {
    cold.place = guest_place(inst.args[0]);
    const uint8_t page = use_page(*group);
    cold.d = vector ? def_xmm() : def_gpr();
    check_page(cold, page);
    load_plainly(cold.d, inst.type, info, in_page(*group, page, info));
    (void)a_.bind(cold.back);
    cold_.push_back(cold);
    return end_of_access(*group);
  }
  const int32_t offset = group ? group_offset(inst.args[0]) : 0;
  if (offset != 0) cold.place = guest_place(inst.args[0]);
  const uint8_t address =
      offset != 0 ? use_gpr(plan_.address(inst.args[0]).base) : guest_address(inst.args[0]);
  Probe probe{.i = take_gpr(), .t = take_gpr()};
  const uint8_t d = vector ? def_xmm() : def_gpr();
  probe.entries = free_gpr();
  cold.d = d;
  cold.args[0] = address;
  if (group)
    probe_group(*group, cold, info, probe, offset);
  else
    probe_tlb(address, info, false, probe, cold.from);
  const bool overwritten = group && !vector && d == address;
  if (overwritten) (void)a_.add(gp64(probe.i), gp64(address));
  load_plainly(d, inst.type, info,
               overwritten ? x86::ptr(gp64(probe.i), offset, info.size)
                           : x86::ptr(gp64(address), gp64(probe.i), 0, offset, info.size));
  if (group && !overwritten) (void)a_.add(gp64(probe.i), gp64(address));
  (void)a_.bind(cold.back);
  cold_.push_back(cold);
}

void Emitter::emit_system_store(const ir::Inst& inst, const MemInfo& info) {
  const ValueId value = inst.args[1];
  const bool vector = class_of(type_of(value)) == ValueClass::Xmm;
  Cold cold = cold_system(inst);
  cold.arg_count = 2;
  cold.xmm_value = vector;
  const uint8_t v = cold.args[1] = vector ? use_xmm(value) : use_gpr(value);
  PageGroup* const group = page_group(now_);
  if (group && group->first != now_) {
    cold.place = guest_place(inst.args[0]);
    const uint8_t page = use_page(*group);
    check_page(cold, page);
    store_plainly(v, vector, info, in_page(*group, page, info));
    (void)a_.bind(cold.back);
    cold_.push_back(cold);
    return end_of_access(*group);
  }
  const int32_t offset = group ? group_offset(inst.args[0]) : 0;
  if (offset != 0) cold.place = guest_place(inst.args[0]);
  const uint8_t address =
      offset != 0 ? use_gpr(plan_.address(inst.args[0]).base) : guest_address(inst.args[0]);
  Probe probe{.i = take_gpr(), .t = take_gpr()};
  probe.entries = free_gpr();
  cold.args[0] = address;
  if (group)
    probe_group(*group, cold, info, probe, offset);
  else
    probe_tlb(address, info, true, probe, cold.from);
  store_plainly(v, vector, info, x86::ptr(gp64(address), gp64(probe.i), 0, offset, info.size));
  if (group) (void)a_.add(gp64(probe.i), gp64(address));
  if (info.order == Order::SeqCst) full_fence();
  (void)a_.bind(cold.back);
  cold_.push_back(cold);
}

bool Emitter::emit_system_atomic(const ir::Inst& inst, const MemInfo& info) {
  const std::optional<InstId> combiner = atomic_combiner(inst.op);
  if (!combiner) return false;
  const InstId id = *combiner;
  const Type type = int_of_size(info.size);
  if (id != hi::kIdNone) take_this_gpr(0);
  const uint8_t value = use_gpr(inst.args[1]);
  const uint8_t address = guest_address(inst.args[0]);
  const uint8_t i = take_gpr(), t = take_gpr();
  Cold cold = cold_system(inst);
  cold.args[0] = address;
  cold.args[1] = value;
  cold.arg_count = 2;
  cold.d = t;
  probe_tlb(address, info, true, {i, t}, cold.from);
  const Mem m = x86::ptr(gp64(address), gp64(i), 0, 0, info.size);
  if (id == hi::kIdNone) {
    (void)a_.mov(gp64(t), gp64(value));
    if (inst.op == Op::AtomicAdd) (void)a_.lock();
    (void)a_.emit(inst.op == Op::AtomicAdd ? hi::kIdXadd : hi::kIdXchg, m, gp(t, type));
  } else {
    // The address stays as it is only for the cold path, which is left behind.
    const Label again = a_.newLabel();
    (void)a_.lea(gp64(i), x86::ptr(gp64(address), gp64(i)));
    const Mem at = x86::ptr(gp64(i), 0, info.size);
    (void)a_.emit(info.size < 4 ? hi::kIdMovzx : hi::kIdMov, gp(0, info.size == 8 ? Type::I64 : Type::I32),
                  at);
    (void)a_.bind(again);
    (void)a_.mov(gp64(t), x86::rax);
    if (inst.op == Op::AtomicAndNot) {
      // a & ~b = ~(~a | b)
      (void)a_.not_(gp64(t));
      (void)a_.or_(gp64(t), gp64(value));
      (void)a_.not_(gp64(t));
    } else {
      (void)a_.emit(id, gp64(t), gp64(value));
    }
    (void)a_.lock();
    (void)a_.cmpxchg(at, gp(t, type));
    (void)a_.jne(again);
    (void)a_.mov(gp64(t), x86::rax);
  }
  if (info.size <= 2)
    (void)a_.movzx(gp32(t), gp(t, type));
  else if (info.size == 4)
    (void)a_.mov(gp32(t), gp32(t));
  (void)a_.bind(cold.back);
  cold_.push_back(cold);
  (void)a_.mov(gp64(def_gpr()), gp64(t));
  return true;
}

void Emitter::emit_system_compare_swap(const ir::Inst& inst, const MemInfo& info) {
  const Type type = int_of_size(info.size);
  take_this_gpr(0);
  const uint8_t expected = use_gpr(inst.args[1]), desired = use_gpr(inst.args[2]);
  const uint8_t address = guest_address(inst.args[0]);
  // rax serves the probe: no more registers than there are.
  const uint8_t i = take_gpr();
  Cold cold = cold_system(inst);
  cold.args[0] = address;
  cold.args[1] = expected;
  cold.args[2] = desired;
  cold.arg_count = 3;
  cold.d = 0;
  probe_tlb(address, info, true, {i, 0}, cold.from);
  (void)a_.mov(x86::rax, gp64(expected));
  (void)a_.lock();
  (void)a_.cmpxchg(x86::ptr(gp64(address), gp64(i), 0, 0, info.size), gp(desired, type));
  if (info.size <= 2)
    (void)a_.movzx(x86::eax, gp(0, type));
  else if (info.size == 4)
    (void)a_.mov(x86::eax, x86::eax);
  (void)a_.bind(cold.back);
  cold_.push_back(cold);
  (void)a_.mov(gp64(def_gpr()), x86::rax);
}

void Emitter::emit_system_load_exclusive(const ir::Inst& inst, const MemInfo& info) {
  const uint8_t address = guest_address(inst.args[0]);
  const uint8_t i = take_gpr(), t = take_gpr();
  Cold cold = cold_system(inst);
  cold.args[0] = address;
  cold.arg_count = 1;
  cold.d = t;
  probe_tlb(address, info, false, {i, t}, cold.from);
  (void)a_.emit(info.size >= 4 ? hi::kIdMov : hi::kIdMovzx, gp(t, info.size == 8 ? Type::I64 : Type::I32),
                x86::ptr(gp64(address), gp64(i), 0, 0, info.size));
  (void)a_.mov(state_mem(offsetof(ir::CpuHeader, exclusive_address), 8), gp64(address));
  (void)a_.mov(state_mem(offsetof(ir::CpuHeader, exclusive_size), 4), info.size);
  (void)a_.mov(state_mem(offsetof(ir::CpuHeader, exclusive_value), 8), gp64(t));
  (void)a_.bind(cold.back);
  cold_.push_back(cold);
  (void)a_.mov(gp64(def_gpr()), gp64(t));
}

void Emitter::emit_system_store_exclusive(const ir::Inst& inst, const MemInfo& info) {
  const Type type = int_of_size(info.size);
  take_this_gpr(0);
  const uint8_t value = use_gpr(inst.args[1]);
  const uint8_t address = guest_address(inst.args[0]);
  const uint8_t i = take_gpr(), failed = take_gpr();
  Cold cold = cold_system(inst);
  cold.args[0] = address;
  cold.args[1] = value;
  cold.arg_count = 2;
  cold.d = failed;
  const Label done = a_.newLabel();
  // What is not watched does not fault.
  (void)a_.mov(gp32(failed), 1);
  (void)a_.cmp(state_mem(offsetof(ir::CpuHeader, exclusive_size), 4), info.size);
  (void)a_.jne(done);
  (void)a_.cmp(state_mem(offsetof(ir::CpuHeader, exclusive_address), 8), gp64(address));
  (void)a_.jne(done);
  probe_tlb(address, info, true, {i, 0}, cold.from);
  (void)a_.mov(x86::rax, state_mem(offsetof(ir::CpuHeader, exclusive_value), 8));
  (void)a_.lock();
  (void)a_.cmpxchg(x86::ptr(gp64(address), gp64(i), 0, 0, info.size), gp(value, type));
  (void)a_.setne(x86::gpb_lo(failed));
  (void)a_.bind(done);
  (void)a_.mov(state_mem(offsetof(ir::CpuHeader, exclusive_size), 4), 0);
  (void)a_.bind(cold.back);
  cold_.push_back(cold);
  (void)a_.mov(gp64(def_gpr()), gp64(failed));
}

/// Where its entry lies stands at fixed distances in front of the address, where who moves the code finds it
/// (kMoveIndex).
void Emitter::emit_jump_probe(const ExitPlan& exit) {
  const auto code = [&](std::initializer_list<uint8_t> opcode, std::initializer_list<uint32_t> words) {
    (void)a_.embed(opcode.begin(), opcode.size());
    for (const uint32_t word : words) (void)a_.embed(&word, sizeof word);
  };
  static_assert(abi::kState != 0 && abi::kState != 2);
  const JumpPlaces places = jump_places(exit.pc);
  (void)a_.mov(x86::rdx, state_mem(offsetof(ir::CpuHeader, jump_cache), 8));
  code({0x81, 0xba}, {places.mode, exit.mode});  // cmp dword [rdx + mode], exit.mode
  const uint32_t other_mode = a_.jump_long_if(Cc::kNE);
  code({0x48, 0x81, 0xc2}, {places.entry});  // add rdx, entry
  load_address(0, exit.pc);
  moves_.back() |= kMoveIndex;
  (void)a_.xor_(x86::rax, state_mem(offsetof(ir::CpuHeader, jump_tag), 8));
  (void)a_.cmp(x86::ptr(x86::rdx, offsetof(JumpCacheEntry, key), 8), x86::rax);
  const Label miss = a_.newLabel();
  (void)a_.jne(miss);
  (void)a_.jmp(x86::ptr(x86::rdx, offsetof(JumpCacheEntry, entry), 8));
  (void)a_.bind(miss);
  a_.set_target(other_mode, static_cast<uint32_t>(a_.offset()));
}

}  // namespace lyrebird::jit::baseline
