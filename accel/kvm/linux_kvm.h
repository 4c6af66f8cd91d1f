// SPDX-License-Identifier: Apache-2.0
/// <linux/kvm.h> as C sees it. Some versions of the kernel's headers declare arrays at the end of structs in
/// a way that makes the struct larger in C++, and with it the request's number wrong.
#pragma once

#include <linux/stddef.h>

#undef __DECLARE_FLEX_ARRAY
#define __DECLARE_FLEX_ARRAY(type, name) type name[0]

#include <linux/kvm.h>

static_assert(sizeof(kvm_cpuid2) == 8 && sizeof(kvm_msrs) == 8 && sizeof(kvm_irq_routing) == 8);
static_assert(sizeof(kvm_msr_list) == 4 && sizeof(kvm_coalesced_mmio_ring) == 8 && sizeof(kvm_xsave) == 4096);
