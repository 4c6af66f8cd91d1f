// SPDX-License-Identifier: Apache-2.0
/// Where things are on `virt`; virt.h has the overview.
#pragma once

#include <cstdint>

namespace lyrebird::machines::virt {

inline constexpr uint64_t kFlash = 0, kFlashSize = 0x0400'0000;
inline constexpr uint64_t kGicDistributor = 0x0800'0000, kGicDistributorSize = 0x1'0000;
inline constexpr uint64_t kGicCpu = 0x0801'0000, kGicCpuSize = 0x1'0000;
inline constexpr uint64_t kGicV2m = 0x0802'0000;
inline constexpr uint64_t kGicIts = 0x0808'0000, kGicItsSize = 0x2'0000;
inline constexpr uint64_t kGicRedistributors = 0x080a'0000, kGicRedistributorSize = 0x2'0000;
inline constexpr uint64_t kGicRedistributorsSize = 0x00f6'0000;
inline constexpr uint64_t kUart = 0x0900'0000, kRtc = 0x0901'0000, kFwCfg = 0x0902'0000, kGpio = 0x0903'0000;
inline constexpr uint64_t kVirtio = 0x0a00'0000, kVirtioSize = 0x200;
inline constexpr unsigned kVirtioCount = 32;
inline constexpr uint64_t kPciMemory = 0x1000'0000, kPciMemorySize = 0x2eff'0000;
inline constexpr uint64_t kPciPorts = 0x3eff'0000, kPciPortsSize = 0x1'0000;
inline constexpr uint64_t kPciEcam = 0x40'1000'0000, kPciEcamSize = 0x1000'0000;
inline constexpr uint64_t kPciHighMemory = 0x80'0000'0000, kPciHighMemorySize = 0x80'0000'0000;
inline constexpr uint64_t kRam = 0x4000'0000;
inline constexpr uint64_t kMaxRam = uint64_t{255} << 30;

// SPIs (interrupt ids less 32).
inline constexpr unsigned kUartIrq = 1, kRtcIrq = 2, kPciIrq = 3, kGpioIrq = 7, kVirtioIrq = 16, kV2mIrq = 48;
inline constexpr unsigned kV2mIrqCount = 64;
inline constexpr unsigned kInterrupts = 288;
// PPIs (interrupt ids).
inline constexpr unsigned kMaintenancePpi = 25, kHypTimerPpi = 26, kVirtualTimerPpi = 27,
                          kHypVirtualTimerPpi = 28, kSecureTimerPpi = 29, kPhysicalTimerPpi = 30,
                          kPmuPpi = 23;

inline constexpr unsigned kPowerButtonLine = 3;

}  // namespace lyrebird::machines::virt
