// SPDX-License-Identifier: Apache-2.0
#include "user/abi/abi.h"

#include <elf.h>

#include "user/abi/aarch64.h"
#include "user/abi/i386.h"
#include "user/abi/x86_64.h"

namespace lyrebird::user {

uint64_t flags_to_host(FlagMap map, uint64_t guest) {
  uint64_t host = guest;
  for (const FlagPair& pair : map) host &= ~uint64_t{pair.guest};
  for (const FlagPair& pair : map)
    if ((guest & pair.guest) == pair.guest) host |= pair.host;
  return host;
}

uint64_t flags_to_guest(FlagMap map, uint64_t host) {
  uint64_t guest = host;
  for (const FlagPair& pair : map) guest &= ~uint64_t{pair.host};
  for (const FlagPair& pair : map)
    if ((host & pair.host) == pair.host) guest |= pair.guest;
  return guest;
}

bool Abi::is_host_like() const { return elf_machine == EM_X86_64 || elf_machine == EM_386; }

CallKind Abi::call_kind(const ir::CpuHeader&, const accel::Exit& exit, const Program&) const {
  if (exit.kind != ir::ExitKind::Syscall) return CallKind::None;
  return exit.detail == kVdsoCall ? CallKind::Vdso : CallKind::Syscall;
}

std::span<const Abi* const> all_abis() {
  static const Abi* const kAbis[] = {&aarch64_abi(), &x86_64_abi(), &i386_abi()};
  return kAbis;
}

const Abi* find_abi(uint16_t elf_machine) {
  for (const Abi* abi : all_abis())
    if (abi->elf_machine == elf_machine) return abi;
  return nullptr;
}

const Abi* find_abi(std::string_view name) {
  for (const Abi* abi : all_abis())
    if (name == abi->name) return abi;
  return nullptr;
}

}  // namespace lyrebird::user
