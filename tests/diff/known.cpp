// SPDX-License-Identifier: Apache-2.0
#include "tests/diff/known.h"

#include <csignal>
#include <cstring>
#include <string_view>

#include "base/bits.h"
#include "frontend/arm/a64_mode.h"

namespace lyrebird::diff {

using arm::a64::Row;

namespace {

constexpr uint32_t kFpsrBits = 0x0800009f;

uint32_t reg_d(uint32_t word) { return word & 31; }
uint32_t reg_n(uint32_t word) { return word >> 5 & 31; }
uint32_t reg_t2(uint32_t word) { return word >> 10 & 31; }
uint32_t reg_s(uint32_t word) { return word >> 16 & 31; }

bool is_pair(std::string_view name) {
  return name == "LDP" || name == "STP" || name == "LDPSW" || name == "LDP_fp" || name == "STP_fp";
}

/// One instruction, several accesses: the manual lets any part of them be done when one faults.
bool is_multiple(std::string_view name) {
  constexpr std::string_view kPrefixes[] = {"LD1", "LD2", "LD3", "LD4", "ST1", "ST2", "ST3", "ST4"};
  for (const std::string_view prefix : kPrefixes)
    if (name.starts_with(prefix)) return true;
  return is_pair(name);
}

/// The word that `pc` is at; nullptr outside of the input's words.
const Row* row_at(const DiffInput& in, uint64_t pc, uint32_t& word) {
  const uint64_t index = (pc - DIFF_CODE) / 4;
  if (pc < DIFF_CODE || index >= in.word_count) return nullptr;
  word = in.words[index];
  return arm::a64::find_row(word);
}

/// The peer's mark for "nothing is watched" is the address -1: there it tries the store.
bool differs_in_watched_address(const DiffInput& in, const DiffOutput& ours, const DiffOutput& peers) {
  uint32_t word = 0;
  const Row* const row = row_at(in, peers.pc, word);
  return row && (row->handler == "STXR" || row->handler == "STXP") && peers.signal == SIGSEGV &&
         ours.pc > peers.pc;
}

/// FJCVTZS of a positive subnormal that is flushed: 0, and not exact.
bool differs_in_flushed_javascript(const DiffInput& in, const DiffOutput& ours, DiffOutput peers) {
  uint32_t word = 0;
  if (in.word_count != 1) return false;
  const Row* const row = row_at(in, DIFF_CODE, word);
  if (!row || row->handler != "FJCVTZS" || !bit(in.state.fpcr, 24)) return false;
  peers.state.nzcv &= ~(uint32_t{1} << 30);
  return std::memcmp(&ours, &peers, sizeof ours) == 0;
}

bool is_half_fixed(const Row& row, uint32_t word) {
  return (row.handler == "FCVTZS_scalar_fixed" || row.handler == "FCVTZU_scalar_fixed") &&
         bits(word, 20, 3) == 1;
}

/// A store over the end of the mapped page: the peer may write the bytes before it.
bool is_half_done_store(const Row& row, const DiffOutput& ours, DiffOutput peers) {
  peers.memory_hash = ours.memory_hash;
  return row.handler.starts_with("ST") && std::memcmp(&ours, &peers, sizeof ours) == 0;
}

bool differs_in_fault(const DiffInput& in, const DiffOutput& ours, const DiffOutput& peers) {
  uint32_t word = 0;
  const Row* const row = row_at(in, ours.pc, word);
  const bool ours_bus = ours.signal == SIGBUS;
  if (!row) return ours_bus && (ours.pc & 3) != 0 && peers.signal == SIGSEGV && peers.pc == ours.pc;
  if (row->handler.starts_with("DC_")) return ours.signal == SIGSEGV;
  const bool exclusive_store = row->handler == "STXR" || row->handler == "STXP";
  if (ours_bus && (exclusive_store || row->handler == "LDAPR")) return true;
  if (peers.pc != ours.pc) return false;
  if (ours_bus && peers.signal == SIGSEGV) return true;
  if (ours.signal != SIGSEGV || peers.signal != SIGSEGV) return false;
  return is_multiple(row->handler) || is_half_done_store(*row, ours, peers);
}

/// FCVTZS and FCVTZU to 16-bit fixed point: the peer sign-extends into bits 31:16.
bool differs_in_half_fixed(const DiffInput& in, DiffOutput ours, DiffOutput peers) {
  const uint32_t word = in.words[0];
  if (in.word_count != 1 || !is_half_fixed(*arm::a64::find_row(word), word)) return false;
  ours.state.v[reg_d(word)][0] &= ~uint64_t{0xffff0000};
  peers.state.v[reg_d(word)][0] &= ~uint64_t{0xffff0000};
  return std::memcmp(&ours, &peers, sizeof ours) == 0;
}

}  // namespace

bool is_unpredictable(const Row& row, uint32_t word) {
  const uint32_t d = reg_d(word), n = reg_n(word), t2 = reg_t2(word), s = reg_s(word);
  const std::string_view name = row.handler;
  if (is_pair(name)) {
    if (name.starts_with("LD") && d == t2) return true;
    const bool writes_back = bit(word, 23);
    return !name.ends_with("_fp") && writes_back && n != 31 && (n == d || n == t2);
  }
  if (name == "LDXP") return d == t2;
  if (name == "STXR") return s == d || (s == n && n != 31);
  if (name == "STXP") return s == d || s == t2 || (s == n && n != 31);
  if (name == "STR_index" || name == "LDR_index" || name == "LDRS_index") return n == d && n != 31;
  return false;
}

bool runs_alone(const Row& row, uint32_t word) {
  return row.handler == "MSR_FPCR" || row.handler == "MSR_FPSR" || row.handler == "FJCVTZS" ||
         is_half_fixed(row, word);
}

void normalise(DiffOutput& out) {
  out.state.fpsr &= kFpsrBits;
  out.state.fpcr &= arm::kFpcrWritable;
  out.pc &= low_mask(56);
}

bool is_known(const DiffInput& in, const DiffOutput& ours, const DiffOutput& peers) {
  return differs_in_fault(in, ours, peers) || differs_in_watched_address(in, ours, peers) ||
         differs_in_flushed_javascript(in, ours, peers) || differs_in_half_fixed(in, ours, peers);
}

}  // namespace lyrebird::diff
