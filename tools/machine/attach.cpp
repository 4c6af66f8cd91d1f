// SPDX-License-Identifier: Apache-2.0
#include "tools/machine/attach.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "block/file_node.h"
#include "block/overlay_node.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/input.h"
#include "devices/virtio/net.h"
#include "devices/virtio/nine_p.h"
#include "devices/virtio/pci.h"
#include "devices/virtio/rng.h"
#include "net/packet_fd.h"
#include "net/stream.h"
#include "net/user.h"
#include "tools/machine/keys.h"
#include "tools/machine/property_reader.h"

namespace lyrebird::tools {

namespace {

struct DeviceType {
  std::string_view name, help;
};
constexpr DeviceType kDeviceTypes[] = {
    {"virtio-blk-pci", "a disk: drive=ID"},
    {"virtio-net-pci", "a network card: netdev=ID"},
    {"virtio-rng-pci", "random numbers of the host"},
    {"virtio-serial-pci", "a bus for virtconsole and virtserialport"},
    {"virtio-balloon-pci", "lets the guest give memory back: free-page-reporting=on,deflate-on-oom=on"},
    {"virtio-9p-pci", "a folder of the host: fsdev=ID or path=FOLDER,readonly=off; mount_tag=TAG"},
    {"virtio-keyboard-pci", "a keyboard: what the monitor's sendkey types"},
    {"virtio-mouse-pci", "a mouse"},
    {"virtio-tablet-pci", "a pointer that knows where it is"},
    {"virtio-blk-device", "these in a virtio-mmio slot"},
    {"virtio-net-device", ""},
    {"virtio-rng-device", ""},
    {"virtio-serial-device", ""},
    {"virtio-balloon-device", ""},
    {"virtio-9p-device", ""},
    {"virtio-keyboard-device", ""},
    {"virtio-mouse-device", ""},
    {"virtio-tablet-device", ""},
    {"virtconsole", "a console (hvc0) on the virtio-serial device before it: chardev=ID"},
    {"virtserialport", "a port on the virtio-serial device before it: chardev=ID,name=NAME"},
};

std::vector<std::string_view> device_names() {
  std::vector<std::string_view> names;
  for (const DeviceType& type : kDeviceTypes) names.push_back(type.name);
  return names;
}

Result<net::Mac> parse_mac(const std::string& text) {
  net::Mac mac;
  unsigned v[6];
  int length = 0;
  if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
                  &length) != 6 ||
      static_cast<size_t>(length) != text.size()) {
    return Error{fmt::format("mac={}: must look like 52:54:00:12:34:56", text)};
  }
  for (size_t i = 0; i < 6; ++i) mac[i] = static_cast<uint8_t>(v[i]);
  if (mac[0] & 1) return Error{fmt::format("mac={}: is a group's address, not a card's", text)};
  return mac;
}

class AttachedDevices final : public Attached {
 public:
  AttachedDevices(const MachineSettings& settings, AttachTo to) : settings_(settings), to_(std::move(to)) {}
  ~AttachedDevices() override;
  Result<void> attach();

  std::vector<std::string> describe_disks() const override {
    std::vector<std::string> lines;
    for (const auto& [id, disk] : disks_) lines.push_back(fmt::format("{}: {}", id, disk.node->describe()));
    return lines;
  }
  Result<void> send_keys(std::string_view keys) override;
  std::vector<std::string> describe_networks() const override {
    std::vector<std::string> lines;
    for (const auto& [id, network] : networks_)
      lines.push_back(fmt::format("{}: {}", id, network.backend->describe()));
    return lines;
  }

 private:
  struct Disk {
    std::shared_ptr<block::Node> node;
    bool used = false;
  };
  struct Network {
    std::unique_ptr<net::Backend> backend;
    bool used = false;
  };
  struct Console {
    devices::VirtioOptions options;
    std::vector<devices::VirtioConsolePort> ports;
    bool on_pci = false;
    unsigned slot = 0;
  };

