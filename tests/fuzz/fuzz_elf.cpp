// SPDX-License-Identifier: Apache-2.0
// Any bytes as a program file: refused with a text, or its segments can be mapped: in the file,
// ascending, apart, inside the address space.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "user/elf/elf_file.h"

namespace {

using namespace lyrebird::user;

class Bytes final : public ElfSource {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  uint64_t size() const override { return size_; }
  bool read(uint64_t offset, void* to, uint64_t size) const override {
    if (offset > size_ || size > size_ - offset) return false;
    if (size) std::memcpy(to, data_ + offset, size);
    return true;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes source(data, size);
  (void)elf_machine(source);
  const auto file = parse_elf(source);
  if (!file) {
    require(!file.error().message.empty());
    return 0;
  }
  require(!file->segments.empty() && file->low < file->high && file->low % 4096 == 0 &&
          file->high % 4096 == 0);
  uint64_t at = 0;
  for (const Segment& segment : file->segments) {
    require(segment.address >= at);
    require(segment.file_size <= segment.memory_size);
    require(segment.offset <= size && segment.file_size <= size - segment.offset);
    at = segment.address + segment.memory_size;
    require(at >= segment.address && at <= uint64_t{1} << 48);
    require(segment.address >= file->low && at <= file->high);
  }
  require(file->interpreter.size() < 4096 && file->interpreter.find('\0') == std::string::npos);
  return 0;
}
