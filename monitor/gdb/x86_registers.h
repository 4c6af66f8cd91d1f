// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "monitor/gdb/registers.h"

namespace lyrebird::gdb {

const Registers& x86_64_registers();
const Registers& i386_registers();

}  // namespace lyrebird::gdb
