// SPDX-License-Identifier: Apache-2.0
#include "system/state_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/bits.h"

namespace lyrebird::system {

namespace {

constexpr std::string_view kMagic = "LYREBIRD";
constexpr uint32_t kFormat = 1;
constexpr size_t kMaxDepth = 64;

}  // namespace

StateWriter::StateWriter() {
  data_.insert(data_.end(), kMagic.begin(), kMagic.end());
  put(kFormat, 4);
}

void StateWriter::put(uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) data_.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

void StateWriter::put_name(std::string_view name) {
  assert(!name.empty() && name.size() <= 255);
  data_.push_back(static_cast<uint8_t>(name.size()));
  data_.insert(data_.end(), name.begin(), name.end());
}

void StateWriter::begin(std::string_view section, uint32_t version) {
  assert(version > 0);
  data_.push_back('S');
  put_name(section);
  put(version, 4);
  open_.push_back(data_.size());
  put(0, 8);
}

void StateWriter::end() {
  assert(!open_.empty());
  const size_t at = open_.back();
  open_.pop_back();
  const uint64_t length = data_.size() - at - 8;
  std::memcpy(data_.data() + at, &length, 8);
}

void StateWriter::bytes(std::string_view name, std::span<const uint8_t> data) {
  data_.push_back('F');
  put_name(name);
  put(data.size(), 8);
  data_.insert(data_.end(), data.begin(), data.end());
}

void StateWriter::text(std::string_view name, std::string_view data) {
  bytes(name, {reinterpret_cast<const uint8_t*>(data.data()), data.size()});
}

void StateWriter::integer(std::string_view name, uint64_t value, unsigned size) {
  uint8_t raw[8];
  std::memcpy(raw, &value, 8);
  bytes(name, {raw, size});
}

StateReader::StateReader(std::span<const uint8_t> data) : data_(data) {
  ends_.push_back(data.size());
  uint64_t format = 0;
  if (data.size() < kMagic.size() || std::memcmp(data.data(), kMagic.data(), kMagic.size()) != 0) {
    fail("this is no saved state of a machine");
    return;
  }
  at_ = kMagic.size();
  if (!take(format, 4)) return;
  if (format != kFormat) fail(fmt::format("saved state has format {}, known is {}", format, kFormat));
}

std::string StateReader::where() const {
  std::string path;
  for (const std::string& name : names_) path += (path.empty() ? "" : "/") + name;
  return path.empty() ? "saved state" : "saved state of " + path;
}

void StateReader::fail(std::string message) {
  if (status_.ok())
    status_ = Error{names_.empty() ? std::move(message) : fmt::format("{}: {}", where(), message)};
}

bool StateReader::take(uint64_t& value, unsigned size) {
  value = 0;
  if (!ok()) return false;
  if (ends_.back() - at_ < size) {
    fail("is cut short");
    return false;
  }
  std::memcpy(&value, data_.data() + at_, size);
  at_ += size;
  return true;
}

bool StateReader::take_name(std::string_view& name) {
  uint64_t length;
  if (!take(length, 1)) return false;
  if (ends_.back() - at_ < length) {
    fail("is cut short");
    return false;
  }
  name = {reinterpret_cast<const char*>(data_.data()) + at_, length};
  at_ += length;
  return true;
}

std::string_view StateReader::next_section() const {
  if (!ok() || ends_.back() - at_ < 2 || data_[at_] != 'S') return {};
  const size_t length = data_[at_ + 1];
  if (ends_.back() - at_ - 2 < length) return {};
  return {reinterpret_cast<const char*>(data_.data()) + at_ + 2, length};
}

uint32_t StateReader::begin(std::string_view section, uint32_t newest) {
  uint64_t kind, version, length;
  std::string_view name;
  const size_t start = at_;
  if (!take(kind, 1) || !take_name(name)) return 0;
  if (kind != 'S' || name != section) {
    at_ = start;
    fail(fmt::format("section {} expected, but here is {}", section, name));
    return 0;
  }
  if (!take(version, 4) || !take(length, 8)) return 0;
  if (length > ends_.back() - at_ || names_.size() >= kMaxDepth) {
    fail(fmt::format("section {} is longer than what holds it", section));
    return 0;
  }
  names_.emplace_back(section);
  ends_.push_back(at_ + length);
  if (version == 0 || version > newest) {
    fail(fmt::format("has version {}, this program knows up to {}", version, newest));
    return 0;
  }
  return static_cast<uint32_t>(version);
}

void StateReader::end() {
  if (!ok()) return;
  assert(!names_.empty());
  if (at_ != ends_.back()) {
    fail(fmt::format("has {} bytes that nobody reads", ends_.back() - at_));
    return;
  }
  ends_.pop_back();
  names_.pop_back();
}

void StateReader::skip() {
  uint64_t kind, version, length;
  std::string_view name;
  if (!take(kind, 1) || !take_name(name)) return;
  if (kind == 'S' && !take(version, 4)) return;
  if (!take(length, 8)) return;
  if (length > ends_.back() - at_) {
    fail(fmt::format("{} is longer than what holds it", name));
    return;
  }
  at_ += length;
}

std::span<const uint8_t> StateReader::find_field(std::string_view name) {
  uint64_t kind, length;
  std::string_view found;
  if (!take(kind, 1) || !take_name(found)) return {};
  if (kind != 'F' || found != name) {
    fail(fmt::format("field {} expected, but here is {}", name, found));
    return {};
  }
  if (!take(length, 8)) return {};
  if (length > ends_.back() - at_) {
    fail(fmt::format("field {} is longer than its section", name));
    return {};
  }
  const auto data = data_.subspan(at_, length);
  at_ += length;
  return data;
}

uint64_t StateReader::integer(std::string_view name, unsigned size, bool is_signed) {
  const auto data = find_field(name);
  if (!ok()) return 0;
  uint64_t value = 0;
  if (data.empty() || data.size() > 8) {
    fail(fmt::format("field {} has {} bytes and should be a number", name, data.size()));
    return 0;
  }
  std::memcpy(&value, data.data(), data.size());
  if (is_signed) value = static_cast<uint64_t>(sign_extend(value, static_cast<unsigned>(8 * data.size())));
  const bool fits = is_signed ? sign_extend(value, 8 * size) == static_cast<int64_t>(value)
                              : (value & ~low_mask(8 * size)) == 0;
  if (!fits) {
    fail(fmt::format("field {} is {:#x}, which is too large", name, value));
    return 0;
  }
  return value;
}

void StateReader::exact(std::string_view name, std::span<uint8_t> to) {
  std::fill(to.begin(), to.end(), 0);
  const auto data = find_field(name);
  if (!ok()) return;
  if (data.size() != to.size()) {
    fail(fmt::format("field {} has {} bytes, not {}", name, data.size(), to.size()));
    return;
  }
  std::copy(data.begin(), data.end(), to.begin());
}

std::vector<uint8_t> StateReader::bytes(std::string_view name, size_t limit) {
  const auto data = find_field(name);
  if (!ok()) return {};
  if (data.size() > limit) {
    fail(fmt::format("field {} has {} bytes, at most {} are allowed", name, data.size(), limit));
    return {};
  }
  return {data.begin(), data.end()};
}

std::string StateReader::text(std::string_view name, size_t limit) {
  const std::vector<uint8_t> data = bytes(name, limit);
  return {data.begin(), data.end()};
}

}  // namespace lyrebird::system
