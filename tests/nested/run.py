#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots a Debian kernel under KVM where KVM is real: inside a machine that the peer emulates with SVM.

usage: run.py LYREBIRD [--case NAME]... [--conformance PROGRAM] [--peer] [--keep DIR] [-v]

Outside: qemu-system-x86_64 -accel tcg -cpu max runs Debian's amd64 kernel, which loads kvm-amd. Inside, LYREBIRD
(with the libraries it needs, all in the initramfs) runs the same kernel with a busybox initramfs and a disk.
Exit status 77: something is missing, and the last line says what. --peer: the same guest under the peer's
microvm as well, for the times.
"""

import argparse
import hashlib
import lzma
import pathlib
import queue
import re
import shutil
import socket
import stat
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAYLOAD = ROOT / "build/payload/amd64-system"
OUTER_MODULES = ["irqbypass", "kvm", "ccp", "kvm-amd"]
INNER_MODULES = ["virtio_ring", "virtio", "virtio_mmio", "virtio_blk", "failover", "net_failover", "virtio_net"]
DISK_BYTES = 4 << 20
RATES_TIMES = {"port": 4000, "mmio": 4000, "notify": 4000, "disk": 400}  # as rates.c has it


class Missing(Exception):
    pass


class Cpio:
    """An initramfs, format newc."""

    def __init__(self):
        self.data = bytearray()
        self.names = set()

    def add(self, name, mode, content=b"", rdev=(0, 0)):
        for parent in reversed(pathlib.PurePosixPath(name).parents):
            if str(parent) not in (".", "/") and str(parent) not in self.names:
                self.add(str(parent), stat.S_IFDIR | 0o755)
        if name in self.names:
            return
        self.names.add(name)
        encoded = name.encode() + b"\0"
        fields = [len(self.names), mode, 0, 0, 1, 0, len(content), 0, 0, rdev[0], rdev[1], len(encoded), 0]
        self.data += b"070701" + b"".join(b"%08X" % f for f in fields) + encoded
        self.data += b"\0" * (-len(self.data) % 4)
        self.data += content
        self.data += b"\0" * (-len(self.data) % 4)

    def file(self, name, path):
        self.add(name, stat.S_IFREG | 0o755, pathlib.Path(path).read_bytes())

    def text(self, name, text):
        self.add(name, stat.S_IFREG | 0o755, text.encode())

    def finish(self):
        self.add("TRAILER!!!", 0)
        return bytes(self.data)


def base(cpio):
    for name in ("dev", "proc", "sys", "tmp", "bin", "modules"):
        cpio.add(name, stat.S_IFDIR | 0o755)
    cpio.add("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1))
    cpio.file("bin/busybox", PAYLOAD / "bin/busybox")


def add_modules(cpio, names):
    tree = next((PAYLOAD / "lib/modules").iterdir())
    for name in names:
        found = list(tree.rglob(name + ".ko")) or list(tree.rglob(name.replace("_", "-") + ".ko"))
        if not found:
            raise Missing(f"{tree}: has no module {name}")
        cpio.file(f"modules/{name}.ko", found[0])


PRELUDE = """#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for m in %s; do insmod /modules/$m.ko || echo "no module $m"; done
"""


def compile_rates(folder):
    program = folder / "rates"
    done = subprocess.run(["gcc", "-O1", "-static", "-o", program, pathlib.Path(__file__).parent / "rates.c"], capture_output=True)
    if done.returncode != 0:
        raise Missing("a C compiler and a static C library for --peer")
    return program


def inner_initramfs(rates):
    cpio = Cpio()
    base(cpio)
    if rates:
        cpio.file("bin/rates", rates)
    add_modules(cpio, INNER_MODULES)
    cpio.text(
        "init",
        PRELUDE % " ".join(INNER_MODULES)
        + """
echo "INNER init cpus=$(grep -c ^processor /proc/cpuinfo) kvm=$(dmesg | grep -c 'Hypervisor detected: KVM')"
if [ -b /dev/vda ]; then
  echo "INNER read $(md5sum </dev/vda | cut -d' ' -f1)"
  tr 'a-z' 'b-za' </dev/vda >/tmp/other && dd if=/tmp/other of=/dev/vda bs=64k conv=fsync 2>/dev/null
  echo 3 >/proc/sys/vm/drop_caches
  echo "INNER written $(md5sum </dev/vda | cut -d' ' -f1)"
