// SPDX-License-Identifier: Apache-2.0
/// The framing of gdb's remote serial protocol (GDB manual, appendix E): $data#checksum, + and -,
/// the interrupt byte, escapes and hex.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lyrebird::gdb {

/// Takes bytes as they arrive and gives whole packets.
class PacketReader {
 public:
  enum class Event { None, Packet, BadChecksum, Interrupt, Ack, Nack };

  void feed(std::string_view bytes) { input_ += bytes; }
  /// The next event; for Packet the content without frame, escapes undone. None: needs more bytes.
  Event next(std::string& packet);

 private:
  std::string input_;
};

/// "$" + escaped data + "#" + checksum.
std::string frame(std::string_view data);
/// }, $, # and * as two bytes: for binary data in replies.
std::string escape(std::string_view data);

std::string to_hex(std::string_view bytes);
std::string number_to_hex(uint64_t value);
/// nullopt: an odd count or no hex digits.
std::optional<std::string> from_hex(std::string_view digits);

/// Eats fields of a packet from the left.
class Fields {
 public:
  explicit Fields(std::string_view text) : rest_(text) {}
  bool at_end() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  bool eat(std::string_view prefix);
  /// Up to the next of `stops` (which stays), or to the end.
  std::string_view until(std::string_view stops);
  /// A hex number; nullopt if there is none.
  std::optional<uint64_t> number();
  /// A thread id: hex number, or -1 for all.
  std::optional<int64_t> thread();

 private:
  std::string_view rest_;
};

/// Signals as gdb numbers them (gdb/signals.def), and back; 0 for what it has no number for.
int signal_to_gdb(int host_signal);
int signal_from_gdb(int gdb_signal);

}  // namespace lyrebird::gdb
