// SPDX-License-Identifier: Apache-2.0
#include "jit/direct/runtime.h"

#include <asmjit/x86.h>
#include <sys/auxv.h>

namespace lyrebird::jit::direct {

using namespace asmjit;

namespace {

constexpr uint8_t kSaved[] = {3, 5, 12, 13, 14, 15};
constexpr uint32_t kDefaultMxcsr = 0x1f80;

class Runtime {
 public:
  explicit Runtime(bool avx) : avx_(avx) {
    (void)holder_.init(Environment(Arch::kX64));
    (void)holder_.attach(&a_);
  }

  RuntimeCode make() {
    RuntimeCode code;
    code.enter = start();
    enter();
    code.miss = start();
    (void)a_.mov(area(gpr(0)), x86::rax);
    (void)a_.mov(x86::eax, 0);  // the flags are the guest's
    (void)a_.mov(x86::ecx, 0);
    code.exit = start();
    exit();
    code.bytes.assign(a_.bufferData(), a_.bufferData() + a_.offset());
    return code;
  }

 private:
  // No gaps: what falls from one into the next is one instruction behind the other.
  uint32_t start() { return static_cast<uint32_t>(a_.offset()); }
  static x86::Mem area(size_t offset, uint32_t size = 8) {
    x86::Mem m = x86::ptr(static_cast<uint64_t>(offset), size);
    m.setSegment(x86::gs);
    m.setAbs();
    return m;
  }
  static size_t gpr(unsigned reg) { return offsetof(Area, gpr) + 8 * reg; }
  static size_t vector(unsigned reg) { return offsetof(Area, vectors) + 32 * reg; }

  void enter() {
    for (const uint8_t reg : kSaved) (void)a_.push(x86::gpq(reg));
    (void)a_.sub(x86::rsp, 8);
    (void)a_.mov(area(offsetof(Area, host_sp)), x86::rsp);
    for (unsigned reg = 0; reg < 16; ++reg) {
      if (avx_)
        (void)a_.vmovups(x86::ymm(reg), area(vector(reg), 32));
      else
        (void)a_.movups(x86::xmm(reg), area(vector(reg), 16));
    }
    (void)a_.ldmxcsr(area(offsetof(Area, mxcsr), 4));
    (void)a_.push(area(offsetof(Area, flags)));
    (void)a_.popfq();
    for (unsigned reg = 0; reg < 16; ++reg)
      if (reg != 4) (void)a_.mov(x86::gpq(reg), area(gpr(reg)));
    (void)a_.mov(x86::rsp, area(gpr(4)));
    (void)a_.jmp(area(offsetof(Area, entry)));
  }

  void exit() {
    for (unsigned reg = 2; reg < 16; ++reg) (void)a_.mov(area(gpr(reg)), x86::gpq(reg));
    (void)a_.mov(x86::rsp, area(offsetof(Area, host_sp)));
    (void)a_.pushfq();
    (void)a_.pop(area(offsetof(Area, flags)));
    (void)a_.cld();
    (void)a_.stmxcsr(area(offsetof(Area, mxcsr), 4));
    for (unsigned reg = 0; reg < 16; ++reg) {
      if (avx_)
        (void)a_.vmovups(area(vector(reg), 32), x86::ymm(reg));
      else
        (void)a_.movups(area(vector(reg), 16), x86::xmm(reg));
    }
    if (avx_) (void)a_.vzeroupper();
    (void)a_.mov(x86::dword_ptr(x86::rsp), kDefaultMxcsr);
    (void)a_.ldmxcsr(x86::dword_ptr(x86::rsp));
    (void)a_.mov(x86::edx, x86::ecx);
    (void)a_.add(x86::rsp, 8);
    for (unsigned i = sizeof kSaved; i-- > 0;) (void)a_.pop(x86::gpq(kSaved[i]));
    (void)a_.ret();
  }

  const bool avx_;
  CodeHolder holder_;
  x86::Assembler a_;
};

}  // namespace

RuntimeCode make_runtime(bool avx) { return Runtime(avx).make(); }

bool host_has_gs() {
  constexpr unsigned long kFsGsBase = 1 << 1;  // HWCAP2_FSGSBASE
  return (getauxval(AT_HWCAP2) & kFsGsBase) != 0;
}

}  // namespace lyrebird::jit::direct
