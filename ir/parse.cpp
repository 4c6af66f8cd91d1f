// SPDX-License-Identifier: Apache-2.0
#include "ir/parse.h"

#include <charconv>
#include <string>
#include <unordered_map>

#include "base/bits.h"

namespace lyrebird::ir {
namespace {

using text::AuxForm;

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::optional<Type> type_named(std::string_view word) {
  for (unsigned i = 0; i < kTypeCount; ++i)
    if (name(static_cast<Type>(i)) == word) return static_cast<Type>(i);
  return std::nullopt;
}

/// One line at a time; the first mistake is kept and everything after it is skipped.
class Parser {
 public:
  Parser(std::string_view all, const TextContext& context) : rest_(all), context_(context) {}

  Result<Block> run() {
    while (!failed_ && next_line()) {
      skip_blanks();
      if (at_end()) continue;
      if (block_.insts.empty() && !has_header_ && peek_word() == "block")
        header();
      else
        instruction();
      if (!failed_ && !at_end()) fail("unexpected text");
    }
    if (failed_) return Error{message_};
    return std::move(block_);
  }

 private:
  // --- lines and characters

  bool next_line() {
    if (rest_.empty()) return false;
    const size_t end = rest_.find('\n');
    line_ = rest_.substr(0, end);
    rest_ = end == std::string_view::npos ? std::string_view{} : rest_.substr(end + 1);
    line_ = line_.substr(0, line_.find(';'));
    at_ = 0;
    ++line_number_;
    return true;
  }
  bool at_end() const { return at_ >= line_.size(); }
  char peek() const { return at_end() ? '\0' : line_[at_]; }
  void skip_blanks() {
    while (!at_end() && is_blank(line_[at_])) ++at_;
  }
  bool take(char c) {
    skip_blanks();
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!failed_ && !take(c)) fail(std::string("expected '") + c + "'");
  }
  bool fail(std::string what) {
    if (!failed_)
      message_ = "line " + std::to_string(line_number_) + ", column " + std::to_string(at_ + 1) + ": " +
                 std::move(what);
    failed_ = true;
    return false;
  }
  /// As fail, at the column where the word began.
  bool fail_at(size_t column, std::string what) {
    at_ = column;
    return fail(std::move(what));
  }

  // --- words and numbers

  std::string_view peek_word() {
    size_t end = at_;
    while (end < line_.size() && text::is_word_char(line_[end])) ++end;
    return line_.substr(at_, end - at_);
  }
  std::string_view word() {
    skip_blanks();
    const std::string_view w = peek_word();
    at_ += w.size();
    return w;
  }
  /// Words such as memory-fault.
  std::string_view dashed_word() {
    skip_blanks();
    size_t end = at_;
    while (end < line_.size() && (text::is_word_char(line_[end]) || line_[end] == '-')) ++end;
    const std::string_view w = line_.substr(at_, end - at_);
    at_ = end;
    return w;
  }

  /// Decimal, or hexadecimal after 0x; up to 128 bits.
  u128 wide_number() {
    skip_blanks();
    const size_t start = at_;
    const bool hex = line_.substr(at_).starts_with("0x");
    if (hex) at_ += 2;
    const unsigned base = hex ? 16 : 10;
    u128 v = 0;
    unsigned digits = 0;
    for (; !at_end(); ++at_, ++digits) {
      const char c = line_[at_];
      unsigned digit;
      if (is_digit(c))
        digit = static_cast<unsigned>(c - '0');
      else if (hex && c >= 'a' && c <= 'f')
        digit = static_cast<unsigned>(c - 'a') + 10;
      else
        break;
      if (v > (~u128{0} - digit) / base) {
        fail_at(start, "the number is too large");
        return 0;
      }
      v = v * base + digit;
    }
    if (digits == 0) fail("expected a number");
    return v;
  }
  uint64_t number(uint64_t limit = ~uint64_t{0}) {
    skip_blanks();
    const size_t start = at_;
    const u128 v = wide_number();
    if (!failed_ && v > limit) fail_at(start, "the number is too large");
    return static_cast<uint64_t>(v);
  }
  uint32_t number32() { return static_cast<uint32_t>(number(~uint32_t{0})); }

  // --- the header

  void header() {
    has_header_ = true;
    word();
    block_.key.pc = number();
    while (!failed_) {
      skip_blanks();
      if (at_end()) return;
      const size_t start = at_;
      const std::string_view key = word();
      expect('=');
      if (failed_) return;
      if (key == "mode")
        block_.key.mode = number32();
      else if (key == "size")
        block_.guest_size = number32();
      else if (key == "count")
        block_.guest_count = number32();
      else
        fail_at(start, "expected mode, size or count");
    }
  }

