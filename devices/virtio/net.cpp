// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lyrebird::devices {

namespace {

using net::FrameHeader;
using net::Mac;

constexpr uint64_t kChecksum = 1 << 0, kGuestChecksum = 1 << 1, kControlGuestOffloads = 1 << 2, kMtu = 1 << 3,
                   kMac = 1 << 5, kGuestTso4 = 1 << 7, kGuestTso6 = 1 << 8, kGuestEcn = 1 << 9,
                   kHostTso4 = 1 << 11, kHostTso6 = 1 << 12, kHostEcn = 1 << 13, kMergeable = 1 << 15,
                   kStatus = 1 << 16, kControl = 1 << 17, kControlRx = 1 << 18, kControlVlan = 1 << 19,
                   kControlRxExtra = 1 << 20, kMultiQueue = 1 << 22, kControlMac = 1 << 23;
constexpr uint64_t kGuestOffloads = kGuestChecksum | kGuestTso4 | kGuestTso6 | kGuestEcn;

// Configuration (5.1.4).
constexpr size_t kMacAt = 0, kStatusAt = 6, kPairsAt = 8, kMtuAt = 10, kConfigSize = 12;
constexpr uint16_t kLinkUp = 1;

// Control commands (5.1.6.5).
enum Class : uint8_t { Rx = 0, MacClass = 1, Vlan = 2, Announce = 3, MultiQueue = 4, GuestOffloads = 5 };
constexpr uint8_t kOk = 0, kError = 1;

constexpr Mac kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr size_t kHeaderSize = sizeof(FrameHeader);

std::vector<uint16_t> queue_sizes(const VirtioNetOptions& options) {
  std::vector<uint16_t> sizes(2 * options.queue_pairs, options.queue_size);
  if (options.control) sizes.push_back(64);
  return sizes;
}

uint16_t big16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

}  // namespace

VirtioNet::VirtioNet(VirtioNetOptions options, net::Backend& backend, system::AddressSpace& memory,
                     system::EventLoop& loop)
    : VirtioDevice(VirtioType::Net, options.virtio, queue_sizes(options), kConfigSize, memory, loop),
      options_(std::move(options)),
      backend_(backend),
      mac_(options_.mac) {
  offer(kMac | kStatus);
  if (options_.mtu) offer(kMtu);
  if (options_.mergeable) offer(kMergeable);
  if (options_.control) offer(kControl | kControlRx | kControlRxExtra | kControlVlan | kControlMac);
  if (options_.control && options_.queue_pairs > 1) offer(kMultiQueue);
  if (options_.offload) {
    const net::Offloads send = backend_.can_offload(), receive = backend_.wants_offload();
    if (send.checksum) offer(kChecksum);
    if (send.checksum && send.tcp4) offer(kHostTso4);
    if (send.checksum && send.tcp6) offer(kHostTso6);
    if (send.checksum && send.ecn) offer(kHostEcn);
    if (receive.checksum || backend_.trusted()) offer(kGuestChecksum);
    if (receive.checksum && receive.tcp4) offer(kGuestTso4);
    if (receive.checksum && receive.tcp6) offer(kGuestTso6);
    if (receive.checksum && receive.ecn) offer(kGuestEcn);
    if (receive.checksum && options_.control) offer(kControlGuestOffloads);
  }
  fill_config();
  backend_.set_receiver(this);
}

VirtioNet::~VirtioNet() { backend_.set_receiver(nullptr); }

void VirtioNet::fill_config() {
  for (size_t i = 0; i < mac_.size(); ++i) set_config<uint8_t>(kMacAt + i, mac_[i]);
  set_config<uint16_t>(kStatusAt, backend_.link_up() ? kLinkUp : 0);
  set_config<uint16_t>(kPairsAt, options_.queue_pairs);
  set_config<uint16_t>(kMtuAt, options_.mtu);
}

void VirtioNet::config_written(uint64_t, unsigned) { fill_config(); }

