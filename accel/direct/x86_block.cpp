// SPDX-License-Identifier: Apache-2.0
#include "accel/direct/x86_block.h"

#include "frontend/x86/decode/row.h"
#include "frontend/x86/x86_state.h"
#include "jit/baseline/host.h"

namespace lyrebird::accel::direct {

using jit::ExitPlan;
using jit::direct::kFaultInGpr;
using x86::Insn;
using x86::MemoryOperand;
using x86::Mode;
using x86::OperandKind;
using x86::Segment;

namespace {

constexpr unsigned kRax = 0, kRcx = 1, kRbx = 3, kRsp = 4, kRsi = 6, kRdi = 7, kR8 = 8;
constexpr uint32_t kTargetSlot = offsetof(Area, target);
constexpr uint32_t kX87Slot = offsetof(Area, x87_used), kTableSlot = offsetof(Area, table);
constexpr uint32_t kHostSpSlot = offsetof(Area, host_sp);

bool fits_signed(uint64_t address) {
  return address == static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(address)));
}

bool is_memory(const x86::Operand& o) { return o.kind == OperandKind::Memory || o.kind == OperandKind::Vsib; }

/// ModRM says where; MOV's absolute offsets are none of these.
bool has_memory(const Item& item) {
  if (!x86::row(item.insn.row).has(x86::row_flags::HasModrm)) return false;
  for (unsigned i = 0; i < item.insn.operand_count; ++i)
    if (is_memory(item.insn.operands[i])) return true;
  return false;
}

/// MOV between rAX and an offset.
bool is_absolute_move(const Item& item) {
  return x86::row(item.insn.row).map == x86::Map::OneByte && (item.insn.opcode & 0xfc) == 0xa0;
}

bool has_kind(const Insn& insn, OperandKind kind) {
  for (unsigned i = 0; i < insn.operand_count; ++i)
    if (insn.operands[i].kind == kind) return true;
  return false;
}

bool has_base(const Insn& insn) {
  return insn.memory.segment == Segment::FS || insn.memory.segment == Segment::GS;
}

bool uses(const Item& item, unsigned reg) {
  const Insn& insn = item.insn;
  for (unsigned i = 0; i < insn.operand_count; ++i) {
    const x86::Operand& o = insn.operands[i];
    if (o.kind == OperandKind::Gpr && o.reg == reg) return true;
    if (o.kind == OperandKind::GprHigh && o.reg == reg) return true;
  }
  if (!has_memory(item)) return false;
  const bool vsib = has_kind(insn, OperandKind::Vsib);
  return insn.memory.base == reg || (insn.memory.index == reg && !vsib);
}

/// A register that the instruction has nothing to do with; none: kR8. What has a memory operand by ModRM uses
/// no others than its operands but rAX, rBX, rCX and rDX.
unsigned free_register(const Item& item) {
  for (const unsigned reg : {kRdi, kRsi})
    if (!uses(item, reg)) return reg;
  const bool exchanges = item.insn.opcode == 0xc7;  // CMPXCHG8B, CMPXCHG16B
  return !exchanges && !uses(item, kRbx) ? kRbx : kR8;
}

bool can_fault(const Item& item) {
  const Insn& insn = item.insn;
  for (unsigned i = 0; i < insn.operand_count; ++i) {
    const OperandKind kind = insn.operands[i].kind;
    if (kind != OperandKind::Gpr && kind != OperandKind::GprHigh && kind != OperandKind::Immediate)
      return true;
  }
  const bool divides = (insn.opcode & 0xfe) == 0xf6 && insn.modrm >> 4 == 0xf;  // DIV, IDIV
  return item.kind != Kind::Copy || divides || insn.opcode == 0xd7;
}

uint64_t rip_target(const Item& item) {
  const uint64_t to = item.pc + item.insn.length + static_cast<uint64_t>(item.insn.memory.displacement);
  return item.insn.address_size == 4 ? static_cast<uint32_t>(to) : to;
}

}  // namespace

