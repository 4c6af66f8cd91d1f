// SPDX-License-Identifier: Apache-2.0
#include "jit/baseline/assembler.h"

#include <cstring>

#include "jit/baseline/ids.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;

namespace {

/// More than any instruction takes.
constexpr size_t kLongest = 32;

/// The width of a whole general register operand; 0: something else.
unsigned width_of(const Operand_& o) {
  if (!o.isReg()) return 0;
  const auto& reg = o.as<x86::Gp>();
  return reg.isGpd() ? 4 : reg.isGpq() ? 8 : 0;
}

bool is_signed_byte(int64_t value) { return value == static_cast<int8_t>(value); }
bool is_signed_word(int64_t value) { return value == static_cast<int32_t>(value); }

}  // namespace

void BlockAssembler::start_block(CodeHolder& holder) {
  if (!code() || BaseAssembler::offset() > kEnough) {
    holder.reset();
    (void)holder.init(Environment(Arch::kX64));
    (void)holder.attach(this);
    (void)holder.reserveBuffer(&holder.textSection()->buffer(), 2 * kEnough);
  }
  make_room();
  const size_t at = BaseAssembler::offset(), padding = -at % 32;
  std::memset(_bufferPtr, 0, kLongest);
  _bufferPtr += padding;
  start_ = at + padding;
  count_ = 0;
  guarded_ = lost_ = false;
}

void BlockAssembler::start_with_zeros(unsigned count) {
  make_room();
  std::memset(_bufferPtr, 0, count);
  _bufferPtr += count;
}

void BlockAssembler::make_room() {
  if (remainingSpace() >= kLongest) return;
  (void)code()->growBuffer(&code()->textSection()->buffer(), kLongest);
}

/// Up to 8 bytes, the first one lowest. There is room for more than they take.
void BlockAssembler::bytes(uint64_t value, unsigned count) {
  std::memcpy(_bufferPtr, &value, sizeof value);
  _bufferPtr += count;
}

void BlockAssembler::dword(uint32_t value) {
  std::memcpy(_bufferPtr, &value, sizeof value);
  _bufferPtr += sizeof value;
}

void BlockAssembler::qword(uint64_t value) { bytes(value, 8); }

// --- jumps

uint32_t BlockAssembler::jump_long() {
  ++count_;
  make_room();
  bytes(0xe9, 5);
  return static_cast<uint32_t>(offset());
}

uint32_t BlockAssembler::jump_long_if(x86::CondCode cc) {
  ++count_;
  make_room();
  bytes(0x800f | uint64_t{static_cast<uint8_t>(cc)} << 8, 6);
  return static_cast<uint32_t>(offset());
}

void BlockAssembler::set_target(uint32_t end, uint32_t target) {
  const auto distance = static_cast<int32_t>(target - end);
  std::memcpy(_bufferData + start_ + end - 4, &distance, sizeof distance);
}

void BlockAssembler::load_ecx(uint32_t value) {
  ++count_;
  make_room();
  bytes(0xb9 | uint64_t{value} << 8, 5);
}

void BlockAssembler::jump_to(uint32_t target) {
  ++count_;
  make_room();
  const int64_t distance = static_cast<int64_t>(target) - static_cast<int64_t>(offset());
  if (is_signed_byte(distance - 2)) {
    bytes(0xeb | uint64_t{static_cast<uint8_t>(distance - 2)} << 8, 2);
  } else {
    bytes(0xe9 | uint64_t{static_cast<uint32_t>(distance - 5)} << 8, 5);
  }
}

void BlockAssembler::load_rax_from_start() {
  ++count_;
  make_room();
  bytes(0x058b48 | uint64_t{static_cast<uint32_t>(-static_cast<int32_t>(offset() + 7))} << 24, 7);
}

uint32_t BlockAssembler::jump_if_rcx_zero() {
  ++count_;
  make_room();
  byte(0xe3);
  byte(0);
  return static_cast<uint32_t>(offset());
}

void BlockAssembler::set_short_target(uint32_t end, uint32_t target) {
  _bufferData[start_ + end - 1] = static_cast<uint8_t>(target - end);
}

