// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/types.h>

#include "user/signals/process_signals.h"
#include "user/signals/siginfo.h"
#include "user/signals/sigset.h"
#include "user/signals/thread_signals.h"

namespace lyrebird::user {
namespace {

siginfo_t info_of(int signal, int code = SI_USER) {
  siginfo_t info{};
  info.si_signo = signal;
  info.si_code = code;
  return info;
}

TEST(SigSet, SynchronousSignalsComeFirstThenTheLowest) {
  EXPECT_EQ(first_signal(sig_bit(SIGHUP) | sig_bit(SIGSEGV) | sig_bit(64)), SIGSEGV);
  EXPECT_EQ(first_signal(sig_bit(SIGUSR1) | sig_bit(34) | sig_bit(64)), SIGUSR1);
  EXPECT_EQ(first_signal(sig_bit(64)), 64);
  EXPECT_EQ(first_signal(0), 0);
}

TEST(SigSet, DefaultActionsAreThoseOfSignal7) {
  EXPECT_EQ(default_action(SIGCHLD), DefaultAction::Ignore);
  EXPECT_EQ(default_action(SIGTSTP), DefaultAction::Stop);
  EXPECT_EQ(default_action(SIGABRT), DefaultAction::Core);
  EXPECT_EQ(default_action(SIGTERM), DefaultAction::Terminate);
  EXPECT_EQ(default_action(33), DefaultAction::Terminate);
}

TEST(SignalSlots, EachSignalIsTakenOnceInKernelOrder) {
  SignalSlots slots;
  slots.put(SIGTERM, info_of(SIGTERM));
  slots.put(SIGBUS, info_of(SIGBUS));
  siginfo_t info;
  EXPECT_EQ(slots.take(~SigSet{0}, info), SIGBUS);
  EXPECT_EQ(slots.take(~SigSet{0}, info), SIGTERM);
  EXPECT_EQ(slots.take(~SigSet{0}, info), 0);
}

TEST(SignalSlots, ABlockedSignalStaysAndTheFirstOfItsNumberWins) {
  SignalSlots slots;
  slots.put(SIGSEGV, info_of(SIGSEGV, SI_TKILL));
  slots.put(SIGSEGV, info_of(SIGSEGV, SI_USER));
  siginfo_t info;
  EXPECT_EQ(slots.take(~sig_bit(SIGSEGV), info), 0);
  EXPECT_EQ(slots.take(sig_bit(SIGSEGV), info), SIGSEGV);
  EXPECT_EQ(info.si_code, SI_TKILL);
}

TEST(AltStack, KnowsWhetherAHandlerRunsOnIt) {
  const AltStack stack{0x1000, 0x2000, 0};
  EXPECT_EQ(stack.flags_seen(0x1800), AltStack::kOnStack);
  EXPECT_EQ(stack.flags_seen(0x3000), AltStack::kOnStack);
  EXPECT_EQ(stack.flags_seen(0x1000), 0u);
  EXPECT_EQ(stack.flags_seen(0x3001), 0u);
  EXPECT_EQ(AltStack{}.flags_seen(0), AltStack::kDisable);
}

TEST(AltStack, WithAutodisarmIsNeverInUse) {
  const AltStack stack{0x1000, 0x2000, AltStack::kAutoDisarm};
  EXPECT_EQ(stack.flags_seen(0x1800), AltStack::kAutoDisarm);
}

TEST(HostAction, IgnoredAndDefaultSignalsAreLeftToTheHost) {
  GuestAction action;
  EXPECT_EQ(host_action(SIGTERM, action, false).handler, GuestAction::kDefault);
  action.handler = GuestAction::kIgnore;
  EXPECT_EQ(host_action(SIGTERM, action, false).handler, GuestAction::kIgnore);
  EXPECT_EQ(host_action(SIGTERM, action, true).handler, GuestAction::kIgnore);
}

TEST(HostAction, FaultsAlwaysComeToTheEmulatorWithNothingBlocked) {
  GuestAction action;
  action.handler = GuestAction::kIgnore;
  const host::KernelAction host = host_action(SIGSEGV, action, false);
  EXPECT_GT(host.handler, 1u);
  EXPECT_EQ(host.mask, 0u);
  EXPECT_TRUE(host.flags & kSaNoDefer);
}

TEST(HostAction, TheKernelDecidesAboutRestartByTheGuestsFlag) {
  GuestAction action;
  action.handler = 0x400000;
  EXPECT_FALSE(host_action(SIGUSR1, action, false).flags & kSaRestart);
  action.flags = kSaRestart;
  EXPECT_TRUE(host_action(SIGUSR1, action, false).flags & kSaRestart);
}

constexpr DataModel kIlp32{false, 4, 4};
constexpr DataModel kBigEndian64{true, 8, 8};

TEST(SigInfo, ThirtyTwoBitGuestsHaveTheUnionRightAfterThreeInts) {
  siginfo_t host = info_of(SIGUSR1, SI_QUEUE);
  host.si_pid = 77;
  host.si_uid = 1000;
  host.si_value.sival_int = 0x1234;
  uint32_t guest[kSigInfoSize / 4];
  siginfo_to_guest(kIlp32, host, guest);
  EXPECT_EQ(guest[0], uint32_t{SIGUSR1});
  EXPECT_EQ(guest[2], static_cast<uint32_t>(SI_QUEUE));
  EXPECT_EQ(guest[3], 77u);
  EXPECT_EQ(guest[4], 1000u);
  EXPECT_EQ(guest[5], 0x1234u);
}

TEST(SigInfo, BigEndianFaultAddressIsSwapped) {
  siginfo_t host = info_of(SIGSEGV, SEGV_MAPERR);
  host.si_addr = reinterpret_cast<void*>(0x0102030405060708);
  uint8_t guest[kSigInfoSize];
  siginfo_to_guest(kBigEndian64, host, guest);
  EXPECT_EQ(guest[3], SIGSEGV);
  EXPECT_EQ(guest[16], 1);
  EXPECT_EQ(guest[23], 8);
}

TEST(SigInfo, QueuedValueSurvivesTheWayToTheGuestAndBack) {
  for (const DataModel& model : {kIlp32, kBigEndian64, DataModel{}}) {
    siginfo_t host = info_of(40, SI_QUEUE), back;
    host.si_pid = 5;
    host.si_uid = 6;
    host.si_value.sival_int = 7;
    uint8_t guest[kSigInfoSize];
    siginfo_to_guest(model, host, guest);
    siginfo_to_host(model, guest, back);
    EXPECT_EQ(back.si_signo, 40);
    EXPECT_EQ(back.si_code, SI_QUEUE);
    EXPECT_EQ(back.si_pid, 5);
    EXPECT_EQ(back.si_uid, 6u);
    EXPECT_EQ(back.si_value.sival_int, 7);
  }
}

}  // namespace
}  // namespace lyrebird::user
