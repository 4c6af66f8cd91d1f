// SPDX-License-Identifier: Apache-2.0
// The x86 ABIs as data: layouts of i386 against the sizes and places of arch/x86's headers, the vDSOs,
// descriptors, the 32-bit address space.
#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>

#include "frontend/x86/segments.h"
#include "user/abi/i386.h"
#include "user/abi/structs.h"
#include "user/abi/x86_64.h"
#include "user/abi/x86_calls.h"
#include "user/abi/x86_state.h"
#include "user/abi/x86_vdso.h"
#include "user/elf/elf_file.h"
#include "user/memory/address_space.h"
#include "user/syscalls/directory.h"
#include "user/syscalls/dispatch.h"
#include "user/syscalls/ipc.h"

namespace lyrebird::user {
namespace {

unsigned size_on(const Abi& abi, const StructDesc& common) { return guest_size(abi.model, abi.desc(common)); }

TEST(X86Abi, StructsOfI386HaveTheKernelsSizes) {
  const Abi& abi = i386_abi();
  EXPECT_EQ(size_on(abi, kI386Stat), 64u);
  EXPECT_EQ(size_on(abi, kI386Stat64), 96u);
  EXPECT_EQ(size_on(abi, kI386OldStat), 32u);
  EXPECT_EQ(size_on(abi, Desc<struct statfs>::desc), 64u);
  EXPECT_EQ(size_on(abi, kStatfs64), 84u);
  EXPECT_EQ(size_on(abi, Desc<struct sysinfo>::desc), 64u);
  EXPECT_EQ(size_on(abi, Desc<struct rusage>::desc), 72u);
  EXPECT_EQ(size_on(abi, Desc<struct timex>::desc), 128u);
  EXPECT_EQ(size_on(abi, kTimex64), 208u);
  EXPECT_EQ(size_on(abi, Desc<struct flock>::desc), 16u);
  EXPECT_EQ(size_on(abi, kFlock64), 24u);
  EXPECT_EQ(size_on(abi, Desc<struct epoll_event>::desc), 12u);
  EXPECT_EQ(size_on(abi, Desc<struct timespec>::desc), 8u);
  EXPECT_EQ(size_on(abi, kTimespec64), 16u);
  EXPECT_EQ(size_on(abi, kItimerspec64), 32u);
  EXPECT_EQ(size_on(abi, Desc<struct shmid_ds>::desc), 84u);
  EXPECT_EQ(size_on(abi, Desc<struct semid_ds>::desc), 64u);
  EXPECT_EQ(size_on(abi, Desc<struct mq_attr>::desc), 32u);
}

TEST(X86Abi, StructsOfX86_64AreTheHosts) {
  const Abi& abi = x86_64_abi();
  EXPECT_EQ(size_on(abi, Desc<struct stat>::desc), sizeof(struct stat));
  EXPECT_EQ(size_on(abi, Desc<struct epoll_event>::desc), 12u);
  EXPECT_EQ(size_on(abi, Desc<struct semid_ds>::desc), sizeof(struct semid_ds));
}

TEST(X86Abi, Stat64HasItsMembersWhereI386HasThem) {
  struct stat host{};
  host.st_size = 0x123456789a;
  host.st_blocks = 0x1122334455;
  host.st_ino = 0x55667788;
  uint8_t guest[96];
  struct_to_guest(i386_abi().model, kI386Stat64, &host, guest);
  const auto at = [&](unsigned offset) {
    uint64_t value;
    std::memcpy(&value, guest + offset, 8);
    return value;
  };
  EXPECT_EQ(at(44), 0x123456789au);
  EXPECT_EQ(at(56), 0x1122334455u);
  EXPECT_EQ(at(88), 0x55667788u);
}

TEST(X86Abi, WhatDoesNotFitIsSeen) {
  const DataModel& model = i386_abi().model;
  struct stat host{};
  EXPECT_TRUE(struct_fits(model, kI386Stat, &host));
  host.st_size = int64_t{1} << 31;
  EXPECT_FALSE(struct_fits(model, kI386Stat, &host));
  EXPECT_TRUE(struct_fits(model, kI386Stat64, &host));
}

TEST(X86Abi, InodesFold) {
  EXPECT_EQ(fold_inode(5), 5u);
  EXPECT_EQ(fold_inode(0xffffffff), 0xffffffffu);
  EXPECT_EQ(fold_inode(0x1'0000'0002), 3u);
  EXPECT_EQ(fold_inode(0x7'0000'0007), 1u);  // never 0, which means no entry
}

TEST(X86Abi, TablesHaveTheCallsAtTheirNumbers) {
  const auto name = [](const Abi& abi, unsigned number) { return std::string(abi.syscalls[number]->name); };
  EXPECT_EQ(name(x86_64_abi(), 0), "read");
  EXPECT_EQ(name(x86_64_abi(), 158), "arch_prctl");
  EXPECT_EQ(name(x86_64_abi(), 435), "clone3");
  EXPECT_EQ(name(i386_abi(), 3), "read");
  EXPECT_EQ(name(i386_abi(), 195), "stat64");
  EXPECT_EQ(name(i386_abi(), 403), "clock_gettime64");
}

class Bytes final : public ElfSource {
 public:
  explicit Bytes(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  bool read(uint64_t offset, void* to, uint64_t size) const override {
    if (offset > bytes_.size() || size > bytes_.size() - offset) return false;
    std::memcpy(to, bytes_.data() + offset, size);
    return true;
  }

 private:
  std::span<const uint8_t> bytes_;
};

TEST(X86Abi, VdsosAreElfFilesOfTheirClass) {
  const Result<ElfFile> wide = parse_elf(Bytes(x86_64_abi().vdso()));
  ASSERT_TRUE(wide) << wide.error().message;
  EXPECT_EQ(wide->machine, EM_X86_64);
  EXPECT_EQ(wide->word, 8);
  const Result<ElfFile> narrow = parse_elf(Bytes(i386_abi().vdso()));
  ASSERT_TRUE(narrow) << narrow.error().message;
  EXPECT_EQ(narrow->machine, EM_386);
  EXPECT_EQ(narrow->word, 4);
  EXPECT_EQ(narrow->entry, i386_vdso().vsyscall);
  const uint8_t* const call = &i386_abi().vdso()[i386_vdso().vsyscall];
  EXPECT_EQ(call[0], 0xcd);  // int 0x80; ret
  EXPECT_EQ(call[1], 0x80);
  EXPECT_EQ(call[2], 0xc3);
}

TEST(X86Abi, ClockCallsAreKnownByTheirPlace) {
  const Abi& abi = i386_abi();
  const StatePtr state = abi.create_state(nullptr);
  Program program;
  program.vdso = 0xf7fc0000;
  const accel::Exit exit{ir::ExitKind::SoftwareInterrupt, x86::interrupt_detail(0x80, 2)};
  state->pc = program.vdso + i386_vdso().vsyscall + 2;
  EXPECT_EQ(abi.call_kind(*state, exit, program), CallKind::Syscall);
  state->pc = program.vdso + i386_vdso().calls_start + 20;
  EXPECT_EQ(abi.call_kind(*state, exit, program), CallKind::Vdso);
  const accel::Exit other{ir::ExitKind::SoftwareInterrupt, x86::interrupt_detail(0x81, 2)};
  EXPECT_EQ(abi.call_kind(*state, other, program), CallKind::None);
}

TEST(X86Abi, ThreadAreasBecomeDescriptors) {
  // What glibc asks for: base, limit in pages, writable data, 32 bits, useable.
  const UserDescriptor d{12, 0x12345678, 0xfffff, 0x51};
  EXPECT_TRUE(d.valid_for_tls());
  EXPECT_FALSE(d.empty());
  const StatePtr state = i386_abi().create_state(nullptr);
  set_tls_entry(*state, 12, d.descriptor());
  x86::X86State& s = x86_state(*state);
  EXPECT_EQ(x86::load_segment(s, x86::Segment::GS, 0x63), x86::SegmentFault::None);
  EXPECT_EQ(s.gs.base, 0x12345678u);
  EXPECT_EQ(s.gs.limit, 0xffffffffu);
  // A change reaches the register that holds the selector; a child has its own table.
  const StatePtr child = i386_abi().create_state(state.get());
  set_tls_entry(*state, 12, UserDescriptor{12, 0x1000, 0xfffff, 0x51}.descriptor());
  EXPECT_EQ(s.gs.base, 0x1000u);
  EXPECT_EQ(x86_state(*child).gs.base, 0x12345678u);
  EXPECT_EQ(x86::load_segment(x86_state(*child), x86::Segment::FS, 0x63), x86::SegmentFault::None);
  EXPECT_EQ(x86_state(*child).fs.base, 0x12345678u);
  EXPECT_TRUE((UserDescriptor{12, 0, 0, 0x28}.empty()));
  EXPECT_FALSE((UserDescriptor{12, 0, 1, 0x21}.valid_for_tls()));  // absent
}

TEST(X86Abi, RegistersOfACall) {
  const StatePtr state = x86_64_abi().create_state(nullptr);
  x86::X86State& s = x86_state(*state);
  for (unsigned i = 0; i < 16; ++i) s.gpr[i] = 100 + i;
  const SyscallFrame wide = x86_64_abi().syscall_frame(*state);
  EXPECT_EQ(wide.number, 100u);
  EXPECT_EQ(wide.args, (std::array<uint64_t, 6>{107, 106, 102, 110, 108, 109}));
  const SyscallFrame narrow = i386_abi().syscall_frame(*state);
  EXPECT_EQ(narrow.args, (std::array<uint64_t, 6>{103, 101, 102, 106, 107, 105}));
  i386_abi().set_syscall_result(*state, -4);
  EXPECT_EQ(s.gpr[x86::kRax], 0xfffffffcu);
}

TEST(X86Abi, TheAddressSpaceOfI386EndsBelow4GiB) {
  const SpaceLayout layout = layout_32bit(8u << 20);
  EXPECT_LE(layout.task_size, 0xffffe000u);
  EXPECT_LT(layout.mmap_top + (8u << 20), layout.task_size);
  EXPECT_LT(layout.image_top, layout.mmap_top);
  AddressSpace space(layout);
  MapRequest request;
  request.size = kPage;
  request.prot = 3;
  request.flags = 0x22;  // MAP_PRIVATE | MAP_ANONYMOUS
  const int64_t at = space.map(request);
  ASSERT_GT(at, 0);
  EXPECT_LT(at, int64_t{0xffffe000});
  request.address = 0xfffff000;
  request.flags |= 0x10;  // MAP_FIXED
  EXPECT_LT(space.map(request), 0);
}

}  // namespace
}  // namespace lyrebird::user
