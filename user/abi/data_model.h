// SPDX-License-Identifier: Apache-2.0
/// How a guest's C compiler lays structs out, and kernel structs described once for all guests.
///
/// A StructDesc lists a struct's members in guest order. Offsets in the guest follow from the
/// DataModel (natural alignment, size of long, byte order), so one list serves every guest whose
/// kernel uses the same member order; where a guest differs (struct stat, epoll_event) its Abi
/// names another list.
#pragma once

#include <cstdint>
#include <span>

namespace lyrebird::user {

struct DataModel {
  bool big_endian = false;
  uint8_t word = 8;     ///< bytes of long and of pointers
  uint8_t align64 = 8;  ///< alignment of 64-bit integers (4 on i386)

  /// Guest structs without an override are the host's own.
  constexpr bool like_host() const { return !big_endian && word == 8 && align64 == 8; }
};

enum class Kind : uint8_t { S8, U8, S16, U16, S32, U32, S64, U64, Long, ULong, Pointer, Bytes, Pad };

struct Field {
  Kind kind = Kind::Pad;
  uint16_t host_offset = 0;
  uint16_t host_size = 0;  ///< for Bytes and Pad also the guest's size
};

struct StructDesc {
  const char* name = "";
  uint16_t host_size = 0;
  std::span<const Field> fields;
  bool packed = false;     ///< no alignment in the guest
  bool same_order = true;  ///< with DataModel::like_host() a plain copy is right
  /// The layout of guests whose long has 32 bits, where it is another list; or null.
  const StructDesc* narrow = nullptr;
};

/// Bytes of the struct in the guest.
unsigned guest_size(const DataModel& model, const StructDesc& desc);
/// `guest` has guest_size() bytes, `host` desc.host_size. Members that do not fit are truncated.
/// struct_to_guest() returns guest_size(), or 0 if `guest` has not room for it.
void struct_to_host(const DataModel& model, const StructDesc& desc, const void* guest, void* host);
unsigned struct_to_guest(const DataModel& model, const StructDesc& desc, const void* host, void* guest,
                         unsigned room = ~0u);
/// Whether no member would be truncated.
bool struct_fits(const DataModel& model, const StructDesc& desc, const void* host);

}  // namespace lyrebird::user
