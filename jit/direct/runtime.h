// SPDX-License-Identifier: Apache-2.0
/// The way into directly translated code and out of it.
#pragma once

#include <cstdint>
#include <vector>

#include "jit/direct/area.h"

namespace lyrebird::jit::direct {

/// As baseline::Leave. owner 0: an indirect jump missed the table, Area::target says where to.
struct Leave {
  uint64_t owner;
  uint64_t exit;
};
/// To Area::entry, with the guest's registers in place.
using Enter = Leave (*)(Area* area);

/// Position-independent code, and where in it they start.
struct RuntimeCode {
  std::vector<uint8_t> bytes;
  uint32_t enter = 0, exit = 0, miss = 0;
};
RuntimeCode make_runtime(bool avx);

/// False: this host does not let programs set GS; nothing here can be used.
bool host_has_gs();

}  // namespace lyrebird::jit::direct
