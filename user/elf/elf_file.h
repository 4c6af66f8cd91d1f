// SPDX-License-Identifier: Apache-2.0
/// An ELF program's headers (System V ABI, chapter 4 and 5), checked: what comes out of parse_elf
/// can be mapped without further thought about sizes and overflows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace lyrebird::user {

/// The bytes of a file.
class ElfSource {
 public:
  virtual ~ElfSource() = default;
  virtual uint64_t size() const = 0;
  /// False: not all of the bytes are there.
  virtual bool read(uint64_t offset, void* to, uint64_t size) const = 0;
};

struct Segment {
  uint64_t offset = 0, file_size = 0;
  uint64_t address = 0, memory_size = 0;
  bool readable = false, writable = false, executable = false;
};

struct ElfFile {
  uint8_t word = 8;  ///< 4: ELFCLASS32
  bool big_endian = false;
  uint16_t machine = 0;
  uint32_t flags = 0;
  bool position_independent = false;  ///< ET_DYN
  uint64_t entry = 0;
  uint64_t program_headers = 0;  ///< address of the table in memory, 0: not mapped
  uint16_t header_count = 0, header_size = 0;
  std::vector<Segment> segments;  ///< PT_LOAD, ascending, not overlapping, at least one
  std::string interpreter;        ///< empty: none
  bool executable_stack = false;
  bool says_of_stack = false;   ///< has a PT_GNU_STACK
  bool branch_targets = false;  ///< GNU property: all code has BTI landing pads

  /// Page-aligned bounds of all segments.
  uint64_t low = 0, high = 0;
};

/// The error's text says what is wrong but not the file's name.
Result<ElfFile> parse_elf(const ElfSource& source);

/// Just the machine number; 0 if the bytes are no ELF header of a program.
uint16_t elf_machine(const ElfSource& source);

}  // namespace lyrebird::user
