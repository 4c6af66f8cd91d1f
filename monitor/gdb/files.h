// SPDX-License-Identifier: Apache-2.0
/// vFile packets, read-only: gdb fetches the program and its libraries from the guest's root.
#pragma once

#include <set>
#include <string>

#include "monitor/gdb/packet.h"
#include "user/process.h"

namespace lyrebird::gdb {

class Files {
 public:
  explicit Files(user::Process& process) : process_(process) {}
  ~Files();
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;
  /// `f` is what follows "vFile:". "" for what is not supported.
  std::string answer(Fields f);

 private:
  std::string open(Fields f);
  std::string pread(Fields f);
  std::string fstat(Fields f);
  std::string close(Fields f);
  std::string readlink(Fields f);

  user::Process& process_;
  std::set<int> open_;
};

}  // namespace lyrebird::gdb