void VirtioNet::device_reset() {
  mac_ = options_.mac;
  pairs_ = 1;
  guest_offloads_ = 0;
  promiscuous_ = true;
  all_multicast_ = all_unicast_ = no_multicast_ = no_unicast_ = no_broadcast_ = false;
  unicast_.clear();
  multicast_.clear();
  unicast_overflow_ = multicast_overflow_ = false;
  vlans_.reset();
  sender_waits_ = false;
  fill_config();
  backend_.set_guest_offload({});
}

void VirtioNet::started() {
  // Without a way to say more, a driver wants everything (5.1.6.5.1).
  promiscuous_ = !has(kControlRx);
  guest_offloads_ = driver_features() & kGuestOffloads;
  set_offloads();
}

void VirtioNet::set_offloads() {
  backend_.set_guest_offload({.checksum = (guest_offloads_ & kGuestChecksum) != 0,
                              .tcp4 = (guest_offloads_ & kGuestTso4) != 0,
                              .tcp6 = (guest_offloads_ & kGuestTso6) != 0,
                              .ecn = (guest_offloads_ & kGuestEcn) != 0});
}

void VirtioNet::link_changed(bool up) {
  const std::lock_guard lock(mutex());
  set_config<uint16_t>(kStatusAt, up ? kLinkUp : 0);
  config_changed();
}

// --- queues ---

void VirtioNet::process(unsigned n) {
  if (has(kControl) && n == control_queue()) {
    for_each_chain(n, [&](const Chain& chain) {
      if (chain.writable_size == 0) {
        fail("a control command has no room for its answer");
        return true;
      }
      const uint8_t answer = control(chain);
      complete(n, chain, static_cast<uint32_t>(chain.write(0, &answer, 1)));
      return true;
    });
  } else if (n % 2 == 1) {
    if (sender_waits_) return;
    for_each_chain(n, [&](const Chain& chain) {
      if (!transmit(chain)) return false;
      if (running()) complete(n, chain, 0);
      return true;
    });
  } else {
    backend_.ready();
  }
}

bool VirtioNet::transmit(const Chain& chain) {
  FrameHeader header;
  if (chain.read(0, &header, kHeaderSize) != kHeaderSize) {
    fail("a frame has no header");
    return true;
  }
  const uint64_t size = chain.readable_size - kHeaderSize;
  if (size > net::kMaxFrame || size < 14) return true;  // no such frame can be sent
  if (!has(kChecksum)) header.flags &= ~FrameHeader::kNeedsChecksum;
  const uint8_t gso = header.gso_type & ~FrameHeader::kGsoEcn;
  const bool allowed = gso == FrameHeader::kGsoNone || (gso == FrameHeader::kGsoTcp4 && has(kHostTso4)) ||
                       (gso == FrameHeader::kGsoTcp6 && has(kHostTso6));
  if (!allowed || ((header.gso_type & FrameHeader::kGsoEcn) && !has(kHostEcn))) return true;
  if (gso != FrameHeader::kGsoNone && header.gso_size == 0) return true;
  pieces_.clear();
  host_pieces_.clear();
  Chain::slice(chain.readable, kHeaderSize, size, pieces_);
  for (const Piece& piece : pieces_) host_pieces_.push_back({piece.data, piece.size});
  sender_waits_ = !backend_.send(header, host_pieces_);
  return !sender_waits_;
}

void VirtioNet::can_send() {
  const std::lock_guard lock(mutex());
  sender_waits_ = false;
  if (!running()) return;
  for (unsigned pair = 0; pair < pairs_; ++pair) retry(2 * pair + 1);
}

bool VirtioNet::wanted(std::span<const uint8_t> frame) const {
  if (frame.size() < 14 || frame.size() > net::kMaxFrame) return false;
  if (has(kControlVlan) && frame.size() >= 18 && big16(&frame[12]) == 0x8100 &&
      !vlans_[big16(&frame[14]) & 0xfff]) {
    return false;
  }
  if (promiscuous_) return true;
  Mac to;
  std::memcpy(to.data(), frame.data(), to.size());
  if (to == kBroadcast) return !no_broadcast_;
  if (to[0] & 1) {
    if (no_multicast_) return false;
    return all_multicast_ || multicast_overflow_ || std::ranges::find(multicast_, to) != multicast_.end();
  }
  if (no_unicast_) return false;
  return all_unicast_ || unicast_overflow_ || to == mac_ || std::ranges::find(unicast_, to) != unicast_.end();
}

