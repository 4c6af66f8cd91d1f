// SPDX-License-Identifier: Apache-2.0
/// Translation for a whole machine. One per machine, shared by its vCPUs.
///
/// Blocks belong to pages of memory, whatever address the guest sees them at: CompiledBlock::place is the
/// host address of their first byte. A page is watched (RamBlock::set_has_code) before its bytes are read;
/// whoever writes to it, a vCPU or a device, takes the blocks out that were made from the bytes.
///
/// Lock order: none of the locks here is held while another one is taken, but for protect_mutex_ > Tlb's.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "accel/accelerator.h"
#include "accel/soft/soft.h"
#include "accel/soft/system_keeper.h"
#include "frontend/system_frontend.h"
#include "jit/tlb.h"
#include "system/clock.h"
#include "system/ram_block.h"

namespace lyrebird::jit {
class BlockMap;
class Engine;
}  // namespace lyrebird::jit

namespace lyrebird::accel {

class CodeLog;
class InstructionMode;
class SystemVcpu;

class SoftSystem final : public Accelerator, private system::CodeWriteListener {
 public:
  /// `frontend` outlives it. Of the options, those for the optimising tier are not used.
  /// `clock`: -icount; the frontend's code counts its instructions then. Outlives it.
  /// `keep_name`: what the file of kept translations is called; `options.keep.key` says what else than the
  /// engine translations depend on (the frontend's translation_key()).
  explicit SoftSystem(const frontend::SystemFrontend& frontend, SoftOptions options = {},
                      system::CountedClock* clock = nullptr, const std::string& keep_name = "machine");
  ~SoftSystem() override;

  std::string_view name() const override { return "jit"; }
  Result<std::unique_ptr<Vcpu>> create_vcpu(unsigned index, ir::CpuHeader& state,
                                            system::AddressSpace& memory) override;
  void set_breakpoints(std::vector<uint64_t> addresses) override;
  bool set_watchpoints(const std::vector<Watchpoint>& watchpoints) override;
  void report(Report& report) const override;
  /// Writes translations to disk that are not there yet; the destructor does so, too.
  void keep();
  /// Blocks that were translated, and not found on disk.
  uint64_t translations() const { return translations_.load(); }

 private:
  friend class SystemVcpu;
  using Breakpoints = std::shared_ptr<const std::vector<uint64_t>>;
  /// Flushes the TLBs of all vCPUs that see a space whose flat view changed.
  class TopologyListener;

  void code_written(system::RamBlock& ram, uint64_t offset, uint64_t size) override;
  /// Nobody writes to the page any more without code_written() being called, but what other vCPUs are in the
  /// middle of: those call page_settled() when they have ended it.
  void watch(const jit::Tlb::Code& code, const SystemVcpu& by);
  /// A vCPU may have written to the page unseen: what was translated from it may be old.
  void page_settled(system::RamBlock& ram, uint64_t page);
  /// Whether the right to write the page straight away shall not be given again yet.
  bool is_settling(uint64_t page);
  Breakpoints current_breakpoints() const;
  void broadcast(SystemVcpu& from, const jit::TlbScope& scope);
  void wait_for_flushes(SystemVcpu& from);

  const frontend::SystemFrontend& frontend_;
  const SoftOptions options_;
  std::unique_ptr<InstructionMode> turns_;  ///< nullptr: all run at once
  std::unique_ptr<CodeLog> code_log_;       ///< outlives the blocks
  std::unique_ptr<jit::Engine> interpreter_, compiler_;
  jit::Engine* engine_ = nullptr;
  std::unique_ptr<jit::BlockMap> map_;
  std::unique_ptr<SystemKeeper> keeper_;  ///< nullptr: nothing is kept
  jit::WritablePages writable_;
  std::mutex protect_mutex_;
  /// Pages whose blocks page_settled() took away, the last ones: they will have blocks again at once.
  struct Settling {
    uint64_t page = 0;
    unsigned writes = 0;  ///< to go until it is believed to have no code
  };
  std::mutex settling_mutex_;
  std::array<Settling, 16> settling_;
  size_t next_settling_ = 0;
  std::vector<std::unique_ptr<TopologyListener>> listeners_;
  std::atomic<uint64_t> last_page_hit_{0};  ///< by a write to the bytes of a block
  std::atomic<uint64_t> translations_{0}, instructions_{0}, code_writes_{0};

  mutable std::mutex mutex_;  ///< what follows
  std::vector<SystemVcpu*> vcpus_;
  Breakpoints breakpoints_ = std::make_shared<std::vector<uint64_t>>();
  std::atomic<bool> any_breakpoints_{false};
};

}  // namespace lyrebird::accel
