// SPDX-License-Identifier: Apache-2.0
// Handlers for the ops that integer code is made of, with every operand's place
// known at compile time, and compares that leave the block themselves.
#include <array>

#include "jit/interp/control.h"
#include "jit/interp/general.h"

namespace lyrebird::jit::interp {

using ir::Op;
using ir::Type;
using ir::eval::LaneOp;

namespace {

constexpr bool is_compare(Op op) { return op >= Op::CmpEq && op <= Op::CmpTest; }
constexpr bool is_shift(Op op) { return op == Op::Shl || op == Op::ShrU || op == Op::ShrS; }

constexpr bool is_fast(Op op) {
  switch (op) {
    case Op::Add:
    case Op::Sub:
    case Op::Mul:
    case Op::And:
    case Op::Or:
    case Op::Xor:
    case Op::AndNot:
    case Op::Shl:
    case Op::ShrU:
    case Op::ShrS:
    case Op::RotR:
    case Op::CmpEq:
    case Op::CmpNe:
    case Op::CmpLtS:
    case Op::CmpLeS:
    case Op::CmpLtU:
    case Op::CmpLeU:
    case Op::CmpTest:
    case Op::OverflowOfSub:
      return true;
    default:
      return false;
  }
}

/// By name, because OverflowOfSub is not lanewise.
template <Op kOp, typename U>
inline auto apply(U a, U b) {
  if constexpr (kOp == Op::OverflowOfSub)
    return ir::eval::OverflowOfSub(a, b);
  else
    return LaneOp<kOp>::template apply<U>(a, b);
}

template <Op kOp, Type kElem, Place kD, Place kA, Place kB>
LYREBIRD_HANDLER_ABI void fast(LYREBIRD_HANDLER_ARGS) {
  using U = Host<kElem>;
  using D = std::conditional_t<kD == Place::State, InState, InFrame>;
  using A = std::conditional_t<kA == Place::State, InState, InFrame>;
  const U a = load<U>(A::at(op->a, frame, state));
  U b;
  if constexpr (kB == Place::Imm) {
    b = static_cast<U>(op->imm);
    constexpr unsigned kWidth = ir::bit_width(kElem);
    if constexpr (is_shift(kOp)) __builtin_assume(b < kWidth);
  } else {
    using B = std::conditional_t<kB == Place::State, InState, InFrame>;
    b = load<U>(B::at(op->b, frame, state));
  }
  store<true>(D::at(op->d, frame, state), apply<kOp, U>(a, b));
  LYREBIRD_NEXT(1);
}

template <Op kOp, Type kElem, Place kA, Place kB, bool kSense>
LYREBIRD_HANDLER_ABI void compare_exit(LYREBIRD_HANDLER_ARGS) {
  using U = Host<kElem>;
  using A = std::conditional_t<kA == Place::State, InState, InFrame>;
  const U a = load<U>(A::at(op->a, frame, state));
  U b;
  if constexpr (kB == Place::Imm) {
    b = static_cast<U>(static_cast<int64_t>(op->extra));
  } else {
    using B = std::conditional_t<kB == Place::State, InState, InFrame>;
    b = load<U>(B::at(op->b, frame, state));
  }
  if (apply<kOp, U>(a, b) == kSense) {
    LYREBIRD_LEAVE_FOR(op->imm, op->d);
  }
  LYREBIRD_NEXT(1);
}

constexpr Type kElems[] = {Type::I32, Type::I64};
constexpr Place kPlaces[] = {Place::Frame, Place::State, Place::Imm};

/// Index: elem * 12 + d * 6 + a * 3 + b.
using FastTable = std::array<Handler, 24>;
template <Op kOp>
constexpr FastTable fast_table() {
  FastTable table{};
  if constexpr (is_fast(kOp)) {
    [&]<size_t... i>(std::index_sequence<i...>) {
      ((table[i] = fast<kOp, kElems[i / 12], kPlaces[i / 6 % 2], kPlaces[i / 3 % 2], kPlaces[i % 3]>), ...);
    }(std::make_index_sequence<24>{});
  }
  return table;
}

/// Index: elem * 12 + a * 6 + b * 2 + sense.
template <Op kOp>
constexpr FastTable compare_table() {
  FastTable table{};
  if constexpr (is_compare(kOp)) {
    [&]<size_t... i>(std::index_sequence<i...>) {
      ((table[i] = compare_exit < kOp, kElems[i / 12], kPlaces[i / 6 % 2], kPlaces[i / 2 % 3], i % 2 != 0 >),
       ...);
    }(std::make_index_sequence<24>{});
  }
  return table;
}

/// The tables of the ops that have one, and none: every pointer in here is one to relocate at each start.
template <size_t kCount>
struct Tables {
  std::array<uint8_t, ir::kOpCount> number{};  ///< of each op's table; 0: empty
  std::array<FastTable, kCount + 1> tables{};
  constexpr void add(Op op, const FastTable& table) {
    tables[++used] = table;
    number[static_cast<size_t>(op)] = used;
  }
  constexpr const FastTable& operator[](Op op) const { return tables[number[static_cast<size_t>(op)]]; }
  uint8_t used = 0;
};

constexpr size_t count_of(bool (*chosen)(Op)) {
  size_t count = 0;
  for (size_t op = 0; op < ir::kOpCount; ++op) count += chosen(static_cast<Op>(op));
  return count;
}

constexpr auto kFast = [] {
  Tables<count_of(is_fast)> tables;
#define OP(name, kind, signature, effects, meaning) \
  if (is_fast(Op::name)) tables.add(Op::name, fast_table<Op::name>());
#include "ir/ops.inc"
  return tables;
}();
constexpr auto kCompareExit = [] {
  Tables<count_of(is_compare)> tables;
#define OP(name, kind, signature, effects, meaning) \
  if (is_compare(Op::name)) tables.add(Op::name, compare_table<Op::name>());
#include "ir/ops.inc"
  return tables;
}();

unsigned elem_index(Type elem) { return elem == Type::I64 ? 1 : 0; }

}  // namespace

bool has_fast(Op op, Type elem) { return is_fast(op) && (elem == Type::I32 || elem == Type::I64); }

Handler select_fast(Op op, Type elem, Place d, Place a, Place b) {
  return kFast[op][elem_index(elem) * 12 + static_cast<unsigned>(d) * 6 + static_cast<unsigned>(a) * 3 +
                   static_cast<unsigned>(b)];
}

Handler select_compare_exit(Op op, Type elem, Place a, Place b, bool sense) {
  return kCompareExit[op][elem_index(elem) * 12 + static_cast<unsigned>(a) * 6 +
                          static_cast<unsigned>(b) * 2 + sense];
}

}  // namespace lyrebird::jit::interp
