// SPDX-License-Identifier: Apache-2.0
/// The interpreter's direct-threaded code: an array of records, each with the handler
/// that runs it. A handler ends with a tail call of the next record's handler, so frame,
/// state and thread stay in registers from the first record to the last.
///
/// An operand is an offset into the thread's value frame, or with kInState set into the
/// guest's state. Values are stored little endian:
///
///   I1, I8      1 byte                        F16, F32   their size
///   I16..I64    8 bytes, zeros above          F80        10 bytes
///   I128, V128  16 bytes                      V64, V256  their size
///
/// A handler reads only as many bytes as its operand's type has, and reads all operands
/// before it writes the result: a result may share the slot of an operand.
#pragma once

#include <cstdint>

#include "base/bits.h"
#include "ir/inst.h"
#include "jit/thread_context.h"

namespace lyrebird::jit::interp {

struct Code;

// The address sanitizer's stack frames do not go with preserve_none (clang 19).
#if __has_feature(address_sanitizer)
#define LYREBIRD_HANDLER_ABI
#else
#define LYREBIRD_HANDLER_ABI __attribute__((preserve_none))
#endif
using Handler = LYREBIRD_HANDLER_ABI void (*)(const Code* op, uint8_t* frame, uint8_t* state,
                                              ThreadContext* thread);
#define LYREBIRD_HANDLER_ARGS                                                                        \
  [[maybe_unused]] const Code *op, [[maybe_unused]] uint8_t *frame, [[maybe_unused]] uint8_t *state, \
      [[maybe_unused]] ThreadContext *thread
/// Continues with record op[step].
#define LYREBIRD_NEXT(step) [[clang::musttail]] return op[step].handler(op + (step), frame, state, thread)

struct alignas(32) Code {
  Handler handler = nullptr;
  uint16_t d = 0, a = 0, b = 0, c = 0;  ///< operands
  uint64_t imm = 0;
  union {
    uint64_t high = 0;
    struct {
      uint32_t aux;
      int32_t extra;
    };
  };
};
static_assert(sizeof(Code) == 32);

inline constexpr uint16_t kInState = 0x8000;

/// Where the frame of every thread holds constants (32 bytes each): all zeros, the number 1, all ones.
inline constexpr uint16_t kZeroSlot = 0, kOneSlot = 32, kOnesSlot = 64, kFirstSlot = 96;

// Operand policies: where a template's operand lives.
struct InFrame {
  static uint8_t* at(uint16_t offset, uint8_t* frame, uint8_t*) { return frame + offset; }
};
struct InState {
  static uint8_t* at(uint16_t offset, uint8_t*, uint8_t* state) { return state + offset - kInState; }
};
struct Anywhere {
  static uint8_t* at(uint16_t offset, uint8_t* frame, uint8_t* state) {
    uint8_t* base = frame;
    if (offset & kInState) base = state - kInState;
    return base + offset;
  }
};

/// Memory records: MemInfo in the low 24 bits of aux, and these.
inline constexpr uint32_t kMemWrites = 1u << 24;
inline constexpr uint32_t kMemHelper = 1u << 25;      ///< a helper: it may touch any address
inline constexpr uint32_t kMemByteResult = 1u << 26;  ///< the result is an I8

inline uint64_t apply_address_rule(uint64_t address, ir::AddressRule rule) {
  switch (rule) {
    case ir::AddressRule::Full:
      return address;
    case ir::AddressRule::IgnoreTop:
      return static_cast<uint64_t>(sign_extend(address, 56));
    case ir::AddressRule::Low32:
      return static_cast<uint32_t>(address);
    case ir::AddressRule::Low16:
      return static_cast<uint16_t>(address);
  }
  __builtin_unreachable();
}

/// Bytes that a handler writes for a result of the type.
constexpr unsigned stored_bytes(ir::Type type) {
  const unsigned size = ir::byte_size(type);
  return ir::is_int(type) && size >= 2 && size < 8 ? 8 : size;
}

}  // namespace lyrebird::jit::interp
