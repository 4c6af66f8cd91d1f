// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/nine_p.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "devices/virtio/nine_p_server.h"

namespace lyrebird::devices {

namespace {

constexpr uint64_t kMountTag = 1;
constexpr size_t kTagAt = 2;

int open_folder(const std::string& path) { return ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC); }

}  // namespace

Result<void> Virtio9p::check(const Virtio9pOptions& options) {
  if (options.tag.empty() || options.tag.size() > 31) return Error{"mount_tag: must have 1 to 31 characters"};
  const int fd = open_folder(options.path);
  if (fd < 0) return Error{fmt::format("{}: {}", options.path, std::strerror(errno))};
  ::close(fd);
  return {};
}

Virtio9p::Virtio9p(Virtio9pOptions options, system::AddressSpace& memory, system::EventLoop& loop)
    : VirtioDevice(VirtioType::NineP, options.virtio, {128}, kTagAt + options.tag.size(), memory, loop),
      options_(std::move(options)) {
  offer(kMountTag);
  fill_config();
  device_reset();
}

Virtio9p::~Virtio9p() = default;

void Virtio9p::fill_config() {
  set_config<uint16_t>(0, static_cast<uint16_t>(options_.tag.size()));
  for (size_t i = 0; i < options_.tag.size(); ++i)
    set_config<uint8_t>(kTagAt + i, static_cast<uint8_t>(options_.tag[i]));
}

void Virtio9p::config_written(uint64_t, unsigned) { fill_config(); }

void Virtio9p::device_reset() {
  const int fd = open_folder(options_.path);
  server_ = fd < 0 ? nullptr : std::make_unique<NinePServer>(fd, options_.read_only);
}

void Virtio9p::process(unsigned n) {
  for_each_chain(n, [&](const Chain& chain) {
    // An answer that says "error" has 11 bytes.
    if (chain.readable_size < 7 || chain.readable_size > NinePServer::kMaxMessage ||
        chain.writable_size < 11 || !server_) {
      fail(server_ ? "a 9P message has no room for its header or its answer" : "the shared folder is gone");
      return true;
    }
    std::vector<uint8_t> message(chain.readable_size);
    chain.read(0, message.data(), message.size());
    const std::vector<uint8_t> answer = server_->answer(message, chain.writable_size);
    complete(n, chain, static_cast<uint32_t>(chain.write(0, answer.data(), answer.size())));
    return true;
  });
}

}  // namespace lyrebird::devices
