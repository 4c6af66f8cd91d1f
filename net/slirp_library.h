// SPDX-License-Identifier: Apache-2.0
/// The functions of libslirp, found at run time.
#pragma once

#include <slirp/libslirp.h>

#include "base/result.h"

namespace lyrebird::net {

struct SlirpLibrary {
  decltype(&::slirp_new) create = nullptr;
  decltype(&::slirp_cleanup) cleanup = nullptr;
  decltype(&::slirp_pollfds_fill) pollfds_fill = nullptr;
  decltype(&::slirp_pollfds_poll) pollfds_poll = nullptr;
  decltype(&::slirp_input) input = nullptr;
  decltype(&::slirp_add_hostfwd) add_hostfwd = nullptr;
  decltype(&::slirp_add_exec) add_exec = nullptr;
  decltype(&::slirp_add_unix) add_unix = nullptr;
  decltype(&::slirp_add_guestfwd) add_guestfwd = nullptr;
  decltype(&::slirp_socket_can_recv) socket_can_recv = nullptr;
  decltype(&::slirp_socket_recv) socket_recv = nullptr;
  decltype(&::slirp_handle_timer) handle_timer = nullptr;  // since 4.7
};

/// Loaded once, never unloaded.
Result<const SlirpLibrary*> slirp_library();

}  // namespace lyrebird::net
