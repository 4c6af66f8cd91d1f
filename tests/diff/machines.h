// SPDX-License-Identifier: Apache-2.0
/// The two sides: our vCPU in this process, and the guest program under the peer.
#pragma once

#include <sys/types.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "accel/soft/soft.h"
#include "frontend/arm/a64_frontend.h"
#include "frontend/arm/a64_state.h"
#include "tests/diff/vector.h"

namespace lyrebird::diff {

class Ours {
 public:
  explicit Ours(const accel::SoftOptions& options);
  ~Ours();
  /// False if it does not end: then `out` says nothing.
  bool run(const DiffInput& in, DiffOutput& out, bool single_step);
  std::span<const uint8_t> memory() const { return {data_, kDiffPage}; }

 private:
  class Code;
  void load(const DiffInput& in);
  void save(const accel::Exit& exit, DiffOutput& out);
  accel::Exit run_words(bool single_step);

  std::unique_ptr<Code> code_;
  arm::A64Frontend frontend_;
  accel::SoftAccelerator accelerator_;
  arm::A64State state_;
  std::unique_ptr<accel::Vcpu> vcpu_;
  uint8_t* reservation_ = nullptr;
  uint8_t* data_ = nullptr;
  uint8_t* readable_code_ = nullptr;  ///< what loads see of the code
};

class Peer {
 public:
  /// `guest` is the program made from guest.c.
  explicit Peer(const std::string& guest);
  ~Peer();
  /// At most kDiffBatch. False if the peer died.
  bool run(std::span<const DiffInput> in, std::span<DiffOutput> out);
  /// One input, and the data page after it.
  bool run(DiffInput in, DiffOutput& out, std::vector<uint8_t>& memory);

 private:
  void start();
  void stop();
  bool transfer(bool out, void* at, size_t size);

  std::string guest_;
  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
};

}  // namespace lyrebird::diff
