// SPDX-License-Identifier: Apache-2.0
/// User networking: a small network of the guest's own whose gateway turns its connections into those of this
/// process (libslirp). Needs no right of the host. DHCP, DNS and TFTP are built in.
///
/// libslirp is loaded when it is first used: nothing else pays for it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/backend.h"
#include "system/char_backend.h"
#include "system/event_loop.h"

namespace lyrebird::net {

/// A port of the host that leads to one of the guest.
struct HostForward {
  bool udp = false;
  std::string host_address;  // empty: all addresses
  uint16_t host_port = 0;
  std::string guest_address;  // empty: the first that DHCP gives
  uint16_t guest_port = 0;
};
/// A port of the guest's network that leads to a program, a Unix socket or a character back end of the host.
struct GuestForward {
  std::string server_address;
  uint16_t server_port = 0;
  std::string command, unix_path;
  std::string target;  // what was written after '-', if it is neither: a character back end
  system::CharBackend* backend = nullptr;
};

struct UserOptions {
  std::string id;
  bool restrict = false;  // nothing leaves but by the forwards
  bool ipv4 = true, ipv6 = true;
  std::string net = "10.0.2.0/24", host, dns, dhcp_start;  // empty: .2, .3 and .15 of the net
  std::string ipv6_prefix = "fec0::", ipv6_host, ipv6_dns;
  unsigned ipv6_prefix_length = 64;
  std::string hostname, domain_name;
  std::vector<std::string> dns_search;
  std::string tftp, boot_file, tftp_server_name;
  std::vector<HostForward> host_forwards;
  std::vector<GuestForward> guest_forwards;
};

/// "tcp:127.0.0.1:2222-:22", as in hostfwd=.
Result<HostForward> parse_host_forward(std::string_view text);
/// "tcp:10.0.2.100:80-cmd:program args", "...-unix:path", "...-BACKEND", as in guestfwd=.
Result<GuestForward> parse_guest_forward(std::string_view text);

Result<std::unique_ptr<Backend>> open_user(const UserOptions& options, system::EventLoop& loop);

}  // namespace lyrebird::net
