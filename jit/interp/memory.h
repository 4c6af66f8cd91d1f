// SPDX-License-Identifier: Apache-2.0
/// What the handlers for guest memory are made of.
///
/// Guest threads race on guest memory as their program says, so every access here is atomic to the
/// compiler and none is seen by the thread sanitiser.
#pragma once

#include <atomic>
#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include "jit/interp/general.h"
#include "jit/interp/select.h"

// Without the last attribute tsan replaces atomics by calls all the same; a guest's fault inside
// one would leave tsan's locks held for ever.
#if defined(__clang__)
#define LYREBIRD_GUEST_ACCESS \
  __attribute__((no_sanitize("thread", "address", "alignment"), disable_sanitizer_instrumentation))
#else
#define LYREBIRD_GUEST_ACCESS __attribute__((no_sanitize("thread", "address", "alignment")))
#endif
#define LYREBIRD_MEMORY_HANDLER LYREBIRD_GUEST_ACCESS LYREBIRD_HANDLER_ABI void

namespace lyrebird::jit::interp {

using ir::MemInfo;
using ir::Op;
using ir::Order;
using ir::Type;

inline ir::CpuHeader& header(uint8_t* state) { return *reinterpret_cast<ir::CpuHeader*>(state); }

template <typename U>
[[gnu::always_inline]] inline U read_plain(uint64_t host) {
  return __atomic_load_n(reinterpret_cast<const U*>(host), __ATOMIC_RELAXED);
}
template <typename U>
[[gnu::always_inline]] inline void write_plain(uint64_t host, U value) {
  __atomic_store_n(reinterpret_cast<U*>(host), value, __ATOMIC_RELAXED);
}
/// Faults where a write would.
[[gnu::always_inline]] inline void write_nothing(uint64_t host) {
  uint8_t* const at = reinterpret_cast<uint8_t*>(host);
  uint8_t value = __atomic_load_n(at, __ATOMIC_RELAXED);
  // Adding 0 would become a load.
  __atomic_compare_exchange_n(at, &value, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
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

/// One access to guest memory.
struct Access {
  uint64_t guest;  ///< after the address rule
  uint64_t host;
  MemInfo info;
  bool aligned;  ///< as info.align wants it
};

inline void reverse(uint8_t* bytes, unsigned size) {
  for (unsigned i = 0; i < size / 2; ++i) std::swap(bytes[i], bytes[size - 1 - i]);
}

/// Reads access.info.size bytes as a little-endian number into 32 bytes that are zero above.
LYREBIRD_GUEST_ACCESS inline void read_memory(const Access& access, uint8_t* to) {
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

LYREBIRD_GUEST_ACCESS inline void write_memory(const Access& access, const uint8_t* value) {
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
      // All or nothing, over the end of a page as well.
      if ((host & 0xfff) > 0x1000 - 10) {
        write_nothing(host);
        write_nothing((host + 9) & ~uint64_t{0xfff});
      }
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

/// As info.align wants it.
[[gnu::always_inline]] inline bool is_aligned(const MemInfo& info, uint64_t guest) {
  if (info.align == ir::Align::Natural) return (guest & (info.size - 1)) == 0;
  if (info.align == ir::Align::Within16)
    return (guest & 15) + info.size <= 16 || (guest & (info.size - 1)) == 0;
  return true;
}

inline void stop_unaligned(const Code* op, uint64_t guest, const MemInfo& info, uint8_t* state,
                           ThreadContext* thread) {
  ir::CpuHeader& cpu = header(state);
  cpu.pc = op->imm;
  cpu.fault_address = guest;
  cpu.fault_size = info.size;
  cpu.fault_access = static_cast<uint32_t>(op->aux & kMemWrites ? ir::Access::Write : ir::Access::Read);
  thread->stop = {ir::ExitKind::Unaligned, info.space};
}

/// Widens what was read, 32 bytes with zeros above, to the type as info.sign has it.
template <Type kType>
[[gnu::always_inline]] inline void extend(const MemInfo& info, uint8_t* bytes) {
  if constexpr (ir::is_int(kType)) {
    const unsigned size = info.size;
    if (info.sign && (bytes[size - 1] & 0x80)) std::memset(bytes + size, 0xff, ir::byte_size(kType) - size);
  }
}

/// What LoadExclusive reads: as it lies in memory, and never moved before what follows.
inline MemInfo exclusive_info(MemInfo info) {
  info.big_endian = false;
  if (info.order == Order::Plain) info.order = Order::Acquire;
  return info;
}

/// Remembers what LoadExclusive read, and turns it into the number that the guest sees.
inline void begin_exclusive(ir::CpuHeader& cpu, uint64_t guest, const MemInfo& info, uint8_t* bytes) {
  cpu.exclusive_address = guest;
  cpu.exclusive_size = info.size;
  std::memcpy(cpu.exclusive_value, bytes, 16);
  if (info.big_endian) reverse(bytes, info.size);
}

// --- selection

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

/// The handler of a memory instruction among H's: load<Type>(), store(), atomic<Op, U>(),
/// compare_swap<U>(), load_exclusive<Type>() and store_exclusive<U>() give them.
template <typename H>
Handler select_access(const ir::Inst& inst) {
  const unsigned size = MemInfo::unpack(inst.aux & 0xffffff).size;
  const auto atomic = [&]<Op kOp>(std::integral_constant<Op, kOp>) {
    return with_size(size, []<typename U>() -> Handler { return H::template atomic<kOp, U>(); });
  };
  switch (inst.op) {
    case Op::Load:
      return pick_type<Type::I8, Type::I16, Type::I32, Type::I64, Type::I128, Type::F16, Type::F32, Type::F64,
                       Type::F80, Type::V64, Type::V128, Type::V256>(
          inst.type, []<Type kType>() -> Handler { return H::template load<kType>(); });
    case Op::Store:
      return H::store();
#define LYREBIRD_ATOMIC(op) \
  case Op::op:              \
    return atomic(std::integral_constant<Op, Op::op>())
      LYREBIRD_ATOMIC(AtomicAdd);
      LYREBIRD_ATOMIC(AtomicAndNot);
      LYREBIRD_ATOMIC(AtomicOr);
      LYREBIRD_ATOMIC(AtomicXor);
      LYREBIRD_ATOMIC(AtomicMinS);
      LYREBIRD_ATOMIC(AtomicMaxS);
      LYREBIRD_ATOMIC(AtomicMinU);
      LYREBIRD_ATOMIC(AtomicMaxU);
      LYREBIRD_ATOMIC(AtomicSwap);
#undef LYREBIRD_ATOMIC
    case Op::CompareSwap:
      return with_size(size, []<typename U>() -> Handler { return H::template compare_swap<U>(); });
    case Op::LoadExclusive:
      return pick_type<Type::I8, Type::I16, Type::I32, Type::I64, Type::I128, Type::V128>(
          inst.type, []<Type kType>() -> Handler { return H::template load_exclusive<kType>(); });
    case Op::StoreExclusive:
      return with_size(size, []<typename U>() -> Handler { return H::template store_exclusive<U>(); });
    default:
      return nullptr;
  }
}

}  // namespace lyrebird::jit::interp