  Result<void> add_drive(const std::string& text);
  Result<void> add_block_device(const std::string& text);
  Result<void> add_block_device(PropertyReader& p);
  /// `snapshot`: what is written is lost at the end.
  Result<void> open(const std::string& id, block::FileOptions options, bool probe, bool snapshot);
  Result<void> add_netdev(const std::string& text);
  Result<void> open_network(const std::string& id, const std::string& type, PropertyReader& p);
  Result<void> open_user(const std::string& id, PropertyReader& p);
  Result<void> add_nic(const std::string& text);
  Result<void> add_default_nic();
  Result<void> add_device(const std::string& text);
  Result<void> add_disk(PropertyReader& p);
  Result<void> add_folder(const std::string& text);
  Result<void> add_folder_and_device(const std::string& text);
  Result<void> add_shared(PropertyReader& p);
  Result<void> add_input(const std::string& base, PropertyReader& p);
  Result<void> add_card(PropertyReader& p);
  Result<void> add_card(devices::VirtioNetOptions options, const std::string& network);
  Result<void> add_port(PropertyReader& p, bool console);
  Result<void> finish_console();
  Result<Disk*> free_disk(const std::string& id);
  void read_virtio(PropertyReader& p, devices::VirtioOptions& options);
  net::Mac next_mac() {
    net::Mac mac = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
    mac[5] = static_cast<uint8_t>(mac[5] + cards_++);
    return mac;
  }
  Result<void> keep(std::unique_ptr<devices::VirtioDevice> device);

  const MachineSettings& settings_;
  const AttachTo to_;
  std::map<std::string, Disk> disks_;
  std::map<std::string, Network> networks_;
  struct Folder {
    std::string path;
    bool read_only = false;
  };
  std::map<std::string, Folder> folders_;
  devices::VirtioInput* keyboard_ = nullptr;
  std::vector<std::unique_ptr<devices::VirtioDevice>> devices_;
  std::unique_ptr<Console> console_;  // whose ports are still being named
  std::vector<std::unique_ptr<devices::VirtioPci>> functions_;
  bool on_pci_ = false;  // the device that is being made
  unsigned slot_ = 0;    // 0: any
  unsigned cards_ = 0, unnamed_ = 0;
};

Result<void> AttachedDevices::keep(std::unique_ptr<devices::VirtioDevice> device) {
  devices_.push_back(std::move(device));
  if (!on_pci_) return to_.plug(*devices_.back());
  functions_.push_back(std::make_unique<devices::VirtioPci>(*devices_.back()));
  auto slot = to_.pci->plug(*functions_.back(), slot_);
  if (slot) return {};
  functions_.pop_back();
  return slot.error();
}

AttachedDevices::~AttachedDevices() {
  for (const auto& function : functions_) to_.pci->unplug(*function);
  functions_.clear();
  while (!devices_.empty()) devices_.pop_back();
}

Result<void> AttachedDevices::attach() {
  const auto each = [](const std::vector<std::string>& list, auto&& add) -> Result<void> {
    for (const std::string& text : list) {
      if (auto ok = add(text); !ok) return ok;
    }
    return {};
  };
  if (auto ok = each(settings_.block_devices, [&](auto& text) { return add_block_device(text); }); !ok)
    return ok;
  if (auto ok = each(settings_.netdevs, [&](auto& text) { return add_netdev(text); }); !ok) return ok;
  if (auto ok = each(settings_.drives, [&](auto& text) { return add_drive(text); }); !ok) return ok;
  if (auto ok = each(settings_.nics, [&](auto& text) { return add_nic(text); }); !ok) return ok;
  if (auto ok = each(settings_.folders, [&](auto& text) { return add_folder(text); }); !ok) return ok;
  if (auto ok = each(settings_.shared_folders, [&](auto& text) { return add_folder_and_device(text); }); !ok)
    return ok;
  if (auto ok = each(settings_.devices, [&](auto& text) { return add_device(text); }); !ok) return ok;
  if (auto ok = finish_console(); !ok) return ok;
  if (settings_.nics.empty() && settings_.netdevs.empty()) return add_default_nic();
  return {};
}

// --- disks ---

Result<void> AttachedDevices::open(const std::string& id, block::FileOptions options, bool probe,
                                   bool snapshot) {
  // A disk that is never written needs none.
  snapshot = (snapshot || settings_.snapshot) && !options.read_only;
  if (snapshot) options.read_only = true;
  if (disks_.contains(id)) return Error{fmt::format("{}: two disks have this id", id)};
  auto node = block::open_file(options, to_.loop);
  if (!node) return node.error();
  if (probe) {
    std::array<uint8_t, 512> start = {};
    const int fd = ::open(options.path.c_str(), O_RDONLY | O_CLOEXEC);
    (void)!::read(fd, start.data(), start.size());
    ::close(fd);
    if (const auto format = block::probe_format(start); !format.empty()) {
      return Error{
          fmt::format("{}: is a {} image, which is not supported yet; convert it to raw "
                      "(or say format=raw if it only looks like one)",
                      options.path, format)};
    }
  }
  if (snapshot) {
    node = block::open_overlay(std::move(node.value()), to_.loop);
    if (!node) return node.error();
  }
  disks_[id] = {std::move(node.value())};
  return {};
}

