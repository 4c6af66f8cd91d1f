// SPDX-License-Identifier: Apache-2.0
/// arch/arm64: struct rt_sigframe and what a fault becomes (signal.c, fault.c, traps.c).
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/bits.h"
#include "frontend/arm/a64_mode.h"
#include "frontend/arm/a64_state.h"
#include "user/signals/siginfo.h"
#include "user/signals/signal_abi.h"
#include "user/thread.h"

namespace lyrebird::user {

namespace {

using arm::A64State;

A64State& state_of(ir::CpuHeader& cpu) { return reinterpret_cast<A64State&>(cpu); }

constexpr uint32_t kFpsimdMagic = 0x46508001;
constexpr uint32_t kEsrMagic = 0x45535201;

struct RecordHead {
  uint32_t magic, size;
};
struct FpsimdRecord {
  RecordHead head;
  uint32_t fpsr, fpcr;
  uint8_t v[32][16];
};
static_assert(sizeof(FpsimdRecord) == 528);
struct EsrRecord {
  RecordHead head;
  uint64_t esr;
};

struct SigContext {
  uint64_t fault_address;
  uint64_t regs[31];
  uint64_t sp, pc, pstate;
  alignas(16) uint8_t records[4096];
};
struct UContext {
  uint64_t flags, link;
  uint64_t stack_sp;
  uint32_t stack_flags, pad;
  uint64_t stack_size;
  uint64_t mask;
  uint8_t unused[1024 / 8 - sizeof(uint64_t)];
  SigContext context;
};
static_assert(offsetof(UContext, context) == 176 && sizeof(SigContext) == 4384);
struct Frame {
  uint8_t info[kSigInfoSize];
  UContext uc;
};
static_assert(sizeof(Frame) == 4688);
struct FrameRecord {
  uint64_t fp, lr;
};

// PSTATE as SPSR_EL1 has it.
constexpr unsigned kBtypeShift = 10;
constexpr uint32_t kBtypeMask = 3u << kBtypeShift;
constexpr uint64_t kDaif = 0x3c0;
constexpr uint64_t kAarch32 = 0x10;  // M[4]; the other mode bits are not the program's to choose
constexpr unsigned kBtypeCall = 2;   // what BLR leaves: a handler starts with a landing pad

// The three records, the last an empty one. sizeof is not the frame's size: 4096 bytes are reserved.
size_t write_records(uint8_t* to, const A64State& s, uint64_t esr) {
  FpsimdRecord fpsimd{{kFpsimdMagic, sizeof fpsimd}, arm::fpsr(s), s.fpcr, {}};
  std::memcpy(fpsimd.v, s.v, sizeof fpsimd.v);
  std::memcpy(to, &fpsimd, sizeof fpsimd);
  size_t size = sizeof fpsimd;
  if (esr) {
    const EsrRecord record{{kEsrMagic, sizeof record}, esr};
    std::memcpy(to + size, &record, sizeof record);
    size += sizeof record;
  }
  std::memset(to + size, 0, sizeof(RecordHead));
  return size + sizeof(RecordHead);
}

// parse_user_sigframe(): exactly one FPSIMD record, known magics, a terminator.
bool find_fpsimd(const uint8_t (&records)[4096], FpsimdRecord& out) {
  bool found = false;
  for (size_t offset = 0;;) {
    RecordHead head;
    if (sizeof records - offset < sizeof head || !is_aligned(offset, 16)) return false;
    std::memcpy(&head, records + offset, sizeof head);
    if (head.magic == 0) return head.size == 0 && found;
    if (head.size < sizeof head || sizeof records - offset < head.size) return false;
    if (head.magic == kFpsimdMagic) {
      if (found || head.size < sizeof out) return false;
      std::memcpy(&out, records + offset, sizeof out);
      found = true;
    } else if (head.magic != kEsrMagic) {
      return false;
    }
    offset += head.size;
  }
}

// ESR_EL1 (DDI 0487, D17.2.37): exception class, IL, and for aborts the fault status code.
constexpr uint64_t kIl = 1u << 25;
constexpr uint64_t esr_of(unsigned ec, uint64_t iss) { return uint64_t{ec} << 26 | kIl | iss; }
constexpr unsigned kEcInstructionAbort = 0x20, kEcDataAbort = 0x24, kEcPcAlignment = 0x22;
constexpr unsigned kTranslationLevel3 = 0x07, kPermissionLevel3 = 0x0f, kAlignment = 0x21;
constexpr uint64_t kWriteNotRead = 1u << 6;

uint64_t untagged(uint64_t address) { return bit(address, 55) ? address : address & low_mask(56); }

FaultSignal abort_signal(unsigned ec, const ir::CpuHeader& cpu, uint64_t address, int signal, int code) {
  FaultSignal f;
  f.signal = signal, f.code = code;
  f.address = f.fault_address = untagged(address);
  f.recorded = true;
  const uint64_t write = cpu.fault_access == static_cast<uint32_t>(ir::Access::Write) ? kWriteNotRead : 0;
  const bool permission = signal == SIGSEGV && code == SEGV_ACCERR;
  f.fault_syndrome = esr_of(ec, write | (permission ? kPermissionLevel3 : kTranslationLevel3));
  return f;
}

class Aarch64Signals final : public SignalAbi {
 public:
  Aarch64Signals() { min_alt_stack = 5120; }

