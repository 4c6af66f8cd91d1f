// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <liburing.h>
#include <linux/fs.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstring>
#include <deque>
#include <mutex>

#include "block/io_engine.h"

namespace lyrebird::block {

namespace {

constexpr unsigned kEntries = 256;

class UringEngine final : public IoEngine {
 public:
  using IoEngine::IoEngine;

  Result<void> open() {
    if (const int error = ::io_uring_queue_init(kEntries, &ring_, 0); error < 0) {
      return Error{fmt::format("io_uring: {}; use aio=threads", std::strerror(-error))};
    }
    open_ = true;
    io_uring_probe* probe = ::io_uring_get_probe_ring(&ring_);
    const bool complete = probe && ::io_uring_opcode_supported(probe, IORING_OP_FALLOCATE) &&
                          ::io_uring_opcode_supported(probe, IORING_OP_FSYNC);
    if (probe) ::io_uring_free_probe(probe);
    if (!complete) return Error{"io_uring: this kernel's is too old; use aio=threads"};
    event_fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (event_fd_ < 0 || ::io_uring_register_eventfd(&ring_, event_fd_) < 0) {
      return Error{fmt::format("io_uring: no event descriptor: {}", std::strerror(errno))};
    }
    loop_.watch(event_fd_, EPOLLIN | EPOLLET, [this](uint32_t) {
      while (reap_one()) {
      }
    });
    return {};
  }

  ~UringEngine() override {
    if (event_fd_ >= 0) {
      drain();
      loop_.unwatch(event_fd_);
      ::close(event_fd_);
    }
    if (open_) ::io_uring_queue_exit(&ring_);
  }

  const char* name() const override { return "io_uring"; }

  void plug() override {
    const std::lock_guard lock(mutex_);
    plugged_ = true;
  }
  void unplug() override {
    const std::lock_guard lock(mutex_);
    plugged_ = false;
    push();
  }

 private:
  /// What an operation's iovecs are while the host has it.
  struct Slot {
    IoOp* op;
    std::vector<iovec> pieces;
  };

  void start(IoOp* op) override {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(op);
    if (!plugged_) push();
  }

  /// Hands on what waits. As many as there are completion entries: more would be dropped by old kernels.
  void push() {
    while (!waiting_.empty() && under_way_ < kEntries) {
      io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
      if (!sqe) break;
      prepare(sqe, waiting_.front());
      waiting_.pop_front();
      ++under_way_;
    }
    while (::io_uring_sq_ready(&ring_) != 0) {
      const int n = ::io_uring_submit(&ring_);
      if (n < 0 && n != -EINTR && n != -EAGAIN && n != -EBUSY) break;
    }
  }

  static void prepare(io_uring_sqe* sqe, IoOp* op) {
    auto* slot = new Slot{op, {}};
    using Kind = IoOp::Kind;
    if (op->flushing || op->kind == Kind::Flush) {
      ::io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
    } else if (op->kind == Kind::Read) {
      slot->pieces = remaining_pieces(*op);
      ::io_uring_prep_readv(sqe, op->fd, slot->pieces.data(), static_cast<unsigned>(slot->pieces.size()),
                            op->offset);
    } else if (op->kind == Kind::Write || op->zeroes_slowly) {
      slot->pieces = remaining_pieces(*op);
      ::io_uring_prep_writev2(sqe, op->fd, slot->pieces.data(), static_cast<unsigned>(slot->pieces.size()),
                              op->offset, op->fua ? RWF_DSYNC : 0);
    } else {
      ::io_uring_prep_fallocate(sqe, op->fd, fallocate_mode(*op), static_cast<off_t>(op->offset),
                                static_cast<off_t>(op->size));
    }
    ::io_uring_sqe_set_data(sqe, slot);
  }

  bool reap_one() override {
    std::unique_ptr<Slot> slot;
    int64_t result;
    {
      const std::lock_guard lock(mutex_);
      io_uring_cqe* cqe = nullptr;
      if (::io_uring_peek_cqe(&ring_, &cqe) != 0 || !cqe) return false;
      slot.reset(static_cast<Slot*>(::io_uring_cqe_get_data(cqe)));
      result = cqe->res;
      ::io_uring_cqe_seen(&ring_, cqe);
      --under_way_;
      if (!plugged_ && !waiting_.empty()) push();
    }
    finish(slot->op, result);
    return true;
  }

  std::mutex mutex_;
  io_uring ring_ = {};
  bool open_ = false, plugged_ = false;
  int event_fd_ = -1;
  unsigned under_way_ = 0;
  std::deque<IoOp*> waiting_;
};

}  // namespace

Result<std::unique_ptr<IoEngine>> make_uring_engine(system::EventLoop& loop) {
  auto engine = std::make_unique<UringEngine>(loop);
  if (auto opened = engine->open(); !opened) return opened.error();
  return std::unique_ptr<IoEngine>(std::move(engine));
}

}  // namespace lyrebird::block
