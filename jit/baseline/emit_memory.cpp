// SPDX-License-Identifier: Apache-2.0
// Guest memory. What may fault is one host instruction, noted with its guest pc, before
// which nothing of the guest instruction has changed the state: after a fault the engine
// runs the guest instruction again, in the interpreter. With AddressRule::IgnoreTop and a
// tag in the address the access itself faults (the address is not canonical), and the
// interpreter takes the tag off; see Baseline::run.
#include "ir/cpu_header.h"
#include "jit/baseline/atomic_op.h"
#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"
#include "jit/interp/select.h"
#include "jit/thread_context.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::AddressRule;
using ir::Align;
using ir::kNoValue;
using ir::MemInfo;
using ir::Op;
using ir::Order;
using ir::Type;
using ir::ValueId;

namespace {
Type int_of_size(unsigned size) {
  return size == 1 ? Type::I8 : size == 2 ? Type::I16 : size == 4 ? Type::I32 : Type::I64;
}
/// A vector access whose alignment rule is one that the host's aligned moves fault for.
bool host_checks(const MemInfo& info) {
  return info.align == Align::None || (info.align == Align::Natural && info.size == 16);
}
}  // namespace

bool Emitter::emit_memory(const ir::Inst& inst) {
  if (inst.op == Op::ClearExclusive) {
    (void)a_.mov(state_mem(offsetof(ir::CpuHeader, exclusive_size), 4), 0);
    return true;
  }
  if (inst.op == Op::Fence) {
    if (inst.aux == 3) full_fence();
    return true;
  }
  if (options_.system) return emit_system_memory(inst);
  const auto info = MemInfo::unpack(inst.aux & 0xffffff);
  if (info.big_endian) return false;
  const bool wraps = info.address == AddressRule::Low32 || info.address == AddressRule::Low16;
  if ((inst.op != Op::Load && inst.op != Op::Store) || info.align != Align::None) flush_f80();
  // Atomics and exclusives take the address as it is.
  const bool word = info.size <= 8 && info.size != 0 && !wraps;
  switch (inst.op) {
    case Op::Load: {
      const ValueClass cls = class_of(inst.type);
      if (inst.type == Type::F80 && !pins_.f80.empty() && info.size == 10 && info.align == Align::None) {
        emit_f80_guest_load(inst, info);
        return true;
      }
      if (cls == ValueClass::Memory || (cls == ValueClass::Xmm && info.size != ir::byte_size(inst.type)))
        return false;
      if (cls == ValueClass::Xmm && !host_checks(info)) return false;
      if (info.sign && inst.type != Type::I32 && inst.type != Type::I64) return false;
      if (cls == ValueClass::Gpr && info.size > ir::byte_size(inst.type)) return false;
      emit_load(inst, info);
      return true;
    }
    case Op::Store: {
      const ValueClass cls = class_of(inst.type);
      if (!pins_.f80.empty() && info.align == Align::None && emit_f80_guest_store(inst, info)) return true;
      if (cls == ValueClass::Memory || (cls == ValueClass::Xmm && info.size != ir::byte_size(inst.type)))
        return false;
      if (cls == ValueClass::Xmm && !host_checks(info)) return false;
      if (cls == ValueClass::Gpr && info.size > 8) return false;
      emit_store(inst, info);
      return true;
    }
    case Op::LoadExclusive:
      return word && class_of(inst.type) == ValueClass::Gpr && emit_load_exclusive(inst, info);
    case Op::StoreExclusive:
      return word && emit_store_exclusive(inst, info);
    case Op::CompareSwap:
      return word && class_of(inst.type) == ValueClass::Gpr && emit_compare_swap(inst, info);
    default:
      return word && class_of(inst.type) == ValueClass::Gpr && emit_atomic(inst, info);
  }
}

/// The guest address in a register; not to be changed.
uint8_t Emitter::guest_address(ValueId value) {
  const Address address = plan_.address(value);
  const uint8_t base = use_gpr(address.base);
  if (address.index == kNoValue && address.displacement == 0 && !address.cut) return base;
  const uint8_t index = address.index == kNoValue ? kNoReg : use_gpr(address.index);
  const uint8_t t = take_gpr();
  const Mem sum = index == kNoReg ? x86::ptr(gp64(base), address.displacement)
                                  : x86::ptr(gp64(base), gp64(index), address.shift, address.displacement);
  (void)a_.lea(gp(t, address.cut ? Type::I32 : Type::I64), sum);
  return t;
}