bool BlockCopier::can_copy(const Item& item) {
  const Insn& insn = item.insn;
  if (item.kind == Kind::Refuse) return false;
  if (item.kind == Kind::BitScan && insn.has(x86::kPrefixRep)) return false;
  const bool is64 = insn.mode == Mode::k64, memory = has_memory(item);
  const bool strings = has_kind(insn, OperandKind::StringSource) || has_kind(insn, OperandKind::StringDest);
  if (!is64) {
    // CS can't be written to.
    if (insn.memory.segment == Segment::CS && insn.has(x86::kPrefixSegment)) return false;
    if (insn.address_size == 2) return false;
    // Near transfers of 16 bits.
    if (insn.operand_size == 2 &&
        (item.kind == Kind::Jump || item.kind == Kind::Branch || item.kind == Kind::Call ||
         item.kind == Kind::Return || item.kind == Kind::Push || item.kind == Kind::Pop ||
         item.kind == Kind::Leave || item.kind == Kind::Loop))
      return false;
    if (item.kind == Kind::Leave && insn.opcode == 0xc8) return false;
    if (item.kind == Kind::Pop && memory && has_base(insn)) return false;
    // Its address is made of what ESP is then.
    if (item.kind == Kind::Pop && memory && insn.memory.base == kRsp) return false;
    if (x86::row(insn.row).map == x86::Map::OneByte && insn.opcode == 0x82) return false;
    // VEX.W where it means nothing, and the highest bit of a register in an immediate.
    const x86::Row& row = x86::row(insn.row);
    if (x86::is_vex(row.map)) {
      const bool only_w1 = (row.match >> x86::match::kW & 3) == 2;
      if (insn.has(x86::kPrefixRexW) && !only_w1) return false;
      if (insn.operand_count == 4 && insn.operands[3].kind == OperandKind::Vector &&
          (item.bytes[insn.length - 1] & 0x80))
        return false;
    }
  }
  if (has_base(insn) && !memory) {
    // String sources, XLAT, MASKMOVQ, absolute offsets. The rest has no memory operand at all.
    const std::string_view name = x86::name_of(insn.row);
    if (is_absolute_move(item) && !is64) return true;
    if (strings || has_kind(insn, OperandKind::Memory) || name == "XLAT" || name.find("MASKMOV") != name.npos)
      return false;
  }
  if (!memory) return true;
  // Of the SHA instructions AMD's processors take memory that is not aligned.
  const bool is_sha = x86::row(insn.row).feature == x86::Feature::SHA;
  if (is_sha) return false;
  if (has_base(insn)) {
    if (is64 && insn.address_size != 8) return false;
    if (item.kind == Kind::Lea) return true;
    if (item.kind == Kind::Jump || item.kind == Kind::Call) {
      // RCX takes the segment's base and then the target.
      return insn.memory.base != kRcx && insn.memory.index != kRcx && insn.memory.base != x86::kRip;
    }
    if (insn.memory.base == x86::kRip) return false;
    return (!is64 && Encoding(insn, item.bytes).takes_r8()) || free_register(item) != kR8;
  }
  if (insn.memory.base == x86::kRip && item.kind != Kind::Lea && item.kind != Kind::Jump &&
      item.kind != Kind::Call)
    return free_register(item) != kR8;
  return true;
}

// --- parts

unsigned BlockCopier::add_exit(uint64_t pc) {
  out_.exits.push_back({.kind = ExitPlan::Kind::Jump, .mode = out_.key.mode, .pc = pc});
  return static_cast<unsigned>(out_.exits.size() - 1);
}

void BlockCopier::to_stub(unsigned exit) {
  w_.byte(0xe9);
  exit_jumps_.push_back({w_.at(), exit});
  w_.number(uint32_t{0});
}

void BlockCopier::exit_jump(unsigned exit) {
  w_.pad_jump(1);
  to_stub(exit);
  out_.exits[exit].patch = w_.at() - 4;
}

void BlockCopier::may_fault(const Item& item, uint32_t replaced) {
  out_.faults.push_back(
      {.offset = w_.at(), .guest = static_cast<uint32_t>(item.pc - out_.key.pc), .f80 = replaced});
}

void BlockCopier::use_x87() {
  if (x87_) return;
  x87_ = true;
  w_.store32(kX87Slot, 1);
}

