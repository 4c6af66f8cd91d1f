// SPDX-License-Identifier: Apache-2.0
/// A guest goes from one machine to the next in the middle of its work. Needs /dev/kvm.
#include <elf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "accel/kvm/device.h"
#include "machines/microvm.h"
#include "machines/saved_state.h"

namespace lyrebird::machines {
namespace {

// For PVH's entry, 32-bit: eax = 0; for ecx = kTurns .. 1: eax = eax * 33 + ecx, and every 65536 turns a
// dot to the serial line; then eax to it in hexadecimal, and a reset through port 0x64.
constexpr uint32_t kTurns = 0x100000;
constexpr uint8_t kProgram[] = {
    0x31, 0xc0,                    // xor eax, eax
    0xb9, 0x00, 0x00, 0x10, 0x00,  // mov ecx, kTurns
    0x6b, 0xc0, 0x21,              // 1: imul eax, eax, 33
    0x01, 0xc8,                    // add eax, ecx
    0x66, 0x85, 0xc9,              // test cx, cx
    0x75, 0x0b,                    // jnz 2f
    0x89, 0xc3,                    // mov ebx, eax
    0xb0, 0x2e,                    // mov al, '.'
    0x66, 0xba, 0xf8, 0x03,        // mov dx, 0x3f8
    0xee,                          // out dx, al
    0x89, 0xd8,                    // mov eax, ebx
    0x49,                          // 2: dec ecx
    0x75, 0xe8,                    // jnz 1b
    0x89, 0xc3,                    // mov ebx, eax
    0xb9, 0x08, 0x00, 0x00, 0x00,  // mov ecx, 8
    0x66, 0xba, 0xf8, 0x03,        // mov dx, 0x3f8
    0xc1, 0xc3, 0x04,              // 3: rol ebx, 4
    0x89, 0xd8,                    // mov eax, ebx
    0x24, 0x0f,                    // and al, 15
    0x04, 0x41,                    // add al, 'A'
    0xee,                          // out dx, al
    0x49,                          // dec ecx
    0x75, 0xf3,                    // jnz 3b
    0xb0, 0xfe,                    // mov al, 0xfe
    0xe6, 0x64,                    // out 0x64, al
    0xeb, 0xfe,                    // jmp .
};

std::string expected_answer() {
  uint32_t sum = 0;
  std::string text;
  for (uint32_t turn = kTurns; turn != 0; --turn) {
    sum = sum * 33 + turn;
    if ((turn & 0xffff) == 0) text += '.';
  }
  for (unsigned i = 0; i < 8; ++i) text += static_cast<char>('A' + (sum >> (28 - 4 * i) & 15));
  return text;
}

struct Collector final : system::CharBackend {
  void write(std::span<const uint8_t> bytes) override { text.append(bytes.begin(), bytes.end()); }
  void set_receiver(system::CharReceiver*) override {}
  void accept_input() override {}
  std::string text;
};

/// An ELF file with one piece and a PVH note.
std::string write_kernel() {
  std::string path = testing::TempDir() + "microvm-state-kernel";
  Elf32_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS32;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_EXEC;
  header.e_machine = EM_386;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf32_Phdr);
  header.e_phnum = 2;
  Elf32_Phdr parts[2]{};
  const uint32_t note[] = {4, 4, 18, 0x006e6558, 0x200000};
  parts[0].p_type = PT_NOTE;
  parts[0].p_offset = sizeof header + sizeof parts;
  parts[0].p_filesz = sizeof note;
  parts[1].p_type = PT_LOAD;
  parts[1].p_offset = static_cast<uint32_t>(parts[0].p_offset + sizeof note);
  parts[1].p_paddr = 0x200000;
  parts[1].p_filesz = parts[1].p_memsz = sizeof kProgram;
  FILE* const file = std::fopen(path.c_str(), "wb");
  std::fwrite(&header, sizeof header, 1, file);
  std::fwrite(parts, sizeof parts, 1, file);
  std::fwrite(note, sizeof note, 1, file);
  std::fwrite(kProgram, sizeof kProgram, 1, file);
  std::fclose(file);
  return path;
}

TEST(MicrovmState, AGuestGoesOnInAHundredOtherMachines) {
  if (const auto device = accel::kvm::Device::open(); !device) GTEST_SKIP() << device.error().message;
  MicrovmOptions options;
  options.ram_size = 4 << 20;
  options.ram.huge_pages = false;
  options.boot.kernel = write_kernel();
  Collector serial;
  options.serial = &serial;
  const std::string state = testing::TempDir() + "microvm-state";
  unsigned moves = 0;
  for (bool ended = false; !ended;) {
    system::EventLoop loop;
    auto machine = MicrovmMachine::create(loop, options);
    ASSERT_TRUE(machine.ok()) << machine.error().message;
    if (moves > 0) {
      const auto loaded = load_machine(**machine, state);
      ASSERT_TRUE(loaded.ok()) << loaded.error().message;
      EXPECT_EQ(*loaded, Loaded::Running);
    }
    (*machine)->allow_reset = false;
    (*machine)->on_shutdown = [&](Shutdown, const std::string&) { ended = true; };
    (*machine)->resume();
    // A hundred times a moment each; what is left runs to its end.
    const unsigned turns = moves < 100 ? 1 : 60000;
    for (unsigned i = 0; i < turns && !ended; ++i) loop.run_once(1);
    (*machine)->pause();
    if (ended) break;
    ASSERT_LE(moves, 100u) << "the guest does not end: " << serial.text;
    ++moves;
    const auto saved = save_machine(**machine, true, state);
    ASSERT_TRUE(saved.ok()) << saved.error().message;
  }
  EXPECT_EQ(serial.text, expected_answer());
  EXPECT_GE(moves, 10u);
  unlink(options.boot.kernel.c_str());
  unlink(state.c_str());
}

TEST(MicrovmState, AnotherMachinesStateIsRefused) {
  if (const auto device = accel::kvm::Device::open(); !device) GTEST_SKIP() << device.error().message;
  MicrovmOptions options;
  options.ram_size = 4 << 20;
  options.boot.kernel = write_kernel();
  system::EventLoop loop;
  auto one = MicrovmMachine::create(loop, options);
  ASSERT_TRUE(one.ok()) << one.error().message;
  const std::string state = testing::TempDir() + "microvm-other-state";
  ASSERT_TRUE(save_machine(**one, false, state).ok());
  options.ram_size = 8 << 20;
  auto other = MicrovmMachine::create(loop, options);
  ASSERT_TRUE(other.ok());
  const auto loaded = load_machine(**other, state);
  unlink(state.c_str());
  ASSERT_FALSE(loaded.ok());
  EXPECT_NE(loaded.error().message.find("-m 4M"), std::string::npos) << loaded.error().message;
}

}  // namespace
}  // namespace lyrebird::machines
