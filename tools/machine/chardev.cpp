// SPDX-License-Identifier: Apache-2.0
#include "tools/machine/chardev.h"

#include <fmt/format.h>

#include "tools/machine/property_reader.h"

namespace lyrebird::tools {

namespace {

using system::CharOptions;
using Kind = CharOptions::Kind;

const std::vector<std::string_view> kTypes = {"null", "file", "pipe", "pty", "socket", "ringbuf"};

void read_server(PropertyReader& p, CharOptions& options) {
  p.flag("server", options.server);
  p.flag("wait", options.wait);
  bool no_wait = false;
  p.flag("nowait", no_wait);
  if (no_wait) options.wait = false;
  p.flag("nodelay", options.no_delay);
  p.only("telnet", "off");
}

}  // namespace

Result<CharOptions> parse_chardev(const std::string& text) {
  PropertyReader p("-chardev " + text, parse_properties(text, "backend"));
  CharOptions options;
  std::string type;
  p.text("backend", type);
  p.text("id", options.label);
  if (options.label.empty()) p.fail(Error{"wants id=ID"});
  if (type == "null") {
    options.kind = Kind::Null;
  } else if (type == "file") {
    options.kind = Kind::File;
    p.text("path", options.path);
    p.text("input-path", options.input_path);
    p.flag("append", options.append);
  } else if (type == "pipe") {
    options.kind = Kind::Pipe;
    p.text("path", options.path);
  } else if (type == "pty" || type == "serial") {
    options.kind = Kind::Pty;
  } else if (type == "ringbuf" || type == "memory") {
    options.kind = Kind::Ring;
    if (const auto size = p.text("size")) {
      if (auto bytes = parse_size("size", *size, 1)) options.size = *bytes;
    }
  } else if (type == "socket") {
    p.text("path", options.path);
    p.text("host", options.host);
    p.text("port", options.port);
    read_server(p, options);
    options.kind = options.path.empty() ? Kind::Tcp : Kind::Unix;
    if (options.path.empty() && options.port.empty()) p.fail(Error{"wants path=PATH or port=PORT"});
  } else {
    return Error{
        fmt::format("-chardev {}: no such back end{}; there are null, file, pipe, pty, socket, ringbuf", type,
                    did_you_mean(type, kTypes))};
  }
  if ((options.kind == Kind::File || options.kind == Kind::Pipe) && options.path.empty())
    p.fail(Error{"wants path=PATH"});
  if (auto ok = p.finish(); !ok) return ok.error();
  return options;
}

Result<CharOptions> parse_short_chardev(const std::string& text) {
  CharOptions options;
  const size_t comma = std::min(text.find(','), text.size());
  const std::string head = text.substr(0, comma);
  const auto after = [&](std::string_view prefix) { return head.substr(prefix.size()); };
  if (head == "null") return options;
  if (head == "pty") {
    options.kind = Kind::Pty;
    return options;
  }
  if (head.starts_with("file:") || head.starts_with("pipe:")) {
    options.kind = head.starts_with("file:") ? Kind::File : Kind::Pipe;
    options.path = text.substr(5);
    return options;
  }
  if (!head.starts_with("unix:") && !head.starts_with("tcp:")) {
    return Error{
        fmt::format("{}: no such place; there are stdio, null, none, file:PATH, pipe:PATH, pty, unix:PATH, "
                    "tcp:HOST:PORT and chardev:ID",
                    text)};
  }
  if (head.starts_with("unix:")) {
    options.kind = Kind::Unix;
    options.path = after("unix:");
  } else {
    options.kind = Kind::Tcp;
    const std::string where = after("tcp:");
    const size_t colon = where.rfind(':');
    if (colon == std::string::npos) return Error{fmt::format("{}: must look like tcp:[HOST]:PORT", text)};
    options.host = where.substr(0, colon);
    options.port = where.substr(colon + 1);
  }
  PropertyReader p(text, parse_properties(std::string_view(text).substr(comma), ""));
  read_server(p, options);
  if (auto ok = p.finish(); !ok) return ok.error();
  return options;
}

Result<system::CharBackend*> CharDevices::keep(const CharOptions& options) {
  if (open_.contains(options.label))
    return Error{fmt::format("{}: two character devices have this id", options.label)};
  auto backend = system::open_char_backend(options, loop_);
  if (!backend) return backend.error();
  return (open_[options.label] = std::move(backend.value())).get();
}

Result<void> CharDevices::open(const std::string& chardev) {
  auto options = parse_chardev(chardev);
  if (!options) return options.error();
  auto kept = keep(*options);
  if (!kept) return Error{fmt::format("-chardev {}", kept.error().message)};
  return {};
}

Result<system::CharBackend*> CharDevices::open_short(const std::string& text, const std::string& label) {
  if (text.starts_with("chardev:")) {
    if (system::CharBackend* const found = find(text.substr(8))) return found;
    return Error{fmt::format("{}: no -chardev has this id", text)};
  }
  auto options = parse_short_chardev(text);
  if (!options) return options.error();
  options->label = label;
  return keep(*options);
}

system::CharBackend* CharDevices::find(const std::string& id) const {
  const auto found = open_.find(id);
  return found == open_.end() ? nullptr : found->second.get();
}

}  // namespace lyrebird::tools
