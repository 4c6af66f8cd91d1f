// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/system/psci.h"

#include "base/bits.h"
#include "base/log.h"

namespace lyrebird::arm {
namespace {

// Function numbers; the 64-bit convention sets bit 30.
constexpr uint32_t kSmc64 = 1u << 30;
enum Function : uint32_t {
  kVersion = 0x84000000,
  kCpuSuspend = 0x84000001,
  kCpuOff = 0x84000002,
  kCpuOn = 0x84000003,
  kAffinityInfo = 0x84000004,
  kMigrateInfoType = 0x84000006,
  kSystemOff = 0x84000008,
  kSystemReset = 0x84000009,
  kFeatures = 0x8400000a,
  kSystemReset2 = 0x84000012,
};
constexpr int64_t kVersion11 = 0x10001;
constexpr int64_t kNoTrustedOs = 2;  // MIGRATE_INFO_TYPE

bool is_supported(uint32_t function) {
  switch (function) {
    case kCpuSuspend:
    case kCpuSuspend | kSmc64:
    case kCpuOn:
    case kCpuOn | kSmc64:
    case kAffinityInfo:
    case kAffinityInfo | kSmc64:
    case kSystemReset2:
    case kSystemReset2 | kSmc64:
    case kVersion:
    case kCpuOff:
    case kMigrateInfoType:
    case kSystemOff:
    case kSystemReset:
    case kFeatures:
      return true;
    default:
      return false;
  }
}

int64_t call(A64SystemState& state, uint32_t function) {
  const uint64_t mask = function & kSmc64 ? ~uint64_t{0} : low_mask(32);
  const uint64_t a = state.x[1] & mask, b = state.x[2] & mask, c = state.x[3] & mask;
  BoardServices& board = *state.board;
  switch (function & ~kSmc64) {
    case kVersion:
      return kVersion11;
    case kCpuSuspend:
      // Every state is standby: it ends with an interrupt, and nothing is lost.
      state.wait_for_interrupt = 1;
      return kPsciSuccess;
    case kCpuOff:
      board.cpu_off();
      return kPsciSuccess;
    case kCpuOn:
      return board.cpu_on(a, b, c);
    case kAffinityInfo:
      return board.affinity_info(a, static_cast<unsigned>(b));
    case kMigrateInfoType:
      return kNoTrustedOs;
    case kSystemOff:
      board.system_off();
      return kPsciSuccess;
    case kSystemReset:
      board.system_reset();
      return kPsciSuccess;
    case kSystemReset2:
      if (a != 0) return kPsciInvalidParameters;
      board.system_reset();
      return kPsciSuccess;
    default:  // kFeatures
      return is_supported(static_cast<uint32_t>(a)) ? 0 : kPsciNotSupported;
  }
}

}  // namespace

void psci_call(A64SystemState& state) {
  const auto function = static_cast<uint32_t>(state.x[0]);
  state.wait_for_interrupt = 0;
  if (log_enabled(LogTopic::Int))
    log(LogTopic::Int, "psci cpu {:x} function {:#x} ({:#x}, {:#x}, {:#x})\n", state.mpidr & 0xffffff,
        function, state.x[1], state.x[2], state.x[3]);
  if (!is_supported(function)) {
    state.x[0] = static_cast<uint64_t>(int64_t{kPsciNotSupported});
    return;
  }
  const int64_t result = call(state, function);
  state.x[0] = static_cast<uint64_t>(result);
}

}  // namespace lyrebird::arm
