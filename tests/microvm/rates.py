#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rates.py LYREBIRD-SYSTEM-X86_64 KERNEL [PAIRS]: round trips of microvm under the local /dev/kvm, beside the peer's.

Microseconds of wall and of CPU time for a port read, a read of a virtio register, a notification by ioeventfd, and a
random 4 KiB read with its interrupt; both programs in turn, medians. TURNS=, READS= in the environment.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

TURNS, READS = int(os.environ.get("TURNS", "30000")), int(os.environ.get("READS", "3000"))
KINDS = {"port": TURNS, "mmio": TURNS, "notify": TURNS, "disk": READS}


def cpu_seconds(pid):
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int(task.joinpath("schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total / 1e9


def run(command):
    """Wall and CPU seconds of each kind."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    found, begun, text = {}, None, b""
    while piece := os.read(process.stdout.fileno(), 4096):
        now = time.monotonic()
        *lines, text = (text + piece).split(b"\n")
        for line in lines:
            name, _, what = line.decode(errors="replace").strip().partition(" ")
            if what == "begin":
                begun = now, cpu_seconds(process.pid)
            elif what == "end":
                found[name] = now - begun[0], cpu_seconds(process.pid) - begun[1]
    process.wait()
    return found


def main():
    program, kernel, pairs = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 5
    with tempfile.TemporaryDirectory() as folder:
        disk = pathlib.Path(folder, "disk")
        disk.write_bytes(os.urandom(4 << 20))
        common = ["-accel", "kvm", "-m", "32", "-no-reboot", "-kernel", kernel, "-append",
                  " ".join(f"{name} {times}" for name, times in KINDS.items()),
                  "-drive", f"file={disk},format=raw,if=none,id=d0", "-device", "virtio-blk-device,drive=d0"]
        programs = {
            "lyrebird": [program, "-M", "microvm", "-nographic", *common],
            # Its -cpu host wants registers that a KVM without hardware has not.
            "peer": ["qemu-system-x86_64", "-M", "microvm,ioapic2=off", "-cpu", "qemu64", "-nodefaults", "-no-user-config",
                     "-serial", "stdio", "-display", "none", "-global", "virtio-mmio.force-legacy=off", *common],
        }
        runs = {name: [] for name in programs}
        for _ in range(pairs):
            for name, command in programs.items():
                runs[name].append(run(command))
    print(f"{'us':8}" + "".join(f"{name + ' ' + what:>16}" for name in programs for what in ("wall", "CPU")) + f"{'peer/ours':>18}")
    for kind, times in KINDS.items():
        medians = [statistics.median(one[kind][i] for one in runs[name]) / times * 1e6 for name in programs for i in (0, 1)]
        print(f"{kind:8}" + "".join(f"{value:16.2f}" for value in medians) +
              f"{medians[2] / medians[0]:9.2f}{medians[3] / medians[1]:9.2f}")


if __name__ == "__main__":
    main()
