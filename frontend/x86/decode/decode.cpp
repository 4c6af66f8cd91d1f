// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/decode/decode.h"

#include <algorithm>

#include "frontend/x86/decode/tables.h"

namespace lyrebird::x86 {
namespace {

constexpr unsigned kMaxLength = 15;

/// What a byte is as a prefix, outside of 64-bit mode if it is Rex.
enum class PrefixClass : uint8_t { None, Segment, OperandSize, AddressSize, Lock, Rep, Repne, Rex };

constexpr auto kPrefixClasses = [] {
  struct {
    PrefixClass of[256] = {};
  } table;
  for (const unsigned byte : {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65}) table.of[byte] = PrefixClass::Segment;
  for (unsigned byte = 0x40; byte < 0x50; ++byte) table.of[byte] = PrefixClass::Rex;
  table.of[0x66] = PrefixClass::OperandSize;
  table.of[0x67] = PrefixClass::AddressSize;
  table.of[0xf0] = PrefixClass::Lock;
  table.of[0xf2] = PrefixClass::Repne;
  table.of[0xf3] = PrefixClass::Rep;
  return table;
}();

class Decoder {
 public:
  Decoder(const uint8_t* bytes, size_t available, Mode mode, const Features& features, Insn& out)
      : begin_(bytes),
        at_(bytes),
        end_(bytes + std::min<size_t>(available, kMaxLength)),
        cut_(available < kMaxLength ? DecodeStatus::TooShort : DecodeStatus::TooLong),
        mode_(mode),
        features_(features),
        out_(out) {}

  DecodeStatus run() {
    static constexpr Insn kEmpty{};  // copied from memory: made on the stack it would be waited for
    out_ = kEmpty;
    out_.mode = mode_;
    if (!prefixes() || !opcode()) return status_;
    const bool has_modrm = kOpcodeIndex.has_modrm[slot_of(map_, out_.opcode, 0) >> 3];
    if (has_modrm) {
      if (at_ == end_) return cut_;
      out_.modrm = *at_++;
    }
    if (!find_row(has_modrm) || !legal()) return status_;
    sizes();
    if (row_->has(RowFlag::HasModrm) && !register_form_ && !modrm_memory()) return status_;
    if (!operands()) return status_;
    out_.length = static_cast<uint8_t>(at_ - begin_);
    return DecodeStatus::Ok;
  }

 private:
  bool fail(DecodeStatus why) {
    status_ = why;
    return false;
  }
  bool is64() const { return mode_ == Mode::k64; }

  /// A little-endian number of that many bytes, zero-extended.
  bool fetch(unsigned size, uint64_t& value) {
    if (static_cast<size_t>(end_ - at_) < size) return fail(cut_);
    value = 0;
    for (unsigned i = 0; i < size; ++i) value |= uint64_t{at_[i]} << 8 * i;
    at_ += size;
    return true;
  }
  bool fetch_signed(unsigned size, int64_t& value) {
    uint64_t bits;
    if (!fetch(size, bits)) return false;
    value = static_cast<int64_t>(bits << (64 - 8 * size)) >> (64 - 8 * size);
    return true;
  }

  /// Legacy prefixes in any order, the last of a kind wins; a REX counts only right before the opcode
  /// (SDM volume 2, 2.1.1 and 2.2.1).
  bool prefixes() {
    for (; at_ != end_; ++at_) {
      const PrefixClass c = kPrefixClasses.of[*at_];
      if (c == PrefixClass::None || (c == PrefixClass::Rex && !is64())) return true;
      if (c == PrefixClass::Rex) {
        rex_ = *at_;
        continue;
      }
      rex_ = 0;
      legacy_prefix(c, *at_);
    }
    return fail(cut_);
  }

  void legacy_prefix(PrefixClass c, uint8_t byte) {
    switch (c) {
      case PrefixClass::Segment:
        // ES, CS, SS and DS are not looked at in 64-bit mode (SDM volume 1, 3.4.2.1).
        if (byte >= 0x64)
          override_ = byte == 0x64 ? Segment::FS : Segment::GS;
        else if (!is64())
          override_ = static_cast<Segment>(byte >> 3 & 3);
        else
          break;
        out_.prefixes |= kPrefixSegment;
        break;
      case PrefixClass::OperandSize:
        out_.prefixes |= kPrefixOperandSize;
        break;
      case PrefixClass::AddressSize:
        out_.prefixes |= kPrefixAddressSize;
        break;
      case PrefixClass::Lock:
        out_.prefixes |= kPrefixLock;
        break;
      case PrefixClass::Rep:
        out_.prefixes = static_cast<uint8_t>((out_.prefixes & ~kPrefixRepne) | kPrefixRep);
        break;
      default:
        out_.prefixes = static_cast<uint8_t>((out_.prefixes & ~kPrefixRep) | kPrefixRepne);
        break;
    }
  }

