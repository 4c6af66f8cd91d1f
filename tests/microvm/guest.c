// SPDX-License-Identifier: Apache-2.0
/* A kernel of our own for microvm, entered as PVH has it, in 32-bit code. What happened is told line by line
   on the serial line, with "NAME begin" and "NAME end" around what is to be timed. Its command line is a list
   of what to do: */
// uart          a byte goes out, and the line's interrupt comes (GSI 4, edge)
// timer         eight interrupts of the local APIC's timer
// disk N        N reads of random 4 KiB, each waited for by HLT and the disk's interrupt (level)
// rtc           eight periodic interrupts (GSI 8), and the time of day
// pit           eight interrupts of the 8254
// messages      says which of vectors 0x50 and 0x51, NMIs and GSI 17 (level) came, until vector 0x52 does
// paravirtual   KVM's clock, steal time, end of interrupt, asynchronous page faults, as far as CPUID has them
// crash         an instruction that no kernel emulates, on memory that is not there
// hold          stands still for ever
// reset         port 0x64 resets the machine, which begins again
// triple        a triple fault does
// port N, mmio N, notify N   so many reads of a port, of a virtio register, notifications of an empty queue
// off           power off through ACPI's sleep register; at the end in any case
#include <stdint.h>

__asm__(
    ".pushsection .note.pvh, \"a\", @note\n"
    "  .long 4, 4, 18, 0x006e6558, start\n"
    ".popsection\n"
    ".globl start\n"
    "start:\n"
    "  mov $0x300000, %esp\n"
    "  push %ebx\n"
    "  call kernel\n"
    // As IRET, which a KVM that emulates everything has in real mode only.
    ".macro entry name, body\n"
    ".globl \\name\n"
    "\\name: pusha; cld; call \\body; popa; pushl 8(%esp); popf; lret $4\n"
    ".endm\n"
    "entry on_uart, uart_interrupt\n"
    "entry on_timer, timer_interrupt\n"
    "entry on_disk, disk_interrupt\n"
    "entry on_rtc, rtc_interrupt\n"
    "entry on_pit, pit_interrupt\n"
    "entry on_nmi, nmi_interrupt\n"
    "entry on_message_1, message_1_interrupt\n"
    "entry on_message_2, message_2_interrupt\n"
    "entry on_last_message, last_message_interrupt\n"
    "entry on_level, level_interrupt\n"
    "entry on_fault_ready, fault_ready_interrupt\n"
    "on_fault: mov $0x3f8, %dx; mov $'!', %al; out %al, %dx; hlt; jmp on_fault\n"
    ".globl on_fault\n");

void on_uart(void), on_timer(void), on_disk(void), on_rtc(void), on_pit(void), on_nmi(void),
    on_message_1(void), on_message_2(void), on_last_message(void), on_level(void), on_fault_ready(void),
    on_fault(void);

enum {
  kUart = 0x3f8,
  kUartGsi = 4,
  kRtcGsi = 8,
  kPitPin = 2,
  kLevelGsi = 17,
  kFirstVirtioGsi = 16,
  kSlots = 8
};
enum { kUartVector = 0x40, kTimerVector, kDiskVector, kRtcVector, kPitVector, kLevelVector };
enum { kNmi = 2, kMessage1 = 0x50, kMessage2, kLastMessage, kFaultReadyVector = 0x60 };
#define IO_APIC 0xfec00000u
#define LOCAL_APIC 0xfee00000u
#define SLEEP_CONTROL 0xfea00200u
#define VIRTIO 0xfeb00000u

