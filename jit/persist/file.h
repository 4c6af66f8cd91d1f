// SPDX-License-Identifier: Apache-2.0
/// One file of kept translations: those of one guest image, for one build of this program, one
/// host, one set of options (all of that is the key).
///
/// A file is a header and chunks, each with an index of its own; a writer appends a chunk under
/// flock(), or writes all anew and renames when there are too many. Readers map it and take no
/// lock. Nothing that is read is believed: headers, index and translations have checksums, every
/// offset is checked, and a file that is cut short while it is mapped only costs a look-up
/// (FaultGuard). What can't be read or written is as if it were not there.
///
/// Little endian, 8-byte aligned; see file.cpp for the layout.
///
/// find() is safe against itself and refresh() on other threads; mutex_ is a leaf lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/block.h"

namespace lyrebird::jit::persist {

inline constexpr uint32_t kFormat = 1;

enum class Kind : uint16_t { Baseline, Region };

/// What the hash of a range of guest code is for.
struct CheckedRange {
  uint64_t pc = 0;
  uint64_t size = 0;
  uint64_t hash = 0;
};

/// A translation as it is kept. `code` is the engine's own form, without any address of this process.
struct Item {
  ir::BlockKey key;
  Kind kind = Kind::Baseline;
  uint32_t guest_size = 0, guest_count = 0;
  uint64_t guest_hash = 0;         ///< of guest_size bytes at key.pc
  std::vector<CheckedRange> more;  ///< what a region was made from besides
  std::span<const uint8_t> code;   ///< in the mapped file, or with whoever saves
};

struct FileInfo {
  bool valid = false;  ///< for this build
  uint64_t bytes = 0;
  unsigned chunks = 0;
  uint64_t items = 0;
  uint64_t code_bytes = 0;
  uint64_t bad = 0;  ///< items whose checksum is wrong (check_all only)
  std::string image;
};

class File {
 public:
  /// `key`: hash of everything but the guest's code that the translations depend on. `image`: its
  /// name, for people.
  File(std::string path, uint64_t key, std::string image);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  /// Maps what others appended since. Cheap if nothing was.
  void refresh();
  /// The translation for the key, with its checksum verified; `code` points into the mapping. To be
  /// called, and the result used, under a FaultGuard.
  std::optional<Item> find(ir::BlockKey key) const;
  uint64_t items() const;
  uint64_t bytes() const;
  /// All translations, with their bytes in `bytes`. Under no FaultGuard of the caller's.
  std::vector<Item> all(std::vector<uint8_t>& bytes) const;

  /// Adds what is not there yet. The number added, or -1: it could not be written (now).
  /// `wait`: for other writers. find() sees it after refresh().
  int64_t append(std::span<const Item> items, bool wait = false);

  const std::string& path() const { return path_; }
  /// Of any file; with `check_all` each item is looked at.
  static FileInfo inspect(const std::string& path, bool check_all);

 private:
  struct Mapping;
  struct Chunk;
  struct View;  ///< all chunks at one time; immutable

  std::shared_ptr<const View> view() const;
  bool map_locked();
  static std::optional<Item> read(const Chunk& chunk, uint32_t number);
  int64_t append_to(int fd, std::span<const Item> items);
  bool rewrite(std::span<const Item> more);

  const std::string path_;
  const uint64_t key_;
  const std::string image_;
  mutable std::mutex mutex_;
  std::atomic<const View*> view_{nullptr};
  std::vector<std::unique_ptr<const View>> views_;  ///< all that ever were: readers hold no count
};

/// For whoever replaces or removes the file: keeps writers away.
class FileLock {
 public:
  explicit FileLock(const std::string& path);  ///< makes the file if it is not there
  ~FileLock();                                 ///< an empty one goes
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  explicit operator bool() const { return fd_ >= 0; }

 private:
  const std::string path_;
  int fd_;
};

}  // namespace lyrebird::jit::persist