  /// Escapes, VEX and the opcode itself.
  bool opcode() {
    const uint8_t byte = *at_++;
    if ((byte | 1) == 0xc5 || byte == 0x62) {
      // Outside of 64-bit mode LES, LDS and BOUND, unless the next byte were a register form of them.
      if (at_ == end_) return fail(cut_);
      if (is64() || *at_ >= 0xc0) return byte == 0x62 ? evex() : vex(byte);
    }
    w_ = rex_ >> 3 & 1;
    r_ = (rex_ & 4) << 1;
    x_ = (rex_ & 2) << 2;
    b_ = (rex_ & 1) << 3;
    if (rex_) out_.prefixes |= static_cast<uint8_t>(kPrefixRex | (w_ ? kPrefixRexW : 0));
    prefix_ = out_.has(kPrefixRep) ? 2 : out_.has(kPrefixRepne) ? 3 : out_.has(kPrefixOperandSize);
    if (byte != 0x0f) {
      out_.opcode = byte;
      return true;
    }
    map_ = Map::M0F;
    if (at_ != end_ && (*at_ == 0x38 || *at_ == 0x3a)) map_ = *at_++ == 0x38 ? Map::M0F38 : Map::M0F3A;
    if (at_ == end_) return fail(cut_);
    out_.opcode = *at_++;
    return true;
  }

  /// SDM volume 2, 2.3.5.
  bool vex(uint8_t byte) {
    constexpr uint8_t kForbidden = kPrefixLock | kPrefixRep | kPrefixRepne | kPrefixOperandSize;
    if (rex_ || (out_.prefixes & kForbidden)) return fail(DecodeStatus::VexPrefix);
    const uint8_t p0 = *at_++;
    uint8_t p1 = p0 & 0x7f;
    map_ = Map::Vex0F;
    r_ = (~p0 & 0x80) >> 4;
    if (byte == 0xc4) {
      x_ = (~p0 & 0x40) >> 3;
      b_ = is64() ? (~p0 & 0x20) >> 2 : 0;  // ignored elsewhere, the other two are 0 there
      const unsigned map = p0 & 31;
      if (map < 1 || map > 3) return fail(DecodeStatus::NoSuchOpcode);
      map_ = static_cast<Map>(static_cast<unsigned>(Map::Vex0F) + map - 1);
      if (at_ == end_) return fail(cut_);
      p1 = *at_++;
    }
    w_ = p1 >> 7;
    if (w_) out_.prefixes |= kPrefixRexW;
    vvvv_ = ~p1 >> 3 & 15;
    l_ = p1 >> 2 & 1;
    prefix_ = p1 & 3;
    if (at_ == end_) return fail(cut_);
    out_.opcode = *at_++;
    return true;
  }

  /// P0 has a zero bit, P1 a one bit (SDM volume 2, table 2-30); what has them is AVX-512.
  bool evex() {
    if (end_ - at_ < 2) return fail(cut_);
    const bool good = (at_[0] & 0x08) == 0 && (at_[1] & 0x04) != 0;
    return fail(good ? DecodeStatus::Avx512 : DecodeStatus::NoSuchOpcode);
  }

  bool find_row(bool has_modrm) {
    const unsigned reg = has_modrm ? out_.modrm >> 3 & 7 : 0;
    uint32_t seen = 1u << (match::kPrefix + prefix_) | 1u << (match::kMode + static_cast<unsigned>(mode_)) |
                    1u << (match::kW + w_) | 1u << (match::kL + l_) | 1u << (match::kB + (b_ >> 3));
    register_form_ = out_.modrm >= 0xc0;
    if (has_modrm)
      seen |= 1u << (match::kMod + register_form_) | 1u << (match::kReg + reg) |
              1u << (match::kRm + (out_.modrm & 7));
    const unsigned slot = slot_of(map_, out_.opcode, reg);
    status_ = DecodeStatus::NoSuchOpcode;
    for (unsigned i = kOpcodeIndex.first[slot]; i < kOpcodeIndex.first[slot + 1]; ++i) {
      const Row& candidate = kRows[kOpcodeIndex.rows[i]];
      if ((seen & ~candidate.match) != 0) continue;
      if (!exists(candidate)) {
        status_ = DecodeStatus::FeatureAbsent;
        continue;
      }
      row_ = &candidate;
      out_.row = kOpcodeIndex.rows[i];
      if (candidate.has(RowFlag::IgnoresMod)) register_form_ = true;
      return true;
    }
    return false;
  }

