// SPDX-License-Identifier: Apache-2.0
/// A folder of the host for the guest: virtio 9P transport (device type 9 of Virtual I/O Device 1.2) with the
/// protocol 9P2000.L, as Linux' v9fs speaks it (mount -t 9p -o trans=virtio,version=9p2000.L TAG /mnt).
///
/// What the guest does is done with this process's own rights ("none" in the peer's words: owners that cannot
/// be set are not). A path never leaves the folder: names have no '/', ".." at the top stays there, symbolic
/// links are the guest's to follow, and every step is made from the folder's descriptor with O_NOFOLLOW.
/// Requests are done one after the other on the event loop; up to 512 KiB a message, 4096 fids.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "devices/virtio/virtio.h"

namespace lyrebird::devices {

struct Virtio9pOptions {
  VirtioOptions virtio;
  std::string path, tag;
  bool read_only = false;
};

class NinePServer;

class Virtio9p final : public VirtioDevice {
 public:
  Virtio9p(Virtio9pOptions options, system::AddressSpace& memory, system::EventLoop& loop);
  ~Virtio9p() override;
  /// Whether the folder can be had; the message says why not.
  static Result<void> check(const Virtio9pOptions& options);

 private:
  void process(unsigned queue) override;
  void device_reset() override;
  void config_written(uint64_t offset, unsigned size) override;
  void fill_config();

  const Virtio9pOptions options_;
  std::unique_ptr<NinePServer> server_;
};

}  // namespace lyrebird::devices