unsigned VirtioNet::choose_pair(std::span<const uint8_t> frame) const {
  if (pairs_ == 1 || frame.size() < 34 || big16(&frame[12]) != 0x0800) return 0;
  // Addresses and, if it has them, ports: one flow stays on one queue.
  uint32_t hash = 2166136261u;
  const size_t header = 14 + 4 * (frame[14] & 15);
  const bool ports =
      (frame[23] == 6 || frame[23] == 17) && (big16(&frame[20]) & 0x3fff) == 0 && frame.size() >= header + 4;
  for (size_t at = 26; at < 34; ++at) hash = (hash ^ frame[at]) * 16777619u;
  for (size_t at = header; ports && at < header + 4; ++at) hash = (hash ^ frame[at]) * 16777619u;
  return (hash >> 8) % pairs_;
}

bool VirtioNet::receive(const FrameHeader& header, std::span<const uint8_t> frame) {
  const std::lock_guard lock(mutex());
  if (!running()) return true;  // as from a cable nobody listens on
  if (!wanted(frame)) return true;
  const unsigned queue_number = 2 * choose_pair(frame);
  if (!queue(queue_number).enabled()) return true;
  FrameHeader out = header;
  if (backend_.trusted() && (guest_offloads_ & kGuestChecksum)) out.flags |= FrameHeader::kDataValid;
  return deliver(queue_number, out, frame);
}

bool VirtioNet::deliver(unsigned n, FrameHeader header, std::span<const uint8_t> frame) {
  Virtqueue& ring = queue(n);
  const uint64_t needed = kHeaderSize + frame.size();
  uint64_t room = 0;
  size_t count = 0;
  ring.set_notification(false);
  while (room < needed) {
    if (chains_.size() == count) chains_.emplace_back();
    Chain& chain = chains_[count];
    if (!ring.pop(chain)) {
      if (ring.broken()) return true;
      while (count > 0) ring.unpop(chains_[--count]);
      // The driver notifies when it adds some; unless it just did.
      if (ring.set_notification(true)) retry(n);
      return false;
    }
    ++count;
    room += chain.writable_size;
    if (count == 1 && chain.writable_size < kHeaderSize) {
      fail("a receive buffer has no room for the header");
      return true;
    }
    if (!has(kMergeable)) break;
  }
  header.buffers = static_cast<uint16_t>(count);
  if (room < needed) {
    // Does not fit and never will.
    ring.unpop(chains_[0]);
    return true;
  }
  size_t done = 0;
  for (size_t i = 0; i < count; ++i) {
    const Chain& chain = chains_[i];
    size_t offset = 0;
    if (i == 0) offset = chain.write(0, &header, kHeaderSize);
    const size_t n_bytes = chain.write(offset, frame.data() + done, frame.size() - done);
    done += n_bytes;
    complete(n, chain, static_cast<uint32_t>(offset + n_bytes));
  }
  ring.set_notification(true);
  interrupt(n);
  return true;
}

// --- control ---

bool VirtioNet::control_receive_mode(uint8_t command, bool on) {
  bool* const modes[] = {&promiscuous_,  &all_multicast_, &all_unicast_,
                         &no_multicast_, &no_unicast_,    &no_broadcast_};
  if (command >= std::size(modes) || (command >= 2 && !has(kControlRxExtra))) return false;
  *modes[command] = on;
  return true;
}

bool VirtioNet::set_address_table(const Chain& chain) {
  uint64_t at = 2;
  std::vector<Mac> tables[2];
  bool overflow[2] = {};
  for (unsigned t = 0; t < 2; ++t) {
    uint32_t entries;
    if (chain.read(at, &entries, 4) != 4) return false;
    at += 4;
    if (uint64_t{entries} * 6 > chain.readable_size - at) return false;
    overflow[t] = entries > kMaxAddresses;
    for (uint32_t i = 0; i < entries && !overflow[t]; ++i) {
      Mac mac;
      chain.read(at + 6 * i, mac.data(), 6);
      tables[t].push_back(mac);
    }
    at += uint64_t{entries} * 6;
  }
  unicast_ = std::move(tables[0]);
  multicast_ = std::move(tables[1]);
  unicast_overflow_ = overflow[0];
  multicast_overflow_ = overflow[1];
  return true;
}

