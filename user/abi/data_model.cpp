// SPDX-License-Identifier: Apache-2.0
#include "user/abi/data_model.h"

#include <array>
#include <cstring>
#include <iterator>
#include <span>
#include <type_traits>

#include "base/bits.h"

namespace lyrebird::user {
namespace {

struct Place {
  uint8_t size, align;
  bool is_signed;
};

constexpr unsigned kKinds = static_cast<unsigned>(Kind::Pad) + 1;
using Places = std::array<Place, kKinds>;

constexpr Place place_of(uint8_t word, uint8_t align64, Kind kind) {
  switch (kind) {
    case Kind::S8:
      return {1, 1, true};
    case Kind::U8:
      return {1, 1, false};
    case Kind::S16:
      return {2, 2, true};
    case Kind::U16:
      return {2, 2, false};
    case Kind::S32:
      return {4, 4, true};
    case Kind::U32:
      return {4, 4, false};
    case Kind::S64:
      return {8, align64, true};
    case Kind::U64:
      return {8, align64, false};
    case Kind::Long:
      return {word, word, true};
    case Kind::ULong:
    case Kind::Pointer:
      return {word, word, false};
    case Kind::Bytes:
    case Kind::Pad:
      break;
  }
  return {0, 1, false};  // as many as the field says
}

constexpr Places places(uint8_t word, uint8_t align64) {
  Places all{};
  for (unsigned i = 0; i < kKinds; ++i) all[i] = place_of(word, align64, static_cast<Kind>(i));
  return all;
}

/// A system call is short: where members go is looked up and not decided.
const Places& places_of(const DataModel& model) {
  static constexpr Places kWide = places(8, 8), kNarrow = places(4, 8), kNarrowLoose = places(4, 4);
  if (model.word == 8) return kWide;
  return model.align64 == 8 ? kNarrow : kNarrowLoose;
}

template <typename Unsigned>
Unsigned swapped(Unsigned raw) {
  return static_cast<Unsigned>(__builtin_bswap64(raw) >> (64 - 8 * sizeof raw));
}

// No copies of variable size: they would be calls.
uint64_t load(const void* from, unsigned size, bool is_signed, bool swap) {
  const auto as = [&]<typename Unsigned>(Unsigned raw) {
    std::memcpy(&raw, from, sizeof raw);
    if (swap) raw = swapped(raw);
    return is_signed ? static_cast<uint64_t>(static_cast<std::make_signed_t<Unsigned>>(raw)) : raw;
  };
  switch (size) {
    case 1:
      return as(uint8_t{});
    case 2:
      return as(uint16_t{});
    case 4:
      return as(uint32_t{});
    default:
      return as(uint64_t{});
  }
}

void store(void* to, uint64_t value, unsigned size, bool swap) {
  const auto as = [&]<typename Unsigned>(Unsigned raw) {
    raw = static_cast<Unsigned>(value);
    if (swap) raw = swapped(raw);
    std::memcpy(to, &raw, sizeof raw);
  };
  switch (size) {
    case 1:
      return as(uint8_t{});
    case 2:
      return as(uint16_t{});
    case 4:
      return as(uint32_t{});
    default:
      return as(uint64_t{});
  }
}

/// Calls visit(field, guest offset, size, whether it is signed) for each member; returns the guest's size.
template <typename Visit>
unsigned walk(const DataModel& model, const StructDesc& desc, Visit visit) {
  const Places& places = places_of(model);
  unsigned offset = 0, widest = 1;
  for (const Field& field : desc.fields) {
    const Place place = places[static_cast<unsigned>(field.kind)];
    if (!desc.packed) {
      offset = (offset + place.align - 1) & -unsigned{place.align};
      widest = place.align > widest ? place.align : widest;
    }
    const unsigned size = place.size ? place.size : field.host_size;
    visit(field, offset, size, place.is_signed);
    offset += size;
  }
  return desc.packed ? offset : (offset + widest - 1) & -widest;
}

/// A struct whose members only move, or lose their upper halves, as a few copies: stat and statx are called
/// too often for a walk over all of their members.
struct CopyPlan {
  static constexpr unsigned kMost = 16;
  struct Run {
    uint16_t host, guest, size;
  };
  const StructDesc* desc = nullptr;
  uint8_t word = 0, align64 = 0;
  uint8_t count = 0;  ///< 0: it takes a walk
  uint16_t size = 0;  ///< of the whole struct in the guest
  Run runs[kMost];

