// SPDX-License-Identifier: Apache-2.0
#include "tools/machine/attach.h"

#include <fmt/format.h>

#include <map>

#include "base/log.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/gpu.h"
#include "devices/virtio/input.h"
#include "devices/virtio/net.h"
#include "devices/virtio/nine_p.h"
#include "devices/virtio/pci.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/vsock.h"
#include "net/vsock_host.h"
#include "tools/machine/disks.h"
#include "tools/machine/keys.h"
#include "tools/machine/networks.h"
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
    {"virtio-vsock-pci", "AF_VSOCK to programs of the host: guest-cid=N,path=SOCKET (net/vsock_host.h)"},
    {"virtio-keyboard-pci", "a keyboard: what the monitor's sendkey types"},
    {"virtio-mouse-pci", "a mouse"},
    {"virtio-tablet-pci", "a pointer that knows where it is"},
    {"virtio-gpu-pci",
     "a screen: xres=1280,yres=800,max_outputs=1,edid=on; the monitor's screendump shows it"},
    {"virtio-blk-device", "these in a virtio-mmio slot"},
    {"virtio-net-device", ""},
    {"virtio-rng-device", ""},
    {"virtio-serial-device", ""},
    {"virtio-balloon-device", ""},
    {"virtio-9p-device", ""},
    {"virtio-vsock-device", ""},
    {"virtio-keyboard-device", ""},
    {"virtio-mouse-device", ""},
    {"virtio-tablet-device", ""},
    {"virtio-gpu-device", ""},
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
  AttachedDevices(const MachineSettings& settings, AttachTo to)
      : settings_(settings),
        to_(std::move(to)),
        disks_(to_.loop, settings.snapshot),
        networks_(to_.loop, to_.character_device) {}
  ~AttachedDevices() override;
  Result<void> attach();

  std::vector<std::string> describe_disks() const override { return disks_.describe(); }
  Result<void> send_keys(std::string_view keys) override;
  std::vector<ui::Screen*> screens() override { return screens_; }
  std::vector<std::string> describe_networks() const override { return networks_.describe(); }

 private:
  struct Console {
    devices::VirtioOptions options;
    std::vector<devices::VirtioConsolePort> ports;
    bool on_pci = false;
    unsigned slot = 0;
  };

  Result<void> add_drive(const std::string& text);
  Result<void> add_nic(const std::string& text);
  Result<void> add_default_nic();
  Result<void> add_device(const std::string& text);
  Result<void> add_disk(PropertyReader& p);
  Result<void> add_folder(const std::string& text);
  Result<void> add_folder_and_device(const std::string& text);
  Result<void> add_shared(PropertyReader& p);
  Result<void> add_vsock(PropertyReader& p);
  Result<void> add_input(const std::string& base, PropertyReader& p);
  Result<void> add_screen(PropertyReader& p);
  Result<void> add_card(PropertyReader& p);
  Result<void> add_card(devices::VirtioNetOptions options, const std::string& network);
  Result<void> add_port(PropertyReader& p, bool console);
  Result<void> finish_console();
  void read_virtio(PropertyReader& p, devices::VirtioOptions& options);
  net::Mac next_mac() {
    net::Mac mac = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
    mac[5] = static_cast<uint8_t>(mac[5] + cards_++);
    return mac;
  }
  Result<void> keep(std::unique_ptr<devices::VirtioDevice> device);

  const MachineSettings& settings_;
  const AttachTo to_;
  Disks disks_;
  Networks networks_;
  struct Folder {
    std::string path;
    bool read_only = false;
  };
  std::map<std::string, Folder> folders_;
  devices::VirtioInput* keyboard_ = nullptr;
  std::vector<ui::Screen*> screens_;
  std::vector<std::unique_ptr<devices::VirtioDevice>> devices_;
  std::unique_ptr<Console> console_;  // whose ports are still being named
  std::vector<std::unique_ptr<devices::VirtioPci>> functions_;
  bool on_pci_ = false;  // the device that is being made
  unsigned slot_ = 0;    // 0: any
  unsigned cards_ = 0;
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
  if (auto ok = each(settings_.block_devices, [&](auto& text) { return disks_.add_block_device(text); }); !ok)
    return ok;
  if (auto ok = each(settings_.netdevs, [&](auto& text) { return networks_.add(text); }); !ok) return ok;
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

