// SPDX-License-Identifier: Apache-2.0
/// virtio GPU device in 2D mode (Virtual I/O Device 1.2, 5.7): outputs that show images which the guest
/// draws.
///
/// A resource is an image of the host with pages of the guest behind it. TRANSFER_TO_HOST_2D copies from
/// those pages, SET_SCANOUT says which part of it an output shows, RESOURCE_FLUSH makes what was copied
/// visible. All images together take at most `max_bytes`; what needs more gets ERR_OUT_OF_MEMORY.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "devices/virtio/virtio.h"
#include "ui/screen.h"

namespace lyrebird::devices {

struct VirtioGpuOptions {
  VirtioOptions virtio;
  uint32_t width = 1280, height = 800;  ///< the preferred mode, 1 to 4095
  unsigned outputs = 1;                 ///< 1 to kMaxOutputs
  bool edid = true;
  uint64_t max_bytes = 256 << 20;
};

class VirtioGpu final : public VirtioDevice {
 public:
  static constexpr unsigned kMaxOutputs = 16;

  VirtioGpu(VirtioGpuOptions options, system::AddressSpace& memory, system::EventLoop& loop);
  ~VirtioGpu() override;

  /// One for each output; they live as long as the device.
  std::vector<ui::Screen*> screens();

 private:
  struct Rectangle {
    uint32_t x, y, width, height;
    /// Not empty and inside of an image of that size.
    bool inside(uint32_t w, uint32_t h) const {
      return width != 0 && height != 0 && x <= w && y <= h && width <= w - x && height <= h - y;
    }
  };
  struct Entry {
    uint64_t address;
    uint32_t length, padding;
  };
  struct Resource {
    uint32_t format, width, height;
    std::vector<uint32_t> pixels;  ///< as the format has them
    std::vector<Entry> backing;
    std::vector<uint64_t> begins;  ///< of each entry in the resource's bytes
  };
  struct Output {
    uint32_t resource = 0;  ///< 0: off
    Rectangle part{};
    ui::Picture shown;
    struct {
      uint32_t resource = 0, x = 0, y = 0;
    } cursor;
  };
  class OutputScreen;
  /// A request's bytes and how its answer is built.
  struct Request;

  void process(unsigned queue) override;
  void device_reset() override;
  void config_written(uint64_t offset, unsigned size) override;
  void save_device(system::StateWriter& to) const override;
  void load_device(system::StateReader& from) override;

  void fill_config();
  uint32_t run(Request& request);
  uint32_t display_info(Request& request);
  uint32_t edid(Request& request);
  uint32_t create(Request& request);
  uint32_t unref(Request& request);
  uint32_t set_scanout(Request& request);
  uint32_t flush(Request& request);
  uint32_t transfer(Request& request);
  uint32_t attach_backing(Request& request);
  uint32_t detach_backing(Request& request);
  uint32_t move_cursor(Request& request, bool update);

  Resource* find(uint32_t id);
  void set_backing(Resource& resource, std::vector<Entry> entries);
  bool copy_from_guest(const Resource& resource, uint64_t offset, uint8_t* to, uint64_t size);
  bool start_showing(Output& output, uint32_t resource, const Rectangle& part);
  void turn_off(Output& output);
  void show(Output& output, const Rectangle& changed);
  void draw_cursor(const Output& output, ui::Picture& picture);
  ui::Picture picture_of(unsigned output);
  bool load_resource(system::StateReader& from);

  const VirtioGpuOptions options_;
  // What the guest made us hold is counted in bytes_, all of it.
  std::map<uint32_t, Resource> resources_;
  std::vector<Output> outputs_;
  std::vector<std::unique_ptr<OutputScreen>> screens_;
  uint64_t bytes_ = 0;
};

}  // namespace lyrebird::devices