void read_file_options(PropertyReader& p, block::FileOptions& options) {
  if (const auto aio = p.text("aio")) {
    if (auto kind = block::parse_aio(*aio)) {
      options.aio = *kind;
    } else {
      p.fail(kind.error());
    }
  }
  if (const auto discard = p.text("discard")) {
    options.discard = *discard == "unmap" || *discard == "on";
    if (!options.discard && *discard != "ignore" && *discard != "off") {
      p.fail(Error{fmt::format("discard={}: is unmap or ignore", *discard)});
    }
  }
  if (const auto locking = p.text("locking")) {
    if (*locking == "auto") {
      options.locking = block::LockMode::Auto;
    } else if (auto on = parse_switch("locking", *locking)) {
      options.locking = *on ? block::LockMode::On : block::LockMode::Off;
    } else {
      p.fail(Error{fmt::format("locking={}: is on, off or auto", *locking)});
    }
  }
  p.only("detect-zeroes", "off");
}

Result<void> AttachedDevices::add_drive(const std::string& text) {
  PropertyReader p("-drive " + text, parse_properties(text, "file"));
  block::FileOptions options;
  std::string id = fmt::format("drive{}", unnamed_++), interface = "virtio", format, media = "disk";
  p.text("file", options.path);
  p.text("id", id);
  p.text("if", interface);
  p.text("format", format);
  p.text("media", media);
  p.flag("readonly", options.read_only);
  p.flag("read-only", options.read_only);
  if (media == "cdrom") options.read_only = true;
  if (const auto cache = p.text("cache")) {
    if (auto mode = block::parse_cache_mode(*cache)) {
      options.cache = *mode;
    } else {
      p.fail(mode.error());
    }
  }
  read_file_options(p, options);
  bool snapshot = false;
  p.flag("snapshot", snapshot);
  p.only("copy-on-read", "off");
  p.only("werror", "report");
  p.only("rerror", "report");
  p.text("index");  // they are attached in the order given
  if (auto ok = p.finish(); !ok) return ok;
  if (options.path.empty()) return Error{fmt::format("-drive {}: wants file=FILE", text)};
  if (!format.empty() && format != "raw") {
    return Error{fmt::format("-drive {}: format={}: only raw is supported yet", text, format)};
  }
  if (interface != "virtio" && interface != "none") {
    return Error{
        fmt::format("-drive {}: if={}: virt has no such disks; there are virtio and none", text, interface)};
  }
  if (auto ok = open(id, options, format.empty(), snapshot); !ok)
    return Error{fmt::format("-drive {}", ok.error().message)};
  if (interface == "none") return {};
  disks_[id].used = true;
  on_pci_ = to_.pci != nullptr;
  slot_ = 0;
  return keep(std::make_unique<devices::VirtioBlk>(devices::VirtioBlkOptions{.virtio = {.id = id}},
                                                   *disks_[id].node, to_.memory, to_.loop));
}

/// {"driver": "raw", "file": {"driver": "file", ...}} as driver=raw,file.driver=file,...
void flatten(const nlohmann::json& object, const std::string& prefix, std::vector<Property>& to) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_object()) {
      flatten(value, prefix + name + ".", to);
    } else if (value.is_boolean()) {
      to.push_back({prefix + name, value.get<bool>() ? "on" : "off"});
    } else {
      to.push_back({prefix + name, value.is_string() ? value.get<std::string>() : value.dump()});
    }
  }
}

Result<void> AttachedDevices::add_block_device(const std::string& text) {
  std::vector<Property> properties;
  if (text.starts_with("{")) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object()) return Error{fmt::format("-blockdev {}: is not valid JSON", text)};
    flatten(json, "", properties);
  } else {
    properties = parse_properties(text, "driver");
  }
  PropertyReader p("-blockdev " + text, std::move(properties));
  return add_block_device(p);
}

