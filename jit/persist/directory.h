// SPDX-License-Identifier: Apache-2.0
/// The per-user directory of kept translations.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lyrebird::jit::persist {

inline constexpr uint64_t kDefaultLimit = uint64_t{1} << 30;
inline constexpr const char* kSuffix = ".lyc";
inline constexpr const char* kImageSuffix = ".lyi";

/// LYREBIRD_CACHE_DIR, or lyrebird below XDG_CACHE_HOME or ~/.cache; empty: there is none.
std::string default_directory();
/// A number of bytes, or of K, M or G. False if it is none.
bool parse_size(const char* text, uint64_t& size);
/// LYREBIRD_CACHE_LIMIT (bytes, or with K, M, G), or kDefaultLimit.
uint64_t default_limit();

/// Makes the directory (0700) if it is not there. False: it isn't ours alone, or can't be had,
/// or the program runs with rights that are not its user's; `why` says which.
bool open_directory(const std::string& path, std::string* why = nullptr);

struct DirectoryEntry {
  std::string path;
  uint64_t bytes = 0;
  int64_t used = 0;  ///< seconds since 1970, when it was last used
};
/// The translation files, those used last first.
std::vector<DirectoryEntry> list_directory(const std::string& path);
/// Makes the file, or its time now.
void touch(const std::string& path);
/// Removes those used least recently until at most `limit` bytes are left. The number removed.
uint64_t prune_directory(const std::string& path, uint64_t limit);

}  // namespace lyrebird::jit::persist
