// SPDX-License-Identifier: Apache-2.0
#include "user/threads/thread_list.h"

#include <algorithm>

namespace lyrebird::user {

void ThreadList::add(Thread& thread) {
  const std::lock_guard lock(mutex_);
  threads_.push_back(&thread);
}

size_t ThreadList::remove(Thread& thread) {
  const std::lock_guard lock(mutex_);
  threads_.erase(std::remove(threads_.begin(), threads_.end(), &thread), threads_.end());
  return threads_.size();
}

size_t ThreadList::size() const {
  const std::lock_guard lock(mutex_);
  return threads_.size();
}

}  // namespace lyrebird::user
