// SPDX-License-Identifier: Apache-2.0
/// The log's own descriptor, for who has to keep it out of somebody's way (user/host/private_fds.h).
#pragma once

namespace lyrebird {

int log_file();
/// From now on the log is written to `fd`.
void set_log_file(int fd);

}  // namespace lyrebird
