// SPDX-License-Identifier: Apache-2.0
/// arch/x86, 64-bit programs: struct rt_sigframe (asm/sigframe.h, kernel/signal_64.c).
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/bits.h"
#include "frontend/x86/segments.h"
#include "user/abi/x86_state.h"
#include "user/signals/siginfo.h"
#include "user/signals/signal_abi.h"
#include "user/signals/x86_fp.h"
#include "user/thread.h"

namespace lyrebird::user {
namespace {

using namespace x86;

struct SigContext {
  uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
  uint64_t di, si, bp, bx, dx, ax, cx, sp, ip, flags;
  uint16_t cs, gs, fs, ss;
  uint64_t err, trapno, oldmask, cr2;
  uint64_t fpstate;
  uint64_t reserved[8];
};
static_assert(sizeof(SigContext) == 256);
struct UContext {
  uint64_t flags, link;
  uint64_t stack_sp;
  uint32_t stack_flags, pad;
  uint64_t stack_size;
  SigContext context;
  uint64_t mask;
};
struct Frame {
  uint64_t restorer;
  UContext uc;
  uint8_t info[kSigInfoSize];
};
static_assert(sizeof(Frame) == 440);

constexpr uint64_t kFpXstate = 1, kContextSs = 2, kStrictRestoreSs = 4;  // uc_flags
constexpr uint64_t kRedZone = 128;
constexpr unsigned kRegisters = 16;

/// Pairs of a register and its place.
struct Slot {
  unsigned gpr;
  uint64_t SigContext::* member;
};
constexpr Slot kSlots[] = {
    {8, &SigContext::r8},    {9, &SigContext::r9},    {10, &SigContext::r10},  {11, &SigContext::r11},
    {12, &SigContext::r12},  {13, &SigContext::r13},  {14, &SigContext::r14},  {15, &SigContext::r15},
    {kRdi, &SigContext::di}, {kRsi, &SigContext::si}, {kRbp, &SigContext::bp}, {kRbx, &SigContext::bx},
    {kRdx, &SigContext::dx}, {kRax, &SigContext::ax}, {kRcx, &SigContext::cx}, {kRsp, &SigContext::sp}};

class X86_64Signals final : public SignalAbi {
 public:
  X86_64Signals() { min_alt_stack = 2048; }

  std::span<const uint8_t> trampoline() const override {
    // mov rax, 15; syscall. Only there because every guest has one: SA_RESTORER is not optional here.
    static constexpr uint8_t kCode[] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05};
    return kCode;
  }

  bool push_frame(Thread& t, const DeliveredSignal& d) const override {
    X86State& s = x86_state(t.cpu());
    if (!(d.action.flags & kSaRestorer)) return false;
    const AltStack& alt = t.signals.alt_stack;
    uint64_t sp = s.gpr[kRsp] - kRedZone;
    if (d.action.flags & kSaOnStack && !(alt.flags_seen(sp) & (AltStack::kOnStack | AltStack::kDisable)))
      sp = alt.sp + alt.size;
    const X86FpFrame fp(s);
    const uint64_t fp_at = align_down(sp - fp.size(), 64);
    const uint64_t frame_at = align_down(fp_at - sizeof(Frame), 16) - 8;

    Frame frame{};
    frame.restorer = d.action.restorer;
    if (d.action.flags & kSaSigInfo) siginfo_to_guest(t.abi().model, d.info, frame.info);
    frame.uc.flags = (fp.extended() ? kFpXstate : 0) | kContextSs | kStrictRestoreSs;
    frame.uc.stack_sp = alt.sp;
    frame.uc.stack_flags = alt.flags;
    frame.uc.stack_size = alt.size;
    frame.uc.mask = d.saved_mask;
    SigContext& c = frame.uc.context;
    for (const Slot& slot : kSlots) c.*slot.member = s.gpr[slot.gpr];
    c.ip = s.header.pc;
    c.flags = eflags(s);
    c.cs = s.cs.selector;
    c.ss = s.ss.selector;
    c.err = error_of(t.signals.fault_syndrome);
    c.trapno = trap_of(t.signals.fault_syndrome);
    c.cr2 = t.signals.fault_address;
    c.oldmask = d.saved_mask;
    c.fpstate = fp_at;
    const std::vector<uint8_t> image = fp.save(s, kRegisters);
    if (!t.memory().write(fp_at, image.data(), image.size()) || !t.memory().put(frame_at, frame))
      return false;

    s.gpr[kRdi] = static_cast<uint64_t>(d.signal);
    s.gpr[kRax] = 0;
    s.gpr[kRsi] = frame_at + offsetof(Frame, info);
    s.gpr[kRdx] = frame_at + offsetof(Frame, uc);
    s.gpr[kRsp] = frame_at;
    s.header.pc = d.action.handler;
    enter_handler(s);
    return true;
  }

  bool pop_frame(Thread& t, FrameKind, RestoredFrame& out, uint64_t& bad_address) const override {
    X86State& s = x86_state(t.cpu());
    const uint64_t frame_at = s.gpr[kRsp] - 8;
    bad_address = frame_at;
    Frame frame;
    if (!t.memory().get(frame_at, frame)) return false;
    const SigContext& c = frame.uc.context;
    if (c.fpstate) {
      if (!X86FpFrame(s).restore(t, c.fpstate, s, kRegisters)) return bad_address = c.fpstate, false;
    } else {
      reset_x86_fp(s);
    }
    for (const Slot& slot : kSlots) s.gpr[slot.gpr] = c.*slot.member;
    s.header.pc = c.ip;
    set_frame_flags(s, static_cast<uint32_t>(c.flags));
    out.mask = frame.uc.mask;
    out.alt_stack = {frame.uc.stack_sp, frame.uc.stack_size, frame.uc.stack_flags};
    return true;
  }

  FaultSignal fault_signal(ir::CpuHeader& cpu, const accel::Exit& exit, int signal, int code) const override {
    return x86_fault_signal(cpu, exit, signal, code, true);
  }
};

}  // namespace

const SignalAbi& x86_64_signals() {
  static const X86_64Signals abi;
  return abi;
}

}  // namespace lyrebird::user
