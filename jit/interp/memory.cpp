// SPDX-License-Identifier: Apache-2.0
// Guest memory: loads, stores, atomics, exclusives, fences.
//
// The fast handlers do plain little-endian accesses of any alignment; select_memory()
// sends everything else to the general ones, which read MemInfo at run time. Guest
// threads race on guest memory as their program says, so every access here is atomic
// to the compiler and none is seen by the thread sanitiser.
#include <type_traits>

#include "jit/interp/general.h"

namespace lyrebird::jit::interp {

using ir::AddressRule;
using ir::Align;
using ir::MemInfo;
using ir::Op;
using ir::Order;
using ir::Type;

namespace {

// Without the last attribute tsan replaces atomics by calls all the same; a guest's fault inside
// one would leave tsan's locks held for ever.
#if defined(__clang__)
#define LYREBIRD_GUEST_ACCESS \
  __attribute__((no_sanitize("thread", "address", "alignment"), disable_sanitizer_instrumentation))
#else
#define LYREBIRD_GUEST_ACCESS __attribute__((no_sanitize("thread", "address", "alignment")))
#endif
#define LYREBIRD_MEMORY_HANDLER LYREBIRD_GUEST_ACCESS LYREBIRD_HANDLER_ABI void

ir::CpuHeader& header(uint8_t* state) { return *reinterpret_cast<ir::CpuHeader*>(state); }

template <typename U>
[[gnu::always_inline]] inline U read_plain(uint64_t host) {
  return __atomic_load_n(reinterpret_cast<const U*>(host), __ATOMIC_RELAXED);
}
template <typename U>
[[gnu::always_inline]] inline void write_plain(uint64_t host, U value) {
  __atomic_store_n(reinterpret_cast<U*>(host), value, __ATOMIC_RELAXED);
}

/// 16 bytes in one piece if they are aligned.
[[gnu::always_inline]] inline u128 read16(uint64_t host) {
#if defined(__x86_64__)
  using Unaligned [[gnu::vector_size(16), gnu::aligned(1), gnu::may_alias]] = long long;
  using Vector [[gnu::vector_size(16)]] = long long;
  const Vector v = *reinterpret_cast<const volatile Unaligned*>(host);
  return std::bit_cast<u128>(v);
#else
  return load_unaligned<u128>(reinterpret_cast<const void*>(host));
#endif
}
[[gnu::always_inline]] inline void write16(uint64_t host, u128 value) {
#if defined(__x86_64__)
  using Vector [[gnu::vector_size(16)]] = long long;
  using Unaligned [[gnu::vector_size(16), gnu::aligned(1), gnu::may_alias]] = long long;
  *reinterpret_cast<volatile Unaligned*>(host) = std::bit_cast<Vector>(value);
#else
  store_unaligned(reinterpret_cast<void*>(host), value);
#endif
}

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

struct Access {
  uint64_t guest;  ///< after the address rule
  uint64_t host;
  MemInfo info;
  bool aligned;  ///< as info.align wants it
};

[[gnu::always_inline]] inline Access access_of(const Code* op, uint8_t* frame, uint8_t* state) {
  const MemInfo info = MemInfo::unpack(op->aux & 0xffffff);
  const uint64_t raw = load_value<Type::I64>(op->a, frame, state) + static_cast<int64_t>(op->extra);
  const uint64_t guest = apply_address_rule(raw, info.address);
  bool aligned = true;
  if (info.align == Align::Natural)
    aligned = (guest & (info.size - 1)) == 0;
  else if (info.align == Align::Within16)
    aligned = (guest & 15) + info.size <= 16 || (guest & (info.size - 1)) == 0;
  return {guest, header(state).memory_base + guest, info, aligned};
}

void stop_unaligned(const Code* op, uint8_t* frame, uint8_t* state, ThreadContext* thread) {
  ir::CpuHeader& cpu = header(state);
  cpu.pc = op->imm;
  cpu.fault_address = load_value<Type::I64>(op->a, frame, state) + static_cast<int64_t>(op->extra);
  cpu.fault_size = MemInfo::unpack(op->aux & 0xffffff).size;
  cpu.fault_access = static_cast<uint32_t>(op->aux & kMemWrites ? ir::Access::Write : ir::Access::Read);
  thread->stop = {ir::ExitKind::Unaligned, 0};
}

#define LYREBIRD_ACCESS                              \
  const Access access = access_of(op, frame, state); \
  if (!access.aligned) [[unlikely]] {                \
    stop_unaligned(op, frame, state, thread);        \
    return;                                          \
  }                                                  \
  thread->current_op = op

void reverse(uint8_t* bytes, unsigned size) {
  for (unsigned i = 0; i < size / 2; ++i) std::swap(bytes[i], bytes[size - 1 - i]);
}

/// Reads access.info.size bytes as a little-endian number into 32 bytes that are zero above.
LYREBIRD_GUEST_ACCESS void read_memory(const Access& access, uint8_t* to) {
  const uint64_t host = access.host;
  std::memset(to, 0, 32);
  switch (access.info.size) {
    case 1:
      store_unaligned(to, read_plain<uint8_t>(host));
      break;
    case 2:
      store_unaligned(to, read_plain<uint16_t>(host));
      break;
    case 4:
      store_unaligned(to, read_plain<uint32_t>(host));
      break;
    case 8:
      store_unaligned(to, read_plain<uint64_t>(host));
      break;
    case 10:
      store_unaligned(to, read_plain<uint64_t>(host));
      store_unaligned(to + 8, read_plain<uint16_t>(host + 8));
      break;
    case 32:
      store_unaligned(to + 16, read16(host + 16));
      [[fallthrough]];
    case 16:
      store_unaligned(to, read16(host));
      break;
  }
  if (access.info.order != Order::Plain) std::atomic_thread_fence(std::memory_order_acquire);
  if (access.info.big_endian) reverse(to, access.info.size);
}

LYREBIRD_GUEST_ACCESS void write_memory(const Access& access, const uint8_t* value) {
  uint8_t from[32] = {};
  std::memcpy(from, value, access.info.size);
  if (access.info.big_endian) reverse(from, access.info.size);
  if (access.info.order != Order::Plain) std::atomic_thread_fence(std::memory_order_release);
  const uint64_t host = access.host;
  switch (access.info.size) {
    case 1:
      write_plain(host, load_unaligned<uint8_t>(from));
      break;
    case 2:
      write_plain(host, load_unaligned<uint16_t>(from));
      break;
    case 4:
      write_plain(host, load_unaligned<uint32_t>(from));
      break;
    case 8:
      write_plain(host, load_unaligned<uint64_t>(from));
      break;
    case 10:
      write_plain(host, load_unaligned<uint64_t>(from));
      write_plain(host + 8, load_unaligned<uint16_t>(from + 8));
      break;
    case 32:
      write16(host + 16, load_unaligned<u128>(from + 16));
      [[fallthrough]];
    case 16:
      write16(host, load_unaligned<u128>(from));
      break;
  }
  if (access.info.order == Order::SeqCst) std::atomic_thread_fence(std::memory_order_seq_cst);
}

/// Stores 32 bytes that hold a zero-extended number of the type.
template <Type kType>
[[gnu::always_inline]] inline void store_result(const Code* op, const uint8_t* bytes, uint8_t* frame,
                                                uint8_t* state) {
  std::memcpy(Anywhere::at(op->d, frame, state), bytes, stored_bytes(kType));
}

template <Type kType>
LYREBIRD_HANDLER_ABI void general_load(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_ACCESS;
  uint8_t bytes[32];
  read_memory(access, bytes);
  if constexpr (ir::is_int(kType)) {
    constexpr unsigned kSize = ir::byte_size(kType);
    const unsigned size = access.info.size;
    if (access.info.sign && (bytes[size - 1] & 0x80)) std::memset(bytes + size, 0xff, kSize - size);
  }
  store_result<kType>(op, bytes, frame, state);
  LYREBIRD_NEXT(1);
}

LYREBIRD_HANDLER_ABI void general_store(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_ACCESS;
  write_memory(access, Anywhere::at(op->b, frame, state));
  LYREBIRD_NEXT(1);
}

// --- atomics. x86 locks misaligned accesses as well; what other hosts cannot do atomically
// must be refused by the frontend's Align rule.

/// *host = desired if it is `expected`; gives what was there. Values in memory order.
template <typename U>
[[gnu::always_inline]] inline U compare_swap(uint64_t host, U expected, U desired) {
  if constexpr (sizeof(U) == 16) {
#if defined(__x86_64__)
    uint64_t low = static_cast<uint64_t>(expected), high = static_cast<uint64_t>(expected >> 64);
    if (host & 15) {
      // cmpxchg16b wants alignment; only guests that ask for none come here.
      u128 old = read16(host);
      if (old == expected) write16(host, desired);
      return old;
    }
    asm volatile("lock cmpxchg16b %2"
                 : "+a"(low), "+d"(high), "+m"(*reinterpret_cast<u128*>(host))
                 : "b"(static_cast<uint64_t>(desired)), "c"(static_cast<uint64_t>(desired >> 64))
                 : "cc", "memory");
    return u128{high} << 64 | low;
#else
    U old = expected;
    __atomic_compare_exchange_n(reinterpret_cast<U*>(host), &old, desired, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    return old;
#endif
  } else {
    U old = expected;
    __atomic_compare_exchange_n(reinterpret_cast<U*>(host), &old, desired, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    return old;
  }
}

template <typename U>
[[gnu::always_inline]] inline U in_memory_order(U value, bool big_endian) {
  return big_endian ? ir::eval::ByteReverse(value) : value;
}

template <Op kOp, typename U>
[[gnu::always_inline]] inline U combine(U old, U value) {
  switch (kOp) {
    case Op::AtomicAdd:
      return ir::eval::Add(old, value);
    case Op::AtomicAndNot:
      return ir::eval::AndNot(old, value);
    case Op::AtomicOr:
      return ir::eval::Or(old, value);
    case Op::AtomicXor:
      return ir::eval::Xor(old, value);
    case Op::AtomicMinS:
      return ir::eval::MinS(old, value);
    case Op::AtomicMaxS:
      return ir::eval::MaxS(old, value);
    case Op::AtomicMinU:
      return ir::eval::MinU(old, value);
    case Op::AtomicMaxU:
      return ir::eval::MaxU(old, value);
    default:
      return value;
  }
}

/// One result word for every size: the old value with zeros above.
template <typename U>
[[gnu::always_inline]] inline void store_old(const Code* op, U old, uint8_t* frame, uint8_t* state) {
  uint8_t* const d = Anywhere::at(op->d, frame, state);
  if constexpr (sizeof(U) == 16)
    store_unaligned(d, old);
  else if (op->aux & kMemByteResult)
    *d = static_cast<uint8_t>(old);
  else
    store_unaligned<uint64_t>(d, old);
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
  ir::CpuHeader& cpu = header(state);
  uint8_t bytes[32];
  Access raw = access;
  raw.info.big_endian = false;
  if (raw.info.order == Order::Plain) raw.info.order = Order::Acquire;
  read_memory(raw, bytes);
  cpu.exclusive_address = access.guest;
  cpu.exclusive_size = access.info.size;
  std::memcpy(cpu.exclusive_value, bytes, 16);
  if (access.info.big_endian) reverse(bytes, access.info.size);
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

/// f.operator()<U>() for the access size.
template <typename F>
Handler with_size(unsigned size, F f) {
  switch (size) {
    case 1:
      return f.template operator()<uint8_t>();
    case 2:
      return f.template operator()<uint16_t>();
    case 4:
      return f.template operator()<uint32_t>();
    case 8:
      return f.template operator()<uint64_t>();
    case 16:
      return f.template operator()<u128>();
    default:
      return nullptr;
  }
}

template <Op kOp>
Handler select_atomic(unsigned size) {
  return with_size(size, []<typename U>() -> Handler { return atomic<kOp, U>; });
}

}  // namespace

Handler select_memory(const ir::Inst& inst, Place address, Place value) {
  const MemInfo info = MemInfo::unpack(inst.aux & 0xffffff);
  switch (inst.op) {
    case Op::Load:
      if (const Handler fast = select_fast_load(inst, info, address, value)) return fast;
      return pick_type<Type::I8, Type::I16, Type::I32, Type::I64, Type::I128, Type::F16, Type::F32, Type::F64,
                       Type::F80, Type::V64, Type::V128, Type::V256>(
          inst.type, []<Type kType>() -> Handler { return general_load<kType>; });
    case Op::Store:
      if (const Handler fast = select_fast_store(info, address, value)) return fast;
      return general_store;
    case Op::AtomicAdd:
      return select_atomic<Op::AtomicAdd>(info.size);
    case Op::AtomicAndNot:
      return select_atomic<Op::AtomicAndNot>(info.size);
    case Op::AtomicOr:
      return select_atomic<Op::AtomicOr>(info.size);
    case Op::AtomicXor:
      return select_atomic<Op::AtomicXor>(info.size);
    case Op::AtomicMinS:
      return select_atomic<Op::AtomicMinS>(info.size);
    case Op::AtomicMaxS:
      return select_atomic<Op::AtomicMaxS>(info.size);
    case Op::AtomicMinU:
      return select_atomic<Op::AtomicMinU>(info.size);
    case Op::AtomicMaxU:
      return select_atomic<Op::AtomicMaxU>(info.size);
    case Op::AtomicSwap:
      return select_atomic<Op::AtomicSwap>(info.size);
    case Op::CompareSwap:
      return with_size(info.size, []<typename U>() -> Handler { return compare_swap_handler<U>; });
    case Op::LoadExclusive:
      return pick_type<Type::I8, Type::I16, Type::I32, Type::I64, Type::I128, Type::V128>(
          inst.type, []<Type kType>() -> Handler { return load_exclusive<kType>; });
    case Op::StoreExclusive:
      return with_size(info.size, []<typename U>() -> Handler { return store_exclusive<U>; });
    default:
      return nullptr;
  }
}

Handler select_fence(uint32_t kinds) { return kinds == 3 || !kTotalStoreOrder ? full_fence : light_fence; }
Handler clear_exclusive() { return clear_exclusive_handler; }

}  // namespace lyrebird::jit::interp