void BlockAssembler::complement_carry() {
  ++count_;
  make_room();
  byte(0xf5);
}

void BlockAssembler::jump_in_frame(uint8_t displacement) {
  ++count_;
  make_room();
  bytes(0x2464ff | uint64_t{displacement} << 24, 4);
}

void BlockAssembler::compare_with_zero(uint8_t base, int8_t displacement) {
  ++count_;
  make_room();
  bytes(0x788348 | uint64_t{base} << 16 | uint64_t{static_cast<uint8_t>(displacement)} << 24, 5);
}

void BlockAssembler::load_status() {
  count_ += 2;
  make_room();
  byte(0x9f);
  byte(0x0f);
  byte(0x90);
  byte(0xc0);
}

// --- instructions

namespace {
/// What is emitted while the guest's flags are the host's. Others that leave them alone may be missing.
bool keeps_host_flags(InstId id) {
  switch (id) {
    case hi::kIdMov:
    case hi::kIdMovzx:
    case hi::kIdMovsx:
    case hi::kIdMovsxd:
    case hi::kIdLea:
    case hi::kIdMovss:
    case hi::kIdMovsd:
    case hi::kIdMovaps:
    case hi::kIdMovups:
    case hi::kIdPxor:
    case hi::kIdRorx:
      return true;
    case hi::kIdVcomisd:
    case hi::kIdVcomiss:
    case hi::kIdVucomisd:
    case hi::kIdVucomiss:
    case hi::kIdVptest:
    case hi::kIdVtestpd:
    case hi::kIdVtestps:
    case hi::kIdVpcmpestri:
    case hi::kIdVpcmpestrm:
    case hi::kIdVpcmpistri:
    case hi::kIdVpcmpistrm:
    case hi::kIdVerr:
    case hi::kIdVerw:
      return false;
    default:
      return (id >= hi::kIdCmova && id <= hi::kIdCmovz) || (id >= hi::kIdSeta && id <= hi::kIdSetz) ||
             (id >= hi::kIdVaddpd && id <= hi::kIdVzeroupper);
  }
}
}  // namespace

Error BlockAssembler::_emit(InstId id, const Operand_& o0, const Operand_& o1, const Operand_& o2,
                            const Operand_* more) {
  ++count_;
  if (guarded_ && !keeps_host_flags(id)) lost_ = true;
  if (instOptions() == InstOptions::kNone && o2.isNone()) {
    if (remainingSpace() >= kLongest && emit_fast(id, o0, o1)) return kErrorOk;
  }
  return Assembler::_emit(id, o0, o1, o2, more);
}

Error BlockAssembler::emit_two(InstId id, const Operand_& o0, const Operand_& o1) {
  ++count_;
  if (guarded_ && !keeps_host_flags(id)) lost_ = true;
  if (remainingSpace() >= kLongest && instOptions() == InstOptions::kNone && emit_fast(id, o0, o1))
    return kErrorOk;
  static const Operand kNone[4];
  return Assembler::_emit(id, o0, o1, kNone[0], kNone + 1);
}

bool BlockAssembler::emit_fast(InstId id, const Operand_& o0, const Operand_& o1) {
  switch (id) {
    case hi::kIdMov:
      return move(o0, o1);
    case hi::kIdAdd:
      return arithmetic(0, o0, o1);
    case hi::kIdOr:
      return arithmetic(1, o0, o1);
    case hi::kIdAnd:
      return arithmetic(4, o0, o1);
    case hi::kIdSub:
      return arithmetic(5, o0, o1);
    case hi::kIdXor:
      return arithmetic(6, o0, o1);
    case hi::kIdCmp:
      return arithmetic(7, o0, o1);
    case hi::kIdTest: {
      const unsigned width = width_of(o0);
      if (width == 0 || width_of(o1) != width) return false;
      with_register(0x85, o1.id(), width == 8, o0.id());
      return true;
    }
    case hi::kIdMovzx:
      return move_zero_extended(o0, o1);
    case hi::kIdShl:
      return shift(4, o0, o1);
    case hi::kIdShr:
      return shift(5, o0, o1);
    case hi::kIdSar:
      return shift(7, o0, o1);
    case hi::kIdLea: {
      const unsigned width = width_of(o0);
      return width != 0 && o1.isMem() && with_memory(0x8d, o0.id(), width == 8, o1.as<x86::Mem>());
    }
    default:
      return false;
  }
}

