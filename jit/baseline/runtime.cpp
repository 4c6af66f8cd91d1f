// SPDX-License-Identifier: Apache-2.0
#include "jit/baseline/runtime.h"

#include <asmjit/x86.h>

#include "jit/abi.h"
#include "jit/baseline/frame.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;

namespace {

constexpr uint32_t kDefaultMxcsr = 0x1f80;
// Registers that a C++ function may change and generated code may use, but for rax.
constexpr uint8_t kVolatile[] = {1, 2, 6, 7, 8, 9, 10, 11};

using interp::Code;
LYREBIRD_HANDLER_ABI void back_to_generated_code(LYREBIRD_HANDLER_ARGS) {}

class Runtime {
 public:
  explicit Runtime(const Pins& pins) : pins_(pins) {
    (void)holder_.init(Environment(Arch::kX64));
    (void)holder_.attach(&a_);
  }

  RuntimeCode make() {
    RuntimeCode code;
    code.enter = start();
    enter();
    code.exit = start();
    exit();
    for (unsigned i = 0; i < 3; ++i) {
      code.thunks[i] = start();
      thunk(static_cast<Thunk>(i));
    }
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
  void thunk(Thunk kind);
  void load_pins() {
    for (const Pin& pin : pins_.pins) (void)a_.mov(x86::gpq(pin.reg), state(pin.offset));
  }
  void store_pins() {
    for (const Pin& pin : pins_.pins) (void)a_.mov(state(pin.offset), x86::gpq(pin.reg));
  }
  /// FP flags from MXCSR to the state; changes rsi and r8. `up`: bytes from rsp to the frame.
  void collect_flags(int32_t up) {
    const Label none = a_.newLabel();
    static_assert(abi::kState != 6 && abi::kState != 8);
    (void)a_.stmxcsr(x86::dword_ptr(x86::rsp, up + static_cast<int32_t>(kFrameMxcsr)));
    (void)a_.mov(x86::esi, x86::dword_ptr(x86::rsp, up + static_cast<int32_t>(kFrameMxcsr)));
    (void)a_.test(x86::esi, 0x3d);
    (void)a_.jz(none);
    (void)a_.mov(x86::r8d, x86::esi);
    (void)a_.and_(x86::r8d, 1);
    (void)a_.shr(x86::esi, 1);
    (void)a_.and_(x86::esi, 0x1e);
    (void)a_.or_(x86::esi, x86::r8d);
    (void)a_.or_(state(offsetof(ir::CpuHeader, fp_flags)), x86::esi);
    (void)a_.bind(none);
  }

  const Pins& pins_;
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
  copy(kFrameRecord, offsetof(RuntimeTable, record));
  for (unsigned i = 0; i < 3; ++i) copy(kFrameThunks + 8 * i, offsetof(RuntimeTable, thunks) + 8 * i);
  (void)a_.mov(frame(kFrameDefault, 4), kDefaultMxcsr);
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
  if (kind == Thunk::Full) store_pins();
  if (kind != Thunk::Int) collect_flags(kUp);
  (void)a_.lea(x86::rdx, x86::ptr(x86::gpq(abi::kState), -abi::kStateBias));
  (void)a_.mov(x86::rdi, x86::rax);
  (void)a_.lea(x86::rsi, x86::ptr(x86::rsp, kUp));
  (void)a_.mov(x86::rcx, x86::ptr(x86::rsp, kUp + static_cast<int32_t>(kFrameThread)));
  (void)a_.call(x86::qword_ptr(x86::rsp, kUp + static_cast<int32_t>(kFrameRecord)));
  if (kind != Thunk::Int)
    (void)a_.ldmxcsr(x86::dword_ptr(x86::rsp, kUp + static_cast<int32_t>(kFrameDefault)));
  for (unsigned reg = 0; reg < 16; ++reg) (void)a_.movaps(x86::xmm(reg), vec(reg));
  for (const uint8_t reg : kVolatile) (void)a_.mov(x86::gpq(reg), gpr(reg));
  (void)a_.mov(x86::rax, gpr(0));
  if (kind == Thunk::Full) load_pins();
  (void)a_.ret();
}

}  // namespace

interp::Handler return_handler() { return back_to_generated_code; }

void run_record(const interp::Code* code, uint8_t* frame, uint8_t* state, ThreadContext* thread) {
  code->handler(code, frame, state, thread);
  thread->current_op = nullptr;
}

RuntimeCode make_runtime(const Pins& pins) { return Runtime(pins).make(); }

}  // namespace lyrebird::jit::baseline
