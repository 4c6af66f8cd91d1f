// SPDX-License-Identifier: Apache-2.0
/// A disk as bytes: what devices read and write, and what disk formats are made of.
///
/// All requests are asynchronous and may be made on any thread. `done` is called once, with 0 or an errno, on
/// the event loop's thread or on one that is in drain(), never inside of the request's own call; it must not
/// wait. The memory that iovecs point at belongs to the node until then (the iovecs themselves do not).
/// Requests that overlap and are under way together have no order, as on any disk; flush() covers what was
/// done before it was asked for. Offsets and sizes are in bytes, of any alignment. A range outside of the
/// disk is EINVAL.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace lyrebird::block {

using Done = std::function<void(int error)>;

struct NodeInfo {
  uint64_t size = 0;
  bool read_only = false;
  /// Whether what is written is safe only after flush(), as far as this node's cache mode says.
  bool writeback = true;
  /// Whether discard() does anything.
  bool discard = false;
  /// A request is fastest in units of this.
  uint32_t request_alignment = 512;
};

class Node {
 public:
  virtual ~Node() = default;

  virtual const NodeInfo& info() const = 0;
  /// File name and such, for people.
  virtual std::string describe() const = 0;

  virtual void read(uint64_t offset, std::span<const iovec> to, Done done) = 0;
  /// `fua`: it is on the medium when it is done, as if flush() followed.
  virtual void write(uint64_t offset, std::span<const iovec> from, bool fua, Done done) = 0;
  virtual void flush(Done done) = 0;
  /// What was there does not matter any more; it reads as anything that was there or zeros.
  virtual void discard(uint64_t offset, uint64_t size, Done done) = 0;
  /// `unmap`: the space may be given back.
  virtual void write_zeroes(uint64_t offset, uint64_t size, bool unmap, bool fua, Done done) = 0;

  /// Requests between plug() and unplug() may be handed to the host together. Same thread, not nested.
  virtual void plug() {}
  virtual void unplug() {}
  /// Waits until nothing is under way and every `done` has returned. Any thread but that in a `done`.
  virtual void drain() = 0;
};

uint64_t total_size(std::span<const iovec> pieces);

}  // namespace lyrebird::block
