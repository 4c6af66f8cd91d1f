// SPDX-License-Identifier: Apache-2.0
#include "net/slirp_library.h"

#include <dlfcn.h>
#include <fmt/core.h>

#include <mutex>

namespace lyrebird::net {

namespace {

struct Loaded {
  SlirpLibrary library;
  std::string error;
};

Loaded load() {
  Loaded loaded;
#ifdef LYREBIRD_STATIC
  loaded.error = "user networking is not in the static program";
#else
  void* const handle = ::dlopen("libslirp.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    loaded.error =
        fmt::format("user networking needs libslirp (Debian: apt install libslirp0): {}", ::dlerror());
    return loaded;
  }
  SlirpLibrary& l = loaded.library;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)> >(::dlsym(handle, name));
    if (!function)
      loaded.error = fmt::format("libslirp.so.0 has no {}: version 4.7 or newer is needed", name);
  };
  find(l.create, "slirp_new");
  find(l.cleanup, "slirp_cleanup");
  find(l.pollfds_fill, "slirp_pollfds_fill");
  find(l.pollfds_poll, "slirp_pollfds_poll");
  find(l.input, "slirp_input");
  find(l.add_hostfwd, "slirp_add_hostfwd");
  find(l.add_exec, "slirp_add_exec");
  find(l.add_unix, "slirp_add_unix");
  find(l.add_guestfwd, "slirp_add_guestfwd");
  find(l.socket_can_recv, "slirp_socket_can_recv");
  find(l.socket_recv, "slirp_socket_recv");
  find(l.handle_timer, "slirp_handle_timer");
#endif
  return loaded;
}

}  // namespace

Result<const SlirpLibrary*> slirp_library() {
  static const Loaded loaded = load();
  if (!loaded.error.empty()) return Error{loaded.error};
  return &loaded.library;
}

}  // namespace lyrebird::net