  bool exists(const Row& candidate) const {
    if (!features_.has(candidate.feature)) return false;
    if (!is_vex(candidate.map) || candidate.has(RowFlag::General)) return true;
    return features_.has(Feature::AVX) &&
           (l_ == 0 || !candidate.has(RowFlag::Avx2At256) || features_.has(Feature::AVX2));
  }

  bool legal() {
    if (out_.has(kPrefixLock) && (!row_->has(RowFlag::Lock) || register_form_))
      return fail(DecodeStatus::LockIllegal);
    if (is_vex(row_->map) && vvvv_ != 0 && !row_->has(RowFlag::UsesVvvv)) return fail(DecodeStatus::VexVvvv);
    return true;
  }

  /// SDM volume 1, 3.6.1.
  void sizes() {
    const bool p66 = out_.has(kPrefixOperandSize), p67 = out_.has(kPrefixAddressSize);
    if (is64()) {
      out_.address_size = p67 ? 4 : 8;
      out_.operand_size = w_ || row_->has(RowFlag::F64) ? 8 : p66 ? 2 : row_->has(RowFlag::D64) ? 8 : 4;
    } else {
      out_.address_size = (mode_ == Mode::k32) != p67 ? 4 : 2;
      out_.operand_size = (mode_ == Mode::k32) != p66 ? 4 : 2;
    }
    out_.vector_length = l_ ? 32 : 16;
    out_.memory.segment = override_;
  }

  /// An override, or the default of the base: SS for the stack and frame pointers.
  void segment_for(bool stack) {
    if (!out_.has(kPrefixSegment) && stack) out_.memory.segment = Segment::SS;
  }

  bool modrm_memory() { return out_.address_size == 2 ? memory16() : memory32(); }

  /// SDM volume 2, table 2-1.
  bool memory16() {
    constexpr uint8_t kBase[] = {3, 3, 5, 5, 6, 7, 5, 3};
    constexpr uint8_t kIndex[] = {6, 7, 6, 7, kNoRegister, kNoRegister, kNoRegister, kNoRegister};
    MemoryOperand& m = out_.memory;
    const unsigned mod = out_.modrm >> 6, rm = out_.modrm & 7;
    if (mod == 0 && rm == 6) return fetch_signed(2, m.displacement);
    m.base = kBase[rm];
    m.index = kIndex[rm];
    segment_for(m.base == 5);
    return mod == 0 || fetch_signed(mod, m.displacement);
  }

  /// SDM volume 2, tables 2-2, 2-3 and 2-7.
  bool memory32() {
    MemoryOperand& m = out_.memory;
    const unsigned mod = out_.modrm >> 6, rm = out_.modrm & 7;
    unsigned base = rm;
    if (rm == 4) {
      uint64_t sib;
      if (!fetch(1, sib)) return false;
      base = sib & 7;
      const unsigned index = (sib >> 3 & 7) | x_;
      if (index != 4 || is_vsib()) {
        m.index = static_cast<uint8_t>(index);
        m.shift = static_cast<uint8_t>(sib >> 6);
      }
    }
    if (mod == 0 && base == 5) {
      if (rm == 5 && is64()) m.base = kRip;
      return fetch_signed(4, m.displacement);
    }
    m.base = static_cast<uint8_t>(base | b_);
    segment_for(m.base == 4 || m.base == 5);
    return mod == 0 || fetch_signed(mod == 1 ? 1 : 4, m.displacement);
  }

  bool is_vsib() const { return row_->operand_count > 1 && row_->operands[1].method == Method::VM; }

