// SPDX-License-Identifier: Apache-2.0
#include "base/guest_bytes.h"

#include <cstdint>
#include <cstring>

#if __has_feature(thread_sanitizer)
#define LYREBIRD_UNSEEN __attribute__((no_sanitize("thread"), disable_sanitizer_instrumentation))
#else
#define LYREBIRD_UNSEEN
#endif

namespace lyrebird {
namespace {

template <typename U>
LYREBIRD_UNSEEN void copy_one(void* to, const void* from) {
  // volatile: in one piece, and never made into a call of memcpy(), which a sanitizer would see.
  using Unaligned [[gnu::aligned(1), gnu::may_alias]] = U;
  *static_cast<volatile Unaligned*>(to) = *static_cast<const volatile Unaligned*>(from);
}

LYREBIRD_UNSEEN void copy_many(void* to, const void* from, size_t size) {
#if __has_feature(thread_sanitizer)
  auto* out = static_cast<uint8_t*>(to);
  const auto* in = static_cast<const uint8_t*>(from);
  for (; size >= 8; size -= 8, in += 8, out += 8) copy_one<uint64_t>(out, in);
  for (; size > 0; --size) copy_one<uint8_t>(out++, in++);
#else
  std::memcpy(to, from, size);
#endif
}

}  // namespace

LYREBIRD_UNSEEN void copy_guest_bytes(void* to, const void* from, size_t size) {
  switch (size) {
    case 1:
      return copy_one<uint8_t>(to, from);
    case 2:
      return copy_one<uint16_t>(to, from);
    case 4:
      return copy_one<uint32_t>(to, from);
    case 8:
      return copy_one<uint64_t>(to, from);
    default:
      copy_many(to, from, size);
  }
}

}  // namespace lyrebird
