// SPDX-License-Identifier: Apache-2.0
#include "ir/text.h"

#include <algorithm>
#include <array>
#include <string>

namespace lyrebird::ir::text {
namespace {

constexpr bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

struct Names {
  std::array<std::string, kOpCount> names;
  std::array<uint16_t, kOpCount> sorted;
  Names() {
    for (unsigned i = 0; i < kOpCount; ++i) {
      const std::string_view camel = kOps[i].name;
      for (size_t k = 0; k < camel.size(); ++k) {
        if (k > 0 && is_upper(camel[k]) && !is_upper(camel[k - 1])) names[i] += '_';
        names[i] += is_upper(camel[k]) ? static_cast<char>(camel[k] - 'A' + 'a') : camel[k];
      }
      sorted[i] = static_cast<uint16_t>(i);
    }
    std::sort(sorted.begin(), sorted.end(), [&](uint16_t a, uint16_t b) { return names[a] < names[b]; });
  }
};
const Names& table() {
  static const Names names;
  return names;
}

/// The packed bit that `set` sets in a mode.
constexpr uint32_t fp_bit(void (*set)(FpMode&, bool)) {
  FpMode off, on;
  set(off, false);
  set(on, true);
  return off.pack() ^ on.pack();
}
#define LYREBIRD_FP_BIT(flag) fp_bit([](FpMode& mode, bool on) { mode.flag = on; })
constexpr uint32_t fp_bits(FpMode mode) {
  return mode.pack() ^ FpMode {}.pack();
}
constexpr uint32_t fp_bits(Round round) { return fp_bits(FpMode{.round = round}); }
constexpr uint32_t fp_bits(NanRule rule) { return fp_bits(FpMode{.nan_rule = rule}); }
constexpr uint32_t fp_bits(DenormalReport report) { return fp_bits(FpMode{.denormal_report = report}); }
constexpr uint32_t kRoundMask = fp_bits(static_cast<Round>(7));
constexpr uint32_t kNanMask = fp_bits(static_cast<NanRule>(3));
constexpr uint32_t kDenormalMask = fp_bits(static_cast<DenormalReport>(3));

/// Flags are written where they differ from FpMode{}; its one set flag is written when off.
constexpr Word kFpWords[] = {
    {"rp", kRoundMask, fp_bits(Round::TowardPositive)},
    {"rm", kRoundMask, fp_bits(Round::TowardNegative)},
    {"rz", kRoundMask, fp_bits(Round::TowardZero)},
    {"ra", kRoundMask, fp_bits(Round::NearestAway)},
    {"ro", kRoundMask, fp_bits(Round::ToOdd)},
    {"nan_first", kNanMask, fp_bits(NanRule::FirstOperand)},
    {"nan_larger", kNanMask, fp_bits(NanRule::LargerSignificand)},
    {"nan_addend_second", kNanMask, fp_bits(NanRule::AddendSecond)},
    {"denormal_when_flushed", kDenormalMask, fp_bits(DenormalReport::WhenFlushed)},
    {"denormal_when_used", kDenormalMask, fp_bits(DenormalReport::WhenUsed)},
    {"dn", LYREBIRD_FP_BIT(default_nan), LYREBIRD_FP_BIT(default_nan)},
    {"dn_negative", LYREBIRD_FP_BIT(default_nan_negative), LYREBIRD_FP_BIT(default_nan_negative)},
    {"fz_in", LYREBIRD_FP_BIT(flush_inputs), LYREBIRD_FP_BIT(flush_inputs)},
    {"fz_out", LYREBIRD_FP_BIT(flush_outputs), LYREBIRD_FP_BIT(flush_outputs)},
    {"tiny_after", LYREBIRD_FP_BIT(tiny_before_rounding), 0},
    {"fz_inexact", LYREBIRD_FP_BIT(flush_is_inexact), LYREBIRD_FP_BIT(flush_is_inexact)},
    {"no_inexact", LYREBIRD_FP_BIT(no_inexact), LYREBIRD_FP_BIT(no_inexact)},
    {"no_flags", LYREBIRD_FP_BIT(no_flags), LYREBIRD_FP_BIT(no_flags)},
    {"ahp", LYREBIRD_FP_BIT(alternative_half), LYREBIRD_FP_BIT(alternative_half)},
};
#undef LYREBIRD_FP_BIT

constexpr uint32_t align_bits(Align a) { return static_cast<uint32_t>(a) << 8; }
constexpr uint32_t order_bits(Order o) { return static_cast<uint32_t>(o) << 10; }
constexpr uint32_t address_bits(AddressRule r) { return static_cast<uint32_t>(r) << 12; }
constexpr Word kMemoryWords[] = {
    {"signed", 1 << 6, 1 << 6},
    {"big_endian", 1 << 7, 1 << 7},
    {"natural", 3 << 8, align_bits(Align::Natural)},
    {"within16", 3 << 8, align_bits(Align::Within16)},
    {"acquire", 3 << 10, order_bits(Order::Acquire)},
    {"release", 3 << 10, order_bits(Order::Release)},
    {"seq_cst", 3 << 10, order_bits(Order::SeqCst)},
    {"ignore_top", 3 << 12, address_bits(AddressRule::IgnoreTop)},
    {"low32", 3 << 12, address_bits(AddressRule::Low32)},
    {"low16", 3 << 12, address_bits(AddressRule::Low16)},
};

}  // namespace

std::string_view mnemonic(Op op) { return table().names[static_cast<unsigned>(op)]; }

std::optional<Op> op_named(std::string_view name) {
  const Names& t = table();
  const auto at = std::lower_bound(t.sorted.begin(), t.sorted.end(), name,
                                   [&](uint16_t i, std::string_view n) { return t.names[i] < n; });
  if (at == t.sorted.end() || t.names[*at] != name) return std::nullopt;
  return static_cast<Op>(*at);
}

std::optional<Type> fixed_type(Op op) {
  if (op == Op::Store || op == Op::SetState) return std::nullopt;
  switch (info(op).signature.back()) {
    case 'b':
      return Type::I1;
    case 'w':
      return Type::I32;
    case 'd':
      return Type::I64;
    case 'q':
      return Type::I128;
    case '-':
      return Type::None;
    default:
      return std::nullopt;
  }
}

Type default_elem(Op op, Type type) {
  switch (info(op).kind) {
    case OpKind::Vec1:
    case OpKind::Vec2:
    case OpKind::Vec3:
      return Type::None;
    case OpKind::Special:
      break;
    default:
      return type;
  }
  switch (op) {
    case Op::Const:
    case Op::Select:
    case Op::AddWithCarry:
    case Op::ExtractLane:
    case Op::ReduceAdd:
    case Op::ReduceMinS:
    case Op::ReduceMaxS:
    case Op::ReduceMinU:
    case Op::ReduceMaxU:
    case Op::FFromIntS:
    case Op::FFromIntU:
      return type;
    default:
      return Type::None;
  }
}

bool has_result(const Inst& inst) { return info(inst.op).signature.back() != '-' && inst.type != Type::None; }

AuxForm aux_form(Op op) {
  switch (op) {
    case Op::CallHelper:
      return AuxForm::Helper;
    case Op::Jump:
    case Op::Branch:
    case Op::JumpIndirect:
      return AuxForm::Hint;
    case Op::Raise:
    case Op::RaiseIf:
      return AuxForm::Kind;
    case Op::Fence:
      return AuxForm::Fence;
    case Op::Insn:
      return AuxForm::Length;
    case Op::Crc32:
      return AuxForm::Crc;
    default:
      break;
  }
  if (info(op).effects & FpFlags) return AuxForm::Fp;
  return info(op).effects & Faults ? AuxForm::Memory : AuxForm::None;
}

bool has_own_imm(Op op) {
  switch (op) {
    case Op::Const:
    case Op::GetState:
    case Op::SetState:
    case Op::ForgetState:
    case Op::Insn:
    case Op::ExitIf:
    case Op::RaiseIf:
    case Op::Jump:
    case Op::Branch:
    case Op::Raise:
      return true;
    default:
      return false;
  }
}

std::span<const Word> fp_words() { return kFpWords; }
std::span<const Word> memory_words() { return kMemoryWords; }

}  // namespace lyrebird::ir::text
