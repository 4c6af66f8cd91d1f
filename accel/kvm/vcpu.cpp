// SPDX-License-Identifier: Apache-2.0
#include "accel/kvm/vcpu.h"

#include <fmt/core.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "accel/kvm/linux_kvm.h"

namespace lyrebird::accel::kvm {
namespace {

/// What takes a thread out of KVM_RUN. Its handler does nothing: that there was a signal is enough.
int kick_signal() { return SIGRTMIN + 4; }

void install_kick_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    sigaction(kick_signal(), &action, nullptr);
  });
}

int this_thread() {
  static thread_local const int id = static_cast<int>(syscall(SYS_gettid));
  return id;
}

void set_immediate_exit(kvm_run* run, bool on) {
  __atomic_store_n(&run->immediate_exit, on ? 1 : 0, __ATOMIC_SEQ_CST);
}

}  // namespace

KvmVcpu::KvmVcpu(KvmAccelerator& owner, unsigned index, ir::CpuHeader& state, system::AddressSpace& memory)
    : owner_(owner), index_(index), state_(state), memory_(memory) {}

Result<std::unique_ptr<KvmVcpu>> KvmVcpu::create(KvmAccelerator& owner, unsigned index, ir::CpuHeader& state,
                                                 system::AddressSpace& memory) {
  install_kick_handler();
  std::unique_ptr<KvmVcpu> vcpu(new KvmVcpu(owner, index, state, memory));
  if (const auto done = vcpu->set_up(); !done) return done.error();
  return vcpu;
}

Result<void> KvmVcpu::set_up() {
  const Vm& vm = owner_.vm();
  const int fd = vm.fd().control(KVM_CREATE_VCPU, static_cast<unsigned long>(index_));
  if (fd < 0) {
    const int most = vm.check(KVM_CAP_MAX_VCPUS);
    if (fd == -EINVAL && most > 0 && index_ >= static_cast<unsigned>(most))
      return Error{fmt::format("-smp: this kernel's KVM has at most {} processors for a machine", most)};
    return Error{failure(fmt::format("KVM: processor {}", index_), fd)};
  }
  fd_ = Fd(fd);
  const size_t size = owner_.device_.run_size();
  void* const shared = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  if (shared == MAP_FAILED) return Error{failure("KVM: what a processor shares with the kernel", -errno)};
  run_ = static_cast<kvm_run*>(shared);
  if (index_ == 0)
    if (const int page = vm.check(KVM_CAP_COALESCED_MMIO); page > 0)
      owner_.vm().set_coalesced_ring(
          reinterpret_cast<kvm_coalesced_mmio_ring*>(static_cast<char*>(shared) + page * 4096));
  if (const unsigned entries = vm.options().dirty_ring; entries != 0) {
    void* const ring = mmap(nullptr, entries * sizeof(kvm_dirty_gfn), PROT_READ | PROT_WRITE, MAP_SHARED,
                            fd_.get(), KVM_DIRTY_LOG_PAGE_OFFSET * 4096);
    if (ring == MAP_FAILED) return Error{failure("KVM: a processor's dirty ring", -errno)};
    ring_ = static_cast<kvm_dirty_gfn*>(ring);
  }
  return set_up_arch();
}

KvmVcpu::~KvmVcpu() {
  owner_.forget(*this);
  if (ring_) munmap(ring_, owner_.vm().options().dirty_ring * sizeof(kvm_dirty_gfn));
  if (index_ == 0) owner_.vm().set_coalesced_ring(nullptr);
  if (run_) munmap(run_, owner_.device_.run_size());
}

void KvmVcpu::kick() {
  kicked_.store(true);
  poke();
}

void KvmVcpu::poke() {
  set_immediate_exit(run_, true);
  wake_.fetch_add(1);
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&wake_), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  // Who is not in KVM_RUN finds immediate_exit there; no signal is spent on it.
  if (const int thread = inside_.load(); thread != 0) {
    owner_.stats_.signals.fetch_add(1, std::memory_order_relaxed);
    syscall(SYS_tgkill, getpid(), thread, kick_signal());
  }
}

Exit KvmVcpu::run() {
  if (at_breakpoint_) {
    at_breakpoint_ = false;
    const Exit off = loop(true);
    if (off.kind != ir::ExitKind::Debug) return off;
  }
  return loop(false);
}

