// SPDX-License-Identifier: Apache-2.0
/// Interrupts that reach a guest of microvm without a device: messages by irqfds, a level-triggered one with
/// its end told, NMIs. Needs /dev/kvm. The guest: guest.c.
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>

#include "accel/kvm/device.h"
#include "frontend/x86/system/x86_system_state.h"
#include "machines/microvm.h"

namespace lyrebird::machines {
namespace {

constexpr uint64_t kMessageAddress = 0xfee0'0000;
constexpr uint32_t kMessage1 = 0x50, kMessage2 = 0x51, kLastMessage = 0x52;
constexpr unsigned kLevelGsi = 17;

/// An eventfd that closes itself.
struct Event {
  Event() : fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Event() { close(fd); }
  void raise() const {
    const uint64_t one = 1;
    EXPECT_EQ(write(fd, &one, sizeof one), ssize_t{sizeof one});
  }
  bool raised() const {
    uint64_t count;
    return read(fd, &count, sizeof count) == sizeof count;
  }
  const int fd;
};

struct Lines final : system::CharBackend {
  void write(std::span<const uint8_t> bytes) override {
    const std::lock_guard lock(mutex);
    text.append(bytes.begin(), bytes.end());
  }
  void set_receiver(system::CharReceiver*) override {}
  void accept_input() override {}
  std::mutex mutex;
  std::string text;
};

class MicrovmInterrupts : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (const auto device = accel::kvm::Device::open(); !device) GTEST_SKIP() << device.error().message;
    MicrovmOptions options;
    options.ram_size = 8 << 20;
    options.ram.huge_pages = false;
    options.boot.kernel = MICROVM_KERNEL;
    options.boot.append = "messages";
    options.split_irqchip = GetParam();
    options.serial = &lines_;
    auto made = MicrovmMachine::create(loop_, options);
    ASSERT_TRUE(made.ok()) << made.error().message;
    machine_ = std::move(*made);
    machine_->on_shutdown = [this](Shutdown reason, const std::string&) {
      ended_ = true;
      EXPECT_EQ(reason, Shutdown::Guest);
    };
    machine_->resume();
    ASSERT_TRUE(says("messages\n"));
  }

  accel::kvm::Vm& vm() { return machine_->kvm().vm(); }

  /// Within half a minute, on however busy a host.
  bool says(const std::string& text) {
    return until([&] {
      const std::lock_guard lock(lines_.mutex);
      return lines_.text.find(text) != std::string::npos;
    });
  }

  template <typename Condition>
  bool until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      loop_.run_once(5);
    }
    return true;
  }

  void finish() {
    vm().send(kMessageAddress, kLastMessage, 0);
    EXPECT_TRUE(until([this] { return ended_; })) << lines_.text;
  }

  system::EventLoop loop_;
  Lines lines_;
  std::unique_ptr<MicrovmMachine> machine_;
  bool ended_ = false;
};

TEST_P(MicrovmInterrupts, AnEventfdSendsTheMessageOfItsRoute) {
  const auto gsi = vm().add_msi_route(kMessageAddress, kMessage1);
  ASSERT_TRUE(gsi.ok()) << gsi.error().message;
  const Event event;
  ASSERT_TRUE(vm().connect_irqfd(event.fd, *gsi).ok());
  event.raise();
  EXPECT_TRUE(says("message 1: 1\n"));
  event.raise();
  EXPECT_TRUE(says("message 1: 2\n"));
  ASSERT_TRUE(vm().change_msi_route(*gsi, kMessageAddress, kMessage2).ok());
  event.raise();
  EXPECT_TRUE(says("message 2: 1\n"));
  vm().disconnect_irqfd(event.fd, *gsi);
  event.raise();
  EXPECT_TRUE(event.raised()) << "the kernel still takes it";
  vm().remove_msi_route(*gsi);
  finish();
  EXPECT_EQ(lines_.text.find("message 1: 3"), std::string::npos);
  EXPECT_EQ(lines_.text.find("message 2: 2"), std::string::npos);
}

TEST_P(MicrovmInterrupts, TheEndOfALevelTriggeredOneIsTold) {
  if (GetParam()) GTEST_SKIP() << "the kernel has no I/O APIC in this machine";
  const Event event, end;
  ASSERT_TRUE(vm().connect_irqfd(event.fd, kLevelGsi, end.fd).ok());
  EXPECT_FALSE(end.raised());
  event.raise();
  EXPECT_TRUE(says("level 1\n"));
  EXPECT_TRUE(until([&] { return end.raised(); }));
  event.raise();
  EXPECT_TRUE(says("level 2\n"));
  EXPECT_TRUE(until([&] { return end.raised(); }));
  vm().disconnect_irqfd(event.fd, kLevelGsi);
  finish();
}

TEST_P(MicrovmInterrupts, AnNmiReachesTheGuest) {
  machine_->cpu(0).vcpu().set_interrupt(x86::kInterruptNmi, true);
  EXPECT_TRUE(says("nmi 1\n"));
  machine_->cpu(0).vcpu().set_interrupt(x86::kInterruptNmi, false);
  finish();
}

INSTANTIATE_TEST_SUITE_P(, MicrovmInterrupts, testing::Bool(),
                         [](const auto& param) { return param.param ? "Split" : "Kernel"; });

}  // namespace
}  // namespace lyrebird::machines
