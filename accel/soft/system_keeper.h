// SPDX-License-Identifier: Apache-2.0
/// Translations of a machine's code that outlive the process: one file of jit/persist for each kind of
/// machine and what it is called.
///
/// A machine has memory only, and the same code may lie anywhere in it and be seen at any address (KASLR,
/// ASLR). So a block is found by what it was made from: the offset of its pc in a page, the mode, and the
/// first bytes of its code; and it is taken if the hash of all its bytes, as they are in memory now, is the
/// one it was made from. Only blocks that can be moved are kept (engines say which). Blocks of the map are
/// what they always were: whoever writes to their page takes them out.
///
/// Thread-safe; locks are leaves, but for save(), which takes the map's.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "accel/soft/keeper.h"
#include "jit/persist/file.h"
#include "jit/tlb.h"

namespace lyrebird::accel {

class SystemKeeper {
 public:
  /// nullptr if nothing is to be or can be kept. `name` is part of the file's.
  static std::unique_ptr<SystemKeeper> create(jit::Engine& engine, const KeepOptions& options,
                                              const std::string& name, unsigned max_instructions);
  ~SystemKeeper();

  /// The kept block for the code, or nullptr. The page is watched, and the caller has read the map's stamps
  /// before.
  std::unique_ptr<jit::CompiledBlock> load(ir::BlockKey key, const jit::Tlb::Code& code);
  /// The block was translated from the code: to be kept, if it may be.
  void note(jit::CompiledBlock& block, const jit::Tlb::Code& code);
  /// The block is taken out of the map: what is to be saved of it is put aside.
  void removed(const jit::CompiledBlock& block);
  /// Writes what is not written yet, of all blocks of `map`.
  void save(const jit::BlockMap& map);
  /// Saves if it is time to.
  void save_now_and_then(const jit::BlockMap& map);
  void report(Report& report) const;

 private:
  SystemKeeper(jit::Engine& engine, const KeepOptions& options, const std::string& stem, uint64_t key,
               const std::string& name);

  jit::Engine& engine_;
  const KeepOptions options_;
  jit::persist::File file_;

  /// Translations on their way to the file, each once.
  struct Batch {
    std::vector<jit::persist::Item> items;
    std::vector<uint8_t> bytes;
    std::vector<size_t> ends;  ///< in bytes, of each item's code
    std::set<std::pair<uint64_t, uint32_t>> keys;
  };
  void add(Batch& batch, const jit::CompiledBlock& block) const;

  std::mutex save_mutex_;  ///< before the map's
  std::mutex gone_mutex_;  ///< after the map's
  Batch gone_;
  std::atomic<uint32_t> epoch_{1};
  std::atomic<uint64_t> noted_{0};  ///< since the last save
  std::atomic<std::chrono::steady_clock::time_point> last_save_;

  struct Counters {
    std::atomic<uint64_t> hits{0}, misses{0}, rejected{0}, saved{0}, failed{0};
  } counters_;
};

}  // namespace lyrebird::accel
