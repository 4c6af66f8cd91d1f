// SPDX-License-Identifier: Apache-2.0
#include "jit/persist/build.h"

#include <elf.h>
#include <link.h>

#include <algorithm>

extern "C" const ElfW(Ehdr) __ehdr_start;  // by the linker

namespace lyrebird::jit::persist {

namespace {

struct Image {
  std::span<const uint8_t> id;
  uint64_t size = 0;
};

Image find_image() {
  Image image;
  const uint64_t base = image_base();
  const auto* const headers = reinterpret_cast<const ElfW(Phdr)*>(base + __ehdr_start.e_phoff);
  const std::span<const ElfW(Phdr)> all(headers, __ehdr_start.e_phnum);
  uint64_t low = ~uint64_t{0};
  for (const ElfW(Phdr) & header : all)
    if (header.p_type == PT_LOAD) low = std::min<uint64_t>(low, header.p_vaddr & ~uint64_t{4095});
  for (const ElfW(Phdr) & header : all) {
    if (header.p_type == PT_LOAD)
      image.size = std::max<uint64_t>(image.size, header.p_vaddr + header.p_memsz - low);
    if (header.p_type != PT_NOTE) continue;
    const uint8_t* at = reinterpret_cast<const uint8_t*>(base + header.p_vaddr - low);
    const uint8_t* const end = at + header.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      const auto& note = *reinterpret_cast<const ElfW(Nhdr)*>(at);
      const uint8_t* const value = at + sizeof note + ((note.n_namesz + 3) & ~3u);
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4) image.id = {value, note.n_descsz};
      at = value + ((note.n_descsz + 3) & ~3u);
    }
  }
  return image;
}

const Image& image() {
  static const Image found = find_image();
  return found;
}

}  // namespace

std::span<const uint8_t> build_id() { return image().id; }
uint64_t image_base() { return reinterpret_cast<uint64_t>(&__ehdr_start); }
uint64_t image_size() { return image().size; }

}  // namespace lyrebird::jit::persist