/// Where the instruction has no address that has to be made anew.
void BlockCopier::operate(const Item& item, const Encoding& encoding, std::optional<Load> load) {
  const Insn& insn = item.insn;
  Place place;
  if (has_memory(item)) {
    const MemoryOperand& m = insn.memory;
    if (has_base(insn)) return through_register(item, encoding, load);
    if (m.base == x86::kRip) {
      const uint64_t to = rip_target(item);
      if (fits_signed(to))
        place = {.form = Place::Form::Absolute, .displacement = static_cast<int32_t>(to)};
      else if (out_.near(to))
        place = {.form = Place::Form::Near};
      else
        return through_register(item, encoding, load);
    } else if (!is64_ && m.base == x86::kNoRegister && m.index == x86::kNoRegister) {
      place = {.form = Place::Form::Absolute, .displacement = static_cast<int32_t>(m.displacement)};
    }
  }
  if (can_fault(item)) may_fault(item);
  if (const uint32_t field = encoding.write(w_, place, load))
    out_.relocations.push_back({field, w_.at(), rip_target(item)});
}

/// By way of a register that has the part of the address that the host can't say: one of its own for a load,
/// which is its target, or one that is put aside.
void BlockCopier::through_register(const Item& item, const Encoding& encoding, std::optional<Load> load) {
  const MemoryOperand& m = item.insn.memory;
  // In 32-bit code nobody minds R8.
  const bool takes_r8 = !is64_ && !load && encoding.takes_r8();
  const bool own = load.has_value() || takes_r8;
  const unsigned reg = load ? load->reg : takes_r8 ? kR8 : free_register(item);
  Place place{.form = Place::Form::Based, .base = static_cast<uint8_t>(reg)};
  if (!own) w_.save(reg, kSpillSlot);
  if (m.base == x86::kRip) {
    w_.set(reg, rip_target(item));
  } else {
    const bool fs = m.segment == Segment::FS;
    w_.load(reg, fs ? offsetof(Area, fs_base) : offsetof(Area, gs_base));
    // LEA reg, [reg + base] or, with rSP, [base + reg].
    if (m.base != x86::kNoRegister) {
      const auto rex = static_cast<uint8_t>(0x48 | (m.base >> 3) | (reg >= 8 ? 6 : 0));
      const auto field = static_cast<uint8_t>((reg & 7) << 3);
      w_.bytes({rex, 0x8d, static_cast<uint8_t>(field | 4), static_cast<uint8_t>(field | (m.base & 7))});
      if ((m.base & 7) == 5) {
        w_.set8(w_.at() - 2, static_cast<uint8_t>(0x44 | field));
        w_.byte(0);
      }
    }
    place.displacement = static_cast<int32_t>(m.displacement);
  }
  may_fault(item, !own || reg == kRcx ? (reg + 1) | (own ? kFaultInGpr : 0) : 0);
  (void)encoding.write(w_, place, load);
  if (!own) w_.load(reg, kSpillSlot);
}

// --- the block

void BlockCopier::begin(bool flags_dead) {
  w_.skip(jit::kCodeHeader);
  out_.exits.clear();
  out_.faults.clear();
  out_.relocations.clear();
  table_entry(flags_dead);
  out_.poll = w_.at();
  out_.faults.push_back({.offset = w_.at(), .guest = 0});
  static const bool has_more_vectors = jit::baseline::host_features().avx512;
  if (has_more_vectors)
    w_.bytes({0x65, 0x62, 0xe1, 0x7d, 0x08, 0x6e, 0x04, 0x25});  // vmovd xmm16, [poll]
  else
    w_.bytes({0x65, 0x89, 0x04, 0x25});  // mov [poll], eax
  w_.number(static_cast<uint32_t>(offsetof(Area, poll)));
  out_.main = w_.at();
}

void BlockCopier::to_miss() {
  w_.byte(0xe9);
  miss_jump_ = w_.at();
  w_.number(uint32_t{0});
}

/// Whether Area::target is this block. RCX is free here, and goes on with the guest's value.
void BlockCopier::table_entry(bool flags_dead) {
  const uint64_t pc = out_.key.pc;
  const auto low = static_cast<int32_t>(pc);
  const uint64_t rest = pc - static_cast<uint64_t>(int64_t{low});  // its lower half is 0
  const uint32_t swapped = __builtin_bswap32(static_cast<uint32_t>(rest >> 32));
  const bool has_rax = !flags_dead && swapped > 0x80000000;
  if (flags_dead) {
    w_.set(kRcx, pc);
    w_.area64(0x3b, kRcx, kTargetSlot);  // cmp
    w_.bytes({0x74, 5});
    to_miss();
    return w_.load(kRcx, gpr_slot(kRcx));
  }
  w_.load(kRcx, kTargetSlot);
  const auto subtract = [&](int32_t value) {
    w_.bytes({0x48, 0x8d, 0x89});  // lea rcx, [rcx - value]
    w_.number(0 - static_cast<uint32_t>(value));
  };
  if (has_rax) {
    w_.save(kRax, gpr_slot(kRax));
    w_.set(kRax, 0 - pc);
    w_.bytes({0x48, 0x8d, 0x0c, 0x01});  // lea rcx, [rcx + rax]
    w_.load(kRax, gpr_slot(kRax));
  } else {
    subtract(low);
    if (rest != 0) {
      w_.bytes({0x48, 0x0f, 0xc9});  // bswap rcx
      subtract(static_cast<int32_t>(swapped));
    }
  }
  w_.bytes({0xe3, 5});  // jrcxz
  to_miss();
  w_.load(kRcx, gpr_slot(kRcx));
}

