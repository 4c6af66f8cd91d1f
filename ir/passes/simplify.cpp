// SPDX-License-Identifier: Apache-2.0
#include "ir/passes/simplify.h"

#include <utility>

#include "base/bits.h"
#include "ir/eval_inst.h"
#include "ir/typing.h"

namespace lyrebird::ir::passes {
namespace {

bool commutes(Op op) {
  switch (op) {
    case Op::Add:
    case Op::Mul:
    case Op::And:
    case Op::Or:
    case Op::Xor:
    case Op::CmpEq:
    case Op::CmpNe:
    case Op::CmpTest:
    case Op::MinS:
    case Op::MaxS:
    case Op::MinU:
    case Op::MaxU:
      return true;
    default:
      return false;
  }
}

class Simplifier {
 public:
  Simplifier(Block& block, ValueId id) : insts_(block.insts), id_(id), inst_(block.insts[id]) {}

  ValueId run() {
    if (commutes(inst_.op)) order_operands();
    if (fold()) return id_;
    switch (inst_.op) {
      case Op::Add:
      case Op::Sub:
      case Op::Mul:
      case Op::And:
      case Op::Or:
      case Op::Xor:
      case Op::AndNot:
        return arithmetic();
      case Op::Shl:
      case Op::ShrU:
      case Op::ShrS:
      case Op::RotR:
        return is_zero(inst_.args[1]) ? inst_.args[0] : id_;
      case Op::Not:
        return invert();
      case Op::Neg:
        return def(0).op == Op::Neg && same_lanes(def(0)) ? def(0).args[0] : id_;
      case Op::Select:
        return select();
      case Op::CmpEq:
      case Op::CmpNe:
      case Op::CmpLtS:
      case Op::CmpLeS:
      case Op::CmpLtU:
      case Op::CmpLeU:
        return compare();
      case Op::AddWithCarry:
      case Op::CarryOfAdd:
      case Op::OverflowOfAdd:
        return carry();
      case Op::ZExt:
      case Op::SExt:
      case Op::Trunc:
      case Op::Bitcast:
      case Op::Resize:
        return convert();
      case Op::Lo64:
      case Op::Hi64:
        if (def(0).op == Op::Pair64) return def(0).args[inst_.op == Op::Hi64];
        return id_;
      case Op::ExtractLane:
        return extract();
      case Op::HalfHi:
        return def(0).op == Op::Concat ? def(0).args[1] : id_;
      default:
        return control();
    }
  }

 private:
  const Inst& at(ValueId id) const { return insts_[id]; }
  const Inst& def(unsigned operand) const { return insts_[inst_.args[operand]]; }
  bool is_const(ValueId id) const { return at(id).op == Op::Const; }
  bool same_lanes(const Inst& other) const { return other.type == inst_.type && other.elem == inst_.elem; }

  /// A constant whose bits are all zero / all one.
  bool is_zero(ValueId id) const {
    const Inst& c = at(id);
    return c.op == Op::Const && c.imm == 0 && c.high() == 0;
  }
  bool is_ones(ValueId id) const {
    const Inst& c = at(id);
    if (c.op != Op::Const) return false;
    const unsigned width = bit_width(c.type);
    return c.imm == low_mask(width) && (width <= 64 || c.high() == low_mask(width - 64));
  }

  // --- results

  ValueId become(Op op, Type type, Type elem, ValueId a, ValueId b = kNoValue, ValueId c = kNoValue) {
    inst_ = {.op = op, .type = type, .elem = elem, .args = {a, b, c, kNoValue}};
    return id_;
  }
  ValueId become_const(Type type, uint64_t low, uint64_t high = 0) {
    inst_ = {.op = Op::Const, .type = type, .elem = type, .imm = low};
    inst_.set_high(high);
    return id_;
  }
  ValueId zero() { return inst_.type == Type::V256 ? id_ : become_const(inst_.type, 0); }
  ValueId truth(bool value) {
    if (inst_.type == Type::I1) return become_const(Type::I1, value);
    if (!value) return zero();
    if (inst_.type == Type::V256) return id_;
    return become_const(inst_.type, ~uint64_t{0}, inst_.type == Type::V128 ? ~uint64_t{0} : 0);
  }
  /// The instruction with other operands.
  ValueId with(ValueId a, ValueId b) {
    inst_.args[0] = a;
    inst_.args[1] = b;
    return id_;
  }

  // --- folding

