// SPDX-License-Identifier: Apache-2.0
// Guest memory: loads, stores, atomics, exclusives, fences.
//
// The fast handlers do plain little-endian accesses of any alignment; select_memory()
// sends everything else to the general ones, which read MemInfo at run time. Guest
// threads race on guest memory as their program says, so every access here is atomic
// to the compiler and none is seen by the thread sanitiser.
#include "jit/interp/memory.h"

namespace lyrebird::jit::interp {

using ir::AddressRule;
using ir::Align;
using ir::MemInfo;
using ir::Op;
using ir::Order;
using ir::Type;

namespace {

// --- fast: Order::Plain, Acquire, or (stores) Release on a host with total store order

template <AddressRule kRule, typename A>
[[gnu::always_inline]] inline uint64_t host_address(const Code* op, uint8_t* frame, uint8_t* state) {
  const uint64_t guest = load<uint64_t>(A::at(op->a, frame, state)) + static_cast<int64_t>(op->extra);
  return header(state).memory_base + apply_address_rule(guest, kRule);
}

template <typename U, Type kType, bool kSigned, AddressRule kRule, typename A, typename D>
LYREBIRD_MEMORY_HANDLER fast_load(LYREBIRD_HANDLER_ARGS) {
  const uint64_t host = host_address<kRule, A>(op, frame, state);
  thread->current_op = op;
  if constexpr (sizeof(U) == 16) {
    const u128 value = read16(host);
    store<false>(D::at(op->d, frame, state), value);
  } else {
    const U value = read_plain<U>(host);
    using To = Host<kType>;
    To result;
    if constexpr (kSigned)
      result = ir::eval::SExt<To>(value);
    else
      result = static_cast<To>(value);
    store<true>(D::at(op->d, frame, state), result);
  }
  LYREBIRD_NEXT(1);
}

template <typename U, AddressRule kRule, typename A, typename B>
LYREBIRD_MEMORY_HANDLER fast_store(LYREBIRD_HANDLER_ARGS) {
  const uint64_t host = host_address<kRule, A>(op, frame, state);
  const U value = load<U>(B::at(op->b, frame, state));
  thread->current_op = op;
  if constexpr (sizeof(U) == 16)
    write16(host, value);
  else
    write_plain<U>(host, value);
  LYREBIRD_NEXT(1);
}

// --- general

/// With the tag, if there is one: a fault reports it.
[[gnu::always_inline]] inline uint64_t raw_address(const Code* op, uint8_t* frame, uint8_t* state) {
  return load_value<Type::I64>(op->a, frame, state) + static_cast<int64_t>(op->extra);
}

[[gnu::always_inline]] inline Access access_of(const Code* op, uint8_t* frame, uint8_t* state) {
  const MemInfo info = MemInfo::unpack(op->aux & 0xffffff);
  const uint64_t guest = apply_address_rule(raw_address(op, frame, state), info.address);
  return {guest, header(state).memory_base + guest, info, is_aligned(info, guest)};
}

#define LYREBIRD_ACCESS                                                            \
  const Access access = access_of(op, frame, state);                               \
  if (!access.aligned) [[unlikely]] {                                              \
    stop_unaligned(op, raw_address(op, frame, state), access.info, state, thread); \
    return;                                                                        \
  }                                                                                \
  thread->current_op = op

template <Type kType>
LYREBIRD_HANDLER_ABI void general_load(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_ACCESS;
  uint8_t bytes[32];
  read_memory(access, bytes);
  extend<kType>(access.info, bytes);
  store_result<kType>(op, bytes, frame, state);
  LYREBIRD_NEXT(1);
}

LYREBIRD_HANDLER_ABI void general_store(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_ACCESS;
  write_memory(access, Anywhere::at(op->b, frame, state));
  LYREBIRD_NEXT(1);
}

template <Op kOp, typename U>
LYREBIRD_MEMORY_HANDLER atomic(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_ACCESS;
  const U value = load<U>(Anywhere::at(op->b, frame, state));
  U* const memory = reinterpret_cast<U*>(access.host);
  U old;
  if (kOp == Op::AtomicAdd && sizeof(U) < 16 && !access.info.big_endian) {
    old = __atomic_fetch_add(memory, value, __ATOMIC_SEQ_CST);
  } else if (kOp == Op::AtomicSwap && sizeof(U) < 16 && !access.info.big_endian) {
    old = __atomic_exchange_n(memory, value, __ATOMIC_SEQ_CST);
  } else {
    const bool big = access.info.big_endian;
    U seen;
    if constexpr (sizeof(U) == 16)
      seen = read16(access.host);
    else
      seen = read_plain<U>(access.host);
    for (;;) {
      old = in_memory_order(seen, big);
      const U now = compare_swap<U>(access.host, seen, in_memory_order(combine<kOp>(old, value), big));
      if (now == seen) break;
      seen = now;
    }
  }
  store_old(op, old, frame, state);
  LYREBIRD_NEXT(1);
}

template <typename U>
LYREBIRD_MEMORY_HANDLER compare_swap_handler(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_ACCESS;
  const bool big = access.info.big_endian;
  const U expected = load<U>(Anywhere::at(op->b, frame, state));
  const U desired = load<U>(Anywhere::at(op->c, frame, state));
  const U old = in_memory_order(
      compare_swap<U>(access.host, in_memory_order(expected, big), in_memory_order(desired, big)), big);
  store_old(op, old, frame, state);
  LYREBIRD_NEXT(1);
}

// --- exclusives: the value seen by LoadExclusive must still be there

template <Type kType>
LYREBIRD_HANDLER_ABI void load_exclusive(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_ACCESS;
  uint8_t bytes[32];
  Access raw = access;
  raw.info = exclusive_info(access.info);
  read_memory(raw, bytes);
  begin_exclusive(header(state), access.guest, access.info, bytes);
  store_result<kType>(op, bytes, frame, state);
  LYREBIRD_NEXT(1);
}

template <typename U>
LYREBIRD_MEMORY_HANDLER store_exclusive(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_ACCESS;
  ir::CpuHeader& cpu = header(state);
  bool failed = true;
  if (cpu.exclusive_size == sizeof(U) && cpu.exclusive_address == access.guest) {
    const U expected = load_unaligned<U>(cpu.exclusive_value);
    const U value = load<U>(Anywhere::at(op->b, frame, state));
    failed =
        compare_swap<U>(access.host, expected, in_memory_order(value, access.info.big_endian)) != expected;
  }
  cpu.exclusive_size = 0;
  store_value<Type::I1>(op->d, frame, state, failed);
  LYREBIRD_NEXT(1);
}

LYREBIRD_HANDLER_ABI void clear_exclusive_handler(LYREBIRD_HANDLER_ARGS) {
  header(state).exclusive_size = 0;
  LYREBIRD_NEXT(1);
}

LYREBIRD_HANDLER_ABI void light_fence(LYREBIRD_HANDLER_ARGS) {
  std::atomic_thread_fence(std::memory_order_acq_rel);
  LYREBIRD_NEXT(1);
}

LYREBIRD_HANDLER_ABI void full_fence(LYREBIRD_HANDLER_ARGS) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  LYREBIRD_NEXT(1);
}

// --- selection

/// f.operator()<rule, address place>() for the run-time values; only the rules of fast paths.
template <typename F>
Handler with_address(AddressRule rule, Place address, F f) {
  const bool in_state = address == Place::State;
  if (rule == AddressRule::Full)
    return in_state ? f.template operator()<AddressRule::Full, InState>()
                    : f.template operator()<AddressRule::Full, InFrame>();
  if (rule == AddressRule::IgnoreTop)
    return in_state ? f.template operator()<AddressRule::IgnoreTop, InState>()
                    : f.template operator()<AddressRule::IgnoreTop, InFrame>();
  return nullptr;
}

template <typename U, Type kType, bool kSigned>
Handler pick_load(AddressRule rule, Place address, Place value) {
  return with_address(rule, address, [&]<AddressRule kRule, typename A>() -> Handler {
    return value == Place::State ? fast_load<U, kType, kSigned, kRule, A, InState>
                                 : fast_load<U, kType, kSigned, kRule, A, InFrame>;
  });
}

template <typename U>
Handler pick_store(AddressRule rule, Place address, Place value) {
  return with_address(rule, address, [&]<AddressRule kRule, typename A>() -> Handler {
    return value == Place::State ? fast_store<U, kRule, A, InState> : fast_store<U, kRule, A, InFrame>;
  });
}

#if defined(__x86_64__)
constexpr bool kTotalStoreOrder = true;
#else
constexpr bool kTotalStoreOrder = false;
#endif

Handler select_fast_load(const ir::Inst& inst, const MemInfo& info, Place address, Place value) {
  const bool plain = info.order == Order::Plain || kTotalStoreOrder;
  if (!plain || info.big_endian || info.align != Align::None) return nullptr;
  const AddressRule rule = info.address;
  switch (inst.type) {
    case Type::I8:
      return info.size == 1 ? pick_load<uint8_t, Type::I8, false>(rule, address, value) : nullptr;
    case Type::I16:
      return info.size == 2 ? pick_load<uint16_t, Type::I16, false>(rule, address, value) : nullptr;
    case Type::I32:
      switch (info.size) {
        case 1:
          return info.sign ? pick_load<uint8_t, Type::I32, true>(rule, address, value)
                           : pick_load<uint8_t, Type::I32, false>(rule, address, value);
        case 2:
          return info.sign ? pick_load<uint16_t, Type::I32, true>(rule, address, value)
                           : pick_load<uint16_t, Type::I32, false>(rule, address, value);
        case 4:
          return pick_load<uint32_t, Type::I32, false>(rule, address, value);
      }
      return nullptr;
    case Type::I64:
      switch (info.size) {
        case 1:
          return info.sign ? pick_load<uint8_t, Type::I64, true>(rule, address, value)
                           : pick_load<uint8_t, Type::I64, false>(rule, address, value);
        case 2:
          return info.sign ? pick_load<uint16_t, Type::I64, true>(rule, address, value)
                           : pick_load<uint16_t, Type::I64, false>(rule, address, value);
        case 4:
          return info.sign ? pick_load<uint32_t, Type::I64, true>(rule, address, value)
                           : pick_load<uint32_t, Type::I64, false>(rule, address, value);
        case 8:
          return pick_load<uint64_t, Type::I64, false>(rule, address, value);
      }
      return nullptr;
    case Type::F64:
    case Type::V64:
      return info.size == 8 ? pick_load<uint64_t, Type::I64, false>(rule, address, value) : nullptr;
    case Type::I128:
    case Type::V128:
      return info.size == 16 ? pick_load<u128, Type::I128, false>(rule, address, value) : nullptr;
    default:
      return nullptr;
  }
}

Handler select_fast_store(const MemInfo& info, Place address, Place value) {
  const bool plain = info.order == Order::Plain || (info.order == Order::Release && kTotalStoreOrder);
  if (!plain || info.big_endian || info.align != Align::None) return nullptr;
  switch (info.size) {
    case 1:
      return pick_store<uint8_t>(info.address, address, value);
    case 2:
      return pick_store<uint16_t>(info.address, address, value);
    case 4:
      return pick_store<uint32_t>(info.address, address, value);
    case 8:
      return pick_store<uint64_t>(info.address, address, value);
    case 16:
      return pick_store<u128>(info.address, address, value);
    default:
      return nullptr;
  }
}

struct UserMemory {
  template <Type kType>
  static Handler load() {
    return general_load<kType>;
  }
  static Handler store() { return general_store; }
  template <Op kOp, typename U>
  static Handler atomic() {
    return interp::atomic<kOp, U>;
  }
  template <typename U>
  static Handler compare_swap() {
    return compare_swap_handler<U>;
  }
  template <Type kType>
  static Handler load_exclusive() {
    return interp::load_exclusive<kType>;
  }
  template <typename U>
  static Handler store_exclusive() {
    return interp::store_exclusive<U>;
  }
};

}  // namespace

Handler select_memory(const ir::Inst& inst, Place address, Place value) {
  const MemInfo info = MemInfo::unpack(inst.aux & 0xffffff);
  Handler fast = nullptr;
  if (inst.op == Op::Load) fast = select_fast_load(inst, info, address, value);
  if (inst.op == Op::Store) fast = select_fast_store(info, address, value);
  return fast ? fast : select_access<UserMemory>(inst);
}

Handler select_fence(uint32_t kinds) { return kinds == 3 || !kTotalStoreOrder ? full_fence : light_fence; }
Handler clear_exclusive() { return clear_exclusive_handler; }

}  // namespace lyrebird::jit::interp
