// SPDX-License-Identifier: Apache-2.0
#include "jit/direct/area.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <new>

namespace lyrebird::jit::direct {

Area::Ptr Area::make() {
  void* const at =
      mmap(nullptr, sizeof(Area), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  return Ptr(new (at) Area);
}

void Area::Unmap::operator()(Area* area) const { munmap(area, sizeof(Area)); }

void Area::take_poll_away() {
  const int saved_errno = errno;
  closed.store(1);
  (void)mprotect(poll, sizeof poll, PROT_NONE);
  errno = saved_errno;
}

void Area::open() {
  while (closed.exchange(0) != 0) (void)mprotect(poll, sizeof poll, PROT_READ | PROT_WRITE);
}

void Area::clear() { std::fill(std::begin(table), std::end(table), miss); }

}  // namespace lyrebird::jit::direct
