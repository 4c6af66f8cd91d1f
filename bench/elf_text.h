// SPDX-License-Identifier: Apache-2.0
/// The executable segment of a little-endian 64-bit ELF file, as guest code for benchmarks.
#pragma once

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "frontend/frontend.h"

namespace lyrebird::bench {

class ElfText final : public frontend::CodeSource {
 public:
  explicit ElfText(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    file_.assign(std::istreambuf_iterator<char>(in), {});
    const auto at = [&]<typename T>(size_t offset, T) {
      T value{};
      if (offset + sizeof value <= file_.size()) std::memcpy(&value, file_.data() + offset, sizeof value);
      return value;
    };
    const uint64_t headers = at(32, uint64_t{});
    const unsigned count = at(56, uint16_t{});
    for (unsigned i = 0; i < count; ++i) {
      const uint64_t header = headers + 56 * i;
      if (at(header, uint32_t{}) != 1 || (at(header + 4, uint32_t{}) & 1) == 0) continue;
      offset_ = at(header + 8, uint64_t{});
      start = at(header + 16, uint64_t{});
      size_ = at(header + 32, uint64_t{});
    }
    entry = at(24, uint64_t{});
    if (offset_ > file_.size() || size_ > file_.size() - offset_) size_ = 0;
  }
  bool fetch(uint64_t pc, void* to, unsigned size) override {
    if (pc < start || pc - start + size > size_) return false;
    std::memcpy(to, file_.data() + offset_ + (pc - start), size);
    return true;
  }
  bool guarded(uint64_t) const override { return false; }

  uint64_t start = 0, entry = 0;
  uint64_t end() const { return start + size_; }

 private:
  std::vector<char> file_;
  uint64_t offset_ = 0, size_ = 0;
};

}  // namespace lyrebird::bench
