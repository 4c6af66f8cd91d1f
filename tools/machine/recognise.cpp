// SPDX-License-Identifier: Apache-2.0
#include "tools/machine/recognise.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

namespace lyrebird::tools {

namespace {

/// Where distributions put EDK2 for arm64.
constexpr const char* kFirmware[] = {"/usr/share/qemu-efi-aarch64/QEMU_EFI.fd",
                                     "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/edk2/aarch64/QEMU_EFI.fd"};

std::string doubled_commas(const std::string& path) {
  std::string text;
  for (const char c : path) text += c == ',' ? std::string(",,") : std::string(1, c);
  return text;
}

}  // namespace

std::optional<std::vector<std::string>> machine_for(const std::string& path) {
  uint8_t head[512] = {};
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  const ssize_t size = read(fd, head, sizeof head);
  close(fd);
  const auto has = [&](size_t at, const char* magic, size_t length) {
    return size >= static_cast<ssize_t>(at + length) && std::memcmp(head + at, magic, length) == 0;
  };
  std::vector<std::string> options = {"-M", "virt", "-cpu", "max", "-smp", "2", "-m", "1G", "-nographic"};
  // A gzip file is taken for a kernel: no program begins so.
  if (has(56, "ARMd", 4) || (has(0, "MZ", 2) && has(4, "zimg", 4)) || has(0, "\x1f\x8b", 2)) {
    // What is written after it on the command line comes later and wins.
    options.insert(options.end(), {"-kernel", path, "-append", "console=ttyAMA0"});
    return options;
  }
  if (has(510, "\x55\xaa", 2)) {
    for (const char* const firmware : kFirmware)
      if (access(firmware, R_OK) == 0) {
        options.insert(options.end(), {"-bios", firmware});
        break;
      }
    options.insert(options.end(), {"-drive", "file=" + doubled_commas(path) + ",if=virtio,format=raw"});
    return options;
  }
  return std::nullopt;
}

}  // namespace lyrebird::tools
