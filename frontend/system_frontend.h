// SPDX-License-Identifier: Apache-2.0
/// What a guest ISA offers besides its blocks when it runs a whole machine: address translation, exceptions,
/// interrupts. One object serves all vCPUs of a machine; what belongs to a vCPU is in its state.
///
/// Lifted code of a system frontend
///   - names the mmu index of every memory access in MemInfo::space (AddressRule::IgnoreTop is taken as Full:
///     translate_address() sees the address as the guest has it, and knows what is a tag);
///   - stays in one 4 KiB page, but for a single instruction that lies in two;
///   - changes the mmu index of fetches, or anything else that instruction fetch depends on, only by helpers,
///   and
///     then ends the block in a jump: CpuHeader::mode, read behind the last helper, is what the jump is for;
///   - calls VcpuServices::recheck_interrupts() where it may have unmasked interrupts, and ends the block
///   there.
#pragma once

#include "frontend/frontend.h"

namespace lyrebird::system {
class AddressSpace;
}

namespace lyrebird::frontend {

class VcpuServices;

/// What the guest's tables say of an address.
struct Page {
  uint64_t physical = 0;  ///< of the first byte of the page
  uint8_t bits = 12;      ///< log2 of its size, at least 12
  bool read = false, write = false, execute = false;
  bool global = false;   ///< of all contexts
  bool secure = false;   ///< physical address of the secure world
  bool device = false;   ///< device memory, as far as the CPU's own rules for it go
  bool guarded = false;  ///< CodeSource::guarded()
  uint32_t context = 0;  ///< (not global) as TlbFlush::context has it (Arm: ASID)
};

class SystemFrontend : public Frontend {
 public:
  /// Walks the guest's tables for one access of at least a byte at `address`. `page` says all that the mmu
  /// index may do there without another walk: a page that must be marked accessed or dirty first is not
  /// readable or writable yet. False: not allowed; unless `probe`, the fault is noted in the state so that
  /// raise() of MemoryFault (FetchFault) can deliver it. `probe` is for debuggers: changes nothing, neither
  /// state nor tables.
  virtual bool translate_address(ir::CpuHeader& cpu, system::AddressSpace& memory, uint64_t address,
                                 ir::Access access, unsigned mmu_index, bool probe, Page& page) const = 0;
  /// There is nothing at the physical address of an access (external abort): notes the fault as
  /// translate_address() does.
  virtual void note_bus_error(ir::CpuHeader& cpu, uint64_t address, ir::Access access,
                              unsigned mmu_index) const = 0;
  /// Turns a stop into the guest's exception entry: pc, mode and state change. CpuHeader::pc is as ExitKind
  /// says, fault_address, fault_size and fault_access are set for MemoryFault, Unaligned and FetchFault.
  /// False: the machine cannot go on (x86 triple fault).
  virtual bool raise(ir::CpuHeader& cpu, ir::ExitKind kind, uint64_t detail) const = 0;
  /// Takes the interrupt of highest priority that is pending in `lines` and not masked, if any: as raise().
  virtual bool take_interrupt(ir::CpuHeader& cpu, uint32_t lines) const = 0;
  /// Whether a CPU that waits for an interrupt goes on; Arm: also for masked ones.
  virtual bool wakes(const ir::CpuHeader& cpu, uint32_t lines) const = 0;
  /// The mmu index that code of the mode is fetched with.
  virtual unsigned fetch_index(uint32_t mode) const = 0;
  /// What blocks of this vCPU take their instructions from; nullptr: they are not counted.
  virtual int64_t* instruction_budget(ir::CpuHeader&) const { return nullptr; }
  /// Where the vCPU's state keeps what its code asks of the accelerator; called once by create_vcpu().
  virtual void attach(ir::CpuHeader& cpu, VcpuServices& services) const = 0;
};

/// Mmu indexes are below this.
inline constexpr unsigned kMmuIndexLimit = 16;

}  // namespace lyrebird::frontend
