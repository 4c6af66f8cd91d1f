// SPDX-License-Identifier: Apache-2.0
#include "machines/fdt.h"

#include <libfdt.h>

#include <cassert>

namespace lyrebird::machines {

namespace {

constexpr size_t kSize = 1 << 20;  // what a kernel accepts at most is 2 MiB

uint32_t big_endian(uint32_t value) { return __builtin_bswap32(value); }

}  // namespace

FdtWriter::FdtWriter() : blob_(kSize) {
  check(fdt_create(blob_.data(), kSize));
  check(fdt_finish_reservemap(blob_.data()));
  check(fdt_begin_node(blob_.data(), ""));
}

/// What can go wrong is a bug here: no space, or calls in a wrong order.
void FdtWriter::check([[maybe_unused]] int error) { assert(error == 0); }

void FdtWriter::begin(std::string_view name) {
  check(fdt_begin_node(blob_.data(), std::string(name).c_str()));
}
void FdtWriter::end() { check(fdt_end_node(blob_.data())); }
void FdtWriter::flag(const char* name) { check(fdt_property(blob_.data(), name, nullptr, 0)); }

void FdtWriter::cells(const char* name, std::span<const uint32_t> values) {
  std::vector<uint32_t> raw;
  for (const uint32_t value : values) raw.push_back(big_endian(value));
  check(fdt_property(blob_.data(), name, raw.data(), static_cast<int>(4 * raw.size())));
}

void FdtWriter::cells(const char* name, std::initializer_list<uint32_t> values) {
  cells(name, std::span(values.begin(), values.size()));
}

void FdtWriter::wide(const char* name, std::initializer_list<uint64_t> values) {
  std::vector<uint32_t> halves;
  for (const uint64_t value : values) {
    halves.push_back(static_cast<uint32_t>(value >> 32));
    halves.push_back(static_cast<uint32_t>(value));
  }
  cells(name, halves);
}

void FdtWriter::text(const char* name, std::string_view value) { texts(name, {value}); }

void FdtWriter::texts(const char* name, std::initializer_list<std::string_view> values) {
  std::string all;
  for (const std::string_view value : values) all.append(value).push_back('\0');
  check(fdt_property(blob_.data(), name, all.data(), static_cast<int>(all.size())));
}

void FdtWriter::bytes(const char* name, std::span<const uint8_t> value) {
  check(fdt_property(blob_.data(), name, value.data(), static_cast<int>(value.size())));
}

std::vector<uint8_t> FdtWriter::finish(size_t extra) {
  end();
  check(fdt_finish(blob_.data()));
  const size_t used = fdt_totalsize(blob_.data());
  blob_.resize(used + extra);
  check(fdt_open_into(blob_.data(), blob_.data(), static_cast<int>(blob_.size())));
  return std::move(blob_);
}

}  // namespace lyrebird::machines
