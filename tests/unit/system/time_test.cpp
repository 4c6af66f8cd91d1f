// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <thread>

#include "system/clock.h"
#include "system/event_loop.h"

namespace lyrebird::system {
namespace {

TEST(ManualClock, CallsBackInOrderAtTheDeadlines) {
  ManualClock clock;
  std::vector<int64_t> seen;
  Timer late(clock, [&] { seen.push_back(clock.now_ns()); });
  Timer early(clock, [&] { seen.push_back(-clock.now_ns()); });
  late.arm(300);
  early.arm(100);
  clock.advance_to(99);
  EXPECT_TRUE(seen.empty());
  clock.advance_to(1000);
  EXPECT_EQ(seen, (std::vector<int64_t>{-100, 300}));
  EXPECT_EQ(clock.now_ns(), 1000);
  EXPECT_FALSE(late.armed());
}

TEST(Timer, MayArmItselfAgainFromItsCallback) {
  ManualClock clock;
  int count = 0;
  Timer* self = nullptr;
  Timer timer(clock, [&] {
    if (++count < 5) self->arm(clock.now_ns() + 10);
  });
  self = &timer;
  timer.arm(10);
  clock.advance_to(1000);
  EXPECT_EQ(count, 5);
}

TEST(Timer, CancelledIsNotCalled) {
  ManualClock clock;
  int count = 0;
  Timer timer(clock, [&] { ++count; });
  timer.arm(10);
  timer.cancel();
  EXPECT_EQ(clock.next_deadline(), kNever);
  clock.advance_to(100);
  EXPECT_EQ(count, 0);
}

TEST(HostClock, StandsWhileStoppedAndFiresOnTheLoop) {
  EventLoop loop;
  HostClock clock(loop);
  EXPECT_EQ(clock.now_ns(), 0);
  usleep(2000);
  EXPECT_EQ(clock.now_ns(), 0);
  clock.start();
  int64_t fired = -1;
  Timer timer(clock, [&] {
    fired = clock.now_ns();
    loop.stop();
  });
  Timer far(clock, [] {});
  far.arm(3600 * kNanosecondsPerSecond);
  timer.arm(5'000'000);
  loop.run();
  EXPECT_GE(fired, 5'000'000);
  clock.stop();
  const int64_t stopped = clock.now_ns();
  usleep(2000);
  EXPECT_EQ(clock.now_ns(), stopped);
  clock.start();
  EXPECT_LT(clock.now_ns(), stopped + 2'000'000'000);
  far.cancel();
}

TEST(HostClock, ATimerArmedByAnotherThreadWakesTheLoop) {
  EventLoop loop;
  HostClock clock(loop);
  clock.start();
  Timer timer(clock, [&] { loop.stop(); });
  std::thread other([&] {
    usleep(1000);
    timer.arm(clock.now_ns() + 1000);
  });
  loop.run();
  other.join();
  EXPECT_FALSE(timer.armed());
}

TEST(EventLoop, RunsWhatIsPostedInOrder) {
  EventLoop loop;
  std::string text;
  loop.post([&] { text += "a"; });
  std::thread other([&] {
    loop.post([&] {
      text += "b";
      loop.post([&] {
        text += "c";
        loop.stop();
      });
    });
  });
  loop.run();
  other.join();
  EXPECT_EQ(text, "abc");
}

TEST(EventLoop, WatchesUntilUnwatched) {
  EventLoop loop;
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  int count = 0;
  loop.watch(fds[0], EPOLLIN, [&](uint32_t events) {
    EXPECT_TRUE(events & EPOLLIN);
    if (++count == 3) loop.unwatch(fds[0]);
  });
  ASSERT_EQ(write(fds[1], "x", 1), 1);
  for (int i = 0; i < 10; ++i) loop.run_once(1);
  EXPECT_EQ(count, 3);
  close(fds[0]);
  close(fds[1]);
}

TEST(EventLoop, ARegularFileIsAlwaysReady) {
  EventLoop loop;
  FILE* const file = tmpfile();
  int count = 0;
  loop.watch(fileno(file), EPOLLIN, [&](uint32_t) { ++count; });
  loop.run_once(-1);
  loop.run_once(-1);
  EXPECT_EQ(count, 2);
  loop.unwatch(fileno(file));
  loop.run_once(0);
  EXPECT_EQ(count, 2);
  fclose(file);
}

TEST(EventLoop, AStopBeforeRunIsNotLost) {
  EventLoop loop;
  loop.stop();
  loop.run();
  SUCCEED();
}

/// So many instructions as the test says.
struct FakeCounter final : CountedClock::Counter {
  explicit FakeCounter(uint64_t start = 0) : count(start) {}
  uint64_t instructions() const override { return count; }
  void deadline_changed() override { ++changes; }
  uint64_t count;
  int changes = 0;
};

TEST(CountedClock, AnInstructionTakesTwoToTheShift) {
  FakeCounter counter;
  CountedClock clock({.shift = 3});
  clock.set_counter(&counter);
  EXPECT_EQ(clock.now_ns(), 0);
  counter.count = 1000;
  EXPECT_EQ(clock.now_ns(), 8000);
  EXPECT_EQ(clock.instructions_until(8001), 1u);
  EXPECT_EQ(clock.instructions_until(8017), 3u);
  EXPECT_EQ(clock.instructions_until(0), 1u);
}

TEST(CountedClock, ATimeInWhichNothingRunsIsAddedAtOnce) {
  FakeCounter counter(10);
  CountedClock clock({.shift = 0});
  clock.set_counter(&counter);
  clock.warp_to(1'000'000);
  EXPECT_EQ(clock.now_ns(), 1'000'000);
  counter.count += 5;
  EXPECT_EQ(clock.now_ns(), 1'000'005);
}

TEST(CountedClock, OnlyAnEarlierDeadlineIsTold) {
  FakeCounter counter;
  CountedClock clock({});
  clock.set_counter(&counter);
  int called = 0;
  Timer first(clock, [&] { ++called; }), second(clock, [&] { ++called; });
  first.arm(800);
  second.arm(1600);
  EXPECT_EQ(counter.changes, 1);
  counter.count = 100;
  EXPECT_EQ(clock.run_expired(), 1600);
  EXPECT_EQ(called, 1);
}

}  // namespace
}  // namespace lyrebird::system
