// SPDX-License-Identifier: Apache-2.0
/// A vCPU of a machine, run by translation: turns stops into the guest's exceptions, takes its interrupts
/// between blocks, sleeps while it waits for one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "accel/soft/system.h"
#include "frontend/vcpu_services.h"
#include "jit/thread_context.h"

namespace lyrebird::accel {

class SystemVcpu final : public Vcpu, private frontend::VcpuServices, private jit::PageWalker {
 public:
  SystemVcpu(SoftSystem& soft, unsigned index, ir::CpuHeader& state, system::AddressSpace& memory);
  ~SystemVcpu() override;

  Exit run() override;
  Exit step() override;
  Exit step_undisturbed() override;
  void kick() override { request(kKick); }
  /// Somebody called kick(), and run() has not come back yet.
  bool kicked() const { return (state_.system_request.load() & kKick) != 0; }
  ir::CpuHeader& state() override { return state_; }
  void set_interrupt(uint32_t lines, bool level) override;
  void set_power(bool on) override;
  void set_held(bool held) override;
  /// Somebody else changed the state: no translation of before counts.
  std::string list_tlb() override;
  Result<void> write_state() override {
    tlb_.forget();
    return {};
  }

  // For SoftSystem and other vCPUs.
  void request_flush_all() { request(kFlushAll); }
  /// The number to wait for.
  uint64_t post(const jit::TlbScope& scope);
  /// What was posted up to the number has been done, or will be before any guest code runs.
  bool has_done(uint64_t number) const { return done_.load() >= number || !in_guest_.load(); }
  void answer_flushes();
  bool in_guest() const { return in_guest_.load(); }
  /// SoftSystem::page_settled() is to be called for the page between this vCPU's blocks.
  void look_again(system::RamBlock& ram, uint64_t page);
  /// Flushes asked of other vCPUs that nobody has waited for; only this vCPU's thread looks at them.
  using Owed = std::vector<std::pair<SystemVcpu*, uint64_t>>;
  Owed& owed() { return owed_; }
  void owe(SystemVcpu& other, uint64_t number);
  void wake_for_event();
  jit::Tlb& tlb() { return tlb_; }
  const system::AddressSpace& address_space() const { return memory_; }
  unsigned index() const { return index_; }

 private:
  // Bits of CpuHeader::system_request.
  static constexpr uint32_t kKick = 1, kFlushAll = 2, kFlush = 4, kLookAgain = 8;

  /// Held while guest code may run: others wait for its answers.
  class InGuest {
   public:
    explicit InGuest(SystemVcpu& vcpu);
    ~InGuest();

   private:
    SystemVcpu& vcpu_;
    std::optional<jit::ThreadContext::Running> running_;
  };

  void request(uint32_t what);
  void settle_pages();
  void settle_pages_if_asked();
  void wake();
  std::optional<Exit> answer_requests(bool interrupts = true);
  Exit step(bool interrupts);
  /// nullptr: the code can't be fetched, and the state says why.
  const jit::CompiledBlock* find_or_translate(jit::Engine& engine, unsigned max_instructions);
  std::optional<Exit> handle(jit::Stop stop);
  std::optional<Exit> raise(ir::ExitKind kind, uint64_t detail);
  void yield(uint64_t detail);
  void wait(bool for_event);
  /// Lets go of guest code while `f` waits for the turn.
  template <typename F>
  void outside(F f) {
    guest_.reset();
    f();
    guest_.emplace(*this);
  }

  // frontend::VcpuServices
  void tlb_flush(const frontend::TlbFlush& flush) override;
  void wait_for_flushes() override;
  void context_changed(uint32_t spaces, uint32_t context) override;
  void upper_table_changed(uint32_t spaces, uint64_t base) override { tlb_.set_upper_table(spaces, base); }
  void mode_changed() override { tlb_.mode_changed(state_.mode); }
  void invalidate_code(uint64_t address, uint64_t size) override;
  void recheck_interrupts() override;
  void send_event() override;
  system::AddressSpace& memory() override { return memory_; }

  // jit::PageWalker
  bool walk(ir::CpuHeader& cpu, uint64_t va, ir::Access access, unsigned space,
            jit::GuestPage& page) override;
  void bus_error(ir::CpuHeader& cpu, uint64_t va, ir::Access access, unsigned space) override;
  unsigned fetch_space(uint32_t mode) const override { return soft_.frontend_.fetch_index(mode); }

  SoftSystem& soft_;
  const unsigned index_;
  ir::CpuHeader& state_;
  system::AddressSpace& memory_;
  jit::Tlb tlb_;
  std::unique_ptr<jit::ThreadContext> thread_;
  std::unique_ptr<jit::CompiledBlock> transient_;  ///< runs once, is in no map
  std::optional<InGuest> guest_;

  std::atomic<bool> in_guest_{false};
  std::mutex queue_mutex_;
  std::vector<jit::TlbScope> queue_;
  std::vector<std::pair<system::RamBlock*, uint64_t>> unsettled_;
  Owed owed_;            ///< the last number of each vCPU
  uint64_t posted_ = 0;  ///< under queue_mutex_
  std::atomic<uint64_t> done_{0};

  std::mutex sleep_mutex_;
  std::condition_variable sleep_;
  std::atomic<bool> sleeping_{false}, event_{false};
};

}  // namespace lyrebird::accel
