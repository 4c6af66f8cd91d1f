// SPDX-License-Identifier: Apache-2.0
/// Asynchronous file I/O: io_uring, or a pool of threads where the host has none.
///
/// An engine belongs to one file. submit() may be called on any thread; `done` as block/node.h says. Short
/// transfers are continued here, reads behind the end of the file give zeros, and what a file system cannot
/// do (deallocate, write zeros fast) is done slowly.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "block/node.h"
#include "system/event_loop.h"

namespace lyrebird::block {

struct IoOp {
  enum class Kind : uint8_t { Read, Write, Flush, Discard, WriteZeroes };
  Kind kind;
  int fd;
  uint64_t offset = 0, size = 0;  // size: of Discard and WriteZeroes
  std::vector<iovec> pieces;      // of Read and Write
  bool fua = false;
  bool unmap = false;
  Done done;

  // The engine's own.
  size_t first = 0;            // pieces before it are through
  bool zeroes_slowly = false;  // WriteZeroes, by writing
  bool flushing = false;       // it is done but for the flush that `fua` wants
};

class IoEngine {
 public:
  enum class Kind { Auto, Uring, Threads };
  static Result<std::unique_ptr<IoEngine>> create(Kind kind, system::EventLoop& loop);
  explicit IoEngine(system::EventLoop& loop) : loop_(loop) {}
  virtual ~IoEngine() = default;

  void submit(IoOp op);
  /// Nothing to do: calls `done` as if there had been.
  void answer(int error, Done done);
  virtual void plug() {}
  virtual void unplug() {}
  void drain();
  virtual const char* name() const = 0;

 protected:
  /// Starts `op`, whose owner the engine becomes.
  virtual void start(IoOp* op) = 0;
  /// Finishes one operation that the host is done with, if there is one. Any thread.
  virtual bool reap_one() = 0;
  system::EventLoop& loop_;
  /// What the host said: bytes or -errno. Ends the operation or starts the rest of it.
  void finish(IoOp* op, int64_t result);

 private:
  bool advance(IoOp& op, uint64_t bytes);
  void end(IoOp* op, int error);
  bool answer_one();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<uint64_t> in_flight_{0};
  struct Answer {
    int error;
    Done done;
  };
  std::deque<Answer> answers_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

/// One try at what is left of `op`, blocking: bytes or -errno.
int64_t perform(const IoOp& op);
/// The pieces that are left of Read, Write or a slow WriteZeroes, at most IOV_MAX.
std::vector<iovec> remaining_pieces(const IoOp& op);
int fallocate_mode(const IoOp& op);

std::unique_ptr<IoEngine> make_thread_engine(system::EventLoop& loop);
Result<std::unique_ptr<IoEngine>> make_uring_engine(system::EventLoop& loop);

}  // namespace lyrebird::block
