// SPDX-License-Identifier: Apache-2.0
#include "ir/print.h"

#include <algorithm>
#include <charconv>

namespace lyrebird::ir {
namespace {

using text::AuxForm;

class Printer {
 public:
  Printer(const Block& block, const TextContext& context, std::string& out)
      : block_(block), context_(context), out_(out) {}

  void header() {
    out_ += "block ";
    hex(block_.key.pc);
    field(" mode=", block_.key.mode);
    out_ += " size=";
    decimal(block_.guest_size);
    out_ += " count=";
    decimal(block_.guest_count);
    out_ += '\n';
  }

  void inst(ValueId id) {
    inst_ = &block_.insts[id];
    first_ = true;
    aux_left_ = inst_->aux != 0;
    imm_left_ = inst_->imm != 0;
    if (text::has_result(*inst_)) {
      value(id);
      out_ += " = ";
    }
    out_ += text::mnemonic(inst_->op);
    types();
    own_operands_before();
    for (unsigned i = 0; i < arg_count(*inst_); ++i) {
      next();
      value(inst_->args[i]);
    }
    own_operands_after();
    braces();
    if (imm_left_) field(" imm=", inst_->imm);
    if (aux_left_) field(" aux=", inst_->aux);
  }

 private:
  void hex(uint64_t v) {
    char buffer[20];
    out_ += "0x";
    out_.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, v, 16).ptr);
  }
  void decimal(uint64_t v) {
    char buffer[24];
    out_.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, v).ptr);
  }
  void field(const char* name, uint64_t v) {
    out_ += name;
    hex(v);
  }
  void value(ValueId id) {
    out_ += '%';
    decimal(id);
  }
  void next() {
    out_ += first_ ? " " : ", ";
    first_ = false;
  }
  void suffix(Type t) {
    out_ += '.';
    out_ += name(t);
  }

  void types() {
    const Type type = inst_->type, elem = inst_->elem;
    if (const auto fixed = text::fixed_type(inst_->op)) {
      if (type != *fixed) {
        suffix(type);
        suffix(elem);
      } else if (elem != Type::None) {
        suffix(elem);
      }
      return;
    }
    if (text::is_compare(inst_->op) && type == Type::I1 && elem != Type::None && !is_vector(elem)) {
      suffix(elem);
      return;
    }
    const bool elem_is_plain = elem == text::default_elem(inst_->op, type);
    if (type == Type::None && elem_is_plain) return;
    suffix(type);
    if (!elem_is_plain) suffix(elem);
  }

  /// Names that read better in front of the values.
  void own_operands_before() {
    if (inst_->op == Op::SetState) {
      next();
      location();
    } else if (inst_->op == Op::CallHelper) {
      next();
      const auto& helpers = context_.helpers;
      const bool known = inst_->aux < helpers.size() && is_first_of_name(inst_->aux);
      if (known) {
        out_ += helpers[inst_->aux].name;
      } else {
        out_ += '#';
        decimal(inst_->aux);
      }
      aux_left_ = false;
    }
  }

  void own_operands_after() {
    switch (inst_->op) {
      case Op::Const:
        next();
        constant();
        break;
      case Op::GetState:
      case Op::ForgetState:
        next();
        location();
        break;
      case Op::Insn:
      case Op::Jump:
      case Op::ExitIf:
        address(inst_->imm);
        break;
      case Op::Branch:
        address(inst_->imm);
        address(inst_->high());
        break;
      case Op::ExtractLane:
      case Op::InsertLane:
        lane();
        break;
      default:
        if (text::has_own_imm(inst_->op) || inst_->imm == 0) break;
        if (info(inst_->op).kind >= OpKind::Vec1 && info(inst_->op).kind <= OpKind::Vec3) lane();
        break;
    }
    aux_word();
    if (inst_->op == Op::Raise || inst_->op == Op::RaiseIf) address(inst_->imm);
  }

  void address(uint64_t v) {
    next();
    hex(v);
    imm_left_ = false;
  }
  void lane() {
    next();
    out_ += '#';
    decimal(inst_->imm);
    imm_left_ = false;
  }
  void constant() {
    imm_left_ = false;
    if (inst_->high() == 0) return hex(inst_->imm);
    hex(inst_->high());
    char buffer[16];
    char* const end = std::to_chars(buffer, buffer + sizeof buffer, inst_->imm, 16).ptr;
    out_.append(16 - static_cast<size_t>(end - buffer), '0');
    out_.append(buffer, end);
  }

  void location() {
    imm_left_ = false;
    const StateField* const f = field_at(inst_->imm);
    if (!f) {
      out_ += '@';
      hex(inst_->imm);
      return;
    }
    out_ += f->name;
    if (inst_->imm != f->offset) {
      out_ += '+';
      decimal(inst_->imm - f->offset);
    }
  }
  const StateField* field_at(uint64_t offset) const {
    if (!context_.layout) return nullptr;
    const auto fields = context_.layout->fields;
    auto at = std::upper_bound(fields.begin(), fields.end(), offset,
                               [](uint64_t o, const StateField& f) { return o < f.offset; });
    if (at == fields.begin()) return nullptr;
    --at;
    if (offset >= at->offset + uint64_t{byte_size(at->type)}) return nullptr;
    // A name must lead back to its field.
    const auto same = [&](const StateField& f) { return f.name == at->name; };
    if (&*std::find_if(fields.begin(), fields.end(), same) != &*at) return nullptr;
    return std::all_of(at->name.begin(), at->name.end(), text::is_word_char) && !at->name.empty() ? &*at
                                                                                                  : nullptr;
  }
  bool is_first_of_name(uint32_t index) const {
    const std::string_view name = context_.helpers[index].name;
    for (uint32_t i = 0; i < index; ++i)
      if (context_.helpers[i].name == name) return false;
    return !name.empty() && std::all_of(name.begin(), name.end(), text::is_word_char);
  }

  void aux_word() {
    const uint32_t aux = inst_->aux;
    switch (text::aux_form(inst_->op)) {
      case AuxForm::Hint:
        if (aux != 0 && aux < std::size(text::kHints)) word(text::kHints[aux]);
        break;
      case AuxForm::Fence:
        if (aux != 0 && aux < std::size(text::kFences)) word(text::kFences[aux]);
        break;
      case AuxForm::Kind:
        if (aux < kExitKindCount) word(name(static_cast<ExitKind>(aux)));
        break;
      case AuxForm::Length:
        next();
        decimal(aux);
        aux_left_ = false;
        break;
      default:
        break;
    }
  }
  void word(std::string_view w) {
    next();
    out_ += w;
    aux_left_ = false;
  }

  // --- {words}

  void braces() {
    switch (text::aux_form(inst_->op)) {
      case AuxForm::Fp:
        fp_mode();
        break;
      case AuxForm::Memory:
        memory();
        break;
      case AuxForm::Crc:
        if (inst_->aux >> 9 != 0) break;
        brace();
        decimal(inst_->aux & 255);
        if (inst_->aux & 256) item("castagnoli");
        close();
        break;
      default:
        break;
    }
  }
  void brace() { out_ += " {"; }
  void item(std::string_view w) {
    if (out_.back() != '{') out_ += ' ';
    out_ += w;
  }
  void close() {
    out_ += '}';
    aux_left_ = false;
  }
  void words(std::span<const text::Word> all) {
    for (const text::Word& w : all)
      if ((inst_->aux & w.mask) == w.value) item(w.word);
  }
  void fp_mode() {
    const FpMode mode = inst_->fp_mode();
    const uint32_t plain = FpMode{}.pack();
    if ((inst_->aux & low_bits()) != mode.pack() || static_cast<uint32_t>(mode.round) > 5 ||
        static_cast<uint32_t>(mode.denormal_report) > 2)
      return;
    if (inst_->aux == plain) {
      aux_left_ = false;
      return;
    }
    brace();
    words(text::fp_words());
    if (inst_->fp_extra() != 0) {
      item("extra=");
      decimal(inst_->fp_extra());
    }
    close();
  }
  static constexpr uint32_t low_bits() { return (1u << kFpModeBits) - 1; }
  void memory() {
    const MemInfo m = MemInfo::unpack(inst_->aux);
    if (m.pack() != inst_->aux || static_cast<uint32_t>(m.align) > 2) return;
    brace();
    decimal(m.size);
    words(text::memory_words());
    if (m.space != 0) {
      item("space=");
      decimal(m.space);
    }
    close();
  }

  const Block& block_;
  const TextContext& context_;
  std::string& out_;
  const Inst* inst_ = nullptr;
  bool first_ = true;
  bool aux_left_ = false, imm_left_ = false;
};

}  // namespace

std::string print(const Block& block, const TextContext& context) {
  std::string out;
  out.reserve(64 * (block.insts.size() + 1));
  Printer printer(block, context, out);
  printer.header();
  for (ValueId id = 0; id < block.insts.size(); ++id) {
    out += "  ";
    printer.inst(id);
    out += '\n';
  }
  return out;
}

std::string print(const Block& block, ValueId id, const TextContext& context) {
  std::string out;
  Printer(block, context, out).inst(id);
  return out;
}

}  // namespace lyrebird::ir