  bool fold() {
    const OpInfo& op = info(inst_.op);
    if ((op.effects & ~FpFlags) != 0 || op.args == 0 || op.args > 3) return false;
    if (inst_.type == Type::V256 || (has_f80_flags(inst_) && !inst_.fp_mode().no_flags)) return false;
    for (unsigned i = 0; i < op.args; ++i)
      if (!is_const(inst_.args[i])) return false;
    Constant args[3], result;
    for (unsigned i = 0; i < op.args; ++i) args[i] = Constant::of(def(i).type, def(i).imm, def(i).high());
    uint32_t flags = 0;
    if (!evaluate(inst_, {args, op.args}, &result, &flags) || flags != 0) return false;
    become_const(result.type, result.low(), result.high());
    return true;
  }

  // --- algebra

  /// Constants to the right; otherwise the older value first, so that equal ops look equal.
  void order_operands() {
    ValueId &a = inst_.args[0], &b = inst_.args[1];
    if (is_const(b) && !is_const(a)) return;
    if ((is_const(a) && !is_const(b)) || a > b) std::swap(a, b);
  }

  ValueId arithmetic() {
    const ValueId a = inst_.args[0], b = inst_.args[1];
    const bool b_zero = is_zero(b), b_ones = is_ones(b);
    switch (inst_.op) {
      case Op::Add:
      case Op::Sub:
        if (b_zero) return a;
        return inst_.op == Op::Sub && a == b ? zero() : id_;
      case Op::Mul:
        if (b_zero) return b;
        return is_const(b) && !is_vector(inst_.type) && at(b).imm == 1 && at(b).high() == 0 ? a : id_;
      case Op::And:
        if (b_zero) return b;
        if (b_ones || a == b) return a;
        if (is_const(b) && at(a).op == Op::ZExt && keeps_all_of(at(b), at(a).elem)) return a;
        return inst_.type == Type::I1 ? combined_compare() : id_;
      case Op::Or:
        if (b_ones) return b;
        if (b_zero || a == b) return a;
        return inst_.type == Type::I1 ? combined_compare() : id_;
      case Op::Xor:
        if (b_zero) return a;
        if (a == b) return zero();
        if (b_ones) {
          become(Op::Not, inst_.type, inst_.elem, a);
          return invert();
        }
        return inst_.type == Type::I1 ? signed_less(a, b, true) : id_;
      default:  // AndNot
        if (b_zero) return a;
        if (is_zero(a)) return a;
        if (b_ones || a == b) return zero();
        return inst_.type == Type::I1 ? combined_compare() : id_;
    }
  }
  /// A mask (at most 64 bits) with ones for all bits of a narrower type.
  static bool keeps_all_of(const Inst& mask, Type narrow) {
    const uint64_t wanted = low_mask(bit_width(narrow));
    return bit_width(mask.type) <= 64 && bit_width(narrow) < 64 && (mask.imm & wanted) == wanted;
  }

  ValueId invert() {
    const Inst& a = def(0);
    if (a.op == Op::Not) return a.args[0];
    if (inst_.type != Type::I1 || a.type != Type::I1) return id_;
    Op op;
    bool swap = false;
    switch (a.op) {
      case Op::CmpEq:
        op = Op::CmpNe;
        break;
      case Op::CmpNe:
        op = Op::CmpEq;
        break;
      case Op::CmpLtS:
        op = Op::CmpLeS;
        swap = true;
        break;
      case Op::CmpLeS:
        op = Op::CmpLtS;
        swap = true;
        break;
      case Op::CmpLtU:
        op = Op::CmpLeU;
        swap = true;
        break;
      case Op::CmpLeU:
        op = Op::CmpLtU;
        swap = true;
        break;
      default:
        return id_;
    }
    return become(op, Type::I1, a.elem, a.args[swap], a.args[!swap]);
  }

  ValueId select() {
    const ValueId condition = inst_.args[0], a = inst_.args[1], b = inst_.args[2];
    if (a == b) return a;
    if (is_const(condition)) return at(condition).imm != 0 ? a : b;
    if (inst_.type == Type::I1 && is_ones(a) && is_zero(b)) return condition;
    if (at(condition).op == Op::Not)
      return become(Op::Select, inst_.type, inst_.elem, at(condition).args[0], b, a);
    return id_;
  }

  // --- compares

