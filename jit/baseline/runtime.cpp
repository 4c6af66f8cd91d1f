// SPDX-License-Identifier: Apache-2.0
#include "jit/baseline/runtime.h"

#include <asmjit/x86.h>

#include <cstring>
#include <iterator>

#include "jit/abi.h"
#include "jit/baseline/frame.h"
#include "jit/block_table.h"
#include "jit/interp/select.h"
#include "jit/persist/build.h"
#include "jit/thread_context.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;

namespace {

// Registers that a C++ function may change and generated code may use, but for rax.
constexpr uint8_t kVolatile[] = {1, 2, 6, 7, 8, 9, 10, 11};

using interp::Code;
LYREBIRD_HANDLER_ABI void back_to_generated_code(LYREBIRD_HANDLER_ARGS) {}

class Runtime {
 public:
  Runtime(const Pins& pins, bool avx, bool denormals, bool traps, bool mode_tags)
      : pins_(pins), avx_(avx), denormals_(denormals), traps_(traps), mode_tags_(mode_tags) {
    (void)holder_.init(Environment(Arch::kX64));
    (void)holder_.attach(&a_);
  }

  RuntimeCode make() {
    RuntimeCode code;
    code.enter = start();
    enter();
    code.exit = start();
    exit();
    code.lookup = start();
    lookup();
    for (unsigned i = 0; i < 3; ++i) {
      code.thunks[i] = start();
      thunk(static_cast<Thunk>(i));
    }
    for (unsigned i = 0; i < 2; ++i) {
      code.region_thunks[i] = start();
      region_thunk(static_cast<RegionThunk>(i));
    }
    code.memory = start();
    memory_thunk();
    code.bytes.assign(a_.bufferData(), a_.bufferData() + a_.offset());
    return code;
  }

 private:
  uint32_t start() {
    (void)a_.align(AlignMode::kCode, 16);
    return static_cast<uint32_t>(a_.offset());
  }
  static x86::Mem state(size_t offset) {
    return x86::ptr(x86::gpq(abi::kState), static_cast<int32_t>(offset) - abi::kStateBias, 0);
  }

  static x86::Mem frame(uint32_t offset, uint32_t size = 8) {
    return x86::ptr(x86::rsp, static_cast<int32_t>(abi::kFrame + offset), size);
  }

  void enter();
  void exit();
  void lookup();
  void thunk(Thunk kind);
  void region_thunk(RegionThunk kind);
  void memory_thunk();
  void load_pins() {
    for (const Pin& pin : pins_.pins) (void)a_.mov(x86::gpq(pin.reg), state(pin.offset));
    load_vectors();
  }
  void store_pins() {
    for (const Pin& pin : pins_.pins) (void)a_.mov(state(pin.offset), x86::gpq(pin.reg));
    store_vectors();
  }
  void load_vectors() {
    for (const Pin& pin : pins_.vectors) (void)a_.vmovups(x86::xmm(pin.reg), state(pin.offset));
  }
  void store_vectors() {
    for (const Pin& pin : pins_.vectors) (void)a_.vmovups(state(pin.offset), x86::xmm(pin.reg));
  }
  /// MXCSR's flags as FpFlag bits; changes t.
  void fp_flags_of(const x86::Gp& mxcsr, const x86::Gp& t) {
    (void)a_.mov(t, mxcsr);
    (void)a_.and_(t, denormals_ ? 3 : 1);
    if (denormals_) {
      // IE stays in bit 0, DE goes to bit 5.
      (void)a_.imul(t, t, 17);
      (void)a_.and_(t, 0x21);
    }
    (void)a_.shr(mxcsr, 1);
    (void)a_.and_(mxcsr, 0x1e);
    (void)a_.or_(mxcsr, t);
  }
  /// FP flags from MXCSR to the state; changes rsi and r8. With traps MXCSR is one for C++ from then on.
  /// `up`: bytes from rsp to the frame.
  void collect_flags(int32_t up) {
    const auto at = [up](uint32_t offset) {
      return x86::dword_ptr(x86::rsp, up + static_cast<int32_t>(offset));
    };
    const Label none = a_.newLabel();
    static_assert(abi::kState != 6 && abi::kState != 8);
    (void)a_.stmxcsr(at(kFrameMxcsr));
    (void)a_.mov(x86::esi, at(kFrameMxcsr));
    if (traps_) (void)a_.ldmxcsr(at(kFrameMasked));
    (void)a_.test(x86::esi, denormals_ ? 0x3f : 0x3d);
    (void)a_.jz(none);
    if (traps_) (void)a_.mov(at(kFrameUnmasked), 0);
    fp_flags_of(x86::esi, x86::r8d);
    (void)a_.or_(state(offsetof(ir::CpuHeader, fp_flags)), x86::esi);
    (void)a_.bind(none);
  }

