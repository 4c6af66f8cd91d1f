// SPDX-License-Identifier: Apache-2.0
/// arch/x86, 32-bit programs: struct sigframe and rt_sigframe (asm/sigframe.h, kernel/signal_32.c).
#include <cstddef>
#include <cstring>

#include "base/bits.h"
#include "frontend/x86/segments.h"
#include "user/abi/x86_state.h"
#include "user/abi/x86_vdso.h"
#include "user/signals/siginfo.h"
#include "user/signals/signal_abi.h"
#include "user/signals/x86_fp.h"
#include "user/thread.h"

namespace lyrebird::user {
namespace {

using namespace x86;

struct SigContext {
  uint32_t gs, fs, es, ds;
  uint32_t di, si, bp, sp, bx, dx, cx, ax;
  uint32_t trapno, err, ip, cs, flags, sp_at_signal, ss;
  uint32_t fpstate, oldmask, cr2;
};
static_assert(sizeof(SigContext) == 88);
constexpr unsigned kFsaveSize = 112, kUnusedFpState = 624;
struct OldFrame {
  uint32_t restorer, signal;
  SigContext context;
  uint8_t unused[kUnusedFpState];
  uint32_t more_mask;
  uint8_t code[8];
};
struct UContext {
  uint32_t flags, link;
  uint32_t stack_sp, stack_flags, stack_size;
  SigContext context;
  uint32_t mask[2];
};
struct Frame {
  uint32_t restorer, signal, info_at, context_at;
  uint8_t info[kSigInfoSize];
  UContext uc;
  uint8_t code[8];
};
static_assert(sizeof(UContext) == 116 && sizeof(OldFrame) == 732);

constexpr uint32_t kFpXstate = 1;  // uc_flags
constexpr unsigned kRegisters = 8;
// popl eax; movl 119, eax; int 0x80 and movl 173, eax; int 0x80: debuggers look for them in the frame.
constexpr uint8_t kOldCode[8] = {0x58, 0xb8, 119, 0, 0, 0, 0xcd, 0x80};
constexpr uint8_t kCode[8] = {0xb8, 173, 0, 0, 0, 0xcd, 0x80, 0};

struct Slot {
  unsigned gpr;
  uint32_t SigContext::* member;
};
constexpr Slot kSlots[] = {{kRdi, &SigContext::di}, {kRsi, &SigContext::si}, {kRbp, &SigContext::bp},
                           {kRsp, &SigContext::sp}, {kRbx, &SigContext::bx}, {kRdx, &SigContext::dx},
                           {kRcx, &SigContext::cx}, {kRax, &SigContext::ax}};

/// struct _fpregs_ia32: FSAVE's image with the exceptions' word at its end (fpu/regset.c,
/// convert_from_fxsr()).
struct Fsave {
  uint32_t control, status, tags, ip, cs, dp, ds;
  uint8_t st[8][10];
  uint16_t status_copy, magic;
};
static_assert(sizeof(Fsave) == kFsaveSize);

Fsave fsave_of(const X86State& s) {
  Fsave f{};
  f.control = 0xffff0000 | s.x87_control;
  f.status = 0xffff0000 | x87_status(s);
  f.tags = 0xffff0000 | x87_tags(s);
  f.ip = static_cast<uint32_t>(s.x87_ip);
  f.cs = uint32_t{s.x87_opcode} << 16 | kUserCode32;
  f.dp = static_cast<uint32_t>(s.x87_dp);
  f.ds = 0xffff0000 | kUserData;
  const unsigned top = x87_status(s) >> 11 & 7;
  for (unsigned i = 0; i < 8; ++i) std::memcpy(f.st[i], s.x87[(top + i) & 7], 10);
  f.status_copy = x87_status(s);
  return f;
}

void take_fsave(X86State& s, const Fsave& f) {
  set_x87_control(s, static_cast<uint16_t>(f.control));
  set_x87_status(s, static_cast<uint16_t>(f.status));
  set_x87_tags(s, static_cast<uint16_t>(f.tags));
  s.x87_ip = f.ip;
  s.x87_dp = f.dp;
  s.x87_opcode = f.cs >> 16 & 0x7ff;
  const unsigned top = f.status >> 11 & 7;
  for (unsigned i = 0; i < 8; ++i) std::memcpy(s.x87[(top + i) & 7], f.st[i], 10);
}

uint32_t low(uint64_t value) { return static_cast<uint32_t>(value); }

class I386Signals final : public SignalAbi {
 public:
  I386Signals() { min_alt_stack = 2048; }