fi
if [ ! -x /bin/rates ] && [ -d /sys/class/net/eth0 ]; then
  ip address add 10.0.2.15/24 dev eth0; ip link set eth0 up
  wget -q -O /tmp/fetched http://10.0.2.2:8080/kernel
  echo "INNER fetched $(md5sum </tmp/fetched | cut -d' ' -f1)"
fi
if [ -x /bin/rates ] && [ -b /dev/vda ]; then
  slot=$(basename $(dirname $(readlink -f /sys/block/vda/device)))
  rates $(grep $slot /proc/iomem | head -1 | cut -d- -f1) /dev/vda
fi
echo "INNER interrupts $(grep -c virtio /proc/interrupts)"
echo "INNER off"
[ -d /sys/firmware/acpi ] && poweroff -f
reboot -f
""",
    )
    return cpio.finish()


def libraries(program):
    text = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return {m[1] for m in re.finditer(r"(?:=> )?(/\S+) \(0x", text)}


def unpack_kernel(image):
    """The ELF file in a bzImage (boot.rst: payload_offset, payload_length), which is entered by its PVH note."""
    sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = 512 * (1 + sectors) + offset
    return lzma.LZMADecompressor().decompress(image[start : start + length])


# Says that the kernel outside lives; and where the threads of a run stand that does not end, shortly before it is ended.
WATCHDOG = """
(while sleep 5; do echo OUTER lives; done) &
watch() {
  sleep LIMIT
  for pid in $(pidof lyrebird-system-x86_64 qemu-system-x86_64 conformance); do
    for task in /proc/$pid/task/*; do
      echo "STUCK $(cat $task/comm) $(grep State $task/status | cut -f2) at $(cat $task/wchan), syscall $(cat $task/syscall)"
      cat $task/stack
    done
  done
}
"""

CASES = {
    # name: processors, further options, kernel; Debian's has no virtio_mmio.device=, so no disk without ACPI
    "one": (1, [], "kernel"),
    "two": (2, [], "kernel"),
    "pvh": (1, [], "vmlinux"),
    "ring": (1, ["-accel", "kvm,dirty-ring-size=4096"], "vmlinux"),
    "split": (2, ["-M", "microvm,kernel-irqchip=split,rtc=on"], "vmlinux"),
    "exits": (1, ["-M", "microvm,ioeventfd=off"], "vmlinux"),
    "noacpi": (2, ["-M", "microvm,acpi=off"], "vmlinux"),
}


def outer_initramfs(arguments, work):
    cpio = Cpio()
    base(cpio)
    add_modules(cpio, OUTER_MODULES)
    programs = [pathlib.Path(arguments.lyrebird)]
    cpio.file("bin/lyrebird-system-x86_64", programs[0])
    if arguments.conformance:
        programs.append(pathlib.Path(arguments.conformance))
        cpio.file("bin/conformance", arguments.conformance)
    if arguments.peer:
        programs.append(pathlib.Path(shutil.which("qemu-system-x86_64")))
        cpio.file("bin/qemu-system-x86_64", programs[-1])
        for rom in ("bios-microvm.bin", "linuxboot_dma.bin", "pvh.bin"):
            for folder in ("/usr/share/qemu", "/usr/share/seabios"):
                if (path := pathlib.Path(folder, rom)).exists():
                    cpio.file(f"usr/share/qemu/{rom}", path)
    slirp = next((p for f in ("/usr/lib/x86_64-linux-gnu", "/usr/lib64") for p in pathlib.Path(f).glob("libslirp.so.0")), None)
    if not slirp:
        raise Missing("libslirp0 is not installed")
    programs.append(slirp)
    cpio.file(f"lib/x86_64-linux-gnu/{slirp.name}", slirp)
    for program in programs:
        for library in libraries(program):
            cpio.file(library.lstrip("/"), library)
    kernel = next((PAYLOAD / "boot").glob("vmlinuz-*"))
    cpio.file("guest/kernel", kernel)
    if any(kind == "vmlinux" for kind in (CASES[case][2] for case in arguments.case)):
        cpio.add("guest/vmlinux", stat.S_IFREG | 0o644, unpack_kernel(kernel.read_bytes()))
    cpio.add("guest/initrd", stat.S_IFREG | 0o644, inner_initramfs(compile_rates(work) if arguments.peer else None))
    script = PRELUDE % " ".join(OUTER_MODULES)
    script += WATCHDOG.replace("LIMIT", str(arguments.limit - 10))
    script += "ls -l /dev/kvm\nip link set lo up; httpd -p 8080 -h /guest\n"
    if arguments.conformance:
        # The peer's VMRUN takes DR7 over without setting its breakpoints, and its INT3 asks for the intercept of INT n
        # instead of that of exception 3.
        script += f"echo OUTER begin conformance; watch & timeout {arguments.limit} conformance --gtest_brief={0 if arguments.verbose else 1} --gtest_repeat={arguments.repeat} --gtest_filter={arguments.filter}\n"
        script += "echo OUTER status $?; kill $!\n"
    common = (
        "-kernel /guest/KERNEL -initrd /guest/initrd -nographic -no-reboot -m 256"
        " -append 'console=ttyS0 quiet panic=-1 reboot=t iomem=relaxed'"
        " -drive file=/tmp/disk,format=raw,if=none,id=d0 -device virtio-blk-device,drive=d0"
        " -netdev user,id=n0 -device virtio-net-device,netdev=n0"
    )
    runs = [("lyrebird " + case, "lyrebird-system-x86_64 -stats", CASES[case]) for case in arguments.case]
    if arguments.peer:
        runs += [("peer " + case, "qemu-system-x86_64 -L /usr/share/qemu -nodefaults -no-user-config -serial stdio -display none",
                  CASES[case]) for case in arguments.case if case in ("one", "two", "pvh")]
        # One after the other, and again.
        runs = [(f"{name} {turn}", *rest) for turn in range(arguments.pairs) for name, *rest in runs]
    for name, program, (cpus, options, kind) in runs:
        machine = " ".join(options) if "-M" in options else "-M microvm " + " ".join(options)
        accel = "" if "-accel" in options else "-accel kvm -cpu host"
        line = common if program.startswith("lyre") else common.replace("-nographic", "")
        line = line.replace("KERNEL", kind)
        script += f"yes 'the quick brown fox' | dd bs=1k count={DISK_BYTES >> 10} iflag=fullblock of=/tmp/disk 2>/dev/null\n"
        script += f"echo OUTER begin {name}; watch & "
        script += f"{{ timeout {arguments.limit} {program} {machine} {accel} -smp {cpus} {line} </dev/null; echo OUTER status $?; }}\n"
        script += 'kill $!; echo "OUTER disk $(md5sum </tmp/disk | cut -d" " -f1)"\n'
    script += "poweroff -f\n"
    cpio.text("init", script)
    return kernel, cpio.finish()


def disk_sums():
    line = b"the quick brown fox\n"
    data = (line * (DISK_BYTES // len(line) + 1))[:DISK_BYTES]
    turned = data.translate(bytes.maketrans(b"abcdefghijklmnopqrstuvwxyz", b"bcdefghijklmnopqrstuvwxyza"))
    return hashlib.md5(data).hexdigest(), hashlib.md5(turned).hexdigest()


class Peer:
    """The machine outside: its serial line as lines with times, and its monitor."""

    def __init__(self, arguments, work, kernel):
        self.lines = []
        self.used = 0
        self.verbose = arguments.verbose
        self.monitor_path = work / "monitor"
        # One processor: with two the peer's, on a busy host, come to wait for each other for ever. Its timer's
        # interrupts come late then, too, which the kernel's check of the timer takes for a broken one.
        command = [
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", str(arguments.outer_cpus), "-m", "2048",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-chardev", "stdio,id=line,signal=off", "-serial", "chardev:line",
            "-monitor", f"unix:{self.monitor_path},server=on,wait=off",
            "-kernel", str(kernel), "-initrd", str(work / "initrd"),
            "-append", "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check sysrq_always_enabled " + arguments.outer_append,
        ]
        self.begin = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.queue = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for raw in self.process.stdout:
            text = raw.decode(errors="replace").rstrip("\r\n")
            now = time.monotonic() - self.begin
            self.lines.append((now, self.cpu_seconds(), text))
            if self.verbose:
                print(f"{now:7.2f} {text}", flush=True)
            self.queue.put(text)
        self.queue.put(None)

    def next_line(self, timeout):
        """None at the end, "" if nothing came in time."""
        try:
            return self.queue.get(timeout=timeout)
        except queue.Empty:
            return ""

    def command(self, text):
        """What the monitor prints."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            try:
                connection.connect(str(self.monitor_path))
                connection.sendall(text.encode() + b"\n")
                answer = b""
                while answer.count(b"(qemu)") < 2:
                    piece = connection.recv(65536)
                    if not piece:
                        break
                    answer += piece
            except OSError as reason:
                return f"no monitor: {reason}"
        return re.sub(r".*\x1b\[[KD]", "", answer.decode(errors="replace")).replace("\r", "")

    def cpu_seconds(self):
        """Of the peer's process so far: what a machine outside has done, however little of its time the host gave it."""
        try:
            fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            return self.used
        self.used = (int(fields[11]) + int(fields[12])) / 100
        return self.used

    def examine(self):
        """Where a machine that says nothing stands: printed, and for the log."""
        before, began = self.cpu_seconds(), time.monotonic()
        print("examining the machine outside:")
        for _ in range(6):
            registers = self.command("info registers")
            for line in registers.splitlines():
                if re.match(r"(CPU#|RIP|EIP|RAX|RSP|CR0|CS )", line) or "RIP=" in line:
                    print("  " + line)
            time.sleep(0.3)
        for what in ("info registers -a", "info lapic", "info pic"):
            print(self.command(what))
        print(f"  the peer's process used {self.cpu_seconds() - before:.2f} s of CPU in {time.monotonic() - began:.2f} s")
        # Does its kernel still take interrupts? A break on the serial line and a letter: magic SysRq.
        for letter in "lw":
            self.command("chardev-send-break line")
            self.process.stdin.write(letter.encode())
            self.process.stdin.flush()
            end = time.monotonic() + 4
            answered = 0
            while time.monotonic() < end:
                text = self.next_line(0.5)
                if text:
                    answered += 1
                    print("  | " + text)
            print(f"  SysRq {letter}: {answered} lines")

    def stop(self):
        self.process.kill()
        self.process.wait()


def boot(arguments, work):
    kernel, initrd = outer_initramfs(arguments, work)
    (work / "initrd").write_bytes(initrd)
    peer = Peer(arguments, work, kernel)
    dead = False
    try:
        last, last_cpu = time.monotonic(), 0
        while True:
            text = peer.next_line(1)
            now = time.monotonic()
            if text is None:
                break
            if text:
                last, last_cpu = now, peer.cpu_seconds()
            elif now - last > arguments.silence:
                # It says that it lives every few seconds of its own, whatever runs in it. A process that was given
                # some of the host's time but not much is only slow.
                used = peer.cpu_seconds() - last_cpu
                if used < 1 or used > 20:
                    print(f"the machine outside has said nothing for {now - last:.0f} s, of which it used {used:.1f}")
                    peer.examine()
                    dead = True
                    break
            if now - peer.begin > arguments.timeout:
                print(f"not done after {arguments.timeout} s, of which the peer used {peer.cpu_seconds():.0f}")
                break
    finally:
        peer.stop()
    dead |= any("IO-APIC + timer doesn't work" in text or "rcu_sched kthread starved" in text for *_, text in peer.lines)
    return peer.lines, dead


def without_signs_of_life(lines):
    """(seconds, text) of each line. That the kernel outside lives may be said between any two bytes of a line from inside."""
    begun = ""
    for _, when, text in lines:
        before, sign, _ = text.partition("OUTER lives")
        if sign:
            begun += before
            continue
        yield when, begun + text
        begun = ""


def judge(arguments, lines):
    """Prints a line for each run; what is wrong comes back."""
    before, after = disk_sums()
    problems, current, found = [], None, {}
    for when, text in without_signs_of_life(lines):
        if m := re.search(r"OUTER begin (.+)", text):
            current = m[1]
            found[current] = {"begin": when}
        elif current and (m := re.search(r"(INNER|OUTER) (\w+) ?(.*)", text)):
            found[current][m[1].lower() + " " + m[2]] = m[3]
            found[current].setdefault("time " + m[2], when)
    names = (["conformance"] if arguments.conformance else []) + ["lyrebird " + case for case in arguments.case]
    if arguments.peer:
        names += ["peer " + case for case in arguments.case if case in ("one", "two", "pvh")]
        names = [f"{name} {turn}" for name in names for turn in range(arguments.pairs)]
    for name in names:
        run = found.get(name, {})
        expected = {"outer status": "0"}
        if name != "conformance":
            cpus = CASES[name.split()[1]][0]
            expected |= {"inner init": f"cpus={cpus} kvm=1", "inner off": ""}
            if name.split()[1] != "noacpi":
                expected |= {"inner read": before, "inner written": after, "outer disk": after}
            if name.split()[1] != "noacpi" and not arguments.peer:
                expected |= {"inner fetched": hashlib.md5(next((PAYLOAD / "boot").glob("vmlinuz-*")).read_bytes()).hexdigest()}
        wrong = [f"{key} is {run.get(key)!r}, not {value!r}" for key, value in expected.items() if run.get(key) != value]
        problems += [f"{name}: {w}" for w in wrong]
        if "time init" in run:
            run["to init"] = run["time init"] - run["begin"]
            print(f"{name}: {run['to init']:.2f} s of the peer's CPU time to the guest's init")
        for what, times in RATES_TIMES.items():
            if f"time {what}_end" in run:
                run[what] = (run[f"time {what}_end"] - run[f"time {what}_begin"]) / times
    if arguments.peer and not problems:
        compare(found)
    return problems


def compare(found):
    """Medians of ours and the peer's, in seconds of CPU time that the machine outside took."""
    print(f"{'':34} {'lyrebird':>12} {'peer':>12} {'peer/ours':>10}")
    for case in sorted({name.split(" ", 1)[1].rsplit(" ", 1)[0] for name in found if " " in name}):
        for key, text in (("to init", "to the guest's init, s"), ("port", "port read, s"), ("mmio", "MMIO read, s"),
                          ("notify", "notification (ioeventfd), s"), ("disk", "random 4 KiB read, s")):
            ours, peer = (statistics.median(float(run[key]) for name, run in found.items() if name.startswith(f"{who} {case} "))
                          for who in ("lyrebird", "peer"))
            print(f"{case + ': ' + text:34} {ours:12.6f} {peer:12.6f} {peer / ours:10.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lyrebird")
    parser.add_argument("--case", action="append", choices=[*CASES, "none"])
    parser.add_argument("--conformance")
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--pairs", type=int, default=3, help="runs of ours and of the peer's with --peer")
    parser.add_argument("--keep")
    parser.add_argument("--limit", type=int, default=150, help="seconds for each run")
    parser.add_argument("--timeout", type=float, default=290)
    parser.add_argument("--silence", type=float, default=60, help="seconds without a line after which the machine is looked at")
    parser.add_argument("--outer-cpus", type=int, default=1)
    parser.add_argument("--outer-append", default="", help="more for the command line of the kernel outside")
    parser.add_argument("--filter", default="-*BreakpointStops*:*MoreBreakpoints*", help="of the conformance suite")
    parser.add_argument("--repeat", type=int, default=1, help="of the conformance suite")
    parser.add_argument("-v", "--verbose", action="store_true")
    arguments = parser.parse_args()
    arguments.case = [case for case in arguments.case or ["one", "two"] if case != "none"]
    try:
        if not shutil.which("qemu-system-x86_64"):
            raise Missing("qemu-system-x86_64 is not installed")
        if not PAYLOAD.is_dir():
            raise Missing(f"{PAYLOAD} is not there: tools/dev/payload/fetch amd64-system")
        with tempfile.TemporaryDirectory() as work:
            folder = pathlib.Path(arguments.keep or work)
            folder.mkdir(exist_ok=True)
            for attempt in range(3):
                lines, dead = boot(arguments, folder)
                if not dead:
                    break
                # The kernel outside itself stood still, which nothing that runs in it as a program can bring about.
                print(f"the peer's machine died (attempt {attempt + 1} of 3)", flush=True)
    except Missing as reason:
        print(f"skipped: {reason}")
        return 77
    problems = judge(arguments, lines)
    if problems:
        print("".join(f"{when:7.2f} {text}\n" for when, _, text in lines[-60:]), end="")
        print("\n".join(problems))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
