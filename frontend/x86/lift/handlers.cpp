// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/lift/handlers.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "frontend/x86/decode/tables.h"

namespace lyrebird::x86 {

#define HANDLER(name) bool lift_##name(LiftContext& context);
#include "frontend/x86/lift/handlers.inc"
#undef HANDLER

namespace {

struct Named {
  std::string_view name;
  Handler handler;
};

constexpr auto sorted(auto table) {
  std::sort(table.begin(), table.end(), [](const Named& a, const Named& b) { return a.name < b.name; });
  return table;
}

constexpr auto kNamed = sorted(std::to_array<Named>({
#define HANDLER(name) {#name, lift_##name},
#include "frontend/x86/lift/handlers.inc"
#undef HANDLER
}));

constexpr std::string_view kNames[] = {
#define INSN(name, ...) #name,
#include "frontend/x86/decode/maps.inc"
#undef INSN
};

consteval auto make_table() {
  std::array<Handler, kRowCount> table{};
  for (unsigned i = 0; i < kRowCount; ++i) {
    const auto* const found =
        std::lower_bound(kNamed.begin(), kNamed.end(), kNames[i],
                         [](const Named& entry, std::string_view name) { return entry.name < name; });
    if (found != kNamed.end() && found->name == kNames[i]) table[i] = found->handler;
  }
  return table;
}
constinit const auto kHandlers = make_table();

// A handler that no row has is a mistake in its name; two chapters must not claim one mnemonic.
consteval bool names_are_good() {
  for (size_t i = 0; i < kNamed.size(); ++i) {
    if (i > 0 && kNamed[i].name == kNamed[i - 1].name) return false;
    if (std::find(std::begin(kNames), std::end(kNames), kNamed[i].name) == std::end(kNames)) return false;
  }
  return true;
}
static_assert(names_are_good());

}  // namespace

Handler handler_of(uint16_t row) { return kHandlers[row]; }

}  // namespace lyrebird::x86
