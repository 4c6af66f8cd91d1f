// SPDX-License-Identifier: Apache-2.0
#include "block/io_engine.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>

namespace lyrebird::block {

namespace {

constexpr size_t kZeroPiece = 64 * 1024;
alignas(4096) constinit char zero_piece[kZeroPiece] = {};  // only read

bool is_transfer(const IoOp& op) { return op.kind == IoOp::Kind::Read || op.kind == IoOp::Kind::Write; }

}  // namespace

uint64_t total_size(std::span<const iovec> pieces) {
  uint64_t size = 0;
  for (const iovec& piece : pieces) size += piece.iov_len;
  return size;
}

std::vector<iovec> remaining_pieces(const IoOp& op) {
  std::vector<iovec> pieces;
  if (is_transfer(op)) {
    const size_t n = std::min<size_t>(op.pieces.size() - op.first, IOV_MAX);
    pieces.assign(op.pieces.begin() + op.first, op.pieces.begin() + op.first + n);
    return pieces;
  }
  for (uint64_t left = op.size; left && pieces.size() < 64;) {
    const size_t n = std::min<uint64_t>(left, kZeroPiece);
    pieces.push_back({zero_piece, n});
    left -= n;
  }
  return pieces;
}

int fallocate_mode(const IoOp& op) {
  if (op.kind == IoOp::Kind::Discard || op.unmap) return FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  return FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
}

int64_t perform(const IoOp& op) {
  const auto result = [](int64_t value) { return value < 0 ? -int64_t{errno} : value; };
  if (op.flushing || op.kind == IoOp::Kind::Flush) return result(::fdatasync(op.fd));
  if (is_transfer(op) || op.zeroes_slowly) {
    const std::vector<iovec> pieces = remaining_pieces(op);
    const int count = static_cast<int>(pieces.size());
    if (op.kind == IoOp::Kind::Read) return result(::preadv(op.fd, pieces.data(), count, op.offset));
    return result(::pwritev2(op.fd, pieces.data(), count, op.offset, op.fua ? RWF_DSYNC : 0));
  }
  return result(::fallocate(op.fd, fallocate_mode(op), op.offset, op.size));
}

void IoEngine::submit(IoOp op) {
  in_flight_.fetch_add(1);
  start(new IoOp(std::move(op)));
}

/// True: `op` has more to do.
bool IoEngine::advance(IoOp& op, uint64_t bytes) {
  op.offset += bytes;
  if (op.zeroes_slowly) return (op.size -= bytes) != 0;
  for (; op.first < op.pieces.size(); ++op.first) {
    iovec& piece = op.pieces[op.first];
    if (bytes < piece.iov_len) {
      piece.iov_base = static_cast<char*>(piece.iov_base) + bytes;
      piece.iov_len -= bytes;
      return true;
    }
    bytes -= piece.iov_len;
  }
  return false;
}

void IoEngine::finish(IoOp* op, int64_t result) {
  if (result == -EINTR || result == -EAGAIN) return start(op);
  if (op->flushing || op->kind == IoOp::Kind::Flush)
    return end(op, result < 0 ? static_cast<int>(-result) : 0);
  if (result < 0) {
    const bool cannot = result == -EOPNOTSUPP || result == -ENOTTY || result == -ENOSYS;
    if (cannot && op->kind == IoOp::Kind::Discard) return end(op, 0);  // nothing has to happen
    if (cannot && op->kind == IoOp::Kind::WriteZeroes && !op->zeroes_slowly) {
      op->zeroes_slowly = true;
      return start(op);
    }
    return end(op, static_cast<int>(-result));
  }
  if (is_transfer(*op) || op->zeroes_slowly) {
    if (result == 0 && op->kind == IoOp::Kind::Read) {
      for (; op->first < op->pieces.size(); ++op->first) {
        std::memset(op->pieces[op->first].iov_base, 0, op->pieces[op->first].iov_len);
      }
    } else if (result == 0 && total_size(remaining_pieces(*op)) != 0) {
      return end(op, ENOSPC);
    } else if (advance(*op, static_cast<uint64_t>(result))) {
      return start(op);
    }
  } else if (op->fua) {
    op->flushing = true;  // fallocate() has no flag for it
    return start(op);
  }
  end(op, 0);
}

void IoEngine::end(IoOp* op, int error) {
  const std::unique_ptr<IoOp> owned(op);
  op->done(error);
  op->done = nullptr;
  // Under the lock: drain() may be followed by the end of this engine.
  const std::lock_guard lock(mutex_);
  if (in_flight_.fetch_sub(1) == 1) changed_.notify_all();
}

void IoEngine::answer(int error, Done done) {
  in_flight_.fetch_add(1);
  {
    const std::lock_guard lock(mutex_);
    answers_.push_back({error, std::move(done)});
  }
  loop_.post([this, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired()) answer_one();
  });
}

bool IoEngine::answer_one() {
  std::unique_lock lock(mutex_);
  if (answers_.empty()) return false;
  const Answer answer = std::move(answers_.front());
  answers_.pop_front();
  lock.unlock();
  answer.done(answer.error);
  lock.lock();
  if (in_flight_.fetch_sub(1) == 1) changed_.notify_all();
  return true;
}

void IoEngine::drain() {
  while (in_flight_ != 0) {
    while (answer_one() || reap_one()) {
    }
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(1), [&] { return in_flight_ == 0; });
  }
  const std::lock_guard lock(mutex_);
}

Result<std::unique_ptr<IoEngine>> IoEngine::create(Kind kind, system::EventLoop& loop) {
  if (kind != Kind::Threads) {
    auto uring = make_uring_engine(loop);
    if (uring || kind == Kind::Uring) return uring;
  }
  return make_thread_engine(loop);
}

}  // namespace lyrebird::block