void BlockCopier::copy(const Item& item) {
  if (item.kind == Kind::X87 || has_kind(item.insn, OperandKind::Mmx)) use_x87();
  switch (item.kind) {
    case Kind::Jump:
    case Kind::Call:
      return jump_or_call(item);
    case Kind::Branch:
      return branch(item);
    case Kind::Loop:
      return loop(item);
    case Kind::Return:
      return ret(item);
    case Kind::Syscall:
      return syscall(item);
    case Kind::Lea:
      return lea(item);
    case Kind::Push:
      if (!is64_) return push(item);
      break;
    case Kind::Pop:
      if (!is64_) return pop(item);
      break;
    case Kind::Leave:
      if (!is64_) return leave(item);
      break;
    case Kind::Step:
      if (!is64_ && (item.insn.opcode & 0xf0) == 0x40) {
        if (item.insn.operand_size == 2) w_.byte(0x66);
        return w_.bytes({0xff, static_cast<uint8_t>(0xc0 | (item.insn.opcode & 15))});
      }
      break;
    default:
      break;
  }
  if (is_absolute_move(item) && has_base(item.insn)) return absolute_move(item);
  operate(item, Encoding(item.insn, item.bytes));
}

/// (32-bit) MOV between rAX and an offset in FS or GS.
void BlockCopier::absolute_move(const Item& item) {
  const bool fs = item.insn.memory.segment == Segment::FS;
  w_.load(kR8, fs ? offsetof(Area, fs_base) : offsetof(Area, gs_base));
  may_fault(item);
  if (item.insn.has(x86::kPrefixOperandSize)) w_.byte(0x66);
  constexpr uint8_t kOpcodes[] = {0x8a, 0x8b, 0x88, 0x89};
  w_.bytes({0x67, 0x41, kOpcodes[item.insn.opcode & 3], 0x80});  // rax, [r8d + offset]
  w_.number(static_cast<uint32_t>(item.insn.memory.displacement));
}

void BlockCopier::lea(const Item& item) {
  const MemoryOperand& m = item.insn.memory;
  const bool absolute = m.base == x86::kRip || (m.base == x86::kNoRegister && m.index == x86::kNoRegister);
  if (absolute && item.insn.operand_size != 2) {
    uint64_t value = m.base == x86::kRip ? rip_target(item) : static_cast<uint64_t>(m.displacement);
    if (item.insn.address_size == 4) value = static_cast<uint32_t>(value);
    if (item.insn.operand_size == 4) value = static_cast<uint32_t>(value);
    const unsigned reg = item.insn.operands[0].reg;
    if (value > 0xffffffff && out_.near(value)) {
      w_.bytes(
          {static_cast<uint8_t>(0x48 | (reg >> 3) << 2), 0x8d, static_cast<uint8_t>(0x05 | (reg & 7) << 3)});
      w_.number(uint32_t{0});
      out_.relocations.push_back({w_.at() - 4, w_.at(), value});
    } else {
      w_.set(reg, value);
    }
    return;
  }
  if (absolute) {  // 16 bits of it
    const uint64_t value = m.base == x86::kRip ? rip_target(item) : static_cast<uint64_t>(m.displacement);
    const unsigned reg = item.insn.operands[0].reg;
    w_.byte(0x66);
    if (reg >= 8) w_.byte(0x41);
    w_.byte(static_cast<uint8_t>(0xb8 | (reg & 7)));
    return w_.number(static_cast<uint16_t>(value));
  }
  // Segments have no say.
  (void)Encoding(item.insn, item.bytes).write(w_, {});
}

