// SPDX-License-Identifier: Apache-2.0
#include "jit/baseline/block.h"

#include <algorithm>

#include "base/bits.h"
#include "jit/baseline/moves.h"

namespace lyrebird::jit::baseline {

namespace {

// Seven bits in a byte, the lowest first; the sign in the lowest bit.
constexpr size_t kLongestNumber = 5;
uint8_t* put_number(uint8_t* to, int32_t value) {
  uint32_t rest = (static_cast<uint32_t>(value) << 1) ^ static_cast<uint32_t>(value >> 31);
  for (; rest >= 0x80; rest >>= 7) *to++ = static_cast<uint8_t>(rest | 0x80);
  *to++ = static_cast<uint8_t>(rest);
  return to;
}

bool take_number(const uint8_t*& at, const uint8_t* end, uint32_t& sum) {
  uint32_t value = 0;
  for (unsigned shift = 0; at != end && shift < 35; shift += 7) {
    const uint8_t byte = *at++;
    value |= static_cast<uint32_t>(byte & 0x7f) << shift;
    if (byte & 0x80) continue;
    sum += (value >> 1) ^ (0u - (value & 1));
    return true;
  }
  return false;
}

template <typename T>
uint8_t* put(uint8_t* to, const T& value) {
  std::memcpy(to, &value, sizeof value);
  return to + sizeof value;
}

bool has_pc(const ExitPlan& exit) {
  return exit.kind != ExitPlan::Kind::Indirect && exit.kind != ExitPlan::Kind::Stopped;
}

constexpr unsigned kFlagsBits = 2;
/// One number for both.
uint32_t flagged_offset(const FaultPlan& fault) {
  return fault.offset << kFlagsBits | static_cast<uint32_t>(fault.flags);
}

uint32_t guest_and_plain(const FaultPlan& fault) { return fault.guest << 1 | (fault.plain ? 1u : 0u); }

/// Whether the exit needs more than an Exit can hold.
bool is_wide(const ExitPlan& exit, ir::BlockKey key) {
  if (exit.detail != 0) return true;
  const auto distance = static_cast<int64_t>(exit.pc - key.pc);
  return has_pc(exit) &&
         (distance != static_cast<int32_t>(distance) || (exit.mode_known && exit.mode != key.mode));
}

}  // namespace

bool BlockInfo::pack(const Source& source, std::vector<uint8_t>& out) {
  constexpr uint32_t kLimit = (1u << kOffsetBits) - 1;
  constexpr size_t kMany = 0xffff;
  const std::vector<ExitPlan>& exits = *source.exits;
  const size_t pointers = source.pointers ? source.pointers->size() : 0;
  const size_t moves = source.moves ? source.moves->size() : 0;
  const size_t traps = source.traps ? source.traps->size() : 0;
  constexpr uint32_t kMostMoves = (1u << kMoveBits) - 1;
  if (moves > kMostMoves) return false;
  if (source.code_size > kLimit || exits.size() > kMany || pointers > kMany) return false;
  const size_t start = out.size();
  // Room for the most there can be; what is left goes at the end.
  out.resize(start + sizeof(Head) + exits.size() * (sizeof(Exit) + sizeof(WideExit)) +
             (pointers + moves) * sizeof(uint32_t) +
             ((source.faults->size() + traps) * 3 + 1) * kLongestNumber + sizeof(uint32_t) +
             source.recovery.size());
  uint8_t* to = out.data() + start + sizeof(Head);
  Head head{.code_size = source.code_size & 0x1fffff,
            .notes_flags = source.notes_flags,
            .sums = source.sums,
            .region = source.region,
            .drops_flags = source.drops_flags,
            .prefix = source.prefix & 0x3f,
            .after_check = (source.region ? source.entry : source.after_check) & kLimit,
            .movable = source.moves != nullptr,
            .moves = static_cast<uint32_t>(moves) & kMostMoves,
            .exits = static_cast<uint16_t>(exits.size()),
            .wide = 0,
            .pointers = static_cast<uint16_t>(pointers),
            .fault_bytes = 0};
  for (const ExitPlan& exit : exits) {
    Exit packed{.pc = has_pc(exit) ? static_cast<int32_t>(exit.pc - source.key.pc) : 0,
                .patch = exit.patch & kLimit,
                .kind = static_cast<uint32_t>(exit.kind) & 0xf,
                .mode_known = exit.mode_known,
                .wide = 0,
                .flags = static_cast<uint32_t>(exit.flags) & 3,
                .asks = exit.asks,
                .spare = 0,
                .stub = exit.stub & kLimit,
                .raise = static_cast<uint8_t>(exit.raise),
                .spare2 = 0};
    if (is_wide(exit, source.key)) {
      packed.wide = 1;
      packed.pc = head.wide++;
    }
    to = put(to, packed);
  }
  for (const ExitPlan& exit : exits) {
    if (head.wide == 0) break;
    if (!is_wide(exit, source.key)) continue;
    WideExit wide{{}, {}, exit.mode};
    const uint64_t distance = has_pc(exit) ? exit.pc - source.key.pc : 0;
    std::memcpy(wide.pc, &distance, sizeof wide.pc);
    std::memcpy(wide.detail, &exit.detail, sizeof wide.detail);
    to = put(to, wide);
  }
  for (size_t i = 0; i < pointers; ++i) to = put(to, (*source.pointers)[i]);
  for (size_t i = 0; i < moves; ++i) to = put(to, (*source.moves)[i]);
  const uint8_t* const faults = to;
  to = put_number(to, static_cast<int32_t>(traps));
  TrapPlan before{0, 0, 0};
  for (size_t i = 0; i < traps; ++i) {
    const TrapPlan& trap = (*source.traps)[i];
    to = put_number(to, static_cast<int32_t>(trap.offset - before.offset));
    to = put_number(to, static_cast<int32_t>(trap.size - before.size));
    to = put_number(to, static_cast<int32_t>(trap.target - before.target));
    before = trap;
  }
  FaultPlan last{0, 0};
  for (const FaultPlan& fault : *source.faults) {
    to = put_number(to, static_cast<int32_t>(flagged_offset(fault) - flagged_offset(last)));
    to = put_number(to, static_cast<int32_t>(guest_and_plain(fault) - guest_and_plain(last)));
    to = put_number(to, static_cast<int32_t>(fault.f80 - last.f80));
    last = fault;
  }
  if (static_cast<size_t>(to - faults) > kMany) {
    out.resize(start);
    return false;
  }
  head.fault_bytes = static_cast<uint16_t>(to - faults);
  std::memcpy(out.data() + start, &head, sizeof head);
  if (source.region) {
    to = put(to, static_cast<uint32_t>(source.recovery.size()));
    to = std::copy(source.recovery.begin(), source.recovery.end(), to);
  }
  out.resize(static_cast<size_t>(to - out.data()));
  return true;
}

std::optional<BlockInfo> BlockInfo::check(std::span<const uint8_t> bytes) {
  if (bytes.size() < sizeof(Head)) return std::nullopt;
  const BlockInfo info(bytes.data());
  const Head head = info.head();
  if (head.region && recovery_at(head) + sizeof(uint32_t) > bytes.size()) return std::nullopt;
  if (info.size() > bytes.size() || head.code_size < kCodeHeader + head.prefix ||
      head.after_check > head.code_size)
    return std::nullopt;
  const auto fits = [&](uint32_t offset, uint32_t size) { return offset <= head.code_size - size; };
  for (unsigned i = 0; i < head.exits; ++i) {
    const auto exit = info.read<Exit>(sizeof(Head) + i * sizeof(Exit));
    const uint32_t field = head.region ? sizeof(uint64_t) : sizeof(int32_t);
    if (head.code_size < field || !fits(exit.patch, field) || !fits(exit.stub, 1) ||
        (exit.wide && static_cast<uint32_t>(exit.pc) >= head.wide))
      return std::nullopt;
  }
  for (unsigned i = 0; i < head.pointers; ++i)
    if (!fits(info.pointer(i), 8)) return std::nullopt;
  for (unsigned i = 0; i < head.moves; ++i) {
    const uint32_t at = info.move(i) & ~kMoveIndex;
    if (head.code_size < 8 || !fits(at, 8) || at < kCodeHeader) return std::nullopt;
  }
  return info;
}

size_t BlockInfo::size() const {
  const Head h = head();
  return recovery_at(h) + (h.region ? sizeof(uint32_t) + recovery().size() : 0);
}

std::span<const uint8_t> BlockInfo::recovery() const {
  const size_t at = recovery_at(head());
  return {at_ + at + sizeof(uint32_t), read<uint32_t>(at)};
}

ExitPlan BlockInfo::exit(unsigned number, ir::BlockKey key) const {
  const Head h = head();
  const auto packed = read<Exit>(sizeof(Head) + number * sizeof(Exit));
  ExitPlan exit{.kind = static_cast<ExitPlan::Kind>(packed.kind),
                .mode_known = packed.mode_known != 0,
                .mode = key.mode,
                .pc = key.pc + static_cast<uint64_t>(int64_t{packed.pc}),
                .raise = static_cast<ir::ExitKind>(packed.raise),
                .patch = packed.patch,
                .stub = packed.stub,
                .flags = static_cast<FlagsAt>(packed.flags),
                .asks = packed.asks != 0};
  if (packed.wide) {
    const auto wide = read<WideExit>(wide_at(h) + static_cast<uint32_t>(packed.pc) * sizeof(WideExit));
    uint64_t distance;
    std::memcpy(&distance, wide.pc, sizeof distance);
    exit.pc = key.pc + distance;
    std::memcpy(&exit.detail, wide.detail, sizeof exit.detail);
    exit.mode = wide.mode;
  }
  return exit;
}

uint32_t BlockInfo::entry_for(bool forward, FlagsAt flags) const {
  const Head h = head();
  if (flags == FlagsAt::State) return forward ? h.after_check : entry();
  if (h.prefix == 0) return 0;
  const uint32_t skipped = h.sums && flags != FlagsAt::HostSum;
  if (h.region) return h.code_size - h.prefix + skipped;
  if (forward && h.drops_flags) return h.after_check;
  return kCodeHeader + skipped;
}

std::optional<uint32_t> BlockInfo::room_for_loop(uint32_t at, uint32_t step, ir::BlockKey key) const {
  constexpr uint32_t kLine = 64, kEntrySize = 6;  // that much runs at an entry which jumps to the body
  const Head h = head();
  const bool jumps = h.drops_flags || h.notes_flags;
  for (unsigned i = 0; i < h.exits && !h.region; ++i) {
    const auto packed = read<Exit>(sizeof(Head) + i * sizeof(Exit));
    if (packed.patch == 0 || packed.wide || packed.pc != 0) continue;
    const ExitPlan loop = exit(i, key);
    if (loop.mode != key.mode) continue;
    const uint32_t end = loop.patch + 4, entry = entry_for(false, loop.flags);
    const uint32_t body = h.after_check + (h.notes_flags ? kNoteSize : 0);
    if (entry == 0 || end <= body || end - body > kLine) return std::nullopt;
    // A round is fetched once more for each line that the entry or the body crosses into. An entry that jumps
    // is better in another line than the body: of two jumps in one line the host takes longer for the second.
    const auto cost = [&](uint32_t skip) {
      const auto line = [&](uint32_t offset) { return (at + skip + offset) / kLine; };
      if (!jumps) return line(end - 1) - line(entry);
      const uint32_t entered = line(entry), through = line(entry + kEntrySize - 1);
      return 2 * ((through - entered) + (line(end - 1) - line(body))) + (line(body) == through);
    };
    uint32_t best = 0;
    bool same = true;
    for (uint32_t skip = step; skip < kLine; skip += step) {
      same &= cost(skip) == cost(0);
      if (cost(skip) < cost(best)) best = skip;
    }
    if (same) return std::nullopt;
    return best;
  }
  return std::nullopt;
}

uint32_t BlockInfo::pointer(unsigned number) const {
  return read<uint32_t>(pointers_at(head()) + number * sizeof(uint32_t));
}

uint32_t BlockInfo::move(unsigned number) const {
  const Head h = head();
  return read<uint32_t>(pointers_at(h) + (size_t{h.pointers} + number) * sizeof(uint32_t));
}

std::optional<uint32_t> BlockInfo::trap(uint32_t offset) const {
  const Head h = head();
  const uint8_t* at = at_ + faults_at(h);
  const uint8_t* const end = at + h.fault_bytes;
  uint32_t left = 0;
  TrapPlan trap{0, 0, 0};
  if (!take_number(at, end, left)) return std::nullopt;
  for (; left > 0; --left) {
    if (!take_number(at, end, trap.offset) || !take_number(at, end, trap.size) ||
        !take_number(at, end, trap.target))
      break;
    if (offset - trap.offset < trap.size && trap.target < h.code_size) return trap.target;
  }
  return std::nullopt;
}

std::optional<FaultPlan> BlockInfo::fault(uint32_t offset) const {
  const Head h = head();
  const uint8_t* at = at_ + faults_at(h);
  const uint8_t* const end = at + h.fault_bytes;
  uint32_t traps = 0, skipped = 0;
  if (!take_number(at, end, traps)) return std::nullopt;
  for (uint64_t i = 0; i < uint64_t{traps} * 3; ++i)
    if (!take_number(at, end, skipped)) return std::nullopt;
  FaultPlan fault{0, 0};
  for (uint32_t flagged = 0, guest = 0;
       take_number(at, end, flagged) && take_number(at, end, guest) && take_number(at, end, fault.f80);) {
    fault.guest = static_cast<uint32_t>(static_cast<int32_t>(guest) >> 1);
    fault.plain = (guest & 1) != 0;
    fault.offset = flagged >> kFlagsBits;
    fault.flags = static_cast<FlagsAt>(flagged & low_mask(kFlagsBits));
    if (fault.offset == offset) return fault;
  }
  return std::nullopt;
}

}  // namespace lyrebird::jit::baseline
