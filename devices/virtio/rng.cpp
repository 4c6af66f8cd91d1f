// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/rng.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>

namespace lyrebird::devices {

namespace {

// Of one buffer; a driver that wants more asks again (5.4.6.1).
constexpr uint64_t kMost = 64 * 1024;

void host_random(std::span<uint8_t> to) {
  while (!to.empty()) {
    const ssize_t n = ::getrandom(to.data(), to.size(), 0);
    if (n > 0) to = to.subspan(static_cast<size_t>(n));
  }
}

}  // namespace

VirtioRng::VirtioRng(VirtioOptions options, system::AddressSpace& memory, system::EventLoop& loop,
                     Source source)
    : VirtioDevice(VirtioType::Entropy, std::move(options), {64}, 0, memory, loop),
      source_(source ? std::move(source) : Source(host_random)) {}

void VirtioRng::process(unsigned n) {
  for_each_chain(n, [&](const Chain& chain) {
    if (chain.writable_size == 0) {
      fail("a buffer for random bytes cannot be written");
      return true;
    }
    uint64_t left = std::min(chain.writable_size, kMost);
    const uint64_t written = left;
    for (const Piece& piece : chain.writable) {
      const uint64_t bytes = std::min(piece.size, left);
      source_({piece.data, bytes});
      left -= bytes;
    }
    complete(n, chain, static_cast<uint32_t>(written));
    return true;
  });
}

}  // namespace lyrebird::devices