  unsigned size_of(OperandType type, bool in_register) const {
    const unsigned native = is64() ? 8 : 4;
    switch (type) {
      case OperandType::None:
        return 0;
      case OperandType::b:
        return 1;
      case OperandType::w:
        return 2;
      case OperandType::d:
      case OperandType::ss:
        return 4;
      case OperandType::q:
      case OperandType::sd:
        return 8;
      case OperandType::t:
        return 10;
      case OperandType::dq:
        return 16;
      case OperandType::v:
      case OperandType::bs:
        return out_.operand_size;
      case OperandType::y:
        return w_ && is64() ? 8 : 4;
      case OperandType::z:
        return std::min<unsigned>(out_.operand_size, 4);
      case OperandType::n:
        return native;
      case OperandType::p:
        return out_.operand_size + 2;
      case OperandType::s:
        return native + 2;
      case OperandType::a:
        return 2 * out_.operand_size;
      case OperandType::x:
        return out_.vector_length;
      case OperandType::x2:
        return out_.vector_length / 2;
      case OperandType::x4:
        return out_.vector_length / 4;
      case OperandType::x8:
        return out_.vector_length / 8;
      case OperandType::vw:
        return in_register ? out_.operand_size : 2;
      case OperandType::db:
        return in_register ? 4 : 1;
      case OperandType::dw:
        return in_register ? 4 : 2;
    }
    return 0;
  }

  bool operands() {
    out_.operand_count = row_->operand_count;
    for (unsigned i = 0; i < row_->operand_count; ++i)
      if (!operand(row_->operands[i], out_.operands[i])) return false;
    return !is_vsib() || gather();
  }

  bool set(Operand& o, OperandKind kind, unsigned reg) {
    o.kind = kind;
    o.reg = static_cast<uint8_t>(reg);
    return true;
  }

  /// Byte registers 4 to 7 are AH to BH without REX (SDM volume 2, table 3-1).
  bool gpr(Operand& o, unsigned reg) {
    if (o.size == 1 && reg >= 4 && !rex_ && !is_vex(map_)) return set(o, OperandKind::GprHigh, reg - 4);
    return set(o, OperandKind::Gpr, reg);
  }

  bool operand(const OperandSpec& spec, Operand& o) {
    const unsigned reg = out_.modrm >> 3 & 7, rm = out_.modrm & 7;
    o.size = static_cast<uint16_t>(size_of(spec.type, register_form_));
    switch (spec.method) {
      case Method::FixedGpr:
        return set(o, OperandKind::Gpr, spec.reg);
      case Method::FixedSegment:
        return set(o, OperandKind::Segment, spec.reg);
      case Method::FixedX87:
        return set(o, OperandKind::X87, spec.reg);
      case Method::FixedVector:
        return set(o, OperandKind::Vector, spec.reg);
      case Method::STi:
        return set(o, OperandKind::X87, rm);
      case Method::One:
        return immediate(o, 1);
      case Method::B:
        return set(o, OperandKind::Gpr, vvvv());
      case Method::H:
        return set(o, OperandKind::Vector, vvvv());
      case Method::G:
        return gpr(o, reg | r_);
      case Method::P:
        return set(o, OperandKind::Mmx, reg);
      case Method::V:
        return set(o, OperandKind::Vector, reg | r_);
      case Method::Z:
        return gpr(o, (out_.opcode & 7) | b_);
      case Method::E:
      case Method::M:
      case Method::R:
        return register_form_ ? gpr(o, rm | b_) : set(o, OperandKind::Memory, 0);
      case Method::Q:
      case Method::N:
        return register_form_ ? set(o, OperandKind::Mmx, rm) : set(o, OperandKind::Memory, 0);
      case Method::W:
      case Method::U:
        return register_form_ ? set(o, OperandKind::Vector, rm | b_) : set(o, OperandKind::Memory, 0);
      case Method::VM:
        return set(o, OperandKind::Vsib, 0);
      case Method::X:
        return set(o, OperandKind::StringSource, 6);
      case Method::Y:
        return set(o, OperandKind::StringDest, 7);
      case Method::S:
        return segment_register(o, reg);
      case Method::C:
        return control_register(o, reg | r_);
      case Method::D:
        return r_ ? fail(DecodeStatus::BadRegister) : set(o, OperandKind::Debug, reg);
      case Method::L:
        return is4(o);
      case Method::I:
        return immediate(o, spec.type);
      case Method::J:
        return relative(o, spec.type);
      case Method::A:
        return far_pointer(o);
      case Method::O:
        return absolute_offset(o);
    }
    return fail(DecodeStatus::NoSuchOpcode);
  }

