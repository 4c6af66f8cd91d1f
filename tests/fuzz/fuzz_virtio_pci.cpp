// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/virtio_harness.h"
#include "tests/unit/devices/virtio_pci_driver.h"

namespace {

using namespace lyrebird::devices;
using namespace lyrebird::devices::test;

class RawPci final : public RawTransport {
 public:
  RawPci(Board& board, VirtioDevice& device) : board_(board), pci_(board, device) {}
  Transport& transport() override { return pci_; }
  void restore() override { pci_.map(); }
  /// One byte says which area and the size, then offset and value.
  void poke(Bytes& bytes) override {
    const unsigned how = bytes.get<uint8_t>(), size = 1u << (how >> 2) % 3;
    const unsigned offset = bytes.get<uint8_t>() & ~(size - 1);
    const uint32_t value = bytes.get<uint32_t>();
    switch (how & 3) {
      case 0:
        access(pci_.where[1] + (offset & 0x3f), size, value);
        break;
      case 1:
        pci_.write_config(offset, value, size);
        pci_.read_config(offset, size);
        break;
      case 2:  // MSI-X, all vectors of which are on a few of these pages
        access(kWindow + offset + (how >> 4) * 0x100, size, value);
        break;
      default:
        // Interrupt status and notifications, or with BAR 4's end what is behind them.
        access(pci_.where[how & 16 ? 3 : 2] + offset, size, value);
        break;
    }
    if (how & 0x80) pci_.enable_msix();
  }

 private:
  void access(uint64_t at, unsigned size, uint32_t value) {
    board_.memory->write(at, size, value);
    board_.memory->read(at, size);
  }

  Board& board_;
  PciTransport pci_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz_virtio({data, size},
              [](Board& board, VirtioDevice& device) { return std::make_unique<RawPci>(board, device); });
  return 0;
}
