// SPDX-License-Identifier: Apache-2.0
#include "base/fault_guard.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <csignal>

namespace lyrebird {
namespace {

void handler(int signal, siginfo_t* info, void*) {
  FaultGuard::deliver(signal, *info);
  std::signal(signal, SIG_DFL);
}

TEST(FaultGuard, FaultInsideComesBackAsItsAddress) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  struct sigaction before = {};
  sigaction(SIGSEGV, &action, &before);
  auto* page =
      static_cast<volatile char*>(mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

  FaultGuard guard;
  volatile bool came_back = false;
  if (sigsetjmp(guard.env, 0) == 0) {
    guard.arm();
    page[12] = 1;
  } else {
    came_back = true;
  }

  EXPECT_TRUE(came_back);
  EXPECT_EQ(guard.address, reinterpret_cast<uint64_t>(page + 12));
  EXPECT_EQ(guard.signal, SIGSEGV);
  munmap(const_cast<char*>(page), 4096);
  sigaction(SIGSEGV, &before, nullptr);
}

}  // namespace
}  // namespace lyrebird
