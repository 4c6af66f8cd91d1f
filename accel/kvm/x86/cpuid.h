// SPDX-License-Identifier: Apache-2.0
/// What CPUID says to a guest under KVM: the host's processor, or a named model as far as the host can be
/// it. -cpu NAME[,+FEATURE][,-FEATURE]...[,enforce][,kvm=off].
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "accel/kvm/device.h"
#include "accel/kvm/linux_kvm.h"
#include "base/result.h"

namespace lyrebird::accel::kvm {

class Cpuid {
 public:
  /// `spec` is what follows -cpu. What the model has and the host has not is left out and named by
  /// missing(); with `enforce` it is an error.
  static Result<Cpuid> create(const Device& device, std::string_view spec);
  /// The same from what the kernel supports: for tests.
  static Result<Cpuid> create(std::vector<kvm_cpuid_entry2> supported, std::string_view spec);

  /// Features that were asked for and that the host hasn't got, by name.
  const std::vector<std::string>& missing() const { return missing_; }
  /// As vCPU `index` of `count` sees it: APIC id and topology (one socket, `count` cores).
  std::vector<kvm_cpuid_entry2> for_vcpu(unsigned index, unsigned count) const;
  /// Of the signature and all feature words: a guest that has looked at them may go on only where they are
  /// the same.
  uint64_t digest() const;
  /// Bits of physical addresses.
  unsigned address_bits() const;

 private:
  struct Spec;
  kvm_cpuid_entry2* find(uint32_t function, uint32_t index);
  void take_model(std::string_view name);
  Result<void> change(std::string_view feature, bool on, const std::vector<kvm_cpuid_entry2>& supported);
  void remove(uint32_t first, uint32_t last);

  std::vector<kvm_cpuid_entry2> entries_;
  std::vector<std::string> missing_;
};

/// The kernel's name of one bit of a feature word, "" if it has none here.
std::string_view cpuid_feature_name(uint32_t function, uint32_t index, unsigned reg, unsigned bit);

}  // namespace lyrebird::accel::kvm