Emitter::Mem Emitter::guest_memory(ValueId value, const MemInfo& info) {
  const bool strip = info.address == AddressRule::IgnoreTop && options_.strip_tags;
  const bool narrow = info.address == AddressRule::Low32 || info.address == AddressRule::Low16;
  if (!strip && !narrow && options_.zero_base) {
    const Address address = plan_.address(value);
    const Type type = address.cut ? Type::I32 : Type::I64;
    const uint8_t base = use_gpr(address.base);
    if (address.index == kNoValue) return x86::ptr(gp(base, type), address.displacement, info.size);
    const uint8_t index = use_gpr(address.index);
    return x86::ptr(gp(base, type), gp(index, type), address.shift, address.displacement, info.size);
  }
  const uint8_t address = guest_address(value);
  const uint8_t t = take_gpr();
  switch (info.address) {
    case AddressRule::Low32:
      (void)a_.mov(gp32(t), gp32(address));
      break;
    case AddressRule::Low16:
      (void)a_.movzx(gp32(t), x86::gpw(address));
      break;
    case AddressRule::IgnoreTop:
      (void)a_.mov(gp64(t), gp64(address));
      (void)a_.shl(gp64(t), 8);
      (void)a_.sar(gp64(t), 8);
      no_flags();
      break;
    default:
      (void)a_.mov(gp64(t), gp64(address));
  }
  if (!options_.zero_base) {
    (void)a_.add(gp64(t), state_mem(offsetof(ir::CpuHeader, memory_base), 8));
    no_flags();
  }
  return x86::ptr(gp64(t), 0, info.size);
}

void Emitter::full_fence() {
  (void)a_.lock().or_(frame_mem(kFrameMxcsr, 4), 0);
  no_flags();
}

// Unaligned accesses under a rule go to the interpreter's handler, which knows it.
void Emitter::check_alignment(uint8_t address, const MemInfo& info, Label cold) {
  (void)a_.test(x86::gpb_lo(address), info.size - 1);
  (void)a_.long_().jnz(cold);
  no_flags();
}

Label Emitter::memory_record(const ir::Inst& inst, uint16_t a, uint16_t b, uint16_t c, uint16_t d) {
  const auto place = [](uint16_t operand) {
    return operand & interp::kInState ? interp::Place::State : interp::Place::Frame;
  };
  interp::Code code;
  code.handler = options_.system ? interp::select_system_memory(inst)
                                 : interp::select_memory(inst, place(a), place(inst.op == Op::Store ? b : d));
  if (!code.handler) failed_ = true;
  code.d = d;
  code.a = a;
  code.b = b;
  code.c = c;
  code.imm = pc_;
  code.extra = 0;
  code.aux = (inst.aux & 0xffffff) | ((ir::info(inst.op).effects & ir::Writes) ? interp::kMemWrites : 0) |
             (inst.type == Type::I8 ? interp::kMemByteResult : 0);
  return add_record(&code, 1, false, 0);
}

/// Leaves if the handler has set ThreadContext::stop.
void Emitter::stop_if_asked() {
  const unsigned exit = add_exit({.kind = ExitPlan::Kind::Stopped});
  (void)a_.mov(frame_mem(kFrameSaveGpr, 8), x86::rax);
  (void)a_.mov(x86::rax, frame_mem(kFrameThread, 8));
  (void)a_.cmp(x86::dword_ptr(x86::rax, kThreadStopKind), 0);
  (void)a_.mov(x86::rax, frame_mem(kFrameSaveGpr, 8));
  to_stub_if(Cc::kNE, exit);
}