  // --- an instruction

  void instruction() {
    if (block_.insts.size() >= kMaxParsedInsts) {
      fail("too many instructions");
      return;
    }
    inst_ = Inst{};
    std::optional<uint32_t> label;
    const size_t start = at_;
    if (take('%')) {
      label = number32();
      expect('=');
    }
    operation();
    if (failed_) return;
    operands();
    while (!failed_) {
      skip_blanks();
      if (at_end()) break;
      if (peek() == '{')
        braces();
      else
        raw_field();
    }
    if (failed_) return;
    if (label && !text::has_result(inst_)) {
      fail_at(start, "this op has no result");
      return;
    }
    if (label && !labels_.emplace(*label, static_cast<ValueId>(block_.insts.size())).second) {
      fail_at(start, "the value is defined twice");
      return;
    }
    block_.insts.push_back(inst_);
  }

  void operation() {
    skip_blanks();
    const size_t start = at_;
    const std::string_view mnemonic = word();
    const auto op = text::op_named(mnemonic);
    if (!op) {
      fail_at(start, "unknown op '" + std::string(mnemonic.substr(0, 40)) + "'");
      return;
    }
    inst_.op = *op;
    if (text::aux_form(*op) == AuxForm::Fp) inst_.aux = FpMode{}.pack();
    Type suffixes[2];
    unsigned count = 0;
    while (!failed_ && peek() == '.') {
      ++at_;
      const size_t type_start = at_;
      const auto type = type_named(peek_word());
      if (!type || count == 2) {
        fail_at(type_start, type ? "too many types" : "unknown type");
        return;
      }
      word();
      suffixes[count++] = *type;
    }
    types(suffixes, count);
  }

  void types(const Type* suffixes, unsigned count) {
    const auto fixed = text::fixed_type(inst_.op);
    if (count == 2) {
      inst_.type = suffixes[0];
      inst_.elem = suffixes[1];
    } else if (fixed) {
      inst_.type = *fixed;
      inst_.elem = count == 1 ? suffixes[0] : Type::None;
    } else if (text::is_compare(inst_.op) && count == 1 && !is_vector(suffixes[0])) {
      inst_.type = Type::I1;
      inst_.elem = suffixes[0];
    } else {
      inst_.type = count == 1 ? suffixes[0] : Type::None;
      inst_.elem = text::default_elem(inst_.op, inst_.type);
    }
  }

  void operands() {
    const bool variable = inst_.op == Op::CallHelper;
    const unsigned wanted = variable ? 4 : arg_count(inst_);
    values_ = 0;
    addresses_ = 0;
    bool more = true;
    skip_blanks();
    if (at_end() || peek() == '{' || is_raw_field()) more = false;
    for (; more && !failed_; more = take(',')) {
      skip_blanks();
      operand(wanted);
    }
    if (!failed_ && !variable && values_ != wanted) fail("expected " + std::to_string(wanted) + " operands");
  }

  void operand(unsigned wanted) {
    switch (peek()) {
      case '%':
        return value(wanted);
      case '#':
        return hash();
      case '@':
        ++at_;
        if (inst_.op != Op::GetState && inst_.op != Op::SetState && inst_.op != Op::ForgetState) {
          fail("only get_state and set_state have a place in the state");
          return;
        }
        inst_.imm = number();
        return;
      default:
        return is_digit(peek()) ? plain_number() : named();
    }
  }

  void value(unsigned wanted) {
    const size_t start = at_;
    ++at_;
    const uint32_t label = number32();
    if (failed_) return;
    const auto at = labels_.find(label);
    if (at == labels_.end()) {
      fail_at(start, "no such value before this");
    } else if (values_ == wanted) {
      fail_at(start, "too many operands");
    } else {
      inst_.args[values_++] = at->second;
    }
  }
  void hash() {
    ++at_;
    if (inst_.op == Op::CallHelper)
      inst_.aux = number32();
    else if (text::has_own_imm(inst_.op))
      fail("this op takes no #number");
    else
      inst_.imm = number();
  }
  void plain_number() {
    const size_t start = at_;
    const unsigned index = addresses_++;
    switch (inst_.op) {
      case Op::Const: {
        const u128 v = wide_number();
        inst_.imm = static_cast<uint64_t>(v);
        inst_.set_high(static_cast<uint64_t>(v >> 64));
        if (index == 0) return;
        break;
      }
      case Op::Insn:
        if (index == 0) inst_.imm = number();
        if (index == 1) inst_.aux = number32();
        if (index <= 1) return;
        break;
      case Op::Branch:
        if (index == 0) inst_.imm = number();
        if (index == 1) inst_.set_high(number());
        if (index <= 1) return;
        break;
      case Op::ExitIf:
      case Op::Jump:
      case Op::Raise:
      case Op::RaiseIf:
        if (index == 0) {
          inst_.imm = number();
          return;
        }
        break;
      default:
        break;
    }
    fail_at(start, "unexpected number");
  }

