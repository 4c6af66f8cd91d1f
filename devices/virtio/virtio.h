// SPDX-License-Identifier: Apache-2.0
/// A virtio 1.2 device, whatever transport shows it to the guest.
///
/// The transport (mmio.h, pci.h) holds registers and interrupts and calls the first half of VirtioDevice; a
/// device (blk.h, net.h, ...) overrides the second. Only modern devices: VIRTIO_F_VERSION_1 is always wanted.
///
/// Threads: a notification may come from any thread and only marks the queue; the queue is processed on the
/// event loop, under mutex(). Everything else here is called with mutex() held except where it says not. Lock
/// order: the transport's mutex > this one > the back end's own > interrupt controller.
///
/// What a driver does wrong never ends the process: fail() sets DEVICE_NEEDS_RESET, says why once in the log
/// and leaves the queues alone until the driver resets the device.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "devices/virtio/address_space_memory.h"
#include "devices/virtio/virtqueue.h"
#include "system/event_loop.h"
#include "system/state_stream.h"

namespace lyrebird::devices {

enum class VirtioType : uint32_t {
  Net = 1,
  Block = 2,
  Console = 3,
  Entropy = 4,
  Balloon = 5,
  Scsi = 8,
  NineP = 9,
  Gpu = 16,
  Input = 18,
  Vsock = 19,
  Fs = 26,
};

// Features of the queues and transports (6). A device has its own below 24 and above 49.
inline constexpr uint64_t kVirtioIndirect = 1ull << 28, kVirtioEventIndex = 1ull << 29,
                          kVirtioVersion1 = 1ull << 32, kVirtioAccessPlatform = 1ull << 33,
                          kVirtioPacked = 1ull << 34, kVirtioRingReset = 1ull << 40;

// Device status (2.1).
inline constexpr uint8_t kStatusAcknowledge = 1, kStatusDriver = 2, kStatusDriverOk = 4,
                         kStatusFeaturesOk = 8, kStatusNeedsReset = 64, kStatusFailed = 128;

/// What a device needs from the transport that shows it. Called with the device's mutex held.
class VirtioTransport {
 public:
  virtual ~VirtioTransport() = default;
  virtual void queue_interrupt(unsigned queue) = 0;
  virtual void config_interrupt() = 0;
  /// The device went back to its state after power-on.
  virtual void device_was_reset() = 0;
};

/// What the machine's options say about any virtio device.
struct VirtioOptions {
  std::string id;  // as in -device ...,id=; for messages
  bool packed = false, event_index = true, indirect = true;
};

class VirtioDevice {
 public:
  /// `queue_sizes`: the largest size of each queue. `memory` and `loop` outlive the device.
  VirtioDevice(VirtioType type, VirtioOptions options, std::vector<uint16_t> queue_sizes, size_t config_size,
               system::AddressSpace& memory, system::EventLoop& loop);
  virtual ~VirtioDevice();
  VirtioDevice(const VirtioDevice&) = delete;
  VirtioDevice& operator=(const VirtioDevice&) = delete;

  std::mutex& mutex() { return mutex_; }
  VirtioType type() const { return type_; }
  const std::string& id() const { return options_.id; }

  // --- for the transport ---
  void set_transport(VirtioTransport* transport) { transport_ = transport; }
  uint64_t offered() const { return offered_; }
  uint64_t driver_features() const { return driver_features_; }
  /// One half of the 64 bits; ignored once FEATURES_OK is set.
  void set_driver_features(unsigned half, uint32_t value);
  uint8_t status() const { return status_; }
  /// 0 resets; FEATURES_OK stays off if the driver's features cannot be had.
  void set_status(uint8_t value);
  uint8_t generation() const { return generation_; }
  /// `size` 1, 2, 4; beyond the end there are zeros.
  uint32_t read_config(uint64_t offset, unsigned size);
  void write_config(uint64_t offset, unsigned size, uint32_t value);
  unsigned queue_count() const { return static_cast<unsigned>(queues_.size()); }
  Virtqueue& queue(unsigned n) { return *queues_[n]; }
  void enable_queue(unsigned n);
  void reset_queue(unsigned n);
  /// Any thread, with or without the mutex. Says which queue has new buffers.
  void notify(unsigned queue);
  /// The same, by the loop's thread without the mutex: the queue is processed before it returns.
  void notified(unsigned queue);
  /// As set_status(0), and what a machine's reset does.
  void reset();
  void save(system::StateWriter& to);
  Result<void> load(system::StateReader& from);