/// add, or, and, sub, xor, cmp, by their number in the opcode.
bool BlockAssembler::arithmetic(unsigned number, const Operand_& o0, const Operand_& o1) {
  const auto opcode = static_cast<uint8_t>(number << 3);
  const unsigned width = width_of(o0);
  if (o1.isImm()) {
    const unsigned size = width ? width : o0.isMem() ? o0.as<x86::Mem>().size() : 0;
    if (size != 4 && size != 8) return false;
    const int64_t value = size == 4 ? static_cast<int32_t>(o1.as<Imm>().value()) : o1.as<Imm>().value();
    if (is_signed_byte(value)) {
      if (!with_rm(0x83, number, size == 8, o0)) return false;
      byte(static_cast<uint8_t>(value));
      return true;
    }
    if (!is_signed_word(value)) return false;
    if (width && o0.id() == 0) {
      if (size == 8) byte(0x48);
      byte(static_cast<uint8_t>(opcode | 5));
    } else if (!with_rm(0x81, number, size == 8, o0)) {
      return false;
    }
    dword(static_cast<uint32_t>(value));
    return true;
  }
  if (width == 0) {
    const unsigned from = width_of(o1);
    return from != 0 && o0.isMem() &&
           with_memory(static_cast<uint8_t>(opcode | 1), o1.id(), from == 8, o0.as<x86::Mem>());
  }
  if (width_of(o1) == width) {
    with_register(static_cast<uint8_t>(opcode | 1), o1.id(), width == 8, o0.id());
    return true;
  }
  return o1.isMem() && with_memory(static_cast<uint8_t>(opcode | 3), o0.id(), width == 8, o1.as<x86::Mem>());
}

bool BlockAssembler::move(const Operand_& o0, const Operand_& o1) {
  const unsigned width = width_of(o0);
  if (o1.isImm()) {
    const int64_t value = o1.as<Imm>().value();
    if (width == 0) {
      const unsigned size = o0.isMem() ? o0.as<x86::Mem>().size() : 0;
      if (size != 4 && (size != 8 || !is_signed_word(value))) return false;
      if (!with_memory(0xc7, 0, size == 8, o0.as<x86::Mem>())) return false;
      dword(static_cast<uint32_t>(value));
      return true;
    }
    const unsigned reg = o0.id();
    const bool fits = width == 4 || static_cast<uint64_t>(value) <= 0xffffffff;
    if (!fits && is_signed_word(value)) {
      with_register(0xc7, 0, true, reg);
      dword(static_cast<uint32_t>(value));
      return true;
    }
    const unsigned rex = (fits ? 0x40 : 0x48) | reg >> 3;
    if (rex != 0x40) byte(static_cast<uint8_t>(rex));
    byte(static_cast<uint8_t>(0xb8 | (reg & 7)));
    if (fits)
      dword(static_cast<uint32_t>(value));
    else
      qword(static_cast<uint64_t>(value));
    return true;
  }
  if (width == 0) {
    if (!o0.isMem()) return false;
    const unsigned from = width_of(o1);
    if (from != 0) return with_memory(0x89, o1.id(), from == 8, o0.as<x86::Mem>());
    if (!o1.isReg() || !o1.as<x86::Reg>().isGpw()) return false;
    byte(0x66);
    if (with_memory(0x89, o1.id(), false, o0.as<x86::Mem>())) return true;
    --_bufferPtr;
    return false;
  }
  if (width_of(o1) == width) {
    with_register(0x89, o1.id(), width == 8, o0.id());
    return true;
  }
  return o1.isMem() && with_memory(0x8b, o0.id(), width == 8, o1.as<x86::Mem>());
}