  std::span<const uint8_t> trampoline() const override { return kCode; }

  bool push_frame(Thread& t, const DeliveredSignal& d) const override {
    X86State& s = x86_state(t.cpu());
    const AltStack& alt = t.signals.alt_stack;
    uint64_t sp = low(s.gpr[kRsp]);
    if (d.action.flags & kSaOnStack && !(alt.flags_seen(sp) & (AltStack::kOnStack | AltStack::kDisable)))
      sp = alt.sp + alt.size;
    const X86FpFrame fp(s);
    const uint64_t fxsave_at = align_down(sp - fp.size(), 64), fp_at = fxsave_at - kFsaveSize;
    Fsave fsave = fsave_of(s);
    // Tells that the FXSAVE image follows.
    fsave.magic = 0;
    const std::vector<uint8_t> image = fp.save(s, kRegisters);
    if (!t.memory().put(fp_at, fsave) || !t.memory().write(fxsave_at, image.data(), image.size()))
      return false;

    SigContext c{};
    for (const Slot& slot : kSlots) c.*slot.member = low(s.gpr[slot.gpr]);
    c.gs = s.gs.selector, c.fs = s.fs.selector, c.es = s.es.selector, c.ds = s.ds.selector;
    c.cs = s.cs.selector, c.ss = s.ss.selector;
    c.trapno = trap_of(t.signals.fault_syndrome);
    c.err = error_of(t.signals.fault_syndrome);
    c.cr2 = low(t.signals.fault_address);
    c.ip = low(s.header.pc - s.cs.base);
    c.flags = eflags(s);
    c.sp_at_signal = c.sp;
    c.fpstate = low(fp_at);
    c.oldmask = low(d.saved_mask);
    const bool done = d.action.flags & kSaSigInfo ? push_new(t, d, c, fp, fp_at) : push_old(t, d, c, fp_at);
    if (!done) return false;
    load_segment(s, Segment::DS, kUserData);
    load_segment(s, Segment::ES, kUserData);
    load_segment(s, Segment::SS, kUserData);
    load_code_segment(s, kUserCode32, 0);
    s.header.pc = d.action.handler;
    enter_handler(s);
    return true;
  }

  bool pop_frame(Thread& t, FrameKind kind, RestoredFrame& out, uint64_t& bad_address) const override {
    X86State& s = x86_state(t.cpu());
    SigContext c;
    if (kind == FrameKind::Old) {
      OldFrame frame;
      bad_address = low(s.gpr[kRsp] - 8);  // return address and argument are popped
      if (!t.memory().get(bad_address, frame)) return false;
      c = frame.context;
      out.mask = c.oldmask | uint64_t{frame.more_mask} << 32;
    } else {
      Frame frame;
      bad_address = low(s.gpr[kRsp] - 4);
      if (!t.memory().get(bad_address, frame)) return false;
      c = frame.uc.context;
      out.mask = frame.uc.mask[0] | uint64_t{frame.uc.mask[1]} << 32;
      out.alt_stack = {frame.uc.stack_sp, frame.uc.stack_size, frame.uc.stack_flags};
    }
    return take_context(t, s, c, bad_address);
  }

  FaultSignal fault_signal(ir::CpuHeader& cpu, const accel::Exit& exit, int signal, int code) const override {
    return x86_fault_signal(cpu, exit, signal, code, false);
  }

 private:
  /// A handler starts as if called: sp + 4 is a multiple of 16.
  static uint64_t frame_place(uint64_t top, size_t size) { return align_down(top - size + 4, 16) - 4; }