  const Pins& pins_;
  const bool avx_, denormals_, traps_, mode_tags_;
  CodeHolder holder_;
  x86::Assembler a_;
};

constexpr uint8_t kSaved[] = {3, 5, 12, 13, 14, 15};

void Runtime::enter() {
  for (const uint8_t reg : kSaved) (void)a_.push(x86::gpq(reg));
  (void)a_.sub(x86::rsp, kFrameEnd + 2 * abi::kFrame);
  (void)a_.mov(frame(kFrameThread), x86::rdx);
  const auto copy = [&](uint32_t to, size_t from) {
    (void)a_.mov(x86::rax, x86::ptr(x86::rcx, static_cast<int32_t>(from)));
    (void)a_.mov(frame(to), x86::rax);
  };
  copy(kFrameExit, offsetof(RuntimeTable, exit));
  copy(kFrameLookup, offsetof(RuntimeTable, lookup));
  copy(kFrameRecord, offsetof(RuntimeTable, record));
  for (unsigned i = 0; i < 3; ++i) copy(kFrameThunks + 8 * i, offsetof(RuntimeTable, thunks) + 8 * i);
  for (unsigned i = 0; i < 2; ++i)
    copy(kFrameRegionThunks + 8 * i, offsetof(RuntimeTable, region_thunks) + 8 * i);
  copy(kFrameMemory, offsetof(RuntimeTable, memory));
  (void)a_.mov(frame(kFrameDefault, 4), traps_ ? kTrapMxcsr : kMaskedMxcsr);
  if (traps_) (void)a_.mov(frame(kFrameUnmasked, 4), 0);
  if (traps_) (void)a_.mov(frame(kFrameMasked, 4), kMaskedMxcsr);
  (void)a_.ldmxcsr(frame(kFrameDefault, 4));
  (void)a_.mov(x86::rax, x86::rdi);
  (void)a_.lea(x86::gpq(abi::kState), x86::ptr(x86::rsi, abi::kStateBias));
  load_pins();
  (void)a_.jmp(x86::rax);
}

void Runtime::exit() {
  store_pins();
  collect_flags(abi::kFrame);
  (void)a_.mov(x86::edx, x86::ecx);
  (void)a_.add(x86::rsp, kFrameEnd + 2 * abi::kFrame);
  for (unsigned i = sizeof kSaved; i-- > 0;) (void)a_.pop(x86::gpq(kSaved[i]));
  (void)a_.ret();
}

/// An indirect jump that missed the thread's jump cache: rax and ecx are for exit(), state.pc and
/// state.mode say where to. Goes there if the map knows the block, which the cache holds from then on.
void Runtime::lookup() {
  // Registers that no guest register has; rax and rcx among them.
  x86::Gp temps[3];
  unsigned count = 0;
  for (const uint8_t reg : {2, 10, 3, 6, 7, 8, 9, 11, 12, 13, 14, 15})
    if (count < std::size(temps) && reg != abi::kState && !(pins_.mask >> reg & 1))
      temps[count++] = x86::gpq(reg);
  const x86::Gp slot = temps[0], thread = temps[1], word = temps[2], pc = x86::rcx, block = x86::rax;
  const auto in_thread = [&](int32_t offset) { return x86::ptr(thread, offset, 8); };
  const auto in_slot = [&](size_t offset, uint32_t size = 8) {
    return x86::ptr(slot, static_cast<int32_t>(offset), size);
  };
  const auto save = [](unsigned reg) { return frame(kFrameSaveGpr + 8 * reg); };
  const Label probe = a_.newLabel(), same_pc = a_.newLabel(), miss = a_.newLabel(), next = a_.newLabel();

  (void)a_.mov(save(0), x86::rax);
  (void)a_.mov(save(1), x86::rcx);
  (void)a_.mov(pc, state(offsetof(ir::CpuHeader, pc)));
  (void)a_.mov(thread, frame(kFrameThread));
  (void)a_.mov(slot, pc);
  (void)a_.shr(slot, BlockTable::kGroup);
  (void)a_.imul(slot, slot, static_cast<int32_t>(BlockTable::kFactor));
  (void)a_.shr(slot, BlockTable::kShift);
  (void)a_.and_(slot, in_thread(kThreadTableMask));
  (void)a_.add(slot, in_thread(kThreadTableSlots));
  (void)a_.mov(block, pc);
  (void)a_.and_(block, static_cast<int32_t>(BlockTable::kWithin));
  (void)a_.lea(slot, x86::ptr(slot, block, 1));

  (void)a_.bind(probe);
  (void)a_.cmp(in_slot(offsetof(BlockTable::Slot, pc)), pc);
  (void)a_.je(same_pc);
  (void)a_.bind(next);
  (void)a_.mov(block, in_slot(offsetof(BlockTable::Slot, block)));
  (void)a_.add(slot, static_cast<int32_t>(sizeof(BlockTable::Slot)));
  (void)a_.test(block, block);
  (void)a_.jnz(probe);
  (void)a_.bind(miss);
  (void)a_.mov(x86::rcx, save(1));
  (void)a_.mov(x86::rax, save(0));
  (void)a_.jmp(frame(kFrameExit));

  (void)a_.bind(same_pc);
  (void)a_.mov(block.r32(), state(offsetof(ir::CpuHeader, mode)));
  (void)a_.cmp(in_slot(offsetof(BlockTable::Slot, mode), 4), block.r32());
  (void)a_.jne(next);
  // Nor has an empty slot, whose pc is 0.
  (void)a_.cmp(in_slot(offsetof(BlockTable::Slot, entry)), 0);
  (void)a_.je(miss);
  // JumpCache::put(), unless it was taken away
  const x86::Gp cache = thread, index = block;
  (void)a_.mov(cache, in_thread(kThreadJumpCache));
  (void)a_.cmp(cache, state(offsetof(ir::CpuHeader, jump_cache)));
  (void)a_.jne(miss);
  (void)a_.mov(index.r32(), pc.r32());
  (void)a_.and_(index.r32(), ((1u << kJumpCacheBits) - 1) << 2);
  const auto entry = [&](size_t field) { return x86::ptr(cache, index, 2, static_cast<int32_t>(field), 8); };
  (void)a_.movzx(word.r32(), in_slot(offsetof(BlockTable::Slot, mode_tag), 2));
  (void)a_.lea(pc, x86::ptr(pc, word, 2));
  (void)a_.mov(entry(offsetof(JumpCacheEntry, key)), pc);
  const Label has_mode = a_.newLabel();
  if (mode_tags_) {
    // Nobody asks for the mode, whose memory would have to be touched.
    (void)a_.test(word.r32(), ir::kOtherMode);
    (void)a_.jz(has_mode);
  }
  (void)a_.mov(word.r32(), in_slot(offsetof(BlockTable::Slot, mode), 4));
  (void)a_.mov(x86::ptr(cache, index, 0, JumpCache::kModes, 4), word.r32());
  (void)a_.bind(has_mode);
  (void)a_.mov(word, in_slot(offsetof(BlockTable::Slot, entry)));
  (void)a_.mov(entry(offsetof(JumpCacheEntry, entry)), word);
  (void)a_.jmp(word);
}

/// rax: the record; the caller's rax is in its place in the frame already.
void Runtime::thunk(Thunk kind) {
  constexpr int32_t kUp = 8 + abi::kFrame;  // the return address lies below the frame
  const auto gpr = [](unsigned reg) {
    return x86::ptr(x86::rsp, kUp + static_cast<int32_t>(kFrameSaveGpr + 8 * reg));
  };
  const auto vec = [](unsigned reg) {
    return x86::ptr(x86::rsp, kUp + static_cast<int32_t>(kFrameSaveXmm + 16 * reg));
  };
  for (const uint8_t reg : kVolatile) (void)a_.mov(gpr(reg), x86::gpq(reg));
  for (unsigned reg = 0; reg < 16; ++reg) (void)a_.movaps(vec(reg), x86::xmm(reg));
  // C++ keeps no vector register.
  if (kind == Thunk::Full)
    store_pins();
  else
    store_vectors();
  const auto at = [](uint32_t offset) {
    return x86::dword_ptr(x86::rsp, kUp + static_cast<int32_t>(offset));
  };
  if (kind == Thunk::Full) collect_flags(kUp);
  if (kind == Thunk::Float) {
    (void)a_.stmxcsr(at(kFrameMxcsr));
    if (traps_) {
      // What is masked already stays as it is: to have other flags makes the next instructions wait.
      const Label masked = a_.newLabel();
      (void)a_.cmp(at(kFrameDefault), kMaskedMxcsr);
      (void)a_.je(masked);
      (void)a_.ldmxcsr(at(kFrameMasked));
      (void)a_.bind(masked);
    }
  }
  (void)a_.lea(x86::rdx, x86::ptr(x86::gpq(abi::kState), -abi::kStateBias));
  (void)a_.mov(x86::rdi, x86::rax);
  (void)a_.lea(x86::rsi, x86::ptr(x86::rsp, kUp));
  (void)a_.mov(x86::rcx, x86::ptr(x86::rsp, kUp + static_cast<int32_t>(kFrameThread)));
  (void)a_.call(x86::qword_ptr(x86::rsp, kUp + static_cast<int32_t>(kFrameRecord)));
  if (kind != Thunk::Int) (void)a_.ldmxcsr(at(kind == Thunk::Full ? kFrameDefault : kFrameMxcsr));
  for (unsigned reg = 0; reg < 16; ++reg) (void)a_.movaps(x86::xmm(reg), vec(reg));
  for (const uint8_t reg : kVolatile) (void)a_.mov(x86::gpq(reg), gpr(reg));
  (void)a_.mov(x86::rax, gpr(0));
  if (kind == Thunk::Full)
    load_pins();
  else
    load_vectors();
  (void)a_.ret();
}

/// rax: the guest's pc; the caller's rax is in its place in the frame already. Comes back, or leaves the
/// block for good as an exit that has no owner.
void Runtime::memory_thunk() {
  constexpr int32_t kUp = 8 + abi::kFrame;
  const auto at = [](uint32_t offset, uint32_t size = 8) {
    return x86::ptr(x86::rsp, kUp + static_cast<int32_t>(offset), size);
  };
  const Label leave = a_.newLabel();
  for (const uint8_t reg : kVolatile) (void)a_.mov(at(kFrameSaveGpr + 8 * reg), x86::gpq(reg));
  for (unsigned reg = 0; reg < 16; ++reg) (void)a_.movaps(at(kFrameSaveXmm + 16 * reg, 16), x86::xmm(reg));
  store_pins();
  collect_flags(kUp);
  (void)a_.lea(x86::rdx, x86::ptr(x86::gpq(abi::kState), -abi::kStateBias));
  (void)a_.mov(x86::rdi, x86::rax);
  (void)a_.lea(x86::rsi, x86::ptr(x86::rsp, kUp));
  (void)a_.mov(x86::rcx, at(kFrameThread));
  (void)a_.mov(x86::rax, reinterpret_cast<uint64_t>(access_memory));
  (void)a_.call(x86::rax);
  (void)a_.ldmxcsr(at(kFrameDefault, 4));
  (void)a_.test(x86::al, x86::al);
  for (unsigned reg = 0; reg < 16; ++reg) (void)a_.movaps(x86::xmm(reg), at(kFrameSaveXmm + 16 * reg, 16));
  for (const uint8_t reg : kVolatile) (void)a_.mov(x86::gpq(reg), at(kFrameSaveGpr + 8 * reg));
  (void)a_.mov(x86::rax, at(kFrameSaveGpr));
  // Neither restores from nor pins change the host's flags.
  load_pins();
  (void)a_.jnz(leave);
  (void)a_.ret();
  (void)a_.bind(leave);
  (void)a_.add(x86::rsp, 8);
  (void)a_.xor_(x86::eax, x86::eax);
  (void)a_.xor_(x86::ecx, x86::ecx);
  (void)a_.jmp(frame(kFrameExit));
}

void Runtime::region_thunk(RegionThunk kind) {
  constexpr uint8_t kSave[] = {0, 1, 2, 6, 7, 8, 9, 10};
  constexpr int32_t kVectors = 0, kWords = 16 * 32, kMxcsr = kWords + 8 * 8;
  constexpr int32_t kSize = kMxcsr + 8;  // with the return address a multiple of 16
  static_assert(kSize % 16 == 8);
  (void)a_.sub(x86::rsp, kSize);
  for (unsigned i = 0; i < sizeof kSave; ++i)
    (void)a_.mov(x86::ptr(x86::rsp, kWords + 8 * static_cast<int32_t>(i)), x86::gpq(kSave[i]));
  for (unsigned reg = 0; reg < 16; ++reg) {
    const x86::Mem to = x86::ptr(x86::rsp, kVectors + 32 * static_cast<int32_t>(reg));
    if (avx_)
      (void)a_.vmovups(to, x86::ymm(reg));
    else
      (void)a_.movaps(to, x86::xmm(reg));
  }
  if (kind == RegionThunk::Float) {
    const Label none = a_.newLabel();
    const x86::Mem mxcsr = x86::dword_ptr(x86::rsp, kMxcsr);
    (void)a_.stmxcsr(mxcsr);
    (void)a_.mov(x86::eax, mxcsr);
    (void)a_.test(x86::eax, denormals_ ? 0x3f : 0x3d);
    (void)a_.jz(none);
    fp_flags_of(x86::eax, x86::ecx);
    (void)a_.or_(x86::ptr(x86::rdx, offsetof(ir::CpuHeader, fp_flags)), x86::eax);
    (void)a_.bind(none);
  }
  (void)a_.mov(x86::rax, x86::ptr(x86::rsi, kFrameRecord));
  (void)a_.mov(x86::rcx, x86::ptr(x86::rsi, kFrameThread));
  if (avx_) (void)a_.vzeroupper();
  (void)a_.call(x86::rax);
  if (kind == RegionThunk::Float) {
    (void)a_.mov(x86::dword_ptr(x86::rsp, kMxcsr), kMaskedMxcsr);
    (void)a_.ldmxcsr(x86::dword_ptr(x86::rsp, kMxcsr));
  }
  for (unsigned reg = 0; reg < 16; ++reg) {
    const x86::Mem from = x86::ptr(x86::rsp, kVectors + 32 * static_cast<int32_t>(reg));
    if (avx_)
      (void)a_.vmovups(x86::ymm(reg), from);
    else
      (void)a_.movaps(x86::xmm(reg), from);
  }
  for (unsigned i = 0; i < sizeof kSave; ++i)
    (void)a_.mov(x86::gpq(kSave[i]), x86::ptr(x86::rsp, kWords + 8 * static_cast<int32_t>(i)));
  (void)a_.add(x86::rsp, kSize);
  (void)a_.ret();
}

}  // namespace

