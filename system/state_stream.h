// SPDX-License-Identifier: Apache-2.0
/// The state of everything as one self-describing stream: snapshots, migration and switching
/// accelerators are the same code.
///
///     stream  = "LYREBIRD" u32(format version) section*
///     section = u8('S') name u32(version) u64(bytes of the fields) field*
///     field   = u8('F') name u64(bytes) bytes
///     name    = u8(length) characters
///
/// All numbers are little-endian. Sections nest: a section inside of one is a field of kind 'S'.
/// Fields are read in the order written; a reader may skip those it does not know (skip_unknown), and takes
/// integers of any width up to 8 that fit. Readers trust nothing: every length is checked, errors stick,
/// reads after an error give 0, and the message names section and field.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace lyrebird::system {

class StateWriter {
 public:
  StateWriter();

  void begin(std::string_view section, uint32_t version);
  void end();

  /// Integers, bool and enums.
  template <typename T>
    requires(std::is_integral_v<T> || std::is_enum_v<T>)
  void field(std::string_view name, T value) {
    integer(name, static_cast<uint64_t>(value), sizeof(T));
  }
  void bytes(std::string_view name, std::span<const uint8_t> data);
  void text(std::string_view name, std::string_view data);
  /// An array of a plain type, as its bytes.
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  void array(std::string_view name, std::span<const T> data) {
    bytes(name, {reinterpret_cast<const uint8_t*>(data.data()), data.size_bytes()});
  }

  /// The stream so far; all sections must be ended.
  const std::vector<uint8_t>& data() const { return data_; }

 private:
  void integer(std::string_view name, uint64_t value, unsigned size);
  void put(uint64_t value, unsigned size);
  void put_name(std::string_view name);

  std::vector<uint8_t> data_;
  std::vector<size_t> open_;  ///< where the lengths of open sections are
};

class StateReader {
 public:
  /// `data` outlives it.
  explicit StateReader(std::span<const uint8_t> data);

  /// Enters the next section, which must have this name and a version of at most `newest`. Returns the
  /// version, or 0 after an error.
  uint32_t begin(std::string_view section, uint32_t newest);
  /// All fields must have been read.
  void end();
  /// Name of the next section, "" if there is none here.
  std::string_view next_section() const;
  /// Steps over the next section or field, whatever it is.
  void skip();

  template <typename T>
    requires(std::is_integral_v<T> || std::is_enum_v<T>)
  void field(std::string_view name, T& value) {
    value = static_cast<T>(integer(name, sizeof(T), std::is_signed_v<T>));
  }
  /// As many bytes as there are, at most `limit`.
  std::vector<uint8_t> bytes(std::string_view name, size_t limit);
  std::string text(std::string_view name, size_t limit);
  /// Exactly data.size() elements.
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  void array(std::string_view name, std::span<T> data) {
    exact(name, {reinterpret_cast<uint8_t*>(data.data()), data.size_bytes()});
  }

  /// A device found that a value makes no sense.
  void fail(std::string message);
  bool ok() const { return status_.ok(); }
  Result<void> status() const { return status_; }

 private:
  uint64_t integer(std::string_view name, unsigned size, bool is_signed);
  void exact(std::string_view name, std::span<uint8_t> to);
  std::span<const uint8_t> find_field(std::string_view name);
  bool take(uint64_t& value, unsigned size);
  bool take_name(std::string_view& name);
  std::string where() const;

  std::span<const uint8_t> data_;
  size_t at_ = 0;
  std::vector<size_t> ends_;
  std::vector<std::string> names_;
  Result<void> status_;
};

}  // namespace lyrebird::system
