// SPDX-License-Identifier: Apache-2.0
/// Translations that outlive the process: looks blocks up in the files of jit/persist, one for
/// each file that guest code was mapped from, and writes there what this process translated.
///
/// A mapping of a file has an image (jit/persist/image.h), which is taken as a whole when the first
/// of its code is looked up and the hashes of all its pages, as they are in memory then, are those
/// that the image was made from; from then on changed() says when they may no longer be. What came
/// after the image was made is in a file beside it, block by block, each with a hash of its own;
/// when that has become many, a new image is made of both. Blocks of anonymous or writable memory
/// are not kept.
///
/// Regions of the optimising tier have a file of their own for each mapping that one of them starts in, with
/// a hash for each piece of guest code that they were made from. They are looked up one by one, by the tier's
/// thread, which notes at once what would be written of a new one.
///
/// Thread-safe; locks are leaves, but for save(), which takes the map's.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "frontend/frontend.h"
#include "jit/block_map.h"
#include "jit/engine.h"
#include "jit/persist/file.h"

namespace lyrebird {
class Report;
}

namespace lyrebird::accel {

struct KeepOptions {
  std::string directory;  ///< empty: nothing is kept
  std::string key;        ///< whatever translations depend on that neither engine nor guest code tell
  uint64_t limit = 0;     ///< bytes of the directory
  std::chrono::milliseconds interval{5000};  ///< a process that goes on translating saves that often
  bool images = true;                        ///< else block by block; for an engine that can't freeze()
  bool regions = false;                      ///< those of the optimising tier, too
};

/// The user's usual directory, or the one given, and limit.
KeepOptions usual_keep_options(const std::string& directory = {});

class Keeper {
 public:
  struct Image;  ///< what was mapped of one file, at one address
  /// nullptr if nothing is to be or can be kept.
  static std::unique_ptr<Keeper> create(jit::Engine& engine, frontend::CodeSource& code,
                                        const KeepOptions& options, unsigned max_instructions);
  ~Keeper();

  /// What a vCPU remembers of the code it looked up last.
  struct Place {
    uint64_t generation = ~uint64_t{0};
    frontend::CodeOrigin origin;
    Image* image = nullptr;  ///< nullptr: this code is not kept
  };

  using Blocks = std::vector<std::unique_ptr<jit::CompiledBlock>>;
  /// The kept block, or nullptr; and in `more` others of its page that are likely to be wanted soon. The
  /// caller has read the map's stamps before.
  std::unique_ptr<jit::CompiledBlock> load(ir::BlockKey key, Place& place, Blocks& more);
  /// The block was translated from what is in memory now: to be kept, if it may be.
  void note(jit::CompiledBlock& block, Place& place);

  /// A region that was kept, if `block`. `refused`: the compiler would make none.
  struct KeptRegion {
    std::unique_ptr<jit::CompiledBlock> block;
    std::vector<jit::BlockMap::Seen> seen;  ///< for BlockMap::publish_region()
    bool refused = false;
  };
  KeptRegion load_region(ir::BlockKey key, const jit::BlockMap& map);
  /// What would be kept of a region that nobody runs yet. nullptr: it can't be.
  struct RegionNote;
  std::shared_ptr<RegionNote> describe_region(const jit::CompiledBlock& region);
  /// The same where the compiler would make no region of the blocks at the key.
  std::shared_ptr<RegionNote> describe_refusal(ir::BlockKey key, uint32_t guest_size);
  /// It is to be kept: no stamp of its pages changed since it was made.
  void note_region(std::shared_ptr<RegionNote> note);

  /// The guest's code in [start, start + size) is no longer what it was, or may not be. The ranges whose
  /// blocks have to go besides, mostly none.
  std::vector<std::pair<uint64_t, uint64_t>> changed(uint64_t start, uint64_t size);
  /// Writes what is not written yet. Of `map`, the one that all noted blocks are in.
  void save(const jit::BlockMap& map);
  /// Saves if it is time to.
  void save_now_and_then(const jit::BlockMap& map);

  void before_fork();
  void after_fork_in_parent();
  /// `prepared`: after before_fork(). Else nothing is kept from now on.
  void after_fork_in_child(bool prepared);
  void report(Report& report) const;

 private:
  Keeper(jit::Engine& engine, frontend::CodeSource& code, const KeepOptions& options, uint64_t key);
  bool locate(uint64_t pc, Place& place);
  Image* image_of(const frontend::CodeOrigin& origin);
  void try_image(Image& image, const Place& place);
  void load_page(Image& image, uint64_t page, uint32_t but, Blocks& more);
  using Fresh = std::vector<const jit::CompiledBlock*>;
  bool mapped_as_before(const Image& image, frontend::CodeOrigin& origin) const;
  int64_t freeze(Image& image, const frontend::CodeOrigin& origin, const Fresh& fresh);
  int64_t append(Image& image, const Fresh& fresh);
  jit::persist::File* region_file(Image& image);
  std::shared_ptr<RegionNote> describe(ir::BlockKey key, std::vector<jit::persist::CheckedRange> ranges);
  bool check_ranges(std::vector<jit::persist::CheckedRange>& ranges, bool fill);
  void save_regions();
  void prune();

  jit::Engine& engine_;
  frontend::CodeSource& code_;
  const KeepOptions options_;
  const uint64_t key_;
  std::atomic<bool> off_{false};

  std::mutex images_mutex_;
  std::map<std::array<uint64_t, 4>, std::unique_ptr<Image>> by_origin_;
  std::vector<Image*> images_;  ///< by number

  // Under images_mutex_.
  std::vector<std::shared_ptr<RegionNote>> region_notes_;  ///< to be written
  std::optional<uint64_t> compiler_id_;                    ///< of regions, when it was asked for

  std::atomic<uint64_t> changes_{0};  ///< calls of changed()
  std::atomic<bool> any_image_{false};

  std::mutex save_mutex_;  ///< before the map's and images_mutex_
  std::atomic<uint32_t> epoch_{1};
  std::atomic<uint64_t> noted_{0};  ///< since the last save
  std::chrono::steady_clock::time_point last_save_;

  struct Counters {
    std::atomic<uint64_t> hits{0}, misses{0}, rejected{0}, saved{0}, failed{0}, images{0}, in_images{0},
        regions_found{0}, regions_rejected{0}, regions_saved{0};
  } counters_;
};

}  // namespace lyrebird::accel
