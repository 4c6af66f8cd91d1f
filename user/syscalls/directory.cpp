// SPDX-License-Identifier: Apache-2.0
#include "user/syscalls/directory.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bits.h"
#include "user/host/safe_syscall.h"
#include "user/syscalls/io.h"

namespace lyrebird::user {
namespace {

/// Positions that do not fit 31 bits, numbered as they come. They are the host's, which are the same
/// for every descriptor of a directory; numbers are never used again.
class Cookies {
 public:
  int64_t narrow(int64_t position) {
    if (position <= INT32_MAX) return position;
    const std::lock_guard lock(mutex_);
    const auto [it, fresh] = numbers_.try_emplace(position, kFirst + static_cast<int64_t>(positions_.size()));
    if (fresh) positions_.push_back(position);
    return it->second;
  }
  int64_t wide(int64_t number) const {
    const std::lock_guard lock(mutex_);
    const uint64_t index = static_cast<uint64_t>(number - kFirst);
    return number >= kFirst && index < positions_.size() ? positions_[index] : number;
  }

 private:
  static constexpr int64_t kFirst = 0x40000000;  // above what a file system counts up to by itself
  mutable std::mutex mutex_;
  std::unordered_map<int64_t, int64_t> numbers_;
  std::vector<int64_t> positions_;
};

Cookies& cookies() {
  static Cookies all;
  return all;
}

/// struct linux_dirent64 of the host.
struct Entry {
  uint64_t inode;
  int64_t next;
  uint16_t size;
  uint8_t type;
};
constexpr size_t kNameAt = 19;

Entry entry_at(const uint8_t* at) {
  Entry entry;
  std::memcpy(&entry.inode, at, 8);
  std::memcpy(&entry.next, at + 8, 8);
  std::memcpy(&entry.size, at + 16, 2);
  entry.type = at[18];
  return entry;
}

template <typename T>
void store(const DataModel& model, uint8_t* to, T value) {
  if (model.big_endian) {
    if constexpr (sizeof(T) == 2) value = __builtin_bswap16(value);
    if constexpr (sizeof(T) == 4) value = __builtin_bswap32(value);
    if constexpr (sizeof(T) == 8) value = __builtin_bswap64(value);
  }
  std::memcpy(to, &value, sizeof value);
}

/// Host entries, read with the position of each known, so that what the guest has no room for is
/// read again.
int64_t read_host(int fd, std::vector<uint8_t>& buffer) {
  return host::call(SYS_getdents64, fd, buffer.data(), buffer.size());
}

}  // namespace

int64_t narrow_cookie(int fd, int64_t position) {
  struct stat st;
  if (position <= INT32_MAX || ::fstat(fd, &st) != 0 || !S_ISDIR(st.st_mode)) return position;
  return cookies().narrow(position);
}
int64_t wide_cookie(int64_t position) { return cookies().wide(position); }

namespace sys::io {

Errno<Long> getdents64(Thread& t, Fd fd, Buffer to, Size size) {
  const DataModel& model = t.abi().model;
  uint64_t length = size;
  void* const direct = t.memory().for_kernel(to, length);
  if (model.word == 8 && !model.big_endian) return host::call(SYS_getdents64, fd.value, direct, length);
  std::vector<uint8_t> buffer(std::min<uint64_t>(length, 1u << 20));
  const int64_t result = read_host(fd, buffer);
  if (result <= 0) return result;
  for (int64_t at = 0; at < result;) {
    uint8_t* const here = buffer.data() + at;
    const Entry entry = entry_at(here);
    const bool narrow = model.word == 4;
    store<uint64_t>(model, here, narrow ? fold_inode(entry.inode) : entry.inode);
    store<uint64_t>(model, here + 8,
                    static_cast<uint64_t>(narrow ? cookies().narrow(entry.next) : entry.next));
    store<uint16_t>(model, here + 16, entry.size);
    at += entry.size;
  }
  return t.memory().write(to, buffer.data(), static_cast<size_t>(result)) ? result : -EFAULT;
}

// struct linux_dirent: two longs, the size, the name, and the type in the last byte.
Errno<Long> getdents(Thread& t, Fd fd, Buffer to, Size size) {
  const DataModel& model = t.abi().model;
  // Entries of the old form are not longer than the host's.
  std::vector<uint8_t> buffer(std::min<uint64_t>(size, 1u << 20)), out;
  const int64_t result = read_host(fd, buffer);
  if (result <= 0) return result;
  const unsigned word = model.word;
  for (int64_t at = 0; at < result;) {
    const uint8_t* const here = buffer.data() + at;
    const Entry entry = entry_at(here);
    const char* const name = reinterpret_cast<const char*>(here + kNameAt);
    const size_t length = std::strlen(name);
    const size_t record = align_up(2 * word + 2 + length + 2, word), start = out.size();
    out.resize(start + record);
    uint8_t* const record_at = out.data() + start;
    if (word == 4) {
      store(model, record_at, static_cast<uint32_t>(fold_inode(entry.inode)));
      store(model, record_at + 4, static_cast<uint32_t>(cookies().narrow(entry.next)));
    } else {
      store(model, record_at, entry.inode);
      store(model, record_at + 8, static_cast<uint64_t>(entry.next));
    }
    store(model, record_at + 2 * word, static_cast<uint16_t>(record));
    std::memcpy(record_at + 2 * word + 2, name, length);
    record_at[record - 1] = entry.type;
    at += entry.size;
  }
  return t.memory().write(to, out.data(), out.size()) ? static_cast<int64_t>(out.size()) : -EFAULT;
}

// struct old_linux_dirent: two longs (the position is the entry's own), the name's length and the name. One
// entry for each call.
Errno<Long> readdir(Thread& t, Fd fd, Addr to) {
  constexpr size_t kLongestEntry = kNameAt + 256 + 8;
  const DataModel& model = t.abi().model;
  const int64_t position = host::call(SYS_lseek, fd.value, 0, SEEK_CUR);
  std::vector<uint8_t> buffer(kLongestEntry);
  const int64_t result = read_host(fd, buffer);
  if (result <= 0) return result;
  const Entry entry = entry_at(buffer.data());
  const std::string_view name(reinterpret_cast<const char*>(buffer.data()) + kNameAt);
  host::call(SYS_lseek, fd.value, entry.next, SEEK_SET);
  const unsigned word = model.word;
  std::vector<uint8_t> out(2 * word + 2 + name.size() + 1);
  if (word == 4) {
    store(model, out.data(), static_cast<uint32_t>(fold_inode(entry.inode)));
    store(model, out.data() + 4, static_cast<uint32_t>(cookies().narrow(position)));
  } else {
    store(model, out.data(), entry.inode);
    store(model, out.data() + 8, static_cast<uint64_t>(position));
  }
  store(model, out.data() + 2 * word, static_cast<uint16_t>(name.size()));
  std::memcpy(out.data() + 2 * word + 2, name.data(), name.size());
  return t.memory().write(to, out.data(), out.size()) ? 1 : -EFAULT;
}

}  // namespace sys::io
}  // namespace lyrebird::user
