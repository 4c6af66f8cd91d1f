// SPDX-License-Identifier: Apache-2.0
/// A whole machine in a file: what it is, its memory, everything else as a state stream.
///
///     file   = "LYREMACH" u32(format) u32(flags: 1 = it was running) record* end
///     record = u32(kind) u32(0) u64(a) u64(b) u64(bytes that follow) bytes
///
///     kind 1  traits   bytes: name \0 value \0, again and again
///     kind 2  memory   bytes: name of the block; a: its size
///     kind 3  piece    of that block; a: offset, b: size, at most 1 MiB; bytes: a zstd frame with checksum
///     kind 4  state    b: size; bytes: a zstd frame with checksum of a state stream (system/state_stream.h)
///     kind 5  end      a: number of records before
///
/// All numbers are little-endian. What is not in a piece is zero. The records come in this order. A file is
/// written beside its name and takes it when it is complete. Disks are not in it: they stay as they are.
///
/// A reader trusts nothing. The order of records, their sizes, the end and the traits are looked at before
/// the machine is touched.
#pragma once

#include <string>

#include "base/result.h"
#include "machines/machine.h"

namespace lyrebird::machines {

/// The machine is paused. `running`: whether it is to run after load_machine().
Result<void> save_machine(Machine& machine, bool running, const std::string& path);

enum class Loaded { Running, Paused };
/// The machine is paused and stays so; who was saved running is to be resumed by the caller. After a failure
/// that comes once the machine was touched it is as after a reset.
Result<Loaded> load_machine(Machine& machine, const std::string& path);

}  // namespace lyrebird::machines