bool BlockAssembler::move_zero_extended(const Operand_& o0, const Operand_& o1) {
  if (width_of(o0) != 4) return false;
  if (o1.isMem()) {
    const unsigned size = o1.as<x86::Mem>().size();
    return (size == 1 || size == 2) &&
           with_memory(size == 1 ? 0xb6 : 0xb7, o0.id(), false, o1.as<x86::Mem>(), true);
  }
  if (!o1.isReg() || !o1.as<x86::Reg>().isGpbLo()) return false;
  // With the prefix 4 to 7 are spl to dil.
  const unsigned reg = o0.id(), rm = o1.id();
  const unsigned rex = 0x40 | (reg >> 3) << 2 | rm >> 3;
  if (rex != 0x40 || rm >= 4) byte(static_cast<uint8_t>(rex));
  byte(0x0f);
  byte(0xb6);
  byte(static_cast<uint8_t>(0xc0 | (reg & 7) << 3 | (rm & 7)));
  return true;
}

/// By a constant other than 1, which has an encoding of its own.
bool BlockAssembler::shift(unsigned number, const Operand_& o0, const Operand_& o1) {
  const unsigned width = width_of(o0);
  if (width == 0 || !o1.isImm() || o1.as<Imm>().value() == 1) return false;
  with_register(0xc1, number, width == 8, o0.id());
  byte(static_cast<uint8_t>(o1.as<Imm>().value()));
  return true;
}

bool BlockAssembler::with_rm(uint8_t opcode, unsigned reg, bool wide, const Operand_& rm) {
  if (rm.isMem()) return with_memory(opcode, reg, wide, rm.as<x86::Mem>());
  with_register(opcode, reg, wide, rm.id());
  return true;
}

void BlockAssembler::with_register(uint8_t opcode, unsigned reg, bool wide, unsigned rm) {
  const unsigned rex = 0x40 | unsigned{wide} << 3 | (reg >> 3) << 2 | rm >> 3;
  const uint32_t code = opcode | (0xc0 | (reg & 7) << 3 | (rm & 7)) << 8;
  if (rex != 0x40)
    bytes(code << 8 | rex, 3);
  else
    bytes(code, 2);
}

/// Only 64-bit base, with or without a 64-bit index.
bool BlockAssembler::with_memory(uint8_t opcode, unsigned reg, bool wide, const x86::Mem& m, bool two_bytes) {
  using Signature = OperandSignature;
  constexpr uint32_t kKinds = Signature::kMemBaseTypeMask | Signature::kMemIndexTypeMask |
                              Signature::kMemRegHomeFlag | x86::Mem::kSignatureMemSegmentMask;
  constexpr auto kBase = static_cast<uint32_t>(RegType::kX86_Gpq) << Signature::kMemBaseTypeShift;
  constexpr auto kIndex = static_cast<uint32_t>(RegType::kX86_Gpq) << Signature::kMemIndexTypeShift;
  const uint32_t kinds = m.signature().bits() & kKinds;
  const bool has_index = kinds == (kBase | kIndex);
  if (kinds != kBase && !has_index) return false;
  const unsigned base = m.baseId(), index = has_index ? m.indexId() : 4;
  const int32_t displacement = m.offsetLo32();
  const unsigned rex = 0x40 | unsigned{wide} << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3;
  const unsigned mod = displacement == 0 && (base & 7) != 5 ? 0 : is_signed_byte(displacement) ? 1 : 2;
  const bool sib = has_index || (base & 7) == 4;
  uint8_t* to = _bufferPtr;
  *to = static_cast<uint8_t>(rex);
  to += rex != 0x40;
  *to = 0x0f;
  to += two_bytes;
  *to++ = opcode;
  *to++ = static_cast<uint8_t>(mod << 6 | (reg & 7) << 3 | (sib ? 4 : base & 7));
  *to = static_cast<uint8_t>((has_index ? m.shift() : 0) << 6 | (index & 7) << 3 | (base & 7));
  to += sib;
  std::memcpy(to, &displacement, sizeof displacement);
  to += mod == 1 ? 1 : mod == 2 ? 4 : 0;
  _bufferPtr = to;
  return true;
}

}  // namespace lyrebird::jit::baseline
