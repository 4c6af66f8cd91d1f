// SPDX-License-Identifier: Apache-2.0
// Guest memory: every access against a model, faults, alignment rules, exclusives, atomics.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <thread>

#include "ir/eval_inst.h"
#include "ir/print.h"
#include "ir/typing.h"
#include "tests/unit/ir/random_block.h"
#include "tests/unit/jit/machine.h"

namespace lyrebird::jit::test {
namespace {

using ir::Align;
using ir::MemInfo;
using ir::Op;
using ir::Type;
using ir::Value;

constexpr uint64_t kPc = 0x1000, kPage = 4096;
/// Fields of the test state.
constexpr uint32_t kAddress = 0, kValue = 64, kDesired = 96, kResult = 128;

/// Pages: read-write, read-only, then nothing.
class Pages {
 public:
  Pages() {
    at_ = static_cast<uint8_t*>(mmap(nullptr, 4 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(at_, 2 * kPage, PROT_READ | PROT_WRITE);
    mprotect(at_ + kPage, kPage, PROT_READ);
  }
  ~Pages() { munmap(at_, 4 * kPage); }
  uint8_t* data() const { return at_; }
  uint64_t address() const { return reinterpret_cast<uint64_t>(at_); }

 private:
  uint8_t* at_;
};

/// A block that does one memory op on the fields above and ends.
struct OneOp {
  ir::Block block;
  ir::Builder builder{block};
  OneOp() {
    block.key = {kPc, 0};
    builder.Insn(kPc, 4);
  }
  Value address() { return builder.GetState(field(kAddress), Type::I64); }
  Value value(Type type) { return builder.GetState(field(kValue), type); }
  Value desired(Type type) { return builder.GetState(field(kDesired), type); }
  void finish(Value result = {}) {
    if (result) builder.SetState(field(kResult), result);
    builder.Jump(0x2000);
  }
};

/// Little-endian number of `size` bytes, or big-endian.
std::vector<uint8_t> number_at(const uint8_t* from, unsigned size, bool big_endian) {
  std::vector<uint8_t> bytes(from, from + size);
  if (big_endian) std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

u128 to_int(const std::vector<uint8_t>& bytes, bool sign) {
  u128 v = sign && (bytes.back() & 0x80) ? ~u128{0} : 0;
  for (size_t i = bytes.size(); i-- > 0;) v = v << 8 | bytes[i];
  return v;
}

/// What the atomic op stores, on numbers of `bits` bits.
u128 combined(Op op, u128 old, u128 value, unsigned bits) {
  const u128 mask = bits == 128 ? ~u128{0} : (u128{1} << bits) - 1;
  const auto is_signed_less = [&](u128 a, u128 b) {
    const u128 sign = u128{1} << (bits - 1);
    return (a ^ sign) < (b ^ sign);
  };
  old &= mask;
  value &= mask;
  switch (op) {
    case Op::AtomicAdd:
      return (old + value) & mask;
    case Op::AtomicAndNot:
      return old & ~value;
    case Op::AtomicOr:
      return old | value;
    case Op::AtomicXor:
      return old ^ value;
    case Op::AtomicMinS:
      return is_signed_less(value, old) ? value : old;
    case Op::AtomicMaxS:
      return is_signed_less(old, value) ? value : old;
    case Op::AtomicMinU:
      return value < old ? value : old;
    case Op::AtomicMaxU:
      return old < value ? value : old;
    default:
      return value;
  }
}

constexpr Op kMemoryOps[] = {Op::Load,       Op::Store,      Op::AtomicAdd,  Op::AtomicAndNot,
                             Op::AtomicOr,   Op::AtomicXor,  Op::AtomicMinS, Op::AtomicMaxS,
                             Op::AtomicMinU, Op::AtomicMaxU, Op::AtomicSwap, Op::CompareSwap};

bool is_allowed(const MemInfo& m, uint64_t address) {
  if (m.align == Align::None || address % m.size == 0) return true;
  return m.align == Align::Within16 && address / 16 == (address + m.size - 1) / 16;
}

struct Access {
  Op op;
  Type type;
  MemInfo info;
};

std::optional<Access> random_access(ir::test::Random& random) {
  Access a{.op = kMemoryOps[random.below(std::size(kMemoryOps))],
           .type = static_cast<Type>(2 + random.below(ir::kTypeCount - 2)),
           .info = {}};
  constexpr uint8_t kSizes[] = {1, 2, 4, 8, 10, 16, 32};
  a.info.size = kSizes[random.below(7)];
  a.info.sign = a.op == Op::Load && random.one_in(2);
  a.info.big_endian = random.one_in(3);
  a.info.align = static_cast<Align>(random.below(3));
  a.info.order = static_cast<ir::Order>(random.below(4));
  a.info.address = random.one_in(2) ? ir::AddressRule::IgnoreTop : ir::AddressRule::Full;
  // Misaligned 16-byte atomics are no guest's; big-endian F80 has no guest either.
  const bool atomic = a.op != Op::Load && a.op != Op::Store;
  if (atomic && a.info.size == 16) a.info.align = Align::Natural;
  if (a.info.size == 10) a.info.align = Align::None;  // no power of two
  ir::Inst inst{.op = a.op, .type = a.type, .aux = a.info.pack()};
  const Type operands[] = {Type::I64, a.type, a.type};
  if (ir::type_error(inst, operands, {}) != nullptr) return std::nullopt;
  if (atomic && ir::byte_size(a.type) > 8 && a.info.size <= 8) return std::nullopt;
  return a;
}

void check_access(ir::test::Random& random, Machine& machine, const Pages& pages) {
  const auto made = random_access(random);
  if (!made) return;
  const auto [op, type, info] = *made;
  OneOp one;
  const Value offset_address =
      random.one_in(2) ? one.builder.Add(one.address(), one.builder.Const(Type::I64, 24)) : one.address();
  const uint64_t displacement = offset_address.id != 1 ? 24 : 0;
  const uint64_t offset = 64 + random.below(512);
  const uint64_t address = pages.address() + offset;
  uint64_t tag = info.address == ir::AddressRule::IgnoreTop ? uint64_t{random.below(256)} << 56 : 0;
  for (unsigned i = 0; i < 640; ++i) pages.data()[i] = static_cast<uint8_t>(random.number());
  for (unsigned i = 0; i < 32; ++i) machine.state->bytes[kValue + i] = static_cast<uint8_t>(random.number());
  for (unsigned i = 0; i < 32; ++i)
    machine.state->bytes[kDesired + i] = static_cast<uint8_t>(random.number());
  machine.put<uint64_t>(kAddress, (address | tag) - displacement);
  std::memset(machine.state->bytes + kResult, 0xaa, 64);

  std::vector<uint8_t> memory(pages.data(), pages.data() + 640);
  const unsigned bits = 8u * info.size;
  const std::vector<uint8_t> old_bytes = number_at(memory.data() + offset, info.size, info.big_endian);
  const u128 old = info.size <= 16 ? to_int(old_bytes, false) : 0;
  const uint8_t* const value_bytes = machine.state->bytes + kValue;
  std::vector<uint8_t> stored = old_bytes, result(ir::byte_size(type));
  if (op == Op::Load) {
    std::copy(old_bytes.begin(), old_bytes.end(), result.begin());
    if (info.sign && (old_bytes.back() & 0x80)) std::fill(result.begin() + info.size, result.end(), 0xff);
    one.finish(one.builder.Load(type, offset_address, info));
  } else if (op == Op::Store) {
    stored.assign(value_bytes, value_bytes + info.size);
    one.builder.Store(offset_address, one.value(type), info);
    one.finish();
  } else if (op == Op::CompareSwap) {
    if (random.one_in(2)) std::memcpy(machine.state->bytes + kValue, old_bytes.data(), info.size);
    if (std::memcmp(machine.state->bytes + kValue, old_bytes.data(), info.size) == 0)
      stored.assign(machine.state->bytes + kDesired, machine.state->bytes + kDesired + info.size);
    std::copy(old_bytes.begin(), old_bytes.end(), result.begin());
    one.finish(one.builder.CompareSwap(offset_address, one.value(type), one.desired(type), info));
  } else {
    const u128 next = combined(op, old, to_int({value_bytes, value_bytes + info.size}, false), bits);
    for (unsigned i = 0; i < info.size; ++i) stored[i] = static_cast<uint8_t>(next >> (8 * i));
    std::copy(old_bytes.begin(), old_bytes.end(), result.begin());
    one.finish(one.builder.Atomic(op, offset_address, one.value(type), info));
  }

  const Stop stop = machine.run(one.block);
  if (!is_allowed(info, address)) {
    ASSERT_EQ(stop.kind, ir::ExitKind::Unaligned) << ir::print(one.block);
    ASSERT_EQ(machine.state->header.pc, kPc);
    ASSERT_EQ(machine.state->header.fault_address, address | tag);
    stored = old_bytes;
  } else {
    ASSERT_EQ(stop.kind, ir::ExitKind::None) << ir::print(one.block);
    if (op != Op::Store)
      for (size_t i = 0; i < result.size(); ++i)
        ASSERT_EQ(machine.state->bytes[kResult + i], result[i]) << "byte " << i << "\n"
                                                                << ir::print(one.block);
  }
  if (info.big_endian) std::reverse(stored.begin(), stored.end());
  std::copy(stored.begin(), stored.end(), memory.begin() + static_cast<ptrdiff_t>(offset));
  ASSERT_EQ(std::vector<uint8_t>(pages.data(), pages.data() + 640), memory) << ir::print(one.block);
}

TEST(Memory, EveryAccessDoesWhatItsMemInfoSays) {
  Machine machine;
  Pages pages;
  ir::test::Random random(11);
  for (unsigned i = 0; i < rounds(60000) && !testing::Test::HasFatalFailure(); ++i)
    check_access(random, machine, pages);
}

TEST(Memory, LoadBehindTheEndFaultsAndLeavesTheStateAlone) {
  Machine machine;
  Pages pages;
  OneOp one;
  one.builder.SetState(field(kDesired), one.builder.Const(Type::I64, 0x55));
  one.builder.Insn(kPc + 4, 4);
  one.finish(one.builder.Load(Type::I64, one.address(), {.size = 8, .address = ir::AddressRule::IgnoreTop}));
  const uint64_t tag = uint64_t{0x7b} << 56;
  machine.put<uint64_t>(kAddress, (pages.address() + 2 * kPage - 3) | tag);
  machine.put<uint64_t>(kResult, 0xabcd);

  EXPECT_EQ(machine.run(one.block).kind, ir::ExitKind::MemoryFault);
  const ir::CpuHeader& cpu = machine.state->header;
  EXPECT_EQ(cpu.pc, kPc + 4);
  EXPECT_EQ(cpu.fault_address, (pages.address() + 2 * kPage) | tag);
  EXPECT_EQ(cpu.fault_access, static_cast<uint32_t>(ir::Access::Read));
  EXPECT_EQ(cpu.fault_signal, SIGSEGV);
  EXPECT_EQ(cpu.fault_code, SEGV_ACCERR);
  EXPECT_EQ(machine.get<uint64_t>(kResult), 0xabcdu);
  EXPECT_EQ(machine.get<uint64_t>(kDesired), 0x55u) << "the instruction before is done";
}

TEST(Memory, StoreToAReadOnlyPageIsAWriteFault) {
  Machine machine;
  Pages pages;
  OneOp one;
  one.builder.Store(one.address(), one.value(Type::I32), {.size = 4});
  one.finish();
  machine.put<uint64_t>(kAddress, pages.address() + kPage + 8);

  EXPECT_EQ(machine.run(one.block).kind, ir::ExitKind::MemoryFault);
  EXPECT_EQ(machine.state->header.fault_access, static_cast<uint32_t>(ir::Access::Write));
  EXPECT_EQ(machine.state->header.fault_code, SEGV_ACCERR);
}

TEST(Memory, AddressThatTheHostCannotFormIsAFaultOfTheGuest) {
  Machine machine;
  OneOp one;
  one.finish(one.builder.Load(Type::I64, one.address(), {.size = 8}));
  machine.put<uint64_t>(kAddress, 0x1234567890abcdef);

  EXPECT_EQ(machine.run(one.block).kind, ir::ExitKind::MemoryFault);
  EXPECT_EQ(machine.state->header.fault_address, 0x1234567890abcdefu);
  EXPECT_EQ(machine.state->header.fault_code, SEGV_MAPERR);
}

TEST(Memory, PageBehindTheEndOfAFileIsABusError) {
  Machine machine;
  const int fd = memfd_create("test", 0);
  ASSERT_GE(fd, 0);
  void* const at = mmap(nullptr, kPage, PROT_READ, MAP_SHARED, fd, 0);
  OneOp one;
  one.finish(one.builder.Load(Type::I64, one.address(), {.size = 8}));
  machine.put<uint64_t>(kAddress, reinterpret_cast<uint64_t>(at));

  EXPECT_EQ(machine.run(one.block).kind, ir::ExitKind::MemoryFault);
  EXPECT_EQ(machine.state->header.fault_signal, SIGBUS);
  munmap(at, kPage);
  close(fd);
}

// --- exclusives

struct Exclusive : testing::Test {
  Machine machine;
  alignas(16) uint64_t memory[2] = {5, 6};
  OneOp load, store;
  void SetUp() override {
    load.finish(load.builder.LoadExclusive(Type::I64, load.address(), {.size = 8}));
    store.finish(store.builder.StoreExclusive(store.address(), store.value(Type::I64), {.size = 8}));
    machine.put<uint64_t>(kAddress, reinterpret_cast<uint64_t>(memory));
    machine.put<uint64_t>(kValue, 9);
  }
  bool stored() {
    machine.run(store.block);
    return machine.get<uint8_t>(kResult) == 0;
  }
};

TEST_F(Exclusive, StoresWhatIsStillWatched) {
  machine.run(load.block);
  EXPECT_EQ(machine.get<uint64_t>(kResult), 5u);
  EXPECT_TRUE(stored());
  EXPECT_EQ(memory[0], 9u);
  EXPECT_FALSE(stored()) << "watching ends with the store";
}

TEST_F(Exclusive, FailsWithoutALoad) {
  EXPECT_FALSE(stored());
  EXPECT_EQ(memory[0], 5u);
}

TEST_F(Exclusive, FailsIfSomebodyWrote) {
  machine.run(load.block);
  memory[0] = 7;
  EXPECT_FALSE(stored());
  EXPECT_EQ(memory[0], 7u);
}

TEST_F(Exclusive, FailsAtAnotherAddress) {
  machine.run(load.block);
  machine.put<uint64_t>(kAddress, reinterpret_cast<uint64_t>(memory + 1));
  EXPECT_FALSE(stored());
}

TEST_F(Exclusive, FailsAfterClear) {
  OneOp clear;
  clear.builder.ClearExclusive();
  clear.finish();
  machine.run(load.block);
  machine.run(clear.block);
  EXPECT_FALSE(stored());
}

TEST_F(Exclusive, SixteenBytes) {
  OneOp load16, store16;
  load16.finish(load16.builder.LoadExclusive(Type::I128, load16.address(), {.size = 16}));
  store16.finish(store16.builder.StoreExclusive(store16.address(), store16.value(Type::I128), {.size = 16}));
  machine.put<uint64_t>(kValue + 8, 10);
  machine.run(load16.block);
  EXPECT_EQ(machine.get<uint64_t>(kResult + 8), 6u);
  machine.run(store16.block);
  EXPECT_EQ(machine.get<uint8_t>(kResult), 0);
  EXPECT_EQ(memory[1], 10u);
}

// --- threads

constexpr unsigned kThreads = 4, kRounds = 100000;

/// Every thread runs the block kRounds times on a machine of its own.
template <typename Build>
void hammer(uint64_t address, Build build) {
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      Machine machine;
      OneOp one;
      build(one);
      const auto compiled = machine.engine.compile(one.block);
      machine.put<uint64_t>(kAddress, address);
      const ThreadContext::Running running(*machine.thread);
      for (unsigned i = 0; i < kRounds; ++i)
        machine.engine.run(*compiled, machine.state->header, *machine.thread);
    });
  for (std::thread& thread : threads) thread.join();
}

TEST(Atomics, NoAdditionIsLost) {
  alignas(16) uint64_t counter[2] = {};
  hammer(reinterpret_cast<uint64_t>(counter), [](OneOp& one) {
    one.finish(
        one.builder.Atomic(Op::AtomicAdd, one.address(), one.builder.Const(Type::I64, 1), {.size = 8}));
  });
  EXPECT_EQ(counter[0], kThreads * kRounds);
}

TEST(Atomics, NoMisalignedAdditionIsLost) {
  alignas(64) uint8_t line[128] = {};
  hammer(reinterpret_cast<uint64_t>(line + 3), [](OneOp& one) {
    one.finish(
        one.builder.Atomic(Op::AtomicAdd, one.address(), one.builder.Const(Type::I32, 1), {.size = 4}));
  });
  uint32_t counter;
  std::memcpy(&counter, line + 3, 4);
  EXPECT_EQ(counter, kThreads * kRounds);
}

TEST(Atomics, BigEndianAdditionsAreNotLost) {
  alignas(16) uint64_t counter = 0;
  hammer(reinterpret_cast<uint64_t>(&counter), [](OneOp& one) {
    one.finish(one.builder.Atomic(Op::AtomicAdd, one.address(), one.builder.Const(Type::I64, 1),
                                  {.size = 8, .big_endian = true}));
  });
  EXPECT_EQ(__builtin_bswap64(counter), kThreads * kRounds);
}

TEST(Atomics, SixteenByteAdditionsCarry) {
  alignas(16) uint64_t counter[2] = {~uint64_t{0} - 1000, 0};
  hammer(reinterpret_cast<uint64_t>(counter), [](OneOp& one) {
    one.finish(one.builder.Atomic(Op::AtomicAdd, one.address(), one.builder.Const(Type::I128, 1, 0),
                                  {.size = 16, .align = Align::Natural}));
  });
  EXPECT_EQ(counter[0], ~uint64_t{0} - 1000 + kThreads * kRounds);
  EXPECT_EQ(counter[1], 1u);
}

/// A load-exclusive, store-exclusive increment that counts its own successes.
TEST(Atomics, ExclusivePairsLoseNothing) {
  alignas(16) uint64_t counter[2] = {};
  std::atomic<uint64_t> successes{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      Machine machine;
      OneOp one;
      const Value old = one.builder.LoadExclusive(Type::I64, one.address(), {.size = 8});
      const Value next = one.builder.Add(old, one.builder.Const(Type::I64, 1));
      one.finish(one.builder.StoreExclusive(one.address(), next, {.size = 8}));
      const auto compiled = machine.engine.compile(one.block);
      machine.put<uint64_t>(kAddress, reinterpret_cast<uint64_t>(counter));
      const ThreadContext::Running running(*machine.thread);
      for (unsigned i = 0; i < kRounds; ++i) {
        machine.engine.run(*compiled, machine.state->header, *machine.thread);
        successes += machine.get<uint8_t>(kResult) == 0;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter[0], successes.load());
  EXPECT_GT(successes.load(), 0u);
}

/// Two threads, each with a block that it runs once a step, freely: the step's number is in kValue,
/// what the block saw (in kResult) is logged.
using Log = std::vector<uint64_t>;
template <typename Build>
Log step_by_step(uint64_t first, uint64_t second, std::atomic<unsigned>& ready, Build build) {
  Machine machine;
  OneOp one;
  build(one);
  const auto compiled = machine.engine.compile(one.block);
  machine.put<uint64_t>(kAddress, first);
  machine.put<uint64_t>(kDesired, second);
  Log log(kRounds + 1);
  const ThreadContext::Running running(*machine.thread);
  for (++ready; ready < 2;) std::this_thread::yield();
  for (uint64_t i = 1; i <= kRounds; ++i) {
    machine.put<uint64_t>(kValue, i);
    machine.engine.run(*compiled, machine.state->header, *machine.thread);
    log[i] = machine.get<uint64_t>(kResult);
  }
  return log;
}

/// How often the log's owner saw the other at work; few times if they took turns on one processor.
size_t meetings(const Log& log) {
  size_t n = 0;
  for (size_t i = 2; i < log.size(); ++i) n += log[i] != log[i - 1];
  return n;
}

/// Runs both until they have met often enough, on two words that start at zero each time.
template <typename First, typename Second, typename Judge>
void side_by_side(First first, Second second, Judge judge) {
  alignas(64) uint64_t words[2][8];
  const uint64_t x = reinterpret_cast<uint64_t>(words[0]), y = reinterpret_cast<uint64_t>(words[1]);
  size_t met = 0;
  for (unsigned tries = 0; tries < 50 && met < 2000; ++tries) {
    std::memset(words, 0, sizeof words);
    std::atomic<unsigned> ready{0};
    Log theirs;
    std::thread other([&] { theirs = step_by_step(y, x, ready, second); });
    const Log ours = step_by_step(x, y, ready, first);
    other.join();
    met += meetings(theirs);
    judge(ours, theirs);
  }
}

/// Store buffering (Dekker): with SeqCst on both sides one thread must see the other's store.
TEST(Atomics, SequentiallyConsistentStoresAreSeen) {
  const auto side = [](OneOp& one) {
    const MemInfo info{.size = 8, .order = ir::Order::SeqCst};
    one.builder.Store(one.address(), one.value(Type::I64), info);
    one.finish(one.builder.Load(Type::I64, one.desired(Type::I64), info));
  };
  unsigned both_missed = 0;
  side_by_side(side, side, [&](const Log& a, const Log& b) {
    for (uint64_t i = 1; i <= kRounds; ++i) {
      const uint64_t missed = a[i] + 1;  // the first that step i did not see
      both_missed += missed <= kRounds && b[missed] < i;
    }
  });
  EXPECT_EQ(both_missed, 0u);
}

/// Message passing: the datum is there when the flag is.
TEST(Atomics, ReleasedStoresAreSeenByAcquire) {
  const auto sender = [](OneOp& one) {
    one.builder.Store(one.address(), one.value(Type::I64), {.size = 8});
    one.builder.Store(one.desired(Type::I64), one.value(Type::I64), {.size = 8, .order = ir::Order::Release});
    one.finish();
  };
  const auto receiver = [](OneOp& one) {
    const Value seen = one.builder.Load(Type::I64, one.address(), {.size = 8, .order = ir::Order::Acquire});
    const Value there = one.builder.Load(Type::I64, one.desired(Type::I64), {.size = 8});
    one.finish(one.builder.Sub(there, seen));  // never negative
  };
  unsigned too_early = 0;
  side_by_side(sender, receiver, [&](const Log&, const Log& ahead) {
    for (const uint64_t by : ahead) too_early += static_cast<int64_t>(by) < 0;
  });
  EXPECT_EQ(too_early, 0u);
}

}  // namespace
}  // namespace lyrebird::jit::test