Result<void> AttachedDevices::add_block_device(PropertyReader& p) {
  std::string driver, name, file_node;
  p.text("driver", driver);
  p.text("node-name", name);
  if (name.empty()) p.fail(Error{"wants node-name=NAME"});
  const bool is_file = driver == "file" || driver == "host_device";
  if (!is_file && driver != "raw") {
    p.fail(Error{fmt::format("driver={}: no such driver yet; there are raw, file, host_device", driver)});
  }
  if (driver == "raw") {
    p.text("file", file_node);
    if (!file_node.empty()) {
      bool read_only = false;
      p.flag("read-only", read_only);
      if (auto ok = p.finish(); !ok) return ok;
      const auto found = disks_.find(file_node);
      if (found == disks_.end()) return Error{fmt::format("-blockdev: file={}: no such node", file_node)};
      if (read_only && !found->second.node->info().read_only) {
        return Error{fmt::format("-blockdev: {}: give read-only=on to the node {} as well", name, file_node)};
      }
      if (disks_.contains(name)) return Error{fmt::format("{}: two disks have this id", name)};
      disks_[name] = {found->second.node};
      found->second.used = true;
      return {};
    }
  }
  block::FileOptions options;
  const std::string prefix = is_file ? "" : "file.";
  std::string file_driver = "file";
  std::array<std::string, 6> names = {"driver",  "filename",     "aio",
                                      "locking", "cache.direct", "cache.no-flush"};
  for (std::string& each : names) each = prefix + each;
  if (!is_file) p.text(names[0], file_driver);
  p.text(names[1], options.path);
  bool direct = false, no_flush = false;
  for (const std::string_view at : {std::string_view("cache.direct"), std::string_view(names[4])})
    p.flag(at, direct);
  for (const std::string_view at : {std::string_view("cache.no-flush"), std::string_view(names[5])})
    p.flag(at, no_flush);
  options.cache = no_flush ? block::CacheMode::Unsafe
                  : direct ? block::CacheMode::None
                           : block::CacheMode::Writeback;
  if (direct && no_flush) p.fail(Error{"cache.direct=on,cache.no-flush=on: only one of them"});
  p.flag("read-only", options.read_only);
  if (!is_file) {
    if (const auto aio = p.text(names[2])) {
      if (auto kind = block::parse_aio(*aio)) options.aio = *kind;
    }
  }
  read_file_options(p, options);
  if (auto ok = p.finish(); !ok) return ok;
  if (options.path.empty()) return Error{fmt::format("-blockdev: {}: wants {}=FILE", name, names[1])};
  if (auto ok = open(name, options, false, false); !ok)
    return Error{fmt::format("-blockdev {}", ok.error().message)};
  return {};
}

Result<AttachedDevices::Disk*> AttachedDevices::free_disk(const std::string& id) {
  const auto found = disks_.find(id);
  if (found == disks_.end()) {
    std::vector<std::string_view> names;
    for (const auto& [name, disk] : disks_) names.push_back(name);
    return Error{fmt::format("drive={}: no -drive or -blockdev has this id{}", id, did_you_mean(id, names))};
  }
  if (found->second.used) return Error{fmt::format("drive={}: is used by another device already", id)};
  found->second.used = true;
  return &found->second;
}

void AttachedDevices::read_virtio(PropertyReader& p, devices::VirtioOptions& options) {
  p.text("id", options.id);
  p.flag("packed", options.packed);
  p.flag("event_idx", options.event_index);
  p.flag("indirect_desc", options.indirect);
  p.only("disable-legacy", "on");
  p.only("disable-modern", "off");
  if (!on_pci_) return;
  p.only("bus", "pcie.0");
  p.only("romfile", "");
  if (const auto address = p.text("addr")) {
    // SLOT or SLOT.0, in hexadecimal.
    char* end = nullptr;
    slot_ = static_cast<unsigned>(std::strtoul(address->c_str(), &end, 16));
    if (slot_ == 0 || slot_ > 31 || (*end && std::string_view(end) != ".0")) {
      p.fail(Error{fmt::format("addr={}: is a slot from 1 to 1f", *address)});
    }
  }
}

Result<void> AttachedDevices::add_disk(PropertyReader& p) {
  devices::VirtioBlkOptions options;
  std::string drive;
  read_virtio(p, options.virtio);
  p.text("drive", drive);
  p.text("serial", options.serial);
  p.number("num-queues", 1, 64, options.queues);
  p.number("queue-size", 4, 1024, options.queue_size);
  p.number("logical_block_size", 512, 32768, options.logical_block_size);
  p.flag("discard", options.discard);
  p.flag("write-zeroes", options.write_zeroes);
  if ((options.queue_size & (options.queue_size - 1)) != 0)
    p.fail(Error{"queue-size: must be a power of two"});
  if ((options.logical_block_size & (options.logical_block_size - 1)) != 0) {
    p.fail(Error{"logical_block_size: must be a power of two"});
  }
  if (drive.empty()) p.fail(Error{"wants drive=ID"});
  if (auto ok = p.finish(); !ok) return ok;
  auto disk = free_disk(drive);
  if (!disk) return disk.error();
  if (options.virtio.id.empty()) options.virtio.id = drive;
  return keep(std::make_unique<devices::VirtioBlk>(options, *(*disk)->node, to_.memory, to_.loop));
}

// --- networks ---

using NetworkResult = Result<std::unique_ptr<net::Backend>>;