namespace {

/// A record of an image is read-only, and the same in all processes.
const interp::Code* place_record(const interp::Code* from, ThreadContext& thread) {
  auto* const to = reinterpret_cast<interp::Code*>(thread.record);
  static_assert(sizeof thread.record == 3 * sizeof *to);
  std::memcpy(static_cast<void*>(to), from, sizeof thread.record);
  const auto place = [](auto& word) {
    uint64_t value;
    std::memcpy(&value, &word, sizeof value);
    if (!(value & kDistance)) return;
    value = (value & ~kDistance) + persist::image_base();
    std::memcpy(&word, &value, sizeof value);
  };
  for (unsigned i = 0; i < 3; ++i) place(to[i].handler);
  if (to[0].handler == interp::call_helper()) place(to[0].imm);
  return to;
}

}  // namespace

interp::Handler return_handler() { return back_to_generated_code; }

bool access_memory(uint64_t pc, uint8_t* frame, uint8_t* state, ThreadContext* thread) {
  uint32_t access[2];
  std::memcpy(access, frame + kFrameAccess, sizeof access);
  ir::Inst inst;
  inst.op = static_cast<ir::Op>(access[1] >> 8);
  inst.type = static_cast<ir::Type>(access[1] & 0xff);
  inst.aux = access[0];
  interp::Code code[2];
  code[0] = {.handler = interp::select_system_memory(inst),
             .d = kFrameScratch + 96,
             .a = kFrameScratch,
             .b = kFrameScratch + 32,
             .c = kFrameScratch + 64,
             .imm = pc};
  code[0].aux = access[0] |
                ((ir::kOpEffects[static_cast<unsigned>(inst.op)] & ir::Writes) ? interp::kMemWrites : 0) |
                (inst.type == ir::Type::I8 ? interp::kMemByteResult : 0);
  code[0].extra = 0;
  code[1].handler = return_handler();
  code[0].handler(code, frame, state, thread);
  thread->current_op = nullptr;
  return thread->stop.kind != ir::ExitKind::None;
}

