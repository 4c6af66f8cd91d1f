// SPDX-License-Identifier: Apache-2.0
/// virtio memory balloon (Virtual I/O Device 1.2, 5.5): inflate, deflate, statistics, free page reporting.
///
/// Pages the guest gives away are given back to the host; they read as zeros when they are used again.
/// Queues: inflate, deflate, then statistics and reporting.
#pragma once

#include <array>
#include <optional>

#include "devices/virtio/virtio.h"

namespace lyrebird::devices {

struct VirtioBalloonOptions {
  VirtioOptions virtio;
  bool deflate_on_oom = false, free_page_reporting = true;
};

class VirtioBalloon final : public VirtioDevice {
 public:
  static constexpr uint64_t kPage = 4096;
  static constexpr unsigned kStatistics = 10;

  /// `space`: as in the constructor of any device; its RAM is what is given back.
  VirtioBalloon(VirtioBalloonOptions options, system::AddressSpace& memory, system::EventLoop& loop);

  /// Asks the guest to give away so many pages. Any thread, without the mutex.
  void set_target(uint32_t pages);
  uint32_t actual();
  /// What the guest said last, by the numbers of 5.5.6.3; asks for new ones.
  std::array<std::optional<uint64_t>, kStatistics> statistics();
  uint64_t reported_bytes();

 private:
  void process(unsigned queue) override;
  void drain() override;
  void device_reset() override;
  void config_written(uint64_t offset, unsigned size) override;
  void save_device(system::StateWriter& to) const override;
  void load_device(system::StateReader& from) override;

  unsigned statistics_queue() const;
  unsigned reporting_queue() const;
  void inflate(const Chain& chain);
  void read_statistics(const Chain& chain);
  void give_back(const Piece& piece);
  void fill_config();

  uint32_t target_ = 0, actual_ = 0;
  uint64_t reported_ = 0;
  std::array<std::optional<uint64_t>, kStatistics> statistics_{};
  std::optional<Chain> statistics_buffer_;  // held until new ones are wanted
};

}  // namespace lyrebird::devices
