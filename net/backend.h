// SPDX-License-Identifier: Apache-2.0
/// The host's end of a guest's network card: user networking, a tap interface, a socket.
///
/// Frames are Ethernet frames without the checksum at their end. Everything is called on the event loop's
/// thread. A card calls send() and ready() with its own lock held; a back end calls its receiver without any
/// lock, and never from inside of send() or ready().
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace lyrebird::net {

using Mac = std::array<uint8_t, 6>;

/// What is left to do for a frame, or known about it: the header of virtio-net (Virtual I/O
/// Device 1.2, 5.1.6), which Linux' tap interfaces use as well. All zeros: a plain frame.
struct FrameHeader {
  static constexpr uint8_t kNeedsChecksum = 1, kDataValid = 2;
  static constexpr uint8_t kGsoNone = 0, kGsoTcp4 = 1, kGsoUdp = 3, kGsoTcp6 = 4, kGsoEcn = 0x80;

  uint8_t flags = 0;
  uint8_t gso_type = 0;
  uint16_t header_length = 0;
  uint16_t gso_size = 0;
  uint16_t checksum_start = 0;
  uint16_t checksum_offset = 0;
  uint16_t buffers = 0;  // of the card; not a back end's business
};
static_assert(sizeof(FrameHeader) == 12);

/// A frame is at most this long: 64 KiB of IP and an Ethernet header with a VLAN tag.
inline constexpr size_t kMaxFrame = 65535 + 18;

struct Offloads {
  bool checksum = false;  // of TCP and UDP
  bool tcp4 = false, tcp6 = false;
  bool ecn = false;
};

class Receiver {
 public:
  virtual ~Receiver() = default;
  /// False: no room now; ready() is called when there may be some. A frame that nobody wants is taken.
  virtual bool receive(const FrameHeader& header, std::span<const uint8_t> frame) = 0;
  /// A send() that was refused may be tried again.
  virtual void can_send() {}
  virtual void link_changed(bool /*up*/) {}
};

class Backend {
 public:
  virtual ~Backend() = default;
  /// Null: what comes is dropped. Set while the machine is built or stopped.
  virtual void set_receiver(Receiver* receiver) = 0;
  /// False: try again after can_send(). What cannot be sent at all is dropped (true). `header` asks for
  /// nothing that can_offload() does not have.
  virtual bool send(const FrameHeader& header, std::span<const iovec> frame) = 0;
  /// receive() said false and may say true now.
  virtual void ready() = 0;

  /// What the guest may leave to the host when it sends.
  virtual Offloads can_offload() const { return {}; }
  /// What the host would like to leave to the guest; what the guest has agreed to.
  virtual Offloads wants_offload() const { return {}; }
  virtual void set_guest_offload(const Offloads&) {}
  /// Checksums of what comes are known to be right.
  virtual bool trusted() const { return false; }
  virtual bool link_up() const { return true; }
  virtual std::string describe() const = 0;
};

}  // namespace lyrebird::net
