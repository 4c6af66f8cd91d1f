// SPDX-License-Identifier: Apache-2.0
/// A CharBackend over descriptors that come and go: what files, pipes, terminals and sockets share.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "system/char_backend.h"
#include "system/event_loop.h"

namespace lyrebird::system {

class StreamEnd : public CharBackend {
 public:
  static constexpr size_t kMaxWaiting = 1 << 20;

  explicit StreamEnd(EventLoop& loop);
  ~StreamEnd() override;

  void write(std::span<const uint8_t> bytes) override;
  void set_receiver(CharReceiver* receiver) override;
  void accept_input() override;

 protected:
  /// -1: no such direction. Takes them over; both are made non-blocking. On the loop's thread (or before it
  /// runs).
  void attach(int in, int out);
  void detach();
  bool attached() const { return in_ >= 0 || out_ >= 0; }
  /// The other end is gone; after detach().
  virtual void lost() {}

  EventLoop& loop_;

 private:
  void on_input();
  void flush();
  void send_some();  // under mutex_
  void update_watch();

  std::mutex mutex_;  // what waits, and out_
  std::string waiting_;
  int in_ = -1, out_ = -1;
  CharReceiver* receiver_ = nullptr;
  bool reading_ = false, flush_posted_ = false;
  std::shared_ptr<StreamEnd*> alive_;
};

}  // namespace lyrebird::system