// --- the stack of 32-bit programs, whose ESP is RSP

namespace {
void lower_esp(Writer& w) { w.bytes({0x8d, 0x64, 0x24, 0xfc}); }            // lea esp, [rsp - 4]
void raise_esp(Writer& w, uint8_t by) { w.bytes({0x8d, 0x64, 0x24, by}); }  // lea esp, [rsp + by]
}  // namespace

void BlockCopier::push(const Item& item) {
  const x86::Operand& o = item.insn.operands[0];
  if (o.kind == OperandKind::Immediate) {
    may_fault(item);
    w_.bytes({0xc7, 0x44, 0x24, 0xfc});
    w_.number(static_cast<uint32_t>(item.insn.immediate[0]));
  } else {
    unsigned reg = o.reg;
    if (o.kind == OperandKind::Memory) {
      operate(item, Encoding(item.insn, item.bytes), Load{.reg = kR8, .wide = false});
      reg = kR8;
    }
    may_fault(item);
    if (reg >= 8) w_.byte(0x44);
    w_.bytes({0x89, static_cast<uint8_t>(0x44 | (reg & 7) << 3), 0x24, 0xfc});
  }
  lower_esp(w_);
}

void BlockCopier::pop(const Item& item) {
  const x86::Operand& o = item.insn.operands[0];
  may_fault(item);
  if (o.kind != OperandKind::Memory) {
    w_.bytes({0x8b, static_cast<uint8_t>(0x04 | o.reg << 3), 0x24});
    if (o.reg != kRsp) raise_esp(w_, 4);
    return;
  }
  w_.bytes({0x44, 0x8b, 0x04, 0x24});  // mov r8d, [rsp]
  // POP with its memory operand as MOV of R8.
  const MemoryOperand& m = item.insn.memory;
  may_fault(item);
  w_.bytes({0x67, 0x44, 0x89});
  const Encoding encoding(item.insn, item.bytes);
  Place place;
  if (m.base == x86::kNoRegister && m.index == x86::kNoRegister)
    place = {.form = Place::Form::Absolute, .displacement = static_cast<int32_t>(m.displacement)};
  encoding.write_operand_only(w_, place);
  raise_esp(w_, 4);
}

void BlockCopier::leave(const Item& item) {
  may_fault(item);
  w_.bytes({0x67, 0x44, 0x8b, 0x45, 0x00});  // mov r8d, [ebp]
  w_.bytes({0x8d, 0x65, 0x04});              // lea esp, [rbp + 4]
  w_.bytes({0x44, 0x89, 0xc5});              // mov ebp, r8d
}

// --- transfers of control

void BlockCopier::jump(uint64_t pc) {
  if (!ended_) exit_jump(add_exit(pc));
  ended_ = true;
}

void BlockCopier::branch(const Item& item) {
  w_.pad_jump(2);
  w_.bytes({0x0f, static_cast<uint8_t>(0x80 | item.insn.condition())});
  const unsigned exit = add_exit(item.insn.relative_target(item.pc));
  exit_jumps_.push_back({w_.at(), exit});
  out_.exits[exit].patch = w_.at();
  w_.number(uint32_t{0});
}

void BlockCopier::loop(const Item& item) {
  if (item.insn.address_size == 4) w_.byte(0x67);
  w_.bytes({item.insn.opcode, 2, 0xeb, 0});
  const uint32_t over = w_.at() - 1;
  exit_jump(add_exit(item.insn.relative_target(item.pc)));
  w_.aim8(over);
}

void BlockCopier::push_return(const Item& item, uint32_t replaced) {
  const uint64_t next = next_of(item);
  may_fault(item, replaced);
  if (!is64_) {
    w_.bytes({0xc7, 0x44, 0x24, 0xfc});
    w_.number(static_cast<uint32_t>(next));
    lower_esp(w_);
  } else if (fits_signed(next)) {
    w_.byte(0x68);
    w_.number(static_cast<uint32_t>(next));
  } else {
    w_.bytes({0xff, 0x35});  // push [constant]
    constants_.push_back({w_.at(), next});
    w_.number(uint32_t{0});
  }
}

