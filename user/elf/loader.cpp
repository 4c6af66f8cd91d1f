// SPDX-License-Identifier: Apache-2.0
#include "user/elf/loader.h"

namespace lyrebird::user {

Result<void> load_program(Process&) { return Error{"not there yet"}; }

}  // namespace lyrebird::user