void Emitter::emit_memory_record(const ir::Inst& inst) {
  flush_f80();
  const uint8_t address = guest_address(inst.args[0]);
  const uint32_t slot = take_slot(8);
  instruction_slots_.emplace_back(slot, 8);
  (void)a_.mov(frame_mem(slot, 8), gp64(address));
  uint16_t operands[2] = {};
  for (unsigned k = 1; k < ir::arg_count(inst); ++k) operands[k - 1] = use_operand(inst.args[k]);
  const bool has_result = inst.op != Op::Store;
  const uint32_t result = has_result ? take_slot(slot_size(inst.type)) : kFrameScratch;
  const Label record = memory_record(inst, static_cast<uint16_t>(slot), operands[0], operands[1],
                                     static_cast<uint16_t>(result));
  call_record(record, Thunk::Full);
  no_flags();
  stop_if_asked();
  if (!has_result) return;
  if (class_of(inst.type) == ValueClass::Memory) {
    touch(now_);
    set_home(now_, Home::Slot, result);
    return;
  }
  instruction_slots_.emplace_back(result, slot_size(inst.type));
  define_from_memory(frame_mem(result));
}

void Emitter::emit_cold_memory(const Cold& cold) {
  (void)a_.bind(cold.from);
  for (unsigned k = 0; k < cold.arg_count; ++k)
    (void)a_.mov(frame_mem(kFrameScratch + 32 * k, 8), gp64(cold.args[k]));
  call_record(cold.record, Thunk::Full);
  stop_if_asked();
  if (cold.d != kNoReg) load_int(cold.d, frame_mem(kFrameScratch + 96), cold.type);
  (void)a_.jmp(cold.back);
}

// --- plain

void Emitter::emit_load(const ir::Inst& inst, const MemInfo& info) {
  if (class_of(inst.type) == ValueClass::Xmm) {
    const Mem m = guest_memory(inst.args[0], info);
    const uint8_t d = def_xmm();
    faulting(info.size == 4                 ? (host_.avx ? hi::kIdVmovss : hi::kIdMovss)
             : info.size == 8               ? (host_.avx ? hi::kIdVmovsd : hi::kIdMovsd)
             : info.align == Align::Natural ? (host_.avx ? hi::kIdVmovaps : hi::kIdMovaps)
                                            : (host_.avx ? hi::kIdVmovups : hi::kIdMovups),
             xmm(d), m);
    return;
  }
  Cold cold{.kind = Cold::Kind::Memory, .op = inst.op, .type = inst.type};
  const bool check = info.align != Align::None && info.size > 1;
  const uint8_t address = check ? guest_address(inst.args[0]) : kNoReg;
  const Mem m = guest_memory(inst.args[0], info);
  const uint8_t d = def_gpr(plan_.address(inst.args[0]).base);
  if (check) {
    cold.from = a_.newLabel();
    cold.back = a_.newLabel();
    cold.record = memory_record(inst, kFrameScratch, 0, 0, kFrameScratch + 96);
    cold.args[0] = address;
    cold.arg_count = 1;
    check_alignment(address, info, cold.from);
  }
  const Gp target = gp(d, inst.type == Type::I64 && (info.sign || info.size == 8) ? Type::I64 : Type::I32);
  if (info.size >= 4 && !(info.sign && info.size == 4 && inst.type == Type::I64))
    faulting(hi::kIdMov, target, m);
  else
    faulting(!info.sign ? hi::kIdMovzx : info.size == 4 ? hi::kIdMovsxd : hi::kIdMovsx, target, m);
  if (check) {
    cold.d = d;
    (void)a_.bind(cold.back);
    cold_.push_back(cold);
  }
}

void Emitter::emit_store(const ir::Inst& inst, const MemInfo& info) {
  const ValueId value = inst.args[1];
  if (class_of(inst.type) == ValueClass::Xmm) {
    const uint8_t v = use_pinned_xmm(value);
    const Mem m = guest_memory(inst.args[0], info);
    faulting(info.size == 4                 ? (host_.avx ? hi::kIdVmovss : hi::kIdMovss)
             : info.size == 8               ? (host_.avx ? hi::kIdVmovsd : hi::kIdMovsd)
             : info.align == Align::Natural ? (host_.avx ? hi::kIdVmovaps : hi::kIdMovaps)
                                            : (host_.avx ? hi::kIdVmovups : hi::kIdMovups),
             m, xmm(v));
    if (info.order == Order::SeqCst) full_fence();
    return;
  }
  const Type type = int_of_size(info.size);
  const bool check = info.align != Align::None && info.size > 1;
  const auto imm = imm32(value, type);
  const uint8_t v = imm && !check ? kNoReg : use_gpr(value);
  Cold cold{.kind = Cold::Kind::Memory, .op = inst.op, .type = inst.type};
  const uint8_t address = check ? guest_address(inst.args[0]) : kNoReg;
  const Mem m = guest_memory(inst.args[0], info);
  if (check) {
    cold.from = a_.newLabel();
    cold.back = a_.newLabel();
    cold.record = memory_record(inst, kFrameScratch, kFrameScratch + 32, 0, kFrameScratch + 96);
    cold.args[0] = address;
    cold.args[1] = v;
    cold.arg_count = 2;
    check_alignment(address, info, cold.from);
  }
  if (v == kNoReg)
    faulting(hi::kIdMov, m, Imm(*imm));
  else
    faulting(hi::kIdMov, m, gp(v, type));
  if (info.order == Order::SeqCst) full_fence();
  if (check) {
    (void)a_.bind(cold.back);
    cold_.push_back(cold);
  }
}

