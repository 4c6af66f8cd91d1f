// SPDX-License-Identifier: Apache-2.0
// Guest instructions a second of the interpreter on small A64 loops, in millions.
//   interp_loop [LOOP [MILLIONS]]
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "accel/soft/soft.h"
#include "frontend/arm/a64_frontend.h"
#include "frontend/arm/a64_state.h"

namespace {

using namespace lyrebird;

constexpr uint64_t kCode = 0x400000;

struct Loop {
  const char* name;
  unsigned instructions;  ///< an iteration, about
  std::vector<uint32_t> words;
};

const Loop kLoops[] = {
    // add x0, x0, x1; eor x2, x0, x3; lsr x4, x2, #3; subs x5, x5, #1; b.ne
    {"integer", 5, {0x8b010000, 0xca030002, 0xd343fc44, 0xf10004a5, 0x54ffff81, 0xd4000001}},
    // A table CRC that also writes a log:
    // ldrb w2, [x0], #1; eor w3, w1, w2; and w3, w3, #255; ldr w4, [x6, w3, uxtw #2];
    // eor w1, w4, w1, lsr #8; str w1, [x7, x8, lsl #2]; add x8, x8, #1; and x8, x8, #255;
    // cmp x0, x5; b.ne
    {"memory",
     10,
     {0x38401402, 0x4a020023, 0x12001c63, 0xb86358c4, 0x4a412081, 0xb82878e1, 0x91000508, 0x92401d08,
      0xeb05001f, 0x54fffee1, 0xd4000001}},
    // stp x29, x30, [sp, #-16]!; mov x29, sp; bl f; ldp x29, x30, [sp], #16; sub w5, w5, #1; cbnz w5
    // f: ldr x1, [x6, #8]; cmp x1, w5, uxtw; csel x2, x1, x3, lo; tst w2, #4; b.eq +8;
    //    add x3, x3, x2, lsl #1; ret
    {"calls",
     13,
     {0xa9bf7bfd, 0x910003fd, 0x94000005, 0xa8c17bfd, 0x510004a5, 0x35ffff65, 0xd4000001, 0xf94004c1,
      0xeb25403f, 0x9a833022, 0x721e005f, 0x54000040, 0x8b020463, 0xd65f03c0}},
};

class Words final : public frontend::CodeSource {
 public:
  explicit Words(const std::vector<uint32_t>& words) : words_(words) {}
  bool fetch(uint64_t pc, void* to, unsigned size) override {
    if (pc < kCode || pc + size > kCode + 4 * words_.size()) return false;
    std::memcpy(to, reinterpret_cast<const uint8_t*>(words_.data()) + (pc - kCode), size);
    return true;
  }
  bool guarded(uint64_t) const override { return false; }

 private:
  const std::vector<uint32_t>& words_;
};

/// Of this thread: the machine may be doing something else, too.
double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

void measure(const Loop& loop, uint64_t millions) {
  const uint64_t iterations = millions * 1000000 / loop.instructions;
  Words code(loop.words);
  arm::A64Frontend frontend(*arm::find_cpu_model("max"));
  accel::SoftAccelerator accelerator(frontend, code);
  std::vector<uint8_t> text(iterations + 64);
  std::vector<uint32_t> table(1024, 0x12345678);

  arm::A64State state;
  const auto vcpu = accelerator.create_vcpu(state.header);
  state.header.pc = kCode;
  state.x[0] = reinterpret_cast<uint64_t>(text.data());
  state.x[5] = loop.instructions == 10 ? state.x[0] + iterations : iterations;
  state.x[6] = reinterpret_cast<uint64_t>(table.data());
  state.x[7] = state.x[6];
  state.x[1] = 0x1234567;
  state.x[3] = 0x89abcdef;
  state.sp = state.x[6] + 2048;

  const double start = cpu_seconds();
  const accel::Exit exit = vcpu->run();
  const double seconds = cpu_seconds() - start;
  if (exit.kind != ir::ExitKind::Syscall) {
    std::fprintf(stderr, "interp_loop: %s ended with %s\n", loop.name, ir::name(exit.kind).data());
    std::exit(1);
  }
  std::printf("%-8s %7.1f M instr/s\n", loop.name,
              static_cast<double>(iterations) * loop.instructions / seconds / 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  const char* const only = argc > 1 ? argv[1] : "";
  const uint64_t millions = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 200;
  for (const Loop& loop : kLoops)
    if (std::strstr(loop.name, only)) measure(loop, millions);
  return 0;
}
