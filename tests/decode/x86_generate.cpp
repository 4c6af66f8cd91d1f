// SPDX-License-Identifier: Apache-2.0
#include "tests/decode/x86_generate.h"

#include <bit>

namespace lyrebird::x86 {
namespace {

/// Writes bytes and chooses among what a row's match leaves open.
class Writer {
 public:
  Writer(const Row& row, Mode mode, Random& random) : row_(row), mode_(mode), random_(random) {
    for (uint8_t& byte : bytes_) byte = static_cast<uint8_t>(random_());
  }

  Bytes run() {
    const unsigned prefix = choose(match::kPrefix, 4), w = choose(match::kW, 2), l = choose(match::kL, 2);
    const unsigned b = choose(match::kB, 2);
    if (is_vex(row_.map))
      vex(prefix, w, l);
    else
      legacy(prefix, w, b);
    unsigned opcode = row_.opcode + static_cast<unsigned>(random_() % row_.opcode_count);
    if (row_.opcode_count == 8 && b == 0 && row_.opcode == 0x90)
      opcode = row_.opcode + 1 + static_cast<unsigned>(random_() % 7);
    put(opcode);
    if (row_.has(RowFlag::HasModrm)) modrm();
    return bytes_;
  }

 private:
  void put(unsigned byte) { bytes_[at_++] = static_cast<uint8_t>(byte); }
  bool chance(unsigned one_in) { return random_() % one_in == 0; }

  /// One of the bits that the row's match has in this part, at random.
  unsigned choose(unsigned shift, unsigned count) {
    unsigned pick;
    do pick = static_cast<unsigned>(random_() % count);
    while (!(row_.match >> (shift + pick) & 1));
    return pick;
  }

  void some_prefixes(bool with_66) {
    constexpr uint8_t kSegments[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    if (chance(6)) put(kSegments[random_() % 6]);
    if (chance(8)) put(0x67);
    if (with_66 && chance(4)) put(0x66);
    if (chance(16)) put(kSegments[random_() % 6]);
  }

  void legacy(unsigned prefix, unsigned w, unsigned b) {
    // Where 66 does not select the row it may be the operand size.
    const bool free_66 = (row_.match >> (match::kPrefix + 1) & 1) != 0 || prefix >= 2;
    some_prefixes(free_66 && chance(2));
    if (prefix == 1) put(0x66);
    if (row_.has(RowFlag::Lock) && chance(4)) put(0xf0);
    if (prefix >= 2) put(prefix == 2 ? 0xf3 : 0xf2);
    // W and B are 0 without a REX.
    const bool rex = mode_ == Mode::k64 && (w || b || chance(3));
    if (rex) put(0x40 | w << 3 | b | static_cast<unsigned>(random_() & 6));
    if (row_.map != Map::OneByte) put(0x0f);
    if (row_.map == Map::M0F38) put(0x38);
    if (row_.map == Map::M0F3A) put(0x3a);
  }

  void vex(unsigned prefix, unsigned w, unsigned l) {
    some_prefixes(false);
    const unsigned inverted_vvvv = row_.has(RowFlag::UsesVvvv) ? random_() & 15 : 15;
    const bool is64 = mode_ == Mode::k64;
    if (row_.map == Map::Vex0F && w == 0 && chance(2)) {
      put(0xc5);
      put((is64 && chance(2) ? 0u : 0x80u) | (inverted_vvvv | (is64 ? 0u : 8u)) << 3 | l << 2 | prefix);
      return;
    }
    put(0xc4);
    const unsigned map = static_cast<unsigned>(row_.map) - static_cast<unsigned>(Map::Vex0F) + 1;
    put((is64 ? static_cast<unsigned>(random_() & 0xe0) : 0xe0u) | map);
    put(w << 7 | inverted_vvvv << 3 | l << 2 | prefix);
  }

  void modrm() {
    const bool in_register = choose(match::kMod, 2) != 0;
    const unsigned mod = in_register ? 3 : static_cast<unsigned>(random_() % 3);
    unsigned rm = choose(match::kRm, 8);
    for (unsigned i = 0; i < row_.operand_count; ++i)
      if (row_.operands[i].method == Method::VM) rm = 4;
    put(mod << 6 | choose(match::kReg, 8) << 3 | rm);
  }

  const Row& row_;
  const Mode mode_;
  Random& random_;
  Bytes bytes_;
  unsigned at_ = 0;
};

}  // namespace

bool exists_in(const Row& row, Mode mode) {
  return (row.match >> (match::kMode + static_cast<unsigned>(mode)) & 1) != 0;
}

Bytes bytes_for(const Row& row, Mode mode, Random& random) { return Writer(row, mode, random).run(); }

Bytes random_bytes(Random& random) {
  constexpr uint8_t kInteresting[] = {0x0f, 0x0f, 0x66, 0xf2, 0xf3, 0xc4, 0xc5, 0x48, 0xf0, 0x67, 0x64, 0x62};
  Bytes bytes;
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  unsigned at = 0;
  while (random() % 2 && at < 4) bytes[at++] = kInteresting[random() % std::size(kInteresting)];
  if (at && bytes[at - 1] == 0x0f && random() % 3 == 0) bytes[at] = random() % 2 ? 0x38 : 0x3a;
  if (at && (bytes[at - 1] & 0xfe) == 0xc4 && random() % 2)
    bytes[at] = static_cast<uint8_t>((bytes[at] & 0xe0) | (1 + random() % 3));
  return bytes;
}

}  // namespace lyrebird::x86
