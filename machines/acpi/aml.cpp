// SPDX-License-Identifier: Apache-2.0
#include "machines/acpi/aml.h"

#include <cassert>

namespace lyrebird::machines::acpi {
namespace {

void append(Bytes& to, uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) to.push_back(static_cast<uint8_t>(value >> 8 * i));
}

/// The length of what follows and of itself (20.2.4).
void append_length(Bytes& to, size_t content) {
  if (content + 1 < 0x40) {
    append(to, content + 1, 1);
    return;
  }
  unsigned more = 1;
  while (content + 1 + more >= size_t{1} << (4 + 8 * more)) ++more;
  const size_t total = content + 1 + more;
  append(to, more << 6 | (total & 15), 1);
  append(to, total >> 4, more);
}

void append_segment(Bytes& to, std::string_view segment) {
  assert(!segment.empty() && segment.size() <= 4);
  for (unsigned i = 0; i < 4; ++i) to.push_back(i < segment.size() ? static_cast<uint8_t>(segment[i]) : '_');
}

}  // namespace

Resources& Resources::port(uint16_t base, uint8_t length) {
  append(bytes_, 0x47, 1);
  append(bytes_, 1, 1);  // all 16 bits are decoded
  append(bytes_, base, 2);
  append(bytes_, base, 2);
  append(bytes_, 1, 1);
  append(bytes_, length, 1);
  return *this;
}

Resources& Resources::irq(unsigned line) {
  append(bytes_, 0x22, 1);
  append(bytes_, uint64_t{1} << line, 2);
  return *this;
}

Resources& Resources::memory32(uint32_t base, uint32_t length) {
  append(bytes_, 0x86, 1);
  append(bytes_, 9, 2);
  append(bytes_, 1, 1);  // writable
  append(bytes_, base, 4);
  append(bytes_, length, 4);
  return *this;
}

Resources& Resources::interrupt(uint32_t gsi, Trigger trigger) {
  append(bytes_, 0x89, 1);
  append(bytes_, 6, 2);
  append(bytes_, 1u | static_cast<unsigned>(trigger), 1);  // consumer, active high, exclusive
  append(bytes_, 1, 1);
  append(bytes_, gsi, 4);
  return *this;
}

Aml& Aml::byte(uint8_t value) {
  bytes_.push_back(value);
  return *this;
}

Aml& Aml::packed(std::initializer_list<uint8_t> opcode, const Body& body) {
  Aml inner;
  body(inner);
  bytes_.insert(bytes_.end(), opcode);
  append_length(bytes_, inner.bytes_.size());
  bytes_.insert(bytes_.end(), inner.bytes_.begin(), inner.bytes_.end());
  return *this;
}

Aml& Aml::path(std::string_view path) {
  if (path.starts_with('\\')) {
    byte('\\');
    path.remove_prefix(1);
  }
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    const size_t dot = path.find('.');
    segments.push_back(path.substr(0, dot));
    path = dot == path.npos ? std::string_view() : path.substr(dot + 1);
  }
  if (segments.size() == 2) {
    byte(0x2e);
  } else if (segments.size() > 2) {
    byte(0x2f).byte(static_cast<uint8_t>(segments.size()));
  }
  for (const std::string_view segment : segments) append_segment(bytes_, segment);
  return *this;
}

Aml& Aml::scope(std::string_view at, const Body& body) {
  return packed({0x10}, [&](Aml& inner) {
    inner.path(at);
    body(inner);
  });
}

Aml& Aml::device(std::string_view at, const Body& body) {
  return packed({0x5b, 0x82}, [&](Aml& inner) {
    inner.path(at);
    body(inner);
  });
}

Aml& Aml::method(std::string_view at, unsigned arguments, bool serialized, const Body& body) {
  return packed({0x14}, [&](Aml& inner) {
    inner.path(at).byte(static_cast<uint8_t>(arguments | (serialized ? 8 : 0)));
    body(inner);
  });
}

Aml& Aml::name(std::string_view at) { return byte(0x08).path(at); }

Aml& Aml::system_memory_region(std::string_view at, uint64_t address, uint64_t length) {
  return byte(0x5b).byte(0x80).path(at).byte(0).integer(address).integer(length);
}

Aml& Aml::field32(std::string_view region, std::string_view field) {
  return packed({0x5b, 0x81}, [&](Aml& inner) {
    inner.path(region).byte(0x03);  // accesses of 32 bits, no lock, the rest is preserved
    append_segment(inner.bytes_, field);
    inner.byte(32);
  });
}

Aml& Aml::integer(uint64_t value) {
  if (value <= 1) return byte(static_cast<uint8_t>(value));
  const unsigned size = value <= 0xff ? 1 : value <= 0xffff ? 2 : value <= 0xffffffff ? 4 : 8;
  byte(size == 1 ? 0x0a : size == 2 ? 0x0b : size == 4 ? 0x0c : 0x0e);
  append(bytes_, value, size);
  return *this;
}

Aml& Aml::string(std::string_view value) {
  byte(0x0d);
  bytes_.insert(bytes_.end(), value.begin(), value.end());
  return byte(0);
}

// Three letters of five bits, four digits (19.6.36), the bytes swapped.
Aml& Aml::eisa_id(std::string_view id) {
  assert(id.size() == 7);
  const auto letter = [&](unsigned i) { return static_cast<uint32_t>(id[i] - '@') & 31; };
  const auto digit = [&](unsigned i) {
    return static_cast<uint32_t>(id[i] <= '9' ? id[i] - '0' : id[i] - 'A' + 10) & 15;
  };
  const uint32_t value = letter(0) << 26 | letter(1) << 21 | letter(2) << 16 | digit(3) << 12 |
                         digit(4) << 8 | digit(5) << 4 | digit(6);
  byte(0x0c);
  append(bytes_, __builtin_bswap32(value), 4);
  return *this;
}

Aml& Aml::package(unsigned count, const Body& body) {
  return packed({0x12}, [&](Aml& inner) {
    inner.byte(static_cast<uint8_t>(count));
    body(inner);
  });
}

Aml& Aml::resources(const Resources& resources) {
  return packed({0x11}, [&](Aml& inner) {
    inner.integer(resources.bytes().size() + 2);
    inner.bytes_.insert(inner.bytes_.end(), resources.bytes().begin(), resources.bytes().end());
    inner.byte(0x79).byte(0);  // end; a checksum of 0 is always right
  });
}

Aml& Aml::local(unsigned n) { return byte(static_cast<uint8_t>(0x60 + n)); }

Aml& Aml::store(const Body& source, const Body& target) {
  byte(0x70);
  source(*this);
  target(*this);
  return *this;
}

Aml& Aml::if_bits(const Body& a, uint64_t b, const Body& body) {
  return packed({0xa0}, [&](Aml& inner) {
    inner.byte(0x7b);
    a(inner);
    inner.integer(b).byte(0);  // the result goes nowhere
    body(inner);
  });
}

Aml& Aml::notify(std::string_view object, uint8_t value) { return byte(0x86).path(object).integer(value); }

}  // namespace lyrebird::machines::acpi
