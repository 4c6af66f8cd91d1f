// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/virtio_harness.h"

namespace {

using namespace lyrebird::devices;
using namespace lyrebird::devices::test;

class RawMmio final : public RawTransport {
 public:
  RawMmio(Board& board, VirtioDevice& device) : mmio_(board, device) {}
  Transport& transport() override { return mmio_; }
  void poke(Bytes& bytes) override {
    // Not the device's configuration: the harness writes that.
    const uint32_t offset = bytes.get<uint8_t>() * 4u & 0xfc;
    mmio_.write(offset, bytes.get<uint32_t>());
    mmio_.read(offset);
  }

 private:
  MmioTransport mmio_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz_virtio({data, size},
              [](Board& board, VirtioDevice& device) { return std::make_unique<RawMmio>(board, device); });
  return 0;
}
