// SPDX-License-Identifier: Apache-2.0
#include "user/elf/stack.h"

#include <elf.h>
#include <fmt/format.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/bits.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

namespace lyrebird::user {
namespace {

/// Unmapped pages below the stack, as the kernel's stack_guard_gap.
constexpr uint64_t kGuard = 256 * kPage;

/// Writes downwards from the top.
class StackWriter {
 public:
  StackWriter(AddressSpace& memory, const DataModel& model, uint64_t top, uint64_t bottom)
      : memory_(memory), model_(model), at_(top), bottom_(bottom) {}

  uint64_t bytes(const void* from, size_t size) {
    if (size > at_ - bottom_) {
      full_ = true;
      return at_;
    }
    at_ -= size;
    full_ |= !memory_.write(at_, from, size);
    return at_;
  }
  uint64_t string(const std::string& text) { return bytes(text.c_str(), text.size() + 1); }
  void align(uint64_t alignment) { at_ = align_down(at_, alignment); }
  /// `words` so that the first ends up lowest and sp is a multiple of 16.
  uint64_t words(const std::vector<uint64_t>& values) {
    std::vector<uint8_t> raw(values.size() * model_.word);
    for (size_t i = 0; i < values.size(); ++i) {
      const uint64_t value =
          model_.big_endian ? __builtin_bswap64(values[i]) >> (64 - 8 * model_.word) : values[i];
      std::memcpy(&raw[i * model_.word], &value, model_.word);
    }
    at_ = align_down(at_ - raw.size(), 16) + raw.size();
    return bytes(raw.data(), raw.size());
  }
  uint64_t at() const { return at_; }
  bool full() const { return full_; }

 private:
  AddressSpace& memory_;
  const DataModel& model_;
  uint64_t at_, bottom_;
  bool full_ = false;
};

std::vector<uint64_t> push_strings(const std::vector<std::string>& strings, StackWriter& stack) {
  std::vector<uint64_t> addresses(strings.size());
  for (size_t i = strings.size(); i-- > 0;) addresses[i] = stack.string(strings[i]);
  return addresses;
}

std::vector<uint64_t> make_auxv(const Process& process, const StackInputs& in, uint64_t exec_name,
                                uint64_t platform, uint64_t random) {
  std::vector<uint64_t> auxv;
  auto add = [&](uint64_t type, uint64_t value) { auxv.insert(auxv.end(), {type, value}); };
  if (in.vdso && process.abi.vdso_syscall_offset())
    add(AT_SYSINFO, in.vdso + process.abi.vdso_syscall_offset());
  if (in.vdso) add(AT_SYSINFO_EHDR, in.vdso);
  add(AT_MINSIGSTKSZ, process.abi.min_signal_stack);
  add(AT_HWCAP, process.cpu.hwcap);
  add(AT_PAGESZ, kPage);
  add(AT_CLKTCK, 100);
  add(AT_PHDR, in.program_headers);
  add(AT_PHENT, in.header_size);
  add(AT_PHNUM, in.header_count);
  add(AT_BASE, in.interpreter_base);
  add(AT_FLAGS, 0);
  add(AT_ENTRY, in.entry);
  add(AT_UID, ::getuid());
  add(AT_EUID, ::geteuid());
  add(AT_GID, ::getgid());
  add(AT_EGID, ::getegid());
  add(AT_SECURE, ::getauxval(AT_SECURE));
  add(AT_RANDOM, random);
  add(AT_HWCAP2, process.cpu.hwcap2);
  add(AT_EXECFN, exec_name);
  add(AT_PLATFORM, platform);
  add(AT_NULL, 0);
  return auxv;
}

}  // namespace

Result<void> build_stack(Process& process, const StackInputs& inputs) {
  const SpaceLayout& layout = process.memory.layout();
  MapRequest request;
  request.size = align_up(process.options.stack_size, kPage);
  request.address = layout.mmap_top + kGuard;
  request.prot = PROT_READ | PROT_WRITE | (inputs.executable ? PROT_EXEC : 0u);
  request.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  request.name = "[stack]";
  const int64_t mapped = process.memory.map(request);
  if (mapped < 0)
    return Error{fmt::format("a stack of {} bytes can't be mapped: {}; choose another size with -s",
                             request.size, std::strerror(static_cast<int>(-mapped)))};
  const uint64_t bottom = static_cast<uint64_t>(mapped);
  const uint64_t top = bottom + request.size;

  Program& program = process.program;
  StackWriter stack(process.memory, process.abi.model, top - 16, bottom);
  const uint64_t exec_name = stack.string(inputs.exec_name);
  program.env_end = stack.at();
  const std::vector<uint64_t> environment = push_strings(program.environment, stack);
  program.env_start = program.arg_end = stack.at();
  const std::vector<uint64_t> arguments = push_strings(program.arguments, stack);
  program.arg_start = stack.at();
  const uint64_t platform = stack.string(process.cpu.platform);
  uint8_t random_bytes[16];
  if (::getrandom(random_bytes, sizeof random_bytes, 0) < 0) return Error{"getrandom: no random numbers"};
  stack.align(16);
  const uint64_t random = stack.bytes(random_bytes, sizeof random_bytes);

  program.auxv = make_auxv(process, inputs, exec_name, platform, random);
  std::vector<uint64_t> words{arguments.size()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  words.push_back(0);
  words.insert(words.end(), environment.begin(), environment.end());
  words.push_back(0);
  words.insert(words.end(), program.auxv.begin(), program.auxv.end());
  program.stack_pointer = stack.words(words);
  if (stack.full())
    return Error{fmt::format("arguments and environment do not fit a stack of {} bytes; give more with -s",
                             request.size)};
  return {};
}

}  // namespace lyrebird::user