Result<void> AttachedDevices::add_drive(const std::string& text) {
  const auto id = disks_.add_drive(text);
  if (!id) return id.error();
  if (!*id) return {};
  auto disk = disks_.take(**id);
  if (!disk) return disk.error();
  on_pci_ = to_.pci != nullptr;
  slot_ = 0;
  return keep(std::make_unique<devices::VirtioBlk>(devices::VirtioBlkOptions{.virtio = {.id = **id}}, **disk,
                                                   to_.memory, to_.loop));
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
  auto disk = disks_.take(drive);
  if (!disk) return disk.error();
  if (options.virtio.id.empty()) options.virtio.id = drive;
  return keep(std::make_unique<devices::VirtioBlk>(options, **disk, to_.memory, to_.loop));
}

// --- networks ---

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
  if (auto ok = networks_.open(id, type, p); !ok) {
    return ok.error().message.starts_with("-nic") ? ok : Error{"-nic " + ok.error().message};
  }
  return add_card(options, id);
}

/// As with the peer: nobody said anything about networks, so there is one.
Result<void> AttachedDevices::add_default_nic() {
  if (auto ok = networks_.open_default("nic0"); !ok) {
    log_always(fmt::format("warning: no network: {} (-nic none says that there is to be none)\n",
                           ok.error().message));
    return {};
  }
  on_pci_ = to_.pci != nullptr;
  slot_ = 0;
  return add_card({.virtio = {.id = "nic0"}, .mac = next_mac()}, "nic0");
}

Result<void> AttachedDevices::add_card(devices::VirtioNetOptions options, const std::string& network) {
  auto backend = networks_.take(network);
  if (!backend) return backend.error();
  return keep(std::make_unique<devices::VirtioNet>(options, **backend, to_.memory, to_.loop));
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

// --- folders, keys, screens ---

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

Result<void> AttachedDevices::add_vsock(PropertyReader& p) {
  using devices::VirtioVsock;
  devices::VirtioOptions options;
  uint64_t cid = 0;
  std::string path;
  read_virtio(p, options);
  p.number("guest-cid", VirtioVsock::kFirstCid, VirtioVsock::kLastCid, cid);
  p.text("path", path);
  if (cid == 0) p.fail(Error{"wants guest-cid=N"});
  if (path.empty()) p.fail(Error{"wants path=SOCKET"});
  if (auto ok = p.finish(); !ok) return ok;
  auto host = net::open_vsock_host(path, to_.loop);
  if (!host) return host.error();
  return keep(std::make_unique<VirtioVsock>(options, cid, std::move(*host), to_.memory, to_.loop));
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

Result<void> AttachedDevices::add_screen(PropertyReader& p) {
  constexpr uint32_t kMostPixels = 4095;  // of a side, what an EDID can say
  devices::VirtioGpuOptions options;
  read_virtio(p, options.virtio);
  p.number("xres", 1, kMostPixels, options.width);
  p.number("yres", 1, kMostPixels, options.height);
  p.number("max_outputs", 1, devices::VirtioGpu::kMaxOutputs, options.outputs);
  p.flag("edid", options.edid);
  if (auto ok = p.finish(); !ok) return ok;
  if (options.virtio.id.empty()) options.virtio.id = fmt::format("gpu{}", screens_.size());
  auto device = std::make_unique<devices::VirtioGpu>(options, to_.memory, to_.loop);
  const std::vector<ui::Screen*> screens = device->screens();
  auto ok = keep(std::move(device));
  if (ok) screens_.insert(screens_.end(), screens.begin(), screens.end());
  return ok;
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
  if (base == "virtio-vsock") return at(add_vsock(p));
  if (base == "virtio-keyboard" || base == "virtio-mouse" || base == "virtio-tablet")
    return at(add_input(base, p));
  if (base.ends_with("-vsock"))
    return Error{
        fmt::format("-device {}: the host kernel's sockets are not supported; -device virtio-vsock-pci has "
                    "Unix sockets",
                    type)};
  if (base == "virtio-gpu") return at(add_screen(p));
  if (base.starts_with("virtio-gpu") || base == "virtio-vga" || base == "ramfb")
    return Error{fmt::format("-device {}: is not supported yet; virtio-gpu-pci is a screen", type)};
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
