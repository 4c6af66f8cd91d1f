// SPDX-License-Identifier: Apache-2.0
/// What the two Linux ABIs of x86 share: processors, state, /proc/cpuinfo.
#pragma once

#include "frontend/x86/cpu_model.h"
#include "user/abi/abi.h"
#include "user/abi/x86_state.h"

namespace lyrebird::user {

class X86Abi : public Abi {
 public:
  Result<CpuChoice> create_cpu(const std::string& model_name) const override;
  std::vector<std::string> cpu_names() const override;
  StatePtr create_state(const ir::CpuHeader* from) const override {
    return create_x86_state(mode_, from, xcr0_);
  }
  void set_start(ir::CpuHeader& cpu, uint64_t pc, uint64_t sp) const override;
  void set_syscall_result(ir::CpuHeader& cpu, int64_t value) const override;
  void rewind_syscall(ir::CpuHeader& cpu, const SyscallFrame& frame) const override;
  uint64_t sp(const ir::CpuHeader& cpu) const override { return x86_state(cpu).gpr[x86::kRsp]; }
  void set_sp(ir::CpuHeader& cpu, uint64_t sp) const override { x86_state(cpu).gpr[x86::kRsp] = sp; }
  int64_t prctl(Thread& t, int option, const std::array<uint64_t, 4>& args) const override;
  std::string dump(const ir::CpuHeader& cpu) const override;
  std::string cpuinfo(unsigned cpus, const CpuChoice& cpu) const override;

 protected:
  explicit X86Abi(x86::Mode mode);
  /// A register as wide as the guest's long.
  uint64_t word_of(uint64_t value) const { return model.word == 8 ? value : static_cast<uint32_t>(value); }

 private:
  x86::Mode mode_;
  mutable uint64_t xcr0_ = 1;  ///< of the processor that was chosen
};

}  // namespace lyrebird::user
