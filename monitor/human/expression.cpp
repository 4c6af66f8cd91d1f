// SPDX-License-Identifier: Apache-2.0
#include "monitor/human/expression.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <string>

namespace lyrebird::monitor {

namespace {

/// From the loosest to the tightest; what one string holds is read from left to right.
constexpr std::string_view kOperators[] = {"|", "^", "&", "+-", "*/%"};
/// Of parentheses and signs: a line is not an attack on the stack.
constexpr unsigned kDeepest = 64;

class Reader {
 public:
  Reader(std::string_view text, const FindRegister& find) : rest_(text), find_(find) {}

  Result<uint64_t> all() {
    auto value = sum(0);
    if (!value.ok()) return value;
    if (!rest_.empty()) return unreadable();
    return value;
  }

 private:
  Error unreadable() const {
    return Error{rest_.empty() ? std::string("a number or a $register is missing")
                               : fmt::format("{}: is no number, $register or operator", rest_)};
  }
  void skip_space() {
    while (rest_.starts_with(' ')) rest_.remove_prefix(1);
  }
  bool take(char c) {
    skip_space();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::string_view take_word() {
    size_t size = 0;
    while (size < rest_.size() &&
           (std::isalnum(static_cast<unsigned char>(rest_[size])) || rest_[size] == '_'))
      ++size;
    const std::string_view word = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return word;
  }

  Result<uint64_t> sum(size_t level) {
    if (level == std::size(kOperators)) return one();
    auto left = sum(level + 1);
    while (left.ok()) {
      skip_space();
      if (rest_.empty() || kOperators[level].find(rest_.front()) == std::string_view::npos) break;
      const char op = rest_.front();
      rest_.remove_prefix(1);
      const auto right = sum(level + 1);
      if (!right.ok()) return right;
      left = apply(op, *left, *right);
    }
    return left;
  }

  static Result<uint64_t> apply(char op, uint64_t a, uint64_t b) {
    switch (op) {
      case '|':
        return a | b;
      case '^':
        return a ^ b;
      case '&':
        return a & b;
      case '+':
        return a + b;
      case '-':
        return a - b;
      case '*':
        return a * b;
      default:
        if (b == 0) return Error{"division by zero"};
        return op == '/' ? a / b : a % b;
    }
  }

  Result<uint64_t> one() {
    if (++depth_ > kDeepest) return Error{"too many parentheses"};
    auto value = inner();
    --depth_;
    return value;
  }

  Result<uint64_t> inner() {
    if (take('-') || take('~')) {
      const char sign = rest_.data()[-1];
      const auto value = one();
      if (!value.ok()) return value;
      return sign == '-' ? -*value : ~*value;
    }
    if (take('(')) {
      auto value = sum(0);
      if (value.ok() && !take(')')) return Error{"a ) is missing"};
      return value;
    }
    return take('$') ? register_value() : number();
  }

  Result<uint64_t> register_value() {
    const std::string_view name = take_word();
    if (const auto value = find_(name)) return *value;
    return Error{fmt::format("${}: no such register; info registers lists them", name)};
  }

  Result<uint64_t> number() {
    const std::string_view before = rest_;
    std::string_view digits = take_word();
    const bool hex = digits.starts_with("0x") || digits.starts_with("0X");
    if (hex) digits.remove_prefix(2);
    uint64_t value = 0;
    const auto [end, code] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, hex ? 16 : 10);
    if (digits.empty() || code != std::errc() || end != digits.data() + digits.size()) {
      rest_ = before;
      return unreadable();
    }
    return value;
  }

  std::string_view rest_;
  const FindRegister& find_;
  unsigned depth_ = 0;
};

}  // namespace

Result<uint64_t> evaluate(std::string_view text, const FindRegister& find) {
  return Reader(text, find).all();
}

}  // namespace lyrebird::monitor
