// SPDX-License-Identifier: Apache-2.0
// Guest memory in system mode: by the vCPU's TLB (jit/tlb.h), which also does what is no plain memory. The
// baseline's code comes here where its own look into the TLB fails.
#include "jit/interp/memory.h"
#include "jit/tlb.h"

namespace lyrebird::jit::interp {

using ir::AddressRule;
using ir::Align;

namespace {

struct SystemAccess {
  uint64_t guest;
  MemInfo info;
  bool aligned;
};

[[gnu::always_inline]] inline SystemAccess system_access(const Code* op, uint8_t* frame, uint8_t* state) {
  const MemInfo info = MemInfo::unpack(op->aux & 0xffffff);
  uint64_t guest = load_value<Type::I64>(op->a, frame, state) + static_cast<int64_t>(op->extra);
  // What is a tag is the walker's business.
  if (info.address != AddressRule::IgnoreTop) guest = apply_address_rule(guest, info.address);
  return {guest, info, is_aligned(info, guest)};
}

void stop_fault(const Code* op, const SystemAccess& access, uint8_t* state, ThreadContext* thread) {
  header(state).pc = op->imm;
  thread->stop = {ir::ExitKind::MemoryFault, access.info.space};
}

#define LYREBIRD_SYSTEM_ACCESS                                    \
  const SystemAccess access = system_access(op, frame, state);    \
  Tlb& tlb = Tlb::of(header(state));                              \
  if (!access.aligned) [[unlikely]] {                             \
    stop_unaligned(op, access.guest, access.info, state, thread); \
    return;                                                       \
  }                                                               \
  /* Devices and walkers may want to know where the guest is. */  \
  header(state).pc = op->imm
#define LYREBIRD_SYSTEM_FAULT            \
  stop_fault(op, access, state, thread); \
  return

/// Little-endian number in 32 bytes that are zero above.
bool read_system(Tlb& tlb, const SystemAccess& access, uint8_t* to) {
  const MemInfo& info = access.info;
  if (const uint64_t host = tlb.probe(access.guest, info.size, false, info.space)) {
    read_memory({access.guest, host, info, true}, to);
    return true;
  }
  std::memset(to, 0, 32);
  if (!tlb.read(access.guest, info.size, info.space, to)) return false;
  if (info.order != Order::Plain) std::atomic_thread_fence(std::memory_order_acquire);
  if (info.big_endian) reverse(to, info.size);
  return true;
}

bool write_system(Tlb& tlb, const SystemAccess& access, const uint8_t* value) {
  const MemInfo& info = access.info;
  if (const uint64_t host = tlb.probe(access.guest, info.size, true, info.space)) {
    write_memory({access.guest, host, info, true}, value);
    return true;
  }
  uint8_t from[32] = {};
  std::memcpy(from, value, info.size);
  if (info.big_endian) reverse(from, info.size);
  if (info.order != Order::Plain) std::atomic_thread_fence(std::memory_order_release);
  if (!tlb.write(access.guest, info.size, info.space, from)) return false;
  if (info.order == Order::SeqCst) std::atomic_thread_fence(std::memory_order_seq_cst);
  return true;
}

template <Type kType>
LYREBIRD_HANDLER_ABI void system_load(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_SYSTEM_ACCESS;
  uint8_t bytes[32];
  if (!read_system(tlb, access, bytes)) {
    LYREBIRD_SYSTEM_FAULT;
  }
  extend<kType>(access.info, bytes);
  store_result<kType>(op, bytes, frame, state);
  LYREBIRD_NEXT(1);
}

LYREBIRD_HANDLER_ABI void system_store(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_SYSTEM_ACCESS;
  if (!write_system(tlb, access, Anywhere::at(op->b, frame, state))) {
    LYREBIRD_SYSTEM_FAULT;
  }
  LYREBIRD_NEXT(1);
}

/// Memory that an atomic access may be done on in one step; `slow`: there is none, and the access is two.
struct AtomicPlace {
  uint64_t host = 0;
  Tlb::Piece piece;
  bool slow = false;
};

/// False: a fault.
bool locate_atomic(Tlb& tlb, const SystemAccess& access, AtomicPlace& place) {
  const MemInfo& info = access.info;
  place.host = tlb.probe(access.guest, info.size, true, info.space);
  if (place.host) return true;
  if ((access.guest & ~kTlbPageMask) + info.size > kTlbPageSize) {
    place.slow = true;
    return true;
  }
  if (!tlb.locate(access.guest, info.size, ir::Access::Write, info.space, place.piece)) return false;
  place.host = reinterpret_cast<uint64_t>(place.piece.host);
  place.slow = place.host == 0;
  return true;
}

void mark_atomic(const AtomicPlace& place, unsigned size) {
  if (place.piece.mark) place.piece.mark->mark(place.piece.offset, size);
}

/// old = what was there, in memory order; f gives what to store. False: a fault.
template <typename U, typename F>
[[gnu::always_inline]] inline bool update(Tlb& tlb, const SystemAccess& access, U& old, F f) {
  AtomicPlace place;
  if (!locate_atomic(tlb, access, place)) return false;
  if (place.slow) {
    uint8_t bytes[32] = {};
    if (!tlb.read(access.guest, sizeof(U), access.info.space, bytes)) return false;
    std::memcpy(&old, bytes, sizeof old);
    const U now = f(old);
    std::memcpy(bytes, &now, sizeof now);
    return tlb.write(access.guest, sizeof(U), access.info.space, bytes);
  }
  U seen;
  if constexpr (sizeof(U) == 16)
    seen = read16(place.host);
  else
    seen = read_plain<U>(place.host);
  for (;;) {
    old = seen;
    seen = compare_swap<U>(place.host, old, f(old));
    if (seen == old) break;
  }
  mark_atomic(place, sizeof(U));
  return true;
}

template <Op kOp, typename U>
LYREBIRD_MEMORY_HANDLER system_atomic(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_SYSTEM_ACCESS;
  const U value = load<U>(Anywhere::at(op->b, frame, state));
  const bool big = access.info.big_endian;
  U old{};
  const auto change = [&](U seen) {
    return in_memory_order(combine<kOp>(in_memory_order(seen, big), value), big);
  };
  if (!update<U>(tlb, access, old, change)) {
    LYREBIRD_SYSTEM_FAULT;
  }
  store_old(op, in_memory_order(old, big), frame, state);
  LYREBIRD_NEXT(1);
}

template <typename U>
LYREBIRD_MEMORY_HANDLER system_compare_swap(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_SYSTEM_ACCESS;
  const bool big = access.info.big_endian;
  const U expected = in_memory_order(load<U>(Anywhere::at(op->b, frame, state)), big);
  const U desired = in_memory_order(load<U>(Anywhere::at(op->c, frame, state)), big);
  U old{};
  const auto change = [&](U seen) { return seen == expected ? desired : seen; };
  if (!update<U>(tlb, access, old, change)) {
    LYREBIRD_SYSTEM_FAULT;
  }
  store_old(op, in_memory_order(old, big), frame, state);
  LYREBIRD_NEXT(1);
}

template <Type kType>
LYREBIRD_HANDLER_ABI void system_load_exclusive(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_SYSTEM_ACCESS;
  uint8_t bytes[32];
  SystemAccess raw = access;
  raw.info = exclusive_info(access.info);
  if (!read_system(tlb, raw, bytes)) {
    LYREBIRD_SYSTEM_FAULT;
  }
  begin_exclusive(header(state), access.guest, access.info, bytes);
  store_result<kType>(op, bytes, frame, state);
  LYREBIRD_NEXT(1);
}

template <typename U>
LYREBIRD_MEMORY_HANDLER system_store_exclusive(LYREBIRD_HANDLER_ARGS) {
  LYREBIRD_SYSTEM_ACCESS;
  ir::CpuHeader& cpu = header(state);
  bool failed = true;
  if (cpu.exclusive_size == sizeof(U) && cpu.exclusive_address == access.guest) {
    const U expected = load_unaligned<U>(cpu.exclusive_value);
    const U value = in_memory_order(load<U>(Anywhere::at(op->b, frame, state)), access.info.big_endian);
    AtomicPlace place;
    if (!locate_atomic(tlb, access, place)) {
      LYREBIRD_SYSTEM_FAULT;
    }
    // What is no memory has no monitor: the store fails.
    if (!place.slow) {
      failed = compare_swap<U>(place.host, expected, value) != expected;
      if (!failed) mark_atomic(place, sizeof(U));
    }
  }
  cpu.exclusive_size = 0;
  store_value<Type::I1>(op->d, frame, state, failed);
  LYREBIRD_NEXT(1);
}

struct SystemMemory {
  template <Type kType>
  static Handler load() {
    return system_load<kType>;
  }
  static Handler store() { return system_store; }
  template <Op kOp, typename U>
  static Handler atomic() {
    return system_atomic<kOp, U>;
  }
  template <typename U>
  static Handler compare_swap() {
    return system_compare_swap<U>;
  }
  template <Type kType>
  static Handler load_exclusive() {
    return system_load_exclusive<kType>;
  }
  template <typename U>
  static Handler store_exclusive() {
    return system_store_exclusive<U>;
  }
};

}  // namespace

Handler select_system_memory(const ir::Inst& inst) { return select_access<SystemMemory>(inst); }

}  // namespace lyrebird::jit::interp