void BlockCopier::jump_or_call(const Item& item) {
  const bool calls = item.kind == Kind::Call;
  const x86::Operand& o = item.insn.operands[0];
  if (o.kind == OperandKind::Relative) {
    if (calls) push_return(item, 0);
    return jump(item.insn.relative_target(item.pc));
  }
  ended_ = true;
  w_.save(kRcx, gpr_slot(kRcx));
  if (o.kind == OperandKind::Memory) {
    operate(item, Encoding(item.insn, item.bytes), Load{.reg = kRcx, .wide = is64_});
  } else if (o.reg != kRcx || !is64_) {  // mov rcx, reg
    if (is64_) w_.byte(static_cast<uint8_t>(0x48 | (o.reg >> 3)));
    w_.bytes({0x8b, static_cast<uint8_t>(0xc8 | (o.reg & 7))});
  }
  if (calls) push_return(item, (kRcx + 1) | kFaultInGpr);
  through_table();
}

void BlockCopier::ret(const Item& item) {
  ended_ = true;
  const auto extra =
      item.insn.operand_count == 0 ? 0u : static_cast<uint32_t>(item.insn.immediate[0]) & 0xffff;
  w_.save(kRcx, gpr_slot(kRcx));
  may_fault(item);
  if (is64_) {
    w_.byte(0x59);  // pop rcx
    if (extra != 0) {
      w_.bytes({0x48, 0x8d, 0xa4, 0x24});
      w_.number(extra);
    }
  } else {
    w_.bytes({0x8b, 0x0c, 0x24});  // mov ecx, [rsp]
    w_.bytes({0x8d, 0xa4, 0x24});
    w_.number(extra + 4);
  }
  through_table();
}

/// RCX is the target; its own value is put aside.
void BlockCopier::through_table() {
  w_.save(kRcx, kTargetSlot);
  w_.bytes({0x0f, 0xb7, 0xc9});        // movzx ecx, cx
  w_.bytes({0x65, 0xff, 0x24, 0xcd});  // jmp [gs: rcx * 8 + table]
  w_.number(kTableSlot);
}

/// SYSCALL (SDM volume 2): RCX and R11 are RIP and RFLAGS.
void BlockCopier::syscall(const Item& item) {
  ended_ = true;
  w_.save(kRsp, gpr_slot(kRsp));
  w_.load(kRsp, kHostSpSlot);
  w_.bytes({0x9c, 0x41, 0x5b});  // pushfq; pop r11
  w_.load(kRsp, gpr_slot(kRsp));
  w_.set(kRcx, next_of(item));
  out_.exits.push_back({.kind = ExitPlan::Kind::Raise,
                        .mode = out_.key.mode,
                        .pc = next_of(item),
                        .raise = ir::ExitKind::Syscall,
                        .detail = x86::kSyscallInsn});
  to_stub(static_cast<unsigned>(out_.exits.size() - 1));
}

// --- behind the instructions

void BlockCopier::finish() {
  out_.hot = w_.at();
  w_.aim32(miss_jump_, w_.at());
  w_.jump_through(offsetof(Area, miss));
  if (!out_.exits.empty()) stubs();
  while (w_.at() % 8 != 0 && !constants_.empty()) w_.byte(0xcc);
  for (const Constant& c : constants_) {
    w_.aim32(c.field, w_.at());
    w_.number(c.value);
  }
  out_.size = w_.at();
}

void BlockCopier::stubs() {
  // Few enough for a byte, and for short jumps.
  uint32_t to_common[jit::direct::Code::kMostExits];
  const auto count = static_cast<unsigned>(out_.exits.size());
  for (unsigned exit = 0; exit < count; ++exit) {
    out_.exits[exit].stub = w_.at();
    w_.save(kRcx, gpr_slot(kRcx));
    w_.bytes({0xb1, static_cast<uint8_t>(exit), 0xeb, 0});  // mov cl, exit
    to_common[exit] = w_.at() - 1;
  }
  for (unsigned exit = 0; exit < count; ++exit) w_.aim8(to_common[exit]);
  w_.bytes({0x0f, 0xb6, 0xc9});  // movzx ecx, cl
  w_.save(kRax, gpr_slot(kRax));
  w_.bytes({0x48, 0x8b, 0x05});  // mov rax, [owner]
  w_.number(uint32_t{0});
  w_.aim32(w_.at() - 4, 0);
  w_.jump_through(offsetof(Area, exit));
  for (const ExitJump& jump : exit_jumps_) w_.aim32(jump.field, out_.exits[jump.exit].stub);
}

}  // namespace lyrebird::accel::direct
