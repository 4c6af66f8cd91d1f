// SPDX-License-Identifier: Apache-2.0
/// virtio block device (Virtual I/O Device 1.2, 5.2) over a block::Node.
///
/// Read, write, flush, get id, discard, write zeroes; as many queues as asked for; write cache that the
/// driver may turn off (a write is then on the medium when it is done). Segments of a request go to the host
/// without a copy. A request outside of the disk, or not in whole sectors, ends in IOERR; one without header
/// or status byte is the driver's mistake and the device needs a reset.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "block/node.h"
#include "devices/virtio/virtio.h"

namespace lyrebird::devices {

struct VirtioBlkOptions {
  VirtioOptions virtio;
  std::string serial;  // the first 20 characters count
  uint16_t queues = 1, queue_size = 256;
  uint32_t logical_block_size = 512;
  bool discard = true, write_zeroes = true;
};

class VirtioBlk final : public VirtioDevice {
 public:
  /// `node` outlives it.
  VirtioBlk(VirtioBlkOptions options, block::Node& node, system::AddressSpace& memory,
            system::EventLoop& loop);
  ~VirtioBlk() override;

 private:
  struct Request {
    Chain chain;
    unsigned queue = 0;
    uint32_t type = 0;
    uint64_t data_size = 0;  // what a read writes
    unsigned outstanding = 0;
    int error = 0;
  };
  struct Range {
    uint64_t offset, size;
    bool unmap;
  };

  void process(unsigned queue) override;
  void drain() override;
  void device_reset() override;
  void config_written(uint64_t offset, unsigned size) override;
  void load_device(system::StateReader& from) override;
  void save_device(system::StateWriter& to) const override;

  void fill_config();
  bool writeback() const;
  /// False: the driver made a mistake, the request is gone.
  bool start(std::unique_ptr<Request> request);
  void transfer(std::unique_ptr<Request> request, uint64_t sector, bool write);
  void get_id(std::unique_ptr<Request> request);
  void ranges(std::unique_ptr<Request> request);
  bool parse_ranges(const Request& request, std::vector<Range>& ranges, uint8_t& status) const;
  /// One part of the request is through. Any thread.
  void finished(Request* request, int error);
  block::Done done(Request* request);
  void complete_finished();
  void answer(std::unique_ptr<Request> request, uint8_t status);

  const VirtioBlkOptions options_;
  block::Node& node_;
  bool write_cache_;
  std::vector<std::unique_ptr<Request>> spare_;

  std::mutex finished_mutex_;  // below everything
  std::vector<Request*> finished_;
  bool draining_ = false, finished_posted_ = false;
};

}  // namespace lyrebird::devices