NetworkResult open_tap(const std::string& id, PropertyReader& p, system::EventLoop& loop) {
  net::TapOptions options;
  options.id = id;
  p.text("ifname", options.interface);
  p.number("fd", 3, 65535, options.fd);
  p.text("br", options.bridge);
  p.flag("vnet_hdr", options.vnet_header);
  p.only("script", "no");
  p.only("downscript", "no");
  p.only("vhost", "off");
  if (auto ok = p.finish(); !ok) return ok.error();
  return net::open_tap(options, loop);
}

NetworkResult open_bridge(const std::string& id, PropertyReader& p, system::EventLoop& loop) {
  net::TapOptions options;
  options.id = id;
  options.bridge = "br0";
  p.text("br", options.bridge);
  if (auto ok = p.finish(); !ok) return ok.error();
  return net::open_tap(options, loop);
}

/// "addr.type", "addr.host", "addr.port", "addr.path" with another word for addr. The names live as long as
/// `names`.
net::SocketAddress read_address(PropertyReader& p, const std::array<std::string_view, 4>& names) {
  net::SocketAddress address;
  std::string type = "inet";
  p.text(names[0], type);
  p.text(names[1], address.host);
  p.text(names[2], address.port);
  p.text(names[3], address.path);
  if (type != "inet" && type != "unix") p.fail(Error{fmt::format("{}={}: is inet or unix", names[0], type)});
  return address;
}

NetworkResult open_stream(const std::string& id, PropertyReader& p, system::EventLoop& loop) {
  net::StreamOptions options;
  options.id = id;
  options.address = read_address(p, {"addr.type", "addr.host", "addr.port", "addr.path"});
  p.flag("server", options.server);
  if (!options.address.given()) p.fail(Error{"wants addr.host=HOST,addr.port=PORT or addr.path=PATH"});
  if (auto ok = p.finish(); !ok) return ok.error();
  return net::open_stream(options, loop);
}

NetworkResult open_datagram(const std::string& id, PropertyReader& p, system::EventLoop& loop) {
  net::DatagramOptions options;
  options.id = id;
  options.local = read_address(p, {"local.type", "local.host", "local.port", "local.path"});
  options.remote = read_address(p, {"remote.type", "remote.host", "remote.port", "remote.path"});
  if (!options.remote.given()) p.fail(Error{"wants remote.host=HOST,remote.port=PORT or remote.path=PATH"});
  if (auto ok = p.finish(); !ok) return ok.error();
  return net::open_datagram(options, loop);
}

/// The older way to say stream and dgram.
NetworkResult open_socket(const std::string& id, PropertyReader& p, system::EventLoop& loop) {
  const auto listen = p.text("listen"), connect = p.text("connect"), udp = p.text("udp"),
             local = p.text("localaddr");
  if (p.text("mcast")) p.fail(Error{"mcast: is not supported yet"});
  if (listen.has_value() + connect.has_value() + udp.has_value() != 1) {
    p.fail(Error{"wants one of listen=, connect=, udp="});
  }
  if (udp && !local) p.fail(Error{"udp= wants localaddr=HOST:PORT"});
  if (auto ok = p.finish(); !ok) return ok.error();
  auto address = net::parse_host_port(listen ? *listen : connect ? *connect : *udp);
  if (!address) return address.error();
  if (!udp) return net::open_stream({.id = id, .address = *address, .server = listen.has_value()}, loop);
  auto own = net::parse_host_port(*local);
  if (!own) return own.error();
  return net::open_datagram({.id = id, .local = *own, .remote = *address}, loop);
}

Result<void> AttachedDevices::open_user(const std::string& id, PropertyReader& p) {
  net::UserOptions options;
  options.id = id;
  p.flag("restrict", options.restrict);
  p.flag("ipv4", options.ipv4);
  p.flag("ipv6", options.ipv6);
  p.text("net", options.net);
  p.text("host", options.host);
  p.text("dns", options.dns);
  p.text("dhcpstart", options.dhcp_start);
  p.text("ipv6-prefix", options.ipv6_prefix);
  p.number("ipv6-prefixlen", 0, 126, options.ipv6_prefix_length);
  p.text("ipv6-host", options.ipv6_host);
  p.text("ipv6-dns", options.ipv6_dns);
  p.text("hostname", options.hostname);
  p.text("domainname", options.domain_name);
  options.dns_search = p.all("dnssearch");
  p.text("tftp", options.tftp);
  p.text("bootfile", options.boot_file);
  p.text("tftp-server-name", options.tftp_server_name);
  for (const std::string& text : p.all("hostfwd")) {
    if (auto forward = net::parse_host_forward(text)) {
      options.host_forwards.push_back(*forward);
    } else {
      p.fail(forward.error());
    }
  }
  for (const std::string& text : p.all("guestfwd")) {
    auto forward = net::parse_guest_forward(text);
    if (!forward) {
      p.fail(forward.error());
      continue;
    }
    if (!forward->target.empty() && to_.character_device)
      forward->backend = to_.character_device(forward->target);
    options.guest_forwards.push_back(*forward);
  }
  if (auto ok = p.finish(); !ok) return ok;
  auto backend = net::open_user(options, to_.loop);
  if (!backend) return backend.error();
  networks_[id] = {std::move(backend.value())};
  return {};
}