  unsigned copy(const void* from, void* to) const {
    std::memset(to, 0, size);
    for (const Run& run : std::span(runs, count))
      std::memcpy(static_cast<char*>(to) + run.guest, static_cast<const char*>(from) + run.host, run.size);
    return size;
  }
};

CopyPlan make_plan(const DataModel& model, const StructDesc& desc) {
  CopyPlan plan{.desc = &desc, .word = model.word, .align64 = model.align64, .runs = {}};
  unsigned count = 0;
  bool simple = !model.big_endian;
  const unsigned all = walk(model, desc, [&](const Field& field, unsigned offset, unsigned size, bool) {
    if (!simple || field.kind == Kind::Pad) return;
    const auto last = [&]() -> CopyPlan::Run& { return plan.runs[count - 1]; };
    const bool goes_on = count != 0 && last().host + last().size == field.host_offset &&
                         unsigned{last().guest} + last().size == offset;
    simple = size <= field.host_size && (goes_on || count < CopyPlan::kMost);
    if (!simple) return;
    if (!goes_on) plan.runs[count++] = {field.host_offset, static_cast<uint16_t>(offset), 0};
    last().size = static_cast<uint16_t>(last().size + size);
  });
  plan.size = static_cast<uint16_t>(all);
  plan.count = simple && all <= UINT16_MAX ? static_cast<uint8_t>(count) : uint8_t{0};
  return plan;
}

/// The last few of each thread.
const CopyPlan& plan_of(const DataModel& model, const StructDesc& desc) {
  static constinit thread_local CopyPlan plans[4] = {};
  CopyPlan& plan = plans[reinterpret_cast<uintptr_t>(&desc) / sizeof(StructDesc) % std::size(plans)];
  if (plan.desc != &desc || plan.word != model.word || plan.align64 != model.align64 || model.big_endian)
    plan = make_plan(model, desc);
  return plan;
}

}  // namespace

unsigned guest_size(const DataModel& model, const StructDesc& desc) {
  if (model.like_host() && desc.same_order) return desc.host_size;
  return walk(model, desc, [](const Field&, unsigned, unsigned, bool) {});
}

void struct_to_host(const DataModel& model, const StructDesc& desc, const void* guest, void* host) {
  if (model.like_host() && desc.same_order) {
    std::memcpy(host, guest, desc.host_size);
    return;
  }
  std::memset(host, 0, desc.host_size);
  walk(model, desc, [&](const Field& field, unsigned offset, unsigned size, bool is_signed) {
    const char* const from = static_cast<const char*>(guest) + offset;
    char* const to = static_cast<char*>(host) + field.host_offset;
    if (field.kind == Kind::Pad) return;
    if (field.kind == Kind::Bytes) {
      std::memcpy(to, from, field.host_size);
      return;
    }
    store(to, load(from, size, is_signed, model.big_endian), field.host_size, false);
  });
}

unsigned struct_to_guest(const DataModel& model, const StructDesc& desc, const void* host, void* guest,
                         unsigned room) {
  if (model.like_host() && desc.same_order) {
    if (desc.host_size > room) return 0;
    std::memcpy(guest, host, desc.host_size);
    return desc.host_size;
  }
  if (const CopyPlan& plan = plan_of(model, desc); plan.count != 0) {
    if (plan.size > room) return 0;
    return plan.copy(host, guest);
  }
  const unsigned all = guest_size(model, desc);
  if (all > room) return 0;
  std::memset(guest, 0, all);
  walk(model, desc, [&](const Field& field, unsigned offset, unsigned size, bool is_signed) {
    const char* const from = static_cast<const char*>(host) + field.host_offset;
    char* const to = static_cast<char*>(guest) + offset;
    if (field.kind == Kind::Pad) return;
    if (field.kind == Kind::Bytes)
      std::memcpy(to, from, size);
    else
      store(to, load(from, field.host_size, is_signed, false), size, model.big_endian);
  });
  return all;
}

bool struct_fits(const DataModel& model, const StructDesc& desc, const void* host) {
  if (model.like_host() && desc.same_order) return true;
  bool fits = true;
  walk(model, desc, [&](const Field& field, unsigned, unsigned size, bool) {
    if (field.kind == Kind::Pad || field.kind == Kind::Bytes || size >= field.host_size) return;
    const uint64_t value =
        load(static_cast<const char*>(host) + field.host_offset, field.host_size, true, false);
    const bool as_signed = static_cast<uint64_t>(sign_extend(value, 8 * size)) == value;
    fits &= as_signed || (field.kind != Kind::S32 && (value & low_mask(8 * size)) == value);
  });
  return fits;
}

}  // namespace lyrebird::user
