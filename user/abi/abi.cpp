// SPDX-License-Identifier: Apache-2.0
#include "user/abi/abi.h"

#include "user/abi/aarch64.h"

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

std::span<const Abi* const> all_abis() {
  static const Abi* const kAbis[] = {&aarch64_abi()};
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
