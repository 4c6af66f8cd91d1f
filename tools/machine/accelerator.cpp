// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>

#include "accel/kvm/device.h"
#include "tools/machine/board.h"

namespace lyrebird::tools {

namespace {

/// Why it cannot be had; "" if it can.
std::string why_not(const MachineSettings& settings, const std::string& name) {
  const bool x86 = settings.guest == "x86_64";
  if (name == "kvm") {
    if (!x86)
      return fmt::format("-accel kvm: this host's CPU can't run code for {}; use -accel jit", settings.guest);
    const auto device = accel::kvm::Device::open(settings.microvm.kvm_device);
    return device.ok() ? "" : device.error().message;
  }
  return x86 ? fmt::format("-accel {}: x86 machines run under KVM only so far", name) : "";
}

}  // namespace

Result<std::string> choose_accelerator(const MachineSettings& settings, const std::string& program) {
  std::vector<std::string> names = settings.accelerators;
  if (names.empty()) names = {settings.guest == "x86_64" ? "kvm" : "jit"};
  std::string reasons;
  for (const std::string& name : names) {
    if (name != "kvm" && name != "jit" && name != "tcg")
      return Error{fmt::format("-accel {}: no such accelerator{}; -accel help lists them", name,
                               did_you_mean(name, {"kvm", "jit", "tcg"}))};
    const std::string reason = why_not(settings, name);
    if (reason.empty()) {
      if (!reasons.empty())
        std::fputs(fmt::format("{}: {}; using {}\n", program, reasons, name).c_str(), stderr);
      return name == "kvm" ? std::string("kvm") : std::string("jit");
    }
    reasons += (reasons.empty() ? "" : "; ") + reason;
  }
  return Error{reasons};
}

}  // namespace lyrebird::tools
