// SPDX-License-Identifier: Apache-2.0
// Exits, jumps, copies, helper calls.
#include "jit/interp/control.h"

#include "jit/interp/general.h"

namespace lyrebird::jit::interp {

using ir::Type;

namespace {

template <unsigned kSize, bool kWiden>
LYREBIRD_HANDLER_ABI void copy(LYREBIRD_HANDLER_ARGS) {
  const uint8_t* const from = Anywhere::at(op->a, frame, state);
  uint8_t* const to = Anywhere::at(op->d, frame, state);
  if constexpr (kSize == 10) {
    store<false>(to, load<ir::eval::Float80>(from));
  } else if constexpr (kSize == 16 || kSize == 32) {
    store<false>(to, load<ir::eval::Vec<kSize>>(from));
  } else {
    using U = std::conditional_t<
        kSize == 1, uint8_t,
        std::conditional_t<kSize == 2, uint16_t, std::conditional_t<kSize == 4, uint32_t, uint64_t>>>;
    store<kWiden>(to, load<U>(from));
  }
  LYREBIRD_NEXT(1);
}

LYREBIRD_HANDLER_ABI void copy_truth(LYREBIRD_HANDLER_ARGS) {
  store_value<Type::I1>(op->d, frame, state, load_value<Type::I1>(op->a, frame, state));
  LYREBIRD_NEXT(1);
}

template <typename U>
LYREBIRD_HANDLER_ABI void set(LYREBIRD_HANDLER_ARGS) {
  store_unaligned<U>(Anywhere::at(op->d, frame, state), static_cast<U>(op->imm));
  LYREBIRD_NEXT(1);
}

LYREBIRD_HANDLER_ABI void set16(LYREBIRD_HANDLER_ARGS) {
  uint8_t* const to = Anywhere::at(op->d, frame, state);
  store_unaligned(to, op->imm);
  store_unaligned(to + 8, op->high);
  LYREBIRD_NEXT(1);
}

template <typename A, bool kSense>
LYREBIRD_HANDLER_ABI void exit_if(LYREBIRD_HANDLER_ARGS) {
  if (load<bool>(A::at(op->a, frame, state)) == kSense) {
    LYREBIRD_LEAVE_FOR(op->imm, op->d);
  }
  LYREBIRD_NEXT(1);
}

LYREBIRD_HANDLER_ABI void jump_handler(LYREBIRD_HANDLER_ARGS) { LYREBIRD_LEAVE_FOR(op->imm, op->d); }

LYREBIRD_HANDLER_ABI void jump_indirect_handler(LYREBIRD_HANDLER_ARGS) {
  const uint64_t pc = load_value<Type::I64>(op->a, frame, state);
  LYREBIRD_LEAVE_FOR(pc, jump_cache_index(pc));
}

LYREBIRD_HANDLER_ABI void raise_handler(LYREBIRD_HANDLER_ARGS) {
  thread->stop = {static_cast<ir::ExitKind>(op->d), op->imm};
  reinterpret_cast<ir::CpuHeader*>(state)->pc = op->high;
}

LYREBIRD_HANDLER_ABI void raise_if_handler(LYREBIRD_HANDLER_ARGS) {
  if (load_value<Type::I1>(op->a, frame, state) == (op->b != 0)) [[unlikely]] {
    thread->stop = {static_cast<ir::ExitKind>(op->d), op->imm};
    reinterpret_cast<ir::CpuHeader*>(state)->pc = op->high;
    return;
  }
  LYREBIRD_NEXT(1);
}

LYREBIRD_HANDLER_ABI void helper_handler(LYREBIRD_HANDLER_ARGS) {
  const auto word = [&](uint32_t at) {
    return load_value<Type::I64>(static_cast<uint16_t>(at), frame, state);
  };
  const uint64_t a = word(op->a), b = word(op->b), c = word(op->c), d = word(op->aux);
  thread->current_op = op + 1;
  const auto function = reinterpret_cast<ir::HelperFn>(op->imm);
  const uint64_t result = function(state, a, b, c, d);
  thread->current_op = nullptr;
  uint8_t* const to = Anywhere::at(op->d, frame, state);
  const unsigned bits = op[1].d;
  if (bits <= 8)
    *to = static_cast<uint8_t>(result & low_mask(bits));
  else
    store_unaligned(to, result & low_mask(bits));
  LYREBIRD_NEXT(2);
}

}  // namespace

Handler select_copy(Type type, bool widen) {
  if (type == Type::I1) return copy_truth;
  switch (ir::byte_size(type)) {
    case 1:
      return widen ? copy<1, true> : copy<1, false>;
    case 2:
      return widen ? copy<2, true> : copy<2, false>;
    case 4:
      return widen ? copy<4, true> : copy<4, false>;
    case 8:
      return copy<8, false>;
    case 10:
      return copy<10, false>;
    case 16:
      return copy<16, false>;
    case 32:
      return copy<32, false>;
    default:
      return nullptr;
  }
}

Handler select_set(unsigned size) {
  switch (size) {
    case 1:
      return set<uint8_t>;
    case 2:
      return set<uint16_t>;
    case 4:
      return set<uint32_t>;
    case 8:
      return set<uint64_t>;
    case 16:
      return set16;
    default:
      return nullptr;
  }
}

Handler select_exit_if(Place condition, bool sense) {
  if (condition == Place::State) return sense ? exit_if<InState, true> : exit_if<InState, false>;
  return sense ? exit_if<InFrame, true> : exit_if<InFrame, false>;
}

Handler jump() { return jump_handler; }
Handler jump_indirect() { return jump_indirect_handler; }
Handler raise() { return raise_handler; }
Handler raise_if() { return raise_if_handler; }
Handler call_helper() { return helper_handler; }

}  // namespace lyrebird::jit::interp
