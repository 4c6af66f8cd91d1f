#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A machine is saved to a file again and again in the middle of a checksum, and goes on in a new process each time.

usage: run.py BUILD CASE [MOVES]      CASE: microvm (needs /dev/kvm), virt, virt3 (GICv3, PCI, two CPUs), errors

Exit status 77: something is missing, and the last line says what.
"""

import hashlib
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/boot"))

SKIPPED = 77
WAIT = int(os.environ.get("LYREBIRD_SAVED_WAIT", "300"))  # seconds for anything, on a busy machine

def program(turns):
    # For PVH's entry, 32-bit: eax = 0; for ecx = TURNS .. 1: eax = eax * 33 + ecx, and every 65536 turns a dot to the serial
    # line; then eax to it as letters, and a reset through port 0x64.
    return bytes.fromhex("31c0b9" + struct.pack("<I", turns).hex() + "6bc02101c86685c9750b89c3b02e66baf803ee89d84975e8"
                         "89c3b90800000066baf803c1c30489d8240f0441ee4975f3b0fee664ebfe")


def answer(turns):
    total, text = 0, ""
    for turn in range(turns, 0, -1):
        total = (total * 33 + turn) & 0xFFFFFFFF
        if turn & 0xFFFF == 0:
            text += "."
    return text + "".join(chr(ord("A") + (total >> shift & 15)) for shift in range(28, -1, -4))


def pvh_kernel(code):
    """An ELF file with one piece and a PVH note."""
    note = struct.pack("<IIIII", 4, 4, 18, 0x006E6558, 0x200000)
    at = 52 + 64
    header = b"\x7fELF\1\1\1" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0, 52, 0, 0, 52, 32, 2, 0, 0, 0)
    parts = struct.pack("<8I", 4, at, 0, 0, len(note), 0, 0, 0)
    parts += struct.pack("<8I", 1, at + len(note), 0x200000, 0x200000, len(code), len(code), 7, 1)
    return header + parts + note + code


class Process:
    """One run of the emulator: its serial line as text, its monitor as a socket."""

    def __init__(self, command, folder):
        self.socket = folder / "monitor"
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen([*command, "-serial", "stdio", "-monitor", f"unix:{self.socket},server=on,wait=off"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.text, self.errors = b"", b""
        self.readers = [threading.Thread(target=self.read, args=(name, pipe)) for name, pipe in
                        (("text", self.process.stdout), ("errors", self.process.stderr))]
        for reader in self.readers:
            reader.start()

    def read(self, name, pipe):
        while piece := os.read(pipe.fileno(), 65536):
            setattr(self, name, getattr(self, name) + piece)

    def monitor(self, *commands):
        """Their answers; None if the machine ended meanwhile."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(WAIT)
        end = time.monotonic() + WAIT
        while True:
            try:
                connection.connect(str(self.socket))
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    return None
                time.sleep(0.005)
        answers, seen = [], b""
        try:
            for command in ("", *commands):
                if command:
                    connection.sendall(command.encode() + b"\n")
                while not seen.endswith(b"(lyrebird) "):
                    piece = connection.recv(4096)
                    if not piece:
                        return None
                    seen += piece
                answers.append(seen.decode(errors="replace").replace("\r", ""))
                seen = b""
        except (ConnectionError, BrokenPipeError):
            return None
        finally:
            connection.close()
        return answers[1:]

    def stuck(self):
        """Where it stands: what its threads wait for and use, and where the CPUs are, a few times."""
        text = ""
        for _ in range(4):
            for task in sorted(pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()):
                stat = task.joinpath("stat").read_text().rsplit(")", 1)[1].split()
                text += (f"{task.joinpath('comm').read_text().strip()}: {stat[0]} {task.joinpath('wchan').read_text()} "
                         f"user {int(stat[11]) / 100} system {int(stat[12]) / 100}\n")
            text += "\n".join(self.monitor("info status", "info cpus") or ["no monitor"]) + "\n"
            time.sleep(1)
        return text + "\n".join(self.monitor("info registers -a", "info jit") or [])

    def finish(self):
        try:
            status = self.process.wait(WAIT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not end: {self.text.decode(errors='replace')}\n{self.stuck()}") from None
        for reader in self.readers:
            reader.join()
        return status


def move(command, folder, moves, pause):
    """Runs the machine to its end through `moves` files; what it said, and how often it really moved."""
    state = folder / "state"
    text, moved, incoming = b"", 0, []
    while True:
        run = Process([*command, *incoming], folder)
        try:
            if moved < moves:
                time.sleep(pause())
                answers = run.monitor(f"migrate \"file:{state}\"", "info migrate")
                if answers is not None:
                    if "Migration status: completed" not in answers[1]:
                        raise AssertionError(f"not saved: {answers}")
                    run.process.send_signal(signal.SIGTERM)
            status = run.finish()
        finally:
            run.process.kill()
        text += run.text
        if status != 0:
            raise AssertionError(f"status {status} after {moved} moves: {run.errors.decode()}\n{text.decode(errors='replace')}")
        if moved < moves and answers is not None:
            moved += 1
            incoming = ["-incoming", f"file:{state}"]
            continue
        return text.decode(errors="replace"), moved


def enough(moves):
    """A short run may meet a quick machine; who asks for many wants all of them."""
    return moves if moves > 12 else min(moves, 3)


def microvm(build, folder, moves):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("skipped: no access to /dev/kvm")
        return SKIPPED
    turns = 0x40000 * max(1, moves // 10)
    (folder / "kernel").write_bytes(pvh_kernel(program(turns)))
    command = [f"{build}/lyrebird-system-x86_64", "-M", "microvm", "-accel", "kvm", "-m", "16", "-no-reboot", "-kernel",
               str(folder / "kernel")]
    begin = time.monotonic()
    text, moved = move(command, folder, moves, lambda: random.uniform(0, 0.04))
    print(f"microvm: {moved} new processes in {time.monotonic() - begin:.1f} s")
    assert text == answer(turns), f"{text!r} is not {answer(turns)!r}"
    assert moved >= enough(moves), "it ended too early for the moves"
    return 0


SCRIPT = """
for module in virtio virtio_ring virtio_mmio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk; do
  [ -f /$module.ko ] && insmod /$module.ko
done
sum=start
dd if=/dev/urandom of=/tmp/keep bs=64k count=32 2>/dev/null
kept=$(md5sum </tmp/keep)
i=0
while [ $i -lt TURNS ]; do
  sum=$(echo $sum $i | md5sum | cut -d' ' -f1)
  i=$((i + 1))
  if [ $((i % 8)) = 0 ]; then
    echo "saved: turn $i $sum"
    [ -b /dev/vda ] && [ "$(dd if=/dev/vda bs=64k iflag=direct 2>/dev/null | md5sum | cut -d' ' -f1)" != DISK ] && echo "saved: the disk is wrong"
    [ "$(md5sum </tmp/keep)" = "$kept" ] || echo "saved: memory is wrong"
  fi
done
echo "saved: disk $(ls /dev/vda)"
echo "saved: result $sum"
"""


def virt(build, folder, moves, more=("-M", "virt"), disk="virtio-blk-device"):
    from payload import Payload
    payload = Payload("arm64")
    turns = 96 if moves <= 12 else 32 * moves
    data = random.randbytes(1 << 20)
    (folder / "disk").write_bytes(data)
    script = SCRIPT.replace("TURNS", str(turns)).replace("DISK", hashlib.md5(data).hexdigest())
    tree = next((payload.root / "lib/modules").iterdir())
    names = ("virtio", "virtio_ring", "virtio_mmio", "virtio_pci", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_blk")
    modules = [found for name in names for found in tree.rglob(name + ".ko")]
    initrd = payload.initrd(folder / "initrd", script, modules)
    command = [f"{build}/lyrebird-system-aarch64", *more, "-m", "192", "-no-reboot", "-nic", "none", "-kernel", str(payload.kernel),
               "-initrd", str(initrd), "-append", "console=ttyAMA0 quiet boot.script=script",
               "-drive", f"file={folder / 'disk'},format=raw,if=none,id=d0", "-device", f"{disk},drive=d0"]
    begin = time.monotonic()
    text, moved = move(command, folder, moves, lambda: random.uniform(0.05, 0.5))
    print(f"{disk}: {moved} new processes in {time.monotonic() - begin:.1f} s")
    total = "start"
    for i in range(turns):
        total = hashlib.md5(f"{total} {i}\n".encode()).hexdigest()
    for line in (f"saved: result {total}", "saved: disk /dev/vda", "boot: done"):
        assert line in text, f"no {line!r} in\n{text}"
    assert "is wrong" not in text, text
    assert moved >= enough(moves), "it ended too early for the moves"
    return 0


def virt3(build, folder, moves):
    return virt(build, folder, moves, ("-M", "virt,gic-version=3", "-smp", "2"), "virtio-blk-pci")


def errors(build, folder, _):
    """A file that is not of this machine, or not whole, is one line and status 1; the monitor says so and goes on."""
    command = [f"{build}/lyrebird-system-aarch64", "-M", "virt", "-nic", "none", "-display", "none"]
    run = Process([*command, "-m", "32", "-S"], folder)
    state = folder / "state"
    try:
        assert run.monitor(f"savevm {state}") == [f"savevm {state}\n(lyrebird) "], "savevm says something"
        assert "/nowhere" in run.monitor("migrate file:/nowhere/at/all")[0]
        assert "where to is file:PATH" in run.monitor("migrate tcp:localhost:1")[0]
        assert "no such file" in run.monitor(f"loadvm {folder}/none")[0].lower()
        assert "is no saved state" in run.monitor(f"loadvm {build}/CMakeCache.txt")[0]
        assert run.monitor(f"loadvm {state}") == [f"loadvm {state}\n(lyrebird) "], "loadvm says something"
    finally:
        run.process.kill()
        run.finish()
    whole = state.read_bytes()
    cut, damaged = folder / "cut", folder / "damaged"

    def refused(expected, file, options=("-m", "32")):
        done = subprocess.run([*command, *options, "-incoming", f"file:{file}"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=WAIT)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and expected in done.stderr, (expected, done)

    refused("is of a machine with -m 32M, and this one has 64M", state, ("-m", "64"))
    refused("is of a machine with -smp 1, and this one has 2", state, ("-m", "32", "-smp", "2"))
    refused("is of a machine with -cpu cortex-a57, and this one has max", state, ("-m", "32", "-cpu", "max"))
    refused("No such file", folder / "none")
    for size in (0, 3, 15, 40, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:size])
        refused("cut short" if size > 16 else "is no saved state", cut)
    version = bytearray(whole)
    version[8] = 9
    damaged.write_bytes(version)
    refused("has format 9", damaged)
    # Anything may be in a file: it is refused, or it is a state; it is never the end of the process by a signal.
    for _ in range(40):
        bytes_ = bytearray(whole)
        for _ in range(random.choice((1, 1, 4, 50))):
            bytes_[random.randrange(len(bytes_))] = random.randrange(256)
        damaged.write_bytes(bytes_)
        done = subprocess.run([*command, "-m", "32", "-S", "-incoming", f"file:{damaged}", "-monitor", "stdio"],
                              input=b"quit\n", capture_output=True, timeout=WAIT)
        assert done.returncode in (0, 1), done
    print("errors: all refused")
    return 0


def main():
    build, case = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    moves = int(sys.argv[3]) if len(sys.argv) > 3 else 100
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        return {"microvm": microvm, "virt": virt, "virt3": virt3, "errors": errors}[case](build, folder, moves)
    except AssertionError as reason:
        print(f"FAILED: {reason}")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
