// SPDX-License-Identifier: Apache-2.0
/// The threads of a guest process, for whoever has to look at all of them (the debugger, exit).
#pragma once

#include <sys/types.h>

#include <mutex>
#include <vector>

namespace lyrebird::user {

class Thread;

class ThreadList {
 public:
  void add(Thread& thread);
  /// How many are left.
  size_t remove(Thread& thread);
  size_t size() const;
  /// Calls f(Thread&) for each, with the list locked: no thread comes or goes meanwhile.
  template <typename F>
  void for_each(F f) {
    const std::lock_guard lock(mutex_);
    for (Thread* const thread : threads_) f(*thread);
  }

  void before_fork() { mutex_.lock(); }
  /// `only`: in the child, the thread that is left; null in the parent.
  void after_fork(Thread* only) {
    if (only) threads_.assign(1, only);
    mutex_.unlock();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Thread*> threads_;
};

}  // namespace lyrebird::user
