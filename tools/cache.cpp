// SPDX-License-Identifier: Apache-2.0
/// lyrebird cache: looks after the translations that are kept on disk.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "jit/persist/directory.h"
#include "jit/persist/file.h"
#include "jit/persist/image.h"
#include "tools/commands.h"

namespace lyrebird::tools {
namespace {

namespace persist = jit::persist;

constexpr const char* kHelp =
    "usage: lyrebird cache list | verify | prune [SIZE] | clear | path\n"
    "\n"
    "Translations of guest programs are kept on disk, so that the next process that runs the same\n"
    "program or library starts with them. Each file belongs to one guest file and one build of\n"
    "lyrebird; what does not fit is not used. Removing files is always safe.\n"
    "\n"
    "  list          the files, those used last first\n"
    "  verify        checks every translation; removes damaged files and says which\n"
    "  prune [SIZE]  removes what was not used for longest until at most SIZE bytes are left\n"
    "                (K, M and G are understood; default: the limit)\n"
    "  clear         removes all files\n"
    "  path          where they are\n"
    "\n"
    "environment:\n"
    "  LYREBIRD_CACHE=off      no translations are read or written (as -cache off)\n"
    "  LYREBIRD_CACHE_DIR      the directory; otherwise lyrebird in XDG_CACHE_HOME or ~/.cache\n"
    "  LYREBIRD_CACHE_LIMIT    its limit, 1G if not set\n";

std::string size_text(uint64_t bytes) {
  if (bytes < 10240) return fmt::format("{} B", bytes);
  if (bytes < (uint64_t{10} << 20)) return fmt::format("{} KiB", bytes >> 10);
  return fmt::format("{} MiB", bytes >> 20);
}

std::string age_text(int64_t used) {
  const int64_t age = ::time(nullptr) - used;
  if (age < 120) return "just now";
  if (age < 7200) return fmt::format("{} minutes ago", age / 60);
  if (age < 2 * 86400) return fmt::format("{} hours ago", age / 3600);
  return fmt::format("{} days ago", age / 86400);
}

/// Of either kind of file.
persist::FileInfo inspect(const std::string& path, bool check_all) {
  if (path.find(persist::kImageSuffix) == std::string::npos) return persist::File::inspect(path, check_all);
  const persist::ImageInfo image = persist::inspect_image(path, check_all);
  return {.valid = image.valid,
          .bytes = image.bytes,
          .chunks = 1,
          .items = image.blocks,
          .code_bytes = image.code_bytes,
          .bad = check_all && !image.whole ? image.blocks : 0,
          .image = image.of};
}

int list(const std::string& directory) {
  uint64_t total = 0, items = 0;
  const auto entries = persist::list_directory(directory);
  if (!entries.empty()) fmt::print("{:<32} {:>10} {:>10}  {}\n", "translations of", "blocks", "size", "used");
  for (const persist::DirectoryEntry& entry : entries) {
    const persist::FileInfo info = inspect(entry.path, false);
    fmt::print("{:<32} {:>10} {:>10}  {}\n", info.valid ? info.image : "(not readable)", info.items,
               size_text(entry.bytes), age_text(entry.used));
    total += entry.bytes;
    items += info.items;
  }
  fmt::print("{}{} file{} in {}: {} blocks, {} of at most {}\n", entries.empty() ? "" : "\n", entries.size(),
             entries.size() == 1 ? "" : "s", directory, items, size_text(total),
             size_text(persist::default_limit()));
  return 0;
}

int verify(const std::string& directory) {
  unsigned bad = 0;
  uint64_t items = 0;
  const auto entries = persist::list_directory(directory);
  for (const persist::DirectoryEntry& entry : entries) {
    const persist::FileInfo info = inspect(entry.path, true);
    items += info.items;
    if (info.valid && info.bad == 0) continue;
    ++bad;
    const bool removed = ::unlink(entry.path.c_str()) == 0;
    fmt::print("{}: {}; {}\n", entry.path,
               info.valid ? fmt::format("{} damaged", info.bad) : "is no cache file",
               removed ? "removed" : std::strerror(errno));
  }
  fmt::print("{} files, {} blocks: {}\n", entries.size(), items,
             bad ? fmt::format("{} were damaged", bad) : "all good");
  return bad ? 1 : 0;
}

int prune(const std::string& directory, uint64_t limit) {
  const uint64_t removed = persist::prune_directory(directory, limit);
  fmt::print("{} file{} removed\n", removed, removed == 1 ? "" : "s");
  return 0;
}

}  // namespace

int cache(int argc, char** argv) {
  const std::string_view what = argc > 0 ? argv[0] : "";
  if (what.empty() || what == "-help" || what == "--help" || what == "-h" || what == "help") {
    std::fputs(kHelp, what.empty() ? stderr : stdout);
    return what.empty() ? 1 : 0;
  }
  const std::string directory = persist::default_directory();
  if (what == "path") {
    if (!directory.empty()) fmt::print("{}\n", directory);
    return directory.empty();
  }
  std::string why;
  if (!persist::open_directory(directory, &why)) {
    fmt::print(stderr, "lyrebird cache: {}\n", why);
    return 1;
  }
  if (what == "list") return list(directory);
  if (what == "verify") return verify(directory);
  if (what == "clear") return prune(directory, 0);
  if (what == "prune") {
    uint64_t limit = persist::default_limit();
    if (argc > 1 && !persist::parse_size(argv[1], limit)) {
      fmt::print(stderr, "lyrebird cache prune {}: is no size; write for example 500M\n", argv[1]);
      return 1;
    }
    return prune(directory, limit);
  }
  fmt::print(stderr, "lyrebird cache {}: no such command; lyrebird cache -help lists them\n", what);
  return 1;
}

}  // namespace lyrebird::tools
