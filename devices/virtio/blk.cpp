// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/blk.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

namespace lyrebird::devices {

namespace {

constexpr uint64_t kSegMax = 1 << 2, kReadOnly = 1 << 5, kBlockSize = 1 << 6, kFlush = 1 << 9,
                   kTopology = 1 << 10, kConfigWce = 1 << 11, kMultiQueue = 1 << 12, kDiscard = 1 << 13,
                   kWriteZeroes = 1 << 14;

// Configuration (5.2.4).
constexpr size_t kCapacityAt = 0, kSegMaxAt = 12, kBlockSizeAt = 20, kPhysicalExponentAt = 24, kMinIoAt = 26,
                 kOptIoAt = 28, kWceAt = 32, kQueuesAt = 34, kMaxDiscardSectorsAt = 36, kMaxDiscardSegAt = 40,
                 kDiscardAlignmentAt = 44, kMaxZeroesSectorsAt = 48, kMaxZeroesSegAt = 52,
                 kZeroesMayUnmapAt = 56, kConfigSize = 60;

enum Type : uint32_t { In = 0, Out = 1, Flush = 4, GetId = 8, Discard = 11, WriteZeroes = 13 };
constexpr uint8_t kOk = 0, kIoError = 1, kUnsupported = 2;

constexpr uint64_t kHeaderSize = 16, kSector = 512, kIdSize = 20, kRangeSize = 16;
constexpr uint32_t kMaxRanges = 64, kMaxRangeSectors = (1u << 30) / kSector;

struct Header {
  uint32_t type, reserved;
  uint64_t sector;
};
struct GuestRange {
  uint64_t sector;
  uint32_t count, flags;
};

std::vector<iovec> host_pieces(const std::vector<Piece>& from, uint64_t offset, uint64_t size) {
  std::vector<Piece> pieces;
  Chain::slice(from, offset, size, pieces);
  std::vector<iovec> result;
  result.reserve(pieces.size());
  for (const Piece& piece : pieces) result.push_back({piece.data, piece.size});
  return result;
}

}  // namespace

VirtioBlk::VirtioBlk(VirtioBlkOptions options, block::Node& node, system::AddressSpace& memory,
                     system::EventLoop& loop)
    : VirtioDevice(VirtioType::Block, options.virtio,
                   std::vector<uint16_t>(options.queues, options.queue_size), kConfigSize, memory, loop),
      options_(std::move(options)),
      node_(node),
      write_cache_(node.info().writeback) {
  offer(kSegMax | kBlockSize | kTopology | kFlush);
  if (node_.info().read_only) {
    offer(kReadOnly);
  } else {
    offer(kConfigWce);
    if (options_.discard) offer(kDiscard);
    if (options_.write_zeroes) offer(kWriteZeroes);
  }
  if (options_.queues > 1) offer(kMultiQueue);
  fill_config();
}

VirtioBlk::~VirtioBlk() {
  const std::lock_guard lock(mutex());
  drain();
}

void VirtioBlk::fill_config() {
  const uint32_t block = options_.logical_block_size;
  const uint32_t physical = std::max(block, std::bit_floor(node_.info().request_alignment));
  set_config<uint64_t>(kCapacityAt, node_.info().size / kSector);
  set_config<uint32_t>(kSegMaxAt, std::max<uint32_t>(options_.queue_size, 3) - 2);
  set_config<uint32_t>(kBlockSizeAt, block);
  set_config<uint8_t>(kPhysicalExponentAt, static_cast<uint8_t>(std::countr_zero(physical / block)));
  set_config<uint16_t>(kMinIoAt, 1);
  set_config<uint32_t>(kOptIoAt, 0);
  set_config<uint8_t>(kWceAt, write_cache_);
  set_config<uint16_t>(kQueuesAt, options_.queues);
  set_config<uint32_t>(kMaxDiscardSectorsAt, kMaxRangeSectors);
  set_config<uint32_t>(kMaxDiscardSegAt, kMaxRanges);
  set_config<uint32_t>(kDiscardAlignmentAt, block / kSector);
  set_config<uint32_t>(kMaxZeroesSectorsAt, kMaxRangeSectors);
  set_config<uint32_t>(kMaxZeroesSegAt, kMaxRanges);
  set_config<uint8_t>(kZeroesMayUnmapAt, 1);
}

void VirtioBlk::config_written(uint64_t offset, unsigned size) {
  if (offset <= kWceAt && offset + size > kWceAt && has(kConfigWce)) write_cache_ = config()[kWceAt] & 1;
  fill_config();
}

void VirtioBlk::device_reset() {
  write_cache_ = node_.info().writeback;
  fill_config();
}

void VirtioBlk::save_device(system::StateWriter& to) const { to.field("write_cache", write_cache_); }

void VirtioBlk::load_device(system::StateReader& from) {
  from.field("write_cache", write_cache_);
  fill_config();  // the disk is what it is here
}

bool VirtioBlk::writeback() const {
  // A driver that knows nothing of flushing gets a disk without a cache.
  if (has(kConfigWce)) return write_cache_;
  return has(kFlush) && write_cache_;
}

void VirtioBlk::process(unsigned n) {
  node_.plug();
  for_each_chain(n, [&](Chain& chain) {
    std::unique_ptr<Request> request;
    if (spare_.empty()) {
      request = std::make_unique<Request>();
    } else {
      request = std::move(spare_.back());
      spare_.pop_back();
    }
    std::swap(request->chain, chain);
    request->queue = n;
    start(std::move(request));
    return true;
  });
  node_.unplug();
}

bool VirtioBlk::start(std::unique_ptr<Request> request) {
  Header header;
  if (request->chain.read(0, &header, sizeof header) != kHeaderSize || request->chain.writable_size == 0) {
    fail("a request has no room for its header or its status");
    return false;
  }
  Request* const r = request.get();
  r->type = header.type;
  r->data_size = 0;
  r->error = 0;
  r->outstanding = 1;
  const bool read_only = node_.info().read_only;
  switch (header.type) {
    case In:
      transfer(std::move(request), header.sector, false);
      break;
    case Out:
      if (read_only) {
        answer(std::move(request), kIoError);
      } else {
        transfer(std::move(request), header.sector, true);
      }
      break;
    case Flush:
      node_.flush(done(request.release()));
      break;
    case GetId:
      get_id(std::move(request));
      break;
    case Discard:
    case WriteZeroes:
      if (!has(header.type == Discard ? kDiscard : kWriteZeroes)) {
        answer(std::move(request), kUnsupported);
      } else {
        ranges(std::move(request));
      }
      break;
    default:
      answer(std::move(request), kUnsupported);
      break;
  }
  return true;
}

void VirtioBlk::transfer(std::unique_ptr<Request> request, uint64_t sector, bool write) {
  const Chain& chain = request->chain;
  const uint64_t size = write ? chain.readable_size - kHeaderSize : chain.writable_size - 1;
  const uint64_t capacity = node_.info().size;
  if (size % kSector || sector > capacity / kSector || size > capacity - sector * kSector) {
    return answer(std::move(request), kIoError);
  }
  const auto pieces =
      write ? host_pieces(chain.readable, kHeaderSize, size) : host_pieces(chain.writable, 0, size);
  if (!write) request->data_size = size;
  if (write) {
    node_.write(sector * kSector, pieces, !writeback(), done(request.release()));
  } else {
    node_.read(sector * kSector, pieces, done(request.release()));
  }
}

void VirtioBlk::get_id(std::unique_ptr<Request> request) {
  char id[kIdSize] = {};
  std::memcpy(id, options_.serial.data(), std::min<size_t>(options_.serial.size(), kIdSize));
  const uint64_t room = std::min<uint64_t>(request->chain.writable_size - 1, kIdSize);
  request->chain.write(0, id, room);
  request->data_size = room;
  answer(std::move(request), kOk);
}

bool VirtioBlk::parse_ranges(const Request& request, std::vector<Range>& ranges, uint8_t& status) const {
  const uint64_t size = request.chain.readable_size - kHeaderSize;
  status = kIoError;
  if (size == 0 || size % kRangeSize || size / kRangeSize > kMaxRanges) return false;
  const uint64_t sectors = node_.info().size / kSector;
  for (uint64_t at = 0; at < size; at += kRangeSize) {
    GuestRange range;
    request.chain.read(kHeaderSize + at, &range, sizeof range);
    const bool unmap = request.type == WriteZeroes && (range.flags & 1);
    if (range.flags & ~(request.type == WriteZeroes ? 1u : 0u)) {
      status = kUnsupported;
      return false;
    }
    if (range.count > kMaxRangeSectors || range.sector > sectors || range.count > sectors - range.sector)
      return false;
    ranges.push_back({range.sector * kSector, uint64_t{range.count} * kSector, unmap});
  }
  return true;
}

void VirtioBlk::ranges(std::unique_ptr<Request> request) {
  std::vector<Range> ranges;
  uint8_t status;
  if (node_.info().read_only || !parse_ranges(*request, ranges, status)) {
    return answer(std::move(request), node_.info().read_only ? kIoError : status);
  }
  Request* const r = request.release();
  r->outstanding = static_cast<unsigned>(ranges.size());
  for (const Range& range : ranges) {
    if (r->type == Discard) {
      node_.discard(range.offset, range.size, done(r));
    } else {
      node_.write_zeroes(range.offset, range.size, range.unmap, !writeback(), done(r));
    }
  }
}

block::Done VirtioBlk::done(Request* request) {
  return [this, request](int error) { finished(request, error); };
}

void VirtioBlk::finished(Request* request, int error) {
  {
    const std::lock_guard lock(finished_mutex_);
    if (error) request->error = error;
    if (--request->outstanding != 0) return;
    finished_.push_back(request);
    if (draining_ || finished_posted_) return;
    finished_posted_ = true;
  }
  // The mutex may be held by one who waits for this very thread (drain()): never wait for it here.
  if (loop().on_loop_thread() && mutex().try_lock()) {
    const std::lock_guard lock(mutex(), std::adopt_lock);
    complete_finished();
  } else {
    post([this] { complete_finished(); });
  }
}

void VirtioBlk::complete_finished() {
  std::vector<Request*> finished;
  {
    const std::lock_guard lock(finished_mutex_);
    finished_posted_ = false;
    finished.swap(finished_);
  }
  for (Request* request : finished) {
    answer(std::unique_ptr<Request>(request), request->error ? kIoError : kOk);
  }
  for (unsigned n = 0; n < queue_count() && !finished.empty(); ++n) interrupt(n);
}

void VirtioBlk::answer(std::unique_ptr<Request> request, uint8_t status) {
  const Chain& chain = request->chain;
  chain.write(chain.writable_size - 1, &status, 1);
  // Bytes from the start of the buffer on, without a gap before the status.
  uint64_t written = status == kOk ? request->data_size : 0;
  if (written + 1 == chain.writable_size) ++written;
  complete(request->queue, chain, static_cast<uint32_t>(written));
  if (spare_.size() < 64) spare_.push_back(std::move(request));
}

void VirtioBlk::drain() {
  {
    const std::lock_guard lock(finished_mutex_);
    draining_ = true;
  }
  node_.drain();
  complete_finished();
  const std::lock_guard lock(finished_mutex_);
  draining_ = false;
}

}  // namespace lyrebird::devices