  bool needs_reset() const { return status_ & kStatusNeedsReset; }

 protected:
  // --- for the device ---
  void offer(uint64_t features) { offered_ |= features; }
  bool has(uint64_t feature) const { return driver_features_ & feature; }
  bool running() const { return (status_ & (kStatusDriverOk | kStatusNeedsReset)) == kStatusDriverOk; }
  system::EventLoop& loop() { return loop_; }
  GuestMemory& memory() { return memory_; }
  /// Bytes of the device's configuration space; config_changed() tells the driver.
  template <typename T>
  void set_config(size_t offset, T value) {
    for (size_t i = 0; i < sizeof(T); ++i) config_.at(offset + i) = static_cast<uint8_t>(value >> 8 * i);
  }
  std::vector<uint8_t>& config() { return config_; }
  void config_changed();
  /// Gives the buffer back to the driver; interrupt() afterwards, once for many.
  void complete(unsigned queue, const Chain& chain, uint32_t written) {
    queues_[queue]->push(chain, written);
  }
  void interrupt(unsigned queue);
  void fail(std::string_view why);
  /// Calls `work` for each buffer in the queue until it is empty, work() says false (it could not be used: it
  /// is offered again when retry(queue) is called), or there were so many that others have their turn first.
  template <typename Work>
  void for_each_chain(unsigned n, Work&& work);
  /// Processes the queue again soon.
  void retry(unsigned queue) { notify(queue); }
  /// Runs `work` on the event loop under the mutex, unless the device is gone by then. Any thread.
  void post(std::function<void()> work);

  /// The queue may have buffers. On the event loop, while running().
  virtual void process(unsigned queue) = 0;
  /// The driver has set DRIVER_OK. Not after load(): load_device() does what is needed.
  virtual void started() {}
  /// Waits for what back ends do with guest memory. Afterwards no buffer of the driver's is held: each was
  /// given back or forgotten. The device goes on when the next buffer is processed.
  virtual void drain() {}
  /// Back to the state after power-on; drain() was called.
  virtual void device_reset() {}
  virtual void config_read() {}
  virtual void config_written(uint64_t /*offset*/, unsigned /*size*/) {}
  virtual void save_device(system::StateWriter&) const {}
  virtual void load_device(system::StateReader&) {}

 private:
  static constexpr unsigned kTurn = 256;  // buffers of one queue before others have their turn
  struct Life {                           // what a posted callback holds: the device may be gone when it runs
    std::mutex mutex;
    VirtioDevice* device;
  };

  void process_pending();

  std::mutex mutex_;
  const VirtioType type_;
  const VirtioOptions options_;
  AddressSpaceMemory memory_;
  system::EventLoop& loop_;
  VirtioTransport* transport_ = nullptr;
  std::vector<std::unique_ptr<Virtqueue>> queues_;
  std::vector<uint8_t> config_;
  uint64_t offered_, driver_features_ = 0;
  uint8_t status_ = 0, generation_ = 0;
  std::array<std::atomic<uint64_t>, 17> pending_{};  // bits of queues; 1024 and 64 more
  std::atomic<bool> posted_{false};
  std::shared_ptr<Life> life_;
};

template <typename Work>
void VirtioDevice::for_each_chain(unsigned n, Work&& work) {
  Virtqueue& queue = *queues_[n];
  Chain chain;
  unsigned done = 0;
  do {
    queue.set_notification(false);
    while (running() && queue.pop(chain)) {
      if (!work(chain)) {
        queue.unpop(chain);
        queue.set_notification(true);
        interrupt(n);
        return;
      }
      if (++done == kTurn) {
        interrupt(n);
        retry(n);
        return;
      }
    }
  } while (running() && queue.set_notification(true));
  interrupt(n);
}

}  // namespace lyrebird::devices
