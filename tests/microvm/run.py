#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py LYREBIRD-SYSTEM-X86_64 KERNEL CASE: a kernel of our own (guest.c) under the local /dev/kvm, to power-off.

CASE: plain, split, rtc, one-by-one (no ioeventfd, dirty rings), memory (where the guest's memory lies), failure
(the report of an instruction that the kernel cannot emulate), reset, gdb. Exit status 77: skipped, and the last line says why.
"""

import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
LIMIT = 120  # seconds, on however busy a host
BLOCK = 4096
PROGRAM, KERNEL, CASE = sys.argv[1:4]
HUGE = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")


class Failed(Exception):
    pass


def command(words, *options, machine="microvm", memory=32):
    accelerator = [] if "-accel" in options else ["-accel", "kvm"]
    return [PROGRAM, "-M", machine, *accelerator, "-m", str(memory), "-nographic", "-no-reboot", "-kernel", KERNEL,
            "-append", words, *options]


def boot(words, expected, *options, machine="microvm", folder=None):
    """Runs it to power-off, with a disk; the lines that it must say, in this order, and -stats."""
    data = random.randbytes(1 << 20)
    disk = pathlib.Path(folder, "disk")
    disk.write_bytes(data)
    done = subprocess.run(
        command(words, "-stats", "-drive", f"file={disk},format=raw,if=none,id=d0", "-device", "virtio-blk-device,drive=d0",
                *options, machine=machine),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT)
    lines = done.stdout.splitlines()
    expected = ["kernel", *(line.format(sum=disk_sum(data, 64)) for line in expected), "off"]
    seen = [line for line in lines if not line.startswith("rtc time")]
    if done.returncode != 0 or seen != expected:
        raise Failed(f"status {done.returncode}, {seen} instead of {expected}\n{done.stderr}")
    print(f"{machine} {' '.join(options)}: {words}")
    return lines, done.stderr


def disk_sum(data, times):
    """As guest.c reads."""
    at, total = 1, 0
    for _ in range(times):
        at = (at * 1664525 + 1013904223) & 0xFFFFFFFF
        begin = (at >> 8) % (len(data) // BLOCK) * BLOCK
        first, last = (struct.unpack_from("<I", data, begin + offset)[0] for offset in (0, BLOCK - 4))
        total = (total * 33 + first + last) & 0xFFFFFFFF
    return f"{total:x}"


UART, TIMER, PIT = "uart interrupts 1", "timer interrupts 8", "pit interrupts 8"
DISK = ["disk begin", "disk end", "disk interrupts 1", "disk sum {sum}"]


def count(report, name):
    if not (found := re.search(rf"{name}\s+([\d,]+)", report)):
        raise Failed(f"-stats has no {name}:\n{report}")
    return int(found[1].replace(",", ""))


def plain(folder):
    lines, report = boot("uart timer pit disk 64 paravirtual",
                         [UART, TIMER, PIT, *DISK, "clock 1", "steal time 1", "end of interrupt 1", "page faults 1"],
                         folder=folder)
    # The driver's choice of registers and addresses cost no exit of their own.
    if count(report, "kept back") < 10:
        raise Failed(f"the kernel kept no writes back:\n{report}")


def split(folder):
    boot("uart timer disk 64", [UART, TIMER, *DISK], machine="microvm,kernel-irqchip=split", folder=folder)
    rtc_time(boot("uart rtc timer disk 64", [UART, "rtc interrupts 8", TIMER, *DISK],
                  machine="microvm,kernel-irqchip=split,rtc=on", folder=folder)[0])


def rtc(folder):
    lines, report = boot("rtc uart", ["rtc interrupts 8", UART], machine="microvm,rtc=on", folder=folder)
    rtc_time(lines)
    if count(report, "kept back") < 10:  # which register
        raise Failed(f"the kernel kept no writes back:\n{report}")


def rtc_time(lines):
    text = next(line for line in lines if line.startswith("rtc time")).split()[-1]
    told = time.mktime(time.strptime(text, "%Y%m%d%H%M%S")) - time.timezone
    if abs(told - time.time()) > LIMIT:
        raise Failed(f"the clock says {text}")


def one_by_one(folder):
    boot("uart disk 64", [UART, *DISK], machine="microvm,ioeventfd=off", folder=folder)
    boot("uart disk 64", [UART, *DISK], "-accel", "kvm,dirty-ring-size=1024", folder=folder)
    # The first of the list that can be had.
    report = boot("uart disk 64", [UART, *DISK], "-accel", "jit", "-accel", "kvm", folder=folder)[1]
    if "-accel jit: x86 machines run under KVM only so far; using kvm\n" not in report:
        raise Failed(f"which accelerator it is is not told:\n{report}")


def hold(check, *options, machine="microvm", memory=32):
    """check(pid) while the machine lives."""
    process = subprocess.Popen(command("hold", *options, machine=machine, memory=memory), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        text = b""
        while b"hold" not in text:
            piece = os.read(process.stdout.fileno(), 4096)
            if not piece:
                raise Failed(f"it ended: {process.stderr.read().decode()}")
            text += piece
        check(pathlib.Path(f"/proc/{process.pid}"))
        process.send_signal(signal.SIGTERM)
        if process.wait(LIMIT) != 0:
            raise Failed(f"status {process.returncode}")
    finally:
        process.kill()
        process.wait()


def mapping(proc, kib):
    """The guest's memory in /proc/PID/smaps: its first line and a dictionary."""
    pieces = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", proc.joinpath("smaps").read_text(), flags=re.M)
    for piece in pieces[1:]:
        head, *rest = piece.splitlines()
        fields = dict(line.split(":", 1) for line in rest)
        if int(fields["Size"].split()[0]) == kib:
            return head, {name: value.strip() for name, value in fields.items()}
    raise Failed(f"no mapping of {kib} KiB")


def memory(folder):
    def expect(what, good, seen):
        print(("ok      " if good else "FAILED  ") + what)
        if not good:
            raise Failed(f"{what}: {seen}")

    def backend(text, check, size=32):
        hold(check, "-object", f"memory-backend-{text},id=m0,size={size}M", machine="microvm,memory-backend=m0", memory=size)

    def rss(fields):
        return int(fields["Rss"].split()[0])

    kib = 32 << 10

    def anonymous(proc):
        head, fields = mapping(proc, kib)
        expect("anonymous memory, taken when it is used", head.endswith(" 0 ") and rss(fields) < kib and "mg" not in fields["VmFlags"].split(),
               (head, fields))

    def merged(proc):
        expect("merge=on: KSM may merge it", "mg" in mapping(proc, kib)[1]["VmFlags"].split(), mapping(proc, kib))

    def shared(proc):
        expect("a memfd, shared", "memfd:" in mapping(proc, kib)[0] and " rw-s " in mapping(proc, kib)[0], mapping(proc, kib))

    def whole(proc):
        expect("prealloc=on: all there at the start", rss(mapping(proc, kib)[1]) == kib, mapping(proc, kib))

    def bound(proc):
        address = f"{int(mapping(proc, kib)[0].split('-')[0], 16):x}"
        text = proc.joinpath("numa_maps").read_text()
        expect("host-nodes=0,policy=bind", re.search(rf"^0*{address} bind\S*:0 ", text, re.M), text)

    def pinned(proc):
        cpu = next(task for task in proc.joinpath("task").iterdir() if task.joinpath("comm").read_text().strip() == "cpu0")
        expect("pinned to host CPU 0, and named", "Cpus_allowed_list:\t0\n" in cpu.joinpath("status").read_text(),
               cpu.joinpath("status").read_text())

    hold(anonymous)
    backend("ram,merge=on", merged)
    hold(merged, machine="microvm,mem-merge=on")
    backend("memfd,share=on", shared)
    backend("ram,prealloc=on", whole)
    if pathlib.Path("/proc/self/numa_maps").exists():
        backend("ram,host-nodes=0,policy=bind", bound)
    hold(pinned, "-smp", "1,pin=0")

    def huge(proc):
        fields = mapping(proc, kib)[1]
        expect("pages of hugetlbfs", fields["KernelPageSize"] == "2048 kB" and int(fields["Shared_Hugetlb"].split()[0]) +
               int(fields["Private_Hugetlb"].split()[0]) > 0, fields)

    wanted = 16
    try:
        before = int(HUGE.read_text())
        HUGE.write_text(str(before + wanted))
        if int(HUGE.read_text()) < before + wanted:
            HUGE.write_text(str(before))
            raise OSError("not enough memory in one piece")
    except OSError as reason:
        print(f"skipped: the host gives no huge pages ({reason}); the rest passed")
        return SKIPPED
    try:
        backend("memfd,hugetlb=on,hugetlbsize=2M", huge)
        boot("uart disk 64", [UART, *DISK], "-object", "memory-backend-memfd,id=m0,size=32M,hugetlb=on,hugetlbsize=2M",
             machine="microvm,memory-backend=m0", folder=folder)
    finally:
        HUGE.write_text(str(before))
    return 0


def failure(folder):
    done = subprocess.run(command("crash"), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT)
    wanted = [r"processor 0 under KVM: the kernel cannot emulate an instruction", r"^  at   0x20[0-9a-f]+: db 2d 00 00 00 d0 ",
              r"^  code 0x20[0-9a-f]+:  ?fld xword ptr \[0xd0000000\]", r"^  in   protected mode, ring 0, flags 0x",
              r"^  rax [0-9a-f]{16} rcx ", r"^  cr0 0000000000000011 ", r"^  try  a -cpu without the feature"]
    missing = [line for line in wanted if not re.search(line, done.stderr.replace("code   ", "code "), re.M)]
    if done.returncode != 1 or missing:
        raise Failed(f"status {done.returncode}, no {missing} in\n{done.stderr}")
    print("failure: told with address, bytes, instruction, mode and registers")


def reset(folder):
    for words in ("uart reset", "uart triple"):
        arguments = [word for word in command(words) if word != "-no-reboot"]
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            text = b""
            while text.count(b"kernel\nuart interrupts 1\n") < 4:
                piece = os.read(process.stdout.fileno(), 4096)
                if not piece:
                    raise Failed(f"{words}: it ended: {text} {process.stderr.read().decode()}")
                text += piece
            process.send_signal(signal.SIGTERM)
            if process.wait(LIMIT) != 0:
                raise Failed(f"{words}: status {process.returncode}")
        finally:
            process.kill()
            process.wait()
        done = subprocess.run(command(words), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT)
        if (done.returncode, done.stdout) != (0, "kernel\nuart interrupts 1\n"):
            raise Failed(f"{words} with -no-reboot: {done}")
        print(f"{words}: begins again, or ends with -no-reboot")


def symbol(name):
    text = subprocess.run(["nm", KERNEL], capture_output=True, text=True, check=True).stdout
    return next(int(line.split()[0], 16) for line in text.splitlines() if line.split()[-1] == name)


def gdb(folder):
    debugger = shutil.which("gdb-multiarch") or shutil.which("gdb")
    if not debugger or not shutil.which("nm"):
        print("skipped: no gdb or no nm")
        return SKIPPED
    place, entry = pathlib.Path(folder, "gdb"), symbol("kernel")
    process = subprocess.Popen(command("uart", "-S", "-gdb", f"unix:{place}"), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + LIMIT
        while not place.exists() and time.monotonic() < end and process.poll() is None:
            time.sleep(0.01)
        steps = [f"target remote {place}", f"break *{entry:#x}", "continue", "p/x $pc", "stepi", "stepi", "p $pc != " + str(entry),
                 "set *(int*)0x300000=0x1234", "x/1xw 0x300000", "p $rsp < 0x300000", "set $r9=77", "p $r9", "delete",
                 "watch *(int*)0x300000", "continue", "delete", "continue"]
        done = subprocess.run([debugger, "-nx", "-batch", "-ex", "set confirm off"] + [word for step in steps for word in ("-ex", step)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT)
        out, _ = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
        process.wait()
    said = done.stdout + done.stderr
    wanted = [rf"Breakpoint 1, 0x0*{entry:x} in", rf"\$1 = {entry:#x}\b", r"\$2 = 1\b", r"0x300000:\s+0x00001234", r"\$3 = 1\b",
              r"\$4 = 77\b", r"Could not insert hardware", r"exited normally"]
    missing = [line for line in wanted if not re.search(line, said)]
    if missing or out != "kernel\nuart interrupts 1\noff\n":
        raise Failed(f"no {missing} in\n{said}\nthe guest said {out!r}")
    print("gdb: breakpoint, steps, registers, memory")


def main():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("skipped: no access to /dev/kvm")
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        try:
            return {"plain": plain, "split": split, "rtc": rtc, "one-by-one": one_by_one, "memory": memory,
                    "failure": failure, "reset": reset, "gdb": gdb}[CASE](folder) or 0
        except Failed as reason:
            print(f"FAILED: {reason}")
            return 1


if __name__ == "__main__":
    sys.exit(main())
