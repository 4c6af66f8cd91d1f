// SPDX-License-Identifier: Apache-2.0
/// A raw image file or a host's block device.
///
/// Cache modes mean what people know:
///   writeback     the host's page cache; flush() is fdatasync()
///   none          O_DIRECT, past the page cache; flush() is fdatasync()
///   writethrough  the page cache, and every write is on the medium when it is done
///   directsync    O_DIRECT, and every write is on the medium when it is done
///   unsafe        the page cache; flush() does nothing: a crash of the host may lose everything
/// With O_DIRECT, a request that is not aligned as the file wants goes through the page cache instead (the
/// host keeps both coherent) and is written out before it is done.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "block/io_engine.h"
#include "block/node.h"

namespace lyrebird::block {

enum class CacheMode : uint8_t { Writeback, None, Writethrough, Directsync, Unsafe };
enum class LockMode : uint8_t { Auto, On, Off };

struct FileOptions {
  std::string path;
  bool read_only = false;
  CacheMode cache = CacheMode::Writeback;
  IoEngine::Kind aio = IoEngine::Kind::Auto;
  bool discard = false;  // discard=unmap; else the guest's discards change nothing
  LockMode locking = LockMode::Auto;
  bool share_write = false;  // others may write as well: a cluster's file system
};

/// "writeback", "none", ...; the message lists them.
Result<CacheMode> parse_cache_mode(std::string_view text);
Result<IoEngine::Kind> parse_aio(std::string_view text);

Result<std::unique_ptr<Node>> open_file(const FileOptions& options, system::EventLoop& loop);

/// The format that the first bytes of a disk look like ("qcow2", "vmdk", ...), or "" for none that is known.
std::string_view probe_format(std::span<const uint8_t> start);

}  // namespace lyrebird::block
