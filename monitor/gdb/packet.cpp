// SPDX-License-Identifier: Apache-2.0
#include "monitor/gdb/packet.h"

#include <fmt/format.h>

#include <csignal>

namespace lyrebird::gdb {

namespace {

constexpr char kInterrupt = '\x03';
constexpr char kEscape = '}';
constexpr char kEscapeBit = 0x20;

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

uint8_t checksum(std::string_view data) {
  uint8_t sum = 0;
  for (const char c : data) sum = static_cast<uint8_t>(sum + static_cast<uint8_t>(c));
  return sum;
}

std::string unescape(std::string_view data) {
  std::string out;
  for (size_t i = 0; i < data.size(); i++) {
    if (data[i] == kEscape && i + 1 < data.size())
      out += static_cast<char>(data[++i] ^ kEscapeBit);
    else
      out += data[i];
  }
  return out;
}

}  // namespace

PacketReader::Event PacketReader::next(std::string& packet) {
  while (!input_.empty()) {
    const char first = input_[0];
    if (first == '$') {
      const size_t end = input_.find('#');
      if (end == input_.npos || input_.size() < end + 3) return Event::None;
      const std::string_view data = std::string_view(input_).substr(1, end - 1);
      const int high = digit(input_[end + 1]), low = digit(input_[end + 2]);
      const bool good = high >= 0 && low >= 0 && checksum(data) == (high << 4 | low);
      packet = unescape(data);
      input_.erase(0, end + 3);
      return good ? Event::Packet : Event::BadChecksum;
    }
    input_.erase(0, 1);
    if (first == kInterrupt) return Event::Interrupt;
    if (first == '+') return Event::Ack;
    if (first == '-') return Event::Nack;
  }
  return Event::None;
}

std::string frame(std::string_view data) { return fmt::format("${}#{:02x}", data, checksum(data)); }

std::string escape(std::string_view data) {
  std::string out;
  for (const char c : data) {
    if (c == kEscape || c == '$' || c == '#' || c == '*') {
      out += kEscape;
      out += static_cast<char>(c ^ kEscapeBit);
    } else {
      out += c;
    }
  }
  return out;
}

std::string to_hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    out += kDigits[static_cast<uint8_t>(c) >> 4];
    out += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return out;
}

std::string number_to_hex(uint64_t value) { return fmt::format("{:x}", value); }

std::optional<std::string> from_hex(std::string_view digits) {
  if (digits.size() % 2) return std::nullopt;
  std::string out;
  for (size_t i = 0; i < digits.size(); i += 2) {
    const int high = digit(digits[i]), low = digit(digits[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high << 4 | low);
  }
  return out;
}

bool Fields::eat(std::string_view prefix) {
  if (!rest_.starts_with(prefix)) return false;
  rest_.remove_prefix(prefix.size());
  return true;
}

std::string_view Fields::until(std::string_view stops) {
  const size_t end = std::min(rest_.find_first_of(stops), rest_.size());
  const std::string_view field = rest_.substr(0, end);
  rest_.remove_prefix(end);
  return field;
}

std::optional<uint64_t> Fields::number() {
  size_t used = 0;
  uint64_t value = 0;
  while (used < rest_.size() && digit(rest_[used]) >= 0)
    value = value << 4 | static_cast<unsigned>(digit(rest_[used++]));
  if (used == 0 || used > 16) return std::nullopt;
  rest_.remove_prefix(used);
  return value;
}

std::optional<int64_t> Fields::thread() {
  if (eat("-1")) return -1;
  const std::optional<uint64_t> id = number();
  return id ? std::optional<int64_t>(static_cast<int64_t>(*id)) : std::nullopt;
}

namespace {
struct SignalPair {
  int host, gdb;
};
constexpr SignalPair kSignals[] = {
    {SIGHUP, 1},     {SIGINT, 2},   {SIGQUIT, 3},   {SIGILL, 4},   {SIGTRAP, 5},  {SIGABRT, 6},
    {SIGFPE, 8},     {SIGKILL, 9},  {SIGBUS, 10},   {SIGSEGV, 11}, {SIGSYS, 12},  {SIGPIPE, 13},
    {SIGALRM, 14},   {SIGTERM, 15}, {SIGURG, 16},   {SIGSTOP, 17}, {SIGTSTP, 18}, {SIGCONT, 19},
    {SIGCHLD, 20},   {SIGTTIN, 21}, {SIGTTOU, 22},  {SIGIO, 23},   {SIGXCPU, 24}, {SIGXFSZ, 25},
    {SIGVTALRM, 26}, {SIGPROF, 27}, {SIGWINCH, 28}, {SIGUSR1, 30}, {SIGUSR2, 31}, {SIGPWR, 32},
    {64, 78},        {32, 77}};
constexpr int kRealTime33 = 45;  // GDB_SIGNAL_REALTIME_33 .. 63 follow each other
}  // namespace

int signal_to_gdb(int host_signal) {
  for (const SignalPair& pair : kSignals) {
    if (pair.host == host_signal) return pair.gdb;
  }
  return host_signal >= 33 && host_signal <= 63 ? kRealTime33 + host_signal - 33 : 0;
}

int signal_from_gdb(int gdb_signal) {
  for (const SignalPair& pair : kSignals) {
    if (pair.gdb == gdb_signal) return pair.host;
  }
  return gdb_signal >= kRealTime33 && gdb_signal < kRealTime33 + 31 ? gdb_signal - kRealTime33 + 33 : 0;
}

}  // namespace lyrebird::gdb
