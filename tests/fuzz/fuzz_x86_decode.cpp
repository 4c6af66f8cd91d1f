// SPDX-License-Identifier: Apache-2.0
// Any bytes as x86 code, in any mode and for any set of features: what decode() says of a string holds
// for the string with more behind it, an instruction needs all of its bytes and no other, and every
// register and size in it is one that exists.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "frontend/x86/decode/decode.h"

namespace {

using namespace lyrebird::x86;

void require(bool good) {
  if (!good) std::abort();
}

void check_operand(const Insn& insn, const Operand& o) {
  constexpr unsigned kRegisters[] = {1, 16, 4, 6, 9, 8, 8, 8, 16, 1, 1, 7, 8, 2, 1, 1};
  require(o.kind != OperandKind::None && o.reg < kRegisters[static_cast<unsigned>(o.kind)]);
  require(o.size <= 32);
  if (insn.mode == Mode::k64) return;
  if (o.kind == OperandKind::Gpr || o.kind == OperandKind::Vector)
    require(o.reg < 8 && (o.kind == OperandKind::Vector || o.size <= 4));
}

void check_instruction(const Insn& insn) {
  const Row& r = row(insn.row);
  require(insn.operand_count == r.operand_count && insn.length >= 1 && insn.length <= 15);
  require((r.match >> (match::kMode + static_cast<unsigned>(insn.mode)) & 1) != 0);
  for (unsigned i = 0; i < insn.operand_count; ++i) check_operand(insn, insn.operands[i]);
  const MemoryOperand& m = insn.memory;
  require(m.base == kNoRegister || m.base < 16 || (m.base == kRip && insn.mode == Mode::k64));
  require((m.index == kNoRegister || m.index < 16) && m.shift <= 3);
  require(insn.operand_size == 2 || insn.operand_size == 4 ||
          (insn.operand_size == 8 && insn.mode == Mode::k64));
  require(insn.address_size == 2 || insn.address_size == 4 ||
          (insn.address_size == 8 && insn.mode == Mode::k64));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 9) return 0;
  uint64_t mask;
  std::memcpy(&mask, data + 1, 8);
  Features features = Features::all();
  if (data[0] & 4)
    for (unsigned i = 1; i < static_cast<unsigned>(Feature::Count); ++i)
      if (mask >> i & 1) features.remove(static_cast<Feature>(i));
  const Mode mode = static_cast<Mode>((data[0] & 3) % 3);
  const uint8_t* const bytes = data + 9;
  size -= 9;

  Insn insn, again;
  const DecodeStatus status = decode(bytes, size, mode, features, insn);
  require(status == DecodeStatus::TooShort ? size < 15 : size > 0);
  if (status == DecodeStatus::Ok) {
    require(insn.length <= size);
    check_instruction(insn);
    require(features.has(row(insn.row).feature));
  }
  bool decided = false;
  for (size_t n = 0; n <= size && n <= 16; ++n) {
    const DecodeStatus shorter = decode(bytes, n, mode, features, again);
    require(!decided || shorter == status);
    decided |= shorter != DecodeStatus::TooShort;
    if (shorter == DecodeStatus::Ok)
      require(n >= insn.length && again.row == insn.row && again.length == insn.length);
    if (n == insn.length && status == DecodeStatus::Ok) require(shorter == DecodeStatus::Ok);
  }
  require(decided == (status != DecodeStatus::TooShort));
  return 0;
}
