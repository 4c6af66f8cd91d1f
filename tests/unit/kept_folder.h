// SPDX-License-Identifier: Apache-2.0
/// For tests of translations that are kept: a folder for them, and faults of guest code go where a
/// program's would.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/fault_guard.h"

namespace lyrebird::test {

struct KeptFolder : testing::Test {
  std::string directory;
  void SetUp() override {
    char name[] = "/tmp/lyrebird-kept-XXXXXX";
    directory = mkdtemp(name);
    struct sigaction action = {};
    action.sa_sigaction = [](int signal, siginfo_t* info, void* context) {
      FaultGuard::deliver(signal, *info, context);
      _exit(99);
    };
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    for (const int signal : {SIGBUS, SIGSEGV}) sigaction(signal, &action, nullptr);
  }
  void TearDown() override {
    for (const int signal : {SIGBUS, SIGSEGV}) std::signal(signal, SIG_DFL);
    std::filesystem::remove_all(directory);
  }
};

}  // namespace lyrebird::test