// --- atomic

bool Emitter::emit_atomic(const ir::Inst& inst, const MemInfo& info) {
  const std::optional<InstId> combiner = atomic_combiner(inst.op);
  if (!combiner) return false;
  const InstId id = *combiner;
  const Type type = int_of_size(info.size);
  if (id != hi::kIdNone) take_this_gpr(0);
  const uint8_t value = use_gpr(inst.args[1]);
  const uint8_t address = guest_address(inst.args[0]);
  const uint8_t t = take_gpr();
  const Mem m = guest_memory(inst.args[0], info);
  const uint8_t inverted = inst.op == Op::AtomicAndNot ? take_gpr() : kNoReg;
  Cold cold{.kind = Cold::Kind::Memory, .op = inst.op, .type = inst.type};
  const bool check = info.align != Align::None && info.size > 1;
  cold.back = a_.newLabel();
  if (check) {
    cold.from = a_.newLabel();
    cold.record = memory_record(inst, kFrameScratch, kFrameScratch + 32, 0, kFrameScratch + 96);
    cold.args[0] = address;
    cold.args[1] = value;
    cold.arg_count = 2;
    check_alignment(address, info, cold.from);
  }
  if (id == hi::kIdNone) {
    (void)a_.mov(gp64(t), gp64(value));
    if (inst.op == Op::AtomicAdd) (void)a_.lock();
    faulting(inst.op == Op::AtomicAdd ? hi::kIdXadd : hi::kIdXchg, m, gp(t, type));
  } else {
    uint8_t operand = value;
    if (inst.op == Op::AtomicAndNot) {
      operand = inverted;
      (void)a_.mov(gp64(operand), gp64(value));
      (void)a_.not_(gp64(operand));
    }
    const Label again = a_.newLabel();
    faulting(hi::kIdMov, gp(0, type), m);
    (void)a_.bind(again);
    (void)a_.mov(gp64(t), x86::rax);
    (void)a_.emit(id, gp(t, type), gp(operand, type));
    (void)a_.lock();
    faulting(hi::kIdCmpxchg, m, gp(t, type), gp(0, type));
    (void)a_.jne(again);
    (void)a_.mov(gp64(t), x86::rax);
  }
  if (info.size <= 2)
    (void)a_.movzx(gp32(t), gp(t, type));
  else if (info.size == 4)
    (void)a_.mov(gp32(t), gp32(t));
  if (check) {
    cold.d = t;
    (void)a_.bind(cold.back);
    cold_.push_back(cold);
  }
  (void)a_.mov(gp64(def_gpr()), gp64(t));
  return true;
}

bool Emitter::emit_compare_swap(const ir::Inst& inst, const MemInfo& info) {
  const Type type = int_of_size(info.size);
  take_this_gpr(0);
  const uint8_t expected = use_gpr(inst.args[1]), desired = use_gpr(inst.args[2]);
  const uint8_t address = guest_address(inst.args[0]);
  const Mem m = guest_memory(inst.args[0], info);
  Cold cold{.kind = Cold::Kind::Memory, .op = inst.op, .type = inst.type, .d = 0};
  const bool check = info.align != Align::None && info.size > 1;
  cold.back = a_.newLabel();
  if (check) {
    cold.from = a_.newLabel();
    cold.record =
        memory_record(inst, kFrameScratch, kFrameScratch + 32, kFrameScratch + 64, kFrameScratch + 96);
    cold.args[0] = address;
    cold.args[1] = expected;
    cold.args[2] = desired;
    cold.arg_count = 3;
    check_alignment(address, info, cold.from);
  }
  (void)a_.mov(x86::rax, gp64(expected));
  (void)a_.lock();
  faulting(hi::kIdCmpxchg, m, gp(desired, type), gp(0, type));
  if (info.size <= 2)
    (void)a_.movzx(x86::eax, gp(0, type));
  else if (info.size == 4)
    (void)a_.mov(x86::eax, x86::eax);
  if (check) {
    (void)a_.bind(cold.back);
    cold_.push_back(cold);
  }
  (void)a_.mov(gp64(def_gpr()), x86::rax);
  return true;
}