uint8_t VirtioNet::control(const Chain& chain) {
  uint8_t command[2];
  if (chain.read(0, command, 2) != 2) return kError;
  const uint8_t what = command[1];
  switch (command[0]) {
    case Rx: {
      uint8_t on;
      if (!has(kControlRx) || chain.read(2, &on, 1) != 1 || !control_receive_mode(what, on)) return kError;
      return kOk;
    }
    case MacClass: {
      if (what == 0) return has(kControlRx) && set_address_table(chain) ? kOk : kError;
      Mac mac;
      if (what != 1 || !has(kControlMac) || chain.read(2, mac.data(), 6) != 6) return kError;
      mac_ = mac;
      fill_config();
      return kOk;
    }
    case Vlan: {
      uint16_t id;
      if (!has(kControlVlan) || what > 1 || chain.read(2, &id, 2) != 2 || id > 4095) return kError;
      vlans_[id] = what == 0;
      return kOk;
    }
    case MultiQueue: {
      uint16_t pairs;
      if (!has(kMultiQueue) || what != 0 || chain.read(2, &pairs, 2) != 2) return kError;
      if (pairs == 0 || pairs > options_.queue_pairs) return kError;
      pairs_ = pairs;
      return kOk;
    }
    case GuestOffloads: {
      uint64_t offloads;
      if (!has(kControlGuestOffloads) || what != 0 || chain.read(2, &offloads, 8) != 8) return kError;
      if (offloads & ~(driver_features() & kGuestOffloads)) return kError;
      guest_offloads_ = offloads;
      set_offloads();
      return kOk;
    }
    default:
      return kError;
  }
}

// --- state ---

void VirtioNet::save_device(system::StateWriter& to) const {
  to.array<uint8_t>("mac", mac_);
  to.field("pairs", pairs_);
  to.field("guest_offloads", guest_offloads_);
  to.field("modes", static_cast<uint8_t>(promiscuous_ | all_multicast_ << 1 | all_unicast_ << 2 |
                                         no_multicast_ << 3 | no_unicast_ << 4 | no_broadcast_ << 5 |
                                         unicast_overflow_ << 6 | multicast_overflow_ << 7));
  to.array<Mac>("unicast", unicast_);
  to.array<Mac>("multicast", multicast_);
  std::vector<uint8_t> vlans(4096 / 8);
  for (size_t i = 0; i < 4096; ++i) vlans[i / 8] |= static_cast<uint8_t>(vlans_[i] << i % 8);
  to.bytes("vlans", vlans);
}

void VirtioNet::load_device(system::StateReader& from) {
  uint8_t modes = 0;
  from.array<uint8_t>("mac", mac_);
  from.field("pairs", pairs_);
  from.field("guest_offloads", guest_offloads_);
  from.field("modes", modes);
  if (pairs_ == 0 || pairs_ > options_.queue_pairs) {
    from.fail("more pairs of queues than this card has");
    pairs_ = 1;
  }
  guest_offloads_ &= driver_features() & kGuestOffloads;
  bool* const flags[] = {&promiscuous_, &all_multicast_, &all_unicast_,      &no_multicast_,
                         &no_unicast_,  &no_broadcast_,  &unicast_overflow_, &multicast_overflow_};
  for (size_t i = 0; i < std::size(flags); ++i) *flags[i] = modes >> i & 1;
  for (auto [name, table] : {std::pair{"unicast", &unicast_}, {"multicast", &multicast_}}) {
    const std::vector<uint8_t> bytes = from.bytes(name, kMaxAddresses * 6);
    table->resize(bytes.size() / 6);
    if (!table->empty()) std::memcpy(table->data(), bytes.data(), table->size() * 6);
  }
  const std::vector<uint8_t> vlans = from.bytes("vlans", 4096 / 8);
  for (size_t i = 0; i < 4096 && vlans.size() == 4096 / 8; ++i) vlans_[i] = vlans[i / 8] >> i % 8 & 1;
  fill_config();
  set_offloads();
}

}  // namespace lyrebird::devices
