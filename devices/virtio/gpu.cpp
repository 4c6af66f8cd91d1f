// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/gpu.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/guest_bytes.h"
#include "devices/virtio/edid.h"

namespace lyrebird::devices {

namespace {

constexpr uint64_t kEdid = 1 << 1;
constexpr size_t kScanoutsAt = 8, kConfigSize = 16;
constexpr unsigned kCursorQueue = 1;

// 5.7.6.7.
enum Command : uint32_t {
  GetDisplayInfo = 0x100,
  ResourceCreate2d,
  ResourceUnref,
  SetScanout,
  ResourceFlush,
  TransferToHost2d,
  ResourceAttachBacking,
  ResourceDetachBacking,
  GetEdid = 0x10a,
  UpdateCursor = 0x300,
  MoveCursor,
};
enum Answer : uint32_t {
  OkNodata = 0x1100,
  OkDisplayInfo = 0x1101,
  OkEdid = 0x1104,
  ErrUnspec = 0x1200,
  ErrOutOfMemory,
  ErrInvalidScanoutId,
  ErrInvalidResourceId,
  ErrInvalidContextId,
  ErrInvalidParameter,
};
constexpr uint32_t kFlagFence = 1;

struct Header {
  uint32_t type, flags;
  uint64_t fence_id;
  uint32_t ctx_id;
  uint8_t ring_idx, padding[3];
};
static_assert(sizeof(Header) == 24);

// 5.7.6.8: the formats are named by their bytes in memory.
enum Format : uint32_t {
  B8G8R8A8 = 1,
  B8G8R8X8 = 2,
  A8R8G8B8 = 3,
  X8R8G8B8 = 4,
  R8G8B8A8 = 67,
  X8B8G8R8 = 68,
  A8B8G8R8 = 121,
  R8G8B8X8 = 134,
};
constexpr Format kFormats[] = {B8G8R8A8, B8G8R8X8, A8R8G8B8, X8R8G8B8,
                               R8G8B8A8, X8B8G8R8, A8B8G8R8, R8G8B8X8};

/// 0xAARRGGBB of a pixel as it lies in memory, read as a little-endian number.
uint32_t to_argb(uint32_t format, uint32_t pixel) {
  switch (format) {
    case A8R8G8B8:
    case X8R8G8B8:
      return __builtin_bswap32(pixel);
    case R8G8B8A8:
    case R8G8B8X8:
      return (pixel & 0xff00ff00) | (pixel & 0xff) << 16 | (pixel >> 16 & 0xff);
    case X8B8G8R8:
    case A8B8G8R8:
      return std::rotr(pixel, 8);
    default:
      return pixel;
  }
}

constexpr uint32_t kMaxEntries = 16384;
/// What a resource costs beside its pixels, so that no number of small ones takes much memory.
constexpr uint64_t kResourceCost = 4096;

/// No more than all the memory there is, however large the sides are.
uint64_t cost_of(uint32_t width, uint32_t height) {
  constexpr uint64_t kMostPixels = uint64_t{1} << 40;
  return kResourceCost + std::min(uint64_t{width} * height, kMostPixels) * 4;
}

}  // namespace

struct VirtioGpu::Request {
  const Chain& chain;
  Header header{};
  std::vector<uint8_t> answer;  ///< behind its header

  /// What follows the header; false: the request ends before.
  template <typename T>
  bool read(T& to) const {
    return chain.read(sizeof header, &to, sizeof to) == sizeof to;
  }
  template <typename T>
  void put(const T& value) {
    const auto* const bytes = reinterpret_cast<const uint8_t*>(&value);
    answer.insert(answer.end(), bytes, bytes + sizeof value);
  }
};

class VirtioGpu::OutputScreen final : public ui::Screen {
 public:
  OutputScreen(VirtioGpu& gpu, unsigned output) : gpu_(gpu), output_(output) {}
  std::string name() const override {
    return gpu_.outputs_.size() == 1 ? gpu_.id() : fmt::format("{}.{}", gpu_.id(), output_);
  }
  ui::Picture picture() override { return gpu_.picture_of(output_); }

