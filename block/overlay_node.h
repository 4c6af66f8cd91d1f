// SPDX-License-Identifier: Apache-2.0
/// -snapshot: a disk that is read from its image and written to a file that nobody sees and that goes with
/// the process. The image stays as it is.
///
/// What has been written is known by ranges of bytes, so that nothing is ever copied. Flushes cost nothing:
/// there is nothing to keep. The file lies in $TMPDIR, else in /var/tmp, and takes the space of what was
/// written.
#pragma once

#include <memory>

#include "base/result.h"
#include "block/node.h"
#include "system/event_loop.h"

namespace lyrebird::block {

/// `base` is only read.
Result<std::unique_ptr<Node>> open_overlay(std::unique_ptr<Node> base, system::EventLoop& loop);

}  // namespace lyrebird::block
