#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Debian's arm64 kernel with a busybox initramfs, from power-on to power-off.

usage: run.py EMULATOR [CASE...]        EMULATOR is lyrebird-system-aarch64
"""

import gzip
import os
import pathlib
import re
import selectors
import subprocess
import sys
import tempfile
import time

import disk_image
from payload import SKIPPED, Payload

TIMEOUT = int(os.environ.get("LYREBIRD_BOOT_TIMEOUT", "600"))  # for a busy machine


class Failure(Exception):
    pass


class Boot:
    def __init__(self, emulator: str, payload: Payload, work: pathlib.Path):
        self.emulator, self.payload, self.work = emulator, payload, work
        self.initrd = payload.initrd(work / "initrd.gz")

    def run(self, *options: str, append: str = "", typed: dict[str, str] | None = None,
            kernel: pathlib.Path | bool | None = None, initrd: pathlib.Path | None = None,
            firmware: pathlib.Path | None = None, boots: int = 1, status: int = 0) -> str:
        """Boots and returns the console's text. `typed`: once the first has been seen, the second is typed. `boots`
        above 1: resets are done, and it is ended when so many kernels have reached their init."""
        command = [self.emulator, "-M", "virt", "-m", "512", "-nographic", *(["-no-reboot"] if boots == 1 else []),
                   *options]
        if kernel is not False:
            command += ["-kernel", str(kernel or self.payload.kernel), "-initrd", str(initrd or self.initrd),
                        "-append", f"console=ttyAMA0 {append}".strip()]
        if firmware:
            command += ["-bios", str(firmware), "-nic", "none"]  # or it tries to boot from the network first
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        waiting, text, end = list((typed or {}).items()), "", time.monotonic() + TIMEOUT
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while time.monotonic() < end:
                if not selector.select(1):
                    continue
                piece = os.read(process.stdout.fileno(), 65536)
                if not piece:
                    break
                text += piece.decode(errors="replace")
                if boots > 1 and text.count("boot: uptime") == boots:
                    waiting, boots = [("", "\x01x")], 1
                while waiting and waiting[0][0] in text:
                    process.stdin.write(waiting.pop(0)[1].encode())
                    process.stdin.flush()
            else:
                process.kill()
                raise Failure(f"{' '.join(command)}\nis not done after {TIMEOUT} s; its last words:\n{text[-3000:]}")
        if process.wait() != status:
            raise Failure(f"exit status {process.returncode}, not {status}:\n{text[-3000:]}")
        return text


def expect(text: str, *lines: str):
    for line in lines:
        if line not in text:
            raise Failure(f"no \"{line}\" in:\n{text[-6000:]}")
    for bad in ("Kernel panic", "Oops", "Call trace", "BUG:", "rcu_sched self-detected"):
        # A busy host makes the guest's watchdog see what is no fault of ours.
        if bad in text and "soft lockup" not in text and "stall" not in text:
            raise Failure(f"\"{bad}\" in:\n{text[-6000:]}")


def gicv2(boot: Boot):
    text = boot.run()
    expect(text, "Booting Linux on physical CPU 0x0000000000", "psci: PSCIv1.", "boot: cpus 1", "boot: interrupts 1",
           "boot: done", "reboot: Power down")


def gicv3(boot: Boot):
    expect(boot.run("-M", "virt,gic-version=3"), "GICv3: ", "boot: cpus 1", "boot: done", "reboot: Power down")


def four_cpus(boot: Boot):
    expect(boot.run("-smp", "4"), "smp: Brought up 1 node, 4 CPUs", "boot: cpus 4", "boot: done", "reboot: Power down")


def four_cpus_gicv3(boot: Boot):
    expect(boot.run("-smp", "4", "-M", "virt,gic-version=3"), "boot: cpus 4", "boot: done", "reboot: Power down")


def much_memory(boot: Boot):
    text = boot.run("-m", "6G")
    memory = int(text.split("boot: memory ")[1].split()[0])
    expect(text, "boot: done")
    if not 5600 < memory < 6144:
        raise Failure(f"6 GiB of memory became {memory} MiB")


def compressed_kernel(boot: Boot):
    kernel = boot.work / "Image.gz"
    kernel.write_bytes(gzip.compress(boot.payload.kernel.read_bytes(), compresslevel=1))
    expect(boot.run(kernel=kernel), "boot: done", "reboot: Power down")


def console_input(boot: Boot):
    initrd = boot.payload.initrd(boot.work / "shell.gz", "echo ready to listen\n/bin/sh\n")
    text = boot.run(initrd=initrd, append="quiet boot.script=script",
                    typed={"ready to listen": "echo $((6 * 7)) is heard; exit\n"})
    expect(text, "42 is heard", "boot: done")


def quit_key(boot: Boot):
    initrd = boot.payload.initrd(boot.work / "sleep.gz", "echo ready to end\nsleep 1000\n")
    text = boot.run(initrd=initrd, append="quiet boot.script=script", typed={"ready to end": "\x01x"})
    if "boot: done" in text:
        raise Failure("Ctrl-A x did not end it")


def monitor(boot: Boot):
    initrd = boot.payload.initrd(boot.work / "sleep.gz", "echo ready to end\nsleep 1000\n")
    text = boot.run(initrd=initrd, append="quiet boot.script=script",
                    typed={"ready to end": "\x01cinfo registers\r", "SP_EL1": "info mtree -f\r",
                           "mach-virt.ram": "info tlb\r", "fff -> 0x": "xp/2wx 0x40000000\r",
                           "0xedfe0dd0": "info status\r", "VM status: running": "xp/1i 0x40000000 + 2 * 0\r",
                           ".inst 0xedfe0dd0": "quit\r"})
    expect(text, "SP_EL1", "pl011", "0xedfe0dd0")


def instruction_count(boot: Boot):
    """The same number of instructions, and the same words with the same times, twice; on one CPU and on two."""
    for cpus in ("1", "2"):
        texts, counts = [], []
        for _ in range(2):
            text = boot.run("-icount", "shift=3,sleep=off", "-M", "virt,dtb-randomness=off", "-smp", cpus,
                            "-rtc", "base=2024-02-29T12:00:00", "-stats")
            expect(text, f"boot: cpus {cpus}", "boot: done", "reboot: Power down")
            counts.append(re.search(r"instructions run +([\d ]+)", text)[1].strip())
            texts.append(text[:text.index("reboot: Power down")])
        print(f"{cpus} CPUs: {counts[0]} instructions")
        if counts[0] != counts[1]:
            raise Failure(f"{cpus} CPUs: once {counts[0]} instructions, once {counts[1]}")
        if texts[0] != texts[1]:
            lines = [pair for pair in zip(texts[0].splitlines(), texts[1].splitlines()) if pair[0] != pair[1]]
            raise Failure(f"{cpus} CPUs: the consoles differ: {lines[:3]}")


def automatic_instruction_count(boot: Boot):
    expect(boot.run("-icount", "auto", "-smp", "2"), "boot: cpus 2", "boot: done", "reboot: Power down")


def reset_ends_with_no_reboot(boot: Boot):
    initrd = boot.payload.initrd(boot.work / "reboot.gz", "reboot -f\n")
    text = boot.run(initrd=initrd, append="boot.script=script")
    expect(text, "reboot: Restarting system")
    if text.count("Booting Linux") != 1:
        raise Failure("it went on after the reset")


def reset(boot: Boot):
    """The kernel is there again each time, and all CPUs come up."""
    initrd = boot.payload.initrd(boot.work / "again.gz", "reboot -f\n")
    text = boot.run("-smp", "2", initrd=initrd, append="boot.script=script", boots=3)
    if text.count("smp: Brought up 1 node, 2 CPUs") != 3:
        raise Failure(f"not every boot had both CPUs:\n{text[-3000:]}")


def cpu_hotplug(boot: Boot):
    script = ("cd /sys/devices/system/cpu/cpu1\nfor n in 1 2 3 4 5; do echo 0 > online; echo 1 > online; done\n"
              "echo cpus after hotplug: $(nproc)\n")
    initrd = boot.payload.initrd(boot.work / "hotplug.gz", script)
    text = boot.run("-smp", "2", initrd=initrd, append="boot.script=script")
    expect(text, "psci: CPU1 killed", "cpus after hotplug: 2", "boot: done", "reboot: Power down")


FIRMWARE = pathlib.Path("/usr/share/qemu-efi-aarch64/QEMU_EFI.fd")


def firmware_shell(boot: Boot):
    if not FIRMWARE.exists():
        raise Failure(f"no {FIRMWARE}; it is in Debian's qemu-efi-aarch64")
    text = boot.run(firmware=FIRMWARE, kernel=False, typed={"any other key": "\x1b", "Shell> ": "reset -s\r"})
    expect(text, "UEFI Interactive Shell")


def firmware_kernel(boot: Boot):
    """The kernel's EFI stub, handed to the firmware by fw_cfg."""
    if not FIRMWARE.exists():
        raise Failure(f"no {FIRMWARE}; it is in Debian's qemu-efi-aarch64")
    text = boot.run(firmware=FIRMWARE)
    expect(text, "EFI stub: Booting Linux Kernel", "efi: EFI v2", "boot: done", "reboot: Power down")


