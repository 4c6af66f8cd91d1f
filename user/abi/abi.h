// SPDX-License-Identifier: Apache-2.0
/// Everything that makes one guest's Linux differ from another's: syscall numbers, flag values,
/// struct layouts, and how the kernel ABI uses the CPU's registers. One object per guest ISA.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "accel/vcpu.h"
#include "base/result.h"
#include "frontend/frontend.h"
#include "ir/cpu_header.h"
#include "user/abi/data_model.h"

namespace lyrebird::user {

class Process;
class SignalAbi;
struct Program;
class Thread;
struct SyscallRow;

/// Pairs of (guest bit, host bit); bits without a row are the same on both sides.
struct FlagPair {
  uint32_t guest, host;
};
using FlagMap = std::span<const FlagPair>;
uint64_t flags_to_host(FlagMap map, uint64_t guest);
uint64_t flags_to_guest(FlagMap map, uint64_t host);

/// A system call as the guest's registers say it.
struct SyscallFrame {
  uint64_t number = 0;
  std::array<uint64_t, 6> args{};
};

/// A request to a debugger that programs for bare machines make with an instruction of their own.
struct SemihostingCall {
  uint64_t operation = 0, argument = 0;
};

using StatePtr = std::unique_ptr<ir::CpuHeader, void (*)(ir::CpuHeader*)>;

/// What -cpu asked for became this: shared by all threads of the process.
struct CpuChoice {
  std::unique_ptr<frontend::Frontend> frontend;
  uint64_t hwcap = 0;
  uint64_t hwcap2 = 0;
  std::string platform;  ///< AT_PLATFORM
};

/// ExitKind::Syscall's detail when the vDSO asks: answered without a trace and without signals.
inline constexpr uint64_t kVdsoCall = 0x4c59;

/// What a stop of the guest means.
enum class CallKind { None, Syscall, Vdso };

class Abi {
 public:
  virtual ~Abi() = default;

  const char* name = "";     ///< as in lyrebird-NAME
  const char* machine = "";  ///< uname -m
  uint16_t elf_machine = 0;
  DataModel model;
  std::span<const SyscallRow* const> syscalls;  ///< by number, nullptr where the ABI has none
  FlagMap open_flags;
  uint64_t prot_guarded = 0;   ///< mmap prot bit for branch protection (Arm PROT_BTI), 0: none
  bool coherent_code = false;  ///< code changes as soon as its bytes do, without a word from the guest
  /// A program without PT_GNU_STACK is of a time when all that could be read could be executed.
  bool old_programs_execute_data = false;
  std::string_view maps_end;      ///< lines of /proc/self/maps behind all mappings
  bool has_low_mappings = false;  ///< mmap knows MAP_32BIT
  unsigned syscall_insn_size = 4;
  const char* default_cpu = "max";   ///< without -cpu
  bool ignores_top_byte = false;     ///< of data addresses (Arm TBI)
  unsigned min_signal_stack = 2048;  ///< AT_MINSIGSTKSZ
  /// Programs of the host itself are of this kind, so what a file is does not tell where it belongs.
  bool is_host_like() const;
  bool aligned_pairs = false;  ///< 64-bit arguments start at an even register (32-bit Arm, PowerPC)
  /// Struct layouts that are not what DataModel makes of the common description.
  virtual const StructDesc& desc(const StructDesc& common) const {
    return model.word == 4 && common.narrow ? *common.narrow : common;
  }

  virtual Result<CpuChoice> create_cpu(const std::string& model) const = 0;
  /// Names that -cpu takes, each with a few words on it: lines for `-cpu help`.
  virtual std::vector<std::string> cpu_names() const = 0;
  /// A copy of `from`, or the state at execve if null.
  virtual StatePtr create_state(const ir::CpuHeader* from) const = 0;
  /// Registers at the first instruction after execve.
  virtual void set_start(ir::CpuHeader& cpu, uint64_t pc, uint64_t sp) const = 0;

  /// Whether the guest stopped to call its kernel; pc is behind the instruction.
  virtual CallKind call_kind(const ir::CpuHeader& cpu, const accel::Exit& exit, const Program& program) const;
  virtual SyscallFrame syscall_frame(const ir::CpuHeader& cpu) const = 0;
  virtual void set_syscall_result(ir::CpuHeader& cpu, int64_t value) const = 0;
  /// Back to before the system call instruction, with the first argument put back, so that it
  /// runs again.
  virtual void rewind_syscall(ir::CpuHeader& cpu, const SyscallFrame& frame) const = 0;

  virtual uint64_t sp(const ir::CpuHeader& cpu) const = 0;
  virtual void set_sp(ir::CpuHeader& cpu, uint64_t sp) const = 0;
  /// Brings CpuHeader::mode in line with the process: `guarded` when some page asks for branch
  /// target checks.
  virtual void set_guarded(ir::CpuHeader& cpu, bool guarded) const { (void)cpu, (void)guarded; }
  /// clone's TLS argument, before a child is made with it: 0 or -errno.
  virtual int64_t check_tls(Thread& t, uint64_t tls) const { return (void)t, (void)tls, 0; }
  virtual void set_tls(Thread& child, uint64_t tls) const = 0;
  /// A fault that the guest's kernel answers by itself (x86-64: a call of the vsyscall page;
  /// i386: SYSENTER).
  virtual bool answer_fault(Thread& t, const accel::Exit& exit) const { return (void)t, (void)exit, false; }

  /// The call that an undefined instruction (ExitKind::Undefined's detail) stands for, if it does.
  virtual std::optional<SemihostingCall> semihosting_call(const ir::CpuHeader& cpu, uint64_t insn) const {
    (void)cpu, (void)insn;
    return std::nullopt;
  }

  /// Signal frames and faults.
  virtual const SignalAbi& signals() const = 0;
  /// prctl() options that are this ISA's own. -EINVAL: no such option here.
  virtual int64_t prctl(Thread& t, int option, const std::array<uint64_t, 4>& args) const = 0;

  /// A line or more of registers for -d cpu and for the message of a crash.
  virtual std::string dump(const ir::CpuHeader& cpu) const = 0;
  /// /proc/cpuinfo of a guest with this CPU.
  virtual std::string cpuinfo(unsigned cpus, const CpuChoice& cpu) const = 0;
  /// The ELF image of the vDSO; empty: none.
  virtual std::span<const uint8_t> vdso() const = 0;
  /// Where in it signal handlers return to.
  virtual uint64_t vdso_sigreturn_offset() const { return 0; }
  /// Where in it AT_SYSINFO points to; 0: there is none.
  virtual uint64_t vdso_syscall_offset() const { return 0; }
};

/// The ABI that runs programs for `elf_machine` (or of this name), or nullptr.
const Abi* find_abi(uint16_t elf_machine);
const Abi* find_abi(std::string_view name);
std::span<const Abi* const> all_abis();

}  // namespace lyrebird::user
