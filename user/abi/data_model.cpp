// SPDX-License-Identifier: Apache-2.0
#include "user/abi/data_model.h"

#include <cstring>

#include "base/bits.h"

namespace lyrebird::user {
namespace {

struct Place {
  unsigned size, align;
  bool is_signed;
};

Place place_of(const DataModel& model, const Field& field) {
  switch (field.kind) {
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
      return {8, model.align64, true};
    case Kind::U64:
      return {8, model.align64, false};
    case Kind::Long:
      return {model.word, model.word, true};
    case Kind::ULong:
    case Kind::Pointer:
      return {model.word, model.word, false};
    case Kind::Bytes:
    case Kind::Pad:
      break;
  }
  return {field.host_size, 1, false};
}

uint64_t load(const void* from, unsigned size, bool is_signed, bool swap) {
  uint64_t raw = 0;
  std::memcpy(&raw, from, size);
  if (swap) raw = __builtin_bswap64(raw) >> (64 - 8 * size);
  return is_signed ? static_cast<uint64_t>(sign_extend(raw, 8 * size)) : raw;
}

void store(void* to, uint64_t value, unsigned size, bool swap) {
  if (swap) value = __builtin_bswap64(value) >> (64 - 8 * size);
  std::memcpy(to, &value, size);
}

/// Calls visit(field, guest offset, place) for each member; returns the guest's size.
template <typename Visit>
unsigned walk(const DataModel& model, const StructDesc& desc, Visit visit) {
  unsigned offset = 0, widest = 1;
  for (const Field& field : desc.fields) {
    const Place place = place_of(model, field);
    if (!desc.packed) {
      offset = static_cast<unsigned>(align_up(offset, place.align));
      widest = place.align > widest ? place.align : widest;
    }
    visit(field, offset, place);
    offset += place.size;
  }
  return desc.packed ? offset : static_cast<unsigned>(align_up(offset, widest));
}

}  // namespace

unsigned guest_size(const DataModel& model, const StructDesc& desc) {
  if (model.like_host() && desc.same_order) return desc.host_size;
  return walk(model, desc, [](const Field&, unsigned, const Place&) {});
}

void struct_to_host(const DataModel& model, const StructDesc& desc, const void* guest, void* host) {
  if (model.like_host() && desc.same_order) {
    std::memcpy(host, guest, desc.host_size);
    return;
  }
  std::memset(host, 0, desc.host_size);
  walk(model, desc, [&](const Field& field, unsigned offset, const Place& place) {
    const char* const from = static_cast<const char*>(guest) + offset;
    char* const to = static_cast<char*>(host) + field.host_offset;
    if (field.kind == Kind::Pad) return;
    if (field.kind == Kind::Bytes) {
      std::memcpy(to, from, field.host_size);
      return;
    }
    store(to, load(from, place.size, place.is_signed, model.big_endian), field.host_size, false);
  });
}

void struct_to_guest(const DataModel& model, const StructDesc& desc, const void* host, void* guest) {
  if (model.like_host() && desc.same_order) {
    std::memcpy(guest, host, desc.host_size);
    return;
  }
  std::memset(guest, 0, guest_size(model, desc));
  walk(model, desc, [&](const Field& field, unsigned offset, const Place& place) {
    const char* const from = static_cast<const char*>(host) + field.host_offset;
    char* const to = static_cast<char*>(guest) + offset;
    if (field.kind == Kind::Pad) return;
    if (field.kind == Kind::Bytes) {
      std::memcpy(to, from, field.host_size);
      return;
    }
    store(to, load(from, field.host_size, place.is_signed, false), place.size, model.big_endian);
  });
}

bool struct_fits(const DataModel& model, const StructDesc& desc, const void* host) {
  if (model.like_host() && desc.same_order) return true;
  bool fits = true;
  walk(model, desc, [&](const Field& field, unsigned, const Place& place) {
    if (field.kind == Kind::Pad || field.kind == Kind::Bytes || place.size >= field.host_size) return;
    const uint64_t value =
        load(static_cast<const char*>(host) + field.host_offset, field.host_size, true, false);
    const bool as_signed = static_cast<uint64_t>(sign_extend(value, 8 * place.size)) == value;
    fits &= as_signed || (field.kind != Kind::S32 && (value & low_mask(8 * place.size)) == value);
  });
  return fits;
}

}  // namespace lyrebird::user