void run_record(const interp::Code* code, uint8_t* frame, uint8_t* state, ThreadContext* thread) {
  if (reinterpret_cast<uint64_t>(code->handler) & kDistance) [[unlikely]]
    code = place_record(code, *thread);
  code->handler(code, frame, state, thread);
  thread->current_op = nullptr;
}

void put_flags(uint8_t* state, const Pins& pins, uint64_t rflags, bool sum) {
  const auto status = static_cast<uint16_t>(status_of_rflags(rflags) ^ (sum ? ir::eval::kStatusCarry : 0));
  std::memcpy(state + pins.status, &status, sizeof status);
}

uint32_t append_flags_entry(std::vector<uint8_t>& code, uint32_t entry, const Pins& pins) {
  const size_t start = code.size();
  const auto put = [&](std::initializer_list<uint8_t> bytes) { code.insert(code.end(), bytes); };
  const auto put_word = [&](int32_t value) {
    const auto* const bytes = reinterpret_cast<const uint8_t*>(&value);
    code.insert(code.end(), bytes, bytes + sizeof value);
  };
  const int32_t field = static_cast<int32_t>(pins.status) - abi::kStateBias;
  if (pins.other_carry) put({0xf5});  // cmc
  // lahf; seto al; mov [state + field], ax
  put({0x9f, 0x0f, 0x90, 0xc0, 0x66, 0x89, 0x80 | abi::kState});
  put_word(field);
  put({0xe9});
  put_word(static_cast<int32_t>(entry - (code.size() + 4)));
  return static_cast<uint32_t>(code.size() - start);
}

RuntimeCode make_runtime(const Pins& pins, bool avx, bool denormals, bool traps, bool mode_tags) {
  return Runtime(pins, avx, denormals, traps, mode_tags).make();
}

}  // namespace lyrebird::jit::baseline
