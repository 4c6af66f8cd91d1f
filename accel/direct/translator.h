// SPDX-License-Identifier: Apache-2.0
/// Translation where guest and host speak the same ISA: instructions are copied.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "frontend/frontend.h"
#include "jit/direct/direct.h"

namespace lyrebird::accel::direct {

class Translator : public jit::direct::Guest {
 public:
  /// The mode that keys of directly translated blocks have, for a CPU whose mode this is; no other has it.
  /// Nothing: its code can't be translated directly.
  virtual std::optional<uint32_t> mode(uint32_t cpu_mode) const = 0;
  /// False: the instruction at request.key.pc is not for this, or there is none. The key has mode().
  virtual bool translate(const frontend::TranslateRequest& request, jit::direct::Code& out) const = 0;
};

/// nullptr: not for this frontend on this host.
std::unique_ptr<Translator> make_translator(const frontend::Frontend& frontend);

}  // namespace lyrebird::accel::direct