  static bool push_old(Thread& t, const DeliveredSignal& d, const SigContext& c, uint64_t top) {
    X86State& s = x86_state(t.cpu());
    const uint64_t at = frame_place(top, sizeof(OldFrame));
    OldFrame frame{};
    frame.restorer = d.action.flags & kSaRestorer ? low(d.action.restorer)
                                                  : low(t.process.program.vdso + i386_vdso().sigreturn);
    frame.signal = static_cast<uint32_t>(d.signal);
    frame.context = c;
    frame.more_mask = static_cast<uint32_t>(d.saved_mask >> 32);
    std::memcpy(frame.code, kOldCode, sizeof frame.code);
    if (!t.memory().put(at, frame)) return false;
    s.gpr[kRax] = frame.signal;
    s.gpr[kRdx] = s.gpr[kRcx] = 0;
    s.gpr[kRsp] = at;
    return true;
  }

  static bool push_new(Thread& t, const DeliveredSignal& d, const SigContext& c, const X86FpFrame& fp,
                       uint64_t top) {
    X86State& s = x86_state(t.cpu());
    const uint64_t at = frame_place(top, sizeof(Frame));
    const AltStack& alt = t.signals.alt_stack;
    Frame frame{};
    frame.restorer =
        d.action.flags & kSaRestorer ? low(d.action.restorer) : low(t.process.program.sigreturn_trampoline);
    frame.signal = static_cast<uint32_t>(d.signal);
    frame.info_at = low(at + offsetof(Frame, info));
    frame.context_at = low(at + offsetof(Frame, uc));
    siginfo_to_guest(t.abi().model, d.info, frame.info);
    frame.uc.flags = fp.extended() ? kFpXstate : 0;
    frame.uc.stack_sp = low(alt.sp);
    frame.uc.stack_flags = alt.flags;
    frame.uc.stack_size = low(alt.size);
    frame.uc.context = c;
    frame.uc.mask[0] = low(d.saved_mask);
    frame.uc.mask[1] = static_cast<uint32_t>(d.saved_mask >> 32);
    std::memcpy(frame.code, kCode, sizeof frame.code);
    if (!t.memory().put(at, frame)) return false;
    s.gpr[kRax] = frame.signal;
    s.gpr[kRdx] = frame.info_at;
    s.gpr[kRcx] = frame.context_at;
    s.gpr[kRsp] = at;
    return true;
  }

  static bool take_context(Thread& t, X86State& s, const SigContext& c, uint64_t& bad_address) {
    if (c.fpstate) {
      Fsave fsave;
      bad_address = c.fpstate;
      if (!t.memory().get(c.fpstate, fsave) ||
          !X86FpFrame(s).restore(t, c.fpstate + kFsaveSize, s, kRegisters))
        return false;
      take_fsave(s, fsave);
    } else {
      reset_x86_fp(s);
    }
    for (const Slot& slot : kSlots) s.gpr[slot.gpr] = c.*slot.member;
    set_frame_flags(s, c.flags);
    bad_address = low(s.header.pc);
    const struct {
      Segment segment;
      uint32_t selector;
    } kSegments[] = {{Segment::GS, c.gs}, {Segment::FS, c.fs}, {Segment::ES, c.es}, {Segment::DS, c.ds}};
    for (const auto& [segment, selector] : kSegments)
      if (load_segment(s, segment, static_cast<uint16_t>(selector)) != SegmentFault::None)
        load_segment(s, segment, 0);
    const auto code = static_cast<uint16_t>(c.cs | 3), stack = static_cast<uint16_t>(c.ss | 3);
    if (load_code_segment(s, code, c.ip) != SegmentFault::None ||
        load_segment(s, Segment::SS, stack) != SegmentFault::None)
      return false;
    s.header.pc = s.cs.base + c.ip;
    return true;
  }
};

}  // namespace

const SignalAbi& i386_signals() {
  static const I386Signals abi;
  return abi;
}

}  // namespace lyrebird::user
