// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/system/timers.h"

#include "base/bits.h"

namespace lyrebird::arm {
namespace {

using enum SysReg;

constexpr SysReg kControl[] = {CNTP_CTL_EL0, CNTV_CTL_EL0, CNTHP_CTL_EL2, CNTPS_CTL_EL1, CNTHV_CTL_EL2};
constexpr SysReg kCompare[] = {CNTP_CVAL_EL0, CNTV_CVAL_EL0, CNTHP_CVAL_EL2, CNTPS_CVAL_EL1, CNTHV_CVAL_EL2};
constexpr uint64_t kEnable = 1, kMasked = 2, kStatus = 4;

unsigned index(GenericTimer timer) { return static_cast<unsigned>(timer); }

/// What the timer's own count is behind the system counter.
uint64_t offset_of(const A64SystemState& state, GenericTimer timer) {
  return timer == GenericTimer::Virtual && state.config->el2 ? state.reg(CNTVOFF_EL2) : 0;
}

uint64_t count_of(const A64SystemState& state, GenericTimer timer) {
  return state.board->counter() - offset_of(state, timer);
}

}  // namespace

uint64_t physical_count(const A64SystemState& state) { return state.board->counter(); }

uint64_t virtual_count(const A64SystemState& state) {
  if (in_host_regime(state)) return state.board->counter();
  return count_of(state, GenericTimer::Virtual);
}

uint64_t timer_control(const A64SystemState& state, GenericTimer timer) {
  const uint64_t control = state.reg(kControl[index(timer)]);
  const bool met = count_of(state, timer) >= state.reg(kCompare[index(timer)]);
  return control | ((control & kEnable) && met ? kStatus : 0);
}

uint64_t timer_value(const A64SystemState& state, GenericTimer timer) {
  return (state.reg(kCompare[index(timer)]) - count_of(state, timer)) & low_mask(32);
}

void set_timer_control(A64SystemState& state, GenericTimer timer, uint64_t value) {
  state.reg(kControl[index(timer)]) = value & (kEnable | kMasked);
  timer_updated(state, timer);
}

void set_timer_value(A64SystemState& state, GenericTimer timer, uint64_t value) {
  set_timer_compare(state, timer, count_of(state, timer) + static_cast<uint64_t>(sign_extend(value, 32)));
}

void set_timer_compare(A64SystemState& state, GenericTimer timer, uint64_t value) {
  state.reg(kCompare[index(timer)]) = value;
  timer_updated(state, timer);
}

void timer_updated(A64SystemState& state, GenericTimer timer) {
  const uint64_t compare = state.reg(kCompare[index(timer)]), offset = offset_of(state, timer);
  // The count of the timer is compared as an unsigned number; where the deadline lies beyond either end of
  // the system counter, it is past or never.
  uint64_t deadline = 0;
  if (static_cast<int64_t>(offset) >= 0) {
    deadline = compare <= ~offset ? compare + offset : ~uint64_t{0};
  } else if (compare >= -offset) {
    deadline = compare + offset;
  }
  const bool active = (state.reg(kControl[index(timer)]) & (kEnable | kMasked)) == kEnable;
  state.board->timer_changed(timer, active, deadline);
}

void reset_timers(A64SystemState& state) {
  for (unsigned i = 0; i < kGenericTimerCount; ++i) timer_updated(state, static_cast<GenericTimer>(i));
}

}  // namespace lyrebird::arm
