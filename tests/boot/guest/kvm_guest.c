// SPDX-License-Identifier: Apache-2.0
// A machine inside the machine: the kernel's KVM at EL2 runs a few instructions of ours with stage 2
// translation, memory that is ours to answer, and PSCI.
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static long good(long result, const char* what) {
  if (result >= 0) return result;
  perror(what);
  exit(1);
}
#define GOOD(call) good((long)(call), #call)

// Sums 1 to 100, through memory, to device memory at 0x8000000; reads a signed byte there; switches off.
static const uint32_t kCode[] = {
    0xd2a10000,  // mov x0, #0x8000000
    0xd2800001,  // mov x1, #0
    0xd2800c82,  // mov x2, #100
    0x8b020021,  // add x1, x1, x2
    0xf1000442,  // subs x2, x2, #1
    0x54ffffc1,  // b.ne .-8
    0xd2b00003,  // mov x3, #0x80000000
    0xf9080061,  // str x1, [x3, #0x1000]
    0xf9480064,  // ldr x4, [x3, #0x1000]
    0xb9000404,  // str w4, [x0, #4]
    0x39402005,  // ldrb w5, [x0, #8]
    0xf9000805,  // str x5, [x0, #16]
    0xd53be046,  // mrs x6, cntvct_el0
    0xd5384247,  // mrs x7, currentel
    0xf9000c07,  // str x7, [x0, #24]
    0xd2b08000,  // mov x0, #0x84000000
    0xf2800100,  // movk x0, #8: SYSTEM_OFF
    0xd4000002,  // hvc #0
    0x14000000,  // b .
};
static const uint64_t kRam = 0x80000000, kSize = 0x200000, kPcRegister = 0x6030000000100040;

int main(void) {
  const int kvm = GOOD(open("/dev/kvm", O_RDWR));
  const int vm = GOOD(ioctl(kvm, KVM_CREATE_VM, 0));
  void* const ram = mmap(0, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(ram, kCode, sizeof kCode);
  struct kvm_userspace_memory_region region = {
      .guest_phys_addr = kRam, .memory_size = kSize, .userspace_addr = (uintptr_t)ram};
  GOOD(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region));
  const int cpu = GOOD(ioctl(vm, KVM_CREATE_VCPU, 0));
  struct kvm_vcpu_init init = {0};
  GOOD(ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init));
  init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
  GOOD(ioctl(cpu, KVM_ARM_VCPU_INIT, &init));
  const long size = GOOD(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
  struct kvm_run* const run = mmap(0, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
  struct kvm_one_reg pc = {kPcRegister, (uintptr_t)&kRam};
  GOOD(ioctl(cpu, KVM_SET_ONE_REG, &pc));
  for (;;) {
    GOOD(ioctl(cpu, KVM_RUN, 0));
    if (run->exit_reason != KVM_EXIT_MMIO) break;
    uint64_t data = 0;
    if (run->mmio.is_write) memcpy(&data, run->mmio.data, run->mmio.len);
    printf("kvm: %s %llx size %u data %llu\n", run->mmio.is_write ? "write" : "read",
           (unsigned long long)run->mmio.phys_addr, run->mmio.len, (unsigned long long)data);
    if (!run->mmio.is_write) run->mmio.data[0] = 0xfe;
  }
  printf("kvm: exit %u type %u\n", run->exit_reason, run->system_event.type);
  return 0;
}
