// SPDX-License-Identifier: Apache-2.0
/// Random cases of a decode row: bytes, and registers and memory that suit them. Whatever the
/// instruction reaches for lies in the data page or a little beside it. Every second case goes on with
/// short instructions that set and read flags, as a block is lifted as a whole.
#pragma once

#include "frontend/x86/decode/decode.h"
#include "tests/decode/x86_generate.h"
#include "tests/diff/x86/machine.h"

namespace lyrebird::x86diff {

/// Why a row can't be compared, or nullptr: its result is the system's, or it would leave the cage.
const char* why_not(const x86::Row& row);

struct Settings {
  bool unmasked = false;   ///< now and then unmask floating-point exceptions
  bool alignment = false;  ///< mostly with EFLAGS.AC
  bool sparse = false;     ///< what the instruction does not use is as isa::default_machine() has it
};

class Generator {
 public:
  Generator(uint64_t seed, Settings settings) : random_(seed), settings_(settings) {}
  /// False: nothing came of it; try again.
  bool make(const x86::Row& row, x86::Mode mode, const x86::Features& features, Case& out);

 private:
  using Machine = x86diff::Machine;
  bool chance(unsigned one_in) { return random_() % one_in == 0; }
  uint64_t number();
  uint64_t lane();
  void float80(uint8_t* to);
  void registers(Machine& m, x86::Mode mode);
  void append_readers(Case& c);
  void make_sparse(const x86::Insn& insn, Case& c);
  bool place_memory(const x86::Insn& insn, Case& c);
  void make_image(const x86::Insn& insn, Machine& m);
  bool place_implicit(const x86::Insn& insn, Case& c);
  bool patch_displacement(Case& c, const x86::Insn& insn, int64_t to);
  uint64_t target(unsigned size);

  x86::Random random_;
  Settings settings_;
  uint8_t page_[kPage];
  bool filled_ = false;
};

}  // namespace lyrebird::x86diff
