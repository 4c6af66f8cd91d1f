// SPDX-License-Identifier: Apache-2.0
// Random blocks of x87 code on each executor against the host: what single instructions don't show is
// what an executor keeps on the host's stack from one to the next.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "accel/soft/soft.h"
#include "base/fault_guard.h"
#include "frontend/x86/cpu_model.h"
#include "frontend/x86/segments.h"
#include "frontend/x86/x86_frontend.h"
#include "frontend/x86/x86_state.h"
#include "tests/unit/ir/fp_cases.h"

#if defined(__x86_64__)

namespace lyrebird::x86 {
namespace {

using test::Random;

constexpr uint64_t kCode = 0x30000000;
constexpr unsigned kMemory = 256;

struct [[gnu::packed]] Image {
  uint32_t control, status, tags, ip, cs, dp, ds;
  uint8_t st[8][10];
  uint64_t rax, rflags;
};

void on_fault(int signal, siginfo_t* info, void* context) {
  FaultGuard::deliver(signal, *info, context);
  std::signal(signal, SIG_DFL);
}

/// Bytes of code, and how many registers are in use.
class Code {
 public:
  explicit Code(Random& random) : random_(random) { bytes({0x39, 0xc0}); }  // cmp eax, eax

  void add() {
    switch (random_.below(14)) {
      case 0:
      case 1:
      case 2:
        return load();
      case 3:
      case 4:
        return depth_ > 0 ? arithmetic_memory() : load();
      case 5:
      case 6:
      case 7:
        return depth_ > 1 ? arithmetic() : load();
      case 8:
      case 9:
        return depth_ > 0 ? store() : load();
      case 10:
        return depth_ > 1 ? compare() : load();
      case 11:
        return depth_ > 0 ? unary() : load();
      case 12:
        return depth_ > 1 ? move() : load();
      default:
        return control();
    }
  }
  const std::vector<uint8_t>& code() const { return code_; }
  void bytes(std::initializer_list<unsigned> list) {
    for (const unsigned b : list) code_.push_back(static_cast<uint8_t>(b));
  }

 private:
  uint8_t pick(std::initializer_list<unsigned> list) {
    return static_cast<uint8_t>(list.begin()[random_.below(list.size())]);
  }
  unsigned some() { return static_cast<unsigned>(random_.below(depth_)); }
  void memory(unsigned opcode, unsigned digit) {
    bytes({opcode, 0x46 | digit << 3, static_cast<unsigned>(random_.below(7) * 16)});
  }
  void load() {
    if (depth_ == 8) return store();
    switch (random_.below(9)) {
      case 0:
        memory(0xd9, 0);
        break;
      case 1:
        memory(0xdb, 5);
        break;
      case 2:
        memory(0xdf, 0);
        break;
      case 3:
        memory(0xdb, 0);
        break;
      case 4:
        memory(0xdf, 5);
        break;
      case 5:
        bytes({0xd9, 0xe8u + static_cast<unsigned>(random_.below(7))});
        break;
      case 6:
        if (depth_ > 0) {
          bytes({0xd9, 0xc0 + some()});
          break;
        }
        [[fallthrough]];
      default:
        memory(0xdd, 0);
        break;
    }
    ++depth_;
  }
  void arithmetic_memory() {
    const unsigned digit = pick({0, 1, 4, 5, 6, 7});
    memory(pick({0xd8, 0xdc, 0xda, 0xde, 0xd8, 0xdc}), digit);
  }
  void arithmetic() {
    const unsigned group = pick({0xc0, 0xc8, 0xe0, 0xe8, 0xf0, 0xf8});
    const unsigned opcode = pick({0xd8, 0xdc, 0xde});
    bytes({opcode, group + (opcode == 0xde ? 1 + static_cast<unsigned>(random_.below(depth_ - 1)) : some())});
    if (opcode == 0xde) --depth_;
  }
  void store() {
    switch (random_.below(9)) {
      case 0:
        return memory(0xd9, 2);
      case 1:
        return memory(0xdd, 2);
      case 2:
        memory(0xd9, 3);
        break;
      case 3:
        memory(0xdb, 7);
        break;
      case 4:
        memory(0xdb, 3);
        break;
      case 5:
        memory(0xdf, 7);
        break;
      case 6:
        memory(0xdd, 1);
        break;
      case 7:
        return memory(0xdf, 2);
      default:
        memory(0xdd, 3);
        break;
    }
    --depth_;
  }
  /// After FCOMI something that clears C1, in which processors differ.
  void compare() {
    switch (random_.below(8)) {
      case 0:
        bytes({0xd8, 0xd0 + some()});
        break;
      case 1:
        bytes({0xdd, 0xe0 + some()});
        break;
      case 2:
        bytes({0xdb, 0xf0 + some(), 0xd9, 0xc9});
        break;
      case 3:
        bytes({0xdf, 0xe8 + some()});
        --depth_;
        if (depth_ == 0) return bytes({0xd9, 0xe8}), void(++depth_);
        bytes({0xd9, 0xc8});
        break;
      case 4:
        memory(0xdc, 2);
        break;
      case 5:
        memory(0xd8, 3);
        --depth_;
        break;
      case 6:
        bytes({0xd9, 0xe4});
        break;
      default:
        bytes({0xde, 0xd9});
        depth_ -= 2;
        break;
    }
    if (random_.below(2)) bytes({0xdf, 0xe0});
  }
  void unary() { bytes({0xd9, pick({0xe0, 0xe1, 0xfa, 0xfc, 0xe0, 0xe5, 0xfe})}); }
  void move() {
    switch (random_.below(5)) {
      case 0:
        bytes({0xdd, 0xd0 + some()});
        break;
      case 1:
        bytes({0xdd, 0xd8 + some()});
        --depth_;
        break;
      case 2:
        bytes({pick({0xda, 0xdb}), pick({0xc0, 0xc8, 0xd0, 0xd8}) + some()});
        break;
      default:
        bytes({0xd9, 0xc8 + some()});
        break;
    }
  }
  void control() {
    switch (random_.below(5)) {
      case 0:
        return bytes({0xdf, 0xe0});  // fnstsw ax
      case 1:
        return bytes({0xd9, 0x6e, 0x70u + 2 * static_cast<unsigned>(random_.below(8))});  // fldcw
      case 2:
        return bytes({0xeb, 0x00});  // the next block
      case 3:
        return bytes({0xdb, 0xe2});  // fnclex
      default:
        return bytes({0xd9, 0xd0});
    }
  }