  std::span<const uint8_t> trampoline() const override {
    // mov x8, #139; svc #0: unwinders know a signal frame by these two.
    static constexpr uint8_t kCode[] = {0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4};
    return kCode;
  }

  bool push_frame(Thread& t, const DeliveredSignal& d) const override {
    A64State& s = state_of(t.cpu());
    AltStack& alt = t.signals.alt_stack;
    uint64_t sp = s.sp;
    if (d.action.flags & kSaOnStack && !(alt.flags_seen(s.sp) & (AltStack::kOnStack | AltStack::kDisable)))
      sp = alt.sp + alt.size;

    const uint64_t record_at = align_down(sp - sizeof(FrameRecord), 16);
    const uint64_t frame_at = record_at - align_up(sizeof(Frame), 16);
    const FrameRecord record{s.x[29], s.x[30]};

    Frame frame;
    std::memset(&frame, 0, offsetof(Frame, uc.context.records));
    if (d.action.flags & kSaSigInfo) siginfo_to_guest(t.abi().model, d.info, frame.info);
    frame.uc.stack_sp = alt.sp;
    frame.uc.stack_flags = alt.flags;
    frame.uc.stack_size = alt.size;
    frame.uc.mask = d.saved_mask;
    SigContext& c = frame.uc.context;
    c.fault_address = t.signals.fault_address;
    std::copy(std::begin(s.x), std::end(s.x), c.regs);
    c.sp = s.sp;
    c.pc = s.header.pc;
    c.pstate = arm::pstate(s);
    const size_t used =
        offsetof(Frame, uc.context.records) + write_records(c.records, s, t.signals.fault_syndrome);
    // The kernel writes only what it fills; the rest of the reserved space keeps its old bytes,
    // but must be writable as the whole frame is checked.
    if (!t.memory().put(record_at, record) || !t.memory().write(frame_at, &frame, used)) return false;

    s.x[0] = static_cast<uint64_t>(d.signal);
    if (d.action.flags & kSaSigInfo) {
      s.x[1] = frame_at;
      s.x[2] = frame_at + offsetof(Frame, uc);
    }
    s.sp = frame_at;
    s.x[29] = record_at;
    s.x[30] = d.action.flags & kSaRestorer ? d.action.restorer : t.process.program.sigreturn_trampoline;
    s.header.pc = d.action.handler;
    arm::set_pstate(s, (arm::pstate(s) & ~kBtypeMask) | kBtypeCall << kBtypeShift);
    s.header.exclusive_size = 0;
    return true;
  }

  bool pop_frame(Thread& t, FrameKind, RestoredFrame& out, uint64_t& bad_address) const override {
    A64State& s = state_of(t.cpu());
    Frame frame;
    FpsimdRecord fpsimd;
    bad_address = s.sp;
    if (!is_aligned(s.sp, 16) || !t.memory().get(s.sp, frame)) return false;
    const SigContext& c = frame.uc.context;
    if (c.pstate & (kAarch32 | kDaif) || !find_fpsimd(c.records, fpsimd)) return false;

    std::copy(std::begin(c.regs), std::end(c.regs), s.x);
    s.sp = c.sp;
    s.header.pc = c.pc;
    arm::set_pstate(s, static_cast<uint32_t>(c.pstate));
    std::memcpy(s.v, fpsimd.v, sizeof s.v);
    arm::set_fpcr(s, fpsimd.fpcr);
    arm::set_fpsr(s, fpsimd.fpsr);
    s.header.exclusive_size = 0;

    out.mask = frame.uc.mask;
    out.alt_stack = {frame.uc.stack_sp, frame.uc.stack_size, frame.uc.stack_flags};
    return true;
  }

  FaultSignal fault_signal(ir::CpuHeader& cpu, const accel::Exit& exit, int signal, int code) const override {
    FaultSignal f;
    f.address = cpu.pc;
    switch (exit.kind) {
      case ir::ExitKind::MemoryFault:
        return abort_signal(kEcDataAbort, cpu, cpu.fault_address, signal, code);
      case ir::ExitKind::FetchFault:
        if (!is_aligned(cpu.pc, 4)) {
          f.signal = SIGBUS, f.code = BUS_ADRALN;
          f.recorded = true;
          f.fault_syndrome = esr_of(kEcPcAlignment, 0);
          return f;
        }
        return abort_signal(kEcInstructionAbort, cpu, cpu.pc, signal, code);
      case ir::ExitKind::Unaligned:
        f.signal = SIGBUS, f.code = BUS_ADRALN;
        f.address = f.fault_address = untagged(cpu.fault_address);
        f.fault_syndrome = esr_of(
            kEcDataAbort,
            kAlignment | (cpu.fault_access == static_cast<uint32_t>(ir::Access::Write) ? kWriteNotRead : 0));
        f.recorded = true;
        return f;
      case ir::ExitKind::Breakpoint:
        f.signal = SIGTRAP, f.code = TRAP_BRKPT;
        return f;
      case ir::ExitKind::AuthFailure:
        f.signal = SIGILL, f.code = ILL_ILLOPN;
        return f;
      default:  // Undefined, BranchTarget: force_signal_inject(SIGILL, ILL_ILLOPC, pc, 0)
        f.signal = SIGILL, f.code = ILL_ILLOPC;
        f.recorded = true;
        return f;
    }
  }
};

}  // namespace

const SignalAbi& aarch64_signals() {
  static const Aarch64Signals abi;
  return abi;
}

}  // namespace lyrebird::user
