// SPDX-License-Identifier: Apache-2.0
// Regions of several blocks: random loops with memory, faults and side exits leave the state that
// the interpreter leaves, block by block.
#if defined(LYREBIRD_TEST_LLVM)
#include "ir/region.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>

#include "ir/print.h"
#include "tests/unit/ir/random_block.h"
#include "tests/unit/jit/machine.h"

namespace lyrebird::jit::test {
namespace {

using ir::Op;
using ir::Type;
using ir::Value;
using ir::test::Random;

constexpr uint64_t kStart = 0x10000, kStep = 0x100, kOutside = 0x90000;
constexpr uint32_t kPageSize = 4096;
// Pinned fields, one that is not, flags, a vector.
constexpr uint32_t kWords[] = {field(0), field(8), field(16), field(40), field(56), field(408)};
constexpr uint32_t kBase = field(256), kCount = field(320), kVector = field(416);
constexpr uint32_t kFlags[] = {field(400), field(401), field(402), field(403)};

/// Two pages of memory, of which the second goes away now and then.
class Memory {
 public:
  Memory() {
    at_ = static_cast<uint8_t*>(
        mmap(nullptr, 2 * kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  }
  ~Memory() { munmap(at_, 2 * kPageSize); }
  void protect(bool on) { mprotect(at_ + kPageSize, kPageSize, on ? PROT_NONE : PROT_READ | PROT_WRITE); }
  uint8_t* data() { return at_; }

 private:
  uint8_t* at_;
};

class Program {
 public:
  explicit Program(Random& random) : random_(random), count_(1 + random.below(6)) {
    for (uint32_t i = 0; i < count_; ++i) add(i);
  }
  const ir::Region& region() const { return region_; }

 private:
  uint64_t somewhere() {
    if (random_.below(8) == 0) return kOutside;
    return kStart + kStep * random_.below(count_);
  }
  uint32_t word() { return kWords[random_.below(std::size(kWords))]; }

  void add(uint32_t index) {
    region_.parts.emplace_back();
    ir::Region::Part& part = region_.parts.back();
    ir::Block& block = part.block;
    block.key = {kStart + kStep * index, 0};
    ir::Builder b(block);
    uint64_t pc = block.key.pc;
    const unsigned steps = 1 + random_.below(7);
    for (unsigned i = 0; i < steps; ++i, pc += 4) {
      b.Insn(pc, 4);
      step(b);
    }
    b.Insn(pc, 4);
    const Value left = b.Sub(b.GetState(kCount, Type::I64), b.Const(Type::I64, 1));
    b.SetState(kCount, left);
    b.RaiseIf(b.CmpEq(left, b.Const(Type::I64, 0)), ir::ExitKind::Undefined, 7);
    const Value odd = b.CmpTest(b.GetState(word(), Type::I64), b.Const(Type::I64, 1 + random_.below(7)));
    switch (random_.below(4)) {
      case 0:
        b.Jump(somewhere());
        break;
      case 1: {
        const uint64_t one = somewhere(), other = somewhere();
        b.JumpIndirect(b.Select(odd, b.Const(Type::I64, one), b.Const(Type::I64, other)));
        if (one != kOutside) part.guesses.push_back(one);
        break;
      }
      default: {
        const uint64_t one = somewhere();
        b.Branch(odd, one, somewhere());
      }
    }
    block.guest_size = static_cast<uint32_t>(pc + 4 - block.key.pc);
    block.guest_count = steps + 1;
  }

  Value address(ir::Builder& b) {
    const Value offset = b.And(b.GetState(word(), Type::I64), b.Const(Type::I64, 0x1ff0));
    return b.Add(b.GetState(kBase, Type::I64), offset);
  }

  void step(ir::Builder& b) {
    const Value x = b.GetState(word(), Type::I64), y = b.GetState(word(), Type::I64);
    switch (random_.below(9)) {
      case 0:
        return b.SetState(word(), b.Load(Type::I64, address(b), {.size = 8}));
      case 1:
        return b.Store(address(b), x, {.size = 8});
      case 2:
        return b.SetState(kVector, b.Load(Type::V128, address(b), {.size = 16}));
      case 3:
        return b.Store(address(b), b.GetState(kVector, Type::V128), {.size = 16});
      case 4:
        b.SetState(kFlags[0], b.ZExtOrTrunc(b.CmpLtS(x, y), Type::I8));
        b.SetState(kFlags[1], b.ZExtOrTrunc(b.CmpEq(x, y), Type::I8));
        b.SetState(kFlags[2], b.ZExtOrTrunc(b.CmpLtU(x, y), Type::I8));
        return b.SetState(kFlags[3], b.ZExtOrTrunc(b.CmpTest(x, y), Type::I8));
      case 5:
        return b.ExitIf(b.CmpEq(b.And(x, b.Const(Type::I64, 31)), b.Const(Type::I64, 3)), somewhere());
      case 6:
        return b.SetState(kVector, b.Add(b.GetState(kVector, Type::V128), b.Splat(Type::V128, x), Type::I64));
      case 7:
        return b.SetState(word(), b.Mul(x, b.Add(y, b.Const(Type::I64, random_.number() | 1))));
      default:
        return b.SetState(word(), b.Add(x, b.Xor(y, b.Const(Type::I64, random_.number()))));
    }
  }

  Random& random_;
  const uint32_t count_;
  ir::Region region_;
};

struct End {
  ir::ExitKind kind = ir::ExitKind::None;
  uint64_t pc = 0;
};

/// Block by block until something stops it.
End interpret(const ir::Region& region, Machine& machine) {
  ir::CpuHeader& cpu = machine.state->header;
  const ThreadContext::Running running(*machine.thread);
  machine.thread->set_chaining(false);
  for (;;) {
    const int at = region.find({cpu.pc, cpu.mode});
    if (at < 0) return {ir::ExitKind::None, cpu.pc};
    const auto compiled = machine.interpreter.compile(region.parts[static_cast<size_t>(at)].block);
    const Stop stop = machine.interpreter.run(*compiled, cpu, *machine.thread);
    if (stop.kind != ir::ExitKind::None) return {stop.kind, cpu.pc};
  }
}

End run_region(const ir::Region& region, const CompiledBlock& compiled, Machine& machine) {
  ir::CpuHeader& cpu = machine.state->header;
  {
    const ThreadContext::Running running(*machine.thread);
    machine.thread->set_chaining(true);
    const Stop stop = machine.engine.run(compiled, cpu, *machine.thread);
    if (machine.thread->interpret_next) {
      machine.thread->interpret_next = false;
      return {ir::ExitKind::MemoryFault, cpu.pc};
    }
    if (stop.kind != ir::ExitKind::None) return {stop.kind, cpu.pc};
  }
  return interpret(region, machine);
}

TEST(Regions, LeaveTheStateThatTheInterpreterLeaves) {
  Machine machine;
  Memory memory;
  Random random(5);
  unsigned faults = 0, ends = 0;
  for (unsigned i = 0; i < rounds(16000); ++i) {
    const Program program(random);
    const ir::Region& region = program.region();
    std::vector<uint8_t> state(sizeof machine.state->bytes), bytes(2 * kPageSize);
    for (uint8_t& byte : state) byte = static_cast<uint8_t>(random.number());
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.number());
    for (const uint32_t flag : kFlags) state[flag - field(0)] &= 1;
    const uint64_t base = reinterpret_cast<uint64_t>(memory.data()), count = 1 + random.below(60);
    std::memcpy(&state[kBase - field(0)], &base, 8);
    std::memcpy(&state[kCount - field(0)], &count, 8);
    const bool protect = random.below(2) != 0;

    std::vector<uint8_t> states[2], memories[2];
    End end[2];
    auto compiled = machine.engine.compile_regions({&region, 1});
    ASSERT_NE(compiled[0], nullptr);
    for (unsigned which = 0; which < 2; ++which) {
      std::memcpy(memory.data(), bytes.data(), bytes.size());
      std::memcpy(machine.state->bytes, state.data(), state.size());
      machine.state->header.pc = kStart;
      memory.protect(protect);
      end[which] = which == 0 ? interpret(region, machine) : run_region(region, *compiled[0], machine);
      memory.protect(false);
      states[which].assign(machine.state->bytes, machine.state->bytes + state.size());
      memories[which].assign(memory.data(), memory.data() + bytes.size());
    }
    faults += end[0].kind == ir::ExitKind::MemoryFault;
    ends += end[0].kind == ir::ExitKind::Undefined;
    std::string text;
    for (const auto& part : region.parts) text += ir::print(part.block);
    ASSERT_EQ(end[0].kind, end[1].kind) << text;
    ASSERT_EQ(end[0].pc, end[1].pc) << text;
    for (size_t k = 0; k < state.size(); ++k)
      ASSERT_EQ(states[0][k], states[1][k]) << "state byte " << k << "\n" << text;
    ASSERT_EQ(memories[0], memories[1]) << text;
  }
  EXPECT_GT(faults, rounds(16000) / 10);
  EXPECT_GT(ends, rounds(16000) / 10);
}

}  // namespace
}  // namespace lyrebird::jit::test
#endif
