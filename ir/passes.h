// SPDX-License-Identifier: Apache-2.0
/// The passes over a block, in two linear walks.
///
/// Forward, instruction by instruction:
///   forward   GetState becomes the value that the block last put there or read
///             from there (or a part of it); a SetState of what is there already goes
///   fold      constant folding by ir/eval.h, algebraic identities, compare and
///             flag patterns become one compare, constant branches become jumps
///   common    a pure op on the same operands as an earlier one is that one
/// Backward:
///   stores    a SetState that is overwritten before anything can see it goes
///   dead      what nothing uses and has no effect goes
///
/// State is precise at every op that Faults or Exits, at helpers that read state
/// and at the terminal: all SetStates before them are in place there. The passes
/// rely on nobody else looking: neither at the CpuHeader, whose fields they leave
/// alone, nor between instructions. FP ops that raise flags are never removed or
/// merged, and folded only where they raise none.
///
/// ValueIds change: the block is compacted in place.
#pragma once

#include <cstdint>
#include <memory>

#include "ir/block.h"

namespace lyrebird::ir {

struct PassSet {
  bool forward = true, fold = true, common = true, stores = true, dead = true;
};

/// Holds the scratch memory of the passes, so that a block costs no allocation.
/// One per thread.
class Optimiser {
 public:
  Optimiser();
  ~Optimiser();
  void run(Block& block, const StateLayout& layout, HelperTable helpers, PassSet passes = {});

 private:
  struct Scratch;
  std::unique_ptr<Scratch> scratch_;
};

/// All passes, with a scratch memory of the calling thread.
void optimise(Block& block, const StateLayout& layout, HelperTable helpers);

}  // namespace lyrebird::ir
