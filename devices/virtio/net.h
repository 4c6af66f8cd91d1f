// SPDX-License-Identifier: Apache-2.0
/// virtio network card (Virtual I/O Device 1.2, 5.1) over a net::Backend.
///
/// Queues: receive 0, transmit 0, receive 1, ..., control. Mergeable receive buffers, checksums and
/// segmentation left to the host and to the guest as far as the back end can, filtering by address and VLAN,
/// several pairs of queues (what comes is spread over them by its addresses and ports).
#pragma once

#include <bitset>
#include <memory>
#include <vector>

#include "devices/virtio/virtio.h"
#include "net/backend.h"

namespace lyrebird::devices {

struct VirtioNetOptions {
  VirtioOptions virtio;
  net::Mac mac = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
  uint16_t queue_pairs = 1, queue_size = 256;
  uint16_t mtu = 0;  // 0: does not say
  bool mergeable = true, control = true, offload = true;
};

class VirtioNet final : public VirtioDevice, private net::Receiver {
 public:
  /// `backend` outlives it.
  VirtioNet(VirtioNetOptions options, net::Backend& backend, system::AddressSpace& memory,
            system::EventLoop& loop);
  ~VirtioNet() override;

 private:
  static constexpr size_t kMaxAddresses = 64;

  bool receive(const net::FrameHeader& header, std::span<const uint8_t> frame) override;
  void can_send() override;
  void link_changed(bool up) override;

  void process(unsigned queue) override;
  void started() override;
  void device_reset() override;
  void config_written(uint64_t offset, unsigned size) override;
  void save_device(system::StateWriter& to) const override;
  void load_device(system::StateReader& from) override;

  void fill_config();
  unsigned control_queue() const { return has(1ull << 22) ? 2 * options_.queue_pairs : 2; }
  void set_offloads();
  bool wanted(std::span<const uint8_t> frame) const;
  unsigned choose_pair(std::span<const uint8_t> frame) const;
  bool deliver(unsigned queue, net::FrameHeader header, std::span<const uint8_t> frame);
  bool transmit(const Chain& chain);
  uint8_t control(const Chain& chain);
  bool control_receive_mode(uint8_t command, bool on);
  bool set_address_table(const Chain& chain);

  const VirtioNetOptions options_;
  net::Backend& backend_;
  net::Mac mac_;
  uint16_t pairs_ = 1;
  uint64_t guest_offloads_ = 0;
  bool promiscuous_ = true, all_multicast_ = false, all_unicast_ = false, no_multicast_ = false,
       no_unicast_ = false, no_broadcast_ = false;
  std::vector<net::Mac> unicast_, multicast_;
  bool unicast_overflow_ = false, multicast_overflow_ = false;
  std::bitset<4096> vlans_;
  bool sender_waits_ = false;
  std::vector<Chain> chains_;  // of one frame; kept for its memory
  std::vector<Piece> pieces_;
  std::vector<iovec> host_pieces_;
};

}  // namespace lyrebird::devices
