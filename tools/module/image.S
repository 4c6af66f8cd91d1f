// SPDX-License-Identifier: Apache-2.0
// The module's file, in whole pages, as base/module.h wants it. Nobody reads them before.
    .section .module, "a", @progbits
    .globl lyrebird_module, lyrebird_module_end
    .balign 4096
lyrebird_module:
    .incbin LYREBIRD_MODULE
    .balign 4096
lyrebird_module_end:

    .section .note.GNU-stack, "", @progbits
