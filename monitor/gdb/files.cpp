// SPDX-License-Identifier: Apache-2.0
#include "monitor/gdb/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace lyrebird::gdb {

namespace {

constexpr uint64_t kMaxRead = 16384;

// The protocol's own errno numbers are Linux's where both have them; others are EUNKNOWN.
std::string failed(int error) { return fmt::format("F-1,{:x}", error > 0 && error < 92 ? error : 9999); }

void put(std::string& out, uint64_t value, unsigned size) {
  while (size-- > 0) out += static_cast<char>(value >> 8 * size);
}

// struct stat of the protocol (E.13.8): big-endian, 64 bytes.
std::string encode(const struct stat& st) {
  std::string out;
  put(out, st.st_dev, 4);
  put(out, st.st_ino, 4);
  put(out, st.st_mode, 4);
  put(out, st.st_nlink, 4);
  put(out, st.st_uid, 4);
  put(out, st.st_gid, 4);
  put(out, st.st_rdev, 4);
  put(out, static_cast<uint64_t>(st.st_size), 8);
  put(out, static_cast<uint64_t>(st.st_blksize), 8);
  put(out, static_cast<uint64_t>(st.st_blocks), 8);
  put(out, static_cast<uint64_t>(st.st_atime), 4);
  put(out, static_cast<uint64_t>(st.st_mtime), 4);
  put(out, static_cast<uint64_t>(st.st_ctime), 4);
  return out;
}

}  // namespace

Files::~Files() {
  for (const int fd : open_) ::close(fd);
}

std::string Files::answer(Fields f) {
  if (f.eat("setfs:")) return "F0";
  if (f.eat("open:")) return open(f);
  if (f.eat("pread:")) return pread(f);
  if (f.eat("fstat:")) return fstat(f);
  if (f.eat("close:")) return close(f);
  if (f.eat("readlink:")) return readlink(f);
  return "";
}

std::string Files::open(Fields f) {
  const auto name = from_hex(f.until(","));
  f.eat(",");
  const auto flags = f.number();
  if (!name || !flags) return failed(EINVAL);
  if (*flags != O_RDONLY) return failed(EACCES);
  // The program's own path is the host's already.
  const user::HostPath path =
      *name == process_.program.exe ? user::HostPath{*name} : process_.root.translate(*name, true);
  if (path.error) return failed(static_cast<int>(-path.error));
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failed(errno);
  open_.insert(fd);
  return fmt::format("F{:x}", fd);
}

std::string Files::pread(Fields f) {
  const auto fd = f.number();
  f.eat(",");
  const auto count = f.number();
  f.eat(",");
  const auto offset = f.number();
  if (!fd || !count || !offset || !open_.contains(static_cast<int>(*fd))) return failed(EBADF);
  std::string bytes(std::min(*count, kMaxRead), '\0');
  const ssize_t n = ::pread(static_cast<int>(*fd), bytes.data(), bytes.size(), static_cast<off_t>(*offset));
  if (n < 0) return failed(errno);
  bytes.resize(static_cast<size_t>(n));
  return fmt::format("F{:x};", n) + escape(bytes);
}

std::string Files::fstat(Fields f) {
  const auto fd = f.number();
  struct stat st;
  if (!fd || !open_.contains(static_cast<int>(*fd))) return failed(EBADF);
  if (::fstat(static_cast<int>(*fd), &st) != 0) return failed(errno);
  const std::string bytes = encode(st);
  return fmt::format("F{:x};", bytes.size()) + escape(bytes);
}

std::string Files::close(Fields f) {
  const auto fd = f.number();
  if (!fd || !open_.erase(static_cast<int>(*fd))) return failed(EBADF);
  ::close(static_cast<int>(*fd));
  return "F0";
}

std::string Files::readlink(Fields f) {
  const auto name = from_hex(f.rest());
  if (!name) return failed(EINVAL);
  char target[PATH_MAX];
  const ssize_t n = ::readlink(process_.root.translate(*name, false).c_str(), target, sizeof target);
  if (n < 0) return failed(errno);
  return fmt::format("F{:x};", n) + escape({target, static_cast<size_t>(n)});
}

}  // namespace lyrebird::gdb
