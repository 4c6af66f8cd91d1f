// SPDX-License-Identifier: Apache-2.0
#include "tools/machine/networks.h"

#include <fmt/format.h>

#include <array>

#include "net/packet_fd.h"
#include "net/stream.h"
#include "net/user.h"

namespace lyrebird::tools {

namespace {

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

}  // namespace

Result<void> Networks::open_user(const std::string& id, PropertyReader& p) {
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
    if (!forward->target.empty() && character_device_) forward->backend = character_device_(forward->target);
    options.guest_forwards.push_back(*forward);
  }
  if (auto ok = p.finish(); !ok) return ok;
  auto backend = net::open_user(options, loop_);
  if (!backend) return backend.error();
  networks_[id] = {std::move(backend.value())};
  return {};
}

Result<void> Networks::open(const std::string& id, const std::string& type, PropertyReader& p) {
  if (networks_.contains(id)) return Error{fmt::format("{}: two networks have this id", id)};
  if (type == "user") return open_user(id, p);
  NetworkResult (*const open)(const std::string&, PropertyReader&, system::EventLoop&) =
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
  auto backend = open(id, p, loop_);
  if (!backend) return backend.error();
  networks_[id] = {std::move(backend.value())};
  return {};
}

Result<void> Networks::add(const std::string& text) {
  PropertyReader p("-netdev " + text, parse_properties(text, "type"));
  std::string id, type;
  p.text("type", type);
  p.text("id", id);
  if (id.empty()) return Error{fmt::format("-netdev {}: wants id=ID", text)};
  if (auto ok = open(id, type, p); !ok) {
    return ok.error().message.starts_with("-netdev") ? ok : Error{"-netdev " + ok.error().message};
  }
  return {};
}

Result<void> Networks::open_default(const std::string& id) {
  auto backend = net::open_user({.id = id}, loop_);
  if (!backend) return backend.error();
  networks_[id] = {std::move(backend.value())};
  return {};
}

Result<net::Backend*> Networks::take(const std::string& id) {
  const auto found = networks_.find(id);
  if (found == networks_.end()) {
    std::vector<std::string_view> names;
    for (const auto& [name, each] : networks_) names.push_back(name);
    return Error{fmt::format("netdev={}: no -netdev has this id{}", id, did_you_mean(id, names))};
  }
  if (found->second.used) return Error{fmt::format("netdev={}: is used by another device already", id)};
  found->second.used = true;
  return found->second.backend.get();
}

std::vector<std::string> Networks::describe() const {
  std::vector<std::string> lines;
  for (const auto& [id, network] : networks_)
    lines.push_back(fmt::format("{}: {}", id, network.backend->describe()));
  return lines;
}

}  // namespace lyrebird::tools