static void out8(uint16_t port, uint8_t value) { __asm__ volatile("out %0, %1" ::"a"(value), "Nd"(port)); }
static uint8_t in8(uint16_t port) {
  uint8_t value;
  __asm__ volatile("in %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static volatile uint32_t* reg(uint32_t address) { return (volatile uint32_t*)address; }
static void print(const char* text) {
  for (; *text; ++text) out8(kUart, (uint8_t)*text);
}
static void print_number(uint32_t value, unsigned base) {
  char text[12], *at = text + sizeof text;
  *--at = 0;
  do *--at = "0123456789abcdef"[value % base];
  while (value /= base);
  print(at);
}
static void line(const char* name, uint32_t value) {
  print(name), print(" "), print_number(value, 10), print("\n");
}
static void mark(const char* name, const char* what) { print(name), print(" "), print(what), print("\n"); }

/* --- interrupts --- */

static volatile uint32_t uart_seen, timer_seen, disk_seen, rtc_seen;
static uint32_t disk_base;

static void end_of_interrupt(void) { *reg(LOCAL_APIC + 0xb0) = 0; }
void uart_interrupt(void) {
  if ((in8(kUart + 2) & 7) == 2) ++uart_seen;
  end_of_interrupt();
}
void timer_interrupt(void) { ++timer_seen, end_of_interrupt(); }
void disk_interrupt(void) {
  ++disk_seen;
  *reg(disk_base + 0x64) = *reg(disk_base + 0x60);
  end_of_interrupt();
}
static uint8_t cmos(uint8_t index) { return out8(0x70, index), in8(0x71); }
void rtc_interrupt(void) {
  if (cmos(0x0c) & 0x40) ++rtc_seen;
  end_of_interrupt();
}

static volatile uint32_t pit_seen, heard, nmi_seen, message_1_seen, message_2_seen, last_seen, level_seen;
void pit_interrupt(void) { ++pit_seen, end_of_interrupt(); }
void nmi_interrupt(void) { ++nmi_seen, ++heard; }
void message_1_interrupt(void) { ++message_1_seen, ++heard, end_of_interrupt(); }
void message_2_interrupt(void) { ++message_2_seen, ++heard, end_of_interrupt(); }
void last_message_interrupt(void) { ++last_seen, ++heard, end_of_interrupt(); }
void level_interrupt(void) { ++level_seen, ++heard, end_of_interrupt(); }

/* Documentation/virt/kvm/x86/msr.rst */
enum { kClock = 0x4b564d01, kFaults, kSteal, kEnd, kFaultVector = 0x4b564d06, kFaultAck };
static void write_msr(uint32_t index, uint32_t value) {
  __asm__ volatile("wrmsr" ::"c"(index), "a"(value), "d"(0) : "memory");
}
static uint32_t read_msr(uint32_t index) {
  uint32_t low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
  return low;
}
static volatile uint32_t fault_ready_seen;
void fault_ready_interrupt(void) { ++fault_ready_seen, end_of_interrupt(), write_msr(kFaultAck, 1); }

static struct {
  uint16_t low, selector, type, high;
} idt[256];
static const uint64_t gdt[] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
struct __attribute__((packed)) Table {
  uint16_t limit;
  uint32_t base;
};

static void set_gate(unsigned vector, void (*handler)(void)) {
  const uint32_t at = (uint32_t)handler;
  idt[vector].low = (uint16_t)at, idt[vector].high = (uint16_t)(at >> 16);
  idt[vector].selector = 8, idt[vector].type = 0x8e00;
}
static void route(unsigned gsi, uint32_t vector, int level) {
  reg(IO_APIC)[0] = 0x11 + 2 * gsi, reg(IO_APIC)[4] = 0;
  reg(IO_APIC)[0] = 0x10 + 2 * gsi, reg(IO_APIC)[4] = vector | (level ? 1u << 15 : 0);
}
static void set_up_interrupts(void) {
  for (unsigned i = 0; i < 32; ++i) set_gate(i, on_fault);
  set_gate(kUartVector, on_uart), set_gate(kTimerVector, on_timer);
  set_gate(kDiskVector, on_disk), set_gate(kRtcVector, on_rtc), set_gate(kPitVector, on_pit);
  set_gate(kNmi, on_nmi), set_gate(kMessage1, on_message_1), set_gate(kMessage2, on_message_2);
  set_gate(kLastMessage, on_last_message), set_gate(kLevelVector, on_level),
      set_gate(kFaultReadyVector, on_fault_ready);
  const struct Table g = {sizeof gdt - 1, (uint32_t)gdt}, i = {sizeof idt - 1, (uint32_t)idt};
  __asm__ volatile("lgdt %0; ljmp $8, $1f; 1: mov %2, %%ds; mov %2, %%es; mov %2, %%ss; lidt %1" ::"m"(g),
                   "m"(i), "r"(16)
                   : "memory");
  out8(0x21, 0xff), out8(0xa1, 0xff);
  *reg(LOCAL_APIC + 0xf0) = 0x1ff;
}
/* Until *seen is not `from` any more. */
static void wait(volatile uint32_t* seen, uint32_t from) {
  for (;;) {
    __asm__ volatile("cli");
    if (*seen != from) break;
    __asm__ volatile("sti; hlt");
  }
  __asm__ volatile("sti");
}

/* --- what the command line asks for --- */

static void do_uart(void) {
  route(kUartGsi, kUartVector, 0);
  const uint32_t before = uart_seen;
  out8(kUart + 4, 0x0b); /* OUT2 lets the interrupt out */
  out8(kUart + 1, 2);    /* the transmitter is empty: at once */
  wait(&uart_seen, before);
  out8(kUart + 1, 0);
  line("uart interrupts", uart_seen != before);
}

static void do_timer(void) {
  *reg(LOCAL_APIC + 0x3e0) = 3; /* a sixteenth */
  *reg(LOCAL_APIC + 0x320) = kTimerVector | 1u << 17;
  *reg(LOCAL_APIC + 0x380) = 100000;
  while (timer_seen < 8) wait(&timer_seen, timer_seen);
  *reg(LOCAL_APIC + 0x380) = 0;
  line("timer interrupts", 8);
}

static void do_rtc(void) {
  route(kRtcGsi, kRtcVector, 0);
  out8(0x70, 0x0a), out8(0x71, 0x26); /* 1024 a second */
  out8(0x70, 0x0b), out8(0x71, 0x42);
  (void)cmos(0x0c);
  while (rtc_seen < 8) wait(&rtc_seen, rtc_seen);
  out8(0x70, 0x0b), out8(0x71, 0x02);
  line("rtc interrupts", 8);
  print("rtc time ");
  static const uint8_t kFields[] = {0x32, 9, 8, 7, 4, 2, 0};
  for (unsigned i = 0; i < sizeof kFields; ++i) {
    const uint8_t value = cmos(kFields[i]);
    out8(kUart, (uint8_t)('0' + (value >> 4))), out8(kUart, (uint8_t)('0' + (value & 15)));
  }
  print("\n");
}

static void do_pit(void) {
  route(kPitPin, kPitVector, 0);
  out8(0x43, 0x34), out8(0x40, 0xa9), out8(0x40, 0x04); /* channel 0, 1000 a second */
  while (pit_seen < 8) wait(&pit_seen, pit_seen);
  out8(0x43, 0x30);
  line("pit interrupts", 8);
}

static void do_messages(void) {
  route(kLevelGsi, kLevelVector, 1);
  print("messages\n");
  uint32_t seen = 0, messages_1 = 0, messages_2 = 0, nmis = 0, levels = 0;
  while (!last_seen) {
    wait(&heard, seen);
    seen = heard;
    if (message_1_seen != messages_1) line("message 1:", messages_1 = message_1_seen);
    if (message_2_seen != messages_2) line("message 2:", messages_2 = message_2_seen);
    if (nmi_seen != nmis) line("nmi", nmis = nmi_seen);
    if (level_seen != levels) line("level", levels = level_seen);
  }
}

static uint32_t kvm_features(void) {
  uint32_t a = 0x40000001, b, c = 0, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  return a;
}

static void do_paravirtual(void) {
  static volatile uint32_t clock[8] __attribute__((aligned(64))), steal[16] __attribute__((aligned(64))),
      end __attribute__((aligned(64))), fault[17] __attribute__((aligned(64)));
  const uint32_t features = kvm_features();
  if (features >> 3 & 1) {
    write_msr(kClock, (uint32_t)clock | 1);
    line("clock", clock[0] != 0 && !(clock[0] & 1) && clock[6] != 0);
  } else {
    print("clock none\n");
  }
  if (features >> 5 & 1) {
    write_msr(kSteal, (uint32_t)steal | 1);
    (void)in8(kUart + 5); /* the kernel looks before it goes on */
    line("steal time", steal[2] != 0 && !(steal[2] & 1));
  } else {
    print("steal time none\n");
  }
  if (features >> 6 & 1) {
    write_msr(kEnd, (uint32_t)&end | 1);
    line("end of interrupt", read_msr(kEnd) == ((uint32_t)&end | 1));
  } else {
    print("end of interrupt none\n");
  }
  if ((features >> 4 & 1) && (features >> 14 & 1)) {
    write_msr(kFaultVector, kFaultReadyVector);
    write_msr(kFaults, (uint32_t)fault | 9);
    /* What may have been ready before is told at once: that there is nothing to remember. */
    wait(&fault_ready_seen, 0);
    line("page faults",
         read_msr(kFaults) == ((uint32_t)fault | 9) && read_msr(kFaultVector) == kFaultReadyVector);
  } else {
    print("page faults none\n");
  }
}

enum { kQueue = 8, kBlock = 4096 };
static struct {
  uint64_t address;
  uint32_t length;
  uint16_t flags, next;
} descriptors[kQueue] __attribute__((aligned(4096)));
static volatile struct {
  uint16_t flags, index, ring[kQueue], event;
} available __attribute__((aligned(4096)));
static volatile struct {
  uint16_t flags, index;
  struct {
    uint32_t id, length;
  } ring[kQueue];
} used __attribute__((aligned(4096)));
static struct {
  uint32_t type, reserved;
  uint64_t sector;
} header;
static uint8_t block[kBlock] __attribute__((aligned(4096))), status;

static int find_disk(void) {
  if (disk_base) return 1;
  for (unsigned slot = 0; slot < kSlots; ++slot) {
    const uint32_t base = VIRTIO + 0x200 * slot;
    if (reg(base)[0] != 0x74726976 || reg(base)[1] != 2 || reg(base)[2] != 2) continue;
    disk_base = base;
    *reg(base + 0x70) = 0;
    *reg(base + 0x70) = 3;
    *reg(base + 0x24) = 0, *reg(base + 0x20) = 0;
    *reg(base + 0x24) = 1, *reg(base + 0x20) = 1; /* VIRTIO_F_VERSION_1 */
    *reg(base + 0x70) = 11;
    *reg(base + 0x30) = 0;
    *reg(base + 0x38) = kQueue;
    *reg(base + 0x80) = (uint32_t)descriptors, *reg(base + 0x84) = 0;
    *reg(base + 0x90) = (uint32_t)&available, *reg(base + 0x94) = 0;
    *reg(base + 0xa0) = (uint32_t)&used, *reg(base + 0xa4) = 0;
    *reg(base + 0x44) = 1;
    *reg(base + 0x70) = 15;
    route(kFirstVirtioGsi + slot, kDiskVector, 1);
    return 1;
  }
  print("no disk\n");
  return 0;
}

static void do_disk(uint32_t times) {
  if (!find_disk()) return;
  const uint32_t capacity = *reg(disk_base + 0x100) / (kBlock / 512);
  uint32_t at = 1, sum = 0, seen_before = disk_seen;
  descriptors[0].address = (uint32_t)&header, descriptors[0].length = 16, descriptors[0].flags = 1,
  descriptors[0].next = 1;
  descriptors[1].address = (uint32_t)block, descriptors[1].length = kBlock, descriptors[1].flags = 3,
  descriptors[1].next = 2;
  descriptors[2].address = (uint32_t)&status, descriptors[2].length = 1, descriptors[2].flags = 2;
  mark("disk", "begin");
  for (uint32_t i = 0; i < times; ++i) {
    at = at * 1664525 + 1013904223;
    header.sector = (uint64_t)((at >> 8) % capacity) * (kBlock / 512);
    status = 0xff;
    available.ring[available.index % kQueue] = 0;
    __asm__ volatile("" ::: "memory");
    const uint16_t before = used.index;
    ++available.index;
    *reg(disk_base + 0x50) = 0;
    for (;;) {
      __asm__ volatile("cli" ::: "memory");
      if (used.index != before) break;
      __asm__ volatile("sti; hlt" ::: "memory");
    }
    __asm__ volatile("sti" ::: "memory");
    if (status != 0) line("disk status", status);
    sum = sum * 33 + *(uint32_t*)block + *(uint32_t*)(block + kBlock - 4);
  }
  mark("disk", "end");
  line("disk interrupts", disk_seen - seen_before > 0);
  print("disk sum "), print_number(sum, 16), print("\n");
}

static void do_reads(const char* name, uint32_t times) {
  if (!find_disk()) return;
  mark(name, "begin");
  if (name[0] == 'p')
    for (uint32_t i = 0; i < times; ++i) (void)in8(kUart + 5);
  else if (name[0] == 'm')
    for (uint32_t i = 0; i < times; ++i) (void)*reg(disk_base);
  else
    for (uint32_t i = 0; i < times; ++i) *reg(disk_base + 0x50) = 0;
  mark(name, "end");
}

static int word(const char** at, const char* name) {
  const char* p = *at;
  for (; *name; ++name, ++p)
    if (*p != *name) return 0;
  if (*p != ' ' && *p != 0) return 0;
  *at = p;
  return 1;
}
static uint32_t number(const char** at) {
  uint32_t value = 0;
  while (**at == ' ') ++*at;
  for (; **at >= '0' && **at <= '9'; ++*at) value = value * 10 + (uint32_t)(**at - '0');
  return value;
}

void kernel(const uint32_t* start_info) {
  const char* at = (const char*)start_info[6];
  set_up_interrupts();
  __asm__ volatile("sti");
  print("kernel\n");
  while (*at) {
    if (word(&at, "uart")) {
      do_uart();
    } else if (word(&at, "timer")) {
      do_timer();
    } else if (word(&at, "rtc")) {
      do_rtc();
    } else if (word(&at, "pit")) {
      do_pit();
    } else if (word(&at, "messages")) {
      do_messages();
    } else if (word(&at, "paravirtual")) {
      do_paravirtual();
    } else if (word(&at, "crash")) {
      __asm__ volatile("fldt 0xd0000000");
    } else if (word(&at, "reset")) {
      out8(0x64, 0xfe);
      for (;;) __asm__ volatile("hlt");
    } else if (word(&at, "triple")) {
      const struct Table nothing = {0, 0};
      __asm__ volatile("lidt %0; ud2" ::"m"(nothing));
    } else if (word(&at, "hold")) {
      print("hold\n");
      for (;;) __asm__ volatile("hlt");
    } else if (word(&at, "disk")) {
      do_disk(number(&at));
    } else if (word(&at, "port")) {
      do_reads("port", number(&at));
    } else if (word(&at, "mmio")) {
      do_reads("mmio", number(&at));
    } else if (word(&at, "notify")) {
      do_reads("notify", number(&at));
    } else {
      while (*at && *at != ' ') ++at;
    }
    while (*at == ' ') ++at;
  }
  print("off\n");
  *(volatile uint8_t*)SLEEP_CONTROL = 5 << 2 | 1 << 5;
  for (;;) __asm__ volatile("hlt");
}
