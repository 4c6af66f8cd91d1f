// SPDX-License-Identifier: Apache-2.0
/// Kernels as people hand them to -kernel, unpacked to what lies in memory.
///
/// Known for arm64: Image (Documentation/arch/arm64/booting.rst), the same compressed with gzip, an EFI zboot
/// image around it (drivers/firmware/efi/libstub/zboot-header.S), and ELF files. Contents are checked, never
/// trusted.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace lyrebird::machines {

using Bytes = std::vector<uint8_t>;

/// The whole file; the error names it.
Result<Bytes> read_file(const std::string& path);
/// gzip (several members as well) of at most `limit` bytes unpacked.
Result<Bytes> gunzip(std::span<const uint8_t> packed, size_t limit);

/// Something that lies at a physical address.
struct Segment {
  uint64_t address = 0;
  Bytes bytes;
  uint64_t memory_size = 0;  ///< with what follows the bytes: zeros
};

struct Arm64Kernel {
  std::vector<Segment> segments;
  uint64_t entry = 0;
  uint64_t end = 0;  ///< behind everything it says that it needs
  bool elf = false;
};

/// `ram_base`: an Image is put 2 MiB above it, so that the device tree fits below. `name` is for messages.
Result<Arm64Kernel> load_arm64_kernel(Bytes file, const std::string& name, uint64_t ram_base);

}  // namespace lyrebird::machines
