// SPDX-License-Identifier: Apache-2.0
#include "tools/machine/disks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>

#include "block/overlay_node.h"

namespace lyrebird::tools {

namespace {

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

}  // namespace

Result<void> Disks::open(const std::string& id, block::FileOptions options, bool probe, bool snapshot) {
  // A disk that is never written needs none.
  snapshot = (snapshot || snapshot_) && !options.read_only;
  if (snapshot) options.read_only = true;
  if (disks_.contains(id)) return Error{fmt::format("{}: two disks have this id", id)};
  auto node = block::open_file(options, loop_);
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
    node = block::open_overlay(std::move(node.value()), loop_);
    if (!node) return node.error();
  }
  disks_[id] = {std::move(node.value())};
  return {};
}

Result<std::optional<std::string>> Disks::add_drive(const std::string& text) {
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
  if (auto ok = p.finish(); !ok) return ok.error();
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
  if (interface == "none") return std::optional<std::string>();
  return std::optional(id);
}

Result<void> Disks::add_block_device(const std::string& text) {
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

/// A node with another name for one that is there.
Result<void> Disks::add_raw_node(const std::string& name, const std::string& file_node, PropertyReader& p) {
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

Result<void> Disks::add_block_device(PropertyReader& p) {
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
    if (!file_node.empty()) return add_raw_node(name, file_node, p);
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

Result<block::Node*> Disks::take(const std::string& id) {
  const auto found = disks_.find(id);
  if (found == disks_.end()) {
    std::vector<std::string_view> names;
    for (const auto& [name, disk] : disks_) names.push_back(name);
    return Error{fmt::format("drive={}: no -drive or -blockdev has this id{}", id, did_you_mean(id, names))};
  }
  if (found->second.used) return Error{fmt::format("drive={}: is used by another device already", id)};
  found->second.used = true;
  return found->second.node.get();
}

std::vector<std::string> Disks::describe() const {
  std::vector<std::string> lines;
  for (const auto& [id, disk] : disks_) lines.push_back(fmt::format("{}: {}", id, disk.node->describe()));
  return lines;
}

}  // namespace lyrebird::tools
