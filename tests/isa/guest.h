// SPDX-License-Identifier: Apache-2.0
/// A guest CPU with a few words of code and a data page, for tests of single
/// instructions (tests/isa, tests/diff).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "accel/soft/soft.h"
#include "frontend/arm/a64_frontend.h"
#include "frontend/arm/a64_state.h"

namespace lyrebird::isa {

inline constexpr uint64_t kCode = 0x400000;
inline constexpr uint64_t kData = 0x10000000;  ///< `mem`: a page, nothing around it
inline constexpr uint64_t kRom = kData + 0x10000;
inline constexpr unsigned kPage = 4096;

/// Code that is nothing but some words at kCode.
class WordSource final : public frontend::CodeSource {
 public:
  bool fetch(uint64_t pc, void* to, unsigned size) override;
  bool guarded(uint64_t) const override { return guarded_page; }

  std::span<const uint32_t> words;
  bool guarded_page = false;
};

/// The data page and what is around it, in one reservation; installs the fault handler.
class DataMemory {
 public:
  DataMemory();
  ~DataMemory();
  uint64_t base() const { return base_; }  ///< CpuHeader::memory_base
  uint8_t* data() { return data_; }

 private:
  uint8_t* reservation_ = nullptr;
  uint8_t* data_ = nullptr;
  uint64_t base_ = 0;
};

/// How a case is run. Every case of tests/isa runs on all of them.
struct Executor {
  std::string_view name;
  bool optimise;
  bool single_step;
  accel::Executor executor = accel::Executor::Interp;
};
inline constexpr Executor kExecutors[] = {
    {"interp", true, false},
    {"interp, no passes", false, false},
    {"interp, single steps", true, true},
    {"baseline", true, false, accel::Executor::Baseline},
    {"baseline, no passes", false, false, accel::Executor::Baseline},
    {"llvm", true, false, accel::Executor::Llvm},
};

class Guest {
 public:
  Guest(const Executor& executor, const arm::CpuModel& cpu, DataMemory& memory);

  /// Runs `words` from kCode on until it leaves them or raises something; a FetchFault outside
  /// of the words is the normal end and comes back as ExitKind::None.
  accel::Exit run(std::span<const uint32_t> words, bool guarded);

  arm::A64State state;

 private:
  const Executor& executor_;
  arm::A64Frontend frontend_;
  WordSource source_;
  accel::SoftAccelerator accelerator_;
  std::unique_ptr<accel::Vcpu> vcpu_;
};

}  // namespace lyrebird::isa
