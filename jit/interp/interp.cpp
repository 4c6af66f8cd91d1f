// SPDX-License-Identifier: Apache-2.0
#include "jit/interp/interp.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/fault_guard.h"
#include "jit/block_map.h"
#include "jit/interp/lower.h"

namespace lyrebird::jit {

using interp::Code;

namespace {

struct InterpBlock final : CompiledBlock {
  std::vector<Code> code;
};

void fill_constant_slots(ThreadContext& thread) {
  std::memset(thread.frame, 0, interp::kFirstSlot);
  thread.frame[interp::kOneSlot] = 1;
  std::memset(thread.frame + interp::kOnesSlot, 0xff, 32);
  thread.has_constants = true;
}

/// Runs blocks for as long as there are any; thread.stop says why not.
void dispatch(const Code* code, ir::CpuHeader& cpu, ThreadContext& thread) {
  for (;;) {
    if (cpu.exit_request.load(std::memory_order_relaxed) != 0) {
      thread.stop.kind = ir::ExitKind::Interrupted;
      return;
    }
    code->handler(code, thread.frame, reinterpret_cast<uint8_t*>(&cpu), &thread);
    if (thread.stop.kind != ir::ExitKind::None || !thread.chaining) return;

    if (thread.map_generation->load(std::memory_order_relaxed) != thread.generation) thread.refresh();
    const CompiledBlock* const block = thread.find_block(cpu);
    if (!block) return;
    thread.note_jump(cpu, *block);
    code = static_cast<const Code*>(block->entry);
  }
}

/// No guest access of ours: the emulator itself is broken. Not to be taken for the guest's fault.
[[noreturn]] void die_of(const FaultGuard& guard) {
  std::fprintf(stderr,
               "lyrebird: internal error: signal %d at host address %#llx outside of guest memory accesses\n",
               guard.signal, static_cast<unsigned long long>(guard.address));
  std::signal(guard.signal, SIG_DFL);
  std::raise(guard.signal);
  std::abort();
}

/// x86 reports no address for one that is not canonical.
bool is_canonical(uint64_t address) { return static_cast<uint64_t>(sign_extend(address, 48)) == address; }

Stop memory_fault(const FaultGuard& guard, ir::CpuHeader& cpu, ThreadContext& thread) {
  const auto* const op = static_cast<const Code*>(thread.current_op);
  if (!op) die_of(guard);
  cpu.pc = op->imm;
  cpu.fault_signal = guard.signal;
  cpu.fault_code = guard.code;
  cpu.fault_access =
      static_cast<uint32_t>(op->aux & interp::kMemWrites ? ir::Access::Write : ir::Access::Read);
  if (op->aux & interp::kMemHelper) {
    cpu.fault_address = guard.address - cpu.memory_base;
    cpu.fault_size = 1;
    return {ir::ExitKind::MemoryFault, 0};
  }
  // What the record accesses must be what faulted.
  const auto info = ir::MemInfo::unpack(op->aux & 0xffffff);
  uint64_t raw;
  std::memcpy(&raw, interp::Anywhere::at(op->a, thread.frame, reinterpret_cast<uint8_t*>(&cpu)), 8);
  raw += static_cast<int64_t>(op->extra);
  const uint64_t host = cpu.memory_base + interp::apply_address_rule(raw, info.address);
  const uint64_t into = guard.address - host;
  if (into < info.size) {
    cpu.fault_address = raw + into;
  } else if (guard.address == 0 && !(is_canonical(host) && is_canonical(host + info.size - 1))) {
    cpu.fault_address = raw;
    cpu.fault_code = SEGV_MAPERR;
  } else {
    die_of(guard);
  }
  cpu.fault_size = info.size;
  return {ir::ExitKind::MemoryFault, 0};
}

}  // namespace

std::unique_ptr<CompiledBlock> Interpreter::compile(const ir::Block& block) {
  auto compiled = std::make_unique<InterpBlock>();
  compiled->code = interp::lower(block, helpers_, system_);
  compiled->code.shrink_to_fit();
  compiled->key = block.key;
  compiled->guest_size = block.guest_size;
  compiled->guest_count = block.guest_count;
  compiled->entry = compiled->code.data();
  compiled->host_size = static_cast<uint32_t>(sizeof(InterpBlock) + compiled->code.size() * sizeof(Code));
  return compiled;
}

Stop Interpreter::run(const CompiledBlock& first, ir::CpuHeader& cpu, ThreadContext& thread) {
  if (!thread.has_constants) fill_constant_slots(thread);
  thread.stop = {};
  thread.current_op = nullptr;
  FaultGuard guard;
  if (sigsetjmp(guard.env, 0) != 0) return memory_fault(guard, cpu, thread);
  guard.arm();
  dispatch(static_cast<const Code*>(first.entry), cpu, thread);
  return thread.stop;
}

}  // namespace lyrebird::jit