  void named() {
    const size_t start = at_;
    bool known = false;
    switch (text::aux_form(inst_.op)) {
      case AuxForm::Helper:
        known = index_of(word(), context_.helpers.size(), [&](size_t i) { return context_.helpers[i].name; });
        break;
      case AuxForm::Hint:
        known = index_of(word(), std::size(text::kHints), [](size_t i) { return text::kHints[i]; });
        break;
      case AuxForm::Fence:
        known = index_of(word(), std::size(text::kFences), [](size_t i) { return text::kFences[i]; });
        break;
      case AuxForm::Kind:
        known =
            index_of(dashed_word(), kExitKindCount, [](size_t i) { return name(static_cast<ExitKind>(i)); });
        break;
      default:
        if (inst_.op == Op::GetState || inst_.op == Op::SetState || inst_.op == Op::ForgetState)
          known = location();
        break;
    }
    if (!known) fail_at(start, at_ == start ? "expected an operand" : "unknown name");
  }
  template <typename Name>
  bool index_of(std::string_view wanted, size_t count, Name name_of) {
    for (size_t i = 0; i < count && !wanted.empty(); ++i) {
      if (name_of(i) != wanted) continue;
      inst_.aux = static_cast<uint32_t>(i);
      return true;
    }
    return false;
  }
  bool location() {
    const std::string_view wanted = word();
    if (!context_.layout || wanted.empty()) return false;
    for (const StateField& f : context_.layout->fields) {
      if (f.name != wanted) continue;
      inst_.imm = f.offset;
      if (peek() == '+') {
        ++at_;
        inst_.imm += number(1 << 20);
      }
      return true;
    }
    return false;
  }

  // --- after the operands

  bool is_raw_field() const {
    const std::string_view left = line_.substr(at_);
    return left.starts_with("imm=") || left.starts_with("aux=");
  }
  void raw_field() {
    if (!is_raw_field()) {
      fail("unexpected text");
      return;
    }
    const bool imm = peek() == 'i';
    at_ += 4;
    if (imm)
      inst_.imm = number();
    else
      inst_.aux = number32();
  }

  void braces() {
    ++at_;
    const AuxForm form = text::aux_form(inst_.op);
    if (form != AuxForm::Fp && form != AuxForm::Memory && form != AuxForm::Crc) {
      fail("this op takes no {words}");
      return;
    }
    if (form != AuxForm::Fp) inst_.aux = static_cast<uint32_t>(number(form == AuxForm::Memory ? 63 : 255));
    while (!failed_ && !take('}')) {
      skip_blanks();
      brace_word(form);
    }
  }
  void brace_word(AuxForm form) {
    const size_t start = at_;
    const std::string_view w = word();
    if (form == AuxForm::Fp && w == "extra") {
      expect('=');
      inst_.aux = (inst_.aux & ((1u << kFpModeBits) - 1)) |
                  static_cast<uint32_t>(number((1u << (32 - kFpModeBits)) - 1)) << kFpModeBits;
      return;
    }
    if (form == AuxForm::Memory && w == "space") {
      expect('=');
      inst_.aux = (inst_.aux & 0xff00ffff) | static_cast<uint32_t>(number(255)) << 16;
      return;
    }
    if (form == AuxForm::Crc && w == "castagnoli") {
      inst_.aux |= 256;
      return;
    }
    if (form != AuxForm::Crc) {
      for (const text::Word& known : form == AuxForm::Fp ? text::fp_words() : text::memory_words()) {
        if (known.word != w) continue;
        inst_.aux = (inst_.aux & ~known.mask) | known.value;
        return;
      }
    }
    fail_at(start, "unknown word");
  }

  std::string_view rest_;
  const TextContext& context_;
  std::string_view line_;
  size_t at_ = 0;
  size_t line_number_ = 0;
  bool failed_ = false;
  std::string message_;

  Block block_;
  bool has_header_ = false;
  std::unordered_map<uint32_t, ValueId> labels_;
  Inst inst_;
  unsigned values_ = 0, addresses_ = 0;
};

}  // namespace

Result<Block> parse(std::string_view text, const TextContext& context) { return Parser(text, context).run(); }

}  // namespace lyrebird::ir
