// SPDX-License-Identifier: Apache-2.0
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "block/io_engine.h"

namespace lyrebird::block {

namespace {

constexpr unsigned kMaxThreads = 16;

class ThreadEngine final : public IoEngine {
 public:
  explicit ThreadEngine(system::EventLoop& loop)
      : IoEngine(loop), event_fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    loop_.watch(event_fd_, EPOLLIN, [this](uint32_t) {
      uint64_t count;
      (void)!::read(event_fd_, &count, sizeof count);
      while (reap_one()) {
      }
    });
  }

  ~ThreadEngine() override {
    drain();
    loop_.unwatch(event_fd_);
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    ::close(event_fd_);
  }

  const char* name() const override { return "threads"; }

 private:
  struct Finished {
    IoOp* op;
    int64_t result;
  };

  void start(IoOp* op) override {
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(op);
      if (idle_ < queue_.size() && threads_.size() < kMaxThreads) threads_.emplace_back([this] { run(); });
    }
    work_.notify_one();
  }

  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      work_.wait(lock, [&] { return stop_ || !queue_.empty(); });
      --idle_;
      if (queue_.empty()) return;
      IoOp* const op = queue_.front();
      queue_.pop_front();
      lock.unlock();
      const int64_t result = perform(*op);
      lock.lock();
      finished_.push_back({op, result});
      const uint64_t one = 1;
      (void)!::write(event_fd_, &one, sizeof one);
    }
  }

  bool reap_one() override {
    Finished one;
    {
      const std::lock_guard lock(mutex_);
      if (finished_.empty()) return false;
      one = finished_.front();
      finished_.pop_front();
    }
    finish(one.op, one.result);
    return true;
  }

  const int event_fd_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<IoOp*> queue_;
  std::deque<Finished> finished_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0;
  bool stop_ = false;
};

}  // namespace

std::unique_ptr<IoEngine> make_thread_engine(system::EventLoop& loop) {
  return std::make_unique<ThreadEngine>(loop);
}

}  // namespace lyrebird::block
