// SPDX-License-Identifier: Apache-2.0
#include "tests/diff/machines.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/fault_guard.h"

namespace lyrebird::diff {

namespace {

// Guest addresses that tests form lie around the data page, around zero, or far out.
constexpr uint64_t kBelow = uint64_t{1} << 30;
constexpr uint64_t kReservation = kBelow + 3 * DIFF_DATA;

void on_fault(int signal, siginfo_t* info, void* context) {
  FaultGuard::deliver(signal, *info, context);
  std::signal(signal, SIG_DFL);
}

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(2);
}

}  // namespace

class Ours::Code final : public frontend::CodeSource {
 public:
  Code() {
    for (uint32_t& word : words) word = kDiffUdf;
  }
  bool fetch(uint64_t pc, void* to, unsigned size) override {
    const uint64_t offset = pc - DIFF_CODE;
    if (offset > kDiffPage - size) return false;
    std::memcpy(to, reinterpret_cast<const uint8_t*>(words) + offset, size);
    return true;
  }
  bool guarded(uint64_t) const override { return false; }

  uint32_t words[kDiffPage / 4];
};

Ours::Ours(const accel::SoftOptions& options)
    : code_(std::make_unique<Code>()),
      frontend_(*arm::find_cpu_model("max")),
      accelerator_(frontend_, *code_, options),
      vcpu_(accelerator_.create_vcpu(state_.header)) {
  void* const at = mmap(nullptr, kReservation, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) fail("mmap");
  reservation_ = static_cast<uint8_t*>(at);
  data_ = reservation_ + kBelow + DIFF_DATA;
  readable_code_ = reservation_ + kBelow + DIFF_CODE;
  for (uint8_t* const page : {data_, readable_code_})
    if (mprotect(page, kDiffPage, PROT_READ | PROT_WRITE) != 0) fail("mprotect");
  state_.header.memory_base = reinterpret_cast<uint64_t>(reservation_) + kBelow;

  struct sigaction action{};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

Ours::~Ours() { munmap(reservation_, kReservation); }

void Ours::load(const DiffInput& in) {
  diff_fill_memory(in.memory_seed, reinterpret_cast<uint64_t*>(data_));
  for (uint32_t i = 0; i < kDiffMaxWords; ++i) code_->words[i] = i < in.word_count ? in.words[i] : kDiffUdf;
  std::memcpy(readable_code_, code_->words, kDiffPage);
  accelerator_.invalidate(DIFF_CODE, kDiffPage);
  std::memcpy(state_.x, in.state.x, sizeof state_.x);
  state_.sp = in.state.sp;
  std::memcpy(state_.v, in.state.v, sizeof state_.v);
  arm::set_nzcv(state_, in.state.nzcv);
  arm::set_fpcr(state_, in.state.fpcr);
  arm::set_fpsr(state_, in.state.fpsr);
  state_.header.pc = DIFF_CODE;
  state_.header.exclusive_size = 0;
}

void Ours::save(const accel::Exit& exit, DiffOutput& out) {
  std::memcpy(out.state.x, state_.x, sizeof state_.x);
  out.state.sp = state_.sp;
  std::memcpy(out.state.v, state_.v, sizeof state_.v);
  out.state.nzcv = arm::nzcv(state_);
  out.state.fpcr = state_.fpcr;
  out.state.fpsr = arm::fpsr(state_);
  out.state.pad = 0;
  out.pc = state_.header.pc;
  out.memory_hash = diff_hash_memory(reinterpret_cast<const uint64_t*>(data_));
  out.pad = 0;
  switch (exit.kind) {
    case ir::ExitKind::MemoryFault:
      out.signal = static_cast<uint32_t>(state_.header.fault_signal);
      break;
    case ir::ExitKind::FetchFault:
      out.signal = SIGSEGV;
      break;
    case ir::ExitKind::Unaligned:
      out.signal = SIGBUS;
      break;
    case ir::ExitKind::Breakpoint:
      out.signal = SIGTRAP;
      break;
    default:
      out.signal = SIGILL;
      break;
  }
}

accel::Exit Ours::run_words(bool single_step) {
  constexpr unsigned kMaxRounds = 64;
  for (unsigned i = 0; i < kMaxRounds; ++i) {
    const accel::Exit exit = single_step ? vcpu_->step() : vcpu_->run();
    const bool goes_on = exit.kind == ir::ExitKind::Debug || exit.kind == ir::ExitKind::Yield ||
                         exit.kind == ir::ExitKind::InvalidateCode;
    if (!goes_on) return exit;
  }
  return {ir::ExitKind::Interrupted, 0};
}

bool Ours::run(const DiffInput& in, DiffOutput& out, bool single_step) {
  load(in);
  const accel::Exit exit = run_words(single_step);
  if (exit.kind == ir::ExitKind::Interrupted) return false;
  save(exit, out);
  return true;
}

Peer::Peer(const std::string& guest) : guest_(guest) {
  std::signal(SIGPIPE, SIG_IGN);
  start();
}

Peer::~Peer() { stop(); }

void Peer::start() {
  int in[2], out[2];
  if (pipe(in) != 0 || pipe(out) != 0) fail("pipe");
  pid_ = fork();
  if (pid_ < 0) fail("fork");
  if (pid_ == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    for (const int fd : {in[0], in[1], out[0], out[1]}) close(fd);
    execlp("qemu-aarch64", "qemu-aarch64", "-cpu", "max,sve=off,sme=off", guest_.c_str(), nullptr);
    fail("qemu-aarch64");
  }
  close(in[0]);
  close(out[1]);
  to_ = in[1];
  from_ = out[0];
}

void Peer::stop() {
  close(to_);
  close(from_);
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool Peer::transfer(bool out, void* at, size_t size) {
  auto* p = static_cast<uint8_t*>(at);
  while (size != 0) {
    const ssize_t n = out ? write(to_, p, size) : read(from_, p, size);
    if (n <= 0) {
      stop();
      start();
      return false;
    }
    p += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

bool Peer::run(std::span<const DiffInput> in, std::span<DiffOutput> out) {
  auto count = static_cast<uint32_t>(in.size());
  return transfer(true, &count, sizeof count) &&
         transfer(true, const_cast<DiffInput*>(in.data()), in.size_bytes()) &&
         transfer(false, out.data(), out.size_bytes());
}

bool Peer::run(DiffInput in, DiffOutput& out, std::vector<uint8_t>& memory) {
  in.want_memory = 1;
  memory.resize(kDiffPage);
  return run({&in, 1}, {&out, 1}) && transfer(false, memory.data(), memory.size());
}

}  // namespace lyrebird::diff
