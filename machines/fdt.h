// SPDX-License-Identifier: Apache-2.0
/// Writes a flattened device tree (devicetree.org specification 0.4), node by node.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lyrebird::machines {

class FdtWriter {
 public:
  FdtWriter();

  /// The root is there; nodes nest.
  void begin(std::string_view name);
  void end();

  void flag(const char* name);
  void cells(const char* name, std::initializer_list<uint32_t> values);
  void cells(const char* name, std::span<const uint32_t> values);
  /// 64-bit numbers as two cells each.
  void wide(const char* name, std::initializer_list<uint64_t> values);
  void text(const char* name, std::string_view value);
  /// A list of strings.
  void texts(const char* name, std::initializer_list<std::string_view> values);
  void bytes(const char* name, std::span<const uint8_t> value);

  /// The blob; nothing may be added after it. `extra`: free bytes at its end, for firmware that edits it.
  std::vector<uint8_t> finish(size_t extra = 0);

 private:
  void check(int error);
  std::vector<uint8_t> blob_;
};

}  // namespace lyrebird::machines
