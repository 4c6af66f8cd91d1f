// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/system/x86_state_stream.h"

namespace lyrebird::x86 {
namespace {

constexpr const char* kSection = "x86-cpu";
constexpr size_t kMostMsrs = 4096, kMostLapic = 4096, kMostXsave = 1 << 20;

/// Calls visit(name, field) for what is neither a vector nor in the layout; the same order for both ways.
template <typename State, typename Visit>
void visit_rest(State& state, Visit visit) {
  auto& header = state.cpu.header;
  visit("fp_flags", header.fp_flags);
  visit("f80_collected", header.f80_collected);
  visit("f80_status", header.f80_status);
  auto& events = state.events;
  visit("exception_pending", events.exception_pending);
  visit("exception_injected", events.exception_injected);
  visit("exception_has_code", events.exception_has_code);
  visit("exception_has_payload", events.exception_has_payload);
  visit("exception_vector", events.exception_vector);
  visit("exception_code", events.exception_code);
  visit("exception_payload", events.exception_payload);
  visit("interrupt_injected", events.interrupt_injected);
  visit("interrupt_soft", events.interrupt_soft);
  visit("interrupt_vector", events.interrupt_vector);
  visit("sti_shadow", events.sti_shadow);
  visit("mov_ss_shadow", events.mov_ss_shadow);
  visit("nmi_pending", events.nmi_pending);
  visit("nmi_injected", events.nmi_injected);
  visit("nmi_masked", events.nmi_masked);
  visit("smm", events.smm);
  visit("smi_pending", events.smi_pending);
  visit("smm_inside_nmi", events.smm_inside_nmi);
  visit("init_latched", events.init_latched);
  visit("triple_fault", events.triple_fault);
  visit("sipi_vector", events.sipi_vector);
  visit("activity", state.activity);
  visit("pdptrs_valid", state.pdptrs_valid);
  for (auto& pdptr : state.pdptr) visit("pdptr", pdptr);
  visit("tsc", state.tsc);
  visit("xsave_rest_parts", state.xsave_rest_parts);
}

}  // namespace

void save_state(const X86SystemState& state, system::StateWriter& to) {
  to.begin(kSection, 1);
  const auto* const bytes = reinterpret_cast<const uint8_t*>(&state.cpu);
  for (const ir::StateField& field : x86_layout().fields)
    to.bytes(field.name, {bytes + field.offset, ir::byte_size(field.type)});
  visit_rest(state, [&](const char* name, const auto& value) { to.field(name, value); });
  to.field("msr_count", static_cast<uint32_t>(state.msrs.size()));
  for (const Msr& msr : state.msrs) {
    to.field("msr", msr.index);
    to.field("value", msr.value);
  }
  to.bytes("lapic", state.lapic);
  to.bytes("xsave_rest", state.xsave_rest);
  to.end();
}

Result<void> load_state(X86SystemState& state, system::StateReader& from) {
  from.begin(kSection, 1);
  auto* const bytes = reinterpret_cast<uint8_t*>(&state.cpu);
  for (const ir::StateField& field : x86_layout().fields)
    from.array(field.name, std::span<uint8_t>(bytes + field.offset, ir::byte_size(field.type)));
  visit_rest(state, [&](const char* name, auto& value) { from.field(name, value); });
  uint32_t count = 0;
  from.field("msr_count", count);
  if (count > kMostMsrs) from.fail("more model-specific registers than there can be");
  state.msrs.clear();
  for (uint32_t i = 0; from.ok() && i < count; ++i) {
    Msr msr;
    from.field("msr", msr.index);
    from.field("value", msr.value);
    set_msr_value(state, msr.index, msr.value);
  }
  state.lapic = from.bytes("lapic", kMostLapic);
  state.xsave_rest = from.bytes("xsave_rest", kMostXsave);
  if (state.activity > Activity::Halted) from.fail("no such activity of a processor");
  from.end();
  return from.status();
}

}  // namespace lyrebird::x86
