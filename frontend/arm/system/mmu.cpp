// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/system/mmu.h"

#include <algorithm>
#include <atomic>

#include "base/bits.h"
#include "frontend/arm/system/control_bits.h"
#include "frontend/arm/system/decode_traps.h"
#include "system/address_space.h"
#include "system/ram_block.h"

namespace lyrebird::arm {
namespace {

using enum SysReg;
using ir::Access;

// Descriptors (D8.3).
constexpr unsigned kAfBit = 10, kNgBit = 11, kGpBit = 50, kDbmBit = 51, kPxnBit = 53, kUxnBit = 54;
constexpr uint64_t kReadOnly = uint64_t{1} << 7;  ///< stage 1: AP[2]
constexpr uint64_t kTablePage = 4096;
constexpr uint64_t kStage2Write = uint64_t{1} << 7;

unsigned pa_bits_of(unsigned ps) {
  constexpr uint8_t kBits[] = {32, 36, 40, 42, 44, 48, 52, 52};
  return kBits[ps & 7];
}

/// What the control registers say of one stage, for one address.
struct StageConfig {
  uint64_t table = 0;  ///< physical (stage 1 with stage 2: intermediate) address of the first table
  unsigned input_bits = 48;
  unsigned granule = 12;  ///< log2
  unsigned start_level = 0;
  unsigned output_bits = 48;
  bool hardware_af = false, hardware_dirty = false;
  bool hierarchical = true;  ///< table descriptors restrict what follows
  bool big_endian = false;
  bool large_output =
      false;  ///< 64 KiB granule and more than 48 bits: descriptors have bits 15:12 for PA[51:48]

  unsigned stride() const { return granule - 3; }
  unsigned shift_at(unsigned level) const { return (3 - level) * stride() + granule; }
};

/// A found leaf.
struct Leaf {
  uint64_t descriptor = 0;
  uint64_t address_of = 0;  ///< where it lies, as the walk's stage sees it
  uint64_t output = 0;      ///< of the first byte of the page
  unsigned level = 3;
  unsigned bits = 12;
  // From table descriptors.
  bool no_el0 = false, read_only = false, uxn = false, pxn = false, ns = false;
};

/// One request: what stays the same on the way down.
class Walker {
 public:
  Walker(A64SystemState& state, system::AddressSpace& memory, uint64_t va, Access access, unsigned index,
         WalkPurpose purpose, TranslationFault& fault)
      : state_(state),
        memory_(memory),
        va_(va),
        access_(access),
        index_(index),
        purpose_(purpose),
        fault_(fault) {}

  /// Stage 1 tables always go through stage 2; the result only with `both_stages`.
  bool run(Translation& page, bool both_stages);

 private:
  enum class Outcome : uint8_t { Done, Failed, Again };

  // The regime.
  bool is_el1() const { return index_ <= kMmuEl1Pan; }
  bool is_host() const { return index_ >= kMmuEl20 && index_ <= kMmuEl2HostPan; }
  bool two_halves() const { return index_ <= kMmuEl2HostPan; }
  bool unprivileged() const { return index_ == kMmuEl0 || index_ == kMmuEl20; }
  bool pan() const { return index_ == kMmuEl1Pan || index_ == kMmuEl2HostPan; }
  unsigned regime_el() const { return is_el1() ? 1 : index_ == kMmuEl3 ? 3 : 2; }
  uint64_t control() const { return state_.reg(by_el(regime_el(), SCTLR_EL1, SCTLR_EL2, SCTLR_EL3)); }
  uint64_t tcr() const { return state_.reg(by_el(regime_el(), TCR_EL1, TCR_EL2, TCR_EL3)); }
  bool has(Feature feature) const { return state_.config->model->features.has(feature); }
  bool secure() const;
  bool stage1_enabled() const;
  bool is_tagged(bool upper) const;

  Outcome stage1(Translation& page);
  bool flat(Translation& page);
  bool stage1_config(StageConfig& config);
  void permissions(const Leaf& leaf, Translation& page, bool writable) const;
  Outcome update(const StageConfig& config, const Leaf& leaf, uint64_t wanted, bool stage2_leaf);

  Outcome stage2(uint64_t ipa, Access access, bool of_table, Translation& page);
  bool stage2_config(StageConfig& config);