Exit KvmVcpu::step() {
  at_breakpoint_ = false;
  return loop(true);
}

Exit KvmVcpu::loop(bool single) {
  /// INT3s of the debugger's are in memory while this lives, or out of it for a step.
  struct Breakpoints {
    Breakpoints(KvmVcpu& cpu, bool step) : owner(cpu.owner_), single(step) {
      if (single) owner.begin_step();
      owner.enter(cpu);
    }
    ~Breakpoints() {
      owner.leave();
      if (single) owner.end_step();
    }
    KvmAccelerator& owner;
    const bool single;
  } const breakpoints(*this, single);
  Exit exit;
  if (const auto memory = owner_.vm().slots().status(); !memory) return fail(memory.error().message);
  apply_debug(single);
  for (;;) {
    if (!single && owner_.breakpoints_changed_.load() != seen_breakpoints_) apply_debug(false);
    inject();
    if (enter(exit)) {
      make_kept_writes();
      if (handle(single, exit)) break;
    } else if (exit.kind != ir::ExitKind::None) {
      break;
    }
    if (kicked_.load() && !unfinished_) {
      kicked_.store(false);
      set_immediate_exit(run_, false);
      exit = {ir::ExitKind::Interrupted, 0};
      break;
    }
  }
  make_kept_writes();  // devices as the guest left them: somebody may save them now
  return exit;
}

void KvmVcpu::make_kept_writes() {
  if (const unsigned count = owner_.vm().drain(memory_, owner_.ports_); count != 0)
    owner_.stats_.kept_back.fetch_add(count, std::memory_order_relaxed);
}

