// SPDX-License-Identifier: Apache-2.0
/// Functions that privileged code calls through CallHelper, behind those of a64/helpers.h.
#pragma once

#include "frontend/arm/a64/helpers.h"

namespace lyrebird::arm {

enum SystemHelper : unsigned {
  kHelperCheckAccess = a64::kHelperCount,  ///< (register, write) -> 0: allowed
  kHelperCheckOperation,                   ///< (key) -> 0: allowed
  kHelperReadRegister,                     ///< (register) -> value
  kHelperWriteRegister,                    ///< (register, value)
  kHelperReadGic,                          ///< (key) -> value; access_failed
  kHelperWriteGic,                         ///< (key, value); access_failed
  kHelperOperation,                        ///< (key, value)
  kHelperRecheck,                          ///< (): interrupts were unmasked
  kHelperSvc,                              ///< (immediate, next pc) -> pc
  kHelperHvc,
  kHelperSmc,
  kHelperEret,         ///< (ELR_ELx) -> pc
  kHelperWaitTrap,     ///< (event) -> 0: WFI (WFE) does not trap
  kHelperSendEvent,    ///< ()
  kHelperFlushesDone,  ///< (): what TLBI has asked of other CPUs has been done
};

/// The table of a64/helpers.h and these.
ir::HelperTable system_helper_table();

}  // namespace lyrebird::arm
