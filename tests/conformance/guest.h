// SPDX-License-Identifier: Apache-2.0
/// What the suite needs to know of a guest ISA and of the accelerator that runs it. One class per pair; the
/// tests are written once over it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "accel/accelerator.h"
#include "base/result.h"
#include "system/address_space.h"

namespace lyrebird::conformance {

/// The machine's map, the same for every guest.
inline constexpr uint64_t kRamSize = 2 << 20;     ///< at Guest::ram_base()
inline constexpr uint64_t kCodeAt = 0x10000;      ///< offset in RAM of the program
inline constexpr uint64_t kDataAt = 0x20000;      ///< ... of what it works on
inline constexpr uint64_t kProbe = 0x1000'0000;   ///< device that remembers its accesses
inline constexpr uint64_t kBell = 0x1000'1000;    ///< device; a write ends run()
inline constexpr uint64_t kQuiet = 0x1000'2000;   ///< device; a write lowers the interrupt line
inline constexpr uint64_t kWindow = 0x1800'0000;  ///< where tests put and take memory

/// Programs that every guest has. Arguments are a0 .. a3, registers of the guest's choice. "Rings": writes
/// a0 to kBell, and does so for ever.
enum class Program : uint8_t {
  Store,       ///< the a2 (1, 2, 4, 8) low bytes of a1 to address a0; rings
  Load,        ///< a0 = the a2 bytes at address a1, zero-extended; rings
  PortOut,     ///< a2 (1, 2, 4) bytes of a1 to port a0; rings (guests with ports)
  PortIn,      ///< a0 = a2 bytes of port a1; rings (guests with ports)
  Spin,        ///< adds 1 to a0 for ever, interrupts masked
  Count,       ///< four instructions: a0 += 1, a0 += 2, a0 += 4, a0 += 8; rings
  SelfModify,  ///< twice: writes an instruction that sets a0 to a1, then to a2, and runs it; a3 = a0 of the
               ///< first time; rings
  Halt,        ///< takes interrupts from now on; waits for one a0 times; rings. The handler adds 1 to the
               ///< 64-bit word at a1 and writes to kQuiet
  HaltMasked,  ///< the same with interrupts masked for all but one instruction after each a2 turns of a loop
  Fill,        ///< writes a1 to the first 8 bytes of each of a2 pages of 4 KiB from a0 on; rings
  Crash,       ///< the worst fault of the processor: it asks for a reset (guests that have it)
};

class Guest {
 public:
  virtual ~Guest() = default;
  virtual uint64_t ram_base() const { return 0; }
  virtual bool has_ports() const { return false; }
  virtual bool has_crash() const { return false; }
  /// The state struct is the CPU's own, not a copy of what hardware has.
  virtual bool live_state() const { return false; }

  /// Any number of breakpoints can be had here, and they stop.
  virtual bool has_many_breakpoints() const { return true; }

  /// "" if tests can run here, else why not.
  virtual std::string why_not() const { return {}; }
  virtual Result<std::unique_ptr<accel::Accelerator>> accelerator(system::AddressSpace& memory,
                                                                  system::AddressSpace& ports,
                                                                  unsigned cpus) = 0;
  /// A state struct, not set up yet; freed with the guest.
  virtual ir::CpuHeader& new_state() = 0;
  /// Bytes of the program, to be put at kCodeAt; position-independent.
  virtual std::span<const uint8_t> code(Program program) const = 0;
  /// What the programs need in memory (tables, vectors); written once.
  virtual void prepare(system::AddressSpace& memory) = 0;
  /// Registers as at the start of a program at `pc`, a stack for CPU `cpu`; interrupts masked.
  virtual void start(ir::CpuHeader& state, unsigned cpu, uint64_t pc) = 0;
  virtual void set_argument(ir::CpuHeader& state, unsigned n, uint64_t value) = 0;
  virtual uint64_t argument(const ir::CpuHeader& state, unsigned n) const = 0;
  /// The bit of Vcpu::set_interrupt() for an ordinary interrupt.
  virtual uint32_t interrupt_line() const = 0;
  /// Fills every field that a program can set with numbers made from the seed; and what differs between two
  /// states, "" if nothing does.
  virtual void scramble(ir::CpuHeader& state, unsigned seed) = 0;
  virtual std::string difference(const ir::CpuHeader& a, const ir::CpuHeader& b) const = 0;
};

struct GuestKind {
  const char* name;
  std::unique_ptr<Guest> (*make)();
};
/// All of this build, defined by CMake's choice of files.
std::span<const GuestKind> guest_kinds();

}  // namespace lyrebird::conformance