  Random& random_;
  std::vector<uint8_t> code_;
  unsigned depth_ = 0;
};

void random_bytes(Random& random, uint8_t* memory) {
  for (unsigned k = 0; k < 7; ++k) {
    uint8_t* const to = memory + 16 * k;
    const uint64_t bits = random.next();
    switch (random.below(6)) {
      case 0: {  // F64, any
        std::memcpy(to, &bits, 8);
        break;
      }
      case 1: {  // F32 twice, middling
        const uint32_t f = static_cast<uint32_t>(0x3f000000 + (bits & 0x1ffffff));
        std::memcpy(to, &f, 4);
        std::memcpy(to + 4, &f, 4);
        break;
      }
      case 2: {
        const uint64_t n = bits >> random.below(64);
        std::memcpy(to, &n, 8);
        break;
      }
      default: {
        const uint64_t d = 0x3fe0000000000000 + (bits >> 9) % 0x60000000000000;
        std::memcpy(to, &d, 8);
        break;
      }
    }
    const auto exponent = static_cast<uint16_t>(0x3ff0 + random.below(32));
    std::memcpy(to + 8, &exponent, 2);
    if (random.below(3)) to[7] |= 0x80;
  }
  // Control words, all exceptions masked.
  for (unsigned k = 0; k < 8; ++k) {
    const uint16_t word = random.below(3)
                              ? 0x37f
                              : static_cast<uint16_t>(0x7f | random.below(4) << 10 |
                                                      (random.below(2) ? 0x300 : random.below(2) << 9));
    std::memcpy(memory + 0x70 + 2 * k, &word, 2);
  }
}

class Source final : public frontend::CodeSource {
 public:
  bool fetch(uint64_t pc, void* to, unsigned size) override {
    const uint64_t offset = pc - kCode;
    if (offset > bytes.size() || bytes.size() - offset < size) return false;
    std::memcpy(to, bytes.data() + offset, size);
    return true;
  }
  bool guarded(uint64_t) const override { return false; }
  std::vector<uint8_t> bytes;
};

/// What is called has no type for the sanitizer to look at.
[[clang::no_sanitize("function")]] void run_host(uint8_t* buffer, const std::vector<uint8_t>& code,
                                                 Image* image, uint8_t* memory) {
  std::vector<uint8_t> all = {0xdd, 0x27, 0x31, 0xc0};  // frstor [rdi]; xor eax, eax
  all.insert(all.end(), code.begin(), code.end());
  // mov [rdi + 108], rax; pushfq; pop [rdi + 116]; fnsave [rdi]; ret
  for (const unsigned b : {0x48, 0x89, 0x47, 0x6c, 0x9c, 0x8f, 0x47, 0x74, 0xdd, 0x37, 0xc3})
    all.push_back(static_cast<uint8_t>(b));
  std::memcpy(buffer, all.data(), all.size());
  reinterpret_cast<void (*)(Image*, uint8_t*)>(buffer)(image, memory);
}

class X87Blocks : public testing::TestWithParam<accel::Executor> {};

TEST_P(X87Blocks, Agree) {
  auto* const buffer = static_cast<uint8_t*>(
      mmap(nullptr, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  auto* const nothing =
      static_cast<uint8_t*>(mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  struct sigaction action{}, old;
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  sigaction(SIGSEGV, &action, &old);
  X86Frontend frontend(*find_cpu_model("max"));
  Source source;
  accel::SoftAccelerator accelerator(frontend, source, {.executor = GetParam(), .zero_base = true});
  X86State state;
  const auto vcpu = accelerator.create_vcpu(state.header);
  Random random(7);
  for (unsigned n = 0; n < 3000; ++n) {
    Code code(random);
    for (uint64_t k = 1 + random.below(20); k > 0; --k) code.add();
    alignas(16) uint8_t memory[kMemory] = {}, expected[kMemory];
    random_bytes(random, memory);
    std::memcpy(expected, memory, kMemory);
    Image image{};
    image.control = 0x37f;
    image.tags = 0xffff;
    run_host(buffer, code.code(), &image, expected);

    // Ends with a fault in the middle of a block half of the time: fadd qword [rdx], fld qword [rdx].
    const bool faults = random.below(2);
    if (faults) code.bytes({random.below(2) ? 0xdcu : 0xddu, 0x02});
    code.bytes({0xcc});
    source.bytes = code.code();
    accelerator.invalidate(kCode, 4096);
    new (&state) X86State;
    set_eflags(state, 0x202);
    enter_user_mode(state, Mode::k64);
    state.gpr[kRsi] = reinterpret_cast<uint64_t>(memory);
    state.gpr[kRdx] = reinterpret_cast<uint64_t>(nothing);
    state.header.pc = kCode;
    const accel::Exit exit = vcpu->run();
    std::string text;
    for (const uint8_t b : source.bytes) {
      char hex[4];
      std::snprintf(hex, sizeof hex, "%02x ", b);
      text += hex;
    }
    ASSERT_EQ(exit.kind, faults ? ir::ExitKind::MemoryFault : ir::ExitKind::Breakpoint) << n << ": " << text;
    EXPECT_EQ(x87_tags(state), image.tags & 0xffff) << n << ": " << text;
    // C1 may be late at a fault.
    EXPECT_EQ(x87_status(state) & (faults ? ~0x200 : ~0), image.status & (faults ? 0xfdff : 0xffff))
        << std::hex << n << ": " << text << " " << x87_status(state) << " host " << image.status;
    EXPECT_EQ(state.gpr[kRax] & 0xffff, image.rax & 0xffff) << std::hex << n << ": " << text;
    EXPECT_EQ(eflags(state) & 0x8d5, image.rflags & 0x8d5) << n << ": " << text;
    for (unsigned i = 0; i < 8; ++i) {
      const unsigned physical = (x87_top_of_mode(state.header.mode) + i) & 7;
      if (!(x87_used(state) >> physical & 1)) continue;
      EXPECT_EQ(std::memcmp(state.x87[physical], image.st[i], 10), 0) << n << ": " << text << " st" << i;
    }
    EXPECT_EQ(std::memcmp(memory, expected, kMemory), 0) << n << ": " << text;
    if (HasFailure()) break;
  }
  sigaction(SIGSEGV, &old, nullptr);
  munmap(buffer, 8192);
  munmap(nothing, 4096);
}

INSTANTIATE_TEST_SUITE_P(Executors, X87Blocks,
                         testing::Values(accel::Executor::Interp, accel::Executor::Baseline),
                         [](const auto& info) {
                           return info.param == accel::Executor::Baseline ? "baseline" : "interp";
                         });

}  // namespace
}  // namespace lyrebird::x86

#endif  // __x86_64__
