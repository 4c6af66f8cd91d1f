// SPDX-License-Identifier: Apache-2.0
/// A driver that does what it likes: the bytes are a program that writes the rings, the buffers, the
/// transport's registers and the configuration of one virtio device. Nothing may crash, hang or touch other
/// memory; after a reset the device must work again.
///
/// The first byte is the device, the second how the driver starts it, the rest are steps. The same bytes mean
/// the same on every transport but for what they write into its registers.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <span>

#include "tests/unit/devices/virtio_driver.h"

namespace lyrebird::devices::test {

/// What is left of the input; zeros at its end.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  bool empty() const { return at_ == end_; }
  template <typename T>
  T get() {
    T value = 0;
    const auto bytes = take(sizeof value);
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  std::span<const uint8_t> take(size_t n) {
    n = std::min<size_t>(n, static_cast<size_t>(end_ - at_));
    at_ += n;
    return {at_ - n, n};
  }

 private:
  const uint8_t *at_, *end_;
};

/// A transport with a way to reach registers that a driver has no business with.
class RawTransport {
 public:
  virtual ~RawTransport() = default;
  virtual Transport& transport() = 0;
  /// Before the driver starts the device: what poke() took away is there again.
  virtual void restore() {}
  /// Writes any register and reads it.
  virtual void poke(Bytes& bytes) = 0;
};

/// Runs one input. `connect` puts the device behind a transport.
using Connect = std::function<std::unique_ptr<RawTransport>(Board&, VirtioDevice&)>;
void fuzz_virtio(Bytes bytes, const Connect& connect);

}  // namespace lyrebird::devices::test