  /// Outside of 64-bit mode its highest bit is ignored.
  unsigned vvvv() const { return is64() ? vvvv_ : vvvv_ & 7; }

  bool segment_register(Operand& o, unsigned reg) {
    if (reg > 5 || (reg == 1 && row_->has(RowFlag::LoadsSegment))) return fail(DecodeStatus::BadRegister);
    return set(o, OperandKind::Segment, reg);
  }

  bool control_register(Operand& o, unsigned reg) {
    constexpr unsigned kExist = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 8;
    if (!(kExist >> reg & 1)) return fail(DecodeStatus::BadRegister);
    return set(o, OperandKind::Control, reg);
  }

  bool immediate(Operand& o, int64_t value) {
    out_.immediate[immediates_] = value;
    return set(o, OperandKind::Immediate, immediates_++);
  }

  bool immediate(Operand& o, OperandType type) {
    const unsigned bytes = type == OperandType::bs ? 1 : o.size;
    const bool is_signed = type == OperandType::bs || type == OperandType::z;
    uint64_t bits = 0;
    int64_t value = 0;
    if (is_signed ? !fetch_signed(bytes, value) : !fetch(bytes, bits)) return false;
    if (type == OperandType::z) o.size = out_.operand_size;
    return immediate(o, is_signed ? value : static_cast<int64_t>(bits));
  }

  bool relative(Operand& o, OperandType type) {
    int64_t value = 0;
    if (!fetch_signed(type == OperandType::b ? 1 : o.size, value)) return false;
    immediate(o, value);
    return set(o, OperandKind::Relative, 0);
  }

  bool far_pointer(Operand& o) {
    uint64_t offset, selector;
    if (!fetch(out_.operand_size, offset) || !fetch(2, selector)) return false;
    immediate(o, static_cast<int64_t>(offset));
    immediate(o, static_cast<int64_t>(selector));
    return set(o, OperandKind::FarPointer, 0);
  }

  bool absolute_offset(Operand& o) {
    uint64_t offset;
    if (!fetch(out_.address_size, offset)) return false;
    out_.memory.displacement = static_cast<int64_t>(offset);
    return set(o, OperandKind::Memory, 0);
  }

  /// SDM volume 2, 2.3.9: the register is in the immediate's high half, 7 is the last outside of
  /// 64-bit mode.
  bool is4(Operand& o) {
    uint64_t byte;
    if (!fetch(1, byte)) return false;
    return set(o, OperandKind::Vector, (byte >> 4) & (is64() ? 15 : 7));
  }

  /// SDM volume 2, 2.3.12: a SIB byte, and three different registers.
  bool gather() {
    if ((out_.modrm & 7) != 4 || out_.address_size == 2) return fail(DecodeStatus::BadAddress);
    const unsigned to = out_.operands[0].reg, index = out_.memory.index, mask = out_.operands[2].reg;
    if (to == index || to == mask || index == mask) return fail(DecodeStatus::BadRegister);
    return true;
  }

  const uint8_t* const begin_;
  const uint8_t* at_;
  const uint8_t* const end_;
  const DecodeStatus cut_;  ///< what running out of bytes means
  const Mode mode_;
  const Features& features_;
  Insn& out_;

  const Row* row_ = nullptr;
  Map map_ = Map::OneByte;
  DecodeStatus status_ = DecodeStatus::Ok;
  Segment override_ = Segment::DS;
  uint8_t rex_ = 0;
  uint8_t prefix_ = 0;  ///< as VEX.pp
  unsigned w_ = 0, l_ = 0;
  unsigned r_ = 0, x_ = 0, b_ = 0;  ///< 0 or 8
  unsigned vvvv_ = 0;
  unsigned immediates_ = 0;
  bool register_form_ = false;
};

}  // namespace

DecodeStatus decode(const uint8_t* bytes, size_t available, Mode mode, const Features& features, Insn& out) {
  return Decoder(bytes, available, mode, features, out).run();
}

const char* name(DecodeStatus status) {
  constexpr const char* kNames[] = {"ok",
                                    "needs more bytes",
                                    "longer than 15 bytes",
                                    "no such opcode",
                                    "feature absent",
                                    "LOCK is not allowed here",
                                    "prefix not allowed with VEX",
                                    "VEX.vvvv must be 1111",
                                    "no such register",
                                    "vector index without SIB",
                                    "AVX-512 is absent"};
  return kNames[static_cast<unsigned>(status)];
}

}  // namespace lyrebird::x86