bool Emitter::emit_load_exclusive(const ir::Inst& inst, const MemInfo& info) {
  if (info.sign || !options_.zero_base || options_.strip_tags) return false;
  const uint8_t address = guest_address(inst.args[0]);
  const uint8_t t = take_gpr();
  Cold cold{.kind = Cold::Kind::Memory, .op = inst.op, .type = inst.type};
  const bool check = info.align != Align::None && info.size > 1;
  cold.back = a_.newLabel();
  if (check) {
    cold.from = a_.newLabel();
    cold.record = memory_record(inst, kFrameScratch, 0, 0, kFrameScratch + 96);
    cold.args[0] = address;
    cold.arg_count = 1;
    check_alignment(address, info, cold.from);
  }
  const Mem m = x86::ptr(gp64(address), 0, info.size);
  faulting(info.size >= 4 ? hi::kIdMov : hi::kIdMovzx, gp(t, info.size == 8 ? Type::I64 : Type::I32), m);
  (void)a_.mov(state_mem(offsetof(ir::CpuHeader, exclusive_address), 8), gp64(address));
  (void)a_.mov(state_mem(offsetof(ir::CpuHeader, exclusive_size), 4), info.size);
  (void)a_.mov(state_mem(offsetof(ir::CpuHeader, exclusive_value), 8), gp64(t));
  if (check) {
    cold.d = t;
    (void)a_.bind(cold.back);
    cold_.push_back(cold);
  }
  (void)a_.mov(gp64(def_gpr()), gp64(t));
  return true;
}

bool Emitter::emit_store_exclusive(const ir::Inst& inst, const MemInfo& info) {
  if (!options_.zero_base || options_.strip_tags || class_of(inst.elem) != ValueClass::Gpr) return false;
  const Type type = int_of_size(info.size);
  take_this_gpr(0);
  const uint8_t value = use_gpr(inst.args[1]);
  const uint8_t address = guest_address(inst.args[0]);
  const uint8_t failed = take_gpr();
  Cold cold{.kind = Cold::Kind::Memory, .op = inst.op, .type = inst.type};
  const bool check = info.align != Align::None && info.size > 1;
  cold.back = a_.newLabel();
  if (check) {
    cold.from = a_.newLabel();
    cold.record = memory_record(inst, kFrameScratch, kFrameScratch + 32, 0, kFrameScratch + 96);
    cold.args[0] = address;
    cold.args[1] = value;
    cold.arg_count = 2;
    check_alignment(address, info, cold.from);
  }
  const Label done = a_.newLabel();
  (void)a_.mov(gp32(failed), 1);
  (void)a_.cmp(state_mem(offsetof(ir::CpuHeader, exclusive_size), 4), info.size);
  (void)a_.jne(done);
  (void)a_.cmp(state_mem(offsetof(ir::CpuHeader, exclusive_address), 8), gp64(address));
  (void)a_.jne(done);
  (void)a_.mov(x86::rax, state_mem(offsetof(ir::CpuHeader, exclusive_value), 8));
  (void)a_.lock();
  faulting(hi::kIdCmpxchg, x86::ptr(gp64(address), 0, info.size), gp(value, type), gp(0, type));
  (void)a_.setne(x86::gpb_lo(failed));
  (void)a_.bind(done);
  (void)a_.mov(state_mem(offsetof(ir::CpuHeader, exclusive_size), 4), 0);
  if (check) {
    cold.d = failed;
    (void)a_.bind(cold.back);
    cold_.push_back(cold);
  }
  (void)a_.mov(gp64(def_gpr()), gp64(failed));
  return true;
}

}  // namespace lyrebird::jit::baseline