Result<void> AttachedDevices::open_network(const std::string& id, const std::string& type,
                                           PropertyReader& p) {
  if (networks_.contains(id)) return Error{fmt::format("{}: two networks have this id", id)};
  if (type == "user") return open_user(id, p);
  Result<std::unique_ptr<net::Backend>> (*const open)(const std::string&, PropertyReader&,
                                                      system::EventLoop&) =
      type == "tap"                         ? open_tap
      : type == "bridge"                    ? open_bridge
      : type == "socket"                    ? open_socket
      : type == "stream" || type == "dgram" ? (type == "stream" ? open_stream : open_datagram)
                                            : nullptr;
  if (!open) {
    const std::vector<std::string_view> known = {"user", "tap", "bridge", "socket", "stream", "dgram"};
    return Error{fmt::format("{}: no such network{}; there are user, tap, bridge, socket, stream, dgram",
                             type, did_you_mean(type, known))};
  }
  auto backend = open(id, p, to_.loop);
  if (!backend) return backend.error();
  networks_[id] = {std::move(backend.value())};
  return {};
}

Result<void> AttachedDevices::add_netdev(const std::string& text) {
  PropertyReader p("-netdev " + text, parse_properties(text, "type"));
  std::string id, type;
  p.text("type", type);
  p.text("id", id);
  if (id.empty()) return Error{fmt::format("-netdev {}: wants id=ID", text)};
  if (auto ok = open_network(id, type, p); !ok) {
    return ok.error().message.starts_with("-netdev") ? ok : Error{"-netdev " + ok.error().message};
  }
  return {};
}

Result<void> AttachedDevices::add_nic(const std::string& text) {
  PropertyReader p("-nic " + text, parse_properties(text, "type"));
  std::string type, model = "virtio", id = fmt::format("nic{}", cards_), mac;
  p.text("type", type);
  p.text("id", id);
  p.text("model", model);
  p.text("mac", mac);
  if (type == "none") return p.finish();
  if (model != "virtio" && model != "virtio-net-device" && model != "virtio-net" &&
      model != "virtio-net-pci") {
    return Error{fmt::format("-nic {}: model={}: no such card; there is virtio-net-pci", text, model)};
  }
  on_pci_ = to_.pci && model != "virtio-net-device";
  slot_ = 0;
  devices::VirtioNetOptions options;
  options.virtio.id = id;
  options.mac = next_mac();
  if (!mac.empty()) {
    auto parsed = parse_mac(mac);
    if (!parsed) return Error{fmt::format("-nic {}", parsed.error().message)};
    options.mac = *parsed;
  }
  if (auto ok = open_network(id, type, p); !ok) {
    return ok.error().message.starts_with("-nic") ? ok : Error{"-nic " + ok.error().message};
  }
  return add_card(options, id);
}

/// As with the peer: nobody said anything about networks, so there is one.
Result<void> AttachedDevices::add_default_nic() {
  auto backend = net::open_user({.id = "nic0"}, to_.loop);
  if (!backend) {
    log_always(fmt::format("warning: no network: {} (-nic none says that there is to be none)\n",
                           backend.error().message));
    return {};
  }
  networks_["nic0"] = {std::move(backend.value())};
  on_pci_ = to_.pci != nullptr;
  slot_ = 0;
  return add_card({.virtio = {.id = "nic0"}, .mac = next_mac()}, "nic0");
}

Result<void> AttachedDevices::add_card(devices::VirtioNetOptions options, const std::string& network) {
  const auto found = networks_.find(network);
  if (found == networks_.end()) {
    std::vector<std::string_view> names;
    for (const auto& [name, each] : networks_) names.push_back(name);
    return Error{fmt::format("netdev={}: no -netdev has this id{}", network, did_you_mean(network, names))};
  }
  if (found->second.used) return Error{fmt::format("netdev={}: is used by another device already", network)};
  found->second.used = true;
  return keep(std::make_unique<devices::VirtioNet>(options, *found->second.backend, to_.memory, to_.loop));
}

