// SPDX-License-Identifier: Apache-2.0
#include "monitor/gdb/memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace lyrebird::gdb {

DebugMemory::DebugMemory(user::Process& process)
    : process_(process), fd_(::open("/proc/self/mem", O_RDWR | O_CLOEXEC)) {}

DebugMemory::~DebugMemory() { ::close(fd_); }

std::string DebugMemory::read(uint64_t address, uint64_t size) const {
  const user::AddressSpace& memory = process_.memory;
  std::string bytes(memory.mapped_prefix(address, size), '\0');
  const ssize_t n = ::pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(memory.base() + address));
  bytes.resize(static_cast<size_t>(std::max<ssize_t>(n, 0)));
  return bytes;
}

bool DebugMemory::write(uint64_t address, std::string_view bytes) const {
  user::AddressSpace& memory = process_.memory;
  if (!memory.is_mapped(address, bytes.size())) return false;
  const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(memory.base() + address));
  process_.accelerator.invalidate(address, bytes.size());
  return n == static_cast<ssize_t>(bytes.size());
}

}  // namespace lyrebird::gdb