 private:
  VirtioGpu& gpu_;
  const unsigned output_;
};

VirtioGpu::VirtioGpu(VirtioGpuOptions options, system::AddressSpace& memory, system::EventLoop& loop)
    : VirtioDevice(VirtioType::Gpu, options.virtio, {256, 16}, kConfigSize, memory, loop),
      options_(std::move(options)),
      outputs_(options_.outputs) {
  if (options_.edid) offer(kEdid);
  for (unsigned i = 0; i < outputs_.size(); ++i) screens_.push_back(std::make_unique<OutputScreen>(*this, i));
  fill_config();
}

VirtioGpu::~VirtioGpu() = default;

std::vector<ui::Screen*> VirtioGpu::screens() {
  std::vector<ui::Screen*> all;
  for (const auto& screen : screens_) all.push_back(screen.get());
  return all;
}

void VirtioGpu::fill_config() {
  std::fill(config().begin(), config().end(), 0);
  set_config<uint32_t>(kScanoutsAt, options_.outputs);
}
void VirtioGpu::config_written(uint64_t, unsigned) { fill_config(); }

void VirtioGpu::device_reset() {
  resources_.clear();
  outputs_.assign(outputs_.size(), {});
  bytes_ = 0;
  fill_config();
}

void VirtioGpu::process(unsigned n) {
  for_each_chain(n, [&](const Chain& chain) {
    Request request{.chain = chain};
    if (chain.read(0, &request.header, sizeof(Header)) != sizeof(Header)) {
      fail("a request is shorter than its header");
      return true;
    }
    const bool cursor = request.header.type == UpdateCursor || request.header.type == MoveCursor;
    Header answer{.type = cursor == (n == kCursorQueue) ? run(request) : uint32_t{ErrUnspec}};
    if (request.header.flags & kFlagFence) {
      answer.flags = kFlagFence;
      answer.fence_id = request.header.fence_id;
      answer.ctx_id = request.header.ctx_id;
    }
    // A driver that does not want to know gives no room.
    size_t written = chain.write(0, &answer, sizeof answer);
    written += chain.write(sizeof answer, request.answer.data(), request.answer.size());
    complete(n, chain, static_cast<uint32_t>(written));
    return true;
  });
}

uint32_t VirtioGpu::run(Request& request) {
  switch (request.header.type) {
    case GetDisplayInfo:
      return display_info(request);
    case GetEdid:
      return has(kEdid) ? edid(request) : uint32_t{ErrUnspec};
    case ResourceCreate2d:
      return create(request);
    case ResourceUnref:
      return unref(request);
    case SetScanout:
      return set_scanout(request);
    case ResourceFlush:
      return flush(request);
    case TransferToHost2d:
      return transfer(request);
    case ResourceAttachBacking:
      return attach_backing(request);
    case ResourceDetachBacking:
      return detach_backing(request);
    case UpdateCursor:
      return move_cursor(request, true);
    case MoveCursor:
      return move_cursor(request, false);
    default:
      return ErrUnspec;
  }
}

uint32_t VirtioGpu::display_info(Request& request) {
  struct {
    Rectangle r;
    uint32_t enabled, flags;
  } modes[kMaxOutputs] = {};
  for (unsigned i = 0; i < outputs_.size(); ++i)
    modes[i] = {.r = {0, 0, options_.width, options_.height}, .enabled = 1, .flags = 0};
  request.put(modes);
  return OkDisplayInfo;
}

uint32_t VirtioGpu::edid(Request& request) {
  struct {
    uint32_t scanout, padding;
  } asked;
  if (!request.read(asked)) return ErrInvalidParameter;
  if (asked.scanout >= outputs_.size()) return ErrInvalidScanoutId;
  const auto block = make_edid("Lyrebird", options_.width, options_.height);
  struct {
    uint32_t size, padding;
    uint8_t data[1024];
  } answer = {.size = static_cast<uint32_t>(block.size()), .padding = 0, .data = {}};
  std::copy(block.begin(), block.end(), answer.data);
  request.put(answer);
  return OkEdid;
}

VirtioGpu::Resource* VirtioGpu::find(uint32_t id) {
  const auto found = resources_.find(id);
  return found == resources_.end() ? nullptr : &found->second;
}

uint32_t VirtioGpu::create(Request& request) {
  struct {
    uint32_t id, format, width, height;
  } asked;
  if (!request.read(asked)) return ErrInvalidParameter;
  if (asked.id == 0 || find(asked.id)) return ErrInvalidResourceId;
  if (asked.width == 0 || asked.height == 0 ||
      std::ranges::find(kFormats, asked.format) == std::end(kFormats))
    return ErrInvalidParameter;
  const uint64_t cost = cost_of(asked.width, asked.height);
  if (cost > options_.max_bytes - bytes_) return ErrOutOfMemory;
  bytes_ += cost;
  resources_[asked.id] = {.format = asked.format,
                          .width = asked.width,
                          .height = asked.height,
                          .pixels = std::vector<uint32_t>(size_t{asked.width} * asked.height),
                          .backing = {},
                          .begins = {}};
  return OkNodata;
}

uint32_t VirtioGpu::unref(Request& request) {
  uint32_t id;
  if (!request.read(id)) return ErrInvalidParameter;
  Resource* const resource = find(id);
  if (!resource) return ErrInvalidResourceId;
  for (Output& output : outputs_) {
    if (output.cursor.resource == id) output.cursor.resource = 0;
    if (output.resource == id) turn_off(output);
  }
  set_backing(*resource, {});
  bytes_ -= cost_of(resource->width, resource->height);
  resources_.erase(id);
  return OkNodata;
}

void VirtioGpu::turn_off(Output& output) {
  bytes_ -= output.shown.pixels.size() * 4;
  output.resource = 0;
  output.shown = {};
}

uint32_t VirtioGpu::set_scanout(Request& request) {
  struct {
    Rectangle r;
    uint32_t scanout, resource;
  } asked;
  if (!request.read(asked)) return ErrInvalidParameter;
  if (asked.scanout >= outputs_.size()) return ErrInvalidScanoutId;
  Output& output = outputs_[asked.scanout];
  if (asked.resource == 0) {
    turn_off(output);
    return OkNodata;
  }
  const Resource* const resource = find(asked.resource);
  if (!resource) return ErrInvalidResourceId;
  if (!asked.r.inside(resource->width, resource->height)) return ErrInvalidParameter;
  return start_showing(output, asked.resource, asked.r) ? OkNodata : ErrOutOfMemory;
}

bool VirtioGpu::start_showing(Output& output, uint32_t resource, const Rectangle& part) {
  const uint64_t cost = uint64_t{part.width} * part.height * 4;
  if (cost > options_.max_bytes - bytes_ + output.shown.pixels.size() * 4) return false;
  turn_off(output);
  bytes_ += cost;
  output.resource = resource;
  output.part = part;
  output.shown = {part.width, part.height, std::vector<uint32_t>(size_t{part.width} * part.height)};
  show(output, part);
  return true;
}

uint32_t VirtioGpu::flush(Request& request) {
  struct {
    Rectangle r;
    uint32_t resource, padding;
  } asked;
  if (!request.read(asked)) return ErrInvalidParameter;
  const Resource* const resource = find(asked.resource);
  if (!resource) return ErrInvalidResourceId;
  if (!asked.r.inside(resource->width, resource->height)) return ErrInvalidParameter;
  for (Output& output : outputs_) {
    if (output.resource == asked.resource) show(output, asked.r);
  }
  return OkNodata;
}

/// Makes what changed in the output's resource visible, as far as the output shows that part.
void VirtioGpu::show(Output& output, const Rectangle& changed) {
  const Resource& from = *find(output.resource);
  const Rectangle& part = output.part;
  const uint32_t left = std::max(changed.x, part.x), top = std::max(changed.y, part.y);
  const uint32_t right = std::min(changed.x + changed.width, part.x + part.width);
  const uint32_t bottom = std::min(changed.y + changed.height, part.y + part.height);
  for (uint32_t y = top; y < bottom; ++y) {
    const uint32_t* const source = &from.pixels[size_t{y} * from.width];
    uint32_t* const to = &output.shown.pixels[size_t{y - part.y} * part.width];
    for (uint32_t x = left; x < right; ++x) to[x - part.x] = to_argb(from.format, source[x]) & 0xffffff;
  }
}

uint32_t VirtioGpu::transfer(Request& request) {
  struct {
    Rectangle r;
    uint64_t offset;
    uint32_t resource, padding;
  } asked;
  if (!request.read(asked)) return ErrInvalidParameter;
  Resource* const resource = find(asked.resource);
  if (!resource) return ErrInvalidResourceId;
  const Rectangle& r = asked.r;
  if (resource->backing.empty()) return ErrUnspec;
  if (!r.inside(resource->width, resource->height)) return ErrInvalidParameter;
  const uint64_t stride = uint64_t{resource->width} * 4;
  // Rows that follow each other without a gap are one piece.
  const bool whole = r.width == resource->width;
  const uint64_t size = uint64_t{r.width} * 4 * (whole ? r.height : 1);
  auto* const pixels = reinterpret_cast<uint8_t*>(resource->pixels.data());
  for (uint32_t row = 0; row < (whole ? 1 : r.height); ++row) {
    uint8_t* const to = pixels + (r.y + row) * stride + uint64_t{r.x} * 4;
    if (!copy_from_guest(*resource, asked.offset + row * stride, to, size)) return ErrInvalidParameter;
  }
  return OkNodata;
}

/// False: the backing ends before, or is not RAM there.
bool VirtioGpu::copy_from_guest(const Resource& resource, uint64_t offset, uint8_t* to, uint64_t size) {
  auto at = std::ranges::upper_bound(resource.begins, offset);
  if (at == resource.begins.begin()) return false;
  for (size_t i = static_cast<size_t>(at - resource.begins.begin()) - 1; size > 0; ++i) {
    if (i == resource.backing.size()) return false;
    uint64_t skip = offset - resource.begins[i];
    const Entry& entry = resource.backing[i];
    while (skip < entry.length && size > 0) {
      const Piece piece = memory().piece(entry.address + skip, std::min(size, entry.length - skip), false);
      if (piece.size == 0) return false;
      copy_guest_bytes(to, piece.data, piece.size);
      to += piece.size, skip += piece.size, offset += piece.size, size -= piece.size;
    }
  }
  return true;
}

void VirtioGpu::set_backing(Resource& resource, std::vector<Entry> entries) {
  bytes_ -= resource.backing.size() * sizeof(Entry);
  bytes_ += entries.size() * sizeof(Entry);
  resource.backing = std::move(entries);
  resource.begins.clear();
  uint64_t begin = 0;
  for (const Entry& entry : resource.backing) {
    resource.begins.push_back(begin);
    begin += entry.length;
  }
}

uint32_t VirtioGpu::attach_backing(Request& request) {
  struct {
    uint32_t resource, count;
  } asked;
  if (!request.read(asked)) return ErrInvalidParameter;
  Resource* const resource = find(asked.resource);
  if (!resource) return ErrInvalidResourceId;
  if (!resource->backing.empty()) return ErrUnspec;
  if (asked.count == 0 || asked.count > kMaxEntries) return ErrInvalidParameter;
  std::vector<Entry> entries(asked.count);
  const size_t size = entries.size() * sizeof(Entry);
  if (size > options_.max_bytes - bytes_) return ErrOutOfMemory;
  if (request.chain.read(sizeof(Header) + sizeof asked, entries.data(), size) != size)
    return ErrInvalidParameter;
  set_backing(*resource, std::move(entries));
  return OkNodata;
}

uint32_t VirtioGpu::detach_backing(Request& request) {
  uint32_t id;
  if (!request.read(id)) return ErrInvalidParameter;
  Resource* const resource = find(id);
  if (!resource) return ErrInvalidResourceId;
  set_backing(*resource, {});
  return OkNodata;
}

uint32_t VirtioGpu::move_cursor(Request& request, bool update) {
  struct {
    uint32_t scanout, x, y, padding, resource, hot_x, hot_y, padding2;
  } asked;
  if (!request.read(asked)) return ErrInvalidParameter;
  if (asked.scanout >= outputs_.size()) return ErrInvalidScanoutId;
  auto& cursor = outputs_[asked.scanout].cursor;
  if (update && asked.resource != 0 && !find(asked.resource)) return ErrInvalidResourceId;
  cursor.x = asked.x;
  cursor.y = asked.y;
  if (update) cursor.resource = asked.resource;
  return OkNodata;
}

ui::Picture VirtioGpu::picture_of(unsigned output) {
  const std::lock_guard lock(mutex());
  ui::Picture picture = outputs_[output].shown;
  if (!picture.empty()) draw_cursor(outputs_[output], picture);
  return picture;
}

/// Its position is that of its upper left corner, as drivers use it; the colours have been multiplied by
/// alpha.
void VirtioGpu::draw_cursor(const Output& output, ui::Picture& picture) {
  const Resource* const image = find(output.cursor.resource);
  if (!image) return;
  const auto blend = [](uint32_t over, uint32_t under) {
    const uint32_t rest = 255 - (over >> 24);
    uint32_t result = 0;
    for (const unsigned shift : {0, 8, 16}) {
      const uint32_t sum = (over >> shift & 0xff) + (under >> shift & 0xff) * rest / 255;
      result |= std::min(sum, 255u) << shift;
    }
    return result;
  };
  for (uint32_t y = 0; y < image->height && uint64_t{output.cursor.y} + y < picture.height; ++y) {
    for (uint32_t x = 0; x < image->width && uint64_t{output.cursor.x} + x < picture.width; ++x) {
      uint32_t& pixel = picture.pixels[size_t{output.cursor.y + y} * picture.width + output.cursor.x + x];
      pixel = blend(to_argb(image->format, image->pixels[size_t{y} * image->width + x]), pixel);
    }
  }
}

// --- saved state

void VirtioGpu::save_device(system::StateWriter& to) const {
  to.field("resources", static_cast<uint32_t>(resources_.size()));
  for (const auto& [id, resource] : resources_) {
    to.begin("resource", 1);
    to.field("id", id);
    to.field("format", resource.format);
    to.field("width", resource.width);
    to.field("height", resource.height);
    to.array("pixels", std::span<const uint32_t>(resource.pixels));
    to.field("entries", static_cast<uint32_t>(resource.backing.size()));
    to.array("backing", std::span<const Entry>(resource.backing));
    to.end();
  }
  for (const Output& output : outputs_) {
    const uint32_t fields[] = {output.resource,    output.part.x,          output.part.y,   output.part.width,
                               output.part.height, output.cursor.resource, output.cursor.x, output.cursor.y};
    to.array("output", std::span<const uint32_t>(fields));
  }
}

bool VirtioGpu::load_resource(system::StateReader& from) {
  uint32_t id = 0, entries = 0;
  Resource resource{};
  from.begin("resource", 1);
  from.field("id", id);
  from.field("format", resource.format);
  from.field("width", resource.width);
  from.field("height", resource.height);
  const uint64_t cost = cost_of(resource.width, resource.height);
  if (!from.ok() || cost > options_.max_bytes - bytes_) return false;
  bytes_ += cost;
  resource.pixels.resize(size_t{resource.width} * resource.height);
  from.array("pixels", std::span<uint32_t>(resource.pixels));
  from.field("entries", entries);
  if (!from.ok() || entries > kMaxEntries) return false;
  std::vector<Entry> backing(entries);
  from.array("backing", std::span<Entry>(backing));
  from.end();
  set_backing(resource, std::move(backing));
  return from.ok() && resources_.emplace(id, std::move(resource)).second;
}

void VirtioGpu::load_device(system::StateReader& from) {
  device_reset();
  uint32_t count = 0;
  from.field("resources", count);
  for (uint32_t i = 0; i < count; ++i) {
    if (!load_resource(from)) return from.fail("an image of the screen makes no sense");
  }
  for (Output& output : outputs_) {
    uint32_t fields[8] = {};
    from.array("output", std::span<uint32_t>(fields));
    output.cursor = {fields[5], fields[6], fields[7]};
    const Resource* const resource = find(fields[0]);
    if (fields[0] == 0) continue;
    const Rectangle part = {fields[1], fields[2], fields[3], fields[4]};
    if (!resource || !part.inside(resource->width, resource->height) ||
        !start_showing(output, fields[0], part))
      return from.fail("an output shows what is not there");
  }
}

}  // namespace lyrebird::devices