bool KvmVcpu::enter(Exit& failed) {
  // The kernel tries to run a processor whose I/O is complete, and comes back for immediate_exit.
  if (kicked_.load()) set_immediate_exit(run_, true);
  seen_changes_ = owner_.vm().slots().changes();
  inside_.store(this_thread());
  const int result = ioctl(fd_.get(), KVM_RUN, 0);
  const int error = errno;
  inside_.store(0);
  unfinished_ = false;
  synced_ = run_->kvm_valid_regs != 0;
  if (result == 0) {
    owner_.stats_.exits.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  if (error == EINTR || error == EAGAIN) {
    // Cleared before the requests are looked at: one that comes now sets it again, for the next time.
    set_immediate_exit(run_, false);
    return false;
  }
  if (error == EFAULT) {
    if (owner_.vm().slots().settle(seen_changes_)) return false;
    failed = fail(
        "the kernel cannot reach the guest's memory (a host page of it is gone: out of huge pages, or a "
        "truncated memory file?)");
    return false;
  }
  failed = fail(failure("KVM_RUN", -error));
  return false;
}

bool KvmVcpu::handle(bool single, Exit& exit) {
  switch (run_->exit_reason) {
    case KVM_EXIT_IO:
      port_io();
      return false;
    case KVM_EXIT_MMIO:
      memory_io();
      return false;
    case KVM_EXIT_HLT:
      halt();
      return false;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_SET_TPR:
      return false;
    case KVM_EXIT_DIRTY_RING_FULL:
      owner_.collect_writes();
      return false;
    case KVM_EXIT_DEBUG:
      if (!debug_exit(exit)) return false;
      at_breakpoint_ = !single;
      return true;
    case KVM_EXIT_SHUTDOWN:
      exit = {ir::ExitKind::Reset, 0};
      return true;
    case KVM_EXIT_SYSTEM_EVENT:
      exit = {
          run_->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN ? ir::ExitKind::Shutdown : ir::ExitKind::Reset,
          0};
      return true;
    case KVM_EXIT_FAIL_ENTRY:
      exit = fail(fmt::format("the hardware refuses the processor's state (reason {:#x}, host CPU {})\n{}",
                              uint64_t{run_->fail_entry.hardware_entry_failure_reason},
                              uint32_t{run_->fail_entry.cpu}, registers_text()));
      return true;
    case KVM_EXIT_INTERNAL_ERROR:
      return internal_error(exit);
    case KVM_EXIT_IOAPIC_EOI:
      if (owner_.options_.end_of_interrupt)
        owner_.options_.end_of_interrupt->end_of_interrupt(run_->eoi.vector);
      return false;
    default:
      exit = fail(fmt::format("KVM exit {} that this program does not know (detail {:#x})",
                              uint32_t{run_->exit_reason}, uint64_t{run_->hw.hardware_exit_reason}));
      return true;
  }
}

void KvmVcpu::port_io() {
  owner_.stats_.port_io.fetch_add(1, std::memory_order_relaxed);
  const auto& io = run_->io;
  auto* data = reinterpret_cast<uint8_t*>(run_) + io.data_offset;
  // The kernel's copy of the string instruction's operands: count elements at one port.
  for (uint32_t i = 0; i < io.count; ++i, data += io.size) {
    uint64_t value = 0;
    if (io.direction == KVM_EXIT_IO_OUT) {
      std::memcpy(&value, data, io.size);
      owner_.ports_.write(io.port, io.size, value);
    } else {
      const system::MemoryResult result = owner_.ports_.read(io.port, io.size);
      value = result.ok ? result.value : ~uint64_t{0};  // nothing pulls the bus down
      std::memcpy(data, &value, io.size);
    }
  }
  unfinished_ = true;
}

void KvmVcpu::memory_io() {
  owner_.stats_.memory_io.fetch_add(1, std::memory_order_relaxed);
  auto& io = run_->mmio;
  const unsigned size = io.len <= 8 ? io.len : 8;
  uint64_t value = 0;
  if (io.is_write) {
    std::memcpy(&value, io.data, size);
    memory_.write(io.phys_addr, size, value);
  } else {
    const system::MemoryResult result = memory_.read(io.phys_addr, size);
    value = result.ok ? result.value : ~uint64_t{0};
    std::memcpy(io.data, &value, size);
  }
  unfinished_ = true;
}

void KvmVcpu::halt() {
  owner_.stats_.halts.fetch_add(1, std::memory_order_relaxed);
  for (;;) {
    const uint32_t seen = wake_.load();
    if (kicked_.load() || wakes_from_halt()) return;
    syscall(SYS_futex, reinterpret_cast<uint32_t*>(&wake_), FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
  }
}

void KvmVcpu::harvest() {
  if (!ring_) return;
  const uint32_t mask = owner_.vm().options().dirty_ring - 1;
  for (;; ++ring_next_) {
    kvm_dirty_gfn& entry = ring_[ring_next_ & mask];
    if (!(__atomic_load_n(&entry.flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY)) return;
    owner_.vm().slots().mark(entry.slot, entry.offset);
    __atomic_store_n(&entry.flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
  }
}

Exit KvmVcpu::fail(const std::string& why) {
  std::fprintf(stderr, "lyrebird: processor %u under KVM: %s\n", index_, why.c_str());
  return {ir::ExitKind::Error, 0};
}

bool KvmVcpu::internal_error(Exit& exit) {
  const auto& error = run_->internal;
  // Code that was being fetched while its memory was replaced: there now.
  if (error.suberror == KVM_INTERNAL_ERROR_EMULATION && owner_.vm().slots().settle(seen_changes_))
    return false;
  std::string text;
  switch (error.suberror) {
    case KVM_INTERNAL_ERROR_EMULATION:
      text = "the kernel cannot emulate an instruction, and the hardware would not run it\n";
      break;
    case KVM_INTERNAL_ERROR_SIMUL_EX:
      text = "two exceptions at once that the kernel cannot merge\n";
      break;
    case KVM_INTERNAL_ERROR_DELIVERY_EV:
      text = "an exception or interrupt could not be delivered (is its stack or table device memory?)\n";
      break;
    default:
      text = fmt::format("internal error {} of KVM\n", uint32_t{error.suberror});
  }
  if (const auto read = read_state(); !read) {
    exit = fail(text + read.error().message);
    return true;
  }
  std::vector<uint8_t> code = code_bytes();
  std::string bytes;
  for (size_t i = 0; i < code.size() && i < 15; ++i) bytes += fmt::format("{}{:02x}", i ? " " : "", code[i]);
  text += fmt::format("  at   {:#x}: {}\n", state_.pc, code.empty() ? "no memory there" : bytes);
  std::string line;
  if (owner_.options_.disassembler && !code.empty())
    owner_.options_.disassembler(state_.pc, state_.mode, code.data(), code.size(), line);
  if (!line.empty()) text += "  code " + line;
  text += registers_text();
  text += "  try  a -cpu without the feature that the instruction is of, so that the guest does not use it";
  exit = fail(text);
  return true;
}

}  // namespace lyrebird::accel::kvm