Result<void> AttachedDevices::add_card(PropertyReader& p) {
  devices::VirtioNetOptions options;
  std::string network, mac;
  bool multi_queue = false;
  read_virtio(p, options.virtio);
  p.text("netdev", network);
  p.text("mac", mac);
  p.flag("mq", multi_queue);
  p.number("host_mtu", 68, 65535, options.mtu);
  p.flag("mrg_rxbuf", options.mergeable);
  p.flag("ctrl_vq", options.control);
  p.number("rx_queue_size", 16, 1024, options.queue_size);
  options.mac = next_mac();
  if (!mac.empty()) {
    if (auto parsed = parse_mac(mac)) {
      options.mac = *parsed;
    } else {
      p.fail(parsed.error());
    }
  }
  if (multi_queue) options.queue_pairs = 4;
  if ((options.queue_size & (options.queue_size - 1)) != 0)
    p.fail(Error{"rx_queue_size: must be a power of two"});
  if (network.empty()) p.fail(Error{"wants netdev=ID"});
  if (auto ok = p.finish(); !ok) return ok;
  if (options.virtio.id.empty()) options.virtio.id = network;
  return add_card(options, network);
}

// --- others ---

Result<void> AttachedDevices::finish_console() {
  if (!console_) return {};
  const auto console = std::move(console_);
  on_pci_ = console->on_pci;
  slot_ = console->slot;
  return keep(
      std::make_unique<devices::VirtioConsole>(console->options, console->ports, to_.memory, to_.loop));
}

Result<void> AttachedDevices::add_port(PropertyReader& p, bool console) {
  devices::VirtioConsolePort port;
  port.console = console;
  std::string chardev;
  p.text("id");
  p.text("bus");
  p.text("chardev", chardev);
  p.text("name", port.name);
  if (chardev.empty()) p.fail(Error{"wants chardev=ID"});
  if (!console_) p.fail(Error{"wants a -device virtio-serial-device before it"});
  if (auto ok = p.finish(); !ok) return ok;
  port.backend = to_.character_device ? to_.character_device(chardev) : nullptr;
  if (!port.backend) return Error{fmt::format("chardev={}: no -chardev has this id", chardev)};
  console_->ports.push_back(port);
  return {};
}

// --- folders, keys ---

/// What -fsdev and -virtfs say of a folder. The server does what our user may, as security_model=none has it.
void read_folder(PropertyReader& p, std::string& path, bool& read_only) {
  std::string driver = "local", model = "none";
  p.text("fsdriver", driver);
  p.text("path", path);
  p.text("security_model", model);
  p.flag("readonly", read_only);
  p.only("multidevs", "warn");
  p.only("writeout", "immediate");
  if (driver != "local") p.fail(Error{fmt::format("{}: no such file system driver; there is local", driver)});
  if (model != "none" && model != "passthrough")
    p.fail(
        Error{fmt::format("security_model={}: is not supported yet; there are none and passthrough", model)});
  if (path.empty()) p.fail(Error{"wants path=FOLDER"});
}

Result<void> AttachedDevices::add_folder(const std::string& text) {
  PropertyReader p("-fsdev " + text, parse_properties(text, "fsdriver"));
  std::string id;
  Folder folder;
  p.text("id", id);
  if (id.empty()) p.fail(Error{"wants id=ID"});
  read_folder(p, folder.path, folder.read_only);
  if (auto ok = p.finish(); !ok) return ok;
  if (!folders_.emplace(id, folder).second) return Error{fmt::format("-fsdev {}: two have this id", text)};
  return {};
}

Result<void> AttachedDevices::add_folder_and_device(const std::string& text) {
  PropertyReader p("-virtfs " + text, parse_properties(text, "fsdriver"));
  devices::Virtio9pOptions options;
  p.text("id", options.virtio.id);
  p.text("mount_tag", options.tag);
  read_folder(p, options.path, options.read_only);
  if (options.tag.empty()) p.fail(Error{"wants mount_tag=TAG"});
  if (auto ok = p.finish(); !ok) return ok;
  on_pci_ = to_.pci != nullptr;
  slot_ = 0;
  auto ok = devices::Virtio9p::check(options);
  if (ok) ok = keep(std::make_unique<devices::Virtio9p>(options, to_.memory, to_.loop));
  if (!ok) return Error{fmt::format("-virtfs {}: {}", text, ok.error().message)};
  return {};
}

Result<void> AttachedDevices::add_shared(PropertyReader& p) {
  devices::Virtio9pOptions options;
  read_virtio(p, options.virtio);
  p.text("path", options.path);
  p.text("mount_tag", options.tag);
  p.flag("readonly", options.read_only);
  if (const auto id = p.text("fsdev")) {
    const auto found = folders_.find(*id);
    if (found == folders_.end()) {
      p.fail(Error{fmt::format("fsdev={}: no -fsdev has this id", *id)});
    } else {
      options.path = found->second.path;
      options.read_only |= found->second.read_only;
    }
  }
  if (auto ok = p.finish(); !ok) return ok;
  if (auto ok = devices::Virtio9p::check(options); !ok) return ok;
  return keep(std::make_unique<devices::Virtio9p>(options, to_.memory, to_.loop));
}