  ValueId compare() {
    const ValueId a = inst_.args[0], b = inst_.args[1];
    const Op op = inst_.op;
    if (a == b) return truth(op == Op::CmpEq || op == Op::CmpLeS || op == Op::CmpLeU);
    if (is_zero(b) && op == Op::CmpLtU) return truth(false);
    if (is_zero(a) && op == Op::CmpLeU) return truth(true);
    if (inst_.type != Type::I1) return id_;
    if (op != Op::CmpEq && op != Op::CmpNe) return id_;
    if (inst_.elem == Type::I1) return compare_truths(a, b);
    if (!is_zero(b)) return id_;
    // Against zero: a difference compares its operands, an extended truth is that truth.
    const Inst& left = at(a);
    if (left.op == Op::Sub || left.op == Op::Xor) {
      with(left.args[0], left.args[1]);
      order_operands();
      return id_;
    }
    if (left.op == Op::ZExt && left.elem == Type::I1)
      return op == Op::CmpNe ? left.args[0] : not_of(left.args[0]);
    return id_;
  }
  ValueId not_of(ValueId a) {
    become(Op::Not, Type::I1, Type::I1, a);
    return invert();
  }
  ValueId compare_truths(ValueId a, ValueId b) {
    const bool equal = inst_.op == Op::CmpEq;
    if (is_const(b)) return (at(b).imm != 0) == equal ? a : not_of(a);
    return signed_less(a, b, !equal);
  }

  /// The sign of x - y and the overflow of x - y differ: x < y signed; are equal: x >= y.
  ValueId signed_less(ValueId a, ValueId b, bool differ) {
    if (at(a).op == Op::OverflowOfSub) std::swap(a, b);
    const Inst &sign = at(a), &overflow = at(b);
    if (sign.op != Op::CmpLtS || overflow.op != Op::OverflowOfSub || !is_zero(sign.args[1])) return id_;
    const Inst& difference = at(sign.args[0]);
    if (difference.op != Op::Sub || difference.args[0] != overflow.args[0] ||
        difference.args[1] != overflow.args[1])
      return id_;
    const ValueId x = overflow.args[0], y = overflow.args[1];
    return differ ? become(Op::CmpLtS, Type::I1, overflow.elem, x, y)
                  : become(Op::CmpLeS, Type::I1, overflow.elem, y, x);
  }

  static bool is_order(Op op, bool strict) {
    return strict ? op == Op::CmpLtS || op == Op::CmpLtU : op == Op::CmpLeS || op == Op::CmpLeU;
  }
  static Op strict_of(Op op) { return op == Op::CmpLeS ? Op::CmpLtS : Op::CmpLtU; }
  static Op loose_of(Op op) { return op == Op::CmpLtS ? Op::CmpLeS : Op::CmpLeU; }
  static bool same_pair(const Inst& p, const Inst& q) {
    return p.elem == q.elem && ((p.args[0] == q.args[0] && p.args[1] == q.args[1]) ||
                                (p.args[0] == q.args[1] && p.args[1] == q.args[0]));
  }
  /// x <= y and x != y: x < y. x < y or x == y: x <= y.
  ValueId combined_compare() {
    for (unsigned k = 0; k < 2; ++k) {
      const Inst &order = def(k), &equality = def(1 - k);
      if (inst_.op == Op::AndNot && k == 1) break;
      if (!same_pair(order, equality)) continue;
      const bool excludes = inst_.op == Op::AndNot ? equality.op == Op::CmpEq : equality.op == Op::CmpNe;
      if (inst_.op != Op::Or && is_order(order.op, false) && excludes)
        return become(strict_of(order.op), Type::I1, order.elem, order.args[0], order.args[1]);
      if (inst_.op == Op::Or && is_order(order.op, true) && equality.op == Op::CmpEq)
        return become(loose_of(order.op), Type::I1, order.elem, order.args[0], order.args[1]);
    }
    return id_;
  }

  // --- carries

  ValueId carry() {
    const ValueId a = inst_.args[0], b = inst_.args[1], c = inst_.args[2];
    if (!is_const(c)) return id_;
    if (at(c).imm == 0) {
      if (inst_.op == Op::AddWithCarry) {
        become(Op::Add, inst_.type, inst_.elem, a, b);
        order_operands();
        return arithmetic();
      }
      return is_zero(b) || is_zero(a) ? truth(false) : id_;
    }
    // a + ~y + 1 is a - y.
    if (at(b).op != Op::Not) return id_;
    const ValueId y = at(b).args[0];
    switch (inst_.op) {
      case Op::AddWithCarry:
        become(Op::Sub, inst_.type, inst_.elem, a, y);
        return arithmetic();
      case Op::CarryOfAdd:
        become(Op::CmpLeU, Type::I1, inst_.elem, y, a);
        return compare();
      default:
        return become(Op::OverflowOfSub, Type::I1, inst_.elem, a, y);
    }
  }

  // --- conversions