def firmware_disk(boot: Boot):
    """The kernel's EFI stub, from the EFI system partition of a virtio disk."""
    if not FIRMWARE.exists():
        raise Failure(f"no {FIRMWARE}; it is in Debian's qemu-efi-aarch64")
    size, disk = 64 << 20, boot.work / "disk.img"
    [start] = disk_image.write_table(disk, [(disk_image.SYSTEM, "EFI", size)])
    disk_image.write_fat(disk, start, size, {
        "linux.efi": boot.payload.kernel, "initrd.gz": boot.initrd,
        "startup.nsh": b"fs0:\r\nlinux.efi initrd=\\initrd.gz console=ttyAMA0\r\n"})
    text = boot.run("-drive", f"file={disk},format=raw,if=none,id=disk", "-device", "virtio-blk-pci,drive=disk",
                    firmware=FIRMWARE, kernel=False, typed={"any other key": "\r"})
    expect(text, "EFI stub: Booting Linux Kernel", "efi: EFI v2", "boot: done")


def guest_program(boot: Boot, name: str) -> pathlib.Path:
    program = pathlib.Path(os.environ.get("LYREBIRD_BOOT_PROGRAMS", "build/release/tests/boot")) / name
    if not program.exists():
        print(f"skipped: no {program}; it needs aarch64-linux-gnu-gcc")
        sys.exit(SKIPPED)
    return boot.payload.initrd(boot.work / f"{name}.gz", f"/{name}\n", [program])