Result<void> AttachedDevices::add_input(const std::string& base, PropertyReader& p) {
  using Model = devices::VirtioInputModel;
  devices::VirtioOptions options;
  read_virtio(p, options);
  if (auto ok = p.finish(); !ok) return ok;
  const Model model = base == "virtio-keyboard" ? Model::keyboard()
                      : base == "virtio-mouse"  ? Model::mouse()
                                                : Model::tablet();
  auto device = std::make_unique<devices::VirtioInput>(options, model, to_.memory, to_.loop);
  if (base == "virtio-keyboard") keyboard_ = device.get();
  return keep(std::move(device));
}

Result<void> AttachedDevices::send_keys(std::string_view keys) {
  const auto stroke = parse_keys(keys);
  if (!stroke) return stroke.error();
  if (!keyboard_) return Error{"there is no keyboard; -device virtio-keyboard-pci adds one"};
  keyboard_->send(stroke->press);
  keyboard_->send(stroke->release);
  return {};
}

Result<void> AttachedDevices::add_device(const std::string& text) {
  std::vector<Property> properties = parse_properties(text, "driver");
  std::string type = properties.empty() ? "" : properties[0].value;
  if (!properties.empty()) properties.erase(properties.begin());
  std::string base = type;
  on_pci_ = to_.pci != nullptr;
  slot_ = 0;
  for (const std::string_view suffix : {"-device", "-pci-non-transitional", "-pci"}) {
    if (!type.ends_with(suffix)) continue;
    base = type.substr(0, type.size() - suffix.size());
    on_pci_ = suffix != "-device";
    break;
  }
  if (on_pci_ && !to_.pci) {
    return Error{fmt::format("-device {}: this machine has no PCI; use {}-device", type, base)};
  }
  PropertyReader p("-device " + type, std::move(properties));
  const auto at = [&](Result<void> result) -> Result<void> {
    if (result || result.error().message.starts_with("-device")) return result;
    return Error{fmt::format("-device {}: {}", type, result.error().message)};
  };
  if (type == "virtconsole" || type == "virtserialport") return at(add_port(p, type == "virtconsole"));
  if (base == "virtio-blk") return at(add_disk(p));
  if (base == "virtio-net") return at(add_card(p));
  if (base == "virtio-rng") {
    devices::VirtioOptions options;
    read_virtio(p, options);
    if (auto ok = p.finish(); !ok) return ok;
    return at(keep(std::make_unique<devices::VirtioRng>(options, to_.memory, to_.loop)));
  }
  if (base == "virtio-9p") return at(add_shared(p));
  if (base == "virtio-keyboard" || base == "virtio-mouse" || base == "virtio-tablet")
    return at(add_input(base, p));
  if (base.ends_with("-vsock"))
    return Error{fmt::format("-device {}: sockets between guest and host are not supported yet", type)};
  if (base.starts_with("virtio-gpu") || base == "virtio-vga" || base == "ramfb")
    return Error{fmt::format("-device {}: screens are not supported yet", type)};
  if (base == "virtio-balloon") {
    devices::VirtioBalloonOptions options{.free_page_reporting = false};
    read_virtio(p, options.virtio);
    p.flag("free-page-reporting", options.free_page_reporting);
    p.flag("deflate-on-oom", options.deflate_on_oom);
    if (auto ok = p.finish(); !ok) return ok;
    return at(keep(std::make_unique<devices::VirtioBalloon>(options, to_.memory, to_.loop)));
  }
  if (base == "virtio-serial") {
    const bool pci = on_pci_;
    if (auto ok = finish_console(); !ok) return at(ok);
    console_ = std::make_unique<Console>();
    on_pci_ = console_->on_pci = pci;
    read_virtio(p, console_->options);
    console_->slot = slot_;
    p.text("max_ports");
    return p.finish();
  }
  return Error{fmt::format("-device {}: no such device{}; -device help lists them", type,
                           did_you_mean(type, device_names()))};
}

}  // namespace

std::string device_help() {
  std::string text;
  for (const DeviceType& type : kDeviceTypes) text += fmt::format("{:<22} {}\n", type.name, type.help);
  return text;
}

Result<std::unique_ptr<Attached>> attach_devices(const MachineSettings& settings, AttachTo to) {
  auto attached = std::make_unique<AttachedDevices>(settings, std::move(to));
  if (auto ok = attached->attach(); !ok) return ok.error();
  return std::unique_ptr<Attached>(std::move(attached));
}

}  // namespace lyrebird::tools
