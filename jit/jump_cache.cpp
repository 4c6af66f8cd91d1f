// SPDX-License-Identifier: Apache-2.0
#include "jit/jump_cache.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

namespace lyrebird::jit {

JumpCache::Ptr JumpCache::make() {
  void* const at =
      mmap(nullptr, sizeof(JumpCache), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  Ptr cache(new (at) JumpCache);  // leaves the zeros as they are
  cache->empty_few();
  return cache;
}

void JumpCache::Unmap::operator()(JumpCache* cache) const { munmap(cache, sizeof(JumpCache)); }

const JumpCache& JumpCache::closed() {
  static constexpr JumpCache kClosed{Closed{}};
  return kClosed;
}

void JumpCache::clear() {
  std::memset(static_cast<void*>(entries_), 0, sizeof entries_);
  empty_few();
}

}  // namespace lyrebird::jit