def cpu_model(boot: Boot):
    """Exceptions, single steps, faults and threads as programs see them."""
    initrd = guest_program(boot, "cpu_model")
    expect(boot.run("-smp", "2", "-cpu", "max", initrd=initrd, append="boot.script=script"), "cpu: good", "boot: done")


def kvm_guest(boot: Boot):
    """The kernel's own KVM at EL2, with and without the host extensions."""
    initrd = guest_program(boot, "kvm_guest")
    for cpu, started in (("cortex-a57", "Hyp mode initialized"), ("max", "VHE mode initialized")):
        text = boot.run("-M", "virt,virtualization=on", "-cpu", cpu, initrd=initrd, append="boot.script=script")
        expect(text, started, "kvm: write 8000004 size 4 data 5050", "kvm: read 8000008 size 1",
               "kvm: write 8000010 size 8 data 254", "kvm: write 8000018 size 8 data 4", "kvm: exit 24 type 1",
               "boot: done")


def secure(boot: Boot):
    """With EL3, whose firmware the board itself is."""
    expect(boot.run("-M", "virt,secure=on"), "boot: done", "reboot: Power down")


CASES = {
    "gicv2": gicv2, "gicv3": gicv3, "smp4": four_cpus, "smp4-gicv3": four_cpus_gicv3, "memory": much_memory,
    "gzip": compressed_kernel, "input": console_input, "quit": quit_key, "monitor": monitor,
    "icount": instruction_count, "icount-auto": automatic_instruction_count,
    "no-reboot": reset_ends_with_no_reboot, "efi-shell": firmware_shell, "efi-kernel": firmware_kernel,
    "efi-disk": firmware_disk,
    "cpu": cpu_model, "kvm": kvm_guest, "secure": secure,
    "reset": reset, "hotplug": cpu_hotplug,
}


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    payload = Payload("arm64")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="lyrebird-boot-") as work:
        boot = Boot(sys.argv[1], payload, pathlib.Path(work))
        for name in sys.argv[2:] or CASES:
            start = time.monotonic()
            try:
                CASES[name](boot)
                print(f"ok      {name} ({time.monotonic() - start:.1f} s)", flush=True)
            except Failure as failure:
                print(f"FAILED  {name}: {failure}", flush=True)
                failed += 1
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