  ValueId convert() {
    const Inst& from = def(0);
    if (inst_.op == Op::Resize && from.op == Op::Concat && at(from.args[0]).type == inst_.type)
      return from.args[0];
    if (inst_.op == Op::Resize && from.op == Op::VecFromScalar &&
        bit_width(from.elem) <= bit_width(inst_.type))
      return become(Op::VecFromScalar, inst_.type, from.elem, from.args[0]);
    switch (from.op) {
      case Op::ZExt:
      case Op::SExt:
      case Op::Trunc:
      case Op::Bitcast:
      case Op::Resize:
        return convert_twice(from);
      case Op::ExtractLane:
        // The same lane under another name.
        return inst_.op == Op::Bitcast && bit_width(inst_.type) <= 64 ? lane_of(from) : id_;
      default:
        return id_;
    }
  }
  ValueId lane_of(const Inst& extract) {
    const uint64_t lane = extract.imm;
    become(Op::ExtractLane, inst_.type, inst_.type, extract.args[0]);
    inst_.imm = lane;
    return id_;
  }

  /// inst_(from(x)) as one conversion of x.
  ValueId convert_twice(const Inst& from) {
    const ValueId x = from.args[0];
    const Type source = from.elem, to = inst_.type;
    switch (inst_.op) {
      case Op::ZExt:
        return from.op == Op::ZExt ? become(Op::ZExt, to, source, x) : id_;
      case Op::SExt:
        if (from.op == Op::SExt) return become(Op::SExt, to, source, x);
        return from.op == Op::ZExt ? become(Op::ZExt, to, source, x) : id_;
      case Op::Trunc:
        if (from.op == Op::Trunc) return become(Op::Trunc, to, source, x);
        if (from.op != Op::ZExt && from.op != Op::SExt) return id_;
        if (source == to) return x;
        return become(bit_width(source) > bit_width(to) ? Op::Trunc : from.op, to, source, x);
      case Op::Bitcast:
        if (from.op != Op::Bitcast) return id_;
        return source == to ? x : become(Op::Bitcast, to, source, x);
      default:  // Resize: what was cut off stays lost
        if (from.op != Op::Resize) return id_;
        if (bit_width(from.type) < bit_width(source) && bit_width(from.type) < bit_width(to)) return id_;
        return source == to ? x : become(Op::Resize, to, source, x);
    }
  }

  ValueId extract() {
    const Inst& from = def(0);
    const unsigned width = bit_width(inst_.elem);
    const uint64_t first = inst_.imm * width;
    switch (from.op) {
      case Op::VecFromScalar:
        if (inst_.imm != 0 || bit_width(from.elem) != width) return id_;
        return from.elem == inst_.elem ? from.args[0]
                                       : become(Op::Bitcast, inst_.type, from.elem, from.args[0]);
      case Op::InsertLane:
        if (bit_width(from.elem) != width) return id_;
        if (from.imm != inst_.imm) {
          inst_.args[0] = from.args[0];
          return id_;
        }
        return from.elem == inst_.elem ? from.args[1]
                                       : become(Op::Bitcast, inst_.type, from.elem, from.args[1]);
      case Op::Splat:
        return from.elem == inst_.elem ? from.args[0] : id_;
      case Op::Resize:
        if (first + width > bit_width(from.elem)) return id_;
        inst_.args[0] = from.args[0];
        return id_;
      case Op::Concat: {
        const unsigned half = bit_width(from.type) / 2;
        if (width > half) return id_;
        inst_.args[0] = from.args[first >= half];
        inst_.imm = (first % half) / width;
        return id_;
      }
      default:
        return id_;
    }
  }

  // --- control

  ValueId control() {
    switch (inst_.op) {
      case Op::Branch: {
        const ValueId condition = inst_.args[0];
        if (is_const(condition)) {
          jump_to(at(condition).imm != 0 ? inst_.imm : inst_.high());
        } else if (at(condition).op == Op::Not) {
          const uint64_t taken = inst_.imm;
          inst_.imm = inst_.high();
          inst_.set_high(taken);
          inst_.args[0] = at(condition).args[0];
        }
        return id_;
      }
      case Op::JumpIndirect:
        if (is_const(inst_.args[0])) jump_to(def(0).imm);
        return id_;
      default:
        return id_;
    }
  }
  void jump_to(uint64_t pc) { inst_ = {.op = Op::Jump, .aux = inst_.aux, .imm = pc}; }

  std::vector<Inst>& insts_;
  const ValueId id_;
  Inst& inst_;
};

}  // namespace

ValueId simplify(Block& block, ValueId id) { return Simplifier(block, id).run(); }

ConstBytes bytes_of(const Inst& constant) {
  ConstBytes bytes;
  store_unaligned(bytes.b, constant.imm);
  store_unaligned(bytes.b + 8, constant.high());
  return bytes;
}

}  // namespace lyrebird::ir::passes