  bool descend(const StageConfig& config, uint64_t input, bool is_stage2, Leaf& leaf);
  bool read_descriptor(const StageConfig& config, uint64_t address, bool is_stage2, unsigned level,
                       uint64_t& value);
  const uint8_t* table_in_host(uint64_t address);
  bool table_physical(uint64_t& address);

  bool fail(unsigned status, unsigned level) {
    fault_.status = static_cast<uint8_t>(status + level);
    fault_.stage2 = in_stage2_;
    fault_.stage1_walk = in_stage2_ && of_table_;
    fault_.ipa = in_stage2_ ? ipa_ : 0;
    fault_.address = va_;
    return false;
  }

  A64SystemState& state_;
  system::AddressSpace& memory_;
  const uint64_t va_;
  const Access access_;
  const unsigned index_;
  const WalkPurpose purpose_;
  TranslationFault& fault_;
  bool with_stage2_ = false;
  bool in_stage2_ = false, of_table_ = false;
  uint64_t ipa_ = 0;
};

// --- the regime

bool Walker::secure() const {
  if (!state_.config->el3) return false;
  return index_ == kMmuEl3 || (is_el1() && !(state_.reg(SCR_EL3) & scr::kNs));
}

bool Walker::stage1_enabled() const {
  if (is_el1() && with_stage2_ && (effective_hcr(state_) & hcr::kDc)) return false;
  if (is_el1() && el2_enabled(state_) && (state_.reg(HCR_EL2) & hcr::kTge)) return false;
  return control() & sctlr::kM;
}

bool Walker::is_tagged(bool upper) const {
  const uint64_t value = tcr();
  const bool data_only = has(Feature::PAuth) && access_ == Access::Fetch;
  if (two_halves())
    return upper ? bit(value, 38) && !(data_only && bit(value, 52))
                 : bit(value, 37) && !(data_only && bit(value, 51));
  return bit(value, 20) && !(data_only && bit(value, 29));
}

bool Walker::stage1_config(StageConfig& config) {
  const uint64_t value = tcr();
  const bool upper = two_halves() && bit(va_, 55);
  const unsigned size_field = bits(value, upper ? 16 : 0, 6);
  constexpr uint8_t kGranule0[] = {12, 16, 14, 12}, kGranule1[] = {12, 14, 12, 16};
  config.granule = upper ? kGranule1[bits(value, 30, 2)] : kGranule0[bits(value, 14, 2)];
  const unsigned least = has(Feature::LVA) && config.granule == 16 ? 12 : 16;
  config.input_bits = 64 - std::clamp(size_field, least, 39u);
  config.output_bits = std::min(pa_bits_of(bits(value, two_halves() ? 32 : 16, 3)), state_.config->pa_bits);
  config.large_output = config.granule == 16 && state_.config->pa_bits == 52;
  if (!config.large_output) config.output_bits = std::min(config.output_bits, 48u);
  config.big_endian = control() & sctlr::kEe;
  if (has(Feature::HAFDBS)) {
    config.hardware_af = bit(value, two_halves() ? 39 : 21);
    config.hardware_dirty = config.hardware_af && bit(value, two_halves() ? 40 : 22);
  }
  if (has(Feature::HPDS)) config.hierarchical = !bit(value, two_halves() ? (upper ? 42 : 41) : 24);

  // The address must be a copy of bit 55 (or zeros) above the input size, but for a tag.
  const unsigned top = is_tagged(upper) ? 56 : 64;
  if (config.input_bits < top) {
    const uint64_t above = bits(va_, config.input_bits, top - config.input_bits);
    if (above != (upper ? low_mask(top - config.input_bits) : 0)) return fail(kStatusTranslation, 0);
  }
  if (two_halves() && bit(value, upper ? 23 : 7)) return fail(kStatusTranslation, 0);  // EPD

  const unsigned stride = config.stride();
  config.start_level = 4 - (config.input_bits - config.granule + stride - 1) / stride;
  const uint64_t base = state_.reg(upper ? (is_host() ? TTBR1_EL2 : TTBR1_EL1)
                                         : by_el(regime_el(), TTBR0_EL1, TTBR0_EL2, TTBR0_EL3));
  const unsigned low =
      std::max(3 + config.input_bits - config.shift_at(config.start_level), config.large_output ? 6u : 0u);
  config.table = bits(base, 0, 48) & ~low_mask(std::max(low, 1u));
  if (config.large_output) config.table |= bits(base, 2, 4) << 48;
  if (config.table >> config.output_bits) return fail(kStatusAddressSize, 0);
  return true;
}

bool Walker::stage2_config(StageConfig& config) {
  const uint64_t value = state_.reg(VTCR_EL2);
  constexpr uint8_t kGranule[] = {12, 16, 14, 12};
  config.granule = kGranule[bits(value, 14, 2)];
  config.input_bits = 64 - std::clamp<unsigned>(bits(value, 0, 6), 16, 39);
  config.output_bits = std::min(pa_bits_of(bits(value, 16, 3)), state_.config->pa_bits);
  config.large_output = config.granule == 16 && state_.config->pa_bits == 52;
  if (!config.large_output) config.output_bits = std::min(config.output_bits, 48u);
  config.big_endian = state_.reg(SCTLR_EL2) & sctlr::kEe;
  config.hierarchical = false;
  if (has(Feature::HAFDBS)) {
    config.hardware_af = bit(value, 21);
    config.hardware_dirty = config.hardware_af && bit(value, 22);
  }
  const unsigned sl0 = bits(value, 6, 2);
  const int start = config.granule == 12 ? 2 - static_cast<int>(sl0) : 3 - static_cast<int>(sl0);
  if (start < 0 || sl0 == 3) return fail(kStatusTranslation, 0);
  config.start_level = static_cast<unsigned>(start);
  // The first table may be up to 16 tables side by side; neither fewer than one entry nor more than that.
  const unsigned shift = config.shift_at(config.start_level);
  if (config.input_bits <= shift || config.input_bits > shift + config.stride() + 4)
    return fail(kStatusTranslation, 0);
  const uint64_t base = state_.reg(VTTBR_EL2);
  config.table = bits(base, 0, 48) & ~low_mask(std::max(3 + config.input_bits - shift, 1u));
  if (config.large_output) config.table |= bits(base, 2, 4) << 48;
  if (config.table >> config.output_bits) return fail(kStatusAddressSize, 0);
  return true;
}

// --- reading tables

/// A stage 1 table lies at an intermediate address where stage 2 is on.
bool Walker::table_physical(uint64_t& address) {
  if (!with_stage2_ || in_stage2_) return true;
  Translation page;
  Outcome outcome;
  do {
    outcome = stage2(address, Access::Read, true, page);
  } while (outcome == Outcome::Again);
  if (outcome == Outcome::Failed) return false;
  address = page.physical | (address & low_mask(page.bits));
  return true;
}

bool Walker::read_descriptor(const StageConfig& config, uint64_t address, bool is_stage2, unsigned level,
                             uint64_t& value) {
  if (!is_stage2 && !table_physical(address)) return false;
  if (const uint8_t* host = table_in_host(address)) {
    // Other CPUs' walks may be setting flags in it.
    value = std::atomic_ref(*reinterpret_cast<uint64_t*>(const_cast<uint8_t*>(host))).load();
  } else {
    const system::MemoryResult read = memory_.read(address, 8);
    if (!read.ok) return fail(kStatusExternalWalk, level);
    value = read.value;
  }
  if (config.big_endian) value = __builtin_bswap64(value);
  return true;
}

/// The 8 bytes at the address (a multiple of 8) if they are RAM.
const uint8_t* Walker::table_in_host(uint64_t address) {
  TableCache& cache = state_.tables;
  const uint64_t generation = memory_.generation(), page = address / kTablePage,
                 offset = address % kTablePage;
  if (cache.space != &memory_ || cache.generation != generation) {
    cache = {};
    cache.space = &memory_;
    cache.generation = generation;
  }
  TableCache::Entry& entry = cache.entries[page % std::size(cache.entries)];
  if (entry.page == page) return entry.host + offset;
  const auto host = memory_.host(page * kTablePage);
  if (!host || host->size < kTablePage || !host->ram || !host->writable) return nullptr;
  entry = {.page = page, .host = host->pointer};
  return host->pointer + offset;
}

bool Walker::descend(const StageConfig& config, uint64_t input, bool is_stage2, Leaf& leaf) {
  uint64_t table = config.table;
  for (unsigned level = config.start_level;; ++level) {
    const unsigned shift = config.shift_at(level);
    const unsigned top = level == config.start_level ? config.input_bits : shift + config.stride();
    leaf.address_of = table + (bits(input, shift, top - shift) << 3);
    leaf.level = level;
    uint64_t& descriptor = leaf.descriptor;
    if (!read_descriptor(config, leaf.address_of, is_stage2, level, descriptor)) return false;
    const bool is_page = level == 3;
    if (!bit(descriptor, 0) || (is_page && !bit(descriptor, 1))) return fail(kStatusTranslation, level);
    const bool is_table = !is_page && bit(descriptor, 1);
    const unsigned low = is_table ? config.granule : shift;
    uint64_t output = bits(descriptor, 0, 48) & ~low_mask(low);
    if (config.large_output) output |= bits(descriptor, 12, 4) << 48;
    if (!is_table && !is_page && level < (config.granule == 12 ? 1u : config.large_output ? 1u : 2u))
      return fail(kStatusTranslation, level);  // no blocks of this size
    if (output >> config.output_bits) return fail(kStatusAddressSize, level);
    if (!is_table) {
      leaf.output = output;
      leaf.bits = shift;
      return true;
    }
    table = output;
    leaf.ns |= bit(descriptor, 63);
    if (config.hierarchical) {
      leaf.read_only |= bit(descriptor, 62);
      leaf.no_el0 |= bit(descriptor, 61);
      leaf.uxn |= bit(descriptor, 60);
      leaf.pxn |= bit(descriptor, 59);
    }
  }
}

/// Writes `wanted` into a descriptor that still is what was read; Again if it no longer is.
Walker::Outcome Walker::update(const StageConfig& config, const Leaf& leaf, uint64_t wanted,
                               bool stage2_leaf) {
  uint64_t address = leaf.address_of;
  if (!stage2_leaf && with_stage2_) {
    Translation page;
    Outcome outcome;
    do {
      outcome = stage2(address, Access::Write, true, page);
    } while (outcome == Outcome::Again);
    if (outcome == Outcome::Failed) {
      fault_.write_of_table = true;
      return Outcome::Failed;
    }
    address = page.physical | (address & low_mask(page.bits));
  }
  const auto host = memory_.host(address);
  if (!host || !host->writable || host->size < 8) {
    fail(kStatusExternalWalk, leaf.level);
    return Outcome::Failed;
  }
  uint64_t expected = config.big_endian ? __builtin_bswap64(leaf.descriptor) : leaf.descriptor;
  const uint64_t desired = config.big_endian ? __builtin_bswap64(wanted) : wanted;
  std::atomic_ref<uint64_t> word(*reinterpret_cast<uint64_t*>(host->pointer));
  if (!word.compare_exchange_strong(expected, desired)) return Outcome::Again;
  if (host->ram) host->ram->mark(host->ram_offset, 8);
  return Outcome::Done;
}

// --- stage 1

void Walker::permissions(const Leaf& leaf, Translation& page, bool writable) const {
  const uint64_t d = leaf.descriptor;
  const uint64_t wxn = control() & sctlr::kWxn;
  if (!two_halves()) {
    page.read = true;
    page.write = writable;
    page.execute = !bit(d, kUxnBit) && !leaf.uxn && !(wxn && writable);
    return;
  }
  const bool el0 = bit(d, 6) && !leaf.no_el0;
  if (unprivileged()) {
    page.read = el0;
    page.write = el0 && writable;
    page.execute = !bit(d, kUxnBit) && !leaf.uxn && !(wxn && page.write);
    return;
  }
  page.read = true;
  page.write = writable;
  page.execute = !bit(d, kPxnBit) && !leaf.pxn && !(el0 && writable) && !(wxn && writable);
  if (pan() && el0) page.read = page.write = false;
}

/// Stage 1 is off: addresses are what they are (D8.2.9).
bool Walker::flat(Translation& page) {
  const bool upper = two_halves() && bit(va_, 55);
  const uint64_t address = is_tagged(upper) ? va_ & low_mask(56) : va_;
  if (address >> std::min(state_.config->pa_bits, 52u)) return fail(kStatusAddressSize, 0);
  constexpr unsigned kBits = 21;
  page = {.physical = address & ~low_mask(kBits),
          .bits = kBits,
          .read = true,
          .write = true,
          .execute = true,
          .global = true,
          .secure = secure()};
  const bool cached = is_el1() && with_stage2_ && (effective_hcr(state_) & hcr::kDc);
  // Instructions: write-through where SCTLR.I is set; who fetches does not ask.
  page.attributes = cached ? 0xff : 0;
  page.shareability = cached ? 0 : 2;
  return true;
}

Walker::Outcome Walker::stage1(Translation& page) {
  if (!stage1_enabled()) return flat(page) ? Outcome::Done : Outcome::Failed;
  StageConfig config;
  Leaf leaf;
  if (!stage1_config(config) || !descend(config, va_, false, leaf)) return Outcome::Failed;
  uint64_t wanted = leaf.descriptor;
  if (!bit(wanted, kAfBit)) {
    if (!config.hardware_af) {
      fail(kStatusAccessFlag, leaf.level);
      return Outcome::Failed;
    }
    wanted |= uint64_t{1} << kAfBit;
  }
  const bool read_only = bit(leaf.descriptor, 7);
  const bool cleans_up =
      config.hardware_dirty && bit(leaf.descriptor, kDbmBit) && read_only && !leaf.read_only;
  permissions(leaf, page, (!read_only || cleans_up) && !leaf.read_only);
  const bool allowed = access_ == Access::Read    ? page.read
                       : access_ == Access::Write ? page.write
                                                  : page.execute;
  if (!allowed) {
    fail(kStatusPermission, leaf.level);
    return Outcome::Failed;
  }
  if (cleans_up && access_ == Access::Write && purpose_ == WalkPurpose::Access) wanted &= ~kReadOnly;
  if (purpose_ != WalkPurpose::Probe && wanted != leaf.descriptor) {
    const Outcome outcome = update(config, leaf, wanted, false);
    if (outcome != Outcome::Done) return outcome;
  }
  // Writable by the tables, but somebody wants to know of the first write.
  if (cleans_up && (wanted & kReadOnly)) page.write = false;

  const uint64_t mair = state_.reg(by_el(regime_el(), MAIR_EL1, MAIR_EL2, MAIR_EL3));
  page.attributes = static_cast<uint8_t>(mair >> 8 * bits(leaf.descriptor, 2, 3));
  page.shareability = config.large_output ? 3 : bits(leaf.descriptor, 8, 2);
  page.physical = leaf.output;
  page.bits = static_cast<uint8_t>(leaf.bits);
  page.global = !two_halves() || !bit(leaf.descriptor, kNgBit);
  page.guarded = has(Feature::BTI) && bit(leaf.descriptor, kGpBit);
  page.secure = secure() && !bit(leaf.descriptor, 5) && !leaf.ns;
  return Outcome::Done;
}

// --- stage 2

Walker::Outcome Walker::stage2(uint64_t ipa, Access access, bool of_table, Translation& page) {
  in_stage2_ = true;
  of_table_ = of_table;
  ipa_ = ipa;
  const auto leave = [this](Outcome outcome) {
    if (outcome != Outcome::Failed) in_stage2_ = false;
    return outcome;
  };
  StageConfig config;
  Leaf leaf;
  if (!stage2_config(config)) return Outcome::Failed;
  if (ipa >> config.input_bits) {
    fail(kStatusTranslation, 0);
    return Outcome::Failed;
  }
  if (!descend(config, ipa, true, leaf)) return Outcome::Failed;
  uint64_t wanted = leaf.descriptor;
  if (!bit(wanted, kAfBit)) {
    if (!config.hardware_af) {
      fail(kStatusAccessFlag, leaf.level);
      return Outcome::Failed;
    }
    wanted |= uint64_t{1} << kAfBit;
  }
  const bool read = bit(leaf.descriptor, 6);
  bool write = bit(leaf.descriptor, 7);
  const bool cleans_up = config.hardware_dirty && bit(leaf.descriptor, kDbmBit) && !write;
  if (cleans_up) write = true;
  const bool execute = read && !bit(leaf.descriptor, 54);
  const bool allowed = access == Access::Read ? read : access == Access::Write ? write : execute;
  if (!allowed) {
    fail(kStatusPermission, leaf.level);
    return Outcome::Failed;
  }
  if (cleans_up && access == Access::Write && purpose_ == WalkPurpose::Access) wanted |= kStage2Write;
  if (purpose_ != WalkPurpose::Probe && wanted != leaf.descriptor) {
    const Outcome outcome = update(config, leaf, wanted, true);
    if (outcome != Outcome::Done) return leave(outcome);
  }
  if (cleans_up && !(wanted & kStage2Write)) write = false;
  page.physical = leaf.output;
  page.bits = static_cast<uint8_t>(leaf.bits);
  page.read = read;
  page.write = write;
  page.execute = execute;
  page.attributes = static_cast<uint8_t>(bits(leaf.descriptor, 2, 4));  // MemAttr
  return leave(Outcome::Done);
}

bool Walker::run(Translation& page, bool both_stages) {
  with_stage2_ = is_el1() && !secure() && (effective_hcr(state_) & (hcr::kVm | hcr::kDc));
  for (;;) {
    in_stage2_ = of_table_ = false;
    Outcome outcome = stage1(page);
    if (outcome == Outcome::Done && with_stage2_ && both_stages) {
      const uint64_t ipa = page.physical | (va_ & low_mask(page.bits));
      Translation second;
      outcome = stage2(ipa, access_, false, second);
      if (outcome == Outcome::Done) {
        const unsigned size = std::min(page.bits, second.bits);
        page.physical = (second.physical | (ipa & low_mask(second.bits))) & ~low_mask(size);
        page.bits = static_cast<uint8_t>(size);
        page.read &= second.read;
        page.write &= second.write;
        page.execute &= second.execute;
        if (second.attributes < 4)
          page.attributes = static_cast<uint8_t>(second.attributes << 2);  // device wins
      }
    }
    if (outcome != Outcome::Again) return outcome == Outcome::Done;
  }
}

}  // namespace

bool translate(A64SystemState& state, system::AddressSpace& memory, uint64_t va, Access access,
               unsigned mmu_index, WalkPurpose purpose, Translation& page, TranslationFault& fault) {
  fault = {};
  return Walker(state, memory, va, access, mmu_index, purpose, fault).run(page, true);
}

uint32_t current_context(const A64SystemState& state, bool host) {
  const uint64_t tcr = state.reg(host ? TCR_EL2 : TCR_EL1);
  const bool second = bit(tcr, 22);  // A1
  const uint64_t base = state.reg(second ? (host ? TTBR1_EL2 : TTBR1_EL1) : (host ? TTBR0_EL2 : TTBR0_EL1));
  return bits(base, 48, bit(tcr, 36) ? 16 : 8);
}

// PAR_EL1 (D19.2.114).
void address_operation(A64SystemState& state, uint64_t va, Access access, unsigned mmu_index, bool stages12) {
  Translation page;
  TranslationFault fault;
  const bool ok = Walker(state, state.vcpu->memory(), va, access, mmu_index, WalkPurpose::AddressOp, fault)
                      .run(page, stages12);
  if (!ok) {
    state.reg(PAR_EL1) = 1u << 11 | uint64_t{fault.status} << 1 | (fault.stage2 ? 1u << 9 : 0) |
                         (fault.stage1_walk ? 1u << 8 : 0) | 1;
    return;
  }
  const uint64_t physical = (page.physical | (va & low_mask(page.bits))) & ~low_mask(12);
  const unsigned shareability = page.device() || page.attributes == 0x44 ? 2 : page.shareability;
  state.reg(PAR_EL1) =
      uint64_t{page.attributes} << 56 | physical | 1u << 11 | (page.secure ? 0 : 1u << 9) | shareability << 7;
}

bool fetch_instruction(const A64SystemState& state, uint64_t pc, uint32_t& word) {
  auto& mutable_state = const_cast<A64SystemState&>(state);  // a probe changes nothing
  Translation page;
  TranslationFault fault;
  system::AddressSpace& memory = state.vcpu->memory();
  if (!translate(mutable_state, memory, pc, Access::Fetch, fetch_space(state.header.mode), WalkPurpose::Probe,
                 page, fault))
    return false;
  const system::MemoryResult read = memory.read(page.physical | (pc & low_mask(page.bits)), 4);
  word = static_cast<uint32_t>(read.value);
  return read.ok;
}

}  // namespace lyrebird::arm
