// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/balloon.h"

#include <sys/mman.h>

#include <cstring>
#include <utility>

#include "system/ram_block.h"

namespace lyrebird::devices {

namespace {

constexpr uint64_t kStatsQueue = 1 << 1, kDeflateOnOom = 1 << 2, kReporting = 1 << 5;
constexpr size_t kTargetAt = 0, kActualAt = 4, kConfigSize = 16;
constexpr unsigned kInflate = 0;  // 1 is deflate: the pages come back by being used

}  // namespace

VirtioBalloon::VirtioBalloon(VirtioBalloonOptions options, system::AddressSpace& memory,
                             system::EventLoop& loop)
    : VirtioDevice(VirtioType::Balloon, std::move(options.virtio), {128, 128, 128, 128}, kConfigSize, memory,
                   loop) {
  offer(kStatsQueue);
  if (options.deflate_on_oom) offer(kDeflateOnOom);
  if (options.free_page_reporting) offer(kReporting);
}

// Queues that were not negotiated are not counted (5.5.2).
unsigned VirtioBalloon::statistics_queue() const { return has(kStatsQueue) ? 2 : ~0u; }
unsigned VirtioBalloon::reporting_queue() const { return !has(kReporting) ? ~0u : has(kStatsQueue) ? 3 : 2; }

void VirtioBalloon::fill_config() {
  set_config<uint32_t>(kTargetAt, target_);
  set_config<uint32_t>(kActualAt, actual_);
  set_config<uint32_t>(8, 0);
  set_config<uint32_t>(12, 0);
}

void VirtioBalloon::set_target(uint32_t pages) {
  const std::lock_guard lock(mutex());
  target_ = pages;
  fill_config();
  config_changed();
}

uint32_t VirtioBalloon::actual() {
  const std::lock_guard lock(mutex());
  return actual_;
}

uint64_t VirtioBalloon::reported_bytes() {
  const std::lock_guard lock(mutex());
  return reported_;
}

std::array<std::optional<uint64_t>, VirtioBalloon::kStatistics> VirtioBalloon::statistics() {
  const std::lock_guard lock(mutex());
  if (statistics_buffer_ && running()) {
    complete(statistics_queue(), *std::exchange(statistics_buffer_, {}), 0);
    interrupt(statistics_queue());
  }
  return statistics_;
}

void VirtioBalloon::config_written(uint64_t offset, unsigned size) {
  if (offset == kActualAt && size == 4) std::memcpy(&actual_, config().data() + kActualAt, 4);
  fill_config();
}

void VirtioBalloon::device_reset() {
  actual_ = 0;
  statistics_ = {};
  fill_config();
}

void VirtioBalloon::drain() {
  // The driver's only buffer for statistics: given back, so that it offers another one.
  if (!statistics_buffer_) return;
  const Chain chain = *std::exchange(statistics_buffer_, {});
  if (running()) complete(statistics_queue(), chain, 0);
}

void VirtioBalloon::process(unsigned n) {
  for_each_chain(n, [&](Chain& chain) {
    if (n == statistics_queue()) {
      read_statistics(chain);
      if (statistics_buffer_) complete(n, *statistics_buffer_, 0);
      statistics_buffer_ = chain;
      return true;
    }
    if (n == kInflate) inflate(chain);
    if (n == reporting_queue()) {
      for (const Piece& piece : chain.writable) give_back(piece);
    }
    complete(n, chain, 0);
    return true;
  });
}

void VirtioBalloon::inflate(const Chain& chain) {
  uint32_t page;
  for (uint64_t at = 0; at + 4 <= chain.readable_size; at += 4) {
    chain.read(at, &page, 4);
    const Piece piece = memory().piece(page * kPage, kPage, true);
    if (piece.size == kPage) give_back(piece);  // what is no RAM cannot be given away
  }
}

void VirtioBalloon::give_back(const Piece& piece) {
  // Whole pages of the host only.
  const auto begin = (reinterpret_cast<uintptr_t>(piece.data) + kPage - 1) & ~(kPage - 1);
  const auto end = (reinterpret_cast<uintptr_t>(piece.data) + piece.size) & ~(kPage - 1);
  if (begin >= end) return;
  // A private mapping drops its pages; what is shared with another process has to be cut out of the file.
  const int advice = piece.ram && piece.ram->fd() >= 0 ? MADV_REMOVE : MADV_DONTNEED;
  if (::madvise(reinterpret_cast<void*>(begin), end - begin, advice) != 0) return;
  reported_ += end - begin;
  memory().written(piece, piece.size);
}

void VirtioBalloon::read_statistics(const Chain& chain) {
  struct [[gnu::packed]] {
    uint16_t tag;
    uint64_t value;
  } one;
  statistics_ = {};
  for (uint64_t at = 0; at + sizeof one <= chain.readable_size; at += sizeof one) {
    chain.read(at, &one, sizeof one);
    const uint64_t value = one.value;  // by reference it would be misaligned
    if (one.tag < kStatistics) statistics_[one.tag] = value;
  }
}

void VirtioBalloon::save_device(system::StateWriter& to) const {
  to.field("target", target_);
  to.field("actual", actual_);
}

void VirtioBalloon::load_device(system::StateReader& from) {
  from.field("target", target_);
  from.field("actual", actual_);
  fill_config();
}

}  // namespace lyrebird::devices
